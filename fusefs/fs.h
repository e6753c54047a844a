/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-fs: private structs.  One loop owns all of them; workers get what
 * they need and post a completion.
 *
 * Every call of the kernel is an op.  Its run function tries from the start
 * each time that something it waits for has come, and ends in exactly one
 * reply.  Functions that may have to wait return an errno, 0, or WAIT, and
 * have put the op on a list of waiters then.
 */
#ifndef FS_H
#define FS_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <uv.h>

#include "lib/client.h"
#include "lib/hash.h"
#include "lib/kafka.h"
#include "lib/render.h"

enum { WAIT = -1 };
enum { FOLLOW_END = -1, FOLLOW_AGE = -2 };	/* a of a follow: no offset */

enum fs_limits {
	BLOCK_TEXT	= 256 * KIB,	/* rendered at once, at least */
	BLOCKS_BYTES_MAX = 64 * MIB,	/* rendered text that is kept */
	MEASURE_BYTES	= 8 * MIB,	/* of a log in one job */
	SEGS_OPEN_MAX	= 256,		/* fds of segments in use */
	PARTS_KEPT_MAX	= 4096,		/* that nobody looks at any more */
	ERRORS_MAX	= 1000,		/* lines of errors.log */
	DAYS_LISTED_MAX	= 3660,		/* of by-time */
	NAME_BYTES_MAX	= 255,		/* of one path component */
	LINK_BYTES_MAX	= 511,		/* of what a link leads to */
	DOC_BYTES_MAX	= 256 * MIB,	/* of one document */
	CONFIG_VALUE_MAX = 64 * KIB,	/* written to a config's file */
	COPIES_MAX	= 1024,		/* of segments' text; an fd each */
	CACHE_BYTES_MAX	= 64 * MIB,	/* of sizes of sealed segments */
	CACHE_DAYS_MAX	= 30,		/* since they were used */
	CACHE_SAVES_MAX	= 1000,		/* until it is swept again */
	SWEPT_MAX	= 65536,	/* files; a block of disk each */
	TRIM_FREED	= 4096,		/* nodes and names; half a MiB */
	OPS_MAX		= 65536,	/* that wait */
	READ_MAX	= 1 * MIB,	/* more the kernel does not ask for */
};

enum node_class { NODE_DIR, NODE_DOC, NODE_SLICE, NODE_RAW, NODE_LINK,
	NODE_STREAM, NODE_SINK, NODE_FOUND };

enum kind {
#define KIND(name, ...)	KIND_##name,
#include "tree.def"
	KIND_MAX
};

struct fs;
struct op;
struct node;
struct part;
TAILQ_HEAD(ops, op);

/* ---- what the engine has ------------------------------------------------ */

/* A topic as the newest list of topics has it.  refs: nodes and parts that
 * know it; it is freed when there are none and it is not in the list. */
struct topic {
	TAILQ_ENTRY(topic) next;
	struct hash_node by_id, by_name;
	struct uuid	 id;
	char		*name;
	int32_t		 nparts;
	bool		 listed;
	int		 refs;
	uint64_t	 seen;		/* number of the list that had it */
};
TAILQ_HEAD(topics, topic);

/* The text of a run of batches: [text, the next one's text). */
struct block {
	int64_t	off, pos, text;
};

/*
 * A segment, and its text as far as it has been measured.  Invariants: blocks
 * rise; m_pos <= bytes; a segment that is gone (deleted, or replaced by
 * compaction) keeps its sizes for those who had it open.
 */
