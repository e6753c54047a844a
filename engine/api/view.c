/* SPDX-License-Identifier: Apache-2.0 */
/* Answers what the indexer and queries ask about the log, see view.h. */
#include <stdlib.h>
#include <string.h>

#include "configs_call.h"
#include "view.h"

struct view_wait {
	struct view_wait *next, **prevp;
	struct call	*call;
	struct timer	 timer;
};

/* Of this run of the engine alone: it begins with the time. */
static int64_t
stamp(struct engine *eng)
{
	struct view *v = &eng->view;

	if (v->stamp == 0)
		v->stamp = (uint64_t)wall_ms() << 16;
	if (v->changes != eng->topics.changes) {
		v->changes = eng->topics.changes;
		v->stamp++;
		v->moved = true;
	}
	return (int64_t)v->stamp;
}

void
view_move(struct engine *eng, const struct part *p)
{
	/* Topics that are not searched move all the time. */
	if (p != NULL && (p->topic == NULL || !p->topic->conf.search_enable))
		return;
	eng->view.stamp += eng->view.stamp > 0;
	eng->view.moved = true;
}

static const char *
config(const struct topic *t, int row)
{
	enum config_source src;

	return topic_config_value(t->eng, &t->own.set, topic_row(row), &src);
}

static struct kstr
text(struct arena *a, const char *s)
{
	return kstr_of(arena_strndup(a, s, strlen(s)));
}

static enum err
part_error(const struct part *p)
{
	return p->state == PART_ONLINE && p->nsegs > 0 ? E_OK : E_STORAGE;
}

static enum err
view_part(struct arena *a, const struct part *p, struct view_res_part *r)
{
	*r = (struct view_res_part){ .index = p->id.part,
	    .error = (int16_t)part_error(p), .start = p->start,
	    .high_watermark = p->hw, .clean_to = p->clean.seen };
	r->segs.v = arena_array(a, (size_t)p->nsegs, sizeof *r->segs.v);
	if (r->segs.v == NULL)
		return E_NOMEM;
	r->segs.n = p->nsegs;
	for (int i = 0; i < p->nsegs; i++)
		r->segs.v[i] = (struct view_res_seg){ p->segs[i]->base,
		    i + 1 < p->nsegs ? p->segs[i + 1]->base : p->hw,
		    p->segs[i]->size };
	return E_OK;
}

static enum err
view_topic(struct arena *a, const struct topic *t, struct view_res_topic *r)
{
	*r = (struct view_res_topic){ .name = text(a, t->name), .id = t->id,
	    .enabled = t->conf.search_enable,
	    .compacted = t->conf.cleanup_policy & CLEANUP_COMPACT,
	    .numeric = text(a, config(t, CONF_TOPIC_search_fields_numeric)),
	    .text = text(a, config(t, CONF_TOPIC_search_fields_text)),
	    .ids = t->conf.search_ids, .positions = t->conf.search_positions,
	    .stem = (int8_t)t->conf.search_stem };
	r->parts.v = arena_array(a, (size_t)t->nparts, sizeof *r->parts.v);
	if (r->parts.v == NULL || r->name.len < 0 || r->numeric.len < 0 ||
	    r->text.len < 0)
		return E_NOMEM;
	r->parts.n = t->nparts;
	for (int32_t i = 0; i < t->nparts; i++)
		if (view_part(a, t->parts[i], &r->parts.v[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

static void
view_tell(struct call *c)
{
	const struct view_req *q = c->req;
	struct engine *eng = c->eng;
	struct view_res res = { .stamp = stamp(eng) };
	enum err e = E_OK;

	res.same = q->seen == res.stamp;
	c->arena.limit += (size_t)1024 * MIB;
	if (!res.same)
		res.topics.v = arena_array(&c->arena, eng->topics.n,
		    sizeof *res.topics.v);
	if (!res.same && res.topics.v == NULL)
		e = E_NOMEM;
	for (struct topic *t = eng->topics.first; t != NULL && e == E_OK &&
	    !res.same; t = t->next)
		if (t->state == TOPIC_LIVE && (q->all ||
		    t->conf.search_enable))
			e = view_topic(&c->arena, t,
			    &res.topics.v[res.topics.n++]);
	if (e != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &res);
}

static struct call *
wait_end(struct view_wait *w)
{
	struct call *c = w->call;

	timer_cancel(&c->eng->timers, &w->timer);
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	free(w);
	c->state = NULL;
	return c;
}

static void
on_timer(struct timer *t)
{
	struct view_wait *w = (struct view_wait *)((char *)t -
	    offsetof(struct view_wait, timer));

	view_tell(wait_end(w));
}

static void
cancel(struct call *c)
{
	call_drop(wait_end(c->state));
}

void
view_run(struct engine *eng)
{
	if (eng->view.waits == NULL)
		return;
	stamp(eng);
	if (!eng->view.moved)
		return;
	eng->view.moved = false;
	while (eng->view.waits != NULL)
		view_tell(wait_end(eng->view.waits));
}

void
handle_view(struct call *c)
{
	const struct view_req *q = c->req;
	struct view *v = &c->eng->view;
	struct view_wait *w;

	w = q->wait_ms <= 0 || q->seen != stamp(c->eng) ? NULL :
	    calloc(1, sizeof *w);
	if (w != NULL) {
		w->timer.fire = on_timer;
		if (timer_set(&c->eng->timers, &w->timer, mono_ms() +
		    q->wait_ms) != E_OK) {
			free(w);
			w = NULL;
		}
	}
	if (w == NULL) {
		view_tell(c);
		return;
	}
	w->call = c;
	w->next = v->waits;
	w->prevp = &v->waits;
	if (w->next != NULL)
		w->next->prevp = &w->next;
	v->waits = w;
	c->state = w;
	c->cancel = cancel;
}
