/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message of Kafka, of the engine's socket and of the catalogue: there
 * and back in every version, truncated, attacked as published, and large but
 * honest.
 */
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "gen.h"
#include "lib/ipc.h"
#include "lib/kafka.h"
#include "lib/limits.h"
#include "lib/rows_struct.h"
#include "schema_test.def"
#include "lib/rows_table.h"
#include "schema_test.def"
#include "catalogue/meta.h"
#include "trial.h"

#define NELEM(a)	(sizeof(a) / sizeof *(a))
#define MSG(n)		(&kafka_msgs[KM_##n])
#define S(s)		{ sizeof(s) - 1, s }

static struct any outs[2];

static const struct msg odd_msg = {
	"odd", odd_rows, sizeof(struct odd), -1, 0, 3, 2
};

/* All there are, one after the other; odd_msg where a table has a gap. */
enum { EACH_MAX = KM_MAX + IM_MAX + MT_MAX };

static const struct msg *
each(int i)
{
	const struct msg *m;

	if (i < KM_MAX)
		m = &kafka_msgs[i];
	else if (i < KM_MAX + IM_MAX)
		m = &ipc_msgs[i - KM_MAX];
	else
		m = &meta_msgs[i - KM_MAX - IM_MAX];
	return m->name == NULL ? &odd_msg : m;
}

enum { ROUNDS = 8, CUTS = 48 };

/* Every truncation of a short encoding, and some of a long one. */
static void
truncate_all(const struct msg *m, int v, const uint8_t *p, size_t n,
    struct gen *g)
{
	enum err e;

	for (size_t i = 0; i < n && (n <= CUTS || i < CUTS); i++) {
		size_t cut = n <= CUTS ? i : gen_below(g, (uint32_t)n);

		e = trial_result(m, v, p, cut);
		ck_assert_msg(e == E_PROTO || e == E_NOMEM,
		    "%s v%d: %zu of %zu bytes: %s", m->name, v, cut, n,
		    err_name(e));
	}
}

static void
there_and_back(const struct msg *m, int v, uint64_t seed)
{
	struct wr w = wr_grow(64 * MIB), w2 = wr_grow(64 * MIB);
	struct arena a;
	struct gen g = { .a = &a, .state = seed, .elems = 300 };
	struct trial t;
	enum err e;

	g.small = gen_below(&g, 2) == 0;
	g.dirty = gen_below(&g, 3) == 0;
	arena_init(&a, 64 * MIB);
	gen_msg(&g, m, v, &outs[0]);
	e = msg_write(m, v, &w, &outs[0]);
	ck_assert_msg(e == E_OK, "%s v%d seed %d: write: %s", m->name, v,
	    (int)seed, err_name(e));
	e = trial(&t, m, v, w.p, w.len, &outs[1]);
	ck_assert_msg(e == E_OK && t.left == 0,
	    "%s v%d seed %d: read: %s, %zu left", m->name, v, (int)seed,
	    err_name(e), t.left);
	ck_assert_msg(gen_same(m, v, &outs[0], &outs[1]),
	    "%s v%d seed %d: another struct", m->name, v, (int)seed);
	ck_assert_int_eq(msg_write(m, v, &w2, &outs[1]), E_OK);
	ck_assert_msg(w.len == w2.len &&
	    (w.len == 0 || memcmp(w.p, w2.p, w.len) == 0),
	    "%s v%d seed %d: other bytes", m->name, v, (int)seed);
	trial_end(&t);
	truncate_all(m, v, w.p, w.len, &g);
	wr_free(&w);
	wr_free(&w2);
	arena_reset(&a);
}

START_TEST(test_round_trips)
{
	const struct msg *m = each(_i);

	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		for (int v = m->min; v <= m->max; v++)
			there_and_back(m, v, seed << 8 | (unsigned)v);
		there_and_back(m, VER_ALL, seed << 8 | VER_ALL);
	}
}
END_TEST

