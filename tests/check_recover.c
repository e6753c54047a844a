/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery, case by case: each kind of damage, where it may be cut and where
 * it must be refused, and that what is cut is kept.  check_crash looks for
 * the cases that nobody thought of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/crc32c.h"
#include "lib/log.h"
#include "minilog.h"
#include "simdisk.h"

static const struct log_id id = { { { 0xab, 0xcd } }, 1 };
#define LOST "lost+found/abcd0000000000000000000000000000-1"

static struct sim *sim;
static struct mini m;
static struct recovered r;
static struct recover_how how;

static void
setup(void)
{
	sim = sim_new();
	sim_use(sim);
	disk = &simdisk;
	mini_init(&m, "log", &id, 7);
	how = (struct recover_how){ .dir = m.dir, .lost = m.lost, .id = id };
}

static void
teardown(void)
{
	recover_free(&r);
	mini_free(&m);
	ck_assert_int_eq(sim_open_handles(sim), 0);
	sim_free(sim);
}

#define OK(call)	ck_assert_int_eq(call, E_OK)

static enum err
run(void)
{
	enum err err;

	recover_free(&r);
	err = recover_log(&how, &r);
	ck_assert_msg((err == E_OK) == (r.why[0] == '\0'), "%s", r.why);
	return err;
}

/* Recovers, and the log ends at the offset and is the model's. */
static void
good(int64_t end)
{
	enum err err = run();
	const char *bad;

	ck_assert_msg(err == E_OK, "%s: %s", err_name(err), r.why);
	bad = mini_verify(&m, &r, end);
	ck_assert_msg(bad == NULL, "%s", bad);
	ck_assert_int_eq(r.end, end);
}

/* Refuses, names the word, and changes nothing, however often. */
static void
refuses(const char *word)
{
	uint64_t hash = sim_hash(sim, ".");

	for (int i = 0; i < 2; i++) {
		enum err err = run();

		ck_assert_int_eq(err, E_CORRUPT);
		ck_assert_msg(strstr(r.why, word) != NULL, "%s", r.why);
		ck_assert_uint_eq(sim_hash(sim, "."), hash);
	}
}

static char *
name(int64_t base, const char *ext)
{
	static char path[4][PATH_SIZE];
	static int i;
	char *p = path[i++ % 4];

	seg_path(p, "log", base, ext);
	return p;
}

static int
some_name(const char *file, void *arg)
{
	(void)file;
	++*(int *)arg;
	return 0;
}

static int
lost_files(void)
{
	int n = 0;

	OK(disk->list(m.lost, some_name, &n));
	return n;
}

static uint8_t *
copy(const char *path, size_t *n)
{
	const uint8_t *p = sim_bytes(sim, path, n);
	uint8_t *q;

	ck_assert_msg(p != NULL, "%s is missing", path);
	q = malloc(*n + 1);
	memcpy(q, p, *n);
	return q;
}

static void
flip(const char *path, size_t at)
{
	size_t n;
	uint8_t *p = copy(path, &n);

	ck_assert_uint_lt(at, n);
	p[at] ^= 0x20;
	sim_put(sim, path, p, n);
	free(p);
}

static void
shorten(const char *path, size_t by)
{
	size_t n;
	uint8_t *p = copy(path, &n);

	ck_assert_uint_le(by, n);
	sim_put(sim, path, p, n - by);
	free(p);
}

static void
extend(const char *path, const void *bytes, size_t n)
{
	size_t had;
	uint8_t *p = copy(path, &had);

	p = realloc(p, had + n);
	memcpy(p + had, bytes, n);
	sim_put(sim, path, p, had + n);
	free(p);
}

/* Three segments, synced; bases 0, then what m.segs says. */
static void
three(void)
{
	for (int i = 0; i < 3; i++) {
		if (i > 0)
			OK(mini_roll(&m));
		for (int k = 0; k < 12; k++)
			OK(mini_append(&m, 3, 600));
	}
	OK(mini_sync(&m));
}

