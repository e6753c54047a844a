/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats on disk stay as they are: what we write today is byte for byte
 * what lies in tests/golden/store, today's code reads it, and dumps of it are
 * the ones beside it.  And dumps of damaged files end well, and say so.
 *
 * With GOLDEN_WRITE=1 in the environment the golden files are written anew:
 * after a deliberate change of a format, with a new version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "clock.h"
#include "lib/crc32c.h"
#include "lib/log.h"
#include "log/roster.h"
#include "offline/dump.h"
#include "simdisk.h"

static const struct log_id id = { { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
    0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } }, 3 };
enum { BASE = 42, T = 1700000000 };
#define MS	((int64_t)T * 1000)

static const char *const files[] = { "00000000000000000042.log",
    "00000000000000000042.idx", "00000000000000000047.prod", "clean" };
enum { NFILES = 4, LOG = 0, IDX = 1, PROD = 2 };

static struct sim *sim;

#define OK(call)	ck_assert_int_eq(call, E_OK)

static void
golden_path(char *path, size_t size, const char *name)
{
	const char *src = getenv("CHRONIK_SRC");

	snprintf(path, size, "%s/tests/golden/store/%s",
	    src == NULL ? "." : src, name);
}

/* A golden file; the disk is the real one for a moment. */
static uint8_t *
golden(const char *name, size_t *n)
{
	char path[PATH_SIZE];
	uint8_t *p;
	enum err err;

	golden_path(path, sizeof path, name);
	disk = &disk_real;
	err = disk_slurp(path, 1 << 20, &p, n);
	disk = &simdisk;
	ck_assert_msg(err == E_OK, "%s: %s", path, err_text(err));
	return p;
}

static void
same_as_golden(const char *name, const void *p, size_t n)
{
	char path[PATH_SIZE];
	uint8_t *want;
	size_t size;
	FILE *f;

	if (getenv("GOLDEN_WRITE") != NULL) {
		golden_path(path, sizeof path, name);
		f = fopen(path, "wb");
		ck_assert_msg(f != NULL && fwrite(p, 1, n, f) == n &&
		    fclose(f) == 0, "%s is not written", path);
		return;
	}
	want = golden(name, &size);
	ck_assert_msg(size == n && memcmp(p, want, n) == 0,
	    "%s is not what it was", name);
	free(want);
}

static void
append(struct wr *log, struct batch_maker *m, int64_t offset, int64_t pid,
    int32_t seq)
{
	size_t at = log->len;

	m->b.pid = pid;
	m->b.epoch = pid < 0 ? -1 : 2;
	m->b.base_seq = pid < 0 ? -1 : seq;
	OK(batch_finish(m, CODEC_NONE, INT32_MIN, log));
	batch_assign(log->p + at, offset, 7);
}

/* Three batches: plain, an idempotent producer's with headers, nulls and
 * bytes that are no text, and a control batch. */
static void
make_log(struct wr *log, int64_t pos[3])
{
	static const struct header heads[] = {
	    { (const uint8_t *)"trace", (const uint8_t *)"\0\1", 5, 2 },
	    { (const uint8_t *)"none", NULL, 4, -1 } };
	struct batch_maker m;

	pos[0] = (int64_t)log->len;
	batch_make(&m, 1 << 20);
	batch_add(&m, MS, "key", 3, "value", 5, NULL, 0);
	batch_add(&m, MS + 5, NULL, -1, "no key", 6, NULL, 0);
	append(log, &m, BASE, -1, -1);
	pos[1] = (int64_t)log->len;
	batch_make(&m, 1 << 20);
	batch_add(&m, MS + 1, "\xff\x00\x7f", 3, NULL, -1, heads, 2);
	batch_add(&m, MS + 9, "a\"b\\c", 5, "tab\tline\n\xc3\xa9\xc2\x9b", 13,
	    NULL, 0);
	append(log, &m, BASE + 2, 4711, 100);
	pos[2] = (int64_t)log->len;
	batch_make(&m, 1 << 20);
	m.b.attrs = BATCH_TXN | BATCH_CONTROL;
	batch_add(&m, MS + 10, "\0\0\0\1", 4, "\0\0\0\0\0\0", 6, NULL, 0);
	append(log, &m, BASE + 4, 4711, -1);
}

