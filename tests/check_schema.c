/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter of rows: golden bytes written by hand from Kafka's schemas,
 * every message in every version there and back, truncations, and replays of
 * the published attacks on such readers.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "lib/kafka.h"
#include "lib/limits.h"

#include "lib/rows_struct.h"
#include "schema_test.def"
#include "lib/rows_table.h"
#include "schema_test.def"

#define NELEM(a)	(sizeof(a) / sizeof *(a))
#define MSG(n)		(&kafka_msgs[KM_##n])
#define S(s)		{ sizeof(s) - 1, s }
#define B(s)		{ sizeof(s) - 1, (const uint8_t *)(s) }
#define NULLSTR		{ -1, NULL }

/* ck_assert talks to its parent each time; these run millions of times. */
#define QUICK(x)	((x) ? (void)0 : ck_abort_msg("%s", #x))

/* Big enough for any message. */
static struct { max_align_t x[64]; } outs[3];

static const struct msg odd_msg = {
	"odd", odd_rows, sizeof(struct odd), -1, 0, 3, 2
};

/* The memory rule: what a frame of n bytes may decode to. */
static size_t
allowance(size_t n)
{
	return (size_t)ARENA_PER_BYTE * n + ARENA_BASE;
}

/* One decoding: of a copy that ends where its heap block ends. */
struct trial {
	struct arena	 a;
	uint8_t		*copy;
	size_t		 left;
};

static enum err
trial(struct trial *t, const struct msg *m, int v, const void *p, size_t n,
    void *out)
{
	struct rd r;
	enum err e;

	QUICK(m->size <= sizeof outs[0]);
	t->copy = malloc(n + (n == 0));
	QUICK(t->copy != NULL);
	if (n > 0)
		memcpy(t->copy, p, n);
	arena_init(&t->a, allowance(n));
	r = rd_of(t->copy, n);
	e = msg_read(m, v, &r, &t->a, out);
	QUICK(t->a.used <= allowance(n));
	t->left = rd_left(&r);
	return e;
}

static void
trial_end(struct trial *t)
{
	arena_reset(&t->a);
	free(t->copy);
}

/* Decodes and forgets; one that succeeds leaves nothing over. */
static enum err
decode(const struct msg *m, int v, const void *p, size_t n)
{
	struct trial t;
	enum err e = trial(&t, m, v, p, n, &outs[2]);

	if (e == E_OK)
		QUICK(t.left == 0);
	trial_end(&t);
	return e;
}

/* "00 01 'abc'" to bytes: hex digits and quoted text. */
static size_t
unhex(const char *s, uint8_t *to)
{
	uint8_t *p = to;
	unsigned x;

	while (*s != '\0')
		if (*s == ' ') {
			s++;
		} else if (*s == '\'') {
			for (s++; *s != '\''; s++)
				*p++ = (uint8_t)*s;
			s++;
		} else {
			ck_assert_int_eq(sscanf(s, "%2x", &x), 1);
			*p++ = (uint8_t)x;
			s += 2;
		}
	return (size_t)(p - to);
}

/* The struct and the bytes stand for each other in version v. */
static void
golden(const struct msg *m, int v, const void *in, const char *hex)
{
	uint8_t want[1024], got[1024];
	size_t n = unhex(hex, want);
	struct wr w = wr_fixed(got, sizeof got);
	struct trial t;

	ck_assert_int_eq(msg_write(m, v, &w, in), E_OK);
	for (size_t i = 0; i < n && i < w.len; i++)
		ck_assert_msg(want[i] == got[i], "%s v%d: byte %zu is %02x, "
		    "not %02x", m->name, v, i, got[i], want[i]);
	ck_assert_msg(w.len == n, "%s v%d: %zu bytes, not %zu", m->name, v,
	    w.len, n);
	ck_assert_int_eq(trial(&t, m, v, want, n, &outs[0]), E_OK);
	ck_assert_uint_eq(t.left, 0);
	ck_assert_msg(gen_same(m, v, in, &outs[0]), "%s v%d", m->name, v);
	trial_end(&t);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(decode(m, v, want, i), E_PROTO);
}

static enum err
decode_hex(const struct msg *m, int v, const char *hex)
{
	uint8_t b[1024];

	return decode(m, v, b, unhex(hex, b));
}