START_TEST(test_empty)
{
	good(0);
	ck_assert_int_eq(r.nsegs, 0);
	ck_assert_int_eq(r.start, 0);
	ck_assert_int_eq(r.epoch, -1);
	ck_assert_int_eq(prod_count(r.prods), 0);
	how.clean = true;
	good(0);
	/* One empty segment. */
	OK(mini_append(&m, 1, 10));
	sim_put(sim, name(0, ".log"), "", 0);
	free(m.all[--m.nall].p);
	good(0);
	ck_assert_int_eq(r.nsegs, 1);
	how.dir = "nowhere";
	ck_assert_int_eq(run(), E_NOTFOUND);
}
END_TEST

/* A clean start opens, and reads no log. */
START_TEST(test_clean)
{
	uint64_t hash;
	int64_t calls;

	three();
	m.epoch = 4;
	OK(mini_append(&m, 2, 100));
	OK(mini_stop(&m));
	how.clean = true;
	hash = sim_hash(sim, ".");
	sim_count_reset(sim);
	OK(run());
	calls = sim_calls(sim);
	good(m.next);
	ck_assert_int_eq(r.nsegs, 3);
	ck_assert_int_eq(r.scanned, 0);
	ck_assert_int_eq(r.cut, 0);
	ck_assert_int_eq(r.epoch, 4);
	ck_assert(r.segs[0]->idx.sealed && r.segs[1]->idx.sealed);
	ck_assert(!r.segs[2]->idx.sealed);
	ck_assert_uint_eq(sim_hash(sim, "."), hash);
	ck_assert_msg(calls < 60, "%d calls", (int)calls);
	/* Unclean is no more than a look at each segment here. */
	how.clean = false;
	good(m.next);
	ck_assert_int_eq(r.scanned, 0);
	ck_assert_uint_eq(sim_hash(sim, "."), hash);
}
END_TEST

/* Nothing but logs: all else is made again. */
START_TEST(test_rebuild)
{
	struct idx_entry e[400];
	int n;

	three();
	for (int i = 0; i < 3; i++) {
		sim_put(sim, name(m.segs[i]->base, ".idx"), NULL, 0);
		sim_put(sim, name(m.segs[i]->base, ".prod"), NULL, 0);
	}
	good(m.next);
	ck_assert_int_gt(r.scanned, 0);
	ck_assert_int_eq(r.cut, 0);
	ck_assert(r.segs[0]->idx.sealed && r.segs[1]->idx.sealed);
	ck_assert(!r.segs[2]->idx.sealed);
	/* As dense as the writer's own. */
	for (int i = 0; i < 3; i++) {
		const struct seg *s = r.segs[i];

		OK(idx_load(name(s->base, ".idx"), &id, s->base,
		    s->idx.nfile, 1, INT64_MAX / 2, e, 1, &n));
		ck_assert_int_eq(n, 1);
		ck_assert_int_eq(e[0].pos, s->size);
		ck_assert_int_ge(s->idx.nfile, s->size / (2 * IDX_INTERVAL));
	}
	good(m.next);
	ck_assert_int_eq(r.scanned, 0);
}
END_TEST

static void
in_lost(const char *suffix, const uint8_t *p, size_t n)
{
	char path[256];
	const uint8_t *q;
	size_t got;

	snprintf(path, sizeof path, "%s-%s", LOST, suffix);
	q = sim_bytes(sim, path, &got);
	ck_assert_msg(q != NULL, "%s is missing", path);
	ck_assert_uint_eq(got, n);
	ck_assert(memcmp(q, p, n) == 0);
}

