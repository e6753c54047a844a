/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge of chronik-check must be able to fail: for each anomaly a history
 * that has it, where it is found by its name and nothing else is, and the same
 * history without the fault, where nothing is found.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ck.h"
#include "tests/checker/judge.h"
#include "tests/checker/value.h"

enum { A = 1, B = 2 };		/* senders */

/* A history in the making: one topic, one partition. */
static struct setup setup;
static struct judge *j;
static int64_t now;

static struct event
event(enum ev_type type, enum ev_outcome outcome)
{
	now += 1000;
	return (struct event){ .type = (uint8_t)type, .outcome =
	    (uint8_t)outcome, .at = now, .offset = -1 };
}

static void
begin(void)
{
	memset(&setup, 0, sizeof setup);
	setup.ntopics = 1;
	setup.topics[0] = (struct ck_topic){ .name = "t", .nparts = 1,
	    .acks = -1, .idempotent = true, .retention_ms = -1,
	    .retention_bytes = -1 };
	now = 1000000;
	j = judge_new(&setup, NULL);
	judge_thread(j);
}

static void
invoke(int who, int seq, uint32_t key)
{
	struct event e = event(EV_SEND, EV_INVOKE);

	e.id = EV_ID(who, seq);
	e.a = 100;
	e.b = key;
	judge_event(j, &e);
}

static void
told(int who, int seq, enum ev_outcome outcome, int64_t offset)
{
	struct event e = event(EV_SEND, outcome);

	e.id = EV_ID(who, seq);
	e.offset = offset;
	judge_event(j, &e);
}

static void
sent(int who, int seq, int64_t offset)
{
	invoke(who, seq, 100);
	told(who, seq, EV_OK, offset);
}

static void
polled(int who, int seq, int64_t offset, uint32_t b)
{
	struct event e = event(EV_POLL, EV_OK);

	e.id = EV_ID(who, seq);
	e.offset = offset;
	e.a = 100;
	e.b = b;
	judge_event(j, &e);
}

static void
placed(int64_t offset)
{
	struct event e = event(EV_ASSIGN, EV_OK);

	e.offset = offset;
	judge_event(j, &e);
}

static void
listed(int64_t low, int64_t high, uint32_t b)
{
	struct event e = event(EV_LIST, EV_OK);

	e.id = (uint64_t)now;
	e.at = now += 1000;
	e.offset = low;
	e.a = high;
	e.b = b;
	judge_event(j, &e);
}

static void
looked_up(int64_t ts, int64_t offset)
{
	struct event e = event(EV_TIME, EV_OK);

	e.id = (uint64_t)now;
	e.at = now += 1000;
	e.a = ts;
	e.offset = offset;
	judge_event(j, &e);
}

static void
at_time(int who, int seq, int64_t offset, int64_t ts)
{
	struct event e = event(EV_POLL, EV_OK);

	e.id = EV_ID(who, seq);
	e.offset = offset;
	e.a = ts;
	judge_event(j, &e);
}

static void
commit(uint64_t id, enum ev_outcome outcome, int64_t offset)
{
	struct event e = event(EV_COMMIT, outcome);

	e.id = id;
	e.offset = offset;
	judge_event(j, &e);
}

static void
asked(int64_t offset)
{
	struct event e = event(EV_COMMITTED, EV_OK);

	e.id = (uint64_t)now;
	e.at = now += 1000;
	e.offset = offset;
	judge_event(j, &e);
}

static void
plain(enum ev_type type, enum ev_outcome outcome, int64_t offset, int64_t a)
{
	struct event e = event(type, outcome);

	e.offset = offset;
	e.a = a;
	judge_event(j, &e);
}

/* The final phase: the log is [low, high). */
static void
final(int64_t low, int64_t high)
{
	listed(low, high, EV_PASS(1, 1));
	placed(low);
}

#define FINAL EV_PASS(1, 1)

/* ---- the tales: bad tells whether the fault is in it ------------------- */

