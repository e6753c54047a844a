/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roster of a clean stop: what a start finds in it is what it would have
 * found by looking; the start touches a few files whatever their number; and
 * whatever was done to the files, or to the marker, while no engine ran is
 * noticed before it matters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/log.h"
#include "log/roster.h"
#include "minilog.h"
#include "rig.h"

/* With so many a start looks at every third one, from the first on. */
enum { PARTS = 40, UNSEEN = 1, SEVERAL = 2 };

static struct rig r;

#define OK(call)	ck_assert_int_eq(call, E_OK)

static void
open_ok(void)
{
	enum err e = rig_open(&r);

	ck_assert_msg(e == E_OK, "%s", r.why);
}

static struct topic *
topic(void)
{
	struct topic *t = topic_find(&r.eng.topics, kstr_of("t"));

	ck_assert_ptr_nonnull(t);
	return t;
}

static void
append_as(struct part *p, int64_t pid, int32_t seq)
{
	struct sent s;

	sent_make(&s, 1, 100, true);
	s.a.b.pid = pid;
	s.a.b.epoch = 0;
	s.a.b.base_seq = seq;
	(void)mini_batch(s.p, &s.a.b, 100, 1);
	memcpy(s.a.head, s.p, BATCH_HEADER);
	OK(part_append(p, &s.a));
	engine_drain(&r.eng);
	ck_assert_int_eq(s.answers, 1);
	OK(s.err);
	sent_free(&s);
}

/* Partitions with one segment, with several, with none but an empty one, with
 * producers, and with a start that was moved. */
static void
world(void)
{
	struct topic *t;

	rig_init(&r);
	open_ok();
	t = rig_topic(&r, "t", PARTS);
	for (int i = 0; i < PARTS - 1; i++) {
		rig_append(&r, t->parts[i], 100);
		if (i % 4 == 1)
			append_as(t->parts[i], 7 + i, 0);
	}
	t->conf.segment_ms = 1;
	for (int i = SEVERAL; i < PARTS; i += 4)
		for (int k = 0; k < 3; k++) {
			rig_settle(&r, 10);
			rig_append(&r, t->parts[i], 100);
		}
	rig_settle(&r, 5000);
}

static void
end(void)
{
	rig_kill(&r);
	rig_free(&r);
}

/* All that a start has to know of a partition, as text. */
static char *
state(bool marks)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct topic *t = topic();

	for (int i = 0; i < t->nparts; i++) {
		const struct part *p = t->parts[i];
		struct wr w = wr_grow(MIB);

		if (p->prods != NULL && prod_count(p->prods) > 0)
			OK(prod_encode(p->prods, &p->id, p->next, &w));
		fprintf(f, "%d: %d %d %lld-%lld %lld snap %lld due %lld "
		    "prods %zu %08x\n", i, p->state, p->epoch,
		    (long long)p->start, (long long)p->next,
		    (long long)p->hw, (long long)p->snapped,
		    (long long)p->reap_due, w.len, w.len < 4 ? 0 :
		    be32(w.p + w.len - 4));
		for (int k = 0; k < p->nsegs; k++) {
			const struct seg *s = p->segs[k];

			fprintf(f, "  %lld-%lld %lld/%lld %lld ts %lld idx "
			    "%lld %lld,%lld,%lld %d %lld\n",
			    (long long)s->base, (long long)s->end_offset,
			    (long long)s->size, (long long)s->synced,
			    (long long)s->synced_offset, (long long)s->max_ts,
			    (long long)s->idx.nfile,
			    (long long)s->idx.last.offset,
			    (long long)s->idx.last.pos,
			    (long long)s->idx.last.max_ts, s->idx.sealed,
			    marks && k == p->nsegs - 1 ?
			    (long long)s->first_ts : 0);
		}
		wr_free(&w);
	}
	fclose(f);
	return text;
}

static void
same_state(char *want, bool marks)
{
	char *got = state(marks);
	size_t i = 0;

	while (got[i] != '\0' && got[i] == want[i])
		i++;
	while (i > 0 && got[i - 1] != '\n')
		i--;
	ck_assert_msg(strcmp(got, want) == 0, "now: %.200s\nwas: %.200s",
	    got + i, want + i);
	free(got);
	free(want);
}

/* Stops, and starts by the marker or by looking. */
static void
restart(bool looking)
{
	OK(rig_stop(&r));
	if (looking)
		OK(clean_write("data", NULL));
	sim_count_reset(r.disk);
	open_ok();
	ck_assert(r.eng.clean_start);
	ck_assert_int_eq(r.eng.told, looking ? 0 : PARTS);
}