/* The log written anew after the checkpoint, ending in every way. */
START_TEST(test_torn)
{
	int64_t ckpt, size, whole_end = 0, whole_pos = 0;
	uint8_t *p;
	size_t n;
	char suffix[64];

	OK(mini_append(&m, 4, 300));
	OK(mini_stop(&m));
	ckpt = m.segs[0]->size;
	OK(mini_append(&m, 3, 50));
	size = m.segs[0]->size;
	p = copy(name(0, ".log"), &n);
	ck_assert_uint_eq(n, (size_t)size);
	for (int64_t cut = size; cut >= ckpt; cut--) {
		struct sim *d = sim_clone(sim);

		sim_use(d);
		sim_put(d, name(0, ".log"), p, (size_t)cut);
		whole_end = m.all[3].b.base_offset + m.all[3].b.count;
		whole_pos = ckpt;
		for (int i = 4; i < m.nall && whole_pos +
		    batch_size(&m.all[i].b) <= cut; i++) {
			whole_pos += batch_size(&m.all[i].b);
			whole_end += m.all[i].b.count;
		}
		good(whole_end);
		ck_assert_int_eq(r.cut, cut - whole_pos);
		ck_assert_int_eq(r.segs[0]->size, whole_pos);
		if (cut >= whole_pos + 8) {	/* else it may be zeros */
			struct sim *old = sim;

			sim = d;
			snprintf(suffix, sizeof suffix, "0-%lld",
			    (long long)whole_pos);
			in_lost(suffix, p + whole_pos,
			    (size_t)(cut - whole_pos));
			sim = old;
		}
		recover_free(&r);
		sim_free(d);
	}
	sim_use(sim);
	/* Shorter than the checkpoint: that was synced. */
	sim_put(sim, name(0, ".log"), p, (size_t)ckpt - 1);
	refuses("synced");
	free(p);
}
END_TEST

/* Each byte of the tail flipped: cut at its batch.  Each byte before the
 * checkpoint: never cut. */
START_TEST(test_flip)
{
	int64_t ckpt, size, end, pos;
	uint8_t *p;
	size_t n;

	OK(mini_append(&m, 4, 100));
	OK(mini_stop(&m));
	ckpt = m.segs[0]->size;
	OK(mini_append(&m, 3, 40));
	size = m.segs[0]->size;
	p = copy(name(0, ".log"), &n);
	for (int64_t at = 0; at < size; at++) {
		struct sim *d = sim_clone(sim);
		enum err err;

		sim_use(d);
		p[at] ^= 1;
		sim_put(d, name(0, ".log"), p, (size_t)size);
		p[at] ^= 1;
		err = run();
		if (at < ckpt) {
			/* Found (E_CORRUPT) or not looked at; not cut. */
			ck_assert(err == E_CORRUPT ||
			    (err == E_OK && r.end == m.next));
			ck_assert_int_eq(r.cut, 0);
		} else {
			end = pos = 0;
			for (int i = 0; i < m.nall && pos +
			    batch_size(&m.all[i].b) <= at; i++) {
				pos += batch_size(&m.all[i].b);
				end += m.all[i].b.count;
			}
			/* A base offset is under no CRC: it may rise. */
			if (at - pos < 8)
				ck_assert_int_ge(r.end, end);
			else if (at - pos >= 12 && at - pos < 16)
				/* Nor is the epoch: later ones may fall. */
				ck_assert_int_gt(r.end, end);
			else {
				ck_assert_int_eq(err, E_OK);
				ck_assert_int_eq(r.end, end);
				ck_assert_int_eq(r.cut, size - pos);
			}
		}
		recover_free(&r);
		sim_free(d);
	}
	sim_use(sim);
	free(p);
}
END_TEST

START_TEST(test_zero_tail)
{
	static const uint8_t zero[70000];
	struct disk_stat st;
	int64_t size;

	OK(mini_append(&m, 4, 100));
	OK(mini_sync(&m));
	size = m.segs[0]->size;
	extend(name(0, ".log"), zero, sizeof zero);
	good(m.next);
	ck_assert_int_eq(r.cut, sizeof zero);
	ck_assert_int_eq(r.segs[0]->size, size);
	ck_assert_int_eq(lost_files(), 0);
	OK(disk->stat(name(0, ".log"), &st));
	ck_assert_int_eq(st.size, size);
}
END_TEST