/* A marker that tells of the log, and of one without records. */
static void
make_marker(const struct wr *log, const struct wr *prod)
{
	struct roster_part x = { .id = id, .epoch = 7, .epoch_start = BASE,
	    .end = BASE + 5, .snapped = BASE + 5, .deleted_due = INT64_MAX,
	    .dir_ns = MS * 1000000 + 1, .nsegs = 1, .prods = prod->p,
	    .nprods = prod->len };
	struct roster_seg s = { .base = BASE, .end = BASE + 5,
	    .size = (int64_t)log->len, .written_ns = MS * 1000000 + 2,
	    .ino = 12, .max_ts = MS + 10, .first_ts = MS + 5, .nidx = 1 };
	struct wr w = wr_grow(MIB);

	roster_begin(&w, 99, MS + 1000);
	roster_put(&w, &x, &s);
	x.id.part++;
	x.end = x.epoch_start = 0;
	x.snapped = -1;
	x.deleted_due = MS + 60000;
	x.nprods = 0;
	s = (struct roster_seg){ .written_ns = MS * 1000000 + 3, .ino = 13,
	    .max_ts = -1, .first_ts = -1 };
	roster_put(&w, &x, &s);
	OK(roster_end(&w, 2));
	OK(clean_write(".", &w));
	wr_free(&w);
}

/* The set, as the engine's own code writes it. */
static void
write_all(void)
{
	struct wr log = wr_grow(1 << 20), prod = wr_grow(1 << 20);
	struct prod_table *t = prod_new();
	struct idx_entry e[2];
	struct batch b;
	int64_t pos[3];
	char path[64];

	make_log(&log, pos);
	sim_put(sim, files[LOG], log.p, log.len);
	e[0] = (struct idx_entry){ BASE + 2, pos[1], MS + 5 };
	e[1] = (struct idx_entry){ BASE + 5, (int64_t)log.len, MS + 10 };
	snprintf(path, sizeof path, "%s", files[IDX]);
	OK(idx_append(path, &id, BASE, e, 1, 0, false));
	OK(idx_append(path, &id, BASE, e + 1, 1, 1, true));
	for (int i = 1; i < 3; i++) {
		OK(batch_read(log.p + pos[i], &b));
		OK(prod_note(t, &b, mono_ms()));
	}
	b.pid = 9;
	b.attrs = 0;
	b.base_seq = INT32_MAX;
	OK(prod_note(t, &b, mono_ms()));
	OK(prod_encode(t, &id, BASE + 5, &prod));
	sim_put(sim, files[PROD], prod.p, prod.len);
	make_marker(&log, &prod);
	prod_free(t);
	wr_free(&log);
	wr_free(&prod);
}

static char *
dump(const char *path, bool json, enum err want)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	enum err err = dump_file(path, json, f);

	fclose(f);
	ck_assert_msg(err == want, "%s: %s\n%s", path, err_name(err), text);
	ck_assert_int_eq(sim_open_handles(sim), 0);
	return text;
}

static void
setup(void)
{
	sim = sim_new();
	sim_use(sim);
	disk = &simdisk;
	write_all();
}

static void
teardown(void)
{
	sim_free(sim);
}

START_TEST(test_golden)
{
	for (int i = 0; i < NFILES; i++) {
		size_t n;
		const uint8_t *p = sim_bytes(sim, files[i], &n);

		same_as_golden(files[i], p, n);
	}
	for (int json = 0; json < 2; json++) {
		struct wr all = wr_grow(1 << 20);

		for (int i = 0; i < NFILES; i++) {
			char *s = dump(files[i], json, E_OK);

			wr_bytes(&all, s, strlen(s));
			free(s);
		}
		same_as_golden(json ? "dump.json" : "dump.txt", all.p,
		    all.len);
		wr_free(&all);
	}
}
END_TEST

