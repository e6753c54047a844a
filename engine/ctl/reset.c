/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik group reset: sets the offsets that a group goes on from.  As with
 * Kafka's tool it shows what it would do, until it is told to do it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "group.h"
#include "lib/conf.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static const struct kstr no_words = { -1, NULL };

enum where { AT_EARLIEST, AT_LATEST, AT_OFFSET, AT_SHIFT, AT_TIME };

/* What --to says: n is an offset, a distance, or ms since 1970. */
struct target {
	enum where	 where;
	int64_t		 n;
};

/* A partition whose offset is to change. */
struct change {
	struct kstr	 topic;
	int32_t		 part;
	int64_t		 was, to;	/* -1: none, not known yet */
	int64_t		 start, end;
	enum err	 err;
	const char	*why;		/* words of our own, or NULL */
};

struct changes {
	struct change	*v;
	size_t		 n, cap;
};

/* ---- --to -------------------------------------------------------------- */

static bool
all_digits(const char *s, int64_t *n)
{
	return s[0] >= '0' && s[0] <= '9' && conf_parse_int(kstr_of(s), n);
}

/* 500ms, 90s, 15m, 2h, 3d: that long ago. */
static bool
parse_ago(const char *s, int64_t *ms)
{
	static const struct { const char *name; int64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 },
	};
	size_t digits = strspn(s, "0123456789");
	struct timeval now;
	int64_t n;

	if (digits == 0 || !conf_parse_int((struct kstr){ (int32_t)digits,
	    s }, &n))
		return false;
	for (int i = 0; i < COUNT(units); i++)
		if (strcmp(s + digits, units[i].name) == 0) {
			gettimeofday(&now, NULL);
			*ms = (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
			return !__builtin_mul_overflow(n, units[i].ms, &n) &&
			    !__builtin_sub_overflow(*ms, n, ms) && *ms >= 0;
		}
	return false;
}