START_TEST(test_headers)
{
	struct request_header q = {
		.request_api_key = 3, .request_api_version = 12,
		.correlation_id = 42, .client_id = S("cli"),
	};
	struct response_header s = { .correlation_id = -2 };

	golden(MSG(request_header), 0, &q, "0003 000c 0000002a");
	golden(MSG(request_header), 1, &q, "0003 000c 0000002a 0003 'cli'");
	/* The client id stays in its old form in the flexible header. */
	golden(MSG(request_header), 2, &q,
	    "0003 000c 0000002a 0003 'cli' 00");
	q.client_id = (struct kstr)NULLSTR;
	golden(MSG(request_header), 1, &q, "0003 000c 0000002a ffff");
	golden(MSG(request_header), 2, &q, "0003 000c 0000002a ffff 00");
	golden(MSG(request_header), VER_ALL, &q, "0003 000c 0000002a 00");
	golden(MSG(response_header), 0, &s, "fffffffe");
	golden(MSG(response_header), 1, &s, "fffffffe 00");
}
END_TEST

START_TEST(test_api_versions)
{
	struct api_versions_req q = {
		.client_software_name = S("kafka-c"),
		.client_software_version = S("1.0"),
	};
	struct api_versions_res_api_key keys[] = {
		{ .api_key = 18, .max_version = 4 },
		{ .api_key = 3, .min_version = 1, .max_version = 13 },
	};
	struct api_versions_res s = {
		.error_code = 35, .throttle_time_ms = 258,
		.api_keys = { 2, keys }, .finalized_features_epoch = -1,
	};
	struct api_versions_res_supported_feature sf = { S("kv"), 0, 2 };
	struct api_versions_res_finalized_feature ff = { S("kv"), 2, 1 };

	for (int v = 0; v <= 2; v++)
		golden(MSG(api_versions_req), v, &q, "");
	golden(MSG(api_versions_req), 3, &q, "08 'kafka-c' 04 '1.0' 00");
	golden(MSG(api_versions_req), 4, &q, "08 'kafka-c' 04 '1.0' 00");

	golden(MSG(api_versions_res), 0, &s, "0023 00000002"
	    "0012 0000 0004  0003 0001 000d");
	for (int v = 1; v <= 2; v++)
		golden(MSG(api_versions_res), v, &s, "0023 00000002"
		    "0012 0000 0004  0003 0001 000d  00000102");
	golden(MSG(api_versions_res), 3, &s, "0023 03"
	    "0012 0000 0004 00  0003 0001 000d 00  00000102 00");
	s.supported_features.n = s.finalized_features.n = 1;
	s.supported_features.v = &sf;
	s.finalized_features.v = &ff;
	s.finalized_features_epoch = 5;
	s.zk_migration_ready = true;
	golden(MSG(api_versions_res), 4, &s, "0023 03"
	    "0012 0000 0004 00  0003 0001 000d 00  00000102 04"
	    "00 09 02 03 'kv' 0000 0002 00"
	    "01 08 0000000000000005"
	    "02 09 02 03 'kv' 0002 0001 00"
	    "03 01 01");
}
END_TEST

START_TEST(test_metadata)
{
	struct metadata_req_topic t = { .name = S("abc") };
	struct metadata_req q = {
		.topics = { 1, &t }, .allow_auto_topic_creation = true,
		.include_topic_authorized_operations = true,
	};

	golden(MSG(metadata_req), 0, &q, "00000001 0003 'abc'");
	golden(MSG(metadata_req), 1, &q, "00000001 0003 'abc'");
	golden(MSG(metadata_req), 9, &q, "02 04 'abc' 00 01 00 01 00");
	golden(MSG(metadata_req), VER_ALL, &q,
	    "02 00000000000000000000000000000000 04 'abc' 01 00 01");
	t.name = (struct kstr)NULLSTR;
	memcpy(t.topic_id.b, "0123456789abcdef", 16);
	golden(MSG(metadata_req), 12, &q,
	    "02 '0123456789abcdef' 00 00 01 01 00");
	q.topics.n = -1;
	golden(MSG(metadata_req), 1, &q, "ffffffff");
	golden(MSG(metadata_req), 9, &q, "00 01 00 01 00");
	q.topics.n = 0;
	golden(MSG(metadata_req), 1, &q, "00000000");
	golden(MSG(metadata_req), 12, &q, "01 01 01 00");
}
END_TEST

START_TEST(test_produce)
{
	struct produce_req_topic_part p = { .records = B("abc") };
	struct produce_req_topic t = {
		.name = S("t"), .partition_data = { 1, &p },
	};
	struct produce_req q = {
		.transactional_id = NULLSTR, .acks = -1, .timeout_ms = 1500,
		.topic_data = { 1, &t },
	};

	golden(MSG(produce_req), 0, &q, "ffff 000005dc 00000001"
	    "0001 't' 00000001 00000000 00000003 'abc'");
	golden(MSG(produce_req), 3, &q, "ffff ffff 000005dc 00000001"
	    "0001 't' 00000001 00000000 00000003 'abc'");
	golden(MSG(produce_req), 9, &q, "00 ffff 000005dc 02"
	    "02 't' 02 00000000 04 'abc' 00 00 00");
	memcpy(t.topic_id.b, "0123456789abcdef", 16);
	golden(MSG(produce_req), 13, &q, "00 ffff 000005dc 02"
	    "'0123456789abcdef' 02 00000000 04 'abc' 00 00 00");
	p.records = (struct kbytes)NULLSTR;
	q.transactional_id = (struct kstr)S("tx");
	golden(MSG(produce_req), 3, &q, "0002 'tx' ffff 000005dc 00000001"
	    "0001 't' 00000001 00000000 ffffffff");
	golden(MSG(produce_req), 9, &q, "03 'tx' ffff 000005dc 02"
	    "02 't' 02 00000000 00 00 00 00");
}
END_TEST

