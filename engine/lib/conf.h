/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the programs and configs of topics, both from conf.def.
 */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "conf_value.h"

enum {
#define OPT(f, ...)	CONF_OPT_##f,
#include "conf.def"
	CONF_OPTS,
#define TOPIC(f, ...)	CONF_TOPIC_##f,
	CONF_TOPIC_BEFORE = -1,	/* the rows are numbered from 0 */
#include "conf.def"
	CONF_TOPICS
};
_Static_assert(CONF_TOPICS <= 64, "topic_conf.set has a bit per row");

/* One member per OPT row, by its field name: STR and CAPS const char *, INT
 * int64_t, BOOL bool, ENUM int (index of the choice). */
struct conf {
#define CONF_STR(f)	const char *f;
#define CONF_CAPS(f)	const char *f;
#define CONF_INT(f)	int64_t f;
#define CONF_BOOL(f)	bool f;
#define CONF_ENUM(f)	int f;
#define OPT(f, type, ...)	CONF_##type(f)
#include "conf.def"
#undef CONF_STR
#undef CONF_CAPS
#undef CONF_INT
#undef CONF_BOOL
#undef CONF_ENUM
	bool		 given[CONF_OPTS];	/* by file, environment, ... */
	/* What topics have that do not say otherwise, by the names that Kafka
	 * gives these on a broker; NULL: not given. */
	const char	*topic[CONF_TOPICS];
};

enum conf_where { CONF_E = 1, CONF_G = 2, CONF_S = 4, CONF_O = 8,
    CONF_D = 16, CONF_I = 32, CONF_Q = 64 };
enum { SYNC_COMMIT, SYNC_INTERVAL, SYNC_OS };		/* conf.sync */
enum { SEARCH_AUTO, SEARCH_ON, SEARCH_OFF };	/* conf.search */
enum { SECURITY_PLAINTEXT, SECURITY_SASL };	/* conf.security_protocol */
enum { VALIDATE_DEEP, VALIDATE_HEADER };	/* conf.produce_validation */

/*
 * Fills conf for a program: defaults, then the file (when the program takes
 * one), then CHRONIK_* of the environment, then the command line; the later
 * wins.  An option of another program (where) is refused on the command line
 * and passed over in file and environment; an unknown one is refused in both
 * file and command line.  --help prints the options and exits 0; a wrong one
 * prints a sentence to standard error and exits 2.  usage: the synopsis,
 * "chronik-engine [option ...]".  Operands that are left start at
 * argv[returned index].  Strings live as long as the process.
 */
int	 conf_load(struct conf *, enum conf_where, const char *usage,
	    int argc, char **argv);
/* The options of program `where` that differ from their defaults or that the
 * environment would set otherwise, as --name=value strings for exec behind
 * the program's name, NULL-terminated, allocated; the caller adds its own at
 * the first NULL (there is room for extra of them and the last NULL). */
char	**conf_argv(const struct conf *, enum conf_where, const char *program,
	    int extra);

/* Option i as Kafka shows it. */
struct conf_row {
	char		 name[64];	/* with dots */
	const char	*def, *help;
	enum conf_ctype {		/* Kafka's ConfigType numbers */
		CT_BOOLEAN = 1, CT_STRING, CT_INT, CT_SHORT, CT_LONG,
		CT_DOUBLE, CT_LIST
	} type;
	int		 where;
	bool		 given;
	char		 value[CONF_TEXT_MAX + 1];
};
/* false past the last. */
bool	 conf_row(const struct conf *, int i, struct conf_row *);

/* The kind of an option that may change at run time, by its name with dots;
 * *own is that name, for as long as the process lives.  NULL: it is none;
 * *known is set if it is an option that Kafka has. */
const struct conf_kind *conf_dynamic(struct kstr name, const char **own,
	    bool *known);

/* Sets such an option; false: it is none, or does not take the value. */
bool	 conf_change(struct conf *, struct kstr name, struct kstr value);

