/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bound in the system, one line and one reason each.  Whatever a peer
 * can size is checked against a row here before it is allocated.
 */
#ifndef LIMITS_H
#define LIMITS_H

#define KIB		1024
#define MIB		(1024 * 1024)

enum {
	/* Kafka wire */
	FRAME_MAX		= 100 * MIB,	/* socket.request.max.bytes */
	FRAME_PREAUTH_MAX	= 64 * KIB,	/* before authentication */
	TOPIC_NAME_MAX		= 249,		/* Kafka's own rule */
	CLIENT_ID_MAX		= 1024,		/* kept; the rest is cut off */
	CLIENT_ID_LOG_MAX	= 64,		/* bytes of one in a log line */
	CLIENT_HOST_MAX		= 64,		/* an address as text, a zone */
	CLIENT_SOFTWARE_MAX	= 64,		/* its name, its version */
	ARENA_PER_BYTE		= 16,		/* short names grow 11-fold */
	ARENA_BASE		= 64 * KIB,	/* ... plus this much */

	/* Topics */
	PARTS_PER_TOPIC_MAX	= 10000,	/* one CreateTopics row */
	PARTS_MAX		= 200000,	/* whole engine: memory */
	TOPICS_MAX		= 100000,	/* whole engine: memory */
	TOPICS_REMOVING_MAX	= 10000,	/* deleted, files still there */
	CLEAN_MAX		= 256 * MIB,	/* clean marker: read whole */

	/* Record batches */
	BATCH_MAX		= 100 * MIB,	/* no batch beats its frame */
	RECORDS_PER_BATCH_MAX	= 10 * 1000 * 1000, /* count field sanity */
	INFLATE_MAX		= 64 * MIB,	/* decompressed batch */
	INFLATE_RATIO_MAX	= 1000,		/* and per compressed byte */
	INFLATE_FREE		= 2 * MIB,	/* ... plus this: "aaa..." */
	ZSTD_WINDOW_LOG_MAX	= 23,		/* 8 MiB of window */

	/* Engine protocol */
	IPC_FRAME_MAX		= 128 * MIB,	/* one message */
	IPC_INLINE_MAX		= 4 * KIB,	/* payload that rides inline */
	IPC_FDS_MAX		= 32,		/* fds on one message */
	IPC_CREDIT		= 4096,		/* appends a link may owe */
	IPC_LINKS_MAX		= 256,		/* gateways and tools */
	IPC_HANDLES_MAX		= 1024,		/* segment fds a link holds */
	IPC_HANDLES_MIN		= 32,		/* and what it can at least */
	SESSIONS_MAX		= 1000000,	/* connections of one link */
	REGION_MIN		= 8 * MIB,	/* a gateway's shared region */
	REGION_MAX		= 1024 * MIB,

	/* Gateway */
	CONN_INFLIGHT_MAX	= 1024,		/* requests owed to one peer */
	CONN_POLLS_MAX		= 4,		/* of them, fetches */
	CONNS_FRESH_MAX		= 1024,		/* that have said nothing yet */
	CONN_OWED_MAX		= 16 * MIB,	/* bytes owed to one peer */
	GATEWAYS_MAX		= 64,		/* processes on one port */
	CONN_GENERIC_MAX	= 16,		/* of them, answers in memory */
	GW_HEAP_MAX		= 512 * MIB,	/* frames and answers held */
	LINK_OUT_MAX		= 8 * MIB,	/* unsent to the engine: wait */
	FETCH_OLD_MAX		= 1 * MIB,	/* converted for old clients */
	FETCH_COPY_MAX		= 16 * KIB,	/* less is read, not sent */

	/* Groups */
	GROUPS_MAX		= 100000,	/* whole engine: memory */
	MEMBERS_MAX		= 10000,	/* of one group, and pending */
	PROTOCOLS_MAX		= 100,		/* that one member offers */
	GROUP_BYTES_MAX		= 8 * MIB,	/* what members of one bring */
	GROUPS_BYTES_MAX	= 256 * MIB,	/* and of all groups */
	GROUP_ANSWER_MAX	= 64 * MIB,	/* members, offsets told */
	OFFSETS_MAX		= 1000000,	/* of one group */
	GROUP_CONFIGS_MAX	= 100000,	/* groups with own configs */
	OFFSETS_BYTES_MAX	= 512 * MIB,	/* and of all groups: memory */
	GROUP_NAME_MAX		= 8 * KIB,	/* with a member's id: a key */
	MEMBER_ID_MAX		= 1 * KIB,	/* one that a client makes */
	PATTERN_MAX		= 4 * KIB,	/* bytes of a topic pattern */
	PATTERNS_MAX		= 64,		/* of one group: each is run */