/* VER_ALL keeps what the version it was read in had, and writes it back. */
START_TEST(test_all_carries)
{
	const struct msg *m = each(_i);
	struct wr w, w2, w3;
	struct trial t, t2;
	struct arena a;
	struct gen g = { .a = &a, .state = 1 };

	for (int v = m->min; v <= m->max; v++) {
		arena_init(&a, 64 * MIB);
		w = wr_grow(64 * MIB);
		w2 = wr_grow(64 * MIB);
		w3 = wr_grow(64 * MIB);
		g.elems = 100;
		gen_msg(&g, m, v, &outs[0]);
		ck_assert_int_eq(msg_write(m, v, &w, &outs[0]), E_OK);
		ck_assert_int_eq(trial(&t, m, v, w.p, w.len, &outs[0]), E_OK);
		ck_assert_int_eq(msg_write(m, VER_ALL, &w2, &outs[0]), E_OK);
		ck_assert_int_eq(trial(&t2, m, VER_ALL, w2.p, w2.len,
		    &outs[1]), E_OK);
		ck_assert_uint_eq(t2.left, 0);
		ck_assert(gen_same(m, VER_ALL, &outs[0], &outs[1]));
		ck_assert_int_eq(msg_write(m, v, &w3, &outs[1]), E_OK);
		ck_assert_uint_eq(w.len, w3.len);
		if (w.len > 0)
			ck_assert_mem_eq(w.p, w3.p, w.len);
		trial_end(&t);
		trial_end(&t2);
		wr_free(&w);
		wr_free(&w2);
		wr_free(&w3);
		arena_reset(&a);
	}
}
END_TEST

/*
 * What the interpreter takes for granted of the rows.
 */
static size_t
wire_min(const struct field *f, int v, bool flex)
{
	static const size_t fixed[K_NTYPES] = {
		[K_BOOL] = 1, [K_I8] = 1, [K_I16] = 2, [K_U16] = 2,
		[K_I32] = 4, [K_U32] = 4, [K_I64] = 8, [K_F64] = 8,
		[K_UUID] = 16, [K_SUBP] = 1,
	};
	bool all = v == VER_ALL;
	size_t n = flex && !all;

	for (; f->type != K_END; f++)
		if (!all && (f->tag != 0 || v < f->since || v > f->until))
			continue;
		else if (f->type == K_SUB)
			n += wire_min(f->sub(), v, flex);
		else if (fixed[f->type] != 0)
			n += fixed[f->type];
		else
			n += flex ? 1 : f->type == K_STR ? 2 : 4;
	return n;
}

static void
check_rows(const struct msg *m, const struct field *rows, int v)
{
	bool all = v == VER_ALL, flex = all || v >= m->flex;
	int tag = 0;

	for (const struct field *f = rows; f->type != K_END; f++) {
		ck_assert_msg(f->type > K_END && f->type < K_NTYPES &&
		    f->since <= f->until && (f->null == 0 || !f->null_def ||
		    f->null - 1 <= f->since) && (f->null != 0 || !f->null_def),
		    "%s: %s", m->name, f->name);
		/* Written in the rows' order, so that must be the tags'. */
		ck_assert_msg(f->tag == 0 || (f->tag > tag &&
		    f->since >= m->flex), "%s: %s", m->name, f->name);
		if (f->tag != 0)
			tag = f->tag;
		if (!all && (v < f->since || v > f->until))
			continue;
		if (f->sub != NULL)
			check_rows(m, f->sub(), v);
		if (f->type != K_ARR)
			continue;
		/* No element without a byte: a count would be free. */
		ck_assert_msg(wire_min(f->sub(), v, flex) > 0,
		    "%s v%d: elements of %s take no byte", m->name, v,
		    f->name);
		/* The bound that limits.h counts on. */
		ck_assert_msg(f->subsize <= 22 * wire_min(f->sub(), v, flex),
		    "%s v%d: elements of %s grow from %zu to %zu bytes",
		    m->name, v, f->name, wire_min(f->sub(), v, flex),
		    f->subsize);
	}
}