START_TEST(test_fetch)
{
	struct fetch_req_topic_part p = {
		.partition = 2, .current_leader_epoch = 4, .fetch_offset = 7,
		.last_fetched_epoch = -1, .log_start_offset = -1,
		.partition_max_bytes = 65536, .high_watermark = INT64_MAX,
	};
	struct fetch_req_topic t = { .topic = S("t"), .partitions = { 1, &p } };
	int32_t gone[] = { 5, 6 };
	struct fetch_req_forgotten_topics_data f = {
		.topic = S("u"), .partitions = { 2, gone },
	};
	struct fetch_req q = {
		.cluster_id = NULLSTR, .replica_id = -1,
		.replica_state = { -1, -1 }, .max_wait_ms = 500,
		.min_bytes = 1, .max_bytes = 1 << 20, .isolation_level = 1,
		.session_epoch = -1, .topics = { 1, &t },
		.forgotten_topics_data = { 1, &f }, .rack_id = S("r"),
	};

	golden(MSG(fetch_req), 4, &q, "ffffffff 000001f4 00000001 00100000 01"
	    "00000001 0001 't'  00000001 00000002 0000000000000007 00010000");
	golden(MSG(fetch_req), 12, &q, "ffffffff 000001f4 00000001 00100000 01"
	    "00000000 ffffffff  02 02 't' 02 00000002 00000004"
	    "0000000000000007 ffffffff ffffffffffffffff 00010000 00 00"
	    "02 02 'u' 03 00000005 00000006 00  02 'r' 00");
	q.cluster_id = (struct kstr)S("kraft");
	golden(MSG(fetch_req), 12, &q, "ffffffff 000001f4 00000001 00100000 01"
	    "00000000 ffffffff  02 02 't' 02 00000002 00000004"
	    "0000000000000007 ffffffff ffffffffffffffff 00010000 00 00"
	    "02 02 'u' 03 00000005 00000006 00  02 'r'"
	    "01 00 06 06 'kraft'");
	q.replica_state.replica_id = 3;
	memcpy(t.topic_id.b, "0123456789abcdef", 16);
	memcpy(f.topic_id.b, "0123456789ABCDEF", 16);
	memcpy(p.replica_directory_id.b, "directory of it.", 16);
	golden(MSG(fetch_req), 17, &q, "000001f4 00000001 00100000 01"
	    "00000000 ffffffff  02 '0123456789abcdef' 02 00000002 00000004"
	    "0000000000000007 ffffffff ffffffffffffffff 00010000"
	    "01 00 10 'directory of it.' 00"
	    "02 '0123456789ABCDEF' 03 00000005 00000006 00  02 'r'"
	    "02 00 06 06 'kraft' 01 0d 00000003 ffffffffffffffff 00");
	p.high_watermark = 9;
	golden(MSG(fetch_req), 18, &q, "000001f4 00000001 00100000 01"
	    "00000000 ffffffff  02 '0123456789abcdef' 02 00000002 00000004"
	    "0000000000000007 ffffffff ffffffffffffffff 00010000"
	    "02 00 10 'directory of it.' 01 08 0000000000000009 00"
	    "02 '0123456789ABCDEF' 03 00000005 00000006 00  02 'r'"
	    "02 00 06 06 'kraft' 01 0d 00000003 ffffffffffffffff 00");
}
END_TEST

