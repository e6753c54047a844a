/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction writes segments anew.  So that their shards are made anew as
 * well, the file `segs` of a compacted topic's partition holds what the last
 * view said: a line "clean OFFSET", behind what compaction had gone over, and
 * a line "base end bytes" for each segment that had ended.
 *
 * What compaction has gone over since may have been indexed before; it may
 * have been rolled and rewritten between two views, so that nobody saw its
 * segment as it was.  And of what is gone over again a segment that is there
 * no more as it was has been rewritten.  Until their shards are, they hold too
 * much, which queries find out by reading the records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_in.h"
#include "lib/limits.h"
#include "lib/log.h"

#define HEAD	"clean "

enum { LINE_MAX_ = 80 };

static enum err
notes_load(struct ipart *p, const char *dir)
{
	char *text = file_text(dir, "segs"), *s = text, *end;
	int n = 0;

	p->noted_to = 0;
	if (text == NULL || strncmp(text, HEAD, strlen(HEAD)) != 0) {
		free(text);
		return E_OK;
	}
	p->noted_to = strtoll(text + strlen(HEAD), &s, 10);
	for (const char *c = s; *c != '\0'; c++)
		n += *c == '\n';
	p->notes = calloc((size_t)n + 1, sizeof *p->notes);
	for (; p->notes != NULL && p->nnotes < n - 1; p->nnotes++) {
		struct segnote *k = &p->notes[p->nnotes];

		k->base = strtoll(s, &end, 10);
		k->end = strtoll(end, &end, 10);
		k->bytes = strtoll(end, &end, 10);
		s = end;
	}
	free(text);
	return p->notes == NULL ? E_NOMEM : E_OK;
}

static enum err
notes_save(const struct ipart *p, const char *dir)
{
	struct wr w = wr_grow(((size_t)p->nnotes + 1) * LINE_MAX_);
	char line[LINE_MAX_];
	enum err e;

	snprintf(line, sizeof line, HEAD "%lld\n", (long long)p->noted_to);
	wr_bytes(&w, line, strlen(line));
	for (int i = 0; i < p->nnotes; i++) {
		snprintf(line, sizeof line, "%lld %lld %lld\n",
		    (long long)p->notes[i].base, (long long)p->notes[i].end,
		    (long long)p->notes[i].bytes);
		wr_bytes(&w, line, strlen(line));
	}
	wr_i8(&w, 0);
	e = w.bad ? E_NOMEM : tree_make(dir);
	if (e == E_OK)
		e = file_put(dir, "segs", (char *)w.p);
	wr_free(&w);
	return e;
}

/* The segment is as it was noted. */
static bool
is_same(const struct segnote *k, const struct view_res_seg *s)
{
	return k->base == s->base && k->end == s->end && k->bytes == s->bytes;
}

static bool
is_noted(const struct ipart *p, const struct view_res_seg *s)
{
	for (int i = 0; i < p->nnotes; i++)
		if (is_same(&p->notes[i], s))
			return true;
	return false;
}

/* What lies between two offsets has been rewritten: its shards go. */
static enum err
drop_shards(struct ipart *p, const char *dir, int64_t base, int64_t end)
{
	enum err e = E_OK;
	int n = 0;

	for (int i = 0; i < p->shards.n; i++) {
		struct shard *s = &p->shards.v[i];

		if (e == E_OK && s->base < end && s->end > base) {
			log_info("segment rewritten: shard made anew",
			    LS("topic", p->topic->name), LI("part", p->index),
			    LI("base", s->base));
			e = shard_remove(dir, s);
		} else
			p->shards.v[n++] = *s;
	}
	p->shards.n = n;
	return e;
}

/* The shards of what was rewritten since, unless the log's start has passed
 * it anyway. */
static enum err
drop_rewritten(struct ipart *p, const char *dir, int ended)
{
	enum err e = E_OK;

	if (p->clean_to > p->noted_to)
		e = drop_shards(p, dir, p->noted_to, p->clean_to);
	for (int i = 0; i < p->nnotes && e == E_OK; i++) {
		const struct segnote *k = &p->notes[i];
		bool there = k->end <= p->start;

		for (int j = 0; j < ended; j++)
			there |= is_same(k, &p->segs[j]);
		if (!there)
			e = drop_shards(p, dir, k->base, k->end);
	}
	return e;
}

enum err
segnotes_check(struct index *x, struct ipart *p)
{
	int ended = p->nsegs > 0 ? p->nsegs - 1 : 0, fresh = 0;
	char dir[SHARD_PATH];
	struct segnote *v;
	enum err e = E_OK;

	shard_dir(dir, x->dir, &p->topic->id, p->index);
	if (p->noted_to == -1)
		e = notes_load(p, dir);
	if (p->nsegs == 0 || e != E_OK)
		return e;
	for (int i = 0; i < ended; i++)
		fresh += !is_noted(p, &p->segs[i]);
	if (fresh == 0 && ended == p->nnotes && p->clean_to == p->noted_to)
		return E_OK;
	if ((e = drop_rewritten(p, dir, ended)) != E_OK)
		return e;
	v = calloc((size_t)ended + 1, sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	for (int i = 0; i < ended; i++)
		v[i] = (struct segnote){ p->segs[i].base, p->segs[i].end,
		    p->segs[i].bytes };
	free(p->notes);
	p->notes = v;
	p->nnotes = ended;
	p->noted_to = p->clean_to;
	return notes_save(p, dir);
}
