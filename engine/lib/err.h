/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error enum.  Functions return it; results go to out-parameters.
 * A bug hits ASSERT, a bad peer gets an error reply, the world is returned.
 */
#ifndef ERR_H
#define ERR_H

#include <stdint.h>

enum err {
#define ERR(name, code, eno, text)	E_##name,
#include "err.def"
	E_MAX
};

#define MUST	__attribute__((warn_unused_result))

/* Kafka's error code, for the wire. */
int16_t		 err_code(enum err);
/* The errno that file system calls answer with; 0 for E_OK. */
int		 err_errno(enum err);
/* The name as Kafka's tools print it ("UNKNOWN_TOPIC"), and words. */
const char	*err_name(enum err);
const char	*err_text(enum err);
/* The error that a Kafka code stands for; E_UNKNOWN for a foreign one. */
enum err	 err_of_code(int16_t code);
/* The same of a reply with words, n bytes of text or -1, which tell errors of
 * one code apart. */
enum err	 err_of_reply(int16_t code, const char *text, int32_t n);
/* The error that an errno of a file or socket call stands for. */
enum err	 err_of_errno(int eno);

/* An always-on assertion: logs where and aborts. */
#define ASSERT(x)	((x) ? (void)0 : assert_fail(#x, __FILE__, __LINE__))
_Noreturn void	 assert_fail(const char *what, const char *file, int line);

#endif
