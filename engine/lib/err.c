/* SPDX-License-Identifier: Apache-2.0 */
/* The error table's faces: Kafka codes, errnos, names and words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

static const struct {
	const char	*name, *text;
	int		 eno;
	int16_t		 code;
} rows[E_MAX] = {
#define ERR(name, code, eno, text) \
	[E_##name] = { #name, text, eno, code },
#include "err.def"
};

int16_t
err_code(enum err e)
{
	ASSERT(e < E_MAX);
	return rows[e].code;
}

int
err_errno(enum err e)
{
	ASSERT(e < E_MAX);
	return rows[e].eno;
}

const char *
err_name(enum err e)
{
	ASSERT(e < E_MAX);
	return rows[e].name;
}

const char *
err_text(enum err e)
{
	ASSERT(e < E_MAX);
	return rows[e].text;
}

enum err
err_of_code(int16_t code)
{
	for (int e = 0; e < E_MAX; e++)
		if (rows[e].code == code)
			return e;
	return E_UNKNOWN;
}

enum err
err_of_reply(int16_t code, const char *text, int32_t n)
{
	for (int e = 0; e < E_MAX; e++)
		if (rows[e].code == code &&
		    (int64_t)strlen(rows[e].text) == n &&
		    memcmp(rows[e].text, text, (size_t)n) == 0)
			return e;
	return err_of_code(code);
}

enum err
err_of_errno(int eno)
{
	switch (eno) {
	case 0:
		return E_OK;
	case ENOSPC:
	case EDQUOT:
		return E_NOSPC;
	case ENOMEM:
		return E_NOMEM;
	case ENOENT:
		return E_NOTFOUND;
	case EACCES:
	case EPERM:
		return E_ACCESS;
	case ENOTDIR:
		return E_NOTDIR;
	case EPIPE:
	case ECONNRESET:
		return E_CLOSED;
	default:
		return E_IO;
	}
}

_Noreturn void
assert_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
	abort();
}
