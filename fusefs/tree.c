/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is where: the names in each directory, and what a name leads to.
 * Directories that could be endless list little and find more by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "lib/conf.h"

enum { LIST_AGE_MS = 1000 };	/* a directory may be so much behind */

/* The names that a directory always has. */
static const struct fixed { enum kind in; const char *name; enum kind kind; }
fixed[] = {
	{ KIND_ROOT,	"README",	KIND_README },
	{ KIND_ROOT,	".chronik",	KIND_CTL },
	{ KIND_ROOT,	"topics",	KIND_TOPICS },
	{ KIND_ROOT,	"groups",	KIND_GROUPS },
	{ KIND_ROOT,	"search",	KIND_SEARCH },
	{ KIND_ROOT,	"engines",	KIND_ENGINES },
	{ KIND_CTL,	"status.json",	KIND_STATUS },
	{ KIND_CTL,	"errors.log",	KIND_ERRORS },
	{ KIND_CTL,	"metrics",	KIND_METRICS },
	{ KIND_CTL,	"ctl",		KIND_CONTROL },
	{ KIND_TOPIC,	"meta.json",	KIND_TOPIC_META },
	{ KIND_TOPIC,	"config",	KIND_CONFIG },
	{ KIND_TOPIC,	"follow",	KIND_FOLLOW },
	{ KIND_TOPIC,	"produce",	KIND_PRODUCE },
	{ KIND_TOPIC,	"by-key",	KIND_BY_KEY },
	{ KIND_PART,	"meta.json",	KIND_PART_META },
	{ KIND_PART,	"log.jsonl",	KIND_LOG },
	{ KIND_PART,	"follow",	KIND_FOLLOW },
	{ KIND_PART,	"produce",	KIND_PRODUCE },
	{ KIND_PART,	"segments",	KIND_SEGMENTS },
	{ KIND_PART,	"by-time",	KIND_BY_TIME },
	{ KIND_PART,	"by-offset",	KIND_BY_OFFSET },
	{ KIND_PART,	"by-key",	KIND_BY_KEY },
	{ KIND_BY_OFFSET, "first",	KIND_FIRST },
	{ KIND_BY_OFFSET, "last",	KIND_LAST },
	{ KIND_GROUP,	"meta.json",	KIND_GROUP_META },
	{ KIND_GROUP,	"offsets.json",	KIND_GROUP_OFFSETS },
	{ KIND_GROUP,	"lag.json",	KIND_GROUP_LAG },
	{ KIND_GROUP,	"offsets",	KIND_OFFSETS },
	{ KIND_ENGINE,	"meta.json",	KIND_ENGINE_META },
	{ KIND_QUERY,	"query",	KIND_QUERY_TEXT },
	{ KIND_QUERY,	"count",	KIND_COUNT },
	{ KIND_QUERY,	"results.jsonl", KIND_RESULTS },
	{ KIND_QUERY,	"facets.json",	KIND_FACETS },
	{ KIND_QUERY,	"coverage.json", KIND_COVERAGE },
	{ KIND_QUERY,	"hits",		KIND_HITS },
};
enum { NFIXED = sizeof fixed / sizeof *fixed };

/* A mount that is read only has nothing to write to. */
static bool
fixed_in(const struct fs *fs, const struct fixed *f, enum kind dir)
{
	return f->in == dir && (fs->conf.writable ||
	    (f->kind != KIND_PRODUCE && f->kind != KIND_CONTROL));
}

/* A number without sign, blanks or leading zeroes; *rest is what follows. */
static bool
parse_offset(const char *s, int64_t *out, const char **rest)
{
	int64_t v = 0;

	if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *s - '0', &v))
			return false;
	*out = v;
	*rest = s;
	return true;
}

/* ---- lookups ------------------------------------------------------------ */

static int
lookup_topic(struct op *op, const char *name, struct node_key *k)
{
	struct topic *t;
	int eno = topics_fresh(op, LIST_AGE_MS);

	if (eno != 0)
		return eno;
	/* One that is not there may be younger than the list. */
	if ((t = topic_find(op->fs, name)) == NULL) {
		if ((eno = topics_fresh(op, 0)) != 0)
			return eno;
		if ((t = topic_find(op->fs, name)) == NULL)
			return ENOENT;
	}
	*k = (struct node_key){ .kind = KIND_TOPIC, .part = -1, .topic = t };
	return 0;
}