/* The same bytes cut twice are kept once; others get another name. */
START_TEST(test_lost_names)
{
	char suffix[64];
	int64_t size;

	OK(mini_append(&m, 4, 100));
	OK(mini_stop(&m));
	size = m.segs[0]->size;
	for (int i = 0; i < 3; i++) {
		extend(name(0, ".log"), i == 2 ? "torn!" : "torn?", 5);
		good(m.next);
		ck_assert_int_eq(r.cut, 5);
	}
	snprintf(suffix, sizeof suffix, "0-%lld", (long long)size);
	in_lost(suffix, (const uint8_t *)"torn?", 5);
	snprintf(suffix, sizeof suffix, "0-%lld.1", (long long)size);
	in_lost(suffix, (const uint8_t *)"torn!", 5);
	ck_assert_int_eq(lost_files(), 2);
}
END_TEST

/* No room for what is cut: nothing is cut. */
START_TEST(test_no_space)
{
	uint8_t *p, *q;
	size_t n, k;

	OK(mini_append(&m, 4, 100));
	OK(mini_stop(&m));
	extend(name(0, ".log"), "torn tail of a batch", 20);
	p = copy(name(0, ".log"), &n);
	sim_space(sim, 11);
	ck_assert_int_eq(run(), E_NOSPC);
	q = copy(name(0, ".log"), &k);
	ck_assert_uint_eq(n, k);
	ck_assert(memcmp(p, q, n) == 0);
	ck_assert_int_eq(lost_files(), 0);
	free(p);
	free(q);
	sim_space(sim, -1);
	good(m.next);
	ck_assert_int_eq(r.cut, 20);
}
END_TEST

/* Rolled without syncs, then the power went in the middle. */
START_TEST(test_later_segments)
{
	int64_t base[3], end;
	uint8_t *p;
	size_t n, at;
	char suffix[64];

	m.relaxed = true;
	three();	/* synced, with index entries at the end */
	for (int i = 0; i < 3; i++) {
		base[i] = m.segs[i]->base;
		sim_put(sim, name(base[i], ".idx"), NULL, 0);
	}
	p = copy(name(base[2], ".log"), &n);
	/* The middle one is damaged after its second batch. */
	for (at = 0; m.all[at].b.base_offset < base[1] + 2; at++)
		continue;
	flip(name(base[1], ".log"), (size_t)(batch_size(&m.all[12 * 3].b) +
	    batch_size(&m.all[12 * 3 + 1].b)) + 60);
	end = m.all[12 * 3 + 2].b.base_offset;
	good(end);
	ck_assert_int_eq(r.nsegs, 2);
	snprintf(suffix, sizeof suffix, "%lld-0", (long long)base[2]);
	in_lost(suffix, p, n);
	ck_assert_ptr_null(sim_bytes(sim, name(base[2], ".log"), &n));
	/* Snapshots of a future that did not happen are gone. */
	ck_assert_ptr_null(sim_bytes(sim, name(base[2], ".prod"), &n));
	ck_assert_ptr_nonnull(sim_bytes(sim, name(base[1], ".prod"), &n));
	free(p);
	good(end);
	ck_assert_int_eq(r.cut, 0);
}
END_TEST

/* The same damage with an index entry behind it: it had been synced. */
START_TEST(test_below_checkpoint)
{
	int64_t base[3];
	struct sim *d;

	three();
	for (int i = 0; i < 3; i++)
		base[i] = m.segs[i]->base;
	/* A sealed segment without an index is read, and must be whole. */
	for (int kind = 0; kind < 5; kind++) {
		d = sim_clone(sim);
		sim_use(d);
		{
			struct sim *old = sim;

			sim = d;
			sim_put(d, name(base[1], ".idx"), NULL, 0);
			if (kind == 0)
				flip(name(base[1], ".log"), 200);
			else if (kind == 1)
				shorten(name(base[1], ".log"), 1);
			else if (kind == 2)
				shorten(name(base[1], ".log"), (size_t)
				    m.segs[1]->size);
			else if (kind == 3)
				shorten(name(base[1], ".log"), (size_t)
				    batch_size(&m.all[12 * 3 * 2 - 1].b));
			else
				sim_put(d, name(base[1], ".log"), NULL, 0);
			refuses(kind == 4 ? "next one begins" :
			    kind == 2 || kind == 3 ? "ends before" :
			    "synced");
			sim = old;
		}
		recover_free(&r);
		sim_free(d);
	}
	sim_use(sim);
	/* Missing with its index there. */
	sim_put(sim, name(base[1], ".log"), NULL, 0);
	refuses("missing");
}
END_TEST

