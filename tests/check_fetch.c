/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: extents against the batches that lie in the log, for many offsets
 * and limits; long polls; what is not in memory; cancelling.
 */
#include <stdlib.h>
#include <string.h>

#include "api/fetch.h"
#include "ck.h"
#include "rig.h"
#include "simdisk.h"

enum { BATCHES = 40, PARTS_MOST = 400 };

static struct rig r;
static struct part *part;

/* A fetch request and what came of it. */
struct ask {
	struct fetch	f;
	struct arena	arena;
	struct fetch_req req;
	struct fetch_req_topic topic;
	struct fetch_req_topic_part parts[PARTS_MOST];
	int		answers;
};

static void
answered(struct fetch *f)
{
	((struct ask *)f->arg)->answers++;
}

static void
ask_start(struct ask *a, int n, int64_t offset, int32_t max, int32_t wait)
{
	memset(a, 0, sizeof *a);
	arena_init(&a->arena, 4 * MIB);
	for (int i = 0; i < n; i++)
		a->parts[i] = (struct fetch_req_topic_part){
		    .partition = i % part->topic->nparts,
		    .current_leader_epoch = -1, .fetch_offset = offset,
		    .last_fetched_epoch = -1, .partition_max_bytes = max };
	a->topic = (struct fetch_req_topic){ .topic =
	    kstr_of(part->topic->name), .partitions = { n, a->parts } };
	a->req = (struct fetch_req){ .max_wait_ms = wait, .min_bytes = 1,
	    .max_bytes = 50 * MIB, .topics = { 1, &a->topic } };
	a->f = (struct fetch){ .eng = &r.eng, .req = &a->req, .version = 12,
	    .arena = &a->arena, .done = answered, .arg = a };
	fetch_start(&a->f);
}

static void
ask_end(struct ask *a)
{
	fetch_release(&a->f);
	arena_reset(&a->arena);
}

static void
setup(int nparts)
{
	enum err e;

	rig_init(&r);
	e = rig_open(&r);
	ck_assert_int_eq(e, E_OK);
	part = rig_topic(&r, "t", nparts)->parts[0];
}

static void
end(void)
{
	rig_kill(&r);
	rig_free(&r);
}

/* The model: where each batch lies. */
static struct place {
	struct seg	*seg;
	int64_t		 pos, size;
} places[BATCHES];

static void
fill(void)
{
	part->topic->conf.segment_bytes = 30000;
	for (int i = 0; i < BATCHES; i++) {
		size_t n = (size_t)(i * 997 % 5000);
		int64_t pos;

		rig_append(&r, part, n);
		pos = part_active(part)->size - BATCH_HEADER - (int64_t)n;
		places[i] = (struct place){ part_active(part), pos,
		    BATCH_HEADER + (int64_t)n };
	}
	ck_assert_int_gt(part->nsegs, 2);
}

START_TEST(test_extents)
{
	static const int32_t limits[] = { -5, 0, 1, 61, 3000, 5061, 9000,
	    20000, 1000000 };
	struct ask a;

	setup(1);
	fill();
	for (int i = 0; i < BATCHES; i++)
		for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
			int64_t len = places[i].size;

			ask_start(&a, 1, i, limits[k], 0);
			engine_drain(&r.eng);
			ck_assert_int_eq(a.answers, 1);
			/* The first batch whatever its size, then as many
			 * whole ones of the segment as the limit holds. */
			for (int n = i + 1; n < BATCHES && places[n].seg ==
			    places[i].seg && len + places[n].size <=
			    limits[k]; n++)
				len += places[n].size;
			ck_assert_int_eq(a.f.nextents, 1);
			ck_assert_ptr_eq(a.f.extents[0].seg, places[i].seg);
			ck_assert_int_eq(a.f.extents[0].pos, places[i].pos);
			ck_assert_int_eq(a.f.extents[0].len, len);
			ask_end(&a);
		}
	end();
}
END_TEST

static int64_t
error_of(int64_t offset)
{
	struct ask a;
	int64_t e;

	ask_start(&a, 1, offset, 1000, 0);
	engine_drain(&r.eng);
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(a.f.nextents, 0);
	e = a.f.res.topics.v[0].parts.v[0].error;
	ask_end(&a);
	return e;
}

START_TEST(test_range)
{
	setup(1);
	rig_append(&r, part, 10);
	ck_assert_int_eq(error_of(-1), E_OFFSET_OUT_OF_RANGE);
	ck_assert_int_eq(error_of(1), E_OK);
	ck_assert_int_eq(error_of(2), E_OFFSET_OUT_OF_RANGE);
	ck_assert_int_eq(error_of(INT64_MAX), E_OFFSET_OUT_OF_RANGE);
	end();
}
END_TEST

START_TEST(test_long_poll)
{
	struct ask a;

	setup(1);
	ask_start(&a, 1, 0, 100000, 500);
	engine_drain(&r.eng);
	ck_assert(a.f.parked);
	ck_assert_int_eq(r.eng.parked, 1);
	rig_append(&r, part, 10);
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(a.f.nextents, 1);
	rig_append(&r, part, 10);
	rig_settle(&r, 1000);
	ck_assert_int_eq(a.answers, 1);
	ask_end(&a);
	/* Nothing comes: an empty answer when the time is over, not before. */
	ask_start(&a, 1, 2, 100000, 500);
	rig_settle(&r, 499);
	ck_assert_int_eq(a.answers, 0);
	rig_settle(&r, 1);
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(a.f.nextents, 0);
	ask_end(&a);
	/* The topic goes. */
	ask_start(&a, 1, 2, 100000, 500);
	part_fence(part, E_IO, NULL, false);
	rig_settle(&r, 400);
	ck_assert_int_eq(part->state, PART_ONLINE);
	ck_assert_int_le(a.answers, 1);
	rig_settle(&r, 1000);
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(r.eng.parked, 0);
	ask_end(&a);
	end();
}
END_TEST