static int
lookup_part(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	struct topic *t = dir->key.topic;
	const char *rest;
	int64_t i;
	int eno;

	if (!parse_offset(name, &i, &rest) || *rest != '\0')
		return ENOENT;
	if (i >= t->nparts && (eno = topics_fresh(op, 0)) != 0)
		return eno;
	if (!t->listed)
		return ESTALE;
	if (i >= t->nparts)
		return ENOENT;
	*k = (struct node_key){ .kind = KIND_PART, .part = (int32_t)i,
	    .topic = t };
	return 0;
}

static int
lookup_config(struct node *dir, const char *name, struct node_key *k)
{
	const struct topic_row *row;

	for (int i = 0; (row = topic_row(i)) != NULL; i++)
		if (strcmp(row->name, name) == 0) {
			*k = (struct node_key){ .kind = KIND_CONFIG_KEY,
			    .part = -1, .topic = dir->key.topic,
			    .name = row->name };
			return 0;
		}
	return ENOENT;
}

/* 20 digits and an ending. */
static int
lookup_segment(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	static const struct { const char *end; enum kind kind; } ends[] = {
		{ ".jsonl", KIND_SEG_JSONL }, { ".log", KIND_SEG_LOG },
		{ ".meta.json", KIND_SEG_META } };
	int64_t base;
	char *rest;
	int eno;

	if (strspn(name, "0123456789") != 20 || name[0] > '0')
		return ENOENT;
	base = strtoll(name, &rest, 10);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		if (strcmp(rest, ends[i].end) != 0)
			continue;
		if ((eno = part_fresh(op, dir->part, LIST_AGE_MS)) != 0)
			return eno;
		if (part_seg(dir->part, base) == NULL) {
			if ((eno = part_fresh(op, dir->part, 0)) != 0)
				return eno;
			if (part_seg(dir->part, base) == NULL)
				return ENOENT;
		}
		*k = dir->key;
		k->kind = ends[i].kind;
		k->a = base;
		k->b = ends[i].kind == KIND_SEG_JSONL ? INT64_MAX : 0;
		k->gen = (uint32_t)part_seg(dir->part, base)->born_gen;
		return 0;
	}
	return ENOENT;
}

/* N, N.json, A-B.jsonl */
static int
lookup_offset(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	struct part *p = dir->part;
	const char *rest;
	int64_t a, b;
	int eno;

	if (!parse_offset(name, &a, &rest))
		return ENOENT;
	b = a;
	*k = dir->key;
	if (*rest == '\0')
		k->kind = KIND_VALUE;
	else if (strcmp(rest, ".json") == 0)
		k->kind = KIND_RECORD;
	else if (*rest == '-' && parse_offset(rest + 1, &b, &rest) &&
	    strcmp(rest, ".jsonl") == 0 && b >= a && b < INT64_MAX)
		k->kind = KIND_RANGE;
	else
		return ENOENT;
	if ((p->sent == 0 || a < p->start || b >= p->hw) &&
	    (eno = part_fresh(op, p, 0)) != 0)
		return eno;
	if (a < p->start || b >= p->hw)
		return ENOENT;
	k->a = a;
	k->b = k->kind == KIND_RANGE ? b + 1 : 0;
	k->gen = p->rewrites;
	return 0;
}

/* The log has an inode per place where it begins. */
static int
lookup_log(struct op *op, struct node *dir, struct node_key *k)
{
	int eno = part_fresh(op, dir->part, 0);

	k->a = dir->part->start;
	k->b = INT64_MAX;
	k->gen = dir->part->rewrites;
	return eno;
}

/* 90s, 2h: in ms. */
static bool
parse_age(const char *s, int64_t *ms)
{
	static const struct { const char *name; int64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
		{ "d", 86400000 }, { "w", 604800000 } };
	const char *rest;

	if (!parse_offset(s, ms, &rest))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(rest, units[i].name) == 0)
			return !__builtin_mul_overflow(*ms, units[i].ms, ms);
	return false;
}

/* follow@OFFSET: from there on; follow@-AGE: from what is so old on. */
static int
lookup_follow(struct node *dir, const char *name, struct node_key *k)
{
	const char *rest;

	*k = dir->key;
	k->kind = KIND_FOLLOW;
	if (strncmp(name, "follow@", 7) != 0)
		return ENOENT;
	if (name[7] == '-') {
		k->a = FOLLOW_AGE;
		return parse_age(name + 8, &k->b) ? 0 : ENOENT;
	}
	return dir->key.part >= 0 && parse_offset(name + 7, &k->a, &rest) &&
	    *rest == '\0' ? 0 : ENOENT;
}

