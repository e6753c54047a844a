/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of a data directory.  Where its batches begin is found by walking
 * through a segment when it is first needed; nothing else is believed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/batch.h"
#include "lib/limits.h"
#include "local_in.h"
#include "shard.h"

enum {
	WINDOW		= 64 * KIB,	/* read of a file at once */
	MARK_EVERY	= 64 * KIB,	/* bytes between marks */
	BASE_DIGITS	= 20,
};

/* ---- one segment ------------------------------------------------------- */

/* part -1: without it. */
static void
topic_dir(const struct local *l, const struct ltopic *t, int32_t part,
    char dir[SHARD_PATH])
{
	char topics[SHARD_PATH];

	snprintf(topics, sizeof topics, "%s/topics", l->dir);
	shard_dir(dir, topics, &t->id, part);
}

static int
seg_file(const struct local *l, const struct ltopic *t, int32_t part,
    int64_t base)
{
	char dir[SHARD_PATH], path[SHARD_PATH + NAME_MAX];

	topic_dir(l, t, part, dir);
	snprintf(path, sizeof path, "%s/%020lld.log", dir, (long long)base);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static enum err
mark_add(struct lseg *s, int64_t offset, int64_t pos)
{
	if (s->nmarks > 0 && pos - s->marks[s->nmarks - 1].pos < MARK_EVERY)
		return E_OK;
	if (s->nmarks == s->marks_cap) {
		int cap = s->marks_cap == 0 ? 64 : s->marks_cap * 2;
		struct lmark *v = realloc(s->marks, (size_t)cap * sizeof *v);

		if (v == NULL)
			return E_NOMEM;
		s->marks = v;
		s->marks_cap = cap;
	}
	s->marks[s->nmarks++] = (struct lmark){ offset, pos };
	return E_OK;
}

/* Whether nothing but zeros follows: room that was reserved. */
static bool
rest_is_zero(int fd, int64_t pos, uint8_t *buf)
{
	ssize_t n;

	while ((n = pread(fd, buf, WINDOW, pos)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != 0)
				return false;
		pos += n;
	}
	return n == 0;
}

/* Whole batches from the start on, as far as they make sense. */
static enum err
seg_walk(struct lseg *s, int fd, int64_t size, uint8_t *buf)
{
	int64_t pos = 0, from = 0, have = 0;
	struct batch b;

	s->end = s->base;
	while (size - pos >= BATCH_HEADER) {
		if (pos < from || pos + BATCH_HEADER > from + have) {
			from = pos;
			have = pread(fd, buf, WINDOW, pos);
			if (have < BATCH_HEADER)
				return E_IO;
		}
		if (batch_read(buf + (pos - from), &b) != E_OK ||
		    b.base_offset < s->end || batch_size(&b) > size - pos ||
		    batch_last_offset(&b) < b.base_offset)
			break;
		if (mark_add(s, b.base_offset, pos) != E_OK)
			return E_NOMEM;
		s->end = batch_last_offset(&b) + 1;
		pos += batch_size(&b);
	}
	s->size = pos;
	s->hurt = !rest_is_zero(fd, pos, buf);
	return E_OK;
}

/* Looks into a segment, once. */
static enum err
seg_look(const struct local *l, const struct ltopic *t, int32_t part,
    struct lseg *s)
{
	uint8_t *buf;
	struct stat st;
	enum err e;
	int fd;

	if (s->looked)
		return E_OK;
	fd = seg_file(l, t, part, s->base);
	if (fd == -1)
		return E_IO;
	buf = malloc(WINDOW);
	e = buf == NULL ? E_NOMEM : fstat(fd, &st) != 0 ? E_IO :
	    seg_walk(s, fd, st.st_size, buf);
	free(buf);
	close(fd);
	s->looked = e == E_OK;
	return e;
}

/* ---- partitions -------------------------------------------------------- */

static int
by_base(const void *a, const void *b)
{
	const struct lseg *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

static enum err
seg_add(struct lpart *p, const char *name)
{
	struct lseg *v;
	char *end;

	if (strlen(name) != BASE_DIGITS + 4 ||
	    strspn(name, "0123456789") != BASE_DIGITS ||
	    strcmp(name + BASE_DIGITS, ".log") != 0)
		return E_OK;
	v = realloc(p->segs, ((size_t)p->nsegs + 1) * sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	p->segs = v;
	errno = 0;
	v[p->nsegs] = (struct lseg){ .base = strtoll(name, &end, 10) };
	p->nsegs += errno == 0;
	return E_OK;
}

/* Where it begins and ends.  What cannot be read counts as one record, so that
 * it is missed. */
static enum err
part_ends(const struct local *l, const struct ltopic *t, struct lpart *p)
{
	struct lseg *last;
	enum err e;

	if (p->nsegs == 0)
		return E_OK;
	qsort(p->segs, (size_t)p->nsegs, sizeof *p->segs, by_base);
	last = &p->segs[p->nsegs - 1];
	if (p->start < p->segs[0].base)
		p->start = p->segs[0].base;
	e = seg_look(l, t, p->index, last);
	if (e == E_NOMEM)
		return e;
	p->end = e != E_OK ? last->base + 1 : last->end + last->hurt;
	if (p->end < p->start)
		p->end = p->start;
	return E_OK;
}

static enum err
part_list(struct local *l, struct ltopic *t, const char *name)
{
	int32_t index = (int32_t)strtol(name, NULL, 10);
	char path[SHARD_PATH];
	struct lpart *p;
	struct dirent *de;
	enum err e = E_OK;
	DIR *d;

	topic_dir(l, t, index, path);
	d = opendir(path);
	if (d == NULL)
		return E_OK;
	p = local_part(t, index, true);
	while (p != NULL && e == E_OK && (de = readdir(d)) != NULL)
		e = seg_add(p, de->d_name);
	closedir(d);
	return p == NULL ? E_NOMEM : e == E_OK ? part_ends(l, t, p) : e;
}

static enum err
topic_list(struct local *l, struct ltopic *t)
{
	char dir[SHARD_PATH];
	struct dirent *de;
	enum err e = E_OK;
	DIR *d;

	topic_dir(l, t, -1, dir);
	d = opendir(dir);
	while (d != NULL && e == E_OK && (de = readdir(d)) != NULL)
		if (de->d_name[0] >= '0' && de->d_name[0] <= '9' &&
		    strspn(de->d_name, "0123456789") == strlen(de->d_name) &&
		    strlen(de->d_name) < 10)
			e = part_list(l, t, de->d_name);
	if (d != NULL)
		closedir(d);
	return e;
}

/* Directories of topics that the catalogue does not name have their ids for
 * names. */
static enum err
strangers_add(struct local *l)
{
	char dir[SHARD_PATH], hex[33];
	struct dirent *de;
	enum err e = E_OK;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/topics", l->dir);
	d = opendir(dir);
	if (d == NULL)
		return E_NOTFOUND;
	while (e == E_OK && (de = readdir(d)) != NULL) {
		struct uuid id;

		if (strlen(de->d_name) != 32 ||
		    strspn(de->d_name, "0123456789abcdef") != 32)
			continue;
		snprintf(hex, sizeof hex, "%.32s", de->d_name);
		for (int i = 0; i < 16; i++) {
			char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

			id.b[i] = (uint8_t)strtoul(two, NULL, 16);
		}
		if (local_topic(l, &id, false) == NULL &&
		    !local_is_deleted(l, &id)) {
			struct ltopic *t = local_topic(l, &id, true);

			e = t == NULL || (t->name = strdup(hex)) == NULL ?
			    E_NOMEM : E_OK;
		}
	}
	closedir(d);
	return e;
}

enum err
local_open(const char *data_dir, struct local **out)
{
	struct local *l = calloc(1, sizeof *l);
	enum err e;

	if (l == NULL || (l->dir = strdup(data_dir)) == NULL) {
		free(l);
		return E_NOMEM;
	}
	e = local_catalogue(l);
	if (e == E_OK)
		e = strangers_add(l);
	for (int i = 0; i < l->ntopics && e == E_OK; i++)
		e = topic_list(l, &l->topics[i]);
	if (e == E_OK)
		*out = l;
	else
		local_close(l);
	return e;
}

void
local_close(struct local *l)
{
	if (l == NULL)
		return;
	for (int i = 0; i < l->ntopics; i++)
		local_topic_free(&l->topics[i]);
	free(l->topics);
	free(l->deleted);
	free(l->dir);
	free(l);
}

const char *
local_dir(const struct local *l)
{
	return l->dir;
}

/* ---- what a source is asked -------------------------------------------- */

static enum err
view_topic(const struct ltopic *t, struct view_res_topic *r, struct arena *a)
{
	*r = (struct view_res_topic){ .name = kstr_of(t->name), .id = t->id,
	    .enabled = t->enabled, .compacted = true,
	    .numeric = kstr_of(t->conf.numeric),
	    .text = kstr_of(t->conf.text), .ids = t->conf.ids,
	    .positions = t->conf.positions, .stem = t->conf.stem };
	r->parts.v = arena_array(a, (size_t)t->nparts + 1,
	    sizeof *r->parts.v);
	if (r->parts.v == NULL)
		return E_NOMEM;
	r->parts.n = t->nparts;
	for (int i = 0; i < t->nparts; i++)
		r->parts.v[i] = (struct view_res_part){
		    .index = t->parts[i].index, .start = t->parts[i].start,
		    .high_watermark = t->parts[i].end };
	return E_OK;
}

enum err
local_view(struct local *l, bool all, struct view_res *r, struct arena *a)
{
	enum err e = E_OK;

	*r = (struct view_res){ .stamp = 1 };
	r->topics.v = arena_array(a, (size_t)l->ntopics + 1,
	    sizeof *r->topics.v);
	if (r->topics.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < l->ntopics && e == E_OK; i++)
		if (all || l->topics[i].enabled)
			e = view_topic(&l->topics[i],
			    &r->topics.v[r->topics.n++], a);
	return e;
}

/* The place of the batch that holds the offset, or is before it by little;
 * and the end of whole batches of some bytes. */
static void
seg_range(const struct lseg *s, int64_t offset, int32_t bytes,
    struct extent *x)
{
	int lo = 0, hi = s->nmarks;
	int64_t end = s->size;

	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;

		if (s->marks[mid].offset <= offset)
			lo = mid;
		else
			hi = mid;
	}
	x->position = s->marks[lo].pos;
	for (int i = lo + 1; i < s->nmarks; i++)
		if (s->marks[i].pos - x->position >= bytes) {
			end = s->marks[i].pos;
			break;
		}
	/* A reader may go on from where this ends. */
	x->length = end - x->position > INT32_MAX ? INT32_MAX :
	    (int32_t)(end - x->position);
}

static enum err
seg_extent(const struct local *l, const struct ltopic *t, int32_t part,
    const struct lseg *s, const struct fetch_want *w, struct extents *x)
{
	struct ehandle *h = calloc(1, sizeof *h);
	int fd = seg_file(l, t, part, s->base);

	x->v = calloc(1, sizeof *x->v);
	if (h == NULL || x->v == NULL || fd == -1) {
		if (fd != -1)
			close(fd);
		free(h);
		free(x->v);
		x->v = NULL;
		return fd == -1 ? E_IO : E_NOMEM;
	}
	/* It goes with the last reference. */
	*h = (struct ehandle){ .fd = fd, .refs = 1, .retired = true };
	seg_range(s, w->offset, w->bytes_max, x->v);
	x->v->h = h;
	x->n = 1;
	return E_OK;
}

enum err
local_fetch(struct local *l, const struct fetch_want *w, struct extents *x)
{
	struct ltopic *t = local_topic(l, &w->topic, false);
	struct lpart *p = t == NULL ? NULL : local_part(t, w->part, false);
	enum err e;

	*x = (struct extents){ 0 };
	if (p == NULL)
		return E_UNKNOWN_TOPIC_ID;
	if (w->offset < p->start || w->offset > p->end)
		return E_OFFSET_OUT_OF_RANGE;
	for (int i = 0; i < p->nsegs; i++) {
		struct lseg *s = &p->segs[i];
		bool last = i + 1 == p->nsegs;

		if (!last && p->segs[i + 1].base <= w->offset)
			continue;
		e = seg_look(l, t, p->index, s);
		if (e != E_OK)
			return e;
		if (s->nmarks > 0 && w->offset < s->end)
			return seg_extent(l, t, p->index, s, w, x);
		if (s->hurt && w->offset < p->end)
			return E_CORRUPT;
	}
	return E_OK;
}