START_TEST(test_rows_sane)
{
	const struct msg *m = each(_i);

	ck_assert_uint_le(m->size, sizeof outs[0]);
	for (int v = m->min; v <= m->max; v++)
		check_rows(m, m->fields(), v);
	check_rows(m, m->fields(), VER_ALL);
}
END_TEST

/* What an error tells others is enough to know it again. */
START_TEST(test_errors)
{
	const char *text = err_text((enum err)_i);
	int16_t code = err_code((enum err)_i);

	ck_assert_int_eq(err_of_reply(code, text, (int32_t)strlen(text)), _i);
	ck_assert_int_eq(err_of_reply(code, "", 0), err_of_code(code));
	ck_assert_int_eq(err_of_reply(code, NULL, -1), err_of_code(code));
}
END_TEST

/*
 * Replays of published attacks, and the memory rule.
 */

/* CVE-2026-111115: 20 million tagged fields of two bytes in a header. */
START_TEST(test_attack_tags)
{
	const uint32_t n = 20 * 1000 * 1000;
	struct wr w = wr_grow(FRAME_MAX);
	struct request_header h;
	struct arena a;
	struct rd r;
	uint8_t *p;

	wr_bytes(&w, "\0\x12\0\3\0\0\0\1\xff\xff", 10);
	wr_uvarint(&w, n);
	p = wr_room(&w, 2 * (size_t)n);
	ck_assert_ptr_nonnull(p);
	memset(p, 0, 2 * (size_t)n);
	arena_init(&a, trial_allowance(0));
	r = rd_of(w.p, w.len);
	ck_assert_int_eq(msg_read(MSG(request_header), 2, &r, &a, &h),
	    E_PROTO);
	ck_assert_uint_eq(a.used, 0);

	/* Well-formed ones cost a walk over them and no memory either. */
	w.len = 10;
	wr_uvarint(&w, n / 10);
	for (uint32_t i = 0; i < n / 10; i++) {
		wr_uvarint(&w, i);
		wr_uvarint(&w, 0);
	}
	ck_assert(!w.bad);
	r = rd_of(w.p, w.len);
	ck_assert_int_eq(msg_read(MSG(request_header), 2, &r, &a, &h), E_OK);
	ck_assert(rd_done(&r));
	ck_assert_uint_eq(a.used, 0);
	wr_free(&w);
}
END_TEST

/* CVE-2026-111108: a count that the frame cannot hold is never believed,
 * whatever the array, in any version. */
static void
attack_counts(const struct msg *m, int v, uint64_t seed)
{
	static const uint8_t counts[][5] = {
		{ 0x7f, 0xff, 0xff, 0xff }, { 0xff, 0xff, 0xff, 0xff, 0x0f },
		{ 0xff, 0xff, 0xff, 0x7f }, { 0x00, 0x01, 0x00, 0x00 },
		{ 0x80, 0x80, 0x04 }, { 0xff, 0xff, 0xff, 0xfe },
	};
	struct wr w = wr_grow(MIB);
	struct arena a;
	struct gen g = {
		.a = &a, .state = seed, .elems = 8, .small = true,
	};
	struct trial t;
	const uint8_t *c;
	uint8_t *p;
	enum err e;

	arena_init(&a, MIB);
	gen_msg(&g, m, v, &outs[0]);
	ck_assert_int_eq(msg_write(m, v, &w, &outs[0]), E_OK);
	/* Put each count at each place; only memory safety and the memory
	 * rule are judged here, both by trial(). */
	for (size_t i = 0; i < w.len; i++)
		for (size_t k = 0; k < NELEM(counts); k++) {
			if ((p = malloc(w.len)) == NULL)
				abort();
			memcpy(p, w.p, w.len);
			c = counts[k];
			memcpy(p + i, c, w.len - i < 5 ? w.len - i : 5);
			e = trial(&t, m, v, p, w.len, &outs[1]);
			ck_assert(e == E_OK || e == E_PROTO || e == E_NOMEM);
			trial_end(&t);
			free(p);
		}
	wr_free(&w);
	arena_reset(&a);
}