/* An engine has a number; there is one. */
static int
lookup_engine(struct op *op, const char *name, struct node_key *k)
{
	const char *rest;

	if (!parse_offset(name, &k->a, &rest) || *rest != '\0' ||
	    k->a != elink_hello(op->fs->link)->node_id)
		return ENOENT;
	*k = (struct node_key){ .kind = KIND_ENGINE, .part = -1, .a = k->a };
	return 0;
}

/* groups/NAME/offsets: any topic and partition that there is. */
static int
lookup_offsets(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	int eno = dir->key.kind == KIND_OFFSETS ? lookup_topic(op, name, k) :
	    lookup_part(op, dir, name, k);

	k->kind = dir->key.kind == KIND_OFFSETS ? KIND_OFFSETS_TOPIC :
	    KIND_OFFSET;
	k->name = dir->key.name;
	return eno;
}

static int
lookup_fixed(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	for (int i = 0; i < NFIXED; i++) {
		if (!fixed_in(op->fs, &fixed[i], dir->key.kind) ||
		    strcmp(fixed[i].name, name) != 0)
			continue;
		*k = dir->key;
		k->kind = fixed[i].kind;
		k->a = k->kind == KIND_FOLLOW ? FOLLOW_END : 0;
		k->b = 0;
		if (k->kind == KIND_LOG)
			return lookup_log(op, dir, k);
		return dir->key.kind == KIND_QUERY ?
		    search_lookup(op, dir, name, k) : 0;
	}
	return ENOENT;
}

int
tree_lookup(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	int eno = lookup_fixed(op, dir, name, k);

	if (eno != ENOENT)
		return eno;
	switch (dir->key.kind) {
	case KIND_TOPICS:
		return lookup_topic(op, name, k);
	case KIND_TOPIC:
		eno = lookup_follow(dir, name, k);
		return eno == 0 ? 0 : lookup_part(op, dir, name, k);
	case KIND_CONFIG:
		return lookup_config(dir, name, k);
	case KIND_PART:
		return lookup_follow(dir, name, k);
	case KIND_SEGMENTS:
		return lookup_segment(op, dir, name, k);
	case KIND_BY_TIME:
		return by_time_lookup(op, dir, name, k);
	case KIND_DAY:
		return day_lookup(op, dir, name, k);
	case KIND_BY_OFFSET:
		return lookup_offset(op, dir, name, k);
	case KIND_GROUPS:
		return group_lookup(op, name, k);
	case KIND_ENGINES:
		return lookup_engine(op, name, k);
	case KIND_OFFSETS:
	case KIND_OFFSETS_TOPIC:
		return lookup_offsets(op, dir, name, k);
	case KIND_SEARCH:
	case KIND_HITS:
	case KIND_BY_KEY:
		return search_lookup(op, dir, name, k);
	default:
		return ENOENT;
	}
}

/* ---- listings ----------------------------------------------------------- */

static enum err
list_topics(struct fs *fs, struct listing *l)
{
	struct node_key k = { .kind = KIND_TOPIC, .part = -1 };
	struct topic *t;
	enum err e = E_OK;

	TAILQ_FOREACH(t, &fs->topics, next) {
		k.topic = t;
		if ((e = listing_add(l, &k, t->name)) != E_OK)
			break;
	}
	return e;
}

static enum err
list_parts(struct node *dir, struct listing *l)
{
	struct node_key k = { .kind = KIND_PART, .topic = dir->key.topic };
	enum err e = E_OK;
	char name[16];

	for (; e == E_OK && k.part < dir->key.topic->nparts; k.part++) {
		snprintf(name, sizeof name, "%d", k.part);
		e = listing_add(l, &k, name);
	}
	return e;
}

static enum err
list_configs(struct node *dir, struct listing *l)
{
	struct node_key k = { .kind = KIND_CONFIG_KEY, .part = -1,
	    .topic = dir->key.topic };
	const struct topic_row *row;
	enum err e = E_OK;

	for (int i = 0; e == E_OK && (row = topic_row(i)) != NULL; i++) {
		k.name = row->name;
		e = listing_add(l, &k, row->name);
	}
	return e;
}

