/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine as a whole, step by step: what is answered when, what readers
 * see, how faults fence a partition and how it comes back, restarts, rolling,
 * retention, topics, and the catalogue's rewriting and refusals.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "rig.h"

static struct rig r;

static void
open_ok(void)
{
	enum err e = rig_open(&r);

	ck_assert_msg(e == E_OK, "%s", r.why);
}

static void
stop_ok(void)
{
	ck_assert_int_eq(rig_stop(&r), E_OK);
}

static struct part *
fresh(void)
{
	rig_init(&r);
	open_ok();
	return rig_topic(&r, "t", 1)->parts[0];
}

static struct part *
part_of(const char *name)
{
	struct topic *t = topic_find(&r.eng.topics, kstr_of(name));

	ck_assert_msg(t != NULL, "topic %s is gone", name);
	return t->parts[0];
}

static void
end(void)
{
	rig_kill(&r);
	rig_free(&r);
}

/* ---- acks and the high watermark ---------------------------------------- */

START_TEST(test_restart)
{
	struct part *p = fresh();
	int32_t epoch = r.eng.epoch;

	for (int i = 0; i < 10; i++)
		rig_append(&r, p, 100);
	stop_ok();
	open_ok();
	ck_assert(r.eng.clean_start);
	ck_assert_int_eq(r.eng.epoch, epoch);
	p = part_of("t");
	ck_assert_int_eq(p->hw, 10);
	ck_assert_int_eq(p->next, 10);
	rig_append(&r, p, 5);
	rig_kill(&r);
	sim_kill(r.disk);
	open_ok();
	ck_assert(!r.eng.clean_start);
	ck_assert_int_gt(r.eng.epoch, epoch);
	p = part_of("t");
	ck_assert_int_eq(p->epoch, r.eng.epoch);
	ck_assert_int_eq(p->hw, 11);
	ck_assert_int_eq(p->epoch_start, 11);
	end();
}
END_TEST

/* Between the write and the sync: acks=1 is answered and nobody sees it. */
static struct sent one, all;
static int looked;

static void
before_sync(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct part *p = arg;

	(void)d;
	(void)n;
	if (op != SIM_DATASYNC && op != SIM_SYNCFS)
		return;
	looked++;
	pool_reap(r.commit);
	ck_assert_int_eq(one.answers, 1);
	ck_assert_int_eq(all.answers, p->relaxed);
	ck_assert_int_eq(p->hw, p->relaxed ? 2 : 0);
	ck_assert_int_eq(part_written(p), 2);
}

static void
send_two(struct part *p)
{
	sent_make(&one, 1, 50, false);
	sent_make(&all, 1, 50, true);
	ck_assert_int_eq(part_append(p, &one.a), E_OK);
	ck_assert_int_eq(part_append(p, &all.a), E_OK);
	ck_assert_int_eq(p->next, 2);
	ck_assert_int_eq(p->hw, 0);
}

START_TEST(test_commit)
{
	struct part *p = fresh();

	sim_hook(r.disk, before_sync, p);
	send_two(p);
	engine_turn(&r.eng);
	ck_assert_int_eq(one.answers, 0);
	ck_assert(pool_step(r.commit));
	sim_hook(r.disk, NULL, NULL);
	ck_assert_int_eq(looked, 1);
	ck_assert_int_eq(all.answers, 1);
	ck_assert_int_eq(all.err, E_OK);
	ck_assert_int_eq(p->hw, 2);
	engine_drain(&r.eng);
	sent_free(&one);
	sent_free(&all);
	end();
}
END_TEST

START_TEST(test_interval)
{
	struct part *p;

	rig_init(&r);
	r.conf.sync = _i == 0 ? SYNC_INTERVAL : SYNC_OS;
	open_ok();
	p = rig_topic(&r, "t", 1)->parts[0];
	ck_assert(p->relaxed);
	send_two(p);
	engine_drain(&r.eng);
	/* Answered and seen, but not synced before its time. */
	ck_assert_int_eq(all.answers, 1);
	ck_assert_int_eq(p->hw, 2);
	ck_assert_int_eq(part_active(p)->synced, 0);
	rig_settle(&r, r.conf.sync_interval_ms + 1);
	ck_assert_int_eq(part_active(p)->synced,
	    _i == 0 ? part_active(p)->size : 0);
	stop_ok();
	sim_crash(r.disk, 1);		/* what a stop leaves is durable */
	open_ok();
	ck_assert(r.eng.clean_start);
	ck_assert_int_eq(part_of("t")->hw, 2);
	sent_free(&one);
	sent_free(&all);
	end();
}
END_TEST

