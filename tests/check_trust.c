/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage: each byte of each file of a small log is changed in turn, files are
 * cut, lost, swapped and set back, and the engine is started.  Whatever a
 * reader is given is what was written there; a changed byte of a segment costs
 * the batch that it is in and no other; indexes and snapshots cost nothing;
 * no segment is touched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fetch.h"
#include "ck.h"
#include "rig.h"

enum { BATCHES = 44, RECORDS = 3, SEGS_MOST = 8 };

/* Under a sanitizer every byte would take too long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEP = 37 };
#else
enum { STEP = 1 };
#endif

/* What was written: segments by base offset, and where the batches lie. */
static struct model {
	int64_t	base[SEGS_MOST];
	uint8_t	*bytes[SEGS_MOST];
	size_t	 size[SEGS_MOST];
	int	 nsegs;
	struct {
		int	seg;
		int64_t	pos, size;
	} batch[BATCHES];
	char	 dir[PATH_SIZE];
} m;

static struct rig r;
static struct sim *sound;

static const char *
file(int64_t base, const char *ext)
{
	static char path[2][PATH_SIZE];
	static int turn;

	turn ^= 1;
	seg_path(path[turn], m.dir, base, ext);
	return path[turn];
}

/* The bytes of a file of the disk in use, malloc'ed. */
static uint8_t *
bytes_of(const char *path, size_t *n)
{
	const uint8_t *p = sim_bytes(r.disk, path, n);
	uint8_t *copy;

	ck_assert_ptr_nonnull(p);
	copy = malloc(*n + 1);
	memcpy(copy, p, *n);
	return copy;
}

static void
append_all(struct part *p)
{
	struct sent s;

	for (int i = 0; i < BATCHES; i++) {
		struct seg *seg;
		enum err e;

		sent_make(&s, RECORDS, (size_t)(i * 97 % 500) + 200, true);
		e = part_append(p, &s.a);
		ck_assert_int_eq(e, E_OK);
		engine_drain(&r.eng);
		ck_assert_int_eq(s.err, E_OK);
		seg = part_active(p);
		m.batch[i].seg = p->nsegs - 1;
		m.batch[i].size = batch_size(&s.a.b);
		m.batch[i].pos = seg->size - m.batch[i].size;
		sent_free(&s);
	}
}

/* A log of a few segments, stopped in order. */
static void
write_log(void)
{
	struct topic *t;
	struct part *p;
	enum err e;

	rig_init(&r);
	ck_assert_int_eq(rig_open(&r), E_OK);
	t = rig_topic(&r, "t", 1);
	p = t->parts[0];
	t->conf.segment_bytes = 10000;
	append_all(p);
	ck_assert_int_gt(p->nsegs, 1);
	part_dir(p, m.dir);
	m.nsegs = p->nsegs;
	for (int i = 0; i < m.nsegs; i++)
		m.base[i] = p->segs[i]->base;
	rig_settle(&r, 2000);
	e = rig_stop(&r);
	ck_assert_int_eq(e, E_OK);
	for (int i = 0; i < m.nsegs; i++)
		m.bytes[i] = bytes_of(file(m.base[i], ".log"), &m.size[i]);
	sound = r.disk;
	r.disk = sim_clone(sound);
	sim_use(r.disk);
}

static void
again(void)
{
	sim_use(sound);
	sim_free(r.disk);
	r.disk = sim_clone(sound);
	sim_use(r.disk);
}

static void
end(void)
{
	for (int i = 0; i < m.nsegs; i++)
		free(m.bytes[i]);
	sim_free(sound);
	rig_free(&r);
}

/* ---- reading ----------------------------------------------------------- */

static void
answered(struct fetch *f)
{
	++*(int *)f->arg;
}

/* Bytes of an answer against what was written there; only the epoch of a
 * header, which no CRC covers, may be another. */
static void
compare(int64_t offset, const struct fetch_extent *x)
{
	int64_t batch = offset / RECORDS, at = m.batch[batch].pos;
	int seg = m.batch[batch].seg;
	uint8_t *got = malloc((size_t)x->len);
	size_t n;

	ck_assert_int_eq(x->seg->base, m.base[seg]);
	ck_assert_int_eq(x->pos, at);
	ck_assert_int_eq(disk->pread(x->seg->fd, got, (size_t)x->len, x->pos,
	    &n), E_OK);
	ck_assert_uint_eq(n, (size_t)x->len);
	for (; batch < BATCHES && m.batch[batch].seg == seg &&
	    m.batch[batch].pos < x->pos + x->len; batch++) {
		memcpy(got + (m.batch[batch].pos - x->pos) + 12,
		    m.bytes[seg] + m.batch[batch].pos + 12, 4);
		at += m.batch[batch].size;
	}
	ck_assert_int_eq(at, x->pos + x->len);
	ck_assert_msg(memcmp(got, m.bytes[seg] + x->pos, n) == 0,
	    "offset %lld: other bytes than were written", (long long)offset);
	free(got);
}

