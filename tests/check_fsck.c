/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of data directories: each byte of a small one changed in turn, each
 * file cut, removed and swapped.  All of it is found; a repair takes no byte of
 * a log away, makes whole what can be made again, and says clean the second
 * time; and it may be cut short anywhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "offline/fsck.h"
#include "rig.h"

/* Under a sanitizer fewer changes are enough: it looks for other mistakes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEP	7
#else
#define STEP	1
#endif

enum { FILES = 64 };

static struct rig rig;
static char *files[FILES];
static int nfiles;
static char last[1024];		/* the last finding, of what is wrong if any */
static bool wrong;
static int64_t told;		/* of the journal's bytes */
static bool shallow;		/* what is appended are no records */

static void
tell(struct fsck *c, const struct finding *f)
{
	(void)c;
	ck_assert_ptr_nonnull(f->why);
	told += strstr(f->why, "the journal has them") != NULL;
	if (wrong && f->state == FOUND_NOTE)
		return;
	wrong |= f->state != FOUND_NOTE;
	snprintf(last, sizeof last, "%s %s %lld: %s", f->what, f->path,
	    (long long)f->pos, f->why);
}

/* Runs it; returns what is wrong. */
static int64_t
run(struct fsck *c, bool repair)
{
	enum err e;

	*c = (struct fsck){ .conf = &rig.conf, .deep = !shallow,
	    .repair = repair, .report = tell };
	last[0] = '\0';
	wrong = false;
	e = fsck_dir(c, "data");
	ck_assert_msg(e == E_OK, "%s: %s", err_text(e), c->why);
	return c->fixable + c->bad;
}

static void
wrote(struct append *a, enum err e)
{
	(void)a;
	ck_assert_int_eq(e, E_OK);
}

/* A batch of three records of a producer. */
static void
put(struct part *p, int64_t pid, int32_t seq, enum codec codec)
{
	struct append a = { .all = true, .done = wrote };
	struct wr w = wr_grow(1 << 16);
	struct batch_maker m;
	enum err e;

	batch_make(&m, 1 << 16);
	for (int i = 0; i < 3; i++)
		batch_add(&m, rig_now + i, "key", 3, "a value", 7, NULL, 0);
	m.b.pid = pid;
	m.b.epoch = pid < 0 ? -1 : 0;
	m.b.base_seq = pid < 0 ? -1 : seq;
	e = batch_finish(&m, codec, INT32_MIN, &w);
	ck_assert_int_eq(e, E_OK);
	e = batch_read(w.p, &a.b);
	ck_assert_int_eq(e, E_OK);
	memcpy(a.head, w.p, BATCH_HEADER);
	a.body = w.p + BATCH_HEADER;
	e = part_append(p, &a);
	ck_assert_int_eq(e, E_OK);
	engine_drain(&rig.eng);
	wr_free(&w);
}

static int
file_each(const char *name, void *arg)
{
	char path[600];
	struct disk_stat st;
	enum err e;

	snprintf(path, sizeof path, "%.300s/%.200s", (const char *)arg, name);
	e = disk->stat(path, &st);
	ck_assert_int_eq(e, E_OK);
	if (st.dir) {
		e = disk->list(path, file_each, path);
		ck_assert_int_eq(e, E_OK);
	} else {
		ck_assert_int_lt(nfiles, FILES);
		files[nfiles++] = strdup(path);
	}
	return 0;
}

/* A topic of two partitions, one of several segments; stopped in order. */
static void
world(void)
{
	struct topic *t;
	enum err e;

	rig_init(&rig);
	rig.conf.journal_bytes = 0;	/* its files are large */
	e = disk->mkdir("data");
	ck_assert_int_eq(e, E_OK);
	e = disk->sync_dir(".");
	ck_assert_int_eq(e, E_OK);
	e = rig_open(&rig);
	ck_assert_int_eq(e, E_OK);
	t = rig_topic(&rig, "t", 2);
	t->conf.segment_bytes = 300;
	for (int i = 0; i < 6; i++)
		put(t->parts[0], 7, i * 3, i % 2 ? CODEC_ZSTD : CODEC_NONE);
	put(t->parts[1], -1, -1, CODEC_LZ4);
	ck_assert_int_gt(t->parts[0]->nsegs, 1);
	e = rig_stop(&rig);
	ck_assert_int_eq(e, E_OK);
	nfiles = 0;
	e = disk->list("data", file_each, (void *)(uintptr_t)"data");
	ck_assert_int_eq(e, E_OK);
	ck_assert_int_gt(nfiles, 8);
}

