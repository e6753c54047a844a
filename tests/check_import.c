/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The import from directories as Kafka leaves them, made here byte by byte: all
 * of it comes along, what a crash of Kafka left is judged as Kafka judges it,
 * and a crash or a fault of the import itself leaves all of it or nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/crc32c.h"
#include "offline/import.h"
#include "rig.h"

/* Under a sanitizer fewer states are enough: it looks for other mistakes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS	2
#else
#define SEEDS	6
#endif

static struct rig rig;
static char notes[8192];
static struct import_told told[8];
static int ntold;

static void
note(void *arg, const char *words)
{
	size_t n = strlen(notes);

	(void)arg;
	snprintf(notes + n, sizeof notes - n, "%s\n", words);
}

static void
tell(struct import *im, const struct import_told *t)
{
	(void)im;
	ck_assert_int_lt(ntold, 8);
	told[ntold++] = *t;
}

static char *dirs[] = { (char *)(uintptr_t)"kafka" };

static enum err
run(struct import *im)
{
	notes[0] = '\0';
	ntold = 0;
	im->conf = &rig.conf;
	im->dirs = dirs;
	im->ndirs = 1;
	im->told = tell;
	im->note = note;
	return import_run(im);
}

/* ---- a Kafka's directory ------------------------------------------------ */

static void
text(const char *path, const char *s)
{
	sim_put(rig.disk, path, s, strlen(s));
}

static void
make_dir(const char *path)
{
	enum err e = disk->mkdir(path);

	if (e == E_OK)
		e = disk->sync_dir(strchr(path, '/') == NULL ? "." : "kafka");
	ck_assert_int_eq(e, E_OK);
}

/* A batch of n records at an offset, appended. */
static void
batch(struct wr *w, int64_t offset, int n, int32_t epoch, int64_t pid,
    int32_t seq, int attrs)
{
	size_t at = w->len;
	struct batch_maker m;
	enum err e;

	batch_make(&m, 1 << 16);
	for (int i = 0; i < n; i++)
		batch_add(&m, rig_now + offset + i, attrs & BATCH_CONTROL ?
		    "\0\0\0\1" : "key", attrs & BATCH_CONTROL ? 4 : 3,
		    "value!", 6, NULL, 0);
	m.b.pid = pid;
	m.b.epoch = pid < 0 ? -1 : 3;
	m.b.base_seq = pid < 0 ? -1 : seq;
	m.b.attrs = (uint16_t)attrs;
	e = batch_finish(&m, CODEC_NONE, INT32_MIN, w);
	ck_assert_int_eq(e, E_OK);
	batch_assign(w->p + at, offset, epoch);
}

/* One record of Kafka's own, in a batch. */
static void
own(struct wr *w, int64_t offset, const struct wr *key,
    const struct wr *value, int attrs, int64_t pid)
{
	size_t at = w->len;
	struct batch_maker m;
	enum err e;

	batch_make(&m, 1 << 16);
	batch_add(&m, rig_now, key->p, key->p == NULL ? -1 :
	    (int32_t)key->len, value->p, value->p == NULL ? -1 :
	    (int32_t)value->len, NULL, 0);
	m.b.attrs = (uint16_t)attrs;
	m.b.pid = pid;
	m.b.epoch = pid < 0 ? -1 : 0;
	m.b.base_seq = -1;
	e = batch_finish(&m, CODEC_NONE, INT32_MIN, w);
	ck_assert_int_eq(e, E_OK);
	batch_assign(w->p + at, offset, 0);
}

static void
str16(struct wr *w, const char *s)
{
	wr_i16(w, (int16_t)strlen(s));
	wr_bytes(w, s, strlen(s));
}

static void
compact_str(struct wr *w, const char *s)
{
	wr_uvarint(w, (uint32_t)strlen(s) + 1);
	wr_bytes(w, s, strlen(s));
}