/* Fetches at an offset; what comes must be right.  Offsets given, 0 after an
 * error. */
static int64_t
fetch(int64_t offset, int32_t max, enum err *error)
{
	int answers = 0;
	struct arena a;
	struct fetch_req_topic_part part = { .current_leader_epoch = -1,
	    .fetch_offset = offset, .last_fetched_epoch = -1,
	    .partition_max_bytes = max };
	struct fetch_req_topic topic = { .topic = kstr_of("t"),
	    .partitions = { 1, &part } };
	struct fetch_req req = { .min_bytes = 1, .max_bytes = 50 * MIB,
	    .topics = { 1, &topic } };
	struct fetch f = { .eng = &r.eng, .req = &req, .version = 12,
	    .arena = &a, .done = answered, .arg = &answers };
	int64_t n = 0;

	arena_init(&a, 4 * MIB);
	fetch_start(&f);
	engine_drain(&r.eng);
	ck_assert_int_eq(answers, 1);
	*error = (enum err)f.res.topics.v[0].parts.v[0].error;
	if (f.nextents > 0) {
		compare(offset, &f.extents[0]);
		for (int i = (int)(offset / RECORDS); i < BATCHES &&
		    m.batch[i].seg == m.batch[offset / RECORDS].seg &&
		    m.batch[i].pos < f.extents[0].pos + f.extents[0].len; i++)
			n = (i + 1) * RECORDS - offset;
	}
	fetch_release(&f);
	arena_reset(&a);
	return n;
}

/* Reads all there is, stepping over what cannot be read; which batches could
 * not. */
static int
read_all(int32_t max, bool lost[BATCHES])
{
	struct topic *t = topic_find(&r.eng.topics, kstr_of("t"));
	struct part *p = t->parts[0];
	int64_t offset = p->start;
	int n = 0, looks = 0;
	enum err e;

	memset(lost, 0, BATCHES * sizeof *lost);
	while (offset < p->hw) {
		int64_t got = fetch(offset, max, &e);

		/* The log is read from the disk first, because its files are
		 * not those of the clean stop. */
		if (got == 0 && e == E_STORAGE && looks++ == 0) {
			rig_settle(&r, 2000);
			if (p->state == PART_OFFLINE)
				break;
			continue;
		}
		if (got == 0) {
			ck_assert_msg(e == E_CORRUPT, "offset %lld: %d",
			    (long long)offset, e);
			n += !lost[offset / RECORDS];
			lost[offset / RECORDS] = true;
			got = 1;	/* each record of it */
		}
		offset += got;
	}
	return n;
}

/* ---- segments ---------------------------------------------------------- */

/* No segment has been touched by anybody. */
static void
untouched(int seg, const uint8_t *now)
{
	size_t n;
	const uint8_t *p;

	for (int i = 0; i < m.nsegs; i++) {
		p = sim_bytes(r.disk, file(m.base[i], ".log"), &n);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq(n, m.size[i]);
		ck_assert(memcmp(p, i == seg ? now : m.bytes[i], n) == 0);
	}
}

static int
batch_of(int seg, size_t at, size_t *from)
{
	for (int i = 0; i < BATCHES; i++)
		if (m.batch[i].seg == seg && (int64_t)at >= m.batch[i].pos &&
		    (int64_t)at < m.batch[i].pos + m.batch[i].size) {
			*from = at - (size_t)m.batch[i].pos;
			return i;
		}
	ck_abort_msg("no batch");
}

static void
flip_one(int seg, size_t at, uint8_t bit, bool clean)
{
	uint8_t *now = bytes_of(file(m.base[seg], ".log"), &(size_t){ 0 });
	bool lost[BATCHES];
	size_t from;
	int batch = batch_of(seg, at, &from), n;

	now[at] ^= bit;
	(at % 3 == 0 ? sim_put : sim_rot)(r.disk, file(m.base[seg], ".log"),
	    now, m.size[seg]);
	if (!clean)
		sim_put(r.disk, "data/clean", NULL, 0);
	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	n = read_all(at % 2 == 0 ? 1 * MIB : 700, lost);
	/* An epoch may fit; or not its neighbour. */
	if (from >= 12 && from < 16)
		ck_assert_msg(n == 0 || (n == 1 && (lost[batch] ||
		    (batch + 1 < BATCHES && lost[batch + 1]) || (batch > 0 &&
		    lost[batch - 1]))), "segment %d byte %zu", seg, at);
	else
		ck_assert_msg(n == 1 && lost[batch], "segment %d byte %zu "
		    "bit %d: %d batches lost, not %d (%zu)", seg, at, bit, n,
		    batch, from);
	rig_kill(&r);
	untouched(seg, now);
	free(now);
	again();
}

