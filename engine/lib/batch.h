/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches: the only code that knows their layout (KIP-98 magic 2, and
 * the message sets of magic 0 and 1 that old clients speak).
 *
 *   OFFSET SIZE DESCRIPTION                         (magic 2, big-endian)
 *        0    8 base offset
 *        8    4 length: bytes after this field
 *       12    4 partition leader epoch
 *       16    1 magic
 *       17    4 CRC-32C of everything from 21 on
 *       21    2 attributes: 0-2 codec, 3 timestamp type (1: log append),
 *               4 transactional, 5 control, 6 delete horizon
 *       23    4 last offset delta
 *       27    8 base timestamp, ms
 *       35    8 greatest timestamp, ms
 *       43    8 producer id, -1 none
 *       51    2 producer epoch
 *       53    4 base sequence, -1 none
 *       57    4 number of records
 *       61      records, compressed as a whole
 */
#ifndef BATCH_H
#define BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "codec.h"
#include "err.h"

enum {
	BATCH_HEADER	= 61,	/* bytes */
	BATCH_LOG_OVERHEAD = 12, /* base offset and length: before "length" */
	BATCH_CRC_FROM	= 21,

	BATCH_CODEC	= 0x07,	/* attribute bits */
	BATCH_LOG_TIME	= 0x08,
	BATCH_TXN	= 0x10,
	BATCH_CONTROL	= 0x20,
	BATCH_HORIZON	= 0x40,
};

struct batch {
	int64_t		 base_offset;
	int64_t		 base_ts, max_ts;	/* ms */
	int64_t		 pid;
	int32_t		 length;	/* as on the wire, without the 12 */
	int32_t		 leader_epoch;
	int32_t		 last_delta;
	int32_t		 base_seq;
	int32_t		 count;
	uint32_t	 crc;
	uint16_t	 attrs;
	int16_t		 epoch;		/* the producer's */
	int8_t		 magic;
};

static inline int64_t
batch_size(const struct batch *b)	/* whole, in bytes */
{
	return (int64_t)b->length + BATCH_LOG_OVERHEAD;
}
static inline int64_t
batch_last_offset(const struct batch *b)
{
	/* Wraps instead of overflowing: the base is not under the CRC. */
	return (int64_t)((uint64_t)b->base_offset +
	    (uint64_t)(int64_t)b->last_delta);
}

/* Decodes a header.  p holds at least BATCH_HEADER bytes.  E_CORRUPT when
 * magic is not 2 or the length cannot hold a header or exceeds BATCH_MAX. */
enum err	 batch_read(const uint8_t p[BATCH_HEADER], struct batch *) MUST;
/* Encodes a header, all 61 bytes, crc as given. */
void		 batch_write(uint8_t p[BATCH_HEADER], const struct batch *);
/* Overwrites the two fields a broker assigns; neither is under the CRC. */
void		 batch_assign(uint8_t p[BATCH_HEADER], int64_t base_offset,
		    int32_t leader_epoch);
/* Turns a batch into one of log append time: sets the attribute bit and the
 * greatest timestamp, and renews the CRC of the whole batch (n bytes). */
void		 batch_set_log_time(uint8_t *p, size_t n, int64_t now_ms);
/* True when the CRC over n bytes of a whole batch is right. */
bool		 batch_crc_ok(const uint8_t *p, size_t n) MUST;

/* One record, borrowed from the (decompressed) records bytes. */
struct record {
	int64_t		 offset;	/* absolute */
	int64_t		 ts;		/* absolute, ms */
	const uint8_t	*key, *value;
	int32_t		 key_len, value_len;	/* -1: null */
	int32_t		 nheaders;
	struct rd	 headers;	/* see header_next */
};
struct header {
	const uint8_t	*key, *value;
	int32_t		 key_len, value_len;	/* value -1: null */
};

/* Iterates the records of one whole batch of any codec, in order. */
struct batch_iter {
	struct batch	 b;
	struct rd	 r;
	struct wr	 plain;		/* decompressed records, ours */
	int32_t		 seen;
	int32_t		 delta;		/* of the record before, or -1 */
};
/* p: a whole batch of n bytes; its CRC is not looked at.  cap: most bytes
 * decompressed.  Offset deltas must rise but may have gaps, as compaction
 * leaves them.  Close it also after a failure. */
enum err	 batch_iter_open(struct batch_iter *, const uint8_t *, size_t n,
		    size_t cap) MUST;
/* E_OK with a record, E_EOF after the last, E_INVALID_RECORD on nonsense,
 * also when bytes are left after the last record. */
enum err	 batch_iter_next(struct batch_iter *, struct record *) MUST;
void		 batch_iter_close(struct batch_iter *);
/* The next header of a record: E_EOF after the last. */
enum err	 header_next(struct record *, struct header *) MUST;