static void
end(void)
{
	while (nfiles > 0)
		free(files[--nfiles]);
	rig_free(&rig);
}

static bool
is(const char *path, const char *ext)
{
	size_t n = strlen(path), m = strlen(ext);

	return n >= m && strcmp(path + n - m, ext) == 0;
}

static bool
in(const char *path, const char *dir)
{
	return strstr(path, dir) != NULL;
}

static const char *
find(const char *ext, const char *dir, int skip)
{
	for (int i = 0; i < nfiles; i++)
		if (is(files[i], ext) && in(files[i], dir) && skip-- == 0)
			return files[i];
	ck_abort_msg("no %s in %s", ext, dir);
}

/* After a repair the logs are what they were before it. */
static void
same_logs(struct sim *before, struct sim *after)
{
	for (int i = 0; i < nfiles; i++) {
		const uint8_t *p, *q;
		size_t n, m;

		if (!is(files[i], ".log"))
			continue;
		p = sim_bytes(before, files[i], &n);
		q = sim_bytes(after, files[i], &m);
		ck_assert_msg((p == NULL) == (q == NULL), "%s", files[i]);
		ck_assert_msg(p == NULL || (n == m && memcmp(p, q, n) == 0),
		    "%s is another", files[i]);
	}
}

/* The disk in use has been hurt: looks, repairs, looks twice. */
static void
hurt(struct sim *d, const char *what, bool may_pass)
{
	struct sim *before;
	struct fsck c;
	uint64_t hash = sim_hash(d, ".");
	int64_t bad;

	if (run(&c, false) == 0)
		ck_assert_msg(may_pass, "%s is not found", what);
	ck_assert_msg(sim_hash(d, ".") == hash, "a look changed something");
	before = sim_clone(d);
	sim_use(d);
	bad = c.bad;
	(void)run(&c, true);
	same_logs(before, d);
	ck_assert_msg(c.bad == bad, "%s: the repair leaves %s", what, last);
	hash = sim_hash(d, ".");
	(void)run(&c, true);
	ck_assert_msg(c.bad == bad && c.fixed == 0 &&
	    (bad > 0 || c.fixable == 0), "%s: after the repair: %s", what,
	    last);
	ck_assert_msg(sim_hash(d, ".") == hash, "%s: a second repair changed "
	    "something", what);
	ck_assert_int_eq(sim_open_handles(d), 0);
	sim_free(before);
}

/* The first batch of a log may have any epoch up to that of the next one. */
static bool
passes(const char *path, size_t at, size_t size)
{
	if (is(path, ".log"))
		return at >= 12 && at < 16 && size > 16;
	return false;
}

START_TEST(test_clean)
{
	struct fsck c;

	world();
	ck_assert_msg(run(&c, false) == 0, "%s", last);
	ck_assert_int_eq(c.fixed, 0);
	ck_assert_int_gt(c.batches, 7);
	ck_assert_msg(run(&c, true) == 0, "%s", last);
	ck_assert_int_eq(c.fixed, 0);
	ck_assert_msg(rig_open(&rig) == E_OK, "%s", rig.why);
	/* An engine uses it. */
	ck_assert_int_eq(fsck_dir(&c, "data"), E_BUSY);
	rig_kill(&rig);
	end();
}
END_TEST

START_TEST(test_flip)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };
	int64_t n = 0;

	world();
	for (int i = 0; i < nfiles; i++) {
		size_t size;
		uint8_t *p;

		(void)sim_bytes(rig.disk, files[i], &size);
		for (size_t at = 0; at < size; at += STEP) {
			struct sim *d;
			char what[400];

			d = sim_clone(rig.disk);
			p = malloc(size);
			memcpy(p, sim_bytes(d, files[i], &size), size);
			p[at] ^= masks[at % 3];
			sim_use(d);
			sim_put(d, files[i], p, size);
			snprintf(what, sizeof what, "byte %zu of %.300s", at,
			    files[i]);
			hurt(d, what, passes(files[i], at, size));
			free(p);
			sim_free(d);
			n++;
		}
	}
	sim_use(rig.disk);
	ck_assert_int_gt(n, 1500 / STEP);
	end();
}
END_TEST