static void
commit(struct wr *log, int64_t at, const char *group, int32_t part,
    int64_t offset, bool txn)
{
	struct wr k = wr_grow(1000), v = wr_grow(1000);

	wr_i16(&k, 1);
	str16(&k, group);
	str16(&k, "a.topic");
	wr_i32(&k, part);
	if (offset >= 0) {
		wr_i16(&v, 3);
		wr_i64(&v, offset);
		wr_i32(&v, 2);
		str16(&v, "meta");
		wr_i64(&v, rig_now);
	}
	own(log, at, &k, &v, txn ? BATCH_TXN : 0, txn ? 77 : -1);
	wr_free(&k);
	wr_free(&v);
}

static void
mark(struct wr *log, int64_t at, bool commits)
{
	struct wr k = wr_grow(10), v = wr_grow(10);

	wr_i16(&k, 0);
	wr_i16(&k, commits);
	wr_i16(&v, 0);
	wr_i32(&v, 0);
	own(log, at, &k, &v, BATCH_TXN | BATCH_CONTROL, 77);
	wr_free(&k);
	wr_free(&v);
}

static void
groups_make(void)
{
	struct wr log = wr_grow(1 << 20), k = wr_grow(100), v = wr_grow(100);

	commit(&log, 0, "g", 0, 3, false);
	commit(&log, 1, "g", 0, 5, false);	/* the later one counts */
	commit(&log, 2, "h", 1, 6, false);
	commit(&log, 3, "h", 1, -1, false);	/* taken back */
	commit(&log, 4, "t", 0, 1, true);
	mark(&log, 5, false);			/* aborted */
	commit(&log, 6, "t", 0, 2, true);
	mark(&log, 7, true);
	commit(&log, 8, "t", 0, 7, true);	/* open */
	wr_i16(&k, 2);
	str16(&k, "g");
	wr_i16(&v, 3);
	str16(&v, "consumer");
	wr_i32(&v, 12);
	wr_bytes(&v, "\377\377\377\377", 4);
	own(&log, 9, &k, &v, 0, -1);
	make_dir("kafka/__consumer_offsets-4");
	sim_put(rig.disk, "kafka/__consumer_offsets-4/00000000000000000000"
	    ".log", log.p, log.len);
	wr_free(&log);
	wr_free(&k);
	wr_free(&v);
}

static const uint8_t topic_id[16] = "a topic's own id";

static void
meta_record(struct wr *log, int64_t at, int key, int version,
    void (*body)(struct wr *))
{
	struct wr k = { 0 }, v = wr_grow(1000);

	wr_uvarint(&v, 1);
	wr_uvarint(&v, (uint32_t)key);
	wr_uvarint(&v, (uint32_t)version);
	body(&v);
	wr_uvarint(&v, 0);		/* no tagged fields */
	own(log, at, &k, &v, 0, -1);
	wr_free(&v);
}

static void
body_topic(struct wr *w)
{
	compact_str(w, "a.topic");
	wr_bytes(w, topic_id, 16);
}

static int32_t part_no, part_leader;

static void
body_part(struct wr *w)
{
	wr_i32(w, part_no);
	wr_bytes(w, topic_id, 16);
	wr_uvarint(w, 3);
	wr_i32(w, 1);
	wr_i32(w, 2);
	wr_uvarint(w, 2);
	wr_i32(w, 1);
	wr_uvarint(w, 1);
	wr_uvarint(w, 1);
	wr_i32(w, part_leader);
	wr_i32(w, 4);
	wr_i32(w, 4);
}

static void
body_config(struct wr *w)
{
	wr_i8(w, 2);
	compact_str(w, "a.topic");
	compact_str(w, "retention.ms");
	compact_str(w, "86400000");
}

static void
body_odd_config(struct wr *w)
{
	wr_i8(w, 2);
	compact_str(w, "a.topic");
	compact_str(w, "no.such.config");
	compact_str(w, "1");
}