/* Today's code opens yesterday's files. */
START_TEST(test_read)
{
	struct recover_how how = { .dir = "old", .lost = "lost", .id = id };
	struct recovered r;
	char path[PATH_SIZE];
	struct roster *told;
	uint8_t *old;
	size_t n;
	bool was;

	OK(disk->mkdir("old"));
	for (int i = 0; i < NFILES; i++) {
		uint8_t *p = golden(files[i], &n);

		snprintf(path, sizeof path, "old/%s", files[i]);
		sim_put(sim, path, p, n);
		free(p);
	}
	OK(clean_take("old", &was, &told));
	ck_assert(was);
	ck_assert_int_eq(told->nv, 2);
	ck_assert_int_eq(told->head.meta_end, 99);
	OK(roster_part(told, "old", &id, &r));
	ck_assert_int_eq(r.end, BASE + 5);
	ck_assert_int_eq(r.snapped, BASE + 5);
	ck_assert_int_eq(prod_count(r.prods), 2);
	recover_free(&r);
	roster_free(told);
	/* Of the version before. */
	old = golden("clean.1", &n);
	sim_put(sim, "old/clean", old, n);
	free(old);
	OK(clean_take("old", &was, &told));
	ck_assert(was);
	ck_assert_int_eq(told->nv, 0);
	roster_free(told);
	OK(recover_log(&how, &r));
	ck_assert_int_eq(r.nsegs, 1);
	ck_assert_int_eq(r.start, BASE);
	ck_assert_int_eq(r.end, BASE + 5);
	ck_assert_int_eq(r.epoch, 7);
	ck_assert_int_eq(r.snapped, BASE + 5);
	ck_assert_int_eq(r.scanned, 0);
	ck_assert_int_eq(r.segs[0]->max_ts, MS + 10);
	ck_assert_int_eq(prod_count(r.prods), 2);
	recover_free(&r);
}
END_TEST

/* A file that ends after n bytes. */
static void
cut_short(int i, const uint8_t *p, size_t n)
{
	struct batch b;
	size_t at = 0;
	bool whole = false;

	if (i == LOG) {	/* between batches it is whole */
		while (at < n && batch_read(p + at, &b) == E_OK)
			at += (size_t)batch_size(&b);
		whole = at == n;
	} else if (i == IDX)
		whole = n >= IDX_HEADER && (n - IDX_HEADER) % IDX_ENTRY == 0;
	sim_put(sim, files[i], p, n);
	free(dump(files[i], n % 2, whole ? E_OK :
	    E_CORRUPT));
}

/* Every byte that a checksum covers is seen to be wrong; no byte harms. */
START_TEST(test_flips)
{
	for (int i = 0; i < NFILES; i++) {
		size_t n;
		const uint8_t *p = sim_bytes(sim, files[i], &n);
		uint8_t *q = malloc(n);

		memcpy(q, p, n);
		for (size_t at = 0; at < n; at++) {
			char *s = NULL;
			size_t len;
			FILE *f = open_memstream(&s, &len);
			enum err err;

			q[at] ^= 0x81;
			sim_put(sim, files[i], q, n);
			q[at] ^= 0x81;
			err = dump_file(files[i], at % 2, f);
			fclose(f);
			/* No CRC covers an offset or an epoch; magics make
			 * a file ours. */
			if (i != LOG && at >= 8)
				ck_assert_int_eq(err, E_CORRUPT);
			ck_assert(err == E_OK || err == E_CORRUPT ||
			    err == E_USAGE);
			if (err == E_CORRUPT)
				ck_assert_ptr_nonnull(strstr(s, "damage"));
			free(s);
			cut_short(i, q, at);
		}
		free(q);
	}
}
END_TEST

