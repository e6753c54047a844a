/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging to standard error: one line per event, text (key=value) or JSON.
 * Never the content of a message, never a secret.  Foreign bytes are escaped.
 *
 *   log_info("segment rolled", LS("topic", name), LI("part", 3), LE(err));
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_FATAL };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_kv {
	const char	*key;		/* NULL ends the list */
	enum { LOG_KV_STR, LOG_KV_INT, LOG_KV_ERR, LOG_KV_ERRNO } type;
	const char	*s;
	int64_t		 i;		/* number; length of s or -1 */
};
#define LS(k, v)	((struct log_kv){ k, LOG_KV_STR, v, -1 })
#define LSN(k, v, n)	((struct log_kv){ k, LOG_KV_STR, v, n })
#define LI(k, v)	((struct log_kv){ k, LOG_KV_INT, NULL, v })
#define LE(e)		((struct log_kv){ "err", LOG_KV_ERR, NULL, e })
#define LERRNO(e)	((struct log_kv){ "errno", LOG_KV_ERRNO, NULL, e })

/* program: a constant string that stands in every line. */
void	 log_setup(const char *program, enum log_level, enum log_format);
bool	 log_on(enum log_level);
enum log_level log_level_get(void);
void	 log_level_set(enum log_level);
void	 log_write(enum log_level, const char *event, const struct log_kv *);
/* As log_write, then exit(1): the world does not let us go on. */
_Noreturn void log_die(const char *event, const struct log_kv *);

#define LOG_KVS_(...)	((const struct log_kv[]){ __VA_ARGS__ \
			    __VA_OPT__(,) { .key = NULL } })
#define log_debug(ev, ...) \
	(log_on(LOG_DEBUG) ? \
	    log_write(LOG_DEBUG, ev, LOG_KVS_(__VA_ARGS__)) : (void)0)
#define log_info(ev, ...)	log_write(LOG_INFO, ev, LOG_KVS_(__VA_ARGS__))
#define log_warn(ev, ...)	log_write(LOG_WARN, ev, LOG_KVS_(__VA_ARGS__))
#define log_fatal(ev, ...)	log_die(ev, LOG_KVS_(__VA_ARGS__))

#endif