static void
metadata_make(int32_t leader)
{
	struct wr log = wr_grow(1 << 20);

	part_leader = leader;
	meta_record(&log, 0, 2, 0, body_topic);
	for (part_no = 0; part_no < 2; part_no++)
		meta_record(&log, 1 + part_no, 3, 0, body_part);
	meta_record(&log, 3, 4, 0, body_config);
	meta_record(&log, 4, 4, 0, body_odd_config);
	make_dir("kafka/__cluster_metadata-0");
	sim_put(rig.disk, "kafka/__cluster_metadata-0/00000000000000000000"
	    ".log", log.p, log.len);
	wr_free(&log);
}

static void
seg_put(const char *dir, int64_t base, const struct wr *w, const char *ext)
{
	char path[200];

	snprintf(path, sizeof path, "kafka/%s/%020lld%s", dir,
	    (long long)base, ext);
	sim_put(rig.disk, path, w->p, w->len);
}

/* a.topic-0: two segments, a gap of compaction between them, an open
 * transaction; a.topic-1: starts at 5, and holds what was not committed. */
static void
kafka_make(void)
{
	struct wr w = wr_grow(1 << 20);

	make_dir("kafka");
	text("kafka/meta.properties", "#\nversion=1\nnode.id=1\n"
	    "cluster.id=x\n");
	text("kafka/.kafka_cleanshutdown", "{}");
	text("kafka/.lock", "");
	text("kafka/replication-offset-checkpoint",
	    "0\n2\na.topic 0 12\na.topic 1 8\n");
	text("kafka/log-start-offset-checkpoint", "0\n1\na.topic 1 5\n");
	text("kafka/recovery-point-offset-checkpoint",
	    "0\n2\na.topic 0 12\na.topic 1 10\n");
	make_dir("kafka/a.topic-0");
	make_dir("kafka/a.topic-1");
	make_dir("kafka/a.topic-2.0123456789abcdef-delete");
	make_dir("kafka/other-0.0123456789abcdef-stray");
	text("kafka/a.topic-0/partition.metadata",
	    "version: 0\ntopic_id: YSB0b3BpYydzIG93biBpZA\n");
	batch(&w, 0, 3, 2, 40, 0, 0);
	batch(&w, 4, 2, 2, 40, 4, 0);
	seg_put("a.topic-0", 0, &w, ".log");
	text("kafka/a.topic-0/00000000000000000000.index", "junk");
	text("kafka/a.topic-0/00000000000000000099.log.deleted", "junk");
	w.len = 0;
	batch(&w, 8, 2, 4, 41, 0, BATCH_TXN);
	batch(&w, 10, 2, 4, 40, 6, 0);
	seg_put("a.topic-0", 8, &w, ".log");
	w.len = 0;
	batch(&w, 0, 4, 1, -1, -1, 0);
	seg_put("a.topic-1", 0, &w, ".log");
	w.len = 0;
	batch(&w, 4, 4, 1, -1, -1, 0);
	batch(&w, 8, 2, 3, -1, -1, 0);
	seg_put("a.topic-1", 4, &w, ".log");
	wr_free(&w);
}

static void
world(void)
{
	enum err e;

	rig_init(&rig);
	e = disk->mkdir("data");
	ck_assert_int_eq(e, E_OK);
	e = disk->sync_dir(".");
	ck_assert_int_eq(e, E_OK);
	kafka_make();
}

static struct topic *
opened(void)
{
	ck_assert_msg(rig_open(&rig) == E_OK, "%s", rig.why);
	return topic_find(&rig.eng.topics, kstr_of("a.topic"));
}

static const struct committed *
offset_of(const char *group, struct topic *t, int32_t part)
{
	struct group *g = group_find(&rig.eng, kstr_of(group), false);

	return g == NULL ? NULL : group_offset(g, t, part, false);
}

static void
end(void)
{
	rig_free(&rig);
}

#define HAS(words) \
	ck_assert_msg(strstr(notes, words) != NULL, "no \"%s\" in %s", \
	    words, notes)

/* ---- tests -------------------------------------------------------------- */