START_TEST(test_told)
{
	int64_t calls;
	char *told;

	world();
	for (int round = 0; round < 2; round++) {
		restart(false);
		calls = sim_calls(r.disk);
		told = state(true);
		/* Untouched, it says so again. */
		restart(false);
		same_state(told, true);
		told = state(true);
		restart(true);
		same_state(told, true);
		ck_assert_int_lt(calls, sim_calls(r.disk) - 3 * PARTS);
		told = state(true);
		restart(false);
		same_state(told, true);
		for (int i = 0; i < PARTS; i++)
			rig_append(&r, topic()->parts[i], 100);
	}
	end();
}
END_TEST

/* The power goes after a start that only listened. */
START_TEST(test_killed)
{
	world();
	restart(false);
	rig_kill(&r);
	sim_crash(r.disk, 1);
	open_ok();
	ck_assert(!r.eng.clean_start);
	ck_assert_int_eq(r.eng.told, 0);
	for (int i = 0; i < PARTS; i++)
		ck_assert_int_eq(topic()->parts[i]->state, PART_ONLINE);
	end();
}
END_TEST

static void
path_of(char *path, int part, int64_t base, const char *ext)
{
	char dir[PATH_SIZE];

	part_dir(topic()->parts[part], dir);
	seg_path(path, dir, base, ext);
}

/* What can be done to files: to all of a sample it is noticed at the start. */
enum harm { CUT, GROW, TOUCH, GONE, MORE, HARMS };

static void
harm(enum harm h, const char *path)
{
	size_t n;
	const uint8_t *p = sim_bytes(r.disk, path, &n);
	uint8_t *copy = malloc(n + 100);

	ck_assert(p != NULL && copy != NULL && n > 1);
	memcpy(copy, p, n);
	memset(copy + n, 1, 100);
	switch (h) {
	case CUT:
		sim_put(r.disk, path, copy, n - 1);
		break;
	case GROW:
		sim_put(r.disk, path, copy, n + 100);
		break;
	case TOUCH:
		sim_put(r.disk, path, copy, n);
		break;
	case GONE:
		sim_put(r.disk, path, NULL, 0);
		break;
	case MORE:
	case HARMS:
		strcpy(strrchr(path, '/') + 1, "00000000000000009999.log");
		sim_put(r.disk, path, "", 0);
		break;
	}
	free(copy);
}

/* An append to it is refused or not; what holds then is what is there. */
static void
try_append(struct part *p)
{
	struct sent s;

	sent_make(&s, 1, 100, true);
	if (part_append(p, &s.a) == E_OK) {
		engine_drain(&r.eng);
		ck_assert_int_eq(s.answers, 1);
	}
	sent_free(&s);
	rig_settle(&r, 1000);
	rig_settle(&r, 1000);
}

/* The harm is noticed at the first append, rolling or not, and the partition
 * is what an engine finds that looks at the same files. */
START_TEST(test_harm)
{
	bool rolls = _i >= HARMS;
	char path[PATH_SIZE];
	struct part *p;
	uint32_t gen;

	world();
	path_of(path, UNSEEN, 0, ".log");
	OK(rig_stop(&r));
	harm(_i % HARMS, path);
	open_ok();
	ck_assert_int_eq(r.eng.told, PARTS);
	p = topic()->parts[UNSEEN];
	gen = p->gen;
	if (rolls)
		topic()->conf.segment_ms = 1;
	rig_settle(&r, 10);
	try_append(p);
	ck_assert_uint_ne(p->gen, gen);
	switch ((enum harm)(_i % HARMS)) {
	case CUT:
	case GONE:
		ck_assert_int_ne(p->state, PART_ONLINE);
		break;
	case GROW:
	case TOUCH:
	case MORE:
	case HARMS:
		ck_assert_int_eq(p->state, PART_ONLINE);
		rig_append(&r, p, 100);
		break;
	}
	for (int i = 0; i < PARTS; i++)
		if (i != UNSEEN)
			rig_append(&r, topic()->parts[i], 100);
	rig_kill(&r);
	sim_kill(r.disk);
	open_ok();
	ck_assert_int_eq(topic()->parts[UNSEEN]->state == PART_ONLINE,
	    _i % HARMS != CUT && _i % HARMS != GONE);
	end();
}
END_TEST

/* Who only reads does not use it either, and the log is read anew. */
START_TEST(test_reader)
{
	char path[PATH_SIZE];
	struct part *p;
	uint32_t gen;
	int fd;

	world();
	path_of(path, UNSEEN, 0, ".log");
	OK(rig_stop(&r));
	harm(TOUCH, path);
	open_ok();
	p = topic()->parts[UNSEEN];
	gen = p->gen;
	ck_assert_int_eq(seg_fd(p->segs[0], &fd), E_CORRUPT);
	rig_settle(&r, 1000);
	rig_settle(&r, 1000);
	ck_assert_uint_ne(p->gen, gen);
	ck_assert_int_eq(p->state, PART_ONLINE);
	OK(seg_fd(p->segs[0], &fd));
	rig_append(&r, p, 100);
	end();
}
END_TEST