	/* Users */
	USERS_MAX		= 100000,	/* whole engine: memory */
	USER_NAME_MAX		= 255,		/* bytes */
	AUTH_WAIT_MAX		= 20000,	/* passwords to be checked */
	AUTH_BYTES_MAX		= 4 * KIB,	/* a name and a password */
	QUOTAS_MAX		= 100000,	/* entities that have some */
	METERS_MAX		= 100000,	/* clients that are measured */
	AUTH_TOKEN_MAX		= 512,		/* name, times, MAC */

	/* Log */
	IDX_INTERVAL		= 4 * KIB,	/* log bytes per index entry */
	IDX_INTERVAL_MAX	= 1 * MIB,	/* read to find an offset */
	IDX_PENDING_MAX		= 170,		/* entries held in memory */
	PRODUCER_BATCHES	= 5,		/* dedupe window, as Kafka's */
	PRODUCERS_MAX		= 100000,	/* producers of a partition */
	PRODUCERS_TOLD_MAX	= 1000000,	/* of one DescribeProducers */
	PID_BLOCK		= 1000,		/* ids reserved at once */
	FILES_MAX		= 1000000,	/* open files of segments */
	FILES_KEEP		= 1024,		/* fds for all else, at most */
	JOURNAL_BYTES_MAX	= 256 * MIB,	/* of all its files */
	JOURNAL_PIECE_MAX	= 32 * KIB,	/* more is synced where it is */
	COMMIT_IOV_MAX		= 1024,		/* iovecs of one pwritev */
	COMMIT_ROUND_MAX	= 64 * MIB,	/* bytes of one write round */
	FETCH_PARKED_MAX	= 100000,	/* long polls, whole engine */
	FETCH_PARKED_BYTES_MAX	= 256 * MIB,	/* that they hold */
	FETCH_SESSION_PARTS_MAX	= 200000,	/* partitions of a session */
	FETCH_SESSIONS_BYTES_MAX = 256 * MIB,	/* of all fetch sessions */
	EPOCHS_MAX		= 10000,	/* leader epochs of a partition
						 * that are remembered */
	FETCH_SEGS_MAX		= 512,	/* segments of one answer: below
						 * IPC_HANDLES_MAX */
	COMPACT_BUF		= 1 * MIB,	/* read, and written, at once */
	COMPACT_SLICE		= 1 * MIB,	/* and then others' turn */
	COMPACT_SYNC		= 8 * MIB,	/* written without a sync */
	COMPACT_GROUP_MAX	= 64,	/* segments that become one */
	COMPACT_TXNS_MAX	= 1000000,	/* aborted ones of a log */

	/* Search */
	QUERY_BYTES_MAX		= 8 * KIB,	/* of one query */
	QUERY_NODES_MAX		= 1000,		/* its parts */
	QUERY_DEPTH_MAX		= 50,		/* its nesting: the stack */
	QUERY_PREFIX_MIN	= 2,		/* bytes before a * */
	QUERY_EXPAND_MAX	= 20000,	/* words a * stands for; then
						 * all records are read */
	DOC_VALUE_MAX		= 1 * MIB,	/* searched of a value */
	DOC_KEY_MAX		= 32 * KIB,	/* ... of a key, a header */
	DOC_HEADERS_MAX		= 256,		/* searched of a record */
	DOC_TEXTS_MAX		= 10000,	/* ... scalars of its JSON */
	DOC_DEPTH_MAX		= 64,		/* ... and their nesting */
	DOC_PATH_MAX		= 200,		/* bytes of a member's path */
	DOC_MEMORY_MAX		= 256 * MIB,	/* of one record taken apart */
	SHARD_DOCS_MAX		= 65536,	/* sealed then: short walks */
	INDEX_COMMIT_DOCS	= 5000,		/* in one transaction: memory */
	INDEX_COMMIT_BYTES	= 16 * MIB,	/* ... and of their records */
	SEARCH_HITS_MAX		= 100000,	/* shown of one query: memory */
	SEARCH_FACETS_MAX	= 10000,	/* values counted of a facet */

	META_REWRITE_MIN	= 1 * MIB,	/* dead bytes to rewrite at */
	SPACE_RESERVE		= 4 * MIB,	/* for the catalogue, on a full
						 * disk; grows with it */
};

#endif