START_TEST(test_swapped)
{
	uint8_t *a, *b;
	size_t na, nb;
	int64_t base[3];

	three();
	for (int i = 0; i < 3; i++)
		base[i] = m.segs[i]->base;
	a = copy(name(base[0], ".log"), &na);
	b = copy(name(base[1], ".log"), &nb);
	sim_put(sim, name(base[0], ".log"), b, nb);
	sim_put(sim, name(base[1], ".log"), a, na);
	ck_assert_int_eq(run(), E_CORRUPT);
	/* Cut or filled to the size that the index tells. */
	b = realloc(b, na + nb);
	memset(b + nb, 0, na);
	sim_put(sim, name(base[0], ".log"), b, na);
	sim_put(sim, name(base[1], ".log"), a, na);
	if (na > nb)
		shorten(name(base[1], ".log"), na - nb);
	else
		extend(name(base[1], ".log"), b, nb - na);
	refuses("begin");
	free(a);
	free(b);
}
END_TEST

/* An index that is not this segment's hides the checkpoint: then only a log
 * that is whole may be taken. */
START_TEST(test_foreign_index)
{
	uint8_t *p;
	size_t n;

	three();
	for (int i = 0; i < 3; i++) {
		flip(name(m.segs[i]->base, ".idx"), 20);
		good(m.next);
		ck_assert_int_gt(r.scanned, 0);
		good(m.next);
		ck_assert_int_eq(r.scanned, 0);
	}
	flip(name(m.segs[2]->base, ".idx"), 33);
	p = copy(name(m.segs[2]->base, ".log"), &n);
	shorten(name(m.segs[2]->base, ".log"), 7);
	refuses("index");
	sim_put(sim, name(m.segs[2]->base, ".log"), p, n);
	good(m.next);
	free(p);
	/* Removed by a person who knows: cut. */
	sim_put(sim, name(m.segs[2]->base, ".idx"), NULL, 0);
	shorten(name(m.segs[2]->base, ".log"), 7);
	good(m.all[m.nall - 1].b.base_offset);
}
END_TEST

/* No CRC covers a leader epoch.  A wrong one in a finished segment that must
 * be read does not judge what follows, which may be the log's tail. */
START_TEST(test_old_epochs)
{
	size_t pos = 0;

	three();
	for (int i = 0; i < 3; i++)	/* after the checkpoint */
		OK(mini_append(&m, 3, 600));
	for (int at = 0, seg = 0; at < 2 * 12 * 3; at++) {
		struct sim *d = sim_clone(sim), *old = sim;

		if (m.all[at].b.base_offset == m.segs[1]->base) {
			seg = 1;
			pos = 0;
		}
		sim_use(d);
		sim = d;
		sim_put(d, name(m.segs[seg]->base, ".idx"), NULL, 0);
		flip(name(m.segs[seg]->base, ".log"), pos + 12 +
		    (size_t)at % 4);
		pos += (size_t)batch_size(&m.all[at].b);
		for (int k = 0; k < 2; k++) {
			ck_assert_msg(run() == E_OK, "%s", r.why);
			ck_assert_int_eq(r.end, m.next);
			ck_assert_int_eq(r.cut, 0);
		}
		recover_free(&r);
		sim = old;
		sim_free(d);
	}
	sim_use(sim);
}
END_TEST

