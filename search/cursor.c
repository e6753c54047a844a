/* SPDX-License-Identifier: Apache-2.0 */
/* The file of --cursor-file: a line "topic-id partition offset" for each
 * partition, behind a first line that says what it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

#define FIRST_LINE "chronik-search cursor 1\n"

static bool
hex_parse(const char *s, struct uuid *id)
{
	for (int i = 0; i < 16; i++) {
		unsigned b;

		if (sscanf(s + 2 * i, "%2x", &b) != 1)
			return false;
		id->b[i] = (uint8_t)b;
	}
	return true;
}

struct cursor *
cursors_load(const char *path, int *n)
{
	FILE *f = fopen(path, "r");
	struct cursor *v = NULL;
	char line[128], hex[40];
	long long next;
	int part, cap = 0;

	*n = 0;
	if (f == NULL && errno == ENOENT)
		return NULL;
	if (f == NULL)
		cmd_fail("%s: %s", path, strerror(errno));
	if (fgets(line, sizeof line, f) == NULL ||
	    strcmp(line, FIRST_LINE) != 0)
		cmd_fail("%s: is no file of cursors", path);
	while (fgets(line, sizeof line, f) != NULL) {
		if (*n == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			v = realloc(v, (size_t)cap * sizeof *v);
			if (v == NULL)
				cmd_fail("out of memory");
		}
		if (sscanf(line, "%32s %d %lld", hex, &part, &next) != 3 ||
		    strlen(hex) != 32 || !hex_parse(hex, &v[*n].topic) ||
		    part < 0 || next < 0)
			cmd_fail("%s: is damaged", path);
		v[*n].part = part;
		v[(*n)++].next = next;
	}
	fclose(f);
	return v;
}

/* Replaced whole; cursors that go nowhere are left out. */
enum err
cursors_save(const char *path, const struct cursor *v, int n)
{
	char tmp[SHARD_PATH];
	FILE *f;
	bool ok;

	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	f = fopen(tmp, "w");
	if (f == NULL)
		return err_of_errno(errno);
	fputs(FIRST_LINE, f);
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < 16; j++)
			fprintf(f, "%02x", v[i].topic.b[j]);
		fprintf(f, " %d %lld\n", v[i].part, (long long)v[i].next);
	}
	ok = fflush(f) == 0 && fsync(fileno(f)) == 0;
	ok = fclose(f) == 0 && ok;
	if (ok && rename(tmp, path) == 0)
		return E_OK;
	unlink(tmp);
	return E_IO;
}
