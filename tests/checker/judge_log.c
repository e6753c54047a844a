/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold of the log as a whole, once all events are known: order, and
 * that every value is where it was said to be or had leave to go.
 */
#include <stdlib.h>
#include <string.h>

#include "judge.h"

enum { OVERHEAD = 200 };	/* a record's bytes beyond its value, at most */

/* What compaction may remove, by key. */
struct keys {
	int64_t	latest[KEYS_MAX];	/* greatest offset known, -1 */
	bool	tomb_unknown[KEYS_MAX];	/* a tombstone may be behind it */
};

/* ---- order ------------------------------------------------------------- */

struct order {
	struct judge	*j;
	uint64_t	*last;		/* seq + 1 of each sender */
	uint32_t	*of;		/* in this view */
	uint32_t	 view;
	int64_t		 invoked;	/* the latest start of a send so far */
};

static void
order_slot(struct order *o, int topic, int part, int64_t at, uint64_t id)
{
	const struct send *s = judge_send(o->j, id);
	uint32_t p = EV_PRODUCER(id);
	uint64_t seq = EV_SEQ(id);

	/* Where it was read counts, else where it was said to be. */
	if (s == NULL || s->invoked == 0 || (s->seen >= 0 && s->seen != at))
		return;
	/* What was sent once and never answered may arrive when it will. */
	if (o->j->setup->topics[topic].raw && s->outcome != EV_OK)
		return;
	if (o->of[p] == o->view && seq + 1 <= o->last[p])
		judge_find(o->j, ANOMALY_NONMONOTONIC_SEND, topic, part, at,
		    "value %u/%llu after %u/%llu", p, (unsigned long long)seq,
		    p, (unsigned long long)o->last[p] - 1);
	o->of[p] = o->view;
	o->last[p] = seq + 1;
	if (s->outcome == EV_OK && s->ended < o->invoked)
		judge_find(o->j, ANOMALY_NONLINEARIZABLE_APPEND, topic, part,
		    at, "acknowledged %lld us before a value at a lower "
		    "offset was sent",
		    (long long)(o->invoked - s->ended) / 1000);
	if (s->invoked > o->invoked)
		o->invoked = s->invoked;
}

static void
order_view(struct order *o, int topic, int part)
{
	const struct view *v = &o->j->views[topic][part];

	o->view++;
	o->invoked = 0;
	for (uint64_t i = 0; i < v->n; i++) {
		if (v->v[i].id != 0 && o->j->setup->topics[topic].idempotent)
			order_slot(o, topic, part, (int64_t)i,
			    v->v[i].id - 1);
		if (view_final(o->j, v, (int64_t)i))
			o->j->finals++;
	}
}

/* ---- readers ----------------------------------------------------------- */

/* Since when compaction may have taken each record of a view: since a later
 * one of its key was on its way, or a tombstone's time was up.  A send of that
 * key of which the offset is not known may be such a later one. */
static int64_t *
leave_times(const struct judge *j, int topic, const struct view *v)
{
	const struct ck_topic *t = &j->setup->topics[topic];
	int64_t *leave = judge_alloc(NULL, (v->n + 1) * sizeof *leave);
	int64_t *first = judge_alloc(NULL, KEYS_MAX * sizeof *first);

	for (int k = 0; k < KEYS_MAX; k++)
		first[k] = INT64_MAX;
	for (uint32_t p = 0; p < j->nsenders; p++)
		for (uint64_t i = 0; i < j->senders[p].n; i++) {
			const struct send *s = &j->senders[p].v[i];
			uint32_t key = s->key & ~EV_TOMBSTONE;

			if (s->topic == topic && s->invoked != 0 &&
			    key < KEYS_MAX && s->seen < 0 && s->acked < 0 &&
			    s->outcome != EV_FAIL && s->invoked < first[key])
				first[key] = s->invoked;
		}
	for (uint64_t i = v->n; i-- > 0;) {
		const struct send *s = v->v[i].id == 0 ? NULL :
		    judge_send(j, v->v[i].id - 1);
		uint32_t key = s == NULL ? KEYS_MAX : s->key & ~EV_TOMBSTONE;
		int64_t up = s == NULL ? 0 : s->invoked +
		    t->delete_retention_ms * 1000000;

		leave[i] = 0;
		if (s == NULL || s->invoked == 0 || key >= KEYS_MAX)
			continue;
		leave[i] = first[key];
		if ((s->key & EV_TOMBSTONE) != 0 && up < leave[i])
			leave[i] = up;
		if (s->invoked < first[key])
			first[key] = s->invoked;
	}
	free(first);
	return leave;
}