static void
inconsistent(bool bad)
{
	sent(A, 0, 0);
	polled(A, 0, 0, 0);
	if (bad) {
		/* A crash gave the offset to another. */
		setup.topics[0].acks = 0;
		invoke(B, 0, 100);
		placed(0);
		polled(B, 0, 0, 0);
	}
	final(0, 1);
	polled(bad ? B : A, 0, 0, FINAL);
}

static void
lost(bool bad)
{
	sent(A, 0, 0);
	sent(A, 1, 1);
	final(0, 2);
	polled(A, 0, 0, FINAL);
	if (!bad)
		polled(A, 1, 1, FINAL);
}

/* The last value of a key must stay, those before it may go. */
static void
latest(bool bad)
{
	setup.topics[0].compact = true;
	invoke(A, 0, 7);
	told(A, 0, EV_OK, 0);
	invoke(A, 1, 7);
	told(A, 1, EV_OK, 1);
	invoke(A, 2, 8);
	told(A, 2, EV_OK, 2);
	final(0, 3);
	if (!bad)
		polled(A, 1, 1, FINAL);
	polled(A, 2, 2, FINAL);
}

/* A tombstone may go, but not at once. */
static void
tombstone(bool bad)
{
	setup.topics[0].compact = true;
	setup.topics[0].delete_retention_ms = 1;
	invoke(A, 0, 7 | EV_TOMBSTONE);
	told(A, 0, EV_OK, 0);
	if (!bad)
		now += 2000000;
	final(0, 1);
}

static void
unseen(bool bad)
{
	sent(A, 0, 0);
	final(0, 1);
	polled(A, 0, 0, EV_PASS(bad ? 2 : 1, 1));
}

static void
dirty(bool bad)
{
	invoke(A, 0, 100);
	told(A, 0, EV_INFO, -1);
	polled(A, 0, 0, 0);
	final(0, bad ? 0 : 1);
	if (!bad)
		polled(A, 0, 0, FINAL);
}

static void
early_request(bool bad)
{
	sent(A, 0, 0);
	sent(A, 1, 1);
	plain(EV_DELETE, EV_INVOKE, 1, 0);
	plain(EV_DELETE, EV_OK, 1, 1);
	final(bad ? 2 : 1, 2);
	if (!bad)
		polled(A, 1, 1, FINAL);
}

static void
early_age(bool bad)
{
	setup.topics[0].retention_ms = 1000;
	setup.wall_ms = bad ? 500 : 5000;
	sent(A, 0, 0);
	polled(A, 0, 0, 0);
	final(1, 1);
}

static void
early_bytes(bool bad)
{
	setup.topics[0].retention_bytes = bad ? 1000 : 100;
	sent(A, 0, 0);
	sent(A, 1, 1);
	final(1, 2);
	polled(A, 1, 1, FINAL);
}