START_TEST(test_segments)
{
	static const uint8_t bits[] = { 0x01, 0x80, 0x10, 0x04 };
	bool lost[BATCHES];
	int n = 0;

	write_log();
	ck_assert_int_eq(rig_open(&r), E_OK);
	ck_assert_int_eq(read_all(1 * MIB, lost), 0);
	rig_kill(&r);
	again();
	for (int seg = 0; seg < m.nsegs; seg++)
		for (size_t at = 0; at < m.size[seg]; at += STEP)
			flip_one(seg, at, bits[at % 4], n++ % 3 != 0);
	end();
}
END_TEST

/* Pieces of many batches at once, up to all of a segment. */
START_TEST(test_pieces)
{
	bool lost[BATCHES];

	write_log();
	for (size_t from = 0; from < m.size[0]; from += 311)
		for (size_t len = 1; from + len < m.size[0]; len *= 5) {
			uint8_t *now = bytes_of(file(m.base[0], ".log"),
			    &(size_t){ 0 });
			size_t x;
			int first = batch_of(0, from, &x);
			int last = batch_of(0, from + len - 1, &x);

			memset(now + from, (int)(from & 0xff), len);
			sim_rot(r.disk, file(m.base[0], ".log"), now,
			    m.size[0]);
			ck_assert_int_eq(rig_open(&r), E_OK);
			(void)read_all(1 * MIB, lost);
			for (int i = 0; i < BATCHES; i++)
				ck_assert(!lost[i] ||
				    (i >= first && i <= last));
			rig_kill(&r);
			untouched(0, now);
			free(now);
			again();
		}
	end();
}
END_TEST

/* Every batch of a segment is bad: more than are told apart. */
START_TEST(test_many)
{
	bool lost[BATCHES];

	write_log();
	for (int odd = 0; odd < 2; odd++) {
		int n = 0;

		for (int i = 0; i < m.nsegs; i++) {
			uint8_t *now = bytes_of(file(m.base[i], ".log"),
			    &(size_t){ 0 });

			for (int k = odd; k < BATCHES; k += 2)
				if (m.batch[k].seg == i)
					now[m.batch[k].pos + 100] ^= 1;
			sim_put(r.disk, file(m.base[i], ".log"), now,
			    m.size[i]);
			free(now);
		}
		ck_assert_int_eq(rig_open(&r), E_OK);
		n = read_all(1 * MIB, lost);
		ck_assert_int_eq(n, BATCHES / 2);
		/* And once more, of what is known. */
		ck_assert_int_eq(read_all(1000, lost), BATCHES / 2);
		rig_kill(&r);
		again();
	}
	end();
}
END_TEST

/* What has been read well is read from the disk again, and is bad now. */
START_TEST(test_rot)
{
	bool lost[BATCHES];
	struct topic *t;
	size_t n;

	write_log();
	ck_assert_int_eq(rig_open(&r), E_OK);
	ck_assert_int_eq(read_all(1 * MIB, lost), 0);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	for (int i = 0; i < m.nsegs; i++) {
		uint8_t *now = bytes_of(file(m.base[i], ".log"), &n);
		struct iovec iov = { now + 200, 1 };
		struct seg *s = t->parts[0]->segs[i];

		now[200] ^= 4;
		ck_assert_int_eq(disk->pwritev(s->fd, &iov, 1, 200), E_OK);
		ck_assert_int_eq(disk->datasync(s->fd), E_OK);
		ck_assert_int_eq(disk->drop_cache(s->fd), E_OK);
		free(now);
	}
	ck_assert_int_eq(read_all(1 * MIB, lost), m.nsegs);
	rig_kill(&r);
	end();
}
END_TEST

/* A disk that cannot be read costs what cannot be read, while it cannot. */
START_TEST(test_unreadable)
{
	bool lost[BATCHES];
	enum err e;

	write_log();
	ck_assert_int_eq(rig_open(&r), E_OK);
	sim_count_reset(r.disk);
	sim_fail_under(r.disk, "topics");
	sim_fail_at(r.disk, 1, E_IO, true);
	ck_assert_int_eq(fetch(0, 1000, &e), 0);
	ck_assert_int_eq(e, E_STORAGE);
	sim_fail_at(r.disk, 0, E_OK, false);
	ck_assert_int_eq(read_all(1 * MIB, lost), 0);
	rig_kill(&r);
	end();
}
END_TEST

