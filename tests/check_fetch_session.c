/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch sessions: who is evicted for whom, bounds, and that what a client
 * knows of its partitions is the truth after every poll, found with work for
 * what has moved only.  And leader epochs of the past, against a model.
 */
#include <stdlib.h>
#include <string.h>

#include "api/fetch_session.h"
#include "ck.h"
#include "log/history.h"
#include "rig.h"

enum { PARTS = 60, HOT = 5 };

static struct rig r;
static struct topic *topic;

static void
setup(int nparts)
{
	enum err e;

	rig_init(&r);
	e = rig_open(&r);
	ck_assert_int_eq(e, E_OK);
	topic = rig_topic(&r, "t", nparts);
}

static void
end(void)
{
	fetch_sessions_free(&r.eng);
	rig_kill(&r);
	rig_free(&r);
}

static struct fetch_session *
made(int n)
{
	struct fetch_topic t = { .name = kstr_of("t") };
	struct fetch_session *s = fetch_session_new(&r.eng, n, false);

	for (int i = 0; s != NULL && i < n; i++)
		ck_assert_ptr_nonnull(fetch_session_put(s, &t, i));
	return s;
}

START_TEST(test_evict)
{
	struct fetch_session *s[3];
	int32_t id;

	setup(1);
	r.conf.max_incremental_fetch_session_cache_slots = 3;
	for (int i = 0; i < 3; i++)
		s[i] = made(i + 2);
	ck_assert_ptr_null(made(50));	/* all are new */
	rig_now += 100000;
	for (int i = 0; i < 3; i++)
		fetch_session_touch(s[i]);
	rig_now += 30000;
	/* Old enough, and in use: only what is smaller gives way. */
	ck_assert_ptr_null(made(2));
	id = s[0]->id;
	s[0] = made(3);
	ck_assert_ptr_nonnull(s[0]);
	ck_assert_ptr_null(fetch_session_find(&r.eng, id));
	ck_assert_ptr_eq(fetch_session_find(&r.eng, s[1]->id), s[1]);
	/* Not used for long: anybody's. */
	rig_now += 100000;
	fetch_session_touch(s[0]);
	fetch_session_touch(s[1]);
	rig_now += 30000;
	id = s[2]->id;
	ck_assert_ptr_nonnull(made(1));
	ck_assert_ptr_null(fetch_session_find(&r.eng, id));
	ck_assert_int_eq(r.eng.fetch_sessions.by_number.n, 3);
	ck_assert_int_eq(r.eng.fetch_sessions.evicted, 2);
	end();
}
END_TEST

START_TEST(test_bounds)
{
	struct fetch_sessions *all = &r.eng.fetch_sessions;
	struct fetch_topic t = { .name = kstr_of("u") };
	struct fetch_session *s;

	setup(1);
	s = made(1000);
	ck_assert_int_gt(all->bytes, 1000 * (int)sizeof(struct fetch_row));
	ck_assert_int_eq(all->bytes, s->bytes);
	s->epoch = INT32_MAX;
	fetch_session_touch(s);
	ck_assert_int_eq(s->epoch, 1);
	fetch_session_end(s);
	ck_assert_int_eq(all->bytes, 0);
	ck_assert_ptr_null(fetch_session_new(&r.eng,
	    FETCH_SESSION_PARTS_MAX + 1, false));
	s = made(3);
	all->bytes += FETCH_SESSIONS_BYTES_MAX - 2000;
	ck_assert_ptr_null(made(100));
	for (int i = 0; i < 100 && fetch_session_put(s, &t, i) != NULL; i++)
		;
	ck_assert_int_lt(s->set.n, 100);
	ck_assert_int_le(all->bytes, FETCH_SESSIONS_BYTES_MAX);
	all->bytes -= FETCH_SESSIONS_BYTES_MAX - 2000;
	r.conf.max_incremental_fetch_session_cache_slots = 0;
	ck_assert_ptr_null(made(1));
	end();
}
END_TEST

/* ---- a client against the truth ---------------------------------------- */

static struct client {
	struct fetch_session *s;
	bool	has[PARTS], told[PARTS];
	int64_t	offset[PARTS], hw[PARTS];
	struct fetch f;
	struct arena arena;
	struct fetch_req q;
	struct fetch_req_topic t;
	struct fetch_req_topic_part p[PARTS];
	struct fetch_req_forgotten_topics_data x;
	int32_t	forget[PARTS];
	int	answers;
} cl;

static void
answered(struct fetch *f)
{
	(void)f;
	cl.answers++;
}