static void
phantom(bool bad)
{
	if (!bad)
		invoke(A, 0, 100);
	polled(A, 0, 0, 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
before_sent(bool bad)
{
	if (bad)
		polled(A, 0, 0, 0);
	sent(A, 0, 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
foreign(bool bad)
{
	sent(A, 0, 0);
	placed(0);
	polled(A, 0, 0, bad ? EV_BAD_FOREIGN : 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
corrupt(bool bad)
{
	sent(A, 0, 0);
	polled(A, 0, 0, bad ? EV_BAD_HEADER : 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
duplicate(bool bad)
{
	/* Also a duplicate in a topic whose senders may repeat themselves. */
	setup.topics[0].idempotent = bad;
	invoke(A, 0, 100);
	polled(A, 0, 0, 0);
	polled(A, 0, 1, 0);
	final(0, 2);
	polled(A, 0, 0, FINAL);
	polled(A, 0, 1, FINAL);
}

static void
aborted(bool bad)
{
	invoke(A, 0, 100);
	told(A, 0, bad ? EV_FAIL : EV_INFO, -1);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
out_of_order(bool bad)
{
	invoke(A, 0, 100);
	invoke(A, 1, 100);
	final(0, 2);
	polled(A, bad, 0, FINAL);
	polled(A, !bad, 1, FINAL);
}

/* Sent once, never answered, and overtaken: only where it is sent again must
 * the order hold. */
static void
overtaken(bool bad)
{
	setup.topics[0].raw = !bad;
	invoke(A, 0, 100);
	told(A, 0, EV_INFO, -1);
	invoke(A, 1, 100);
	told(A, 1, EV_OK, 0);
	final(0, 2);
	polled(A, 1, 0, FINAL);
	polled(A, 0, 1, FINAL);
}

static void
spurious_offset(bool bad)
{
	invoke(A, 0, 100);
	invoke(B, 0, 100);
	told(A, 0, EV_OK, bad ? 5 : 0);
	final(0, 2);
	polled(A, 0, 0, FINAL);
	polled(B, 0, 1, FINAL);
}

static void
skip(bool bad)
{
	invoke(A, 0, 100);
	invoke(A, 1, 100);
	placed(0);
	polled(A, 0, 0, 0);
	if (!bad)
		polled(A, 1, 1, 0);
	invoke(A, 2, 100);
	polled(A, 2, 2, 0);
	final(0, 3);
	for (int i = 0; i < 3; i++)
		polled(A, i, i, FINAL);
}

/* What compaction took away is not passed over; what comes again was. */
static void
skip_compacted(bool bad)
{
	setup.topics[0].compact = true;
	for (int i = 0; i < 3; i++) {
		invoke(A, i, i == 2 ? 9 : 7);
		told(A, i, EV_OK, i);
	}
	placed(0);
	polled(A, 0, 0, 0);
	polled(A, 1, 1, 0);
	polled(A, 2, 2, 0);
	placed(0);
	polled(A, 1, 1, 0);
	polled(A, 2, 2, 0);
	final(0, 3);
	if (bad)
		polled(A, 0, 0, FINAL);
	polled(A, 1, 1, FINAL);
	polled(A, 2, 2, FINAL);
}

/* It went before anything had replaced it, and nobody saw it again. */
static void
skip_newest(bool bad)
{
	setup.topics[0].compact = true;
	invoke(A, 0, 7);
	told(A, 0, EV_OK, 0);
	invoke(A, 1, 9);
	told(A, 1, EV_OK, 1);
	placed(0);
	if (!bad)
		invoke(A, 2, 7);
	polled(A, 1, 1, 0);
	if (bad)
		invoke(A, 2, 7);
	told(A, 2, EV_OK, 2);
	final(0, 3);
	polled(A, 1, 1, FINAL);
	polled(A, 2, 2, FINAL);
}

/* A tombstone is passed over while it was to stay. */
static void
skip_tombstone(bool bad)
{
	setup.topics[0].compact = true;
	setup.topics[0].delete_retention_ms = 1;
	invoke(A, 0, 7 | EV_TOMBSTONE);
	told(A, 0, EV_OK, 0);
	invoke(A, 1, 9);
	told(A, 1, EV_OK, 1);
	if (!bad)
		now += 2000000;
	placed(0);
	polled(A, 1, 1, 0);
	now += 2000000;
	final(0, 2);
	polled(A, 1, 1, FINAL);
}

static void
back(bool bad)
{
	sent(A, 0, 0);
	sent(A, 1, 1);
	placed(0);
	polled(A, 0, 0, 0);
	polled(A, 1, 1, 0);
	if (!bad)
		placed(0);
	polled(A, 0, 0, 0);
	final(0, 2);
	polled(A, 0, 0, FINAL);
	polled(A, 1, 1, FINAL);
}

static void
reset(bool bad)
{
	plain(EV_DELETE, EV_INVOKE, 1, 0);
	sent(A, 0, 0);
	plain(EV_RESET, EV_INFO, bad ? 1 : 0, 0);
	final(1, 1);
}

static void
nonlinear(bool bad)
{
	invoke(A, 0, 100);
	if (bad)
		told(A, 0, EV_OK, 1);
	invoke(B, 0, 100);
	if (!bad)
		told(A, 0, EV_OK, 1);
	told(B, 0, EV_OK, 0);
	final(0, 2);
	polled(B, 0, 0, FINAL);
	polled(A, 0, 1, FINAL);
}

static void
stale(bool bad)
{
	sent(A, 0, 0);
	listed(0, bad ? 0 : 1, 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

/* A reader that began after the acknowledgement is told of an earlier end. */
static void
stale_end(bool bad)
{
	sent(A, 0, 0);
	placed(0);
	plain(EV_EOF, EV_OK, bad ? 0 : 1, 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
end_back(bool bad)
{
	invoke(A, 0, 100);
	listed(0, 1, 0);
	listed(0, bad ? 0 : 1, 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

/* Served, and past the end that was told later. */
static void
past_end(bool bad)
{
	invoke(A, 0, 100);
	if (!bad)
		listed(0, 0, 0);
	polled(A, 0, 0, 0);
	if (bad)
		listed(0, 0, 0);
	final(0, 1);
	polled(A, 0, 0, FINAL);
}

static void
start_back(bool bad)
{
	sent(A, 0, 0);
	plain(EV_DELETE, EV_INVOKE, 1, 0);
	plain(EV_DELETE, bad ? EV_OK : EV_INFO, 1, 1);
	listed(0, 1, 0);
	final(1, 1);
}

static void
epoch_back(bool bad)
{
	for (int i = 0; i < 2; i++) {
		struct event e = event(EV_EPOCH, EV_OK);

		e.id = (uint64_t)now;
		e.at = now += 1000;
		e.a = bad ? 5 - i : 5 + i;
		judge_event(j, &e);
	}
	final(0, 0);
}

static void
commit_lost(bool bad)
{
	commit(1, EV_INVOKE, 10);
	commit(1, EV_OK, 10);
	commit(2, EV_INVOKE, 20);
	commit(2, bad ? EV_OK : EV_INFO, 20);
	asked(10);
	final(0, 0);
}

static void
commit_gone(bool bad)
{
	commit(1, EV_INVOKE, 10);
	if (!bad)
		asked(-1);
	commit(1, EV_OK, 10);
	asked(bad ? -1 : 10);
	final(0, 0);
}

static void
commit_strange(bool bad)
{
	commit(1, EV_INVOKE, 10);
	commit(1, EV_OK, 10);
	asked(bad ? 11 : 10);
	final(0, 0);
}

static void
dead(bool bad)
{
	if (bad)
		plain(EV_LIVE, EV_FAIL, 0, 30000);
	final(0, 0);
}

static void
times_late(bool bad)
{
	for (int i = 0; i < 3; i++)
		invoke(A, i, 100);
	at_time(A, 0, 0, 50);
	at_time(A, 1, 1, 90);
	at_time(A, 2, 2, 70);
	looked_up(60, bad ? 2 : 1);
	final(0, 3);
	for (int i = 0; i < 3; i++) {
		struct event e = event(EV_POLL, EV_OK);

		e.id = EV_ID(A, i);
		e.offset = i;
		e.a = i == 0 ? 50 : i == 1 ? 90 : 70;
		e.b = FINAL;
		judge_event(j, &e);
	}
}

static void
times_early(bool bad)
{
	invoke(A, 0, 100);
	invoke(A, 1, 100);
	at_time(A, 0, 0, 50);
	at_time(A, 1, 1, 90);
	looked_up(60, bad ? 0 : 1);
}

static void
times_none(bool bad)
{
	invoke(A, 0, 100);
	if (!bad)
		looked_up(60, -1);
	at_time(A, 0, 0, 90);
	if (bad)
		looked_up(60, -1);
}

static const struct {
	void		(*tell)(bool bad);
	enum anomaly	 what;
} tales[] = {
	{ inconsistent,		ANOMALY_INCONSISTENT_OFFSETS },
	{ lost,			ANOMALY_LOST_WRITE },
	{ latest,		ANOMALY_LOST_WRITE },
	{ tombstone,		ANOMALY_EARLY_DELETION },
	{ unseen,		ANOMALY_UNSEEN },
	{ dirty,		ANOMALY_DIRTY_READ },
	{ early_request,	ANOMALY_EARLY_DELETION },
	{ early_age,		ANOMALY_EARLY_DELETION },
	{ early_bytes,		ANOMALY_EARLY_DELETION },
	{ phantom,		ANOMALY_PHANTOM },
	{ before_sent,		ANOMALY_PHANTOM },
	{ foreign,		ANOMALY_PHANTOM },
	{ corrupt,		ANOMALY_CORRUPTION },
	{ duplicate,		ANOMALY_DUPLICATE },
	{ aborted,		ANOMALY_ABORTED_READ },
	{ out_of_order,		ANOMALY_NONMONOTONIC_SEND },
	{ overtaken,		ANOMALY_NONMONOTONIC_SEND },
	{ spurious_offset,	ANOMALY_SPURIOUS_OFFSET },
	{ skip,			ANOMALY_POLL_SKIP },
	{ skip_compacted,	ANOMALY_POLL_SKIP },
	{ skip_newest,		ANOMALY_POLL_SKIP },
	{ skip_tombstone,	ANOMALY_POLL_SKIP },
	{ back,			ANOMALY_NONMONOTONIC_POLL },
	{ reset,		ANOMALY_SPURIOUS_RESET },
	{ nonlinear,		ANOMALY_NONLINEARIZABLE_APPEND },
	{ stale,		ANOMALY_STALE_READ },
	{ stale_end,		ANOMALY_STALE_READ },
	{ end_back,		ANOMALY_WATERMARK_REGRESSION },
	{ past_end,		ANOMALY_WATERMARK_REGRESSION },
	{ start_back,		ANOMALY_WATERMARK_REGRESSION },
	{ epoch_back,		ANOMALY_WATERMARK_REGRESSION },
	{ commit_lost,		ANOMALY_OFFSET_COMMIT_LOSS },
	{ commit_gone,		ANOMALY_OFFSET_COMMIT_LOSS },
	{ commit_strange,	ANOMALY_OFFSET_COMMIT_LOSS },
	{ dead,			ANOMALY_LIVENESS },
	{ times_late,		ANOMALY_TIME_INDEX },
	{ times_early,		ANOMALY_TIME_INDEX },
	{ times_none,		ANOMALY_TIME_INDEX },
};
enum { TALES = sizeof tales / sizeof tales[0] };

/* What goes with a fault by its nature: a value whose offset another one took
 * is gone; where a value that was read is gone, the end went back; an offset
 * that is none lies beyond the end; what is lost was passed over. */
static bool
goes_with(enum anomaly what, enum anomaly other)
{
	return (what == ANOMALY_INCONSISTENT_OFFSETS &&
	    other == ANOMALY_DIRTY_READ) || (what == ANOMALY_DIRTY_READ &&
	    other == ANOMALY_WATERMARK_REGRESSION) ||
	    (what == ANOMALY_SPURIOUS_OFFSET && other == ANOMALY_STALE_READ) ||
	    (what == ANOMALY_LOST_WRITE && other == ANOMALY_POLL_SKIP);
}

START_TEST(tale_is_judged)
{
	begin();
	tales[_i].tell(true);
	judge_end(j);
	for (int k = 0; k < ANOMALIES; k++)
		if (k == (int)tales[_i].what)
			ck_assert_msg(j->counts[k] > 0, "tale %d: %s is not "
			    "found", _i, anomaly_names[k]);
		else if (!goes_with(tales[_i].what, (enum anomaly)k))
			ck_assert_msg(j->counts[k] == 0, "tale %d: also %s",
			    _i, anomaly_names[k]);
	judge_free(j);
	begin();
	tales[_i].tell(false);
	judge_end(j);
	for (int k = 0; k < ANOMALIES; k++)
		ck_assert_msg(j->counts[k] == 0, "the twin of tale %d: %s",
		    _i, anomaly_names[k]);
	judge_free(j);
}
END_TEST

/* Every anomaly has a tale. */
START_TEST(tales_are_whole)
{
	for (int k = 0; k < ANOMALIES; k++) {
		bool told_of = false;

		for (int i = 0; i < TALES; i++)
			told_of |= (int)tales[i].what == k;
		ck_assert_msg(told_of, "no tale of %s", anomaly_names[k]);
	}
}
END_TEST

/* ---- values and files --------------------------------------------------- */

/* No byte of a value can change unseen. */
START_TEST(value_tells_changes)
{
	struct value v = { .id = EV_ID(3, 9), .topic = 1, .part = 2,
	    .ts = 77, .key = 5, .len = 45 }, got;
	uint8_t p[VALUE_STAMP + 45], again[sizeof p];

	value_make(99, &v, p);
	ck_assert_uint_eq(value_check(99, p, sizeof p, &got), 0);
	ck_assert(got.id == v.id && got.topic == v.topic &&
	    got.part == v.part && got.ts == v.ts && got.key == v.key &&
	    got.len == v.len);
	value_make(99, &got, again);
	ck_assert_mem_eq(again, p, sizeof p);
	ck_assert_uint_eq(value_check(98, p, sizeof p, &got),
	    EV_BAD_FOREIGN);
	ck_assert_uint_ne(value_check(99, p, sizeof p - 1, &got), 0);
	for (size_t i = 0; i < sizeof p; i++) {
		p[i] ^= 0x10;
		ck_assert_msg(value_check(99, p, sizeof p, &got) != 0 ||
		    /* The payload's sum, which the payload itself gives. */
		    (i >= 48 && i < 56), "byte %zu", i);
		p[i] ^= 0x10;
	}
}
END_TEST

static int counted;
static struct event last;

static void
count(const struct event *e, void *arg)
{
	(void)arg;
	counted++;
	last = *e;
}

/* A history reads as it was written; one that was cut ends before the cut. */
START_TEST(history_comes_back)
{
	char dir[] = "/tmp/chronik-history.XXXXXX", path[64];
	struct event e = { EV_POLL, EV_OK, 3, 4, 5, EV_ID(6, 7), -8, 9,
	    EV_PASS(1, 2) };
	struct hist *h;
	int64_t torn;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/x.hist", dir);
	ck_assert_ptr_nonnull(h = hist_new(dir, "x", 42));
	for (int i = 0; i < 3000; i++)
		hist_put(h, e);
	hist_close(h);
	ck_assert(hist_read(path, 42, count, NULL, &torn));
	ck_assert_int_eq(counted, 3000);
	ck_assert_int_eq(torn, 0);
	ck_assert(last.type == e.type && last.outcome == e.outcome &&
	    last.topic == e.topic && last.part == e.part && last.at == e.at &&
	    last.id == e.id && last.offset == e.offset && last.a == e.a &&
	    last.b == e.b);
	ck_assert(!hist_read(path, 43, count, NULL, &torn));
	ck_assert_int_eq(truncate(path, EV_HEAD + 10 * EV_SIZE + 17), 0);
	counted = 0;
	ck_assert(hist_read(path, 42, count, NULL, &torn));
	ck_assert_int_eq(counted, 10);
	ck_assert_int_eq(torn, 17);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(setup_comes_back)
{
	char dir[] = "/tmp/chronik-setup.XXXXXX", path[64];
	struct setup got;

	begin();
	setup.run = 1ull << 62;
	setup.seed = 3;
	setup.power_cuts = true;
	setup.topics[0].delete_retention_ms = 1ll << 40;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert(setup_save(&setup, dir));
	ck_assert(setup_load(&got, dir));
	ck_assert_uint_eq(got.run, setup.run);
	ck_assert_int_eq(got.ntopics, 1);
	ck_assert_str_eq(got.topics[0].name, "t");
	ck_assert_int_eq(got.topics[0].retention_ms, -1);
	ck_assert_int_eq(got.topics[0].delete_retention_ms, 1ll << 40);
	judge_free(j);
	snprintf(path, sizeof path, "%s/run.txt", dir);
	unlink(path);
	rmdir(dir);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("checker");
	TCase *tc = tcase_create("judge");
	SRunner *sr;
	int bad;

	tcase_add_loop_test(tc, tale_is_judged, 0, TALES);
	tcase_add_test(tc, tales_are_whole);
	tcase_add_test(tc, value_tells_changes);
	tcase_add_test(tc, history_comes_back);
	tcase_add_test(tc, setup_comes_back);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