START_TEST(test_cut)
{
	world();
	for (int i = 0; i < nfiles; i++) {
		size_t size;

		(void)sim_bytes(rig.disk, files[i], &size);
		for (size_t to = 0; to < size; to += STEP) {
			struct sim *d = sim_clone(rig.disk);
			char what[400];
			uint8_t *p = malloc(size);

			memcpy(p, sim_bytes(d, files[i], &size), size);
			sim_use(d);
			sim_put(d, files[i], p, to);
			snprintf(what, sizeof what, "%.300s cut to %zu",
			    files[i], to);
			hurt(d, what, false);
			free(p);
			sim_free(d);
		}
	}
	sim_use(rig.disk);
	end();
}
END_TEST

START_TEST(test_missing)
{
	world();
	for (int i = 0; i < nfiles; i++) {
		struct sim *d = sim_clone(rig.disk);

		sim_use(d);
		sim_put(d, files[i], NULL, 0);
		/* These only save time, or hold nothing. */
		hurt(d, files[i], is(files[i], ".prod") ||
		    is(files[i], "clean") || is(files[i], "LOCK") ||
		    is(files[i], "reserve"));
		sim_free(d);
	}
	sim_use(rig.disk);
	end();
}
END_TEST

/* A file in another one's place, as after a restore that went wrong. */
START_TEST(test_swapped)
{
	int n = 0;

	world();
	for (int i = 0; i < nfiles; i++)
		for (int k = 0; k < nfiles; k++) {
			struct sim *d;
			const uint8_t *p;
			uint8_t *copy;
			size_t size;

			if (i == k || in(files[i], "LOCK") ||
			    in(files[k], "LOCK") || strcmp(files[i] +
			    strlen(files[i]) - 4, files[k] +
			    strlen(files[k]) - 4) != 0)
				continue;
			d = sim_clone(rig.disk);
			sim_use(d);
			p = sim_bytes(d, files[k], &size);
			copy = malloc(size + 1);
			memcpy(copy, p, size);
			sim_put(d, files[i], copy, size);
			hurt(d, files[i], false);
			free(copy);
			sim_free(d);
			n++;
		}
	sim_use(rig.disk);
	ck_assert_int_gt(n, 20);
	end();
}
END_TEST

static void
tick(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	(void)d;
	(void)n;
	(void)op;
	(void)arg;
	rig_now += 10;
}

/* A catalogue that was rewritten while time went by, and written to since: its
 * index knows no later time than its batches do. */
START_TEST(test_rewritten)
{
	struct meta *m = &rig.eng.meta;
	struct meta_epoch rec = { 1 };
	struct fsck c;
	int64_t base;

	world();
	ck_assert_int_eq(rig_open(&rig), E_OK);
	sim_hook(rig.disk, tick, NULL);
	base = part_active(m->part)->base;
	while (part_active(m->part)->base == base) {
		for (int i = 0; i < 2000; i++)
			ck_assert_int_eq(meta_write(m, MT_meta_epoch, NULL,
			    &rec, NULL), E_OK);
		meta_kick(m);
		engine_drain(&rig.eng);
	}
	for (int i = 0; i < 2000; i++)
		ck_assert_int_eq(meta_write(m, MT_meta_epoch, NULL, &rec,
		    NULL), E_OK);
	meta_kick(m);
	engine_drain(&rig.eng);
	sim_hook(rig.disk, NULL, NULL);
	ck_assert_int_eq(rig_stop(&rig), E_OK);
	ck_assert_msg(run(&c, false) == 0, "%s", last);
	end();
}
END_TEST

/* What a compaction that was cut short leaves is no damage, and a repair
 * settles it as a start does; but not what is not whole. */
START_TEST(test_compaction)
{
	char path[400];
	struct fsck c;
	size_t n;

	world();
	snprintf(path, sizeof path, "%.300s", find(".log", "/0/", 0));
	strcat(path, ".cleaned");
	sim_put(rig.disk, path, "junk", 4);
	ck_assert_msg(run(&c, false) == 0, "%s", last);
	ck_assert_ptr_nonnull(strstr(last, "compaction"));
	ck_assert_msg(run(&c, true) == 0, "%s", last);
	sim_put(rig.disk, path, NULL, 0);
	snprintf(path, sizeof path, "%.300s", find(".log", "/0/", 0));
	strcat(path, ".swap");
	sim_put(rig.disk, path, "junk", 4);
	ck_assert_int_gt(run(&c, true), 0);
	ck_assert_int_gt(c.bad, 0);
	ck_assert_ptr_nonnull(sim_bytes(rig.disk, path, &n));
	end();
}
END_TEST