/* ---- configs ------------------------------------------------------------ */

static int changes;

static void
changed(struct config_change *ch, enum err e)
{
	changes++;
	ck_assert_int_eq(e, E_OK);
	ck_assert_ptr_null(ch->set.v);
}

/* Sets one config (value NULL: takes it back) of a resource. */
static void
change(struct config_change *ch, enum config_resource type, const char *name,
    const char *key, const char *value)
{
	*ch = (struct config_change){ .eng = &r.eng, .type = type,
	    .name = kstr_of(name), .done = changed };
	ch->own = configs_find(&r.eng, type, ch->name, true);
	ck_assert_ptr_nonnull(ch->own);
	ck_assert_int_eq(conf_set_copy(&ch->set, configs_newest(ch->own)),
	    E_OK);
	if (value != NULL)
		ck_assert_int_eq(conf_set_put(&ch->set, key, strdup(value)),
		    E_OK);
	else
		conf_set_drop(&ch->set, key);
	ck_assert_int_eq(configs_change(ch), E_OK);
}

/* A flush policy that changes under a log that is half synced. */
START_TEST(test_policy_change)
{
	struct config_change ch[2];
	struct part *p;

	rig_init(&r);
	r.conf.sync = SYNC_OS;
	open_ok();
	p = rig_topic(&r, "t", 1)->parts[0];
	send_two(p);
	engine_drain(&r.eng);
	ck_assert_int_eq(p->hw, 2);
	ck_assert_int_eq(part_active(p)->synced, 0);
	/* Strict: what was seen stays seen, and is synced at once. */
	change(&ch[0], RES_TOPIC, "t", "flush.messages", "1");
	engine_drain(&r.eng);
	ck_assert_int_eq(changes, 1);
	ck_assert(!p->relaxed);
	ck_assert_int_eq(p->hw, 2);
	engine_drain(&r.eng);
	ck_assert_int_eq(part_active(p)->synced, part_active(p)->size);
	ck_assert_int_eq(p->visible, part_active(p)->size);
	rig_append(&r, p, 10);
	ck_assert_int_eq(part_active(p)->synced, part_active(p)->size);
	/* And lax again, after a while at first. */
	change(&ch[0], RES_TOPIC, "t", "flush.messages", NULL);
	change(&ch[1], RES_BROKER, "", "log.flush.interval.ms", "100");
	engine_drain(&r.eng);
	ck_assert(p->relaxed && p->flush_ms == 100);
	rig_append(&r, p, 10);
	ck_assert_int_lt(part_active(p)->synced, part_active(p)->size);
	rig_settle(&r, 101);
	ck_assert_int_eq(part_active(p)->synced, part_active(p)->size);
	change(&ch[0], RES_BROKER, "", "log.flush.interval.ms", NULL);
	engine_drain(&r.eng);
	rig_append(&r, p, 10);
	rig_settle(&r, 1000);
	ck_assert_int_lt(part_active(p)->synced, part_active(p)->size);
	ck_assert_int_eq(p->hw, 5);
	ck_assert_int_eq(p->visible, part_active(p)->size);
	sent_free(&one);
	sent_free(&all);
	end();
}
END_TEST

