/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter of message rows (kafka.def, ipc.def): reads, writes and
 * prints any version of any message into plain C structs.
 *
 * Decoded strings, bytes and records are borrowed from the input; arrays and
 * nullable structs live in the arena.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"

enum {
	LAST	= 99,	/* until: the newest version */
	NEVER	= 100,	/* flexible from: not at all */
	/*
	 * The pseudo-version of the engine's socket: every field of every
	 * version is present, everything may be null, nothing is tagged.  It
	 * carries a struct whole, whatever version the client spoke.
	 */
	VER_ALL	= 98,
};

enum ktype {
	K_END, K_BOOL, K_I8, K_I16, K_U16, K_I32, K_U32, K_I64, K_F64, K_UUID,
	K_STR, K_BYTES, K_RECORDS,
	K_SUB,		/* struct in a struct */
	K_SUBP,		/* the same, nullable: a pointer */
	K_ARR,		/* array of structs */
	K_VEC,		/* array of elem: scalars, strings, uuids */
	K_NTYPES
};

struct uuid { uint8_t b[16]; };
struct kstr { int32_t len; const char *p; };	/* len -1: null */
struct kbytes { int32_t len; const uint8_t *p; };
struct karr { int32_t n; void *v; };		/* n -1: null */

/* One row per field.  The table is the only description of the wire form. */
struct field {
	const char	*name;
	const struct field *(*sub)(void);	/* K_SUB, K_SUBP, K_ARR */
	size_t		 subsize;		/* of the element or struct */
	size_t		 off;			/* in the struct */
	enum ktype	 type;
	enum ktype	 elem;			/* of K_VEC */
	int		 since, until;
	int		 null;		/* NUL(v): nullable from v; 0 never */
	int		 tag;		/* TAG(n): wire tag n; 0 untagged */
	bool		 null_def;	/* an absent field is null */
	bool		 noflex;	/* never in compact form */
	int64_t		 def;		/* of a number that is absent */
};
#define NUL(v)	((v) + 1)
#define TAG(n)	((n) + 1)

struct msg {
	const char	*name;
	const struct field *(*fields)(void);
	size_t		 size;			/* of the struct */
	int		 key, min, max, flex;
};

/*
 * Decodes one message of version v that fills r from its present place.
 * out (m->size bytes) is overwritten.  Trailing bytes are left in r: Kafka
 * ignores them.  E_PROTO for malformed input, E_NOMEM past the arena's limit.
 * v is m->min..m->max or VER_ALL.
 */
enum err	 msg_read(const struct msg *m, int v, struct rd *r,
		    struct arena *a, void *out) MUST;
/* Encodes in at w.  E_PROTO when a value cannot stand in version v (a null
 * that must not be, a string too long), E_NOMEM when w is full.  Bytes of a
 * length but no place are left out as a hole of w. */
enum err	 msg_write(const struct msg *m, int v, struct wr *w,
		    const void *in) MUST;
/* Fills a struct with the defaults of its rows. */
void		 msg_init(const struct msg *m, void *out);
/* Defaults for one element of an array, by its rows. */
void		 fields_init(const struct field *rows, void *out);
/* Prints as one line of JSON-like text for dumps; bytes as their length. */
void		 msg_print(const struct msg *m, struct wr *w, const void *in);

static inline struct kstr
kstr_of(const char *s)
{
	int32_t n = s == NULL ? -1 : (int32_t)__builtin_strlen(s);

	return (struct kstr){ n, s };
}
static inline bool
kstr_eq(struct kstr a, struct kstr b)
{
	return a.len == b.len &&
	    (a.len <= 0 || __builtin_memcmp(a.p, b.p, a.len) == 0);
}
static inline bool
uuid_eq(struct uuid a, struct uuid b)
{
	return __builtin_memcmp(a.b, b.b, 16) == 0;
}
static inline bool
uuid_zero(struct uuid a)
{
	static const struct uuid z;

	return uuid_eq(a, z);
}

#endif