/* The dump names damage and goes on behind it. */
START_TEST(test_damage)
{
	size_t n;
	const uint8_t *p = sim_bytes(sim, files[LOG], &n);
	uint8_t *q = malloc(n + 100);
	struct batch b;
	char *s, want[100];

	memcpy(q, p, n);
	OK(batch_read(q, &b));
	/* A wrong byte in the first batch: two more follow. */
	q[70] ^= 1;
	sim_put(sim, files[LOG], q, n);
	s = dump(files[LOG], false, E_CORRUPT);
	ck_assert_ptr_nonnull(strstr(s, "crc_ok=false"));
	snprintf(want, sizeof want, "damage position=0 bytes=%d why=\"wrong "
	    "CRC\"\n", (int)batch_size(&b));
	ck_assert_ptr_nonnull(strstr(s, want));
	ck_assert_ptr_nonnull(strstr(s, "offset=44 "));
	ck_assert_ptr_nonnull(strstr(s, "offset=46 "));
	free(s);
	/* Its header is gone: the next one is found all the same. */
	memset(q, 0xee, BATCH_HEADER);
	sim_put(sim, files[LOG], q, n);
	s = dump(files[LOG], true, E_CORRUPT);
	snprintf(want, sizeof want, "{\"type\":\"damage\",\"position\":0,"
	    "\"bytes\":%d,\"why\":\"no batch here\"}\n",
	    (int)batch_size(&b));
	ck_assert_msg(strncmp(s, want, strlen(want)) == 0, "%s", s);
	ck_assert_ptr_nonnull(strstr(s, "\"offset\":46,"));
	free(s);
	/* A tail of nothing. */
	memset(q + n, 0, 100);
	sim_put(sim, files[LOG], q, n + 100);
	s = dump(files[LOG], false, E_CORRUPT);
	ck_assert_ptr_nonnull(strstr(s, "no whole batch up to the end"));
	free(s);
	free(q);
	sim_put(sim, "hello", "hello world, what is this, a file?", 34);
	free(dump("hello", false, E_USAGE));
	free(dump("nothing", false, E_NOTFOUND));
}
END_TEST

/* A snapshot that says how many producers it has, and has none. */
START_TEST(test_counts)
{
	static const struct {
		int32_t	 n;
		enum err want;
	} rows[] = { { 0, E_OK }, { 1, E_CORRUPT }, { -1, E_CORRUPT },
	    { INT32_MAX, E_CORRUPT }, { INT32_MIN, E_CORRUPT } };
	size_t n, size = PROD_HEADER + 4;
	uint8_t q[PROD_HEADER + 4];

	memcpy(q, sim_bytes(sim, files[PROD], &n), PROD_HEADER);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		be32_put(q + 40, (uint32_t)rows[i].n);
		be32_put(q + size - 4, crc32c(0, q, size - 4));
		sim_put(sim, files[PROD], q, size);
		free(dump(files[PROD], false, rows[i].want));
	}
}
END_TEST

static bool
hook(const struct record *rec, struct wr *out)
{
	wr_bytes(out, "words", 5);
	return rec->key_len == 3;
}

/* The catalogue's records are words, in its directory only. */
START_TEST(test_meta)
{
	size_t n;
	const uint8_t *p = sim_bytes(sim, files[LOG], &n);
	uint8_t *q = malloc(n);
	char path[64], *s;

	memcpy(q, p, n);
	OK(disk->mkdir("meta"));
	snprintf(path, sizeof path, "meta/%s", files[LOG]);
	sim_put(sim, path, q, n);
	free(q);
	dump_meta_record = hook;
	s = dump(path, false, E_OK);
	ck_assert_ptr_nonnull(strstr(s, " is=words\n"));
	ck_assert_ptr_nonnull(strstr(s, "value=\"no key\""));
	free(s);
	s = dump(files[LOG], false, E_OK);
	ck_assert_ptr_null(strstr(s, "words"));
	free(s);
	dump_meta_record = NULL;
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dump");
	TCase *tc = tcase_create("dump");
	SRunner *sr = srunner_create(s);
	int failed;

	log_setup("check_dump", LOG_FATAL, LOG_TEXT);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_golden);
	tcase_add_test(tc, test_read);
	tcase_add_test(tc, test_flips);
	tcase_add_test(tc, test_damage);
	tcase_add_test(tc, test_counts);
	tcase_add_test(tc, test_meta);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