/* Nothing is removed from a directory that is not as it was said. */
START_TEST(test_retention)
{
	char path[PATH_SIZE], other[PATH_SIZE];
	size_t n;

	world();
	ck_assert_int_eq(topic()->parts[SEVERAL]->nsegs, 4);
	path_of(path, SEVERAL, 0, ".log");
	path_of(other, SEVERAL, 9999, ".log");
	OK(rig_stop(&r));
	sim_put(r.disk, other, "x", 1);
	open_ok();
	ck_assert_int_eq(r.eng.told, PARTS);
	topic()->conf.retention_ms = 1;
	rig_settle(&r, r.conf.log_retention_check_interval_ms + 1000);
	ck_assert_ptr_nonnull(sim_bytes(r.disk, path, &n));
	/* The others' go, which nobody was at. */
	path_of(other, SEVERAL + 4, 0, ".log");
	ck_assert_ptr_null(sim_bytes(r.disk, other, &n));
	end();
}
END_TEST

/* A copy of a data directory has other files. */
START_TEST(test_copied)
{
	char *before, path[PATH_SIZE];
	uint8_t *copy;
	size_t n;
	const uint8_t *p;

	world();
	restart(false);
	before = state(true);
	path_of(path, 0, 0, ".log");
	OK(rig_stop(&r));
	p = sim_bytes(r.disk, path, &n);
	copy = malloc(n);
	memcpy(copy, p, n);
	for (int i = 0; i < 2; i++)	/* gone, and made anew */
		sim_put(r.disk, path, i == 0 ? NULL : copy, n);
	free(copy);
	open_ok();
	ck_assert(r.eng.clean_start);
	ck_assert_int_eq(r.eng.told, 0);
	same_state(before, true);
	end();
}
END_TEST

/* Of another catalogue. */
START_TEST(test_catalogue)
{
	uint8_t *old;
	size_t n;

	world();
	OK(rig_stop(&r));
	old = malloc(1 << 20);
	memcpy(old, sim_bytes(r.disk, "data/clean", &n), 1 << 10);
	(void)sim_bytes(r.disk, "data/clean", &n);
	memcpy(old, sim_bytes(r.disk, "data/clean", &n), n);
	open_ok();
	(void)rig_topic(&r, "u", 1);
	OK(rig_stop(&r));
	sim_put(r.disk, "data/clean", old, n);
	free(old);
	open_ok();
	ck_assert_int_eq(r.eng.told, 0);
	end();
}
END_TEST

struct ends {
	int64_t	start[PARTS], next[PARTS];
};

static struct ends
ends(void)
{
	struct ends x;

	for (int i = 0; i < PARTS; i++) {
		const struct part *p = topic()->parts[i];

		ck_assert_int_eq(p->state, PART_ONLINE);
		ck_assert_int_eq(p->hw, p->next);
		x.start[i] = p->start;
		x.next[i] = p->next;
	}
	return x;
}

/* One bit of it is another, or it ends too soon: it is no marker, all is
 * scanned, and nothing of what it said is believed. */
START_TEST(test_flips)
{
	size_t n, step = getenv("CHRONIK_QUICK") != NULL ? 37 : 1;
	struct sim *sound;
	struct ends was;
	uint8_t *p;

	world();
	was = ends();
	OK(rig_stop(&r));
	sound = sim_clone(r.disk);
	(void)sim_bytes(sound, "data/clean", &n);
	p = malloc(n);
	memcpy(p, sim_bytes(sound, "data/clean", &n), n);
	for (size_t i = 0; i < 2 * n; i += i < 100 ? 1 : step) {
		bool cut = i >= n;
		size_t at = cut ? i - n : i;
		struct ends now;

		sim_use(sound);
		sim_free(r.disk);
		r.disk = sim_clone(sound);
		sim_use(r.disk);
		p[at] ^= 1 << at % 8;
		sim_put(r.disk, "data/clean", p, cut ? at : n);
		p[at] ^= 1 << at % 8;
		open_ok();
		ck_assert_msg(!r.eng.clean_start, "byte %zu", i);
		ck_assert_int_eq(r.eng.told, 0);
		now = ends();
		ck_assert_mem_eq(&now, &was, sizeof was);
		rig_kill(&r);
	}
	sim_free(sound);
	free(p);
	rig_free(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("roster");
	TCase *tc = tcase_create("roster");
	SRunner *sr = srunner_create(s);
	int failed;

	log_setup("check_roster", LOG_FATAL, LOG_TEXT);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_told);
	tcase_add_test(tc, test_killed);
	tcase_add_loop_test(tc, test_harm, 0, 2 * HARMS);
	tcase_add_test(tc, test_reader);
	tcase_add_test(tc, test_retention);
	tcase_add_test(tc, test_copied);
	tcase_add_test(tc, test_catalogue);
	tcase_add_test(tc, test_flips);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