START_TEST(test_all)
{
	struct import im = { .dry_run = true };
	const struct committed *o;
	struct topic *t;
	uint64_t hash;

	world();
	metadata_make(1);
	groups_make();
	hash = sim_hash(rig.disk, ".");
	ck_assert_msg(run(&im) == E_OK, "%s", im.why);
	ck_assert_msg(sim_hash(rig.disk, ".") == hash, "a dry run changes "
	    "something");
	ck_assert_int_eq(ntold, 1);
	im = (struct import){ .dry_run = false };
	ck_assert_msg(run(&im) == E_OK, "%s", im.why);
	ck_assert_int_eq(ntold, 1);
	ck_assert(told[0].kept);
	ck_assert_int_eq(memcmp(told[0].id.b, topic_id, 16), 0);
	HAS("no.such.config");
	HAS("producer 41 was open; it is aborted");
	HAS("offsets were committed in transactions that are open");
	ck_assert_int_eq(im.offsets, 2);
	ck_assert_int_eq(im.groups, 1);
	ck_assert_int_eq(sim_open_handles(rig.disk), 0);
	t = opened();
	ck_assert_ptr_nonnull(t);
	ck_assert(rig.eng.clean_start);
	ck_assert_int_eq(t->nparts, 2);
	ck_assert_int_eq(t->conf.retention_ms, 86400000);
	ck_assert_int_eq(t->parts[0]->start, 0);
	/* Filled up to 8, and a marker at 12. */
	ck_assert_int_eq(t->parts[0]->hw, 13);
	ck_assert_int_eq(t->parts[1]->start, 5);
	ck_assert_int_eq(t->parts[1]->hw, 10);
	ck_assert_int_eq(prod_count(t->parts[0]->prods), 2);
	ck_assert_int_gt(rig.eng.epoch, 4);
	ck_assert_int_gt(rig.eng.next_pid, 41);
	o = offset_of("g", t, 0);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(o->offset, 5);
	ck_assert_int_eq(o->epoch, 2);
	ck_assert(kstr_eq(o->metadata, kstr_of("meta")));
	ck_assert_int_eq(offset_of("t", t, 0)->offset, 2);
	ck_assert_ptr_null(offset_of("h", t, 1));
	ck_assert_int_eq(group_find(&rig.eng, kstr_of("g"), false)->generation,
	    12);
	ck_assert_int_eq(rig_stop(&rig), E_OK);
	/* It is there now. */
	ck_assert_int_eq(run(&im), E_TOPIC_EXISTS);
	t = opened();
	ck_assert_int_eq(t->parts[0]->hw, 13);
	rig_append(&rig, t->parts[0], 100);
	rig_kill(&rig);
	end();
}
END_TEST

/* Another broker leads: what is above the high watermark may be nothing. */
START_TEST(test_follower)
{
	struct import im = { .dry_run = false };
	struct topic *t;

	world();
	metadata_make(2);
	ck_assert_msg(run(&im) == E_OK, "%s", im.why);
	HAS("records from offset 8 on were not committed");
	t = opened();
	ck_assert_int_eq(t->parts[1]->hw, 8);
	rig_kill(&rig);
	end();
}
END_TEST

static void
refused(enum err want, const char *words)
{
	struct import im = { .dry_run = false };
	enum err e = run(&im);

	ck_assert_msg(e == want, "%s: %s", err_name(e), im.why);
	ck_assert_msg(strstr(im.why, words) != NULL, "%s", im.why);
	ck_assert_int_eq(sim_open_handles(rig.disk), 0);
	ck_assert_ptr_null(opened());
	ck_assert_int_eq(rig_stop(&rig), E_OK);
}

static void
byte(const char *path, size_t at, uint8_t mask)
{
	size_t n;
	const uint8_t *p = sim_bytes(rig.disk, path, &n);
	uint8_t *q = malloc(n);

	memcpy(q, p, n);
	q[at] ^= mask;
	sim_put(rig.disk, path, q, n);
	free(q);
}