/* Changes on their way build on each other, and a start knows all of them. */
START_TEST(test_configs)
{
	struct config_change ch[6];
	struct part *p = fresh();
	enum config_source src;

	change(&ch[0], RES_TOPIC, "t", "retention.ms", "7");
	change(&ch[1], RES_TOPIC, "t", "flush.ms", "9");
	change(&ch[2], RES_BROKER, "1", "log.retention.bytes", "5");
	change(&ch[3], RES_BROKER, "", "log.retention.bytes", "4");
	change(&ch[4], RES_GROUP, "g", "consumer.session.timeout.ms", "50000");
	change(&ch[5], RES_GROUP, "h", "consumer.session.timeout.ms", "51000");
	ck_assert(p->topic->conf.retention_ms == 604800000);
	engine_drain(&r.eng);
	change(&ch[5], RES_GROUP, "h", "consumer.session.timeout.ms", NULL);
	engine_drain(&r.eng);
	for (int i = 0; i < 3; i++) {
		const struct topic_conf *tc = &part_of("t")->topic->conf;

		ck_assert(tc->retention_ms == 7 && tc->flush_ms == 9);
		ck_assert(tc->retention_bytes == 5);
		ck_assert_str_eq(configs_dynamic(&r.eng,
		    "log.retention.bytes", &src), "5");
		ck_assert_int_eq(src, SRC_BROKER);
		ck_assert_int_eq(group_conf_session_ms(&r.eng, kstr_of("g")),
		    50000);
		ck_assert_int_eq(group_conf_session_ms(&r.eng, kstr_of("h")),
		    45000);
		ck_assert_int_eq(group_conf_heartbeat_ms(&r.eng,
		    kstr_of("g")), 5000);
		ck_assert_int_eq((int)r.eng.configs.groups.n, 1);
		/* What is not allowed any more is kept within bounds. */
		r.conf.group_consumer_max_session_timeout_ms = 46000;
		ck_assert_int_eq(group_conf_session_ms(&r.eng, kstr_of("g")),
		    46000);
		r.conf.group_consumer_max_session_timeout_ms = 60000;
		rig_kill(&r);
		sim_crash(r.disk, (uint64_t)i);
		open_ok();
	}
	end();
}
END_TEST

/* ---- faults ------------------------------------------------------------- */

START_TEST(test_fence)
{
	static const enum sim_op ops[] = { SIM_PWRITEV, SIM_DATASYNC };
	struct part *p = fresh();
	struct sent late;
	int32_t epoch = p->epoch;

	r.conf.journal_bytes = r.eng.journal.file_bytes = 0;

	rig_append(&r, p, 100);
	sent_make(&all, 1, 300, true);
	sim_fail_op(r.disk, ops[_i], 1, E_IO);
	ck_assert_int_eq(part_append(p, &all.a), E_OK);
	engine_drain(&r.eng);
	ck_assert_int_eq(all.answers, 1);
	ck_assert_int_eq(all.err, _i == 0 ? E_STORAGE : E_NOT_DURABLE);
	ck_assert_int_eq(p->state, PART_FENCED);
	ck_assert_int_eq(p->hw, 1);
	sent_make(&late, 1, 10, true);
	ck_assert_int_ne(part_append(p, &late.a), E_OK);
	ck_assert_int_eq(late.answers, 0);
	rig_settle(&r, 60000);
	ck_assert_int_eq(p->state, PART_ONLINE);
	ck_assert_int_gt(p->epoch, epoch);
	ck_assert_int_ge(p->hw, 1);
	rig_append(&r, p, 20);
	ck_assert_int_eq(all.answers, 1);	/* never a second answer */
	sent_free(&late);
	sent_free(&all);
	stop_ok();
	rig_free(&r);
}
END_TEST

/* What was durable and is gone is not forgotten: the partition stays away. */
START_TEST(test_fence_loss)
{
	struct part *p = fresh();
	char dir[PATH_SIZE], path[PATH_SIZE];

	r.conf.journal_bytes = r.eng.journal.file_bytes = 0;
	rig_append(&r, p, 100);
	part_fence(p, E_IO, NULL, false);
	part_dir(p, dir);
	seg_path(path, dir, 0, ".log");
	sim_put(r.disk, path, _i == 0 ? "" : NULL, 0);
	rig_settle(&r, 60000);
	ck_assert_int_eq(p->state, PART_OFFLINE);
	end();
}
END_TEST

/* A repeated batch is answered when the first one is durable, not before. */
START_TEST(test_repeat)
{
	struct part *p = fresh();
	struct sent again;

	sent_make(&all, 1, 50, true);
	sent_make(&again, 1, 50, true);
	ck_assert_int_eq(part_append(p, &all.a), E_OK);
	again.a.b.base_offset = 0;
	part_await(p, &again.a);
	ck_assert_int_eq(again.answers, 0);
	engine_drain(&r.eng);
	ck_assert_int_eq(all.answers, 1);
	ck_assert_int_eq(again.answers, 1);
	part_await(p, &again.a);
	ck_assert_int_eq(again.answers, 2);
	sent_free(&all);
	sent_free(&again);
	end();
}
END_TEST

