/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of fetch sessions, and what one of them remembers. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine.h"
#include "fetch_session.h"
#include "lib/log.h"

enum {
	STALE_MS	= 120000,	/* as Kafka's: may be evicted */
	ID_TRIES	= 100,
};

/* What a row takes, with its share of the table. */
#define ROW_BYTES	(sizeof(struct fetch_row) + 2 * sizeof(void *))

/* ---- one session's rows ------------------------------------------------ */

static bool
is_of(const struct fetch_session *s, const struct fetch_row *row,
    const struct fetch_topic *t, int32_t index)
{
	return row->index == index && (s->by_id ?
	    uuid_eq(row->topic->id, t->id) :
	    kstr_eq(row->topic->name, t->name));
}

static uint64_t
row_hash(const struct fetch_session *s, const struct fetch_topic *t,
    int32_t index)
{
	uint64_t h = s->by_id ? hash_bytes(t->id.b, sizeof t->id.b) :
	    hash_bytes(t->name.p, t->name.len > 0 ? (size_t)t->name.len : 0);

	return h ^ (uint64_t)(uint32_t)index * UINT64_C(0x9e3779b97f4a7c15);
}

static struct fetch_row *
row_find(const struct fetch_session *s, const struct fetch_topic *t,
    int32_t index)
{
	HASH_FIND(x, &s->rows, row_hash(s, t, index)) {
		struct fetch_row *row = HASH_OF(x, struct fetch_row, by_part);

		if (is_of(s, row, t, index))
			return row;
	}
	return NULL;
}

/* False: past a bound. */
static bool
account(struct fetch_session *s, size_t n)
{
	struct fetch_sessions *all = &s->eng->fetch_sessions;

	if (!s->ended && all->bytes + (int64_t)n > FETCH_SESSIONS_BYTES_MAX)
		return false;
	s->bytes += n;
	if (!s->ended)
		all->bytes += (int64_t)n;
	return true;
}

/* One topic for rows that come together. */
static struct fetch_topic *
topic_keep(struct fetch_session *s, const struct fetch_topic *t)
{
	size_t n = s->by_id || t->name.len < 0 ? 0 : (size_t)t->name.len;
	struct fetch_topic *k;

	if (!account(s, sizeof *k + n) || (k = malloc(sizeof *k + n)) == NULL)
		return NULL;
	*k = (struct fetch_topic){ .id = t->id,
	    .name = { (int32_t)n, (char *)(k + 1) } };
	if (n > 0)
		memcpy(k + 1, t->name.p, n);
	return k;
}

static void
topic_let_go(struct fetch_session *s, struct fetch_topic *t)
{
	if (--t->refs > 0)
		return;
	(void)account(s, -(sizeof *t + (size_t)t->name.len));
	free(t);
}

static bool
topic_same(const struct fetch_session *s, const struct fetch_topic *a,
    const struct fetch_topic *b)
{
	return s->by_id ? uuid_eq(a->id, b->id) : kstr_eq(a->name, b->name);
}

struct fetch_row *
fetch_session_put(struct fetch_session *s, const struct fetch_topic *t,
    int32_t index)
{
	struct fetch_row *row = row_find(s, t, index);
	struct fetch_topic *keep;

	if (row != NULL)
		return row;
	if (s->set.n == FETCH_SESSION_PARTS_MAX ||
	    hash_room(&s->rows) != E_OK)
		return NULL;
	keep = s->newest != NULL && topic_same(s, s->newest, t) ? s->newest :
	    topic_keep(s, t);
	if (keep == NULL)
		return NULL;
	s->newest = keep;
	if (!account(s, ROW_BYTES) || (row = malloc(sizeof *row)) == NULL) {
		if (keep->refs == 0) {
			keep->refs = 1;
			s->newest = NULL;
			topic_let_go(s, keep);
		}
		return NULL;
	}
	*row = (struct fetch_row){ .set = &s->set, .topic = keep,
	    .index = index, .hw = -1, .lso = -1, .start = -1,
	    .turn = ++s->set.turn };
	hash_put(&s->rows, &row->by_part, row_hash(s, t, index));
	keep->refs++;
	s->set.n++;
	fetch_row_list(row);
	return row;
}

static void
row_remove(struct fetch_session *s, struct fetch_row *row)
{
	hash_drop(&s->rows, &row->by_part);
	fetch_row_unlist(row);
	fetch_row_unwait(row);
	if (s->newest == row->topic && row->topic->refs == 1)
		s->newest = NULL;
	topic_let_go(s, row->topic);
	free(row);
	s->set.n--;
	(void)account(s, -ROW_BYTES);
}

enum err
fetch_session_update(struct fetch_session *s, const struct fetch_req *q)
{
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct fetch_req_topic *qt = &q->topics.v[i];
		struct fetch_topic t = { .name = qt->topic,
		    .id = qt->topic_id };

		for (int32_t k = 0; k < qt->partitions.n; k++) {
			const struct fetch_req_topic_part *p =
			    &qt->partitions.v[k];
			struct fetch_row *row = fetch_session_put(s, &t,
			    p->partition);

			if (row == NULL)
				return E_NOMEM;
			fetch_row_ask(row, p);
			fetch_row_list(row);
		}
	}
	for (int32_t i = 0; i < q->forgotten_topics_data.n; i++) {
		const struct fetch_req_forgotten_topics_data *qt =
		    &q->forgotten_topics_data.v[i];
		struct fetch_topic t = { .name = qt->topic,
		    .id = qt->topic_id };

		for (int32_t k = 0; k < qt->partitions.n; k++) {
			struct fetch_row *row = row_find(s, &t,
			    qt->partitions.v[k]);

			if (row != NULL)
				row_remove(s, row);
		}
	}
	return E_OK;
}