/* More cold partitions than there may be windows, and one named twice. */
START_TEST(test_many_cold)
{
	static struct ask a;
	int n = 300;

	setup(n);
	for (int i = 0; i < n; i++) {
		struct part *p = part->topic->parts[i];

		for (int k = 0; k < 3; k++)
			rig_append(&r, p, 5000);
	}
	rig_settle(&r, 5000);
	ck_assert_int_gt(part_active(part)->idx.nfile, 0);
	ask_start(&a, n + 10, 1, 6000, 0);
	for (int i = 0; i < 100 && a.answers == 0; i++) {
		engine_turn(&r.eng);
		(void)pool_step(r.bulk);
	}
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(a.f.nextents, n + 10);
	ask_end(&a);
	end();
}
END_TEST

/* A memory that holds [from, to) of every file: what was read or prefetched
 * last.  Counts how often a fetch had to wait for the disk. */
static struct {
	int64_t	from, to, prefetched;
	int	missed, dropped;
	bool	kernels;	/* it may read more than what is asked */
} memory;

static bool
memory_has(int fd, int64_t pos, int64_t n)
{
	bool there = pos >= memory.from && pos + n <= memory.to;

	(void)fd;
	if (!there) {
		memory.from = pos;
		memory.to = pos + n;	/* a job reads it now */
		memory.missed++;
	}
	return there;
}

static void
memory_prefetch(int fd, int64_t pos, int64_t n)
{
	(void)fd;
	memory.prefetched += n;
	if (n > 0 && pos == memory.to)
		memory.to = pos + n;
}

static void
memory_readahead(int fd, bool on)
{
	(void)fd;
	memory.kernels = on;
}

static void
memory_drop_ahead(int fd, int64_t pos, int64_t n)
{
	(void)fd;
	(void)pos;
	memory.dropped += n > 0;
}

/* Reads batch i; how many times it waited for the disk. */
static int
misses(int64_t i)
{
	struct ask a;
	int before = memory.missed;

	ask_start(&a, 1, i, 1, 0);
	engine_drain(&r.eng);
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(a.f.nextents, 1);
	ask_end(&a);
	return memory.missed - before;
}

/* A reader in order waits seldom; one that jumps about costs no more than
 * what it reads. */
START_TEST(test_ahead)
{
	enum { N = 300, SIZE = 100000 };
	struct disk d;
	int waited = 0;

	setup(1);
	for (int i = 0; i < N; i++)
		rig_append(&r, part, SIZE);
	rig_settle(&r, 5000);
	d = *disk;
	d.resident = memory_has;
	d.prefetch = memory_prefetch;
	d.readahead = memory_readahead;
	d.drop_ahead = memory_drop_ahead;
	disk = &d;
	for (int i = 0; i < N; i++)
		waited += misses(i);
	ck_assert_int_gt(waited, 0);
	ck_assert(memory.kernels);
	rig_append(&r, part, SIZE);
	engine_drain(&r.eng);
	ck_assert_int_eq(memory.dropped, 0);
	ck_assert_int_eq(misses(0), 1);
	ck_assert(!memory.kernels);
	/* What is in memory may have the kernel's marks: jobs look at it until
	 * they are gone. */
	memory.from = 0;
	memory.to = INT64_MAX;
	for (int i = 1; i < 10; i++)
		ck_assert_int_eq(misses(i), 0);
	ck_assert_int_eq(memory.dropped, 3);
	ck_assert(!memory.kernels);
	memory.from = memory.to = 0;
	rig_now += 2000;
	ck_assert_int_eq(misses(N / 2), 1);
	ck_assert(memory.kernels);
	ck_assert_int_lt(waited, N / 20);
	ck_assert_int_le(memory.to, part_active(part)->size);
	memory.from = memory.to = memory.prefetched = 0;
	for (int i = 0; i < N; i++)
		(void)misses(N / 3 + (i % 2) * (N / 3) + i / 10);
	ck_assert_int_eq(memory.prefetched, 0);
	disk = &simdisk;
	end();
}
END_TEST

/* Dropped while parked, while due, and while a job is under way. */
START_TEST(test_cancel)
{
	static struct ask a;

	setup(2);
	ask_start(&a, 2, 0, 1000, 500);
	ck_assert(a.f.parked);
	ck_assert(fetch_cancel(&a.f));
	ck_assert_ptr_null(part->waiters);
	ask_end(&a);

	ask_start(&a, 2, 0, 1000, 500);
	fetch_wake(part);
	part->visible++;
	fetch_wake(part);
	ck_assert(a.f.due);
	ck_assert(fetch_cancel(&a.f));
	ck_assert_ptr_null(r.eng.due);
	ask_end(&a);

	for (int k = 0; k < 3; k++)
		rig_append(&r, part, 5000);
	rig_settle(&r, 5000);
	ask_start(&a, 1, 1, 1000, 500);
	ck_assert_ptr_nonnull(a.f.job);
	ck_assert(!fetch_cancel(&a.f));
	ck_assert_int_eq(a.answers, 0);
	engine_drain(&r.eng);
	ck_assert_int_eq(a.answers, 1);		/* to be freed, not sent */
	ck_assert(a.f.dropped);
	ask_end(&a);
	ck_assert_int_eq(part->jobs, 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch");
	TCase *tc = tcase_create("fetch");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_extents);
	tcase_add_test(tc, test_range);
	tcase_add_test(tc, test_long_poll);
	tcase_add_test(tc, test_many_cold);
	tcase_add_test(tc, test_ahead);
	tcase_add_test(tc, test_cancel);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