START_TEST(test_fetch_res)
{
	struct fetch_res_topic_part_aborted_transaction ab = { 8, 9 };
	struct fetch_res_topic_part p = {
		.partition_index = 1, .error_code = 74, .high_watermark = 10,
		.last_stable_offset = 9, .log_start_offset = 0,
		.diverging_epoch = { -1, -1 }, .current_leader = { -1, -1 },
		.snapshot_id = { -1, -1 }, .aborted_transactions = { 1, &ab },
		.preferred_read_replica = -1, .records = B("batch"),
	};
	struct fetch_res_topic t = { .topic = S("t"), .partitions = { 1, &p } };
	struct fetch_res s = { .session_id = 6, .responses = { 1, &t } };

	golden(MSG(fetch_res), 4, &s, "00000000 00000001 0001 't' 00000001"
	    "00000001 004a 000000000000000a 0000000000000009"
	    "00000001 0000000000000008 0000000000000009 00000005 'batch'");
	p.aborted_transactions.n = -1;
	golden(MSG(fetch_res), 4, &s, "00000000 00000001 0001 't' 00000001"
	    "00000001 004a 000000000000000a 0000000000000009"
	    "ffffffff 00000005 'batch'");
	p.diverging_epoch.epoch = 3;
	p.diverging_epoch.end_offset = 5;
	p.current_leader.leader_id = 2;
	golden(MSG(fetch_res), 12, &s, "00000000 0000 00000006 02 02 't' 02"
	    "00000001 004a 000000000000000a 0000000000000009"
	    "0000000000000000 00 ffffffff 06 'batch'"
	    "02 00 0d 00000003 0000000000000005 00"
	    "01 09 00000002 ffffffff 00  00 00");
}
END_TEST

START_TEST(test_groups)
{
	struct join_group_req_protocol pr = { S("range"), B("\0\1") };
	struct join_group_req j = {
		.group_id = S("g"), .session_timeout_ms = 10000,
		.rebalance_timeout_ms = 60000, .member_id = S(""),
		.group_instance_id = NULLSTR, .protocol_type = S("consumer"),
		.protocols = { 1, &pr }, .reason = NULLSTR,
	};
	int32_t parts[] = { 0, 1 };
	struct consumer_group_heartbeat_res_topic_partitions tp = {
		.partitions = { 2, parts },
	};
	struct consumer_group_heartbeat_res_assignment as = { { 1, &tp } };
	struct consumer_group_heartbeat_res h = {
		.error_message = NULLSTR, .member_id = S("m"),
		.member_epoch = 1, .heartbeat_interval_ms = 5000,
		.assignment = &as,
	};

	golden(MSG(join_group_req), 0, &j, "0001 'g' 00002710 0000"
	    "0008 'consumer' 00000001 0005 'range' 00000002 0001");
	golden(MSG(join_group_req), 5, &j, "0001 'g' 00002710 0000ea60 0000"
	    "ffff 0008 'consumer' 00000001 0005 'range' 00000002 0001");
	golden(MSG(join_group_req), 8, &j, "02 'g' 00002710 0000ea60 01"
	    "00 09 'consumer' 02 06 'range' 03 0001 00 00 00");
	memcpy(tp.topic_id.b, "0123456789abcdef", 16);
	golden(MSG(consumer_group_heartbeat_res), 1, &h,
	    "00000000 0000 00 02 'm' 00000001 00001388 01"
	    "02 '0123456789abcdef' 03 00000000 00000001 00 00 00");
	h.assignment = NULL;
	golden(MSG(consumer_group_heartbeat_res), 0, &h,
	    "00000000 0000 00 02 'm' 00000001 00001388 ff 00");
}
END_TEST

START_TEST(test_other_types)
{
	struct alter_client_quotas_req_entry_op op = {
		.key = S("rate"), .value = 1.5, .remove = true,
	};
	struct alter_client_quotas_req_entry e = { .ops = { 1, &op } };
	struct alter_client_quotas_req q = { .entries = { 1, &e } };
	struct describe_quorum_res_node_listener l = {
		S("L"), S("h"), 65535
	};
	struct describe_quorum_res_node n = { 1, { 1, &l } };
	struct describe_quorum_res d = {
		.error_message = NULLSTR, .nodes = { 1, &n },
	};
	struct sasl_authenticate_req a = { B("\0u\0p") };

	golden(MSG(alter_client_quotas_req), 0, &q, "00000001 00000000"
	    "00000001 0004 'rate' 3ff8000000000000 01 00");
	golden(MSG(alter_client_quotas_req), 1, &q, "02 01"
	    "02 05 'rate' 3ff8000000000000 01 00 00 00 00");
	golden(MSG(describe_quorum_res), 2, &d, "0000 00 01 02 00000001"
	    "02 02 'L' 02 'h' ffff 00 00 00");
	golden(MSG(sasl_authenticate_req), 0, &a, "00000004 00 'u' 00 'p'");
	golden(MSG(sasl_authenticate_req), 2, &a, "05 00 'u' 00 'p' 00");
}
END_TEST

static struct odd
odd(void)
{
	struct odd o;

	msg_init(&odd_msg, &o);
	o.subp = calloc(1, sizeof *o.subp);
	ck_assert_ptr_nonnull(o.subp);
	fields_init(odd_leaf_rows(), o.subp);
	return o;
}