/* Behind a time of day: Z, nothing (which is the same), or +HH:MM. */
static bool
parse_zone(const char *s, int64_t *seconds)
{
	int h, m, used = 0;

	*seconds = 0;
	if (strcmp(s, "Z") == 0 || *s == '\0')
		return true;
	if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2d:%2d%n", &h, &m,
	    &used) != 2 || s[1 + used] != '\0' || h > 23 || m > 59)
		return false;
	*seconds = (*s == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

/* 2026-11-26, 2026-11-26T08:15, ...:30, ...:30.250, with a zone or in UTC. */
static bool
parse_time(const char *s, int64_t *ms)
{
	struct tm tm = { 0 };
	const char *p = strptime(s, "%Y-%m-%d", &tm);
	int64_t zone, fraction = 0;
	int digits = 0;

	if (p == NULL)
		return false;
	if (*p == 'T' && (p = strptime(p, "T%H:%M", &tm)) == NULL)
		return false;
	if (*p == ':' && (p = strptime(p, ":%S", &tm)) == NULL)
		return false;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9' && digits < 3; digits++)
			fraction = fraction * 10 + *p++ - '0';
	for (; digits > 0 && digits < 3; digits++)
		fraction *= 10;
	if (!parse_zone(p, &zone))
		return false;
	*ms = ((int64_t)timegm(&tm) - zone) * 1000 + fraction;
	return *ms >= 0;
}

static struct target
parse_to(const struct args *a)
{
	const char *s = a->opt[OPT_to];
	struct target t = { AT_OFFSET, 0 };

	if (s == NULL)
		args_fail(a, "--to", "is missing");
	if (strcmp(s, "earliest") == 0)
		t.where = AT_EARLIEST;
	else if (strcmp(s, "latest") == 0)
		t.where = AT_LATEST;
	else if ((s[0] == '+' || s[0] == '-') && all_digits(s + 1, &t.n)) {
		t.where = AT_SHIFT;
		t.n = s[0] == '-' ? -t.n : t.n;
	} else if (!all_digits(s, &t.n)) {
		t.where = AT_TIME;
		if (!parse_ago(s, &t.n) && !parse_time(s, &t.n))
			args_fail(a, "--to", "must be earliest, latest, an "
			    "offset, +N, -N, a time such as "
			    "2026-11-26T08:15:00Z, or how long ago, such as "
			    "90s, 15m, 2h or 3d");
	}
	return t;
}

/* ---- partitions -------------------------------------------------------- */

static struct change *
add(struct changes *cs, struct kstr topic, int32_t part, int64_t was)
{
	struct change *c;

	if (cs->n == cs->cap) {
		cs->cap = cs->cap == 0 ? 64 : cs->cap * 2;
		cs->v = realloc(cs->v, cs->cap * sizeof *cs->v);
		ASSERT(cs->v != NULL);
	}
	c = &cs->v[cs->n++];
	*c = (struct change){ .topic = topic, .part = part, .was = was,
	    .to = -1 };
	return c;
}

static int64_t
committed(const struct offset_fetch_res_group *o, struct kstr topic,
    int32_t part)
{
	for (int32_t i = 0; i < o->topics.n; i++)
		for (int32_t k = 0; kstr_eq(o->topics.v[i].name, topic) &&
		    k < o->topics.v[i].partitions.n; k++)
			if (o->topics.v[i].partitions.v[k].partition_index ==
			    part)
				return o->topics.v[i].partitions.v[k].
				    committed_offset;
	return -1;
}

static bool
wanted(const struct args *a, int32_t part)
{
	int32_t only = args_number(a, OPT_partition, 0, INT32_MAX, -1);

	return only < 0 || only == part;
}

/* All partitions of the topics that are named, or else those that there are
 * offsets of. */
static void
collect(const struct args *a, struct eng *g,
    const struct offset_fetch_res_group *o, struct changes *cs,
    struct arena *arena)
{
	for (int i = 0; i < a->ntopics; i++) {
		struct kstr name = kstr_of(a->topics[i]);
		const struct topic_stats_res_topic *t = group_topic(a, g,
		    name, arena);
		size_t before = cs->n;

		for (int32_t k = 0; t != NULL && k < t->parts.n; k++)
			if (wanted(a, t->parts.v[k].index))
				(void)add(cs, name, t->parts.v[k].index,
				    committed(o, name, t->parts.v[k].index));
		if (cs->n == before)
			add(cs, name, args_number(a, OPT_partition, 0,
			    INT32_MAX, -1), -1)->err = E_UNKNOWN_TOPIC;
	}
	for (int32_t i = 0; a->ntopics == 0 && i < o->topics.n; i++)
		for (int32_t k = 0; k < o->topics.v[i].partitions.n; k++) {
			const struct offset_fetch_res_group_topic_part *p =
			    &o->topics.v[i].partitions.v[k];

			if (wanted(a, p->partition_index))
				(void)add(cs, o->topics.v[i].name,
				    p->partition_index, p->committed_offset);
		}
}

/* Where the partition's log starts and ends. */
static void
find_ends(const struct args *a, struct eng *g, struct changes *cs,
    struct arena *arena)
{
	const struct topic_stats_res_topic *t = NULL;

	for (size_t i = 0; i < cs->n; i++) {
		struct change *c = &cs->v[i];
		int32_t k = 0;

		if (i == 0 || !kstr_eq(c->topic, cs->v[i - 1].topic))
			t = group_topic(a, g, c->topic, arena);
		while (t != NULL && k < t->parts.n && t->parts.v[k].index !=
		    c->part)
			k++;
		if (c->err != E_OK)
			continue;
		if (t == NULL || k == t->parts.n) {
			c->err = E_UNKNOWN_TOPIC;
			continue;
		}
		c->err = t->parts.v[k].error > 0 && t->parts.v[k].error <
		    E_MAX ? (enum err)t->parts.v[k].error : E_OK;
		c->start = t->parts.v[k].log_start_offset;
		c->end = t->parts.v[k].high_watermark;
	}
}

/* The first offset with that time, or a later one; -1: none. */
static int64_t
offset_at(const struct args *a, struct eng *g, struct change *c, int64_t ms,
    struct arena *arena)
{
	struct list_offsets_req_topic_part p = { .partition_index = c->part,
	    .current_leader_epoch = -1, .timestamp = ms,
	    .max_num_offsets = 1 };
	struct list_offsets_req_topic t = { c->topic, { 1, &p } };
	struct list_offsets_req req = { .replica_id = -1, .topics = { 1, &t },
	    .timeout_ms = a->timeout_ms };
	struct list_offsets_res res;

	args_call(a, g, API_LIST_OFFSETS, 7, &req, &res, arena);
	if (res.topics.n != 1 || res.topics.v[0].partitions.n != 1) {
		c->err = E_PROTO;
		return -1;
	}
	c->err = err_of_code(res.topics.v[0].partitions.v[0].error_code);
	return res.topics.v[0].partitions.v[0].offset;
}

/* What lies outside the log is moved to its nearest end, as Kafka's tool
 * does. */
static void
aim(const struct args *a, struct eng *g, struct target t, struct change *c,
    struct arena *arena)
{
	int64_t to = -1;

	if (c->err != E_OK)
		return;
	switch (t.where) {
	case AT_EARLIEST:
		to = c->start;
		break;
	case AT_LATEST:
		to = c->end;
		break;
	case AT_OFFSET:
		to = t.n;
		break;
	case AT_SHIFT:
		if (c->was < 0) {
			c->err = E_INVALID_REQUEST;
			c->why = "there is no offset to count from";
		} else if (__builtin_add_overflow(c->was, t.n, &to))
			to = INT64_MAX;
		break;
	case AT_TIME:
		to = offset_at(a, g, c, t.n, arena);
		if (to < 0)
			to = c->end;
		break;
	}
	to = to > c->end ? c->end : to;
	c->to = to < c->start ? c->start : to;
}

/* ---- doing it ---------------------------------------------------------- */

static void
commit(const struct args *a, struct eng *g, struct changes *cs,
    struct arena *arena)
{
	struct offset_commit_req_topic *t = arena_array(arena, cs->n + 1,
	    sizeof *t);
	struct offset_commit_req_topic_part *p = arena_array(arena,
	    cs->n + 1, sizeof *p);
	struct offset_commit_req req = { .group_id = kstr_of(a->operands[0]),
	    .generation_id_or_member_epoch = -1, .member_id = kstr_of(""),
	    .group_instance_id = no_words, .retention_time_ms = -1 };
	struct offset_commit_res res;

	ASSERT(t != NULL && p != NULL);
	req.topics.v = t;
	for (size_t i = 0; i < cs->n; i++) {
		if (cs->v[i].err != E_OK)
			continue;
		t[req.topics.n++] = (struct offset_commit_req_topic){
		    .name = cs->v[i].topic, .partitions = { 1, p } };
		*p++ = (struct offset_commit_req_topic_part){
		    cs->v[i].part, cs->v[i].to, -1, -1, kstr_of("") };
	}
	if (req.topics.n == 0)
		return;
	args_call(a, g, API_OFFSET_COMMIT, 9, &req, &res, arena);
	/* In the order of the request. */
	for (size_t i = 0, k = 0; i < cs->n; i++) {
		if (cs->v[i].err != E_OK)
			continue;
		if (k >= (size_t)res.topics.n ||
		    res.topics.v[k].partitions.n != 1)
			cs->v[i].err = E_PROTO;
		else
			cs->v[i].err = err_of_code(res.topics.v[k].
			    partitions.v[0].error_code);
		k++;
	}
}

static json_t *
number(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static int
report(const struct args *a, const struct changes *cs, bool dry)
{
	static const struct column cols[] = {
		{ "topic", "TOPIC", false },
		{ "partition", "PARTITION", true },
		{ "was", "WAS", true },
		{ "offset", "OFFSET", true },
		{ "status", "STATUS", false },
		{ "error", "ERROR", false },
		{ "message", "MESSAGE", false },
	};
	json_t *items = json_array();
	int failed = 0;

	for (size_t i = 0; i < cs->n; i++) {
		const struct change *c = &cs->v[i];
		json_t *j = json_object();

		json_object_set_new(j, "topic", out_str(c->topic));
		json_object_set_new(j, "partition", number(c->part));
		json_object_set_new(j, "was", number(c->was));
		json_object_set_new(j, "offset", number(c->err == E_OK
		    ? c->to : -1));
		json_object_set_new(j, "status", json_string(c->err != E_OK
		    ? "failed" : dry ? "would be reset" : "reset"));
		out_verdict(j, c->err, c->why == NULL ? no_words
		    : kstr_of(c->why));
		if (dry)
			json_object_set_new(j, "dry_run", json_true());
		json_array_append_new(items, j);
		if (c->err == E_OK)
			continue;
		failed++;
		out_error(a, json_string_value(json_object_get(j, "topic")),
		    c->err, c->why == NULL ? no_words : kstr_of(c->why));
	}
	out_items(a, "chronik.group.reset/1", items, cols, COUNT(cols));
	return failed;
}

/* Members would go on from what they know, and overwrite it. */
static void
check_idle(const struct args *a, struct eng *g, struct arena *arena)
{
	struct group_info info;
	enum err e = group_get(a, g, a->operands[0], &info, arena);

	if (e == E_GROUP_ID_NOT_FOUND || (e == E_OK && info.nmembers == 0))
		return;
	out_error(a, a->operands[0], e == E_OK ? E_NON_EMPTY_GROUP : e,
	    no_words);
	exit(e == E_OK ? EXIT_REFUSED : EXIT_ITEM);
}

int
cmd_group_reset(struct args *a)
{
	bool dry = a->opt[OPT_execute] == NULL;
	struct offset_fetch_res_group *o = NULL;
	struct target t = parse_to(a);
	struct changes cs = { 0 };
	struct arena arena;
	struct eng *g;
	int failed;
	enum err e;

	if (!dry && a->opt[OPT_dry_run] != NULL)
		args_fail(a, "--execute and --dry-run",
		    "are not for the same command");
	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	check_idle(a, g, &arena);
	e = group_offsets(a, g, a->operands[0], &o, &arena);
	if (e != E_OK) {
		out_error(a, a->operands[0], e, no_words);
		failed = 1;
		goto out;
	}
	collect(a, g, o, &cs, &arena);
	if (cs.n == 0) {
		out_error(a, a->operands[0], E_GROUP_ID_NOT_FOUND, kstr_of(
		    "it has no offsets; --topic names what to set"));
		failed = 1;
		goto out;
	}
	find_ends(a, g, &cs, &arena);
	for (size_t i = 0; i < cs.n; i++)
		aim(a, g, t, &cs.v[i], &arena);
	if (!dry)
		commit(a, g, &cs, &arena);
	failed = report(a, &cs, dry);
	if (dry && failed < (int)cs.n && a->opt[OPT_dry_run] == NULL)
		fprintf(stderr, "hint: nothing was changed; --execute does "
		    "it\n");
out:
	free(cs.v);
	arena_reset(&arena);
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}
