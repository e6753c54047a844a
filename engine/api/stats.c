/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine says of itself, for the tools. */
#include <string.h>

#include "configs_call.h"
#include "log/look.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

static const char *const sync_names[] = { "commit", "interval", "os" };

static int32_t
offline(const struct engine *eng)
{
	int32_t n = 0;

	for (const struct topic *t = eng->topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++)
			n += t->parts[i]->state != PART_ONLINE;
	return n;
}

void
handle_stats(struct call *c)
{
	struct engine *eng = c->eng;
	struct stats_res res = {
		.version = kstr_of(PACKAGE_VERSION),
		.cluster_id = kstr_of(eng->cluster_id),
		.node_id = (int32_t)eng->conf->node_id,
		.leader_epoch = eng->epoch,
		.data_dir = kstr_of(eng->data),
		.sync = kstr_of(sync_names[eng->conf->sync]),
		.uptime_ms = mono_ms() - eng->started,
		.clean_start = eng->clean_start,
		.topics = (int32_t)eng->topics.n,
		.parts = (int32_t)eng->topics.nparts,
		.parts_offline = offline(eng),
		.links = c->link->serve->nlinks,
		.fetches_parked = eng->parked,
		.appends = eng->stats.appends,
		.append_bytes = eng->stats.append_bytes,
		.syncs = eng->commit.syncs,
		.fetches = eng->stats.fetches,
		.fetch_bytes = eng->stats.fetch_bytes,
		.cold_reads = eng->stats.cold_reads,
	};

	call_reply(c, &res);
}

static enum err
state_err(enum part_state st)
{
	switch (st) {
	case PART_ONLINE:
		return E_OK;
	case PART_RECOVERING:
		return E_LEADER_NOT_AVAILABLE;
	case PART_FENCED:
		return E_FENCED;
	case PART_OFFLINE:
		return E_CORRUPT;
	case PART_GONE:
		return E_UNKNOWN_TOPIC;
	}
	return E_UNKNOWN;
}

static void
part_stats(const struct part *p, struct topic_stats_res_part *r)
{
	double dirty = cleaner_ratio(p);

	*r = (struct topic_stats_res_part){ .index = p->id.part,
	    .error = (int16_t)state_err(p->state), .leader_epoch = p->epoch,
	    .log_start_offset = p->start, .high_watermark = p->hw,
	    .end_offset = part_written(p), .segments = p->nsegs,
	    .producers = p->prods == NULL ? 0 : prod_count(p->prods),
	    .dirty = dirty < 0 ? -1 : (int32_t)(dirty * 1000 + 0.5),
	    .compacted_ms = p->clean.at, .compact_tries = p->clean.tries,
	    .segments_refused = p->clean.refused };
	for (int i = 0; i < p->nsegs; i++)
		r->bytes += p->segs[i]->size;
}

static enum err
topic_stats(struct arena *a, const struct topic *t,
    struct topic_stats_res_topic *r)
{
	const struct topic_row *row;
	int n = CONF_TOPICS;

	r->name = kstr_of(arena_strndup(a, t->name, strlen(t->name)));
	r->id = t->id;
	r->parts.n = t->nparts;
	r->parts.v = arena_array(a, (size_t)t->nparts, sizeof *r->parts.v);
	r->configs.n = n;
	r->configs.v = arena_array(a, (size_t)n, sizeof *r->configs.v);
	if (r->name.len < 0 || r->parts.v == NULL || r->configs.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < t->nparts; i++)
		part_stats(t->parts[i], &r->parts.v[i]);
	for (int i = 0; (row = topic_row(i)) != NULL; i++) {
		enum config_source src;
		const char *value = topic_config_value(t->eng, &t->own.set,
		    row, &src);
		char *v = arena_strndup(a, value, strlen(value));

		if (v == NULL)
			return E_NOMEM;
		r->configs.v[i] = (struct topic_stats_res_config){
		    kstr_of(row->name), kstr_of(v), src == SRC_TOPIC };
	}
	return E_OK;
}

void
handle_topic_stats(struct call *c)
{
	struct topic_stats_req *q = c->req;
	struct topics *ts = &c->eng->topics;
	struct topic_stats_res res = { 0 };
	enum err e = E_OK;

	c->arena.limit += (size_t)1024 * MIB;
	res.topics.v = arena_array(&c->arena, ts->n, sizeof *res.topics.v);
	if (res.topics.v == NULL)
		e = E_NOMEM;
	for (struct topic *t = ts->first; t != NULL && e == E_OK; t = t->next)
		if (t->state == TOPIC_LIVE && (q->name.len < 0 ||
		    kstr_eq(q->name, kstr_of(t->name))))
			e = topic_stats(&c->arena, t,
			    &res.topics.v[res.topics.n++]);
	if (e != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &res);
}

/* Bytes and offsets from the high watermark on are nobody's business. */
static void
seg_row(const struct part *p, const struct seg *s, struct part_segs_res_seg *r)
{
	*r = (struct part_segs_res_seg){ .base = s->base,
	    .end_offset = s->end_offset < p->hw ? s->end_offset : p->hw,
	    .bytes = look_visible(p, s), .max_ts = s->max_ts,
	    .written_ms = s->written_ms, .handle = (int64_t)s->handle,
	    .sealed = s != part_active(p) && s->end_offset <= p->hw };
	if (r->end_offset < r->base)
		r->end_offset = r->base;
}

static enum err
part_segs(struct arena *a, const struct part *p, struct part_segs_res *res)
{
	res->leader_epoch = p->epoch;
	res->log_start_offset = p->start;
	res->high_watermark = res->last_stable_offset = p->hw;
	res->segs.v = arena_array(a, (size_t)p->nsegs, sizeof *res->segs.v);
	if (res->segs.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < p->nsegs; i++)
		if (p->segs[i]->end_offset > p->start || i == p->nsegs - 1)
			seg_row(p, p->segs[i],
			    &res->segs.v[res->segs.n++]);
	return E_OK;
}

void
handle_part_segs(struct call *c)
{
	struct part_segs_req *q = c->req;
	struct topic *t = topic_find_id(&c->eng->topics, q->topic);
	struct part *p = t == NULL ? NULL : topic_part(t, q->part);
	struct part_segs_res res = { .leader_epoch = -1,
	    .log_start_offset = -1, .high_watermark = -1,
	    .last_stable_offset = -1 };
	enum err e;

	c->arena.limit += p == NULL ? 0 :
	    (size_t)(p->nsegs + 1) * sizeof *res.segs.v + ARENA_BASE;
	e = t == NULL ? E_UNKNOWN_TOPIC_ID : p == NULL ? E_UNKNOWN_TOPIC :
	    state_err(p->state);
	if (e == E_OK)
		e = part_segs(&c->arena, p, &res);
	res.error = (int16_t)e;
	call_reply(c, &res);
}