/* Every byte of every index: the log stays as it is. */
START_TEST(test_damaged_index)
{
	three();
	for (int i = 0; i < 3; i++) {
		char *path = name(m.segs[i]->base, ".idx");
		size_t n;

		(void)sim_bytes(sim, path, &n);
		for (size_t at = 0; at < n; at++) {
			struct sim *d = sim_clone(sim), *old = sim;

			sim_use(d);
			sim = d;
			path = name(m.segs[i]->base, ".idx");
			flip(path, at);
			how.clean = at % 2;
			good(m.next);
			ck_assert_int_eq(r.cut, 0);
			recover_free(&r);
			sim = old;
			sim_free(d);
		}
		sim_use(sim);
	}
}
END_TEST

START_TEST(test_snapshots)
{
	size_t n;
	int64_t base;

	three();
	OK(mini_stop(&m));
	base = m.segs[2]->base;
	good(m.next);
	ck_assert_int_eq(r.snapped, m.next);
	/* The newest is damaged, then all are, then none is left. */
	flip(name(m.next, ".prod"), 50);
	good(m.next);
	ck_assert_int_eq(r.snapped, base);
	shorten(name(base, ".prod"), 4);
	good(m.next);
	ck_assert_int_eq(r.snapped, m.segs[1]->base);
	flip(name(m.segs[1]->base, ".prod"), 43);
	good(m.next);
	ck_assert_int_eq(r.snapped, -1);
	/* One past the end is a lie. */
	sim_put(sim, name(m.next + 1, ".prod"), "x", 1);
	how.clean = true;
	good(m.next);
	ck_assert_ptr_null(sim_bytes(sim, name(m.next + 1, ".prod"), &n));
}
END_TEST

/* Files of others stay. */
START_TEST(test_foreign_names)
{
	static const char *const names[] = { "log/README", "log/1.log",
	    "log/00000000000000000000.log.bak", "log/x.idx",
	    "log/0000000000000000000a.prod", "log/00000000000000000007.tmp" };
	size_t n;

	three();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		sim_put(sim, names[i], "mine", 4);
	good(m.next);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ck_assert_ptr_nonnull(sim_bytes(sim, names[i], &n));
		ck_assert_uint_eq(n, 4);
	}
}
END_TEST

/* Batches that are whole, but do not belong there. */
START_TEST(test_order)
{
	uint8_t p[BATCH_HEADER + 10];
	struct batch b = { .base_offset = 3, .pid = -1, .count = 1,
	    .leader_epoch = 9 };
	struct sim *d;
	size_t n;

	m.epoch = 5;
	OK(mini_append(&m, 6, 50));
	OK(mini_stop(&m));
	OK(mini_append(&m, 1, 50));
	for (int kind = 0; kind < 6; kind++) {
		b.base_offset = kind == 0 ? m.next - 1 : kind == 3 ?
		    m.next + 10 : kind == 4 ? INT64_MAX : m.next;
		b.leader_epoch = kind == 1 ? 4 : 5;
		b.last_delta = kind == 2 ? -1 : 0;
		n = mini_batch(p, &b, 10, 1);
		d = sim_clone(sim);
		sim_use(d);
		{
			struct sim *old = sim;

			sim = d;
			extend(name(0, ".log"), p, n);
			OK(run());
			if (kind == 3)		/* a gap is none */
				ck_assert_int_eq(r.end, m.next + 11);
			else if (kind == 5)
				ck_assert_int_eq(r.end, m.next + 1);
			else
				ck_assert_int_eq(r.end, m.next);
			ck_assert_int_eq(r.cut, kind == 3 || kind == 5 ? 0 :
			    (int64_t)n);
			sim = old;
		}
		recover_free(&r);
		sim_free(d);
	}
	sim_use(sim);
}
END_TEST