START_TEST(test_defaults)
{
	struct odd o;

	memset(&o, 0xee, sizeof o);
	msg_init(&odd_msg, &o);
	ck_assert_int_eq(o.t0, 7);
	ck_assert_double_eq(o.t201, 1);
	ck_assert_int_eq(o.t1.len, -1);
	ck_assert_int_eq(o.t2.len, 0);
	ck_assert_ptr_null(o.subp);
	ck_assert_int_eq(o.sub.c, 9);
	ck_assert_int_eq(o.t200.c, 9);
	ck_assert(uuid_zero(o.id));
	ck_assert_int_eq(o.leaves.n, 0);
	ck_assert_ptr_null(o.leaves.v);
}
END_TEST

/* Tagged fields of every kind: absent at their default, and only then. */
START_TEST(test_tagged)
{
	static const char head[] = "00 00 0000 00000000 0000000000000000"
	    "00000000000000000000000000000000 0000 01 00000000 01 00"
	    "01 00000000 01 00 01 01";
	struct odd_leaf leaf = { 1, NULLSTR, 9 };
	struct odd o = odd();
	char hex[512];

	snprintf(hex, sizeof hex, "%s 01 01 01 01 00", head);
	o.i64s.n = 0;
	golden(&odd_msg, 2, &o, hex);
	snprintf(hex, sizeof hex, "%s 01 01 01 00", head);
	golden(&odd_msg, 3, &o, hex);

	o.t0 = -1;			/* not 7 */
	o.t1 = (struct kstr)S("");	/* not null */
	o.t2 = (struct kstr)NULLSTR;	/* not "" */
	o.t3.n = 1;
	o.t3.v = &leaf;
	o.t4 = &leaf;
	o.t200.b = (struct kstr)S("x");
	o.t201 = 0;
	snprintf(hex, sizeof hex, "%s 01 01 01 01 05"
	    "00 08 ffffffffffffffff 01 01 01 02 01 00"
	    "03 07 02 00000001 00 00 04 07 01 00000001 00 00", head);
	golden(&odd_msg, 2, &o, hex);
	leaf.c = 8;			/* tagged within tagged */
	snprintf(hex, sizeof hex, "%s 01 01 01 07"
	    "00 08 ffffffffffffffff 01 01 01 02 01 00"
	    "03 0b 02 00000001 00 01 05 02 0008"
	    "04 0b 01 00000001 00 01 05 02 0008"
	    "c801 07 00000000 02 'x' 00 c901 08 0000000000000000", head);
	golden(&odd_msg, 3, &o, hex);
	free(o.subp);
}
END_TEST

/* A tagged field of more than 127 bytes has a longer size before it. */
START_TEST(test_tagged_long)
{
	static char text[40000];
	static uint8_t buf[50000];
	struct odd o = odd();
	struct trial t;
	struct wr w;

	memset(text, 'x', sizeof text);
	for (int32_t n = 1; n <= INT16_MAX; n += n < 200 ? 1 : 1601) {
		o.t1 = (struct kstr){ n, text };
		w = wr_fixed(buf, sizeof buf);
		ck_assert_int_eq(msg_write(&odd_msg, 2, &w, &o), E_OK);
		ck_assert_int_eq(trial(&t, &odd_msg, 2, buf, w.len,
		    &outs[0]), E_OK);
		ck_assert_uint_eq(t.left, 0);
		ck_assert(gen_same(&odd_msg, 2, &o, &outs[0]));
		trial_end(&t);
		w = wr_fixed(buf, w.len - 1);
		ck_assert_int_eq(msg_write(&odd_msg, 2, &w, &o), E_NOMEM);
	}
	free(o.subp);
}
END_TEST

START_TEST(test_unknown_tags)
{
	/* ApiVersions v3 with tags that nobody knows, of sizes 0 and 3. */
	ck_assert_int_eq(decode_hex(MSG(api_versions_req), 3,
	    "02 'a' 02 'b' 03  00 00  05 03 'xyz'  ffffffff0f 00"), E_OK);
	/* A known tag in a version before it: skipped like a stranger. */
	ck_assert_int_eq(decode_hex(MSG(fetch_req), 16,
	    "00000000 00000000 00000000 00 00000000 00000000"
	    "02 '0123456789abcdef' 02 00000000 00000000 0000000000000000"
	    "00000000 0000000000000000 00000000 01 00 01 ff 00 01 01 00"),
	    E_OK);
}
END_TEST