START_TEST(test_refused)
{
	static char *odd[] = { (char *)(uintptr_t)"odd" };
	struct import im = { .topics = odd, .ntopics = 1 };
	struct wr w = wr_grow(1 << 16);
	enum err e;
	int fd;

	world();
	e = disk->lock("kafka/.lock", &fd);
	ck_assert_int_eq(e, E_OK);
	ck_assert_int_eq(run(&im), E_BUSY);
	disk->close(fd);
	sim_put(rig.disk, "kafka/.kafka_cleanshutdown", NULL, 0);
	refused(E_POLICY_VIOLATION, "--recover");
	text("kafka/.kafka_cleanshutdown", "");
	ck_assert_int_eq(run(&im), E_UNKNOWN_TOPIC);
	/* A damaged batch, at the end or not. */
	byte("kafka/a.topic-0/00000000000000000000.log", 70, 1);
	refused(E_CORRUPT, "position 0: wrong CRC");
	byte("kafka/a.topic-0/00000000000000000000.log", 70, 1);
	byte("kafka/a.topic-1/00000000000000000004.log", 70, 1);
	refused(E_CORRUPT, "wrong CRC");
	byte("kafka/a.topic-1/00000000000000000004.log", 70, 1);
	/* Format 1. */
	byte("kafka/a.topic-0/00000000000000000008.log", 16, 3);
	refused(E_UNSUPPORTED_FORMAT, "format 0 or 1");
	byte("kafka/a.topic-0/00000000000000000008.log", 16, 3);
	/* Swapped segments. */
	batch(&w, 0, 1, 5, -1, -1, 0);
	seg_put("a.topic-0", 12, &w, ".log");
	refused(E_CORRUPT, "were there already");
	sim_put(rig.disk, "kafka/a.topic-0/00000000000000000012.log", NULL,
	    0);
	sim_put(rig.disk, "kafka/meta.properties", NULL, 0);
	refused(E_USAGE, "meta.properties");
	text("kafka/meta.properties", "version=0\nbroker.id=3\n");
	text("kafka/replication-offset-checkpoint", "what\n");
	refused(E_CORRUPT, "version 0");
	text("kafka/replication-offset-checkpoint", "0\n0\n");
	make_dir("kafka/half-1");
	refused(E_NOTFOUND, "partition 0 of 2");
	wr_free(&w);
	end();
}
END_TEST

/* Not stopped in order: what was never synced is judged, what a compaction
 * left is put right. */
START_TEST(test_unclean)
{
	struct import im = { .recover = true };
	struct wr w = wr_grow(1 << 16);
	struct topic *t;
	const uint8_t *p;
	size_t n;
	uint8_t *q;

	world();
	sim_put(rig.disk, "kafka/.kafka_cleanshutdown", NULL, 0);
	/* Below the recovery point nothing may be missing. */
	byte("kafka/a.topic-1/00000000000000000004.log", 70, 1);
	ck_assert_int_eq(run(&im), E_CORRUPT);
	byte("kafka/a.topic-1/00000000000000000004.log", 70, 1);
	q = malloc(1000);
	p = sim_bytes(rig.disk, "kafka/a.topic-1/00000000000000000004.log",
	    &n);
	memcpy(q, p, n);
	memset(q + n, 'x', 90);
	sim_put(rig.disk, "kafka/a.topic-1/00000000000000000004.log", q,
	    n + 90);
	free(q);
	/* A swap of both segments of partition 0 that was cut short. */
	batch(&w, 0, 3, 2, 40, 0, 0);
	batch(&w, 10, 2, 4, 40, 6, 0);
	seg_put("a.topic-0", 0, &w, ".log.swap");
	/* And one of partition 1 that had not come so far. */
	seg_put("a.topic-1", 0, &w, ".log.swap");
	seg_put("a.topic-1", 0, &w, ".log.cleaned");
	ck_assert_msg(run(&im) == E_OK, "%s", im.why);
	HAS("90 bytes behind the last whole batch");
	t = opened();
	ck_assert_int_eq(t->parts[0]->nsegs, 1);
	ck_assert_int_eq(t->parts[0]->hw, 12);
	/* The first one lies below the log's start. */
	ck_assert_int_eq(t->parts[1]->nsegs, 1);
	ck_assert_int_eq(t->parts[1]->hw, 10);
	rig_kill(&rig);
	wr_free(&w);
	end();
}
END_TEST