/* What a produced batch says of itself, for the engine's own checks. */
struct batch_facts {
	int64_t	min_ts, max_ts;		/* of the records; -1 none.  Not deep:
					   the header's base and greatest */
	int32_t	null_key;		/* index of the first null key, or -1 */
	int32_t	bad_index;		/* record that is wrong, or -1 */
	int64_t	plain;			/* bytes of the records decompressed,
					   -1 when not known */
	bool	fixed;			/* greatest timestamp was corrected */
};
#define BATCH_FACTS_NONE ((struct batch_facts){ -1, -1, -1, -1, -1, false })
/*
 * Validates a produced batch as Kafka does (protocol.md 3.2): exactly one
 * batch of magic 2 fills n bytes; base offset 0; CRC; no control bit; count;
 * producer fields; codec; and when deep, each record: offset deltas 0..n-1,
 * lengths, nothing after the last.  A wrong greatest timestamp is corrected in
 * place (with the CRC).  A record without a timestamp has -1, and counts for
 * neither the smallest nor the greatest.  A null key is a fact, not an error:
 * only the topic's owner knows whether it may be.
 * E_CORRUPT, E_INVALID_RECORD, E_UNSUPPORTED_COMPRESSION (zstd when !zstd_ok),
 * E_UNKNOWN (codec 5-7), E_INVALID_TIMESTAMP (client set the log-time bit),
 * E_TOO_LARGE (inflates past the limit), E_NOMEM.  *why: a constant sentence,
 * or NULL with E_OK.
 */
enum err	 batch_check(uint8_t *p, size_t n, bool deep, bool zstd_ok,
		    struct batch_facts *, const char **why) MUST;

/*
 * The same batch with its records in another codec, appended to out: all that
 * the header says stays but codec, length and CRC, and the records too once
 * they are decompressed.  p: a batch that batch_check has passed.  Level: as
 * for codec_deflate.  E_TOO_LARGE, E_NOMEM; E_CORRUPT when the records do not
 * decompress (nobody had looked at them).
 */
enum err	 batch_recode(const uint8_t *p, size_t n, enum codec,
		    int32_t level, struct wr *out) MUST;

/*
 * Compaction (protocol.md 3.10): a batch without the records that keep() does
 * not want, appended to out.  Offsets, producer fields and codec stay, the
 * greatest timestamp is that of what is left.
 */
struct batch_sieve {
	bool	(*keep)(const struct record *, void *arg);
	void	*arg;
	int64_t	 horizon;	/* ms, -1 none: until when readers shall find
				 * tombstones; goes into a batch that keeps
				 * some and says nothing of it yet */
	bool	 marker;	/* ... and into one without any */
	bool	 header;	/* when nothing is left the header is */
	int32_t	 level;		/* of the codec, as for codec_deflate */
};
/* SAME: nothing changes, and out is as it was. */
enum batch_fate { BATCH_SAME, BATCH_LESS, BATCH_GONE };
/* p: a whole batch whose CRC is right.  after: its header then.  Errors of
 * batch_iter and codec_deflate; out is as it was. */
enum err	 batch_sieve(const uint8_t *p, size_t n,
		    const struct batch_sieve *, struct wr *out,
		    struct batch *after, enum batch_fate *) MUST;
/* The greatest timestamp that a record of it has; -1: it has no records for
 * readers. */
static inline int64_t
batch_records_ts(const struct batch *b)
{
	return b->count <= 0 || (b->attrs & BATCH_CONTROL) ? -1 : b->max_ts;
}

/*
 * Message formats 0 and 1 (Produce v0-2, Fetch v0-3).
 * Up: one batch of magic 2 from a whole message set (wrappers opened, codec
 * kept from the first wrapper), appended to out; errors, facts and why as for
 * batch_check.  An empty set is E_INVALID_RECORD, a partial message at its end
 * E_CORRUPT.  Offsets are the producer's and are not kept.
 */
enum err	 batch_up_convert(const uint8_t *set, size_t n, bool zstd_ok,
		    struct wr *out, struct batch_facts *, const char **why)
		    MUST;
/*
 * Down: a message set of the magic asked for (0 or 1) from the whole batches
 * in p (a partial last one is left out), appended to out; keeps offsets,
 * compresses as the batch was (zstd cannot: E_UNSUPPORTED_COMPRESSION).
 * Control batches and headers are dropped.  from: first offset wanted; lower
 * records are dropped.  out may stay empty.  After a failure (E_CORRUPT also
 * for a wrong CRC, E_INVALID_RECORD, E_TOO_LARGE) out holds the messages of
 * the batches before the one that failed, which may be served.
 */
enum err	 batch_down_convert(const uint8_t *p, size_t n, int magic,
		    int64_t from, struct wr *out) MUST;

/* Builds a batch record by record: the catalogue, tools and tests.  It stays
 * bad once a record did not fit; batch_finish says so. */
struct batch_maker {
	struct batch	 b;
	struct wr	 recs;		/* uncompressed records */
};
void		 batch_make(struct batch_maker *, size_t max_bytes);
/* key/value may be NULL with length -1.  headers: nheaders of them. */
void		 batch_add(struct batch_maker *, int64_t ts, const void *key,
		    int32_t key_len, const void *value, int32_t value_len,
		    const struct header *headers, int32_t nheaders);
/* Appends the finished batch to out; frees the maker, also on failure.  b's
 * producer fields, base offset, leader epoch and attributes (but the codec) are
 * taken as the caller set them.  E_TOO_LARGE, E_NOMEM; E_INVALID_RECORD for a
 * batch without records. */
enum err	 batch_finish(struct batch_maker *, enum codec, int level,
		    struct wr *out) MUST;
void		 batch_make_free(struct batch_maker *);

#endif