START_TEST(test_bad_tags)
{
	static const char *const bad[] = {
		"02 'a' 02 'b' 02 05 00 05 00",		/* twice */
		"02 'a' 02 'b' 02 05 00 04 00",		/* descending */
		"02 'a' 02 'b' 02 05 00",		/* fewer than said */
		"02 'a' 02 'b' 01 05 02 'x'",		/* past the end */
		"02 'a' 02 'b' 01 05 ffffffff0f 'x'",
		"02 'a' 02 'b' ffffffff0f 05 00",
		"02 'a' 02 'b' 80808080808080808001 05 00",
		"02 'a' 02 'b' 01 80808080808080808001 00",
	};
	static const char *const bad_res[] = {
		"02 03 01 00  03 01 00",		/* a known one, twice */
		"01 01 09 0000000000000001 00",		/* longer than it is */
		"01 01 07 0000000000000001",		/* shorter */
		"01 00 02 01 00",			/* an array, and more */
		"01 00 01 7f",				/* not all of it */
		"01 00 01 00",				/* null */
	};

	char hex[256];

	for (size_t i = 0; i < NELEM(bad); i++)
		ck_assert_int_eq(decode_hex(MSG(api_versions_req), 3, bad[i]),
		    E_PROTO);
	for (size_t i = 0; i < NELEM(bad_res); i++) {
		snprintf(hex, sizeof hex, "0000 01 00000000 %s", bad_res[i]);
		ck_assert_int_eq(decode_hex(MSG(api_versions_res), 3, hex),
		    E_PROTO);
	}
	ck_assert_int_eq(decode_hex(MSG(api_versions_res), 3,
	    "0000 01 00000000 01 03 01 00"), E_OK);
}
END_TEST

/* Lengths that no honest writer sends. */
START_TEST(test_bad_lengths)
{
	static const struct { enum kmsg m; int v; const char *hex; } bad[] = {
		/* strings: null where none may be, -2, too long, 10 bytes */
		{ KM_heartbeat_req, 0, "ffff 00000000 0000" },
		{ KM_heartbeat_req, 0, "fffe 00000000 0000" },
		{ KM_heartbeat_req, 0, "7fff 00000000 0000" },
		{ KM_heartbeat_req, 3, "0000 00000000 0000 fffe" },
		{ KM_heartbeat_req, 4, "00 00000000 01 00 00" },
		{ KM_heartbeat_req, 4, "ffffffff0f 00000000 01 00 00" },
		{ KM_heartbeat_req, 4, "80808080808080808001 00000000 01 00" },
		{ KM_request_header, 1, "0003 000c 0000002a fffe" },
		{ KM_request_header, 2, "0003 000c 0000002a 8000 00" },
		/* bytes and records */
		{ KM_sasl_authenticate_req, 0, "ffffffff" },
		{ KM_sasl_authenticate_req, 0, "fffffffe" },
		{ KM_sasl_authenticate_req, 0, "80000000" },
		{ KM_sasl_authenticate_req, 0, "7fffffff 00" },
		{ KM_sasl_authenticate_req, 2, "00 00" },
		{ KM_sasl_authenticate_req, 2, "ffffffff0f 00" },
		{ KM_produce_req, 3, "ffff ffff 00000000 00000001 0001 't'"
		    "00000001 00000000 fffffffe" },
		/* arrays */
		{ KM_metadata_req, 0, "ffffffff" },
		{ KM_metadata_req, 1, "fffffffe" },
		{ KM_metadata_req, 1, "80000000" },
		{ KM_metadata_req, 1, "7fffffff 0000" },
		{ KM_metadata_req, 1, "00000002 0000 00" },
		{ KM_metadata_req, 9, "ffffffff0f 01 00 01 00" },
		{ KM_metadata_req, 9, "80808080808080808001 01 00 01 00" },
		{ KM_describe_groups_req, 5, "00 00 00" },
		{ KM_describe_groups_req, 5, "02 00 00 00" },
		{ KM_describe_groups_req, 0, "00000002 0000 ffff" },
	};

	for (size_t i = 0; i < NELEM(bad); i++)
		ck_assert_msg(decode_hex(&kafka_msgs[bad[i].m], bad[i].v,
		    bad[i].hex) == E_PROTO, "%s v%d: %s",
		    kafka_msgs[bad[i].m].name, bad[i].v, bad[i].hex);
}
END_TEST