struct tseg {
	TAILQ_ENTRY(tseg) next;
	TAILQ_ENTRY(tseg) lru;		/* while h is set */
	struct part	*part;
	int64_t		 base, end, bytes, max_ts, written_ms;
	int64_t		 first_ts;	/* of the first batch; -1: not known */
	bool		 sealed, gone, replaces;
	int64_t		 id;		/* as the engine of a link names it */
	uint64_t	 link;		/* fs.links */
	uint64_t	 born, died;	/* fs.seq */
	uint32_t	 born_gen;	/* rewrites of its partition then */
	int64_t		 m_off, m_pos, m_text;
	struct block	*blocks;
	int		 nblocks, cap;
	bool		 measuring;
	bool		 kept;		/* in the cache directory, or tried */
	bool		 believed;	/* what was there */
	enum err	 err;		/* of measuring; final */
	struct copy	*copy;		/* of its text, or NULL */
	struct ehandle	*h;
	enum err	 open_err;	/* of asking for it, at open_seq */
	uint64_t	 open_seq;
	struct ops	 waiters;	/* for the handle, for text */
	struct ecall	 call;		/* fetch, for the handle */
	struct arena	 memory;
};
TAILQ_HEAD(tsegs, tseg);

struct part {
	struct hash_node by_id;
	TAILQ_ENTRY(part) idle;		/* while refs is 0 */
	struct fs	*fs;
	struct topic	*topic;
	int32_t		 index;
	int		 refs;		/* nodes and jobs */
	bool		 is_idle;
	enum err	 err;		/* of the newest answer */
	int32_t		 epoch;
	int64_t		 start, hw, lso;
	struct tsegs	 segs;
	uint32_t	 rewrites;	/* times that its past has changed */
	uint64_t	 sent;		/* fs.seq when the newest was asked */
	int64_t		 told_ms;
	struct part_segs_req req;
	struct ecall	 call;
	uint64_t	 call_seq;
	struct ops	 waiters;
};
TAILQ_HEAD(parts, part);

/* ---- what the kernel sees ----------------------------------------------- */

struct node_key {
	enum kind	 kind;
	int32_t		 part;		/* -1 none */
	struct topic	*topic;		/* NULL none */
	int64_t		 a, b;		/* offsets, times; by kind */
	uint32_t	 gen;
	const char	*name;		/* NULL none */
};

/* Text that was made at one time. */
struct doc {
	char	*text;
	size_t	 len;
	int64_t	 changed_ms, made_ms;
	uint64_t made;			/* fs.seq when it was asked for */
	enum err err;
	bool	 busy;
	struct ops waiters;
	struct ecall call;
	uint64_t call_seq;
	struct arena memory;		/* of the request */
	int	 stage;			/* of those that need several */
	void	*state;
};

/* Records [from, to) as text; to INT64_MAX: it grows. */
struct slice {
	int64_t	 from, to;
	int64_t	 only;			/* of the segment with this base; -1 */
	uint64_t born;			/* fs.seq */
	int64_t	 from_text, to_text;	/* in their segments; -1 not known */
	bool	 busy;			/* is being located */
	enum err err;
	struct ops waiters;
};

struct attr_known { int64_t size, stored, ms; };

struct node {
	struct hash_node by_key;
	struct fs	*fs;
	struct node_key	 key;		/* name is ours */
	uint64_t	 ino;		/* st_ino */
	uint64_t	 nlookup;
	int		 refs;		/* ops, open files, jobs */
	struct part	*part;		/* a reference, or NULL */
	struct doc	 doc;
	struct slice	 slice;
	/* Of a segment's file: how many have it open, and how. */
	int		 opens;
	int32_t		 backing;	/* they are passed through; 0: not */
	struct copy	*copy;		/* a reference while it is open */
	bool		 paged;		/* the kernel may have pages of it */
	struct attr_known known;	/* as told last; size -1: not yet */
	bool		 growing;	/* is about to be told to be longer */
	uint64_t	 grow_seq;	/* when that was asked for; 0 never */
	struct ops	 grow_waiters;
};

/* What an open directory holds. */
struct listing {
	int	 n, cap;
	struct listed { struct node_key key; char *name; } *v;
};