/* HOST:PORT, [V6]:PORT; port 0-65535.  E_USAGE.  host: NUL-terminated copy of
 * at most size bytes without brackets. */
enum err conf_hostport(const char *s, char *host, size_t size, int *port) MUST;

/* ---- topic configs --------------------------------------------------- */

/* One member per TOPIC row: LIST and ENUM int (bit mask, index), INT int64_t,
 * DOUBLE double, BOOL bool; those of REPLICAS, FORMAT and FIELDS mean nothing.
 * set: * bit per row, 1 when the topic itself has a value. */
struct topic_conf {
#define CONF_LIST(f)	int f;
#define CONF_ENUM(f)	int f;
#define CONF_INT(f)	int64_t f;
#define CONF_DOUBLE(f)	double f;
#define CONF_BOOL(f)	bool f;
#define CONF_REPLICAS(f) bool f;
#define CONF_FORMAT(f)	bool f;
#define CONF_FIELDS(f)	bool f;
#define TOPIC(f, name, type, ...)	CONF_##type(f)
#include "conf.def"
#undef CONF_LIST
#undef CONF_ENUM
#undef CONF_INT
#undef CONF_DOUBLE
#undef CONF_BOOL
#undef CONF_REPLICAS
#undef CONF_FORMAT
#undef CONF_FIELDS
	uint64_t set;
};
enum { CLEANUP_DELETE = 1, CLEANUP_COMPACT = 2 };	/* cleanup_policy */
enum { TS_CREATE, TS_APPEND };			/* message_timestamp_type */
enum { COMPRESS_PRODUCER };			/* compression_type; then a
						 * codec's number + 1 */

/* What is done about a config: see conf.def. */
enum conf_state { CONF_ENFORCED, CONF_KEPT, CONF_REFUSED };

struct topic_row {
	const char	*name, *synonym;	/* "" no synonym */
	const char	*def, *doc;
	enum conf_ctype	 type;
	enum conf_state	 state;
	struct conf_kind kind;
	size_t		 off;		/* in struct topic_conf */
};
/* Row i; NULL past the last. */
const struct topic_row *topic_row(int i);
/* The row of a topic config, or of a broker config by its name there. */
const struct topic_row *topic_row_find(struct kstr name);
const struct topic_row *topic_row_broker(struct kstr synonym);

/* Whether it takes the (trimmed) value; else why is the end of a sentence. */
bool	 topic_row_judge(const struct topic_row *, struct kstr,
	    char why[CONF_WHY_MAX]);
/*
 * Puts a value into a set, under the name (topic configs by their own, those of
 * brokers by the synonym; row says which), in the form in which Kafka shows
 * it.  E_INVALID_CONFIG for a value out of range, or one that we do not
 * enforce yet; why (size bytes) then holds a sentence.
 */
enum err topic_row_put(const struct topic_row *, const char *name,
	    struct conf_set *, struct kstr value, char *why, size_t size) MUST;
/* The same for a topic's config by its name, which may be unknown. */
enum err topic_conf_put(struct conf_set *, struct kstr name,
	    struct kstr value, char *why, size_t size) MUST;
/* What holds for topics when nobody sets anything. */
void	 topic_conf_init(struct topic_conf *);
/* Lays the broker's values, that by_synonym has by those names, over t. */
void	 topic_conf_broker(struct topic_conf *t,
	    const struct conf_set *by_synonym);
/* ... and a topic's own; t->set tells them. */
void	 topic_conf_own(struct topic_conf *t, const struct conf_set *by_name);
/* The codec that compression.type wants, and its level as codec_deflate takes
 * it; -1: the producer's. */
int	 topic_conf_codec(const struct topic_conf *, int32_t *level);
/* E_INVALID_CONFIG when values contradict each other. */
enum err topic_conf_check(const struct topic_conf *, char *why, size_t size)
	    MUST;

#endif