/* ---- a repair that is cut short ----------------------------------------- */

static void
change(struct sim *d, const char *path, size_t at)
{
	size_t n;
	const uint8_t *p = sim_bytes(d, path, &n);
	uint8_t *copy = malloc(n);

	memcpy(copy, p, n);
	copy[at] ^= 0x55;
	sim_put(d, path, copy, n);
	free(copy);
}

/* Junk behind the end, of a log that was not stopped in order. */
static void
junk(struct sim *d, const char *path)
{
	size_t n;
	const uint8_t *p = sim_bytes(d, path, &n);
	uint8_t *copy = malloc(n + 40);

	memcpy(copy, p, n);
	memset(copy + n, 'x', 40);
	sim_put(d, path, copy, n + 40);
	free(copy);
}

static int64_t states;

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct fsck c;

	(void)op;
	(void)arg;
	for (uint64_t s = 0; s < 6; s++) {
		struct sim *x = sim_clone(d);

		sim_use(x);
		if (s == 5)
			sim_kill(x);
		else
			sim_crash(x, s < 4 ? s : (uint64_t)n * 77 + s);
		ck_assert_msg(run(&c, true) == 0, "call %lld: %s",
		    (long long)n, last);
		ck_assert_msg(run(&c, true) == 0 && c.fixed == 0, "call %lld, "
		    "again: %s", (long long)n, last);
		ck_assert_msg(rig_open(&rig) == E_OK, "%s", rig.why);
		rig_kill(&rig);
		sim_free(x);
		states++;
	}
	sim_use(d);
}

START_TEST(test_crash)
{
	const char *tail = NULL;
	struct fsck c;
	size_t n, m;

	world();
	for (int i = 0; i < nfiles; i++)
		if (is(files[i], ".log") && in(files[i], "/0/"))
			if (tail == NULL || strcmp(files[i], tail) > 0)
				tail = files[i];
	change(rig.disk, find(".idx", "/0/", 0), 70);
	change(rig.disk, find(".idx", "/1/", 0), 5);
	change(rig.disk, find(".prod", "/0/", 0), 50);
	change(rig.disk, "data/clean", 3);
	(void)sim_bytes(rig.disk, tail, &n);
	junk(rig.disk, tail);
	ck_assert_int_eq(run(&c, false), c.fixable);
	ck_assert_int_eq(c.fixable, 6);
	sim_hook(rig.disk, at_call, NULL);
	ck_assert_msg(run(&c, true) == 0, "%s", last);
	sim_hook(rig.disk, NULL, NULL);
	ck_assert_int_eq(c.fixed, 6);
	(void)sim_bytes(rig.disk, tail, &m);
	ck_assert_uint_eq(n, m);
	ck_assert_int_gt(states, 100);
	end();
}
END_TEST

/* ---- the journal -------------------------------------------------------- */

enum { PARTS = 8 };

/* One append to each partition, all in one round. */
static void
append_all(struct topic *t)
{
	struct sent sent[PARTS];

	for (int i = 0; i < PARTS; i++) {
		enum err e;

		sent_make(&sent[i], 1, 100, true);
		e = part_append(t->parts[i], &sent[i].a);
		ck_assert_int_eq(e, E_OK);
	}
	engine_drain(&rig.eng);
	for (int i = 0; i < PARTS; i++) {
		ck_assert_int_eq(sent[i].err, E_OK);
		sent_free(&sent[i]);
	}
}

/* The ends of all partitions after a start from the disk in use. */
static void
ends(int64_t hw[PARTS])
{
	struct rig r = { .conf = rig.conf };
	struct topic *t;

	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	for (int i = 0; i < PARTS; i++) {
		ck_assert_int_eq(t->parts[i]->state, PART_ONLINE);
		hw[i] = t->parts[i]->hw;
	}
	rig_kill(&r);
}

/* Whatever a crash leaves is no damage, is not changed by a look, and a start
 * after a repair finds what one without it does. */
