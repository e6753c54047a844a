/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the programs and configs of topics, both from conf.def.
 */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "schema.h"

/* One member per OPT row, by its field name: STR const char *, INT int64_t,
 * BOOL bool, ENUM int (index of the choice). */
struct conf {
#define CONF_STR(f)	const char *f;
#define CONF_INT(f)	int64_t f;
#define CONF_BOOL(f)	bool f;
#define CONF_ENUM(f)	int f;
#define OPT(f, type, ...)	CONF_##type(f)
#include "conf.def"
#undef CONF_STR
#undef CONF_INT
#undef CONF_BOOL
#undef CONF_ENUM
};

enum conf_where { CONF_E = 1, CONF_G = 2, CONF_S = 4 };
enum { SYNC_COMMIT, SYNC_INTERVAL, SYNC_OS };		/* conf.sync */
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

/* HOST:PORT, [V6]:PORT; port 0-65535.  E_USAGE.  host: NUL-terminated copy of
 * at most size bytes without brackets. */
enum err conf_hostport(const char *s, char *host, size_t size, int *port) MUST;

/* ---- topic configs --------------------------------------------------- */

/* One member per TOPIC row: LIST and ENUM int (bit mask, index), INT int64_t,
 * DOUBLE double, BOOL bool; set: bit per row, 1 when given by somebody. */
struct topic_conf {
#define CONF_LIST(f)	int f;
#define CONF_ENUM(f)	int f;
#define CONF_INT(f)	int64_t f;
#define CONF_DOUBLE(f)	double f;
#define CONF_BOOL(f)	bool f;
#define TOPIC(f, name, type, ...)	CONF_##type(f)
#include "conf.def"
#undef CONF_LIST
#undef CONF_ENUM
#undef CONF_INT
#undef CONF_DOUBLE
#undef CONF_BOOL
	uint64_t set;
};
enum { CLEANUP_DELETE = 1, CLEANUP_COMPACT = 2 };	/* cleanup_policy */
enum { TS_CREATE, TS_APPEND };			/* message_timestamp_type */
enum { COMPRESS_PRODUCER };			/* compression_type; then a
						 * codec's number + 1 */

void	 topic_conf_init(struct topic_conf *);
/* Sets one by its Kafka name.  E_INVALID_CONFIG for an unknown name, a value
 * out of range, or a value that we do not enforce yet; why (size bytes) then
 * holds a sentence. */
enum err topic_conf_set(struct topic_conf *, struct kstr name,
	    struct kstr value, char *why, size_t size) MUST;
/* The codec that compression.type wants, and its level as codec_deflate takes
 * it; -1: the producer's. */
int	 topic_conf_codec(const struct topic_conf *, int32_t *level);
/* Row i as Kafka shows it: name, value (in buf), type.  false past the last. */
struct topic_conf_row {
	const char	*name, *synonym;
	enum { CT_BOOLEAN = 1, CT_STRING, CT_INT, CT_SHORT, CT_LONG,
	    CT_DOUBLE, CT_LIST } type;	/* Kafka's ConfigType numbers */
	bool		 set, enforced;
	char		 value[128];
};
bool	 topic_conf_row(const struct topic_conf *, int i,
	    struct topic_conf_row *);

#endif