/* ---- segments ----------------------------------------------------------- */

static void
fill(struct part *p, int n)
{
	p->topic->conf.segment_bytes = 2000;
	for (int i = 0; i < n; i++)
		rig_append(&r, p, 900);
}

START_TEST(test_roll)
{
	struct part *p = fresh();

	fill(p, 9);
	ck_assert_int_eq(p->nsegs, 5);
	for (int i = 0; i < p->nsegs - 1; i++) {
		ck_assert(p->segs[i]->idx.sealed);
		ck_assert_int_eq(p->segs[i]->end_offset,
		    p->segs[i + 1]->base);
	}
	stop_ok();
	open_ok();
	p = part_of("t");
	ck_assert_int_eq(p->nsegs, 5);
	ck_assert_int_eq(p->hw, 9);
	end();
}
END_TEST

/* After kill -9 no start waits for indexes: what was scanned is looked up in
 * memory, and its checkpoint comes by itself. */
START_TEST(test_index_later)
{
	char path[PATH_SIZE], dir[PATH_SIZE];
	struct part *p;
	size_t n;

	rig_init(&r);
	ck_assert_int_eq(rig_open(&r), E_OK);
	p = rig_topic(&r, "t", 1)->parts[0];
	rig_append(&r, p, 100);
	part_dir(p, dir);
	seg_path(path, dir, 0, ".idx");
	rig_kill(&r);
	for (int i = 0; i < 2; i++) {
		ck_assert_ptr_null(sim_bytes(r.disk, path, &n));
		ck_assert_int_eq(rig_open(&r), E_OK);
		p = topic_find(&r.eng.topics, kstr_of("t"))->parts[0];
		ck_assert_int_eq(p->hw, 1);
		ck_assert_int_eq(part_active(p)->idx.npending, 1);
		if (i == 0)
			rig_kill(&r);
	}
	rig_settle(&r, 5000);
	ck_assert_int_eq(part_active(p)->idx.npending, 0);
	ck_assert_int_eq(part_active(p)->idx.nfile, 1);
	ck_assert_ptr_nonnull(sim_bytes(r.disk, path, &n));
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
}
END_TEST

/* A segment whose checkpoint came first is marked as finished on disk too. */
START_TEST(test_seal_after_checkpoint)
{
	struct part *p = fresh();
	struct idx_entry last;
	char path[PATH_SIZE];
	bool sealed = false;
	int64_t n;

	fill(p, 2);
	rig_settle(&r, 5000);
	ck_assert_int_eq(part_active(p)->idx.npending, 0);
	fill(p, 1);
	ck_assert_int_eq(p->nsegs, 2);
	idx_path(p->segs[0], path);
	ck_assert_int_eq(idx_open(path, &p->id, 0, &n, &last, &sealed), E_OK);
	ck_assert(sealed);
	ck_assert_int_eq(last.pos, p->segs[0]->size);
	end();
}
END_TEST

START_TEST(test_retention)
{
	struct part *p = fresh();
	int64_t every = r.conf.log_retention_check_interval_ms + 1;

	fill(p, 9);
	p->topic->conf.retention_bytes = 4000;
	rig_settle(&r, every);
	ck_assert_int_eq(p->start, 4);
	ck_assert_int_eq(p->nsegs, 3);
	/* All of it is old: an empty segment takes over. */
	p->topic->conf.retention_ms = 10;
	rig_settle(&r, every);
	ck_assert_int_eq(p->start, 9);
	ck_assert_int_eq(p->nsegs, 1);
	rig_append(&r, p, 10);
	ck_assert_int_eq(p->hw, 10);
	rig_kill(&r);
	sim_crash(r.disk, 1);
	open_ok();
	p = part_of("t");
	ck_assert_int_eq(p->start, 9);
	ck_assert_int_eq(p->hw, 10);
	end();
}
END_TEST