/*
 * What compaction has taken away comes to nobody again; so a record in a gap
 * was passed over if somebody got it who began to read later, or if it could
 * not have been taken away by then.  Where neither is so there is a sound tale
 * of what was seen: the record went just before the reader came by, and those
 * who were given it later had it in their queues by then, because they had
 * begun before.
 */
static void
gap_compacted(struct judge *j, int topic, int part, const struct event *g,
    const int64_t *leave)
{
	const struct view *v = &j->views[topic][part];
	uint64_t again = 0, early = 0;
	uint64_t to = (uint64_t)g->a < v->n ? (uint64_t)g->a : v->n;

	for (uint64_t i = (uint64_t)g->offset; i < to; i++) {
		again += v->v[i].last_at > g->at;
		early += v->v[i].last_at <= g->at && leave[i] > g->at;
	}
	if (again + early > 0)
		judge_find(j, ANOMALY_POLL_SKIP, topic, part, g->offset,
		    "of the records up to %lld %llu were not delivered, but "
		    "later, and %llu which nothing had replaced",
		    (long long)g->a, (unsigned long long)again,
		    (unsigned long long)early);
}

/* Elsewhere every record in a gap was passed over. */
static void
gaps_view(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];
	uint64_t *before;

	if (v->gaps.n == 0)
		return;
	if (j->setup->topics[topic].compact) {
		int64_t *leave = leave_times(j, topic, v);

		for (uint64_t i = 0; i < v->gaps.n; i++)
			gap_compacted(j, topic, part, &v->gaps.v[i], leave);
		free(leave);
		return;
	}
	before = judge_alloc(NULL, (v->n + 1) * sizeof *before);
	before[0] = 0;
	for (uint64_t i = 0; i < v->n; i++)
		before[i + 1] = before[i] + (v->v[i].id != 0);
	for (uint64_t i = 0; i < v->gaps.n; i++) {
		const struct event *g = &v->gaps.v[i];
		uint64_t to = (uint64_t)g->a < v->n ? (uint64_t)g->a : v->n;
		uint64_t from = (uint64_t)g->offset < to ?
		    (uint64_t)g->offset : to;

		if (before[to] != before[from])
			judge_find(j, ANOMALY_POLL_SKIP, topic, part,
			    g->offset, "%llu records up to %lld were not "
			    "delivered", (unsigned long long)(before[to] -
			    before[from]), (long long)g->a);
	}
	free(before);
}

static void
resets_view(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];
	int64_t start = v->start;

	for (uint64_t i = 0; i < v->lists.n; i++)
		if (v->lists.v[i].offset > start)
			start = v->lists.v[i].offset;
	for (uint64_t i = 0; i < v->resets.n; i++)
		if (v->resets.v[i].offset >= start)
			judge_find(j, ANOMALY_SPURIOUS_RESET, topic, part,
			    v->resets.v[i].offset,
			    "the log never began after %lld",
			    (long long)start);
}

/* ---- values ------------------------------------------------------------ */

static struct keys *
keys_new(const struct judge *j, int topic)
{
	struct keys *k = judge_alloc(NULL, sizeof *k);
	const struct send *s;

	memset(k->tomb_unknown, 0, sizeof k->tomb_unknown);
	for (int i = 0; i < KEYS_MAX; i++)
		k->latest[i] = -1;
	for (uint32_t p = 0; p < j->nsenders; p++)
		for (uint64_t i = 0; i < j->senders[p].n; i++) {
			uint32_t key;
			int64_t at;

			s = &j->senders[p].v[i];
			key = s->key & ~EV_TOMBSTONE;
			at = s->seen > s->acked ? s->seen : s->acked;
			if (s->topic != topic || s->invoked == 0 ||
			    key >= KEYS_MAX)
				continue;
			if (at > k->latest[key])
				k->latest[key] = at;
			if (at < 0 && s->outcome != EV_FAIL &&
			    (s->key & EV_TOMBSTONE) != 0)
				k->tomb_unknown[key] = true;
		}
	return k;
}