/* ---- crashes and faults ------------------------------------------------- */

static int64_t states;
static bool linked;

/* All of it or nothing; then the import is run to its end. */
static void
check_state(int64_t n)
{
	struct import im = { .link = linked };
	enum err e;
	struct topic *t;
	bool there = opened() != NULL;

	rig_kill(&rig);
	e = run(&im);
	ck_assert_msg(e == (there ? E_TOPIC_EXISTS : E_OK), "call %lld: %s: "
	    "%s", (long long)n, err_name(e), im.why);
	t = opened();
	ck_assert_msg(t != NULL, "call %lld: it is not there", (long long)n);
	ck_assert_int_eq(t->parts[0]->state, PART_ONLINE);
	ck_assert_int_eq(t->parts[0]->hw, 13);
	ck_assert_int_eq(t->parts[1]->state, PART_ONLINE);
	ck_assert_int_eq(t->parts[1]->start, 5);
	ck_assert_int_eq(offset_of("g", t, 0)->offset, 5);
	rig_append(&rig, t->parts[0], 10);
	ck_assert_int_eq(rig_stop(&rig), E_OK);
	states++;
}

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct import *im = arg;
	char words[sizeof notes];
	int64_t offsets = im->offsets, groups = im->groups;

	(void)op;
	memcpy(words, notes, sizeof words);
	for (uint64_t s = 0; s < SEEDS; s++) {
		struct sim *x = sim_clone(d);

		sim_use(x);
		if (s == SEEDS - 1)
			sim_kill(x);
		else
			sim_crash(x, s < 4 ? s : (uint64_t)n * 99 + s);
		check_state(n);
		sim_free(x);
	}
	memcpy(notes, words, sizeof words);
	im->offsets = offsets;
	im->groups = groups;
	sim_use(d);
}

START_TEST(test_crash)
{
	struct import im = { .link = _i == 1 };

	world();
	metadata_make(1);
	groups_make();
	linked = _i == 1;
	/* A directory that is in use already. */
	(void)opened();
	(void)rig_topic(&rig, "mine", 1);
	ck_assert_int_eq(rig_stop(&rig), E_OK);
	sim_hook(rig.disk, at_call, &im);
	ck_assert_msg(run(&im) == E_OK, "%s", im.why);
	sim_hook(rig.disk, NULL, NULL);
	ck_assert_int_gt(states, 50);
	end();
}
END_TEST

/* A call fails, and it may be tried again.  A catalogue that cannot be written
 * ends the process, as the engine's: that is the crash above. */
START_TEST(test_faults)
{
	static const char *const where[] = { "topics", "kafka" };

	for (int64_t n = 1;; n++) {
		struct import im = { .dry_run = false };
		enum err e;
		bool met;

		world();
		metadata_make(1);
		groups_make();
		sim_count_reset(rig.disk);
		sim_fail_under(rig.disk, where[_i]);
		sim_fail_at(rig.disk, n, n % 2 ? E_IO : E_NOSPC, false);
		e = run(&im);
		met = sim_failed(rig.disk);
		sim_kill(rig.disk);
		if (e != E_OK) {
			ck_assert_msg(met, "it fails by itself: %s", im.why);
			ck_assert_str_ne(im.why, "");
		}
		check_state(n);
		end();
		if (!met)
			break;
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("import");
	TCase *tc = tcase_create("import");
	SRunner *sr;
	int n;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_all);
	tcase_add_test(tc, test_follower);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_unclean);
	tcase_add_loop_test(tc, test_crash, 0, 2);
	tcase_add_loop_test(tc, test_faults, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