START_TEST(test_attack_counts)
{
	const struct msg *m = each(_i);

	for (int v = m->min; v <= m->max; v++)
		attack_counts(m, v, (uint64_t)v);
	attack_counts(m, VER_ALL, 77);
}
END_TEST

/* The exact bound: as many elements as there are bytes for, and one more. */
START_TEST(test_count_bound)
{
	uint8_t b[4 + 64 * 10] = { 0 };
	struct trial t;

	/* CreateTopics v0: 2 + 4 + 2 + 4 + 4 bytes at least, here 10 times */
	b[3] = 10;
	ck_assert_int_eq(trial(&t, MSG(create_topics_req), 0, b,
	    4 + 10 * 16 + 4, &outs[0]), E_OK);
	ck_assert_uint_eq(t.left, 0);
	trial_end(&t);
	b[3] = 11;
	ck_assert_int_eq(trial(&t, MSG(create_topics_req), 0, b,
	    4 + 10 * 16 + 15, &outs[0]), E_PROTO);
	ck_assert_uint_eq(t.a.used, 0);		/* not even tried */
	trial_end(&t);
	/* Metadata v9: a name and its tags take two; its own tags are last. */
	memset(b, 0, sizeof b);
	b[0] = 52;
	ck_assert_int_eq(trial(&t, MSG(metadata_req), 9, b, 102, &outs[0]),
	    E_PROTO);
	ck_assert_uint_eq(t.a.used, 0);
	trial_end(&t);
	for (int i = 0; i < 51; i++)
		b[1 + 2 * i] = 1;		/* an empty name */
	ck_assert_int_eq(trial(&t, MSG(metadata_req), 9, b, 1 + 102 + 4,
	    &outs[0]), E_OK);
	trial_end(&t);
	/* DescribeGroups v5: a string takes one. */
	memset(b, 1, sizeof b);
	b[0] = 101;
	ck_assert_int_eq(trial(&t, MSG(describe_groups_req), 5, b, 100,
	    &outs[0]), E_PROTO);
	ck_assert_uint_eq(t.a.used, 0);
	trial_end(&t);
	/* The engine's own socket is no better. */
	b[0] = 101;
	ck_assert_int_eq(trial(&t, MSG(describe_groups_req), VER_ALL, b, 100,
	    &outs[0]), E_PROTO);
	ck_assert_uint_eq(t.a.used, 0);
	trial_end(&t);
}
END_TEST

/* Past the arena's limit it is E_NOMEM, and the peer's bytes are intact. */
START_TEST(test_arena_limit)
{
	uint8_t b[4 + 2 * 1000] = { 0, 0, 1000 / 256, 1000 % 256 };
	struct metadata_req q;
	struct arena a;
	struct rd r;

	arena_init(&a, 1000 * sizeof(struct metadata_req_topic) - 1);
	r = rd_of(b, sizeof b);
	ck_assert_int_eq(msg_read(MSG(metadata_req), 1, &r, &a, &q), E_NOMEM);
	arena_reset(&a);
	arena_init(&a, 1000 * sizeof(struct metadata_req_topic));
	r = rd_of(b, sizeof b);
	ck_assert_int_eq(msg_read(MSG(metadata_req), 1, &r, &a, &q), E_OK);
	ck_assert_int_eq(q.topics.n, 1000);
	arena_reset(&a);
}
END_TEST

/* Large honest messages with short names fit the memory rule. */
static void
honest(const struct msg *m, int v, const void *in)
{
	struct wr w = wr_grow(FRAME_MAX);
	struct trial t;
	enum err e;

	ck_assert_int_eq(msg_write(m, v, &w, in), E_OK);
	e = trial(&t, m, v, w.p, w.len, &outs[0]);
	ck_assert_msg(e == E_OK, "%s v%d of %zu bytes: %s", m->name, v, w.len,
	    err_name(e));
	ck_assert(gen_same(m, v, in, &outs[0]));
	trial_end(&t);
	wr_free(&w);
}

enum { MANY = 50000 };

