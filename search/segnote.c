/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction writes segments anew.  So that their shards are made anew as
 * well, the file `segs` holds a line "base end bytes" for each segment of a
 * compacted topic that had ended: one that is there no more as it was has
 * been rewritten.  Until its shards are, they hold too much, which queries
 * find out by reading the records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_in.h"
#include "lib/limits.h"
#include "lib/log.h"

enum { LINE_MAX_ = 80 };

static enum err
notes_load(struct ipart *p, const char *dir)
{
	char *text = file_text(dir, "segs"), *s = text, *end;
	int n = 0;

	if (text == NULL)
		return E_OK;
	for (const char *c = text; *c != '\0'; c++)
		n += *c == '\n';
	p->notes = calloc((size_t)n + 1, sizeof *p->notes);
	for (; p->notes != NULL && p->nnotes < n; p->nnotes++) {
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
	char *text = malloc((size_t)p->nnotes * LINE_MAX_ + 1);
	size_t at = 0;
	enum err e;

	if (text == NULL)
		return E_NOMEM;
	text[0] = '\0';
	for (int i = 0; i < p->nnotes; i++)
		at += (size_t)snprintf(text + at, LINE_MAX_,
		    "%lld %lld %lld\n", (long long)p->notes[i].base,
		    (long long)p->notes[i].end,
		    (long long)p->notes[i].bytes);
	e = tree_make(dir);
	if (e == E_OK)
		e = file_put(dir, "segs", text);
	free(text);
	return e;
}

static bool
is_noted(const struct ipart *p, const struct view_res_seg *s)
{
	for (int i = 0; i < p->nnotes; i++)
		if (p->notes[i].base == s->base && p->notes[i].end == s->end
		    && p->notes[i].bytes == s->bytes)
			return true;
	return false;
}

/* A noted segment that the log does not have any more as it was: its shards
 * go, unless the log's start has passed them anyway. */
static enum err
drop_shards(struct ipart *p, const char *dir, const struct segnote *k)
{
	enum err e = E_OK;
	int n = 0;

	for (int i = 0; i < p->shards.n; i++) {
		struct shard *s = &p->shards.v[i];

		if (e == E_OK && s->base < k->end && s->end > k->base) {
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

enum err
segnotes_check(struct index *x, struct ipart *p)
{
	int ended = p->nsegs > 0 ? p->nsegs - 1 : 0, fresh = 0;
	char dir[SHARD_PATH];
	struct segnote *v;
	enum err e = E_OK;

	shard_dir(dir, x->dir, &p->topic->id, p->index);
	if (p->notes == NULL)
		e = notes_load(p, dir);
	if (p->nsegs == 0 || e != E_OK)
		return e;
	for (int i = 0; i < ended; i++)
		fresh += !is_noted(p, &p->segs[i]);
	if (fresh == 0 && ended == p->nnotes)
		return E_OK;
	for (int i = 0; i < p->nnotes && e == E_OK; i++) {
		struct segnote *k = &p->notes[i];
		bool there = k->end <= p->start;

		for (int j = 0; j < ended; j++)
			there |= p->segs[j].base == k->base &&
			    p->segs[j].end == k->end &&
			    p->segs[j].bytes == k->bytes;
		if (!there)
			e = drop_shards(p, dir, k);
	}
	v = calloc((size_t)ended + 1, sizeof *v);
	if (v == NULL || e != E_OK) {
		free(v);
		return e == E_OK ? E_NOMEM : e;
	}
	for (int i = 0; i < ended; i++)
		v[i] = (struct segnote){ p->segs[i].base, p->segs[i].end,
		    p->segs[i].bytes };
	free(p->notes);
	p->notes = v;
	p->nnotes = ended;
	return notes_save(p, dir);
}