/* May compaction have removed it? */
static bool
superseded(struct judge *j, const struct send *s, int64_t at,
    const struct keys *k)
{
	const struct ck_topic *t = &j->setup->topics[s->topic];
	const struct view *v = &j->views[s->topic][s->part];
	uint32_t key = s->key & ~EV_TOMBSTONE;

	if (key >= KEYS_MAX)
		return false;
	if (k->latest[key] > at || k->tomb_unknown[key])
		return true;
	if ((s->key & EV_TOMBSTONE) == 0)
		return false;
	if ((v->final_at - s->invoked) / 1000000 < t->delete_retention_ms)
		judge_find(j, ANOMALY_EARLY_DELETION, s->topic, s->part, at,
		    "a tombstone is gone %lld ms after it was sent, it was "
		    "to stay for %lld",
		    (long long)(v->final_at - s->invoked) / 1000000,
		    (long long)t->delete_retention_ms);
	return true;
}

/* A value that the last pass over the log did not show. */
static void
value_missing(struct judge *j, uint64_t id, const struct send *s, int64_t at,
    const struct keys *k)
{
	const struct ck_topic *t = &j->setup->topics[s->topic];
	const struct view *v = &j->views[s->topic][s->part];

	if (j->phase == 0 || v->start < 0)
		return;
	if (s->outcome == EV_OK && ((at >= 0 && at < v->start) ||
	    (at < 0 && v->start > 0) ||
	    (k != NULL && superseded(j, s, at, k)))) {
		j->gone++;
		return;
	}
	if (at >= 0 && (at < v->start || (k != NULL &&
	    superseded(j, s, at, k))))
		return;
	if (s->outcome == EV_OK && (t->acks == -1 || (t->acks == 1 &&
	    !j->setup->power_cuts)))
		judge_find(j, ANOMALY_LOST_WRITE, s->topic, s->part, at,
		    "value %u/%llu; the log is %lld to %lld", EV_PRODUCER(id),
		    (unsigned long long)EV_SEQ(id), (long long)v->start,
		    (long long)v->end);
	else if (s->seen >= 0)
		judge_find(j, ANOMALY_DIRTY_READ, s->topic, s->part, at,
		    "value %u/%llu; the log is %lld to %lld", EV_PRODUCER(id),
		    (unsigned long long)EV_SEQ(id), (long long)v->start,
		    (long long)v->end);
}

static void
value_judge(struct judge *j, uint64_t id, const struct send *s,
    const struct keys *k)
{
	const struct view *v = &j->views[s->topic][s->part];
	int64_t at = s->seen >= 0 ? s->seen : s->acked;
	const struct slot *o = view_at(v, at);

	if (s->seen >= 0 && o != NULL && o->seen_at < s->invoked)
		judge_find(j, ANOMALY_PHANTOM, s->topic, s->part, at,
		    "value %u/%llu was read before it was sent",
		    EV_PRODUCER(id), (unsigned long long)EV_SEQ(id));
	if (s->seen >= 0 && s->outcome == EV_FAIL)
		judge_find(j, ANOMALY_ABORTED_READ, s->topic, s->part, at,
		    "value %u/%llu", EV_PRODUCER(id),
		    (unsigned long long)EV_SEQ(id));
	if (s->acked >= 0 && s->seen >= 0 && s->acked != s->seen &&
	    j->setup->topics[s->topic].idempotent)
		judge_find(j, ANOMALY_SPURIOUS_OFFSET, s->topic, s->part,
		    s->acked, "value %u/%llu is read at %lld",
		    EV_PRODUCER(id), (unsigned long long)EV_SEQ(id),
		    (long long)s->seen);
	if (o == NULL || o->id != id + 1 || !view_final(j, v, at))
		value_missing(j, id, s, at, k);
	else if (s->outcome == EV_OK && o->pass > 1 &&
	    j->setup->topics[s->topic].acks == -1)
		judge_find(j, ANOMALY_UNSEEN, s->topic, s->part, at,
		    "value %u/%llu, in pass %d", EV_PRODUCER(id),
		    (unsigned long long)EV_SEQ(id), o->pass);
}

/* Those that were only read: nobody sent them. */
static void
never_sent(struct judge *j, int topic, int part)
{
	const struct view *v = &j->views[topic][part];

	for (uint64_t i = 0; i < v->n; i++) {
		const struct send *s;

		if (v->v[i].id == 0)
			continue;
		s = judge_send(j, v->v[i].id - 1);
		if (s == NULL || s->invoked == 0)
			judge_find(j, ANOMALY_PHANTOM, topic, part,
			    (int64_t)i, "value %u/%llu was never sent",
			    EV_PRODUCER(v->v[i].id - 1),
			    (unsigned long long)EV_SEQ(v->v[i].id - 1));
	}
}