/* The catalogue: a bad batch is torn only when nothing whole follows it. */
START_TEST(test_serial)
{
	int64_t pos = 0;
	uint8_t *p;
	size_t n;

	how.serial = true;
	OK(mini_append(&m, 3, 200));
	OK(mini_sync(&m));
	for (int i = 0; i < 4; i++)
		OK(mini_append(&m, 1, 300));
	sim_put(sim, name(0, ".idx"), NULL, 0);
	p = copy(name(0, ".log"), &n);
	for (int i = 0; i < m.nall; i++) {
		struct sim *d, *old = sim;

		/* Its payload, its CRC, its length (twice), its magic. */
		for (int at = 0; at < 5; at++) {
			static const int where[] = { 61, 17, 11, 8, 16 };

			if (where[at] >= batch_size(&m.all[i].b))
				continue;
			sim = d = sim_clone(old);
			sim_use(d);
			flip(name(0, ".log"), (size_t)pos +
			    (size_t)where[at]);
			if (i < m.nall - 1)
				refuses("follow");
			else
				good(m.all[i].b.base_offset);
			recover_free(&r);
			sim_free(d);
			sim = old;
			sim_use(sim);
		}
		pos += batch_size(&m.all[i].b);
	}
	free(p);
}
END_TEST

START_TEST(test_large)
{
	/* Larger than what is read at once. */
	m.relaxed = true;
	for (int i = 0; i < 4; i++)
		OK(mini_append(&m, 3, 3 << 20));
	good(m.next);
	ck_assert_int_eq(r.scanned, r.segs[0]->size);
	ck_assert_int_eq(r.cut, 0);
	sim_put(sim, name(0, ".idx"), NULL, 0);
	shorten(name(0, ".log"), 1);
	good(m.all[m.nall - 1].b.base_offset);
	ck_assert_int_eq(r.cut, batch_size(&m.all[m.nall - 1].b) - 1);
}
END_TEST

START_TEST(test_clean_marker)
{
	bool was;
	size_t n;

	OK(clean_take(".", &was, NULL));
	ck_assert(!was);
	OK(clean_write(".", NULL));
	(void)sim_bytes(sim, "./clean", &n);
	ck_assert_uint_eq(n, CLEAN_HEAD + 4);
	OK(clean_take(".", &was, NULL));
	ck_assert(was);
	OK(clean_take(".", &was, NULL));
	ck_assert(!was);
	/* Its removal survives. */
	sim_crash(sim, 1);
	OK(clean_take(".", &was, NULL));
	ck_assert(!was);
	for (size_t i = 0; i < CLEAN_HEAD + 4; i++) {
		OK(clean_write(".", NULL));
		flip("clean", i);
		OK(clean_take(".", &was, NULL));
		ck_assert(!was);
		ck_assert_ptr_null(sim_bytes(sim, "clean", &n));
	}
	OK(clean_write(".", NULL));
	shorten("clean", 1);
	OK(clean_take(".", &was, NULL));
	ck_assert(!was);
	/* A removal that may come undone is an error. */
	OK(clean_write(".", NULL));
	sim_fail_op(sim, SIM_SYNC_DIR, 1, E_IO);
	ck_assert_int_eq(clean_take(".", &was, NULL), E_IO);
	ck_assert(!was);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("recover");
	TCase *tc = tcase_create("recover");
	SRunner *sr = srunner_create(s);
	int failed;

	log_setup("check_recover", LOG_FATAL, LOG_TEXT);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_clean);
	tcase_add_test(tc, test_rebuild);
	tcase_add_test(tc, test_torn);
	tcase_add_test(tc, test_flip);
	tcase_add_test(tc, test_zero_tail);
	tcase_add_test(tc, test_lost_names);
	tcase_add_test(tc, test_no_space);
	tcase_add_test(tc, test_later_segments);
	tcase_add_test(tc, test_below_checkpoint);
	tcase_add_test(tc, test_swapped);
	tcase_add_test(tc, test_foreign_index);
	tcase_add_test(tc, test_old_epochs);
	tcase_add_test(tc, test_damaged_index);
	tcase_add_test(tc, test_snapshots);
	tcase_add_test(tc, test_foreign_names);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_serial);
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_clean_marker);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
