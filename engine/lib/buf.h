/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sticky cursors: check once at the end, not per field.  All numbers are
 * big-endian, as everything on Kafka's wire.
 */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Reading: a view of somebody else's bytes. */
struct rd {
	const uint8_t	*p, *end;
	bool		 bad;	/* a read went past the end; stays set */
};

/* p may be NULL when n is 0. */
static inline struct rd
rd_of(const void *p, size_t n)
{
	return (struct rd){ p, n == 0 ? p : (const uint8_t *)p + n, false };
}

static inline size_t
rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* The next n bytes, or NULL and bad. */
static inline const uint8_t *
rd_take(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (__builtin_expect(r->bad || n > rd_left(r), 0)) {
		r->bad = true;
		return NULL;
	}
	if (n > 0)
		r->p += n;
	return p;
}
int8_t		 rd_i8(struct rd *);
int16_t		 rd_i16(struct rd *);
uint16_t	 rd_u16(struct rd *);
int32_t		 rd_i32(struct rd *);
uint32_t	 rd_u32(struct rd *);
int64_t		 rd_i64(struct rd *);
double		 rd_f64(struct rd *);
/* Unsigned varint of at most 5 bytes, as in flexible messages. */
uint32_t	 rd_uvarint(struct rd *);
/* Zigzag varints, as in record batches: at most 5 and 10 bytes. */
int32_t		 rd_varint(struct rd *);
int64_t		 rd_varlong(struct rd *);
/* True when nothing failed and nothing is left. */
bool		 rd_done(const struct rd *) MUST;

/*
 * Writing: into a fixed buffer, or into one that grows by malloc up to max.
 * After a failure bad stays set and nothing more is written.
 */
struct wr {
	uint8_t	*p;
	size_t	 len, cap;
	size_t	 max;	/* 0: fixed buffer, not ours */
	bool	 bad;
	/* Bytes that go out another way are holes: where each is.  The caller
	 * gives an array of hole_max places, or none. */
	int	 nhole, hole_max;
	size_t	*hole;
};

struct wr	 wr_fixed(void *p, size_t cap);
struct wr	 wr_grow(size_t max);
/* Frees a growing buffer; harmless on a fixed one. */
void		 wr_free(struct wr *);
/* Makes a buffer of ours larger; the slow half of wr_room. */
bool		 wr_more(struct wr *, size_t n);
/* Room for n bytes, counted as written; NULL and bad when there is none. */
static inline uint8_t *
wr_room(struct wr *w, size_t n)
{
	if (__builtin_expect(w->bad || n > w->cap - w->len || w->p == NULL, 0)
	    && !wr_more(w, n))
		return NULL;
	w->len += n;
	return w->p + w->len - n;
}
void		 wr_bytes(struct wr *, const void *, size_t n);
/* Leaves a hole here; false when nobody asked for holes, or for fewer. */
bool		 wr_hole(struct wr *) MUST;
void		 wr_i8(struct wr *, int8_t);
void		 wr_i16(struct wr *, int16_t);
void		 wr_i32(struct wr *, int32_t);
void		 wr_i64(struct wr *, int64_t);
void		 wr_f64(struct wr *, double);
void		 wr_uvarint(struct wr *, uint32_t);
void		 wr_varint(struct wr *, int32_t);
void		 wr_varlong(struct wr *, int64_t);

/* Big-endian access to bytes at a known place. */
static inline uint16_t
be16(const void *v)
{
	const uint8_t *p = v;

	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t
be32(const void *v)
{
	uint32_t x;

	__builtin_memcpy(&x, v, 4);
	return __builtin_bswap32(x);
}
static inline uint64_t
be64(const void *v)
{
	uint64_t x;

	__builtin_memcpy(&x, v, 8);
	return __builtin_bswap64(x);
}
static inline void
be16_put(void *v, uint16_t x)
{
	x = __builtin_bswap16(x);
	__builtin_memcpy(v, &x, 2);
}
static inline void
be32_put(void *v, uint32_t x)
{
	x = __builtin_bswap32(x);
	__builtin_memcpy(v, &x, 4);
}
static inline void
be64_put(void *v, uint64_t x)
{
	x = __builtin_bswap64(x);
	__builtin_memcpy(v, &x, 8);
}

#endif