static void
ask(int i, int64_t offset)
{
	cl.has[i] = true;
	cl.offset[i] = offset;
	cl.p[cl.t.partitions.n++] = (struct fetch_req_topic_part){
	    .partition = i, .fetch_offset = offset, .partition_max_bytes =
	    100000, .current_leader_epoch = -1, .last_fetched_epoch = -1 };
}

static void
begin_ask(void)
{
	cl.t = (struct fetch_req_topic){ .topic = kstr_of("t"),
	    .partitions = { 0, cl.p } };
	cl.x = (struct fetch_req_forgotten_topics_data){ .topic =
	    kstr_of("t"), .partitions = { 0, cl.forget } };
}

static void
poll_start(int32_t wait)
{
	enum err e;

	cl.q = (struct fetch_req){ .max_wait_ms = wait, .min_bytes = 1,
	    .max_bytes = 50 * MIB, .topics = { 1, &cl.t },
	    .forgotten_topics_data = { 1, &cl.x } };
	cl.answers = 0;
	arena_init(&cl.arena, 4 * MIB);
	cl.f = (struct fetch){ .eng = &r.eng, .req = &cl.q, .version = 12,
	    .arena = &cl.arena, .done = answered };
	if (cl.s == NULL)
		cl.f.wants_session = true;
	else {
		e = fetch_session_update(cl.s, &cl.q);
		ck_assert_int_eq(e, E_OK);
		cl.f.set = &cl.s->set;
	}
	fetch_start(&cl.f);
}

/* Takes in the answer; returns how many partitions it has. */
static int
poll_end(void)
{
	const struct extents_res *res = &cl.f.res;
	int n = 0;

	ck_assert_int_eq(cl.answers, 1);
	ck_assert_int_eq(res->error, E_OK);
	if (cl.s == NULL)
		cl.s = fetch_session_find(&r.eng, res->session_id);
	ck_assert_int_eq(res->session_id, cl.s->id);
	memset(cl.told, 0, sizeof cl.told);
	for (int32_t i = 0; i < res->topics.n; i++)
		for (int32_t k = 0; k < res->topics.v[i].parts.n; k++) {
			const struct extents_res_part *p =
			    &res->topics.v[i].parts.v[k];

			ck_assert(cl.has[p->index]);
			ck_assert(!cl.told[p->index]);
			ck_assert_int_eq(p->error, E_OK);
			cl.told[p->index] = true;
			cl.hw[p->index] = p->high_watermark;
			if (p->extents.n > 0)
				ck_assert_int_lt(cl.offset[p->index],
				    p->high_watermark);
			n++;
		}
	for (int i = 0; i < PARTS; i++)
		if (cl.has[i]) {
			ck_assert_int_eq(cl.hw[i], topic->parts[i]->hw);
			ck_assert(cl.told[i] || cl.offset[i] >= cl.hw[i]);
		}
	fetch_release(&cl.f);
	arena_reset(&cl.arena);
	begin_ask();
	return n;
}

START_TEST(test_truth)
{
	int moved;

	setup(PARTS);
	begin_ask();
	for (int i = 0; i < PARTS / 2; i++)
		ask(i, 0);
	poll_start(0);
	engine_drain(&r.eng);
	ck_assert_int_eq(poll_end(), PARTS / 2);
	srand(7);
	for (int round = 0; round < 2000; round++) {
		moved = rand() % HOT;
		for (int i = 0; i < moved; i++)
			rig_append(&r, topic->parts[rand() % PARTS], 50);
		for (int i = 0; i < PARTS; i++)
			if (cl.told[i] && rand() % 3 > 0)
				ask(i, cl.hw[i]);
			else if (!cl.has[i] && rand() % 50 == 0)
				ask(i, rand() % (topic->parts[i]->hw + 1));
			else if (cl.has[i] && rand() % 100 == 0) {
				cl.forget[cl.x.partitions.n++] = i;
				cl.has[i] = false;
			}
		poll_start(0);
		for (int i = 0; i < 100 && cl.answers == 0; i++)
			engine_drain(&r.eng);
		(void)poll_end();
	}
	end();
}
END_TEST

