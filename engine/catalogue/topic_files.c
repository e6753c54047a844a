/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's directories, made and removed.  Nothing that may hold a record is
 * removed here but on behalf of a deletion that the catalogue knows.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "topic_files.h"

enum { SYNC_DIRS_MAX = 8 };	/* more directories than this: one syncfs */

static void
topic_dir(const struct engine *eng, const struct uuid *id, char *dir)
{
	int n = snprintf(dir, PATH_SIZE, "%s/topics/", eng->data);

	for (int i = 0; i < 16; i++)
		n += snprintf(dir + n, (size_t)(PATH_SIZE - n), "%02x",
		    id->b[i]);
}

/* ---- removing ---------------------------------------------------------- */

struct numbers {
	int32_t	*v, n, cap, from;
	bool	 full;		/* no memory for more */
};

static int
number_each(const char *name, void *arg)
{
	struct numbers *x = arg;
	char *end;
	long i = strtol(name, &end, 10);
	int32_t *v;

	if (*name < '0' || *name > '9' || *end != '\0' || i < x->from ||
	    i > INT32_MAX)
		return 0;
	if (x->n == x->cap) {
		v = realloc(x->v, ((size_t)x->cap * 2 + 16) * sizeof *v);
		x->full = v == NULL;
		if (v == NULL)
			return 1;
		x->v = v;
		x->cap = x->cap * 2 + 16;
	}
	x->v[x->n++] = (int32_t)i;
	return 0;
}

static int
unlink_each(const char *name, void *arg)
{
	const char *dir = arg;
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%.2000s/%.2000s", dir, name);
	return disk->unlink(path) == E_OK ? 0 : 1;
}

enum err
topic_files_remove(const struct engine *eng, const struct uuid *id,
    int32_t from)
{
	struct numbers parts = { .from = from };
	char dir[PATH_SIZE], sub[PATH_SIZE];
	enum err e;

	topic_dir(eng, id, dir);
	e = disk->list(dir, number_each, &parts);
	if (e == E_OK && parts.full)
		e = E_NOMEM;
	for (int32_t i = 0; e == E_OK && i < parts.n; i++) {
		snprintf(sub, sizeof sub, "%.4000s/%d", dir,
		    (int)parts.v[i]);
		e = disk->list(sub, unlink_each, sub);
		if (e == E_OK)
			e = disk->rmdir(sub);
	}
	free(parts.v);
	if (e == E_OK && from == 0)
		e = disk->rmdir(dir);
	return e == E_NOTFOUND ? E_OK : e;
}

/* ---- making ------------------------------------------------------------ */

struct leftover {
	const char	*dir;
	bool		 used;		/* something is in it */
};

/* Only an empty first segment may be there. */
static int
leftover_each(const char *name, void *arg)
{
	struct leftover *l = arg;
	char path[PATH_SIZE];
	struct disk_stat st;
	int64_t base;

	snprintf(path, sizeof path, "%.2000s/%.2000s", l->dir, name);
	l->used = !seg_name(name, ".log", &base) || base != 0 ||
	    disk->stat(path, &st) != E_OK || st.size > 0;
	return l->used;
}

/* Clears the way for a partition whose number was never given out. */
static enum err
leftover_clear(const char *dir)
{
	struct leftover l = { .dir = dir };
	char path[PATH_SIZE];
	enum err e = disk->list(dir, leftover_each, &l);

	if (e == E_NOTFOUND)
		return E_OK;
	if (e == E_OK && l.used) {
		log_warn("directory in the way of a new partition",
		    LS("dir", dir));
		return E_BUSY;
	}
	seg_path(path, dir, 0, ".log");
	if (e == E_OK)
		e = disk->unlink(path);
	return e == E_NOTFOUND ? E_OK : e;
}

static enum err
part_files_create(const char *dir, const struct log_id *id, bool sync,
    struct recovered *fresh)
{
	enum err e;

	fresh->segs = malloc(sizeof *fresh->segs);
	if (fresh->segs == NULL)
		return E_NOMEM;
	fresh->epoch = -1;
	fresh->snapped = -1;
	fresh->deleted_due = INT64_MAX;
	e = leftover_clear(dir);
	if (e == E_OK)
		e = disk->mkdir(dir);
	if (e == E_OK)
		e = seg_open(dir, id, 0, true, &fresh->segs[0]);
	if (e == E_OK) {
		/* There may be more of them than files that may be open. */
		seg_close(fresh->segs[0]);
		fresh->nsegs = 1;
	}
	if (e == E_OK && sync)
		e = disk->sync_dir(dir);
	return e;
}

enum err
topic_files_create(const struct engine *eng, const struct uuid *tid,
    int32_t from, int32_t to, struct recovered *fresh)
{
	char top[PATH_SIZE], dir[PATH_SIZE], sub[PATH_SIZE];
	struct log_id id = { *tid, from };
	bool each = to - from <= SYNC_DIRS_MAX;
	enum err e;

	snprintf(top, sizeof top, "%s/topics", eng->data);
	topic_dir(eng, tid, dir);
	e = disk->mkdir(top);
	if (e == E_OK)
		e = disk->mkdir(dir);
	for (; e == E_OK && id.part < to; id.part++) {
		snprintf(sub, sizeof sub, "%.4000s/%d", dir, (int)id.part);
		e = part_files_create(sub, &id, each, &fresh[id.part - from]);
	}
	if (e == E_OK && !each)
		e = disk->syncfs(eng->commit.data_fd);
	if (e == E_OK && each)
		e = disk->sync_dir(dir);
	if (e == E_OK && each)
		e = disk->sync_dir(top);
	if (e == E_OK && each)
		e = disk->sync_dir(eng->data);
	return e;
}
