/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter of rows: golden bytes written by hand from Kafka's schemas,
 * tagged fields, and lengths and values that must be refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "gen.h"
#include "lib/kafka.h"

#include "lib/rows_struct.h"
#include "schema_test.def"
#include "lib/rows_table.h"
#include "schema_test.def"
#include "trial.h"

#define NELEM(a)	(sizeof(a) / sizeof *(a))
#define MSG(n)		(&kafka_msgs[KM_##n])
#define S(s)		{ sizeof(s) - 1, s }
#define B(s)		{ sizeof(s) - 1, (const uint8_t *)(s) }
#define NULLSTR		{ -1, NULL }

static struct any out;

static const struct msg odd_msg = {
	"odd", odd_rows, sizeof(struct odd), -1, 0, 3, 2
};

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
	ck_assert_int_eq(trial(&t, m, v, want, n, &out), E_OK);
	ck_assert_uint_eq(t.left, 0);
	ck_assert_msg(gen_same(m, v, in, &out), "%s v%d", m->name, v);
	trial_end(&t);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(trial_result(m, v, want, i), E_PROTO);
}

static enum err
decode_hex(const struct msg *m, int v, const char *hex)
{
	uint8_t b[1024];

	return trial_result(m, v, b, unhex(hex, b));
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
	memset(&p.replica_directory_id, 0, sizeof p.replica_directory_id);
	golden(MSG(fetch_req), 17, &q, "000001f4 00000001 00100000 01"
	    "00000000 ffffffff  02 '0123456789abcdef' 02 00000002 00000004"
	    "0000000000000007 ffffffff ffffffffffffffff 00010000 00 00"
	    "02 '0123456789ABCDEF' 03 00000005 00000006 00  02 'r'"
	    "02 00 06 06 'kraft' 01 0d 00000003 ffffffffffffffff 00");
	memcpy(p.replica_directory_id.b, "directory of it.", 16);
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
	struct sasl_handshake_req sh = { S("PLAIN") };

	golden(MSG(alter_client_quotas_req), 0, &q, "00000001 00000000"
	    "00000001 0004 'rate' 3ff8000000000000 01 00");
	golden(MSG(alter_client_quotas_req), 1, &q, "02 01"
	    "02 05 'rate' 3ff8000000000000 01 00 00 00 00");
	golden(MSG(describe_quorum_res), 2, &d, "0000 00 01 02 00000001"
	    "02 02 'L' 02 'h' ffff 00 00 00");
	golden(MSG(sasl_authenticate_req), 0, &a, "00000004 00 'u' 00 'p'");
	golden(MSG(sasl_authenticate_req), 2, &a, "05 00 'u' 00 'p' 00");
	/* A message that is never flexible but on the engine's socket. */
	golden(MSG(sasl_handshake_req), 1, &sh, "0005 'PLAIN'");
	golden(MSG(sasl_handshake_req), VER_ALL, &sh, "06 'PLAIN'");
}
END_TEST