/* Long polls look at what has moved, not at all there is. */
START_TEST(test_work)
{
	struct part *p;

	setup(PARTS);
	memset(&cl, 0, sizeof cl);
	begin_ask();
	for (int i = 0; i < PARTS; i++)
		ask(i, 0);
	poll_start(0);
	engine_drain(&r.eng);
	ck_assert_int_eq(poll_end(), PARTS);
	p = topic->parts[17];
	for (int round = 0; round < 10; round++) {
		poll_start(500);
		ck_assert(cl.f.parked);
		ck_assert_int_eq(cl.f.nrows, round > 0);	/* asked */
		rig_append(&r, p, 100);
		ck_assert_int_eq(cl.f.nrows, 1);
		ck_assert_int_eq(poll_end(), 1);
		ask(17, p->hw);
	}
	poll_start(0);
	ck_assert_int_eq(poll_end(), 0);
	ck_assert_ptr_nonnull(p->waiters);
	/* Between polls the first append tells it all. */
	for (int i = 0; i < 10; i++)
		rig_append(&r, p, 100);
	ck_assert_ptr_null(p->waiters);
	poll_start(500);
	ck_assert_int_eq(cl.f.nrows, 1);
	ck_assert_int_eq(poll_end(), 1);
	/* Cancelled while parked, it goes on afterwards. */
	ask(17, p->hw);
	poll_start(500);
	ck_assert(cl.f.parked);
	ck_assert(fetch_cancel(&cl.f));
	ck_assert_ptr_null(cl.s->set.fetch);
	ck_assert_int_eq(r.eng.parked, 0);
	ck_assert_int_eq(r.eng.parked_bytes, 0);
	arena_reset(&cl.arena);
	begin_ask();
	rig_append(&r, topic->parts[3], 10);
	poll_start(0);
	ck_assert_int_eq(poll_end(), 1);
	ck_assert(cl.told[3]);
	end();
}
END_TEST

/* ---- leader epochs ----------------------------------------------------- */

enum { ROUNDS = 12, EPOCHS = ROUNDS + 2 };

/* By the batches that were appended: Kafka's cache, the plain way. */
static struct epoch_at model[EPOCHS];
static int nmodel;

static void
model_end(const struct part *p, int32_t want, int32_t *epoch, int64_t *at)
{
	struct epoch_at v[EPOCHS];
	int n = nmodel, first = 0;

	memcpy(v, model, sizeof v);
	if (n == 0 || v[n - 1].epoch < p->epoch)
		v[n++] = (struct epoch_at){ p->epoch, p->epoch_start };
	while (first + 1 < n && v[first + 1].offset <= p->start)
		first++;
	if (v[first].offset < p->start)
		v[first].offset = p->start;
	*epoch = *at = -1;
	if (want < 0 || want > p->epoch)
		return;
	*epoch = want;
	if (want == p->epoch) {
		*at = p->next;
		return;
	}
	for (int i = first; i < n; i++)
		if (v[i].epoch > want) {
			*at = v[i].offset;
			break;
		} else
			*epoch = v[i].epoch;
}

static void
compare(struct part *p)
{
	struct history_load l;
	int32_t epoch, want_epoch;
	int64_t at, want_at;
	enum err e;

	if (history_end(p, p->epoch - 1, &epoch, &at) == E_BUSY) {
		e = history_load_begin(&l, p);
		ck_assert_int_eq(e, E_OK);
		history_load_run(&l);
		history_load_end(&l);
	}
	for (int32_t want = -2; want < p->epoch + 3; want++) {
		e = history_end(p, want, &epoch, &at);
		ck_assert_int_eq(e, E_OK);
		model_end(p, want, &want_epoch, &want_at);
		ck_assert_int_eq(epoch, want_epoch);
		ck_assert_int_eq(at, want_at);
	}
}

static void
reopen(bool clean)
{
	enum err e;

	if (clean) {
		e = rig_stop(&r);
		ck_assert_int_eq(e, E_OK);
	} else {
		rig_kill(&r);
		sim_kill(r.disk);
	}
	e = rig_open(&r);
	ck_assert_int_eq(e, E_OK);
	topic = topic_find(&r.eng.topics, kstr_of("t"));
}

START_TEST(test_epochs)
{
	struct part *p;

	srand((unsigned)_i + 1);
	nmodel = 0;
	setup(1);
	for (int round = 0; round < ROUNDS; round++) {
		p = topic->parts[0];
		p->topic->conf.segment_bytes = 20000;
		compare(p);
		for (int n = rand() % 3 * (rand() % 40); n > 0; n--) {
			if (nmodel == 0 || model[nmodel - 1].epoch < p->epoch)
				model[nmodel++] = (struct epoch_at){
				    p->epoch, p->next };
			rig_append(&r, p, (size_t)(rand() % 3000));
		}
		rig_settle(&r, 5000);
		compare(p);
		/* Records go from the front; the history knows it. */
		if (round % 3 == 2 && p->next > p->start) {
			int64_t start = p->start;

			p->start += rand() % (p->next - p->start + 1);
			compare(p);
			p->start = start;
		}
		reopen(rand() % 4 == 0);
	}
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch_session");
	TCase *tc = tcase_create("fetch_session");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_evict);
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_truth);
	tcase_add_test(tc, test_work);
	tcase_add_loop_test(tc, test_epochs, 0, 20);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