struct op {
	TAILQ_ENTRY(op)	 next;		/* of fs.ops */
	TAILQ_ENTRY(op)	 wait;
	struct ops	*waiting;	/* NULL: on no list */
	struct fs	*fs;
	fuse_req_t	 req;
	struct node	*node, *child;	/* references */
	void		(*run)(struct op *);
	void		(*gone)(struct op *);	/* NULL, or: at its end */
	/* NULL, or: its time is over.  False: there is no other answer. */
	bool		(*late)(struct op *);
	bool		 interrupted;
	bool		 seeking;	/* it does not wait for the engine */
	uint64_t	 seq;		/* when it began */
	int64_t		 deadline_ms;	/* 0 none */
	struct fuse_file_info fi;
	char		 name[NAME_BYTES_MAX + 1];
	off_t		 off;
	size_t		 size, got;
	size_t		 stage_bytes;	/* of size: from before this write */
	size_t		 acked;		/* of got */
	char		*buf;
	void		*state;
	/* A call of its own, see op_call. */
	struct ecall	 call;
	struct arena	 arena;
	int		 stage;
	bool		 called;
	enum err	 err;
	void		*res;
};

/* ---- everything --------------------------------------------------------- */

struct fs_conf {
	const char	*engine, *mountpoint;
	const char	*cache;		/* directory; NULL: none */
	int64_t		 copies_max;	/* bytes; 0: none */
	const char	*search;	/* the program */
	bool		 foreground, debug;
	bool		 writable, admin, hard;
	bool		 xattr;
	bool		 allow_other, auto_unmount, no_passthrough;
	int		 timeout_ms;
	struct render	 render;
	char		*kernel_options;	/* for the mount */
};

struct fs_stats {
	uint64_t calls, errors, timeouts, text_bytes, raw_bytes, blocks_made,
	    blocks_hit, measured_bytes, followers, passed, seeks;
};

struct blk;
TAILQ_HEAD(blks, blk);
struct copy;
TAILQ_HEAD(copies, copy);
struct follow;
TAILQ_HEAD(follows, follow);
struct sink;
TAILQ_HEAD(sinks, sink);
struct answer;
TAILQ_HEAD(answers, answer);

struct fs {
	struct fs_conf	 conf;
	uv_loop_t	 loop;
	struct fuse_session *se;
	struct fuse_buf	 fuse_buf;
	char		*scratch;	/* READ_MAX bytes */
	/* What the kernel said at first; and, later, that it will not. */
	enum { PASS_UNKNOWN, PASS_NONE, PASS_OFFERED, PASS_ON } pass;
	bool		 refused;
	uv_poll_t	 fuse_poll;
	struct elink	*link;
	struct wire	*wire;		/* polls the link's socket */
	uv_timer_t	 link_timer, op_timer, stop_timer, trim_timer;
	uint64_t	 freed, freed_then;	/* nodes and names, untrimmed */
	uv_prepare_t	 prepare;
	uv_signal_t	 sig[3];
	bool		 greeted, parallel;	/* see pass.c */
	bool		 stopping, drained, unmounted, interrupts;
	uint64_t	 seq;
	uint64_t	 links;		/* to the engine, or another one */
	int64_t		 began_ms;	/* wall clock */
	int64_t		 fail_until_ms;	/* the engine did not answer */
	enum err	 link_err;
	uid_t		 uid;
	gid_t		 gid;

	struct ops	 ops;		/* with a deadline, oldest first */
	int		 nops;
	int		 nwrites;	/* of ops: waiting for an append */
	struct hash	 nodes;
	struct node	*root;
	struct topics	 topics;	/* as listed */
	struct hash	 topic_names;	/* of these */
	struct hash	 topic_ids;
	int		 ntopics;
	uint64_t	 topics_sent, topics_list;
	int64_t		 topics_ms;
	struct ecall	 topics_call;
	uint64_t	 topics_seq;
	struct ops	 topics_waiters;
	struct hash	 parts;
	struct parts	 idle_parts;
	int		 nidle;
	struct tsegs	 open_segs;
	int		 nopen_segs;
	int		 saves;		/* to the cache directory, unswept */
	struct blks	 blks;		/* used last at the end */
	struct hash	 blk_table;
	size_t		 blk_bytes;
	struct ops	 blk_waiters;
	struct copies	 copies;	/* of text, opened last at the end */
	int		 ncopies;
	int64_t		 copy_bytes;	/* also of those that are only open */
	/* What they may take; and when the disk was asked, 0: not yet. */
	int64_t		 copy_room, copy_room_ms;
	int64_t		 copies_off_ms;	/* none begins until then */
	TAILQ_HEAD(, grow) grows;	/* the first one is with a worker */
	struct follows	 follows;	/* open files */
	struct sinks	 sinks;
	uv_timer_t	 sinks_timer;
	struct answers	 answers;
	uv_timer_t	 answers_timer;
	size_t		 answers_bytes;	/* also of those that are only open */
	int		 nanswers, nseeks;
	char		*errors[ERRORS_MAX];
	int		 errors_at;
	struct fs_stats	 stats;
};