static enum err
list_segments(struct node *dir, struct listing *l)
{
	static const struct { const char *end; enum kind kind; } ends[] = {
		{ ".jsonl", KIND_SEG_JSONL }, { ".log", KIND_SEG_LOG },
		{ ".meta.json", KIND_SEG_META } };
	struct node_key k = dir->key;
	enum err e = E_OK;
	struct tseg *s;
	char name[64];

	TAILQ_FOREACH(s, &dir->part->segs, next)
		for (size_t i = 0; i < 3 && e == E_OK && !s->gone; i++) {
			k.kind = ends[i].kind;
			k.a = s->base;
			k.b = k.kind == KIND_SEG_JSONL ? INT64_MAX : 0;
			k.gen = s->born_gen;
			snprintf(name, sizeof name, "%020lld%s",
			    (long long)s->base, ends[i].end);
			e = listing_add(l, &k, name);
		}
	return e;
}

static enum err
list_engines(struct fs *fs, struct listing *l)
{
	struct node_key k = { .kind = KIND_ENGINE, .part = -1,
	    .a = elink_hello(fs->link)->node_id };
	char name[24];

	snprintf(name, sizeof name, "%lld", (long long)k.a);
	return listing_add(l, &k, name);
}

static enum err
list_fixed(struct node *dir, struct listing *l)
{
	struct node_key k = dir->key;
	enum err e = E_OK;

	for (int i = 0; i < NFIXED && e == E_OK; i++) {
		if (!fixed_in(dir->fs, &fixed[i], dir->key.kind))
			continue;
		/* An empty partition has no first and no last record. */
		if (dir->key.kind == KIND_BY_OFFSET &&
		    dir->part->start >= dir->part->hw)
			continue;
		k.kind = fixed[i].kind;
		k.a = k.kind == KIND_FOLLOW ? FOLLOW_END :
		    k.kind == KIND_LOG ? dir->part->start : 0;
		k.b = k.kind == KIND_LOG ? INT64_MAX : 0;
		k.gen = k.kind == KIND_LOG ? dir->part->rewrites : 0;
		e = listing_add(l, &k, fixed[i].name);
	}
	return e;
}

/* Dates and groups are added where they are known. */
int
tree_list(struct op *op, struct node *dir, struct listing *l)
{
	int eno = 0;
	enum err e;

	if (dir->key.kind == KIND_TOPICS || dir->key.kind == KIND_TOPIC)
		eno = topics_fresh(op, dir->key.kind == KIND_TOPIC ?
		    LIST_AGE_MS : 0);
	else if (dir->key.kind == KIND_PART || dir->key.kind ==
	    KIND_SEGMENTS || dir->key.kind == KIND_BY_OFFSET)
		eno = part_fresh(op, dir->part, 0);
	else if (dir->key.kind == KIND_BY_TIME)
		return by_time_list(op, dir, l);
	else if (dir->key.kind == KIND_DAY)
		return day_list(dir, l);
	else if (dir->key.kind == KIND_GROUPS)
		return groups_list(op, l);
	else if (dir->key.kind == KIND_HITS)
		return hits_list(op, dir, l);
	else if (dir->key.kind == KIND_OFFSETS)
		return offsets_list(op, dir, l);
	else if (dir->key.kind == KIND_OFFSETS_TOPIC)
		return offset_files_list(dir, l);
	if (eno != 0)
		return eno;
	e = list_fixed(dir, l);
	if (e == E_OK && dir->key.kind == KIND_TOPICS)
		e = list_topics(op->fs, l);
	if (e == E_OK && dir->key.kind == KIND_TOPIC)
		e = list_parts(dir, l);
	if (e == E_OK && dir->key.kind == KIND_CONFIG)
		e = list_configs(dir, l);
	if (e == E_OK && dir->key.kind == KIND_SEGMENTS)
		e = list_segments(dir, l);
	if (e == E_OK && dir->key.kind == KIND_ENGINES)
		e = list_engines(op->fs, l);
	return err_errno(e);
}

int
tree_link(struct op *op, struct node *n, char *buf, size_t size)
{
	struct part *p = n->part;
	int eno;

	/* A hit has its place for a name. */
	if (n->key.kind == KIND_HIT) {
		snprintf(buf, size, "../../../topics/%s", n->key.name);
		return 0;
	}
	if ((eno = part_fresh(op, p, 0)) != 0)
		return eno;
	if (p->start >= p->hw)
		return ENOENT;
	snprintf(buf, size, "%lld.json", (long long)
	    (n->key.kind == KIND_FIRST ? p->start : p->hw - 1));
	return 0;
}