/* The empty segment's directory entry could not be synced: nothing may be
 * acknowledged from it. */
START_TEST(test_retention_roll_fails)
{
	struct part *p = fresh();

	rig_append(&r, p, 10);
	rig_settle(&r, 5000);		/* its checkpoint is written */
	p->topic->conf.retention_ms = 10;
	sim_fail_op(r.disk, SIM_SYNC_DIR, 1, E_IO);
	rig_now += r.conf.log_retention_check_interval_ms + 1;
	timers_run(&r.eng.timers, rig_now);
	engine_drain(&r.eng);
	ck_assert_int_eq(p->state, PART_FENCED);
	rig_settle(&r, 60000);
	ck_assert_int_eq(p->state, PART_ONLINE);
	rig_append(&r, p, 10);
	ck_assert_int_eq(p->hw, 2);
	rig_kill(&r);
	sim_crash(r.disk, 1);
	open_ok();
	ck_assert_int_eq(part_of("t")->hw, 2);
	end();
}
END_TEST

/* ---- topics ------------------------------------------------------------- */

static int finished;

static void
finish(struct topic_op *op, enum err e)
{
	(void)op;
	finished++;
	ck_assert_int_eq(e, E_OK);
}

START_TEST(test_names)
{
	struct topic_op op = { .done = finish };
	struct topic *t;

	(void)fresh();
	t = rig_topic(&r, "a.b", 2);
	ck_assert_int_eq(topic_create(&r.eng, kstr_of("a.b"), 1, NULL, &op),
	    E_TOPIC_EXISTS);
	ck_assert_int_eq(topic_create(&r.eng, kstr_of("a_b"), 1, NULL, &op),
	    E_INVALID_TOPIC);
	ck_assert_int_eq(topic_create(&r.eng, kstr_of(".."), 1, NULL, &op),
	    E_INVALID_TOPIC);
	ck_assert_int_eq(topic_create(&r.eng, (struct kstr){ -1, NULL }, 1,
	    NULL, &op), E_INVALID_TOPIC);
	ck_assert_int_eq(topic_create(&r.eng, kstr_of("c"), 0, NULL, &op),
	    E_INVALID_PARTITIONS);
	ck_assert_int_eq(topic_delete(t, &op), E_OK);
	ck_assert_int_eq(topic_delete(t, &op), E_UNKNOWN_TOPIC);
	engine_drain(&r.eng);
	ck_assert_int_eq(finished, 1);
	ck_assert_ptr_null(topic_find(&r.eng.topics, kstr_of("a.b")));
	(void)rig_topic(&r, "a_b", 1);
	stop_ok();
	open_ok();
	(void)part_of("a_b");
	ck_assert_uint_eq(r.eng.topics.n, 2);
	end();
}
END_TEST

/* A deletion whose record is durable goes on after a crash; what waits on the
 * topic is answered once. */
START_TEST(test_delete_resumes)
{
	struct topic_op op = { .done = finish };
	struct part *p = fresh();
	char dir[PATH_SIZE], path[PATH_SIZE];
	size_t n;

	rig_append(&r, p, 100);
	p->topic->conf.file_delete_delay_ms = 0;
	part_dir(p, dir);
	seg_path(path, dir, 0, ".log");
	sent_make(&all, 1, 10, true);
	ck_assert_int_eq(topic_delete(p->topic, &op), E_OK);
	ck_assert_int_eq(part_append(p, &all.a), E_OK);
	meta_kick(&r.eng.meta);
	sim_fail_op(r.disk, SIM_UNLINK, 1, E_IO);
	engine_drain(&r.eng);
	ck_assert_int_eq(finished, 1);
	ck_assert_int_eq(all.answers, 1);
	ck_assert_ptr_nonnull(sim_bytes(r.disk, path, &n));
	rig_kill(&r);
	sim_kill(r.disk);
	open_ok();
	engine_drain(&r.eng);
	ck_assert_ptr_null(sim_bytes(r.disk, path, &n));
	ck_assert_ptr_null(r.eng.topics.first);
	sent_free(&all);
	end();
}
END_TEST

/* ---- the catalogue ------------------------------------------------------ */