/* ---- the cache --------------------------------------------------------- */

/* Ids are random: they are their own hashes. */
struct fetch_session *
fetch_session_find(struct engine *eng, int32_t id)
{
	struct hash_node *x = hash_first(&eng->fetch_sessions.by_number,
	    (uint64_t)id);

	return x == NULL ? NULL : HASH_OF(x, struct fetch_session, by_number);
}

/* One that nobody can guess and that nobody has. */
static enum err
id_new(struct engine *eng, int32_t *id)
{
	for (int i = 0; i < ID_TRIES; i++) {
		uint32_t x;

		if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x)
			return E_IO;
		*id = (int32_t)(x & INT32_MAX);
		if (*id != 0 && fetch_session_find(eng, *id) == NULL)
			return E_OK;
	}
	return E_BUSY;
}

/* The one to go for a session of n partitions, by Kafka's rule: one that has
 * not been used for long; else the smallest that is not new, if it is smaller
 * than what wants its place. */
static struct fetch_session *
victim(struct fetch_sessions *all, int n, int64_t now)
{
	struct fetch_session *s = TAILQ_FIRST(&all->by_use), *least = NULL;

	if (s == NULL || now - s->used > STALE_MS)
		return s;
	TAILQ_FOREACH(s, &all->by_use, by_use)
		if (now - s->created > STALE_MS && s->set.n < n &&
		    (least == NULL || s->set.n < least->set.n))
			least = s;
	return least;
}

static bool
make_room(struct engine *eng, int n)
{
	struct fetch_sessions *all = &eng->fetch_sessions;
	int64_t bytes = (int64_t)sizeof(struct fetch_session) + (int64_t)n *
	    (int64_t)ROW_BYTES;
	struct fetch_session *s;

	if (n > FETCH_SESSION_PARTS_MAX || bytes > FETCH_SESSIONS_BYTES_MAX ||
	    hash_room(&all->by_number) != E_OK)
		return false;
	if (all->by_use.tqh_last == NULL)
		TAILQ_INIT(&all->by_use);
	while ((int64_t)all->by_number.n >=
	    eng->conf->max_incremental_fetch_session_cache_slots ||
	    all->bytes + bytes > FETCH_SESSIONS_BYTES_MAX) {
		s = victim(all, n, mono_ms());
		if (s == NULL)
			return false;
		log_debug("fetch session evicted", LI("partitions", s->set.n));
		all->evicted++;
		fetch_session_end(s);
	}
	return true;
}

struct fetch_session *
fetch_session_new(struct engine *eng, int n, bool ids)
{
	struct fetch_sessions *all = &eng->fetch_sessions;
	struct fetch_session *s;
	int32_t id;

	if (!make_room(eng, n) || id_new(eng, &id) != E_OK ||
	    (s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	fetch_set_init(&s->set, s);
	s->eng = eng;
	s->id = id;
	s->epoch = 1;
	s->by_id = ids;
	s->created = s->used = mono_ms();
	s->queue_last = &s->queue;
	(void)account(s, sizeof *s);
	hash_put(&all->by_number, &s->by_number, (uint64_t)id);
	TAILQ_INSERT_TAIL(&all->by_use, s, by_use);
	return s;
}

void
fetch_session_touch(struct fetch_session *s)
{
	struct fetch_sessions *all = &s->eng->fetch_sessions;

	s->epoch = s->epoch == INT32_MAX ? 1 : s->epoch + 1;
	s->used = mono_ms();
	TAILQ_REMOVE(&all->by_use, s, by_use);
	TAILQ_INSERT_TAIL(&all->by_use, s, by_use);
}

void
fetch_session_end(struct fetch_session *s)
{
	struct fetch_sessions *all = &s->eng->fetch_sessions;

	if (s->ended)
		return;
	hash_drop(&all->by_number, &s->by_number);
	TAILQ_REMOVE(&all->by_use, s, by_use);
	all->bytes -= (int64_t)s->bytes;
	s->ended = true;
	fetch_session_idle(s);
}

void
fetch_session_idle(struct fetch_session *s)
{
	if (!s->ended || s->set.fetch != NULL || s->queue != NULL ||
	    s->is_due)
		return;
	HASH_EACH(x, &s->rows)
		row_remove(s, HASH_OF(x, struct fetch_row, by_part));
	hash_free(&s->rows);
	free(s);
}

void
fetch_sessions_free(struct engine *eng)
{
	struct fetch_sessions *all = &eng->fetch_sessions;
	struct fetch_session *s;

	while (all->by_number.n > 0 && (s = TAILQ_FIRST(&all->by_use)) != NULL)
		fetch_session_end(s);
	hash_free(&all->by_number);
	*all = (struct fetch_sessions){ 0 };
}
