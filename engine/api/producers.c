/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The idempotent producers that partitions know: DescribeProducers, and the
 * end of those that are silent (producer.id.expiration.ms).
 */
#include "admin.h"
#include "lib/log.h"

enum {
	EXPIRE_MAX	= 10000,	/* in one turn */
	AGAIN_MS	= 10,		/* when there are more */
};

typedef struct describe_producers_res_topic_part active_part;
typedef struct describe_producers_res_topic_part_active_producer active;

struct listing {
	active	*v;
	int32_t	 n;
};

static void
list_each(const struct prod_info *p, void *arg)
{
	struct listing *l = arg;

	l->v[l->n++] = (active){ .producer_id = p->pid,
	    .producer_epoch = p->epoch, .last_sequence = p->last_seq,
	    .last_timestamp = p->ts, .coordinator_epoch = -1,
	    .current_txn_start_offset = -1 };
}

static enum err
describe(struct call *c, const struct topic *t, int32_t index,
    int64_t *room, active_part *r)
{
	const struct part *p = index < 0 || index >= t->nparts ? NULL
	    : t->parts[index];
	struct listing l = { 0 };
	int n;

	if (p == NULL)
		return E_UNKNOWN_TOPIC;
	if (p->state == PART_OFFLINE)
		return E_STORAGE;
	if (p->state != PART_ONLINE)
		return E_NOT_LEADER;
	n = p->prods == NULL ? 0 : prod_count(p->prods);
	if (n == 0)
		return E_OK;
	if ((*room -= n) < 0)
		return E_INVALID_REQUEST;
	c->arena.limit += ((size_t)n + 1) * sizeof *l.v;
	l.v = arena_array(&c->arena, (size_t)n, sizeof *l.v);
	if (l.v == NULL)
		return E_NOMEM;
	prod_each(p->prods, list_each, &l);
	r->active_producers.n = l.n;
	r->active_producers.v = l.v;
	return E_OK;
}

static enum err
one_topic(struct call *c, const struct describe_producers_req_topic *q,
    int64_t *room, struct describe_producers_res_topic *r)
{
	struct topic *t = topic_find(&c->eng->topics, q->name);
	enum err e;

	r->name = q->name;
	r->partitions.n = q->partition_indexes.n;
	r->partitions.v = arena_array(&c->arena,
	    (size_t)q->partition_indexes.n, sizeof *r->partitions.v);
	if (r->partitions.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->partition_indexes.n; i++) {
		active_part *p = &r->partitions.v[i];

		p->partition_index = q->partition_indexes.v[i];
		p->error_message = kstr_of(NULL);
		if (t != NULL)
			e = describe(c, t, p->partition_index, room, p);
		else
			e = topic_name_check(q->name) == E_OK
			    ? E_UNKNOWN_TOPIC : E_INVALID_TOPIC;
		p->error_code = err_code(e);
		if (e == E_INVALID_REQUEST)
			p->error_message = kstr_of("too many producers for "
			    "one answer; ask for fewer partitions");
		else if (e != E_OK)
			p->error_message = kstr_of(err_text(e));
	}
	return E_OK;
}

void
handle_describe_producers(struct call *c)
{
	const struct describe_producers_req *q = c->req;
	struct describe_producers_res res = { 0 };
	int64_t room = PRODUCERS_TOLD_MAX;
	enum err e = E_OK;

	res.topics.v = arena_array(&c->arena, (size_t)q->topics.n,
	    sizeof *res.topics.v);
	if (res.topics.v == NULL)
		e = E_NOMEM;
	for (; e == E_OK && res.topics.n < q->topics.n; res.topics.n++)
		e = one_topic(c, &q->topics.v[res.topics.n], &room,
		    &res.topics.v[res.topics.n]);
	if (e != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &res);
}

/* ---- their end --------------------------------------------------------- */

static int64_t
expiration_ms(const struct engine *eng)
{
	int64_t ms = eng->conf->producer_id_expiration_ms;
	enum config_source src;
	const char *v = configs_dynamic(eng, "producer.id.expiration.ms",
	    &src);

	if (v != NULL)
		(void)conf_parse_int(kstr_of(v), &ms);
	return ms;
}

static void	 expire_fire(struct timer *);

static void
expire_later(struct engine *eng, int64_t ms)
{
	eng->producers_timer.fire = expire_fire;
	if (timer_set(&eng->timers, &eng->producers_timer, mono_ms() + ms) !=
	    E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

/* Partitions that have been looked at have nothing to forget the next time, so
 * it is no matter that each turn begins with the first. */
static void
expire_fire(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, producers_timer));
	int64_t before = mono_ms() - expiration_ms(eng);
	int left = EXPIRE_MAX;

	for (struct topic *x = eng->topics.first; x != NULL; x = x->next)
		for (int32_t i = 0; x->state == TOPIC_LIVE && i < x->nparts;
		    i++) {
			struct part *p = x->parts[i];

			if (p->state == PART_ONLINE && p->prods != NULL)
				left -= prod_expire(p->prods, before, left);
			if (left == 0) {
				expire_later(eng, AGAIN_MS);
				return;
			}
		}
	producers_expire_start(eng);
}

void
producers_expire_start(struct engine *eng)
{
	expire_later(eng,
	    eng->conf->producer_id_expiration_check_interval_ms);
}