START_TEST(test_honest_metadata)
{
	static struct metadata_req_topic topics[MANY];
	struct metadata_req q;

	msg_init(MSG(metadata_req), &q);
	q.topics.n = MANY;
	q.topics.v = topics;
	for (int i = 0; i < MANY; i++)
		topics[i].name = (struct kstr)S("t1");
	for (int v = 0; v <= 13; v++)
		honest(MSG(metadata_req), v, &q);
	honest(MSG(metadata_req), VER_ALL, &q);
}
END_TEST

/* One partition a topic, one replica a partition. */
START_TEST(test_honest_partitions)
{
	static struct describe_topic_partitions_res_topic_part dp[MANY];
	static struct fetch_req_topic_part fp[MANY];
	static struct fetch_req_topic ft[MANY];
	static struct offset_fetch_req_group_topic ot[MANY];
	static int32_t one = 1;
	struct describe_topic_partitions_res_topic dt = { .name = S("t1") };
	struct describe_topic_partitions_res d = { .topics = { 1, &dt } };
	struct fetch_req f;
	struct offset_fetch_req_group og = { .group_id = S("g") };
	struct offset_fetch_req o = { .groups = { 1, &og } };

	for (int i = 0; i < MANY; i++) {
		fields_init(MSG(describe_topic_partitions_res)->fields()[1]
		    .sub()[4].sub(), &dp[i]);
		dp[i].replica_nodes.n = dp[i].isr_nodes.n = 1;
		dp[i].replica_nodes.v = dp[i].isr_nodes.v = &one;
		fp[i].high_watermark = INT64_MAX;
		ft[i].topic = (struct kstr)S("t1");
		ft[i].partitions.n = 1;
		ft[i].partitions.v = &fp[i];
		ot[i].name = (struct kstr)S("t1");
		ot[i].partition_indexes.n = 1;
		ot[i].partition_indexes.v = &one;
	}
	dt.partitions.n = MANY;
	dt.partitions.v = dp;
	honest(MSG(describe_topic_partitions_res), 0, &d);
	honest(MSG(describe_topic_partitions_res), VER_ALL, &d);
	msg_init(MSG(fetch_req), &f);
	f.topics.n = MANY;
	f.topics.v = ft;
	for (int v = 0; v <= 17; v++)
		honest(MSG(fetch_req), v, &f);
	honest(MSG(fetch_req), VER_ALL, &f);
	og.topics.n = MANY;
	og.topics.v = ot;
	for (int v = 8; v <= 10; v++)
		honest(MSG(offset_fetch_req), v, &o);
	honest(MSG(offset_fetch_req), VER_ALL, &o);
}
END_TEST

/* Whatever can be decoded can be printed, on one printable line. */
START_TEST(test_print_all)
{
	const struct msg *m = each(_i);
	struct wr w = wr_grow(64 * MIB);
	struct arena a;
	struct gen g = { .a = &a, .state = 3, .elems = 100 };

	arena_init(&a, 64 * MIB);
	gen_msg(&g, m, VER_ALL, &outs[0]);
	msg_print(m, &w, &outs[0]);
	ck_assert(!w.bad);
	for (size_t i = 0; i < w.len; i++)
		ck_assert(w.p[i] >= ' ' && w.p[i] <= '~');
	wr_free(&w);
	arena_reset(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("messages");
	TCase *tc = tcase_create("messages");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_attack_tags);
	tcase_add_loop_test(tc, test_errors, 0, E_MAX);
	tcase_add_test(tc, test_count_bound);
	tcase_add_test(tc, test_arena_limit);
	tcase_add_test(tc, test_honest_metadata);
	tcase_add_test(tc, test_honest_partitions);
	tcase_add_loop_test(tc, test_rows_sane, 0, EACH_MAX);
	tcase_add_loop_test(tc, test_round_trips, 0, EACH_MAX);
	tcase_add_loop_test(tc, test_all_carries, 0, EACH_MAX);
	tcase_add_loop_test(tc, test_attack_counts, 0, EACH_MAX);
	tcase_add_loop_test(tc, test_print_all, 0, EACH_MAX);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