/* Any byte but 0 is true, and is 1 in memory and when written again. */
START_TEST(test_bool)
{
	struct metadata_req q;
	struct trial t;
	uint8_t b[8];
	struct wr w = wr_fixed(b, sizeof b);

	ck_assert_int_eq(trial(&t, MSG(metadata_req), 4, "\0\0\0\0\2", 5,
	    &out), E_OK);
	memcpy(&q, &out, sizeof q);
	ck_assert(q.allow_auto_topic_creation);
	ck_assert_int_eq(msg_write(MSG(metadata_req), 4, &w, &q), E_OK);
	ck_assert_mem_eq(b, "\0\0\0\0\1", 5);
	trial_end(&t);
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
		    &out), E_OK);
		ck_assert_uint_eq(t.left, 0);
		ck_assert(gen_same(&odd_msg, 2, &o, &out));
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
	struct kstr null = NULLSTR;
	struct describe_groups_req dg = { .groups = { 1, &null } };
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
	ck_assert_int_eq(trial_result(MSG(heartbeat_req), VER_ALL, buf,
	    w.len), E_OK);
	/* Kafka reads no such string, though compact lengths could say it. */
	wr_i8(&w, 0);			/* tags */
	ck_assert_int_eq(trial_result(MSG(heartbeat_req), 4, buf, w.len),
	    E_PROTO);
	h.member_id.len--;
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(heartbeat_req), 4, &w, &h), E_OK);
	ck_assert_int_eq(trial_result(MSG(heartbeat_req), 4, buf, w.len),
	    E_OK);

	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(metadata_req), 0, &w, &q), E_PROTO);
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(metadata_req), 1, &w, &q), E_OK);

	for (int v = 0; v <= 6; v++) {	/* null in an array of strings */
		w = wr_fixed(buf, sizeof buf);
		ck_assert_int_eq(msg_write(MSG(describe_groups_req), v, &w,
		    &dg), E_PROTO);
	}
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(MSG(describe_groups_req), VER_ALL, &w,
	    &dg), E_OK);
	ck_assert_int_eq(trial_result(MSG(describe_groups_req), VER_ALL, buf,
	    w.len), E_OK);

	msg_init(&odd_msg, &o);		/* subp may be null from 1 on */
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(&odd_msg, 0, &w, &o), E_PROTO);
	w = wr_fixed(buf, sizeof buf);
	ck_assert_int_eq(msg_write(&odd_msg, 1, &w, &o), E_OK);
	w = wr_fixed(buf, 5);
	ck_assert_int_eq(msg_write(&odd_msg, 1, &w, &o), E_NOMEM);
}
END_TEST

/* Records that go out another way: counted in the lengths, not written. */
START_TEST(test_holes)
{
	struct produce_req_topic_part p[2] = {
		{ .records = { 5, NULL } }, { .index = 1, .records = B("ab") },
	};
	struct produce_req_topic t = {
		.name = S("t"), .partition_data = { 2, p },
	};
	struct produce_req q = {
		.transactional_id = NULLSTR, .topic_data = { 1, &t },
	};
	uint8_t want[64], got[64];
	size_t n = unhex("00 0000 00000000 02 02 't' 03 00000000 06 00"
	    "00000001 03 'ab' 00 00 00", want), holes[1];
	struct wr w = wr_fixed(got, sizeof got);

	w.hole = holes;
	w.hole_max = 1;
	ck_assert_int_eq(msg_write(MSG(produce_req), 9, &w, &q), E_OK);
	ck_assert_uint_eq(w.len, n);
	ck_assert_mem_eq(got, want, n);
	ck_assert_int_eq(w.nhole, 1);
	ck_assert_uint_eq(holes[0], n - 11);
	/* One more than there are places for, or none asked for. */
	p[1].records.p = NULL;
	w.len = 0;
	w.nhole = 0;
	ck_assert_int_eq(msg_write(MSG(produce_req), 9, &w, &q), E_PROTO);
	w = wr_fixed(got, sizeof got);
	ck_assert_int_eq(msg_write(MSG(produce_req), 9, &w, &q), E_PROTO);
	/* A string is never a hole. */
	p[1].records.len = p[0].records.len = 0;
	t.name.p = NULL;
	w = wr_fixed(got, sizeof got);
	w.hole = holes;
	w.hole_max = 1;
	ck_assert_int_eq(msg_write(MSG(produce_req), 9, &w, &q), E_PROTO);
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

int
main(void)
{
	Suite *s = suite_create("schema");
	TCase *tc = tcase_create("schema");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_headers);
	tcase_add_test(tc, test_api_versions);
	tcase_add_test(tc, test_metadata);
	tcase_add_test(tc, test_produce);
	tcase_add_test(tc, test_fetch);
	tcase_add_test(tc, test_fetch_res);
	tcase_add_test(tc, test_groups);
	tcase_add_test(tc, test_other_types);
	tcase_add_test(tc, test_bool);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_tagged);
	tcase_add_test(tc, test_tagged_long);
	tcase_add_test(tc, test_unknown_tags);
	tcase_add_test(tc, test_bad_tags);
	tcase_add_test(tc, test_bad_lengths);
	tcase_add_test(tc, test_bad_values);
	tcase_add_test(tc, test_holes);
	tcase_add_test(tc, test_trailing_bytes);
	tcase_add_test(tc, test_print);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