START_TEST(test_rewrite)
{
	struct meta_pids rec = { 1000 };
	int64_t most = 0;

	(void)fresh();
	for (int i = 0; r.eng.meta.part->segs[0]->base == 0; i++) {
		ck_assert_int_lt(i, 1000);
		for (int k = 0; k < 1000; k++)
			ck_assert_int_eq(meta_write(&r.eng.meta, MT_meta_pids,
			    NULL, &rec, NULL), E_OK);
		engine_drain(&r.eng);
		if (part_active(r.eng.meta.part)->size > most)
			most = part_active(r.eng.meta.part)->size;
	}
	ck_assert_int_lt(most, 3 * META_REWRITE_MIN);
	ck_assert_int_lt(part_active(r.eng.meta.part)->size, most / 4);
	(void)rig_topic(&r, "after", 1);
	rig_kill(&r);
	sim_crash(r.disk, 1);
	open_ok();
	(void)part_of("t");
	(void)part_of("after");
	ck_assert_uint_eq(r.eng.topics.n, 2);
	end();
}
END_TEST

/* Any flipped byte of a catalogue that was stopped in order is found, at the
 * first start and at the next.  The epoch in a batch header is not under the
 * CRC and means nothing here. */
START_TEST(test_flip)
{
	static const char path[] = "data/meta/00000000000000000000.log";
	struct sim *sound;
	struct batch b = { 0 };
	uint8_t *copy;
	size_t n, at = 0;

	(void)fresh();
	(void)rig_topic(&r, "u", 2);
	stop_ok();
	copy = malloc(1 << 20);
	ck_assert_ptr_nonnull(sim_bytes(r.disk, path, &n));
	ck_assert_uint_lt(n, 1 << 20);
	memcpy(copy, sim_bytes(r.disk, path, &n), n);
	sound = sim_clone(r.disk);
	for (size_t i = 0; i < n; i++) {
		if (i == at) {
			ck_assert_int_eq(batch_read(copy + i, &b), E_OK);
			at += (size_t)batch_size(&b);
		}
		sim_use(sound);
		sim_free(r.disk);
		r.disk = sim_clone(sound);
		sim_use(r.disk);
		copy[i] ^= 0x20;
		sim_put(r.disk, path, copy, n);
		for (int k = 0; k < 2; k++) {
			enum err e = rig_open(&r);

			if (e == E_OK) {
				/* Only the epoch of a header. */
				size_t from = at - (size_t)batch_size(&b);

				ck_assert_msg(i - from >= 12 && i - from < 16,
				    "byte %zu was not noticed", i);
				rig_kill(&r);
				break;
			}
			ck_assert_msg(strstr(r.why, "data/meta/") != NULL,
			    "byte %zu: %s", i, r.why);
			sim_kill(r.disk);
		}
		copy[i] ^= 0x20;
	}
	free(copy);
	sim_free(sound);
	rig_free(&r);
}
END_TEST

/* Data without a catalogue is not a new directory. */
START_TEST(test_no_catalogue)
{
	(void)fresh();
	stop_ok();
	sim_put(r.disk, "data/meta/00000000000000000000.log", NULL, 0);
	sim_put(r.disk, "data/meta/00000000000000000000.idx", NULL, 0);
	ck_assert_int_ne(rig_open(&r), E_OK);
	ck_assert_ptr_nonnull(strstr(r.why, "data/meta"));
	rig_free(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("engine");
	TCase *tc = tcase_create("engine");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_commit);
	tcase_add_loop_test(tc, test_interval, 0, 2);
	tcase_add_test(tc, test_policy_change);
	tcase_add_test(tc, test_configs);
	tcase_add_loop_test(tc, test_fence, 0, 2);
	tcase_add_loop_test(tc, test_fence_loss, 0, 2);
	tcase_add_test(tc, test_repeat);
	tcase_add_test(tc, test_roll);
	tcase_add_test(tc, test_index_later);
	tcase_add_test(tc, test_seal_after_checkpoint);
	tcase_add_test(tc, test_retention);
	tcase_add_test(tc, test_retention_roll_fails);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_delete_resumes);
	tcase_add_test(tc, test_rewrite);
	tcase_add_test(tc, test_flip);
	tcase_add_test(tc, test_no_catalogue);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