/* op.c */
struct op *op_new(struct fs *, fuse_req_t, fuse_ino_t,
	    void (*run)(struct op *));
void	 op_start(struct op *);
/* Ends it: with one of these, once. */
void	 op_err(struct op *, int eno);
void	 op_end(struct op *);		/* the reply has been given */
/* Waits on a list; returns WAIT. */
int	 op_wait(struct op *, struct ops *);
/* It is waiting for something else: may be interrupted; its time begins
 * again. */
void	 op_interruptible(struct op *);
void	 op_progress(struct op *);
/* Runs all that wait there again. */
void	 ops_wake(struct ops *);
/* Asks the engine, and runs the op again with err and res when it has
 * answered; what is wanted lives in the op's arena. */
int	 op_call(struct op *, int type, int version, const void *req);
/* The errno of an engine's error, noted in errors.log. */
int	 op_errno(struct op *, enum err, const char *what);
void	 ops_expire(struct fs *);
void	 ops_interrupt(struct fs *);
/* Writes, or not: what they append should be told. */
void	 ops_end_all(struct fs *, int eno, bool writes);
/* The engine has answered something. */
void	 fs_heard(struct fs *);
/* EHOSTUNREACH while it is known not to answer, else 0. */
int	 fs_engine_errno(const struct fs *);
void	 fs_error(struct fs *, const char *what, int eno, enum err);

/* node.c */
extern const struct kind_row {
	const char	*name;
	enum node_class	 class;
	mode_t		 mode;
	int		 keep_ms;
} kinds[KIND_MAX];
enum err nodes_open(struct fs *) MUST;
struct node *node_of(struct fs *, fuse_ino_t);
/* The node of a key, made if need be, with a reference.  NULL: no memory. */
struct node *node_get(struct fs *, const struct node_key *);
struct node *node_ref(struct node *);
void	 node_put(struct node *);
void	 node_forget(struct node *, uint64_t n);
uint64_t key_ino(const struct fs *, const struct node_key *);
void	 listing_free(struct fs *, struct listing *);
/* E_NOMEM.  The names are copied. */
enum err listing_add(struct listing *, const struct node_key *,
	    const char *name) MUST;

/* tree.c */
int	 tree_lookup(struct op *, struct node *dir, const char *name,
	    struct node_key *);
int	 tree_list(struct op *, struct node *dir, struct listing *);
int	 tree_link(struct op *, struct node *, char *buf, size_t);

/* by_time.c */
int	 by_time_list(struct op *, struct node *dir, struct listing *);
int	 by_time_lookup(struct op *, struct node *dir, const char *name,
	    struct node_key *);
int	 day_lookup(struct op *, struct node *dir, const char *name,
	    struct node_key *);
int	 day_list(struct node *dir, struct listing *);

/* search.c */
/* What is in search/, in a query, in its hits, and in by-key. */
int	 search_lookup(struct op *, struct node *dir, const char *name,
	    struct node_key *);
int	 hits_list(struct op *, struct node *dir, struct listing *);
int	 found_attr(struct fs *, struct node *);
void	 found_open(fuse_req_t, struct node *, struct fuse_file_info *);
void	 found_read(fuse_req_t, struct node *, size_t, off_t,
	    struct fuse_file_info *);
void	 found_release(struct fuse_file_info *);

/* doc_group.c */
int	 groups_list(struct op *, struct listing *);
int	 group_lookup(struct op *, const char *name, struct node_key *);

