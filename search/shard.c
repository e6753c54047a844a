/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of shards and their life.
 *
 *   <base>.hot/ -> (compact) <base>-<end>.xap.tmp -> (sync, rename, sync)
 *   <base>-<end>.xap; then <base>.hot/ goes
 *
 * Where both are there the file is whole and the directory is left over.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "shard.h"

#define HOT	".hot"
#define COLD	".xap"
#define TMP	".tmp"

void
shard_dir(char out[SHARD_PATH], const char *index, const struct uuid *topic,
    int32_t part)
{
	char hex[33];

	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", topic->b[i]);
	if (part < 0)
		snprintf(out, SHARD_PATH, "%s/%s", index, hex);
	else
		snprintf(out, SHARD_PATH, "%s/%s/%d", index, hex, part);
}

void
shard_path(char out[SHARD_PATH], const char *dir, const struct shard *s)
{
	if (s->hot)
		snprintf(out, SHARD_PATH, "%s/%020lld" HOT, dir,
		    (long long)s->base);
	else
		snprintf(out, SHARD_PATH, "%s/%020lld-%020lld" COLD, dir,
		    (long long)s->base, (long long)s->end);
}

/* Takes 20 digits off a name. */
static bool
take_offset(const char **s, int64_t *out)
{
	int64_t n = 0;

	for (int i = 0; i < 20; i++, ++*s)
		if (**s < '0' || **s > '9' ||
		    __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, **s - '0', &n))
			return false;
	*out = n;
	return true;
}

static bool
name_parse(const char *name, struct shard *s)
{
	*s = (struct shard){ 0 };
	if (!take_offset(&name, &s->base))
		return false;
	s->hot = strcmp(name, HOT) == 0;
	return s->hot || (*name++ == '-' && take_offset(&name, &s->end) &&
	    strcmp(name, COLD) == 0 && s->end > s->base);
}

enum err
shards_add(struct shards *l, struct shard s)
{
	int i;

	if (l->n == l->cap) {
		int cap = l->cap == 0 ? 8 : l->cap * 2;
		struct shard *v = realloc(l->v, (size_t)cap * sizeof *v);

		if (v == NULL)
			return E_NOMEM;
		l->v = v;
		l->cap = cap;
	}
	for (i = l->n++; i > 0 && l->v[i - 1].base > s.base; i--)
		l->v[i] = l->v[i - 1];
	l->v[i] = s;
	return E_OK;
}

void
shards_free(struct shards *l)
{
	for (int i = 0; i < l->n; i++)
		xap_close(l->v[i].db);
	free(l->v);
	*l = (struct shards){ 0 };
}

static int
by_base(const void *a, const void *b)
{
	const struct shard *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return x->hot - y->hot;
}

enum err
shard_facts(struct xap_db *db, int64_t *next, int64_t *gaps,
    struct sconf *conf)
{
	char *n = NULL, *g = NULL, *c = NULL;
	enum err e = xap_meta(db, "next", &n);

	if (e == E_OK)
		e = xap_meta(db, "gaps", &g);
	if (e == E_OK && conf != NULL)
		e = xap_meta(db, "conf", &c);
	if (e == E_OK && *n == '\0')
		e = E_NOTFOUND;
	if (e == E_OK && conf != NULL)
		e = sconf_parse(conf, c);
	if (e == E_OK) {
		*next = strtoll(n, NULL, 10);
		*gaps = strtoll(g, NULL, 10);
	}
	free(n);
	free(g);
	free(c);
	return e;
}

enum err
shard_db(const char *dir, struct shard *s, struct xap_db **out)
{
	char path[SHARD_PATH];

	*out = s->db;
	s->db = NULL;
	if (*out != NULL)
		return E_OK;
	shard_path(path, dir, s);
	return xap_open(path, out);
}

/* How far a hot shard goes; E_NOTFOUND: nothing was committed. */
static enum err
hot_end(const char *dir, struct shard *s, bool keep)
{
	struct xap_db *db;
	int64_t gaps;
	enum err e = shard_db(dir, s, &db);

	if (e != E_OK)
		return e;
	e = shard_facts(db, &s->end, &gaps, NULL);
	if (e == E_OK && s->end <= s->base)
		e = E_CORRUPT;
	if (e == E_OK && keep)
		s->db = db;
	else
		xap_close(db);
	return e;
}