void
judge_log(struct judge *j)
{
	struct order o = { .j = j };
	struct keys *keys[TOPICS_MAX] = { NULL };

	o.last = judge_alloc(NULL, (j->nsenders + 1) * sizeof *o.last);
	o.of = judge_alloc(NULL, (j->nsenders + 1) * sizeof *o.of);
	memset(o.of, 0, (j->nsenders + 1) * sizeof *o.of);
	for (int t = 0; t < j->setup->ntopics; t++) {
		if (j->setup->topics[t].compact)
			keys[t] = keys_new(j, t);
		for (int p = 0; p < j->setup->topics[t].nparts; p++) {
			order_view(&o, t, p);
			never_sent(j, t, p);
			gaps_view(j, t, p);
			resets_view(j, t, p);
		}
	}
	for (uint32_t p = 0; p < j->nsenders; p++)
		for (uint64_t i = 0; i < j->senders[p].n; i++)
			if (j->senders[p].v[i].invoked != 0)
				value_judge(j, EV_ID(p, i),
				    &j->senders[p].v[i],
				    keys[j->senders[p].v[i].topic]);
	for (int t = 0; t < j->setup->ntopics; t++)
		free(keys[t]);
	free(o.last);
	free(o.of);
}

/* ---- deletion ---------------------------------------------------------- */

/* The bytes that the log has at most, from its start on. */
static int64_t
bytes_most(const struct judge *j, const struct view *v)
{
	int64_t sum = 0;

	for (uint64_t i = v->start < 0 ? 0 : (uint64_t)v->start; i < v->n;
	    i++) {
		const struct send *s = v->v[i].id == 0 ? NULL :
		    judge_send(j, v->v[i].id - 1);

		sum += s == NULL ? OVERHEAD : OVERHEAD + (int64_t)s->key;
	}
	return sum;
}

static int64_t
delete_asked(const struct view *v, int64_t before)
{
	int64_t most = 0;

	for (uint64_t i = 0; i < v->deletes.n; i++) {
		const struct event *d = &v->deletes.v[i];

		if (d->outcome == EV_INVOKE && d->at < before &&
		    d->offset > most)
			most = d->offset;
	}
	return most;
}

void
judge_deletion(struct judge *j, int topic, int part)
{
	const struct ck_topic *t = &j->setup->topics[topic];
	const struct view *v = &j->views[topic][part];
	int64_t *newest = judge_alloc(NULL, (v->n + 1) * sizeof *newest);

	/* newest[i]: the greatest time of the records below i. */
	newest[0] = INT64_MIN;
	for (uint64_t i = 0; i < v->n; i++)
		newest[i + 1] = v->v[i].seen_at != 0 &&
		    v->v[i].ts > newest[i] ? v->v[i].ts : newest[i];
	for (uint64_t i = 0; i < v->lists.n; i++) {
		const struct event *l = &v->lists.v[i];
		int64_t now = l->at / 1000000 + j->setup->wall_ms;
		uint64_t at = (uint64_t)l->offset < v->n ?
		    (uint64_t)l->offset : v->n;

		if (l->offset <= 0 || l->offset <= delete_asked(v, l->at))
			continue;
		if (t->retention_ms < 0 && t->retention_bytes < 0)
			judge_find(j, ANOMALY_EARLY_DELETION, topic, part,
			    l->offset, "the log begins here, and nobody "
			    "asked for more than %lld",
			    (long long)delete_asked(v, l->at));
		else if (t->retention_ms >= 0 && newest[at] >
		    now - t->retention_ms)
			judge_find(j, ANOMALY_EARLY_DELETION, topic, part,
			    l->offset, "a record below was %lld ms old, "
			    "retention is %lld", (long long)(now -
			    newest[at]), (long long)t->retention_ms);
	}
	if (t->retention_bytes >= 0 && v->start > 0 &&
	    bytes_most(j, v) < t->retention_bytes)
		judge_find(j, ANOMALY_EARLY_DELETION, topic, part, v->start,
		    "at most %lld bytes are left, retention is %lld",
		    (long long)bytes_most(j, v),
		    (long long)t->retention_bytes);
	free(newest);
}
