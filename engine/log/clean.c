/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clean marker of a data directory: there exactly while it was stopped in
 * order.  Its prototypes are recover.h's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "roster.h"

static void
clean_path(char *path, const char *data)
{
	int n = snprintf(path, PATH_SIZE, "%s/clean", data);

	ASSERT(n > 0 && n < PATH_SIZE);
}

enum err
clean_write(const char *data, const struct wr *bytes)
{
	struct wr none = wr_grow(KIB);
	char path[PATH_SIZE];
	enum err err = bytes == NULL ? roster_write(NULL, &none) : E_OK;

	clean_path(path, data);
	if (bytes == NULL)
		bytes = &none;
	if (err == E_OK)
		err = disk_replace(path, bytes->p, bytes->len);
	wr_free(&none);
	return err;
}

/* *r is NULL when it is not good. */
static enum err
clean_read(const char *data, struct roster **r)
{
	char path[PATH_SIZE];
	enum err err;
	uint8_t *p;
	size_t n;

	*r = NULL;
	clean_path(path, data);
	err = disk_slurp(path, CLEAN_MAX, &p, &n);
	if (err == E_OK)
		err = roster_open(p, n, r);
	return err == E_TOO_LARGE || err == E_CORRUPT ||
	    err == E_UNSUPPORTED_VERSION ? E_OK : err;
}

enum err
clean_look(const char *data, bool *good)
{
	struct roster *r;
	enum err err = clean_read(data, &r);

	*good = r != NULL;
	roster_free(r);
	return err;
}

enum err
clean_take(const char *data, bool *was, struct roster **out)
{
	char path[PATH_SIZE];
	struct roster *r;
	enum err err = clean_read(data, &r);

	*was = false;
	if (out != NULL)
		*out = NULL;
	if (err != E_OK)
		return err == E_NOTFOUND ? E_OK : err;
	clean_path(path, data);
	err = disk->unlink(path);
	if (err == E_OK)
		err = disk->sync_dir(data);
	*was = err == E_OK && r != NULL;
	if (out != NULL && *was)
		*out = r;
	else
		roster_free(r);
	return err;
}