/* ---- what can be built again ------------------------------------------- */

struct names {
	char	v[64][64];
	int	n;
};

static int
note(const char *name, void *arg)
{
	struct names *x = arg;
	size_t len = strlen(name);

	if (x->n < 64 && (strcmp(name + len - 4, ".idx") == 0 ||
	    strcmp(name + len - 5, ".prod") == 0))
		snprintf(x->v[x->n++], 64, "%s", name);
	return 0;
}

static void
whole_after(const char *what, const char *name, size_t at)
{
	bool lost[BATCHES];
	struct part *p;

	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	p = topic_find(&r.eng.topics, kstr_of("t"))->parts[0];
	ck_assert_msg(p->state == PART_ONLINE, "%s of %s at %zu", what, name,
	    at);
	ck_assert_int_eq(p->start, 0);
	ck_assert_int_eq(p->hw, BATCHES * RECORDS);
	ck_assert_int_eq(read_all(at % 2 == 0 ? 1 * MIB : 700, lost), 0);
	rig_kill(&r);
	again();
}

START_TEST(test_indexes)
{
	struct names x = { .n = 0 };
	char path[PATH_SIZE];
	bool clean = _i == 0;
	enum err e;

	write_log();
	e = disk->list(m.dir, note, &x);
	ck_assert_int_eq(e, E_OK);
	ck_assert_int_gt(x.n, m.nsegs);
	for (int i = 0; i < x.n; i++) {
		size_t n;
		uint8_t *sound_bytes;

		snprintf(path, sizeof path, "%.3000s/%s", m.dir, x.v[i]);
		sound_bytes = bytes_of(path, &n);
		for (size_t at = 0; at < n; at += STEP) {
			if (!clean)
				sim_put(r.disk, "data/clean", NULL, 0);
			sound_bytes[at] ^= 1 << at % 8;
			sim_put(r.disk, path, sound_bytes, n);
			sound_bytes[at] ^= 1 << at % 8;
			whole_after("flip", x.v[i], at);
		}
		for (size_t at = 0; at < n; at += 3 * STEP) {
			if (!clean)
				sim_put(r.disk, "data/clean", NULL, 0);
			sim_put(r.disk, path, sound_bytes, at);
			whole_after("cut", x.v[i], at);
		}
		sim_put(r.disk, path, NULL, 0);
		whole_after("loss", x.v[i], n);
		free(sound_bytes);
	}
	end();
}
END_TEST

/* ---- files that are not where they belong ------------------------------ */

/* The partition is offline, or what it serves is right. */
static void
nothing_wrong(const char *what)
{
	bool lost[BATCHES];
	struct topic *t;
	enum err e;

	ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
	t = topic_find(&r.eng.topics, kstr_of("t"));
	ck_assert_ptr_nonnull(t);
	/* The first that asks finds it out, then the log is looked at. */
	(void)fetch(0, 1000, &e);
	rig_settle(&r, 2000);
	if (t->parts[0]->state != PART_OFFLINE) {
		ck_assert_msg(t->parts[0]->hw == BATCHES * RECORDS, "%s: the "
		    "log's end is %lld", what, (long long)t->parts[0]->hw);
		(void)read_all(1 * MIB, lost);
	}
	/* The rest serves. */
	rig_append(&r, rig_topic(&r, "other", 1)->parts[0], 10);
	rig_kill(&r);
	again();
}

START_TEST(test_files)
{
	bool clean = _i == 0;

	write_log();
	for (int i = 0; i < m.nsegs; i++)
		for (int k = 0; k <= m.nsegs; k++) {
			if (!clean)
				sim_put(r.disk, "data/clean", NULL, 0);
			/* Missing, another's, or an older one of its own. */
			if (i == k)
				sim_put(r.disk, file(m.base[i], ".log"), NULL,
				    0);
			else if (k < m.nsegs)
				sim_put(r.disk, file(m.base[i], ".log"),
				    m.bytes[k], m.size[k]);
			else
				sim_put(r.disk, file(m.base[i], ".log"),
				    m.bytes[i], (size_t)m.batch[i == 0 ? 3 :
				    BATCHES - 3].pos);
			if (i == m.nsegs - 1 && k == i && !clean)
				again();	/* found by its index alone */
			else
				nothing_wrong("a segment");
		}
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("trust");
	TCase *tc = tcase_create("trust");
	SRunner *sr = srunner_create(s);
	int n;

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_segments);
	tcase_add_test(tc, test_pieces);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_rot);
	tcase_add_test(tc, test_unreadable);
	tcase_add_loop_test(tc, test_indexes, 0, 2);
	tcase_add_loop_test(tc, test_files, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