/* attr.c */
int	 attr_get(struct op *, struct node *, struct stat *, double *timeout);
/* What was told last of a file of records, when it cannot be asked for. */
bool	 attr_known(struct node *, struct stat *);
bool	 attr_of_dir(struct fs *, const struct node_key *, struct stat *);

/* grow.c */
/* What is known of a file's size now may be told: then it is in known.  What
 * it ends with is read from h, NULL for text. */
int	 grow_to(struct op *, struct node *, const struct attr_known *,
	    struct ehandle *h);
/* What the kernel keeps of a file that it reads by itself from now on. */
void	 pages_drop(struct node *);

/* topics.c */
int	 topics_fresh(struct op *, int max_age_ms);
struct topic *topic_find(struct fs *, const char *name);
/* An answer about a topic's name is of this topic, not of a later one. */
bool	 topic_is(const struct topic *, const struct topic_stats_res *);
struct topic *topic_ref(struct topic *);
void	 topic_put(struct fs *, struct topic *);

/* part.c */
struct part *part_get(struct fs *, struct topic *, int32_t index);
void	 part_put(struct part *);
/* Those that nobody looks at are forgotten. */
void	 parts_drop(struct fs *);
/* As the engine tells it now, or has told at most so many ms ago. */
int	 part_fresh(struct op *, struct part *, int max_age_ms);
struct tseg *part_seg(struct part *, int64_t base);
/* The one that the node is of, and no other that has taken its place. */
struct tseg *node_seg(const struct node *);
/* Has its fd in h. */
int	 tseg_open(struct op *, struct tseg *);
void	 tseg_touch(struct tseg *);
/* It is not what we took it for: for all who know it, it is gone; one that is
 * not measured yet takes its place. */
void	 tseg_distrust(struct tseg *);

/* text.c */
/* All text of the segment that readers may see is measured. */
int	 tseg_measured(struct op *, struct tseg *);
/* Copies text of a segment from a place on: how many bytes there were. */
int	 tseg_text(struct op *, struct tseg *, int64_t at, char *to, size_t n,
	    size_t *got);
/* The place of the first record from offset on, into *out. */
int	 tseg_locate(struct op *, struct slice *, struct tseg *, int64_t offset,
	    int64_t *out);
void	 tseg_drop_text(struct tseg *);
/* Of all segments. */
void	 text_drop(struct fs *);
/* Keeps what was measured of one that is sealed, for other mounts. */
void	 tseg_keep(struct tseg *);
/* Brings the directory of what is kept within its bounds. */
void	 cache_bound(struct fs *);

/* open.c */
/* Files of one segment. */
bool	 is_seg_file(const struct node *);
void	 seg_open(fuse_req_t, fuse_ino_t, const struct fuse_file_info *);
void	 seg_release(struct node *);

/* raw.c */
void	 raw_read(struct op *);

/* slice.c */
int	 slice_size(struct op *, struct node *, int64_t *size, int64_t *ms);
int	 slice_read(struct op *, struct node *);

/* doc.c */
int	 doc_fresh(struct op *, struct node *);
void	 doc_free(struct doc *);

/* follow.c */
void	 follow_open(struct op *);
void	 follow_read(struct op *);
void	 follow_release(struct node *, struct fuse_file_info *);

/* Files of which each write is one value or command: whether it is one that
 * may be written, and the write. */
bool	 takes_words(const struct fs *, enum kind);
void	 admin_write(struct op *);		/* admin.c */
void	 control_write(struct op *);		/* control.c */
/* offsets.c */
int	 offsets_list(struct op *, struct node *dir, struct listing *);
int	 offset_files_list(struct node *dir, struct listing *);
void	 offset_write(struct op *);

/* xattr.c */
void	 xattr_get(fuse_req_t, fuse_ino_t, const char *name, size_t);
void	 xattr_list(fuse_req_t, fuse_ino_t, size_t);

/* produce.c */
void	 produce_open(struct op *);
/* fi.fh, buf and size are set; the buffer is the op's. */
void	 produce_write(struct op *);
void	 produce_flush(struct op *);
void	 produce_release(struct fs *, struct fuse_file_info *);

/* ops.c */
extern const struct fuse_lowlevel_ops fs_ops;

#endif
