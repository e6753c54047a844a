/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of options and configs, whatever table they stand in.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "schema.h"

enum {
	CONF_WHY_MAX	= 256,	/* a sentence about a bad value */
	CONF_SHOWN_MAX	= 64,	/* bytes of a bad value that it quotes */
	CONF_TEXT_MAX	= 1000,	/* bytes of a list of CAPS */
	CONF_SHOWN_SIZE	= CONF_SHOWN_MAX + 4,
	FIELDS_MAX	= 64,	/* of one config */
	FIELD_PATH_MAX	= 200,	/* bytes */
	FIELD_WEIGHT_MAX = 100,
};

enum conf_type {
	T_STR, T_INT, T_BOOL, T_ENUM, T_LIST, T_DOUBLE,
	T_REPLICAS,	/* "partition:broker,...", or "*" for all, or nothing */
	T_FORMAT,	/* a release of Kafka that wrote batches of format v2 */
	T_CAPS,		/* "address:number,...", or nothing */
	T_FIELDS,	/* "path,path^weight": paths of JSON members */
};

/* The columns of a row that say what a value may be. */
struct conf_kind {
	enum conf_type	 type;
	const char	*choices;	/* of ENUM and LIST: "a|b|c" */
	int64_t		 min, max;	/* of INT and DOUBLE */
};

/* The third and fourth column hold numbers, or choices in the third. */
#define CONF_CHOICES(lo) _Generic((lo), char *: (lo), const char *: (lo), \
			    default: NULL)
#define CONF_BOUND(n)	_Generic((n), char *: 0, const char *: 0, \
			    default: (n))

/* A value, whatever its type: i also holds BOOL, ENUM and LIST. */
struct conf_value {
	int64_t	i;
	double	d;
};

/* Without the blanks around it. */
struct kstr kstr_trim(struct kstr);
/* A decimal number that fills s: an optional sign, then digits. */
bool	 conf_parse_int(struct kstr s, int64_t *out);
/* A number of bytes: a decimal number, perhaps with K, M or G, or with KiB, MiB
 * or GiB, behind it for 1024 bytes, the square and the cube of it. */
bool	 conf_parse_size(struct kstr s, int64_t *out);
/* Takes the first pair off a list of CAPS: the address as 16 bytes, one of IPv4
 * mapped into IPv6, and its number.  False: there is none, or it is bad, when
 * something is left. */
bool	 conf_cap_next(struct kstr *list, uint8_t addr[16], int64_t *cap);
/* Takes the next of "path,path^weight" off s; weight 1 unless given.  false:
 * there is none, or it is none. */
bool	 conf_field_next(struct kstr *s, struct kstr *path, int *weight);
/* Reads a value of this kind, trimmed already.  false: why holds the end of
 * a sentence, "must be ...". */
bool	 conf_value_parse(const struct conf_kind *, struct kstr,
	    struct conf_value *, char why[CONF_WHY_MAX]);
/* Stores at the field that starts at p; STR and CAPS are texts: not these. */
void	 conf_value_store(const struct conf_kind *, struct conf_value,
	    void *p);
/* Prints what the field at p holds; REPLICAS, FORMAT and FIELDS have no
 * field. */
void	 conf_value_print(const struct conf_kind *, const void *p, char *buf,
	    size_t size);
/* The text of a good value as Kafka shows it: numbers without sign or zeros in
 * front, lists without blanks but in the order given.  Allocated; NULL without
 * memory. */
char	*conf_value_text(const struct conf_kind *, struct kstr);
/* Foreign bytes for a sentence: cut, and nothing that is not printable. */
void	 conf_show(struct kstr s, char out[CONF_SHOWN_SIZE]);

/*
 * What somebody set of a table of configs: names that the table owns, values
 * as text in the order in which they were first set.  { 0 } is empty; the
 * owner frees it.
 */
struct conf_set {
	int	 n;
	struct conf_setting {
		const char	*name;
		char		*value;
	} *v;
};
/* The value, or NULL. */
const char *conf_set_get(const struct conf_set *, const char *name);
/* Sets it; value (malloc'ed) becomes the set's, also on failure: E_NOMEM. */
enum err conf_set_put(struct conf_set *, const char *name, char *value) MUST;
void	 conf_set_drop(struct conf_set *, const char *name);
/* to is overwritten.  E_NOMEM: it is empty then. */
enum err conf_set_copy(struct conf_set *to, const struct conf_set *) MUST;
bool	 conf_set_eq(const struct conf_set *, const struct conf_set *);
void	 conf_set_free(struct conf_set *);

#endif