START_TEST(test_bad_values)
{
	static char text[INT16_MAX + 1];
	static uint8_t buf[2 * sizeof text];
	struct heartbeat_req h = {
		.group_id = S("g"), .member_id = NULLSTR,
		.group_instance_id = NULLSTR,
	};
	struct metadata_req q = { .topics = { -1, NULL } };
	struct odd o;
	struct wr w;

	for (int v = 0; v <= 4; v++) {
		w = wr_fixed(buf, sizeof buf);
		ck_assert_int_eq(msg_write(MSG(heartbeat_req), v, &w, &h),
		    E_PROTO);
	}
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(heartbeat_req), VER_ALL, &w, &h),
	    E_OK);
	h.member_id = (struct kstr){ INT16_MAX + 1, text };
	for (int v = 0; v <= 4; v++) {
		w = wr_fixed(buf, sizeof buf);
		ck_assert_int_eq(msg_write(MSG(heartbeat_req), v, &w, &h),
		    E_PROTO);
	}
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(heartbeat_req), VER_ALL, &w, &h),
	    E_OK);
	ck_assert_int_eq(decode(MSG(heartbeat_req), VER_ALL, buf, w.len),
	    E_OK);
	/* The same length in compact form: Kafka reads no such string. */
	ck_assert_int_eq(decode(MSG(heartbeat_req), 4, buf, w.len), E_PROTO);

	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(metadata_req), 0, &w, &q), E_PROTO);
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(metadata_req), 1, &w, &q), E_OK);

	msg_init(&odd_msg, &o);		/* subp may be null from 1 on */
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(&odd_msg, 0, &w, &o), E_PROTO);
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(&odd_msg, 1, &w, &o), E_OK);
	w = wr_fixed(buf, 5);
	ck_assert_int_eq(msg_write(&odd_msg, 1, &w, &o), E_NOMEM);
}
END_TEST

/*
 * Every message in every version.
 */
enum { ROUNDS = 8, CUTS = 48 };

/* Every truncation of a short encoding, and some of a long one. */
static void
truncate_all(const struct msg *m, int v, const uint8_t *p, size_t n,
    struct gen *g)
{
	enum err e;

	for (size_t i = 0; i < n && (n <= CUTS || i < CUTS); i++) {
		size_t cut = n <= CUTS ? i : gen_below(g, (uint32_t)n);

		e = decode(m, v, p, cut);
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
	struct gen g = {
		.a = &a, .state = seed, .elems = 300,
		.small = seed % 3 == 0, .dirty = seed % 4 == 0,
	};
	struct trial t;
	enum err e;

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
	const struct msg *m = &kafka_msgs[_i];

	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		for (int v = m->min; v <= m->max; v++)
			there_and_back(m, v, seed << 8 | (unsigned)v);
		there_and_back(m, VER_ALL, seed);
	}
}
END_TEST

START_TEST(test_round_trips_odd)
{
	for (uint64_t seed = 0; seed < 20 * ROUNDS; seed++) {
		for (int v = 0; v <= 3; v++)
			there_and_back(&odd_msg, v, seed << 8 | (unsigned)v);
		there_and_back(&odd_msg, VER_ALL, seed);
	}
}
END_TEST