static void
crashed(struct sim *d, int64_t n, uint64_t s)
{
	int64_t with[PARTS], without[PARTS];
	struct sim *x = sim_clone(d), *y;
	struct fsck c;
	uint64_t hash;

	sim_use(x);
	if (s == 5)
		sim_kill(x);
	else
		sim_crash(x, s < 4 ? s : (uint64_t)n * 77 + s);
	hash = sim_hash(x, ".");
	(void)run(&c, false);
	ck_assert_msg(c.bad + c.fixable == 0, "call %lld, state %d: %s",
	    (long long)n, (int)s, last);
	ck_assert_msg(sim_hash(x, ".") == hash, "a look changed something");
	ck_assert_int_eq(sim_open_handles(x), 0);
	y = sim_clone(x);
	sim_use(y);
	ck_assert_msg(run(&c, true) == 0, "call %lld, state %d: %s",
	    (long long)n, (int)s, last);
	ends(with);
	sim_free(y);
	sim_use(x);
	ends(without);
	ck_assert_mem_eq(with, without, sizeof with);
	sim_free(x);
	states++;
}

static void
each_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	(void)op;
	(void)arg;
	for (uint64_t s = 0; s < 6; s++)
		if (STEP == 1 || (n + (int64_t)s) % STEP == 0)
			crashed(d, n, s);
	sim_use(d);
}

START_TEST(test_journal)
{
	struct topic *t;

	shallow = true;
	rig_init(&rig);
	rig.conf.journal_bytes = JOURNAL_FILES * 32 * KIB;
	ck_assert_int_eq(rig_open(&rig), E_OK);
	t = rig_topic(&rig, "t", PARTS);
	rig_append(&rig, t->parts[0], 1);
	ck_assert(rig.eng.journal.on);
	append_all(t);
	sim_hook(rig.disk, each_call, NULL);
	for (int i = 0; i < 6; i++)
		append_all(t);
	sim_hook(rig.disk, NULL, NULL);
	ck_assert_int_gt(rig.eng.journal.records, 6);
	ck_assert_int_gt(told, 0);
	ck_assert_int_gt(states, 100 / STEP);
	rig_kill(&rig);
	rig_free(&rig);
}
END_TEST

/* After a kill -9 the segments have what the journal holds: no byte of it that
 * is another costs a record, and only its header can be told to be bad. */
START_TEST(test_journal_flip)
{
	int64_t want[PARTS], got[PARTS], n = 0;
	struct topic *t;

	shallow = true;
	rig_init(&rig);
	rig.conf.journal_bytes = JOURNAL_FILES * 32 * KIB;
	ck_assert_int_eq(rig_open(&rig), E_OK);
	t = rig_topic(&rig, "t", PARTS);
	rig_append(&rig, t->parts[0], 1);
	append_all(t);
	append_all(t);
	for (int i = 0; i < PARTS; i++)
		want[i] = t->parts[i]->hw;
	rig_kill(&rig);
	sim_kill(rig.disk);
	for (size_t at = 0; at < 3 * JOURNAL_BLOCK; at += at <
	    JOURNAL_HEAD ? STEP : 11 * STEP) {
		struct sim *d = sim_clone(rig.disk);
		size_t size;
		const uint8_t *p = sim_bytes(d, "data/journal/0.jnl", &size);
		uint8_t *copy = malloc(size);
		struct fsck c;

		ck_assert_uint_gt(size, 3 * JOURNAL_BLOCK);
		memcpy(copy, p, size);
		copy[at] ^= 0x24;
		sim_use(d);
		sim_put(d, "data/journal/0.jnl", copy, size);
		free(copy);
		(void)run(&c, false);
		ck_assert_msg(c.fixable == 0 && c.bad == (at < JOURNAL_HEAD),
		    "byte %zu: %s", at, last);
		ends(got);
		ck_assert_mem_eq(got, want, sizeof got);
		sim_free(d);
		n++;
	}
	sim_use(rig.disk);
	ck_assert_int_gt(n, 1000 / STEP);
	rig_free(&rig);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fsck");
	TCase *tc = tcase_create("fsck");
	SRunner *sr;
	int n;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_clean);
	tcase_add_test(tc, test_flip);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_missing);
	tcase_add_test(tc, test_swapped);
	tcase_add_test(tc, test_rewritten);
	tcase_add_test(tc, test_compaction);
	tcase_add_test(tc, test_crash);
	tcase_add_test(tc, test_journal);
	tcase_add_test(tc, test_journal_flip);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