static enum err
list_names(const char *dir, bool tidy, struct shards *out)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	struct shard s;
	char path[SHARD_PATH];
	size_t n;
	enum err e = E_OK;

	if (d == NULL)
		return errno == ENOENT ? E_OK : err_of_errno(errno);
	while (e == E_OK && (de = readdir(d)) != NULL) {
		if (name_parse(de->d_name, &s)) {
			e = shards_add(out, s);
			continue;
		}
		n = strlen(de->d_name);
		if (tidy && n > 4 && strcmp(de->d_name + n - 4, TMP) == 0) {
			snprintf(path, sizeof path, "%s/%s", dir,
			    de->d_name);
			e = tree_remove(path);
		}
	}
	closedir(d);
	if (out->n > 0)
		qsort(out->v, (size_t)out->n, sizeof *out->v, by_base);
	return e;
}

enum err
shards_list(const char *dir, enum shards_how how, struct shards *out,
    int *broken)
{
	bool tidy = how == SHARDS_TIDY;
	enum err e;
	int n = 0;

	*out = (struct shards){ 0 };
	e = list_names(dir, tidy, out);
	for (int i = 0; i < out->n && e == E_OK; i++) {
		struct shard *s = &out->v[i];
		bool twice = n > 0 && s->base < out->v[n - 1].end;
		enum err bad = twice ? E_BUSY : s->hot ? hot_end(dir, s,
		    how == SHARDS_ASK) : E_OK;

		if (bad == E_OK) {
			out->v[n++] = *s;
			continue;
		}
		/* One without a transaction yet is as good as none. */
		if (!twice && bad != E_NOTFOUND && broken != NULL)
			++*broken;
		if (!tidy)
			continue;
		if (!twice && bad != E_NOTFOUND)
			log_warn("a shard cannot be opened: made anew",
			    LS("dir", dir), LI("base", s->base), LE(bad),
			    LS("why", xap_why()));
		e = shard_remove(dir, s);
	}
	out->n = n;
	if (e != E_OK)
		shards_free(out);
	return e;
}

struct shard *
shards_find(const struct shards *l, int64_t offset)
{
	int lo = 0, hi = l->n;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (l->v[mid].end <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n && l->v[lo].base <= offset ? &l->v[lo] : NULL;
}

int64_t
shards_gap_end(const struct shards *l, int64_t offset)
{
	for (int i = 0; i < l->n; i++)
		if (l->v[i].base >= offset)
			return l->v[i].base;
	return INT64_MAX;
}

int64_t
shards_gap_start(const struct shards *l, int64_t end)
{
	for (int i = l->n - 1; i >= 0; i--)
		if (l->v[i].end <= end)
			return l->v[i].end;
	return 0;
}

/* ---- sealing and removing ---------------------------------------------- */

static enum err
sync_path(const char *path)
{
	FILE *f = fopen(path, "r");
	enum err e = E_OK;

	if (f == NULL)
		return err_of_errno(errno);
	if (fsync(fileno(f)) != 0)
		e = err_of_errno(errno);
	fclose(f);
	return e;
}

enum err
shard_seal(const char *dir, struct shard *s)
{
	char hot[SHARD_PATH], cold[SHARD_PATH], tmp[SHARD_PATH + 8];
	struct shard done = { .base = s->base, .end = s->end };
	enum err e;

	shard_path(hot, dir, s);
	shard_path(cold, dir, &done);
	snprintf(tmp, sizeof tmp, "%s" TMP, cold);
	unlink(tmp);
	e = xap_compact(hot, tmp);
	if (e == E_OK)
		e = sync_path(tmp);
	if (e == E_OK && rename(tmp, cold) != 0)
		e = err_of_errno(errno);
	if (e == E_OK)
		e = sync_path(dir);
	if (e != E_OK) {
		unlink(tmp);
		return e;
	}
	*s = done;
	return tree_remove(hot);
}

enum err
shard_remove(const char *dir, const struct shard *s)
{
	char path[SHARD_PATH];

	shard_path(path, dir, s);
	return tree_remove(path);
}