/* VER_ALL keeps what the version it was read in had, and writes it back. */
START_TEST(test_all_carries)
{
	const struct msg *m = &kafka_msgs[_i];
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

START_TEST(test_trailing_bytes)
{
	static const uint8_t b[] = "\0\0\0\0\1\1abc";
	struct arena a;
	struct rd r = rd_of(b, 9);
	struct response_header h;

	arena_init(&a, 0);
	ck_assert_int_eq(msg_read(MSG(response_header), 1, &r, &a, &h),
	    E_PROTO);			/* one tag, of number 1, of 'a' bytes */
	r = rd_of(b, 9);
	ck_assert_int_eq(msg_read(MSG(response_header), 0, &r, &a, &h), E_OK);
	ck_assert_ptr_eq(r.p, b + 4);	/* the body starts there */
	ck_assert_uint_eq(rd_left(&r), 5);
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
	const struct msg *m = &kafka_msgs[_i];

	ck_assert_uint_le(m->size, sizeof outs[0]);
	for (int v = m->min; v <= m->max; v++)
		check_rows(m, m->fields(), v);
	check_rows(m, m->fields(), VER_ALL);
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
	arena_init(&a, allowance(0));
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
	const uint8_t *c;
	uint8_t *p;

	arena_init(&a, MIB);
	gen_msg(&g, m, v, &outs[0]);
	ck_assert_int_eq(msg_write(m, v, &w, &outs[0]), E_OK);
	/* Put each count at each place; only memory safety and the memory
	 * rule are judged here, both by trial(). */
	for (size_t i = 0; i < w.len; i++)
		for (size_t k = 0; k < NELEM(counts); k++) {
			struct trial t;

			if ((p = malloc(w.len)) == NULL)
				abort();
			memcpy(p, w.p, w.len);
			c = counts[k];
			memcpy(p + i, c, w.len - i < 5 ? w.len - i : 5);
			(void)trial(&t, m, v, p, w.len, &outs[2]);
			trial_end(&t);
			free(p);
		}
	wr_free(&w);
	arena_reset(&a);
}

START_TEST(test_attack_counts)
{
	const struct msg *m = &kafka_msgs[_i];

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
	/* Describe groups v5: a string takes a byte */
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

static void
printed(const struct msg *m, const void *in, const char *want)
{
	char s[1024];
	struct wr w = wr_fixed(s, sizeof s - 1);

	msg_print(m, &w, in);
	ck_assert(!w.bad);
	s[w.len] = '\0';
	ck_assert_str_eq(s, want);
}

START_TEST(test_print)
{
	struct heartbeat_req h = {
		.group_id = S("a\"b\\c\n\x1b[31m\xc3\xa9"),
		.generation_id = -1, .member_id = S(""),
		.group_instance_id = NULLSTR,
	};
	struct list_groups_req l = { 0 };
	struct odd o;
	uint8_t small[20];
	struct wr w;
	int8_t i8s[] = { -128, 127 };
	struct uuid id = { "0123456789abcde" };

	printed(MSG(heartbeat_req), &h, "heartbeat_req{group_id="
	    "\"a\\\"b\\\\c\\x0a\\x1b[31m\\xc3\\xa9\" generation_id=-1 "
	    "member_id=\"\" group_instance_id=null}");
	printed(MSG(list_groups_req), &l,
	    "list_groups_req{states_filter=[] types_filter=[]}");
	msg_init(&odd_msg, &o);
	o.flag = true;
	o.u16 = UINT16_MAX;
	o.u32 = UINT32_MAX;
	o.f64 = 0.5;
	o.id = id;
	o.bytes = (struct kbytes)B("\0\1\2");
	o.i8s.n = 2;
	o.i8s.v = i8s;
	o.ids.n = 1;
	o.ids.v = &id;
	o.t0 = INT64_MIN;
	printed(&odd_msg, &o, "odd{flag=true i8=0 u16=65535 u32=4294967295 "
	    "f64=0.5 id=30313233343536373839616263646500 plain=\"\" "
	    "bytes=bytes(3) sub={a=0 b=\"\" c=9} subp=null i8s=[-128 127] "
	    "i32s=[] i64s=[] strs=[] ids=[30313233343536373839616263646500] "
	    "leaves=[] t0=-9223372036854775808 t1=null t2=\"\" t3=[] t4=null "
	    "t200={a=0 b=\"\" c=9} t201=1}");
	w = wr_fixed(small, sizeof small);	/* full: no harm */
	msg_print(&odd_msg, &w, &o);
	ck_assert(w.bad);
	ck_assert_uint_le(w.len, sizeof small);
}
END_TEST

/* Whatever can be decoded can be printed, on one printable line. */
START_TEST(test_print_all)
{
	const struct msg *m = &kafka_msgs[_i];
	struct wr w = wr_grow(64 * MIB);
	struct arena a;
	struct gen g = { .a = &a, .state = 3, .elems = 100 };

	arena_init(&a, 64 * MIB);
	gen_msg(&g, m, VER_ALL, &outs[0]);
	msg_print(m, &w, &outs[0]);
	ck_assert(!w.bad);
	for (size_t i = 0; i < w.len; i++)
		QUICK(w.p[i] >= ' ' && w.p[i] <= '~');
	wr_free(&w);
	arena_reset(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("schema");
	TCase *one = tcase_create("one"), *each = tcase_create("each");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(one, 0);
	tcase_add_test(one, test_headers);
	tcase_add_test(one, test_api_versions);
	tcase_add_test(one, test_metadata);
	tcase_add_test(one, test_produce);
	tcase_add_test(one, test_fetch);
	tcase_add_test(one, test_fetch_res);
	tcase_add_test(one, test_groups);
	tcase_add_test(one, test_other_types);
	tcase_add_test(one, test_defaults);
	tcase_add_test(one, test_tagged);
	tcase_add_test(one, test_tagged_long);
	tcase_add_test(one, test_unknown_tags);
	tcase_add_test(one, test_bad_tags);
	tcase_add_test(one, test_bad_lengths);
	tcase_add_test(one, test_bad_values);
	tcase_add_test(one, test_round_trips_odd);
	tcase_add_test(one, test_trailing_bytes);
	tcase_add_test(one, test_attack_tags);
	tcase_add_test(one, test_count_bound);
	tcase_add_test(one, test_arena_limit);
	tcase_add_test(one, test_honest_metadata);
	tcase_add_test(one, test_honest_partitions);
	tcase_add_test(one, test_print);
	tcase_set_timeout(each, 0);
	tcase_add_loop_test(each, test_rows_sane, 0, KM_MAX);
	tcase_add_loop_test(each, test_round_trips, 0, KM_MAX);
	tcase_add_loop_test(each, test_all_carries, 0, KM_MAX);
	tcase_add_loop_test(each, test_attack_counts, 0, KM_MAX);
	tcase_add_loop_test(each, test_print_all, 0, KM_MAX);
	suite_add_tcase(s, one);
	suite_add_tcase(s, each);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
