/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clean marker of a data directory: there exactly while it was stopped in
 * order.  Its prototypes are recover.h's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/log.h"
#include "recover.h"

static void
clean_put(uint8_t p[CLEAN_SIZE])
{
	memcpy(p, CLEAN_MAGIC, 8);
	be16_put(p + 8, CLEAN_VERSION);
	be16_put(p + 10, 0);
	be32_put(p + 12, crc32c(0, p, 12));
}

static void
clean_path(char *path, const char *data)
{
	int n = snprintf(path, PATH_SIZE, "%s/clean", data);

	ASSERT(n > 0 && n < PATH_SIZE);
}

enum err
clean_write(const char *data)
{
	char path[PATH_SIZE];
	uint8_t p[CLEAN_SIZE];

	clean_path(path, data);
	clean_put(p);
	return disk_replace(path, p, sizeof p);
}

enum err
clean_look(const char *data, bool *good)
{
	char path[PATH_SIZE];
	uint8_t want[CLEAN_SIZE], *p;
	enum err err;
	size_t n;

	*good = false;
	clean_path(path, data);
	clean_put(want);
	err = disk_slurp(path, 4096, &p, &n);
	if (err == E_OK) {
		*good = n == sizeof want && memcmp(p, want, n) == 0;
		free(p);
	}
	return err == E_TOO_LARGE ? E_OK : err;
}

enum err
clean_take(const char *data, bool *was)
{
	char path[PATH_SIZE];
	enum err err = clean_look(data, was);

	if (err == E_NOTFOUND)
		return E_OK;
	if (err != E_OK)
		return err;
	clean_path(path, data);
	err = disk->unlink(path);
	if (err == E_OK)
		err = disk->sync_dir(data);
	if (err != E_OK)
		*was = false;
	return err;
}
