/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver on librdkafka: create, produce, verify, load, follow and delete,
 * as tests/clients/suite.sh describes.  Its consumer has a group.id, because
 * the library wants one for assign(), but never joins or commits.
 */
#include "records.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

enum { TOPICS_MAX = 64, PARTS_MAX = 16, WAIT_MS = 60000, IDLE_S = 120 };

static struct {
	int argc;
	char **argv;
	const char *command;
	int parts;
	long count;
	long from;
	int exact;
	struct records records;
	int ntopics;
	char *codecs[TOPICS_MAX];
	char *topics[TOPICS_MAX];
} o;

/* What the delivery reports say. */
static struct {
	const char *topic;
	long sent;
	long acked;
	FILE *progress;
} sending;

/* What one topic's reader has ticked off. */
struct reader {
	const char *topic;
	const char *total;	/* file with the end, or NULL */
	long from;
	long end;		/* -1 until it is known */
	long seen_count;
	unsigned char *seen;
	time_t idle_since;
};

static void fail(const char *, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

static void
fail(const char *fmt, ...)
{
	va_list ap;

	printf("librdkafka %s: ", o.command);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static const char *
opt(const char *name, const char *def)
{
	size_t n = strlen(name);

	for (int i = 2; i < o.argc; i++)
		if (strncmp(o.argv[i], name, n) == 0 && o.argv[i][n] == '=')
			return o.argv[i] + n + 1;
	if (def == NULL)
		fail("option %s= is missing", name);
	return def;
}

static long
number(const char *name, const char *def)
{
	return strtol(opt(name, def), NULL, 10);
}

static void
options(int argc, char **argv)
{
	char *codecs, *codec;

	o.argc = argc;
	o.argv = argv;
	o.command = argc > 1 ? argv[1] : "";
	o.parts = (int)number("parts", "3");
	o.count = number("count", "10000");
	o.from = number("from", "0");
	o.exact = strcmp(opt("mode", "exact"), "exact") == 0;
	o.records.seed = (uint32_t)number("seed", "1");
	o.records.t0 = strtoll(opt("t0", "0"), NULL, 10);
	o.records.null_headers = strstr(opt("lacks", ""), "nullhdr") == NULL;
	o.records.binary_headers = strstr(opt("lacks", ""), "binhdr") == NULL;
	o.records.null_both = strstr(opt("lacks", ""), "nullboth") == NULL;
	if (o.parts < 1 || o.parts > PARTS_MAX)
		fail("parts=%d is out of range", o.parts);
	codecs = strdup(opt("codecs", NULL));
	for (codec = strtok(codecs, ","); codec != NULL && o.ntopics <
	    TOPICS_MAX; codec = strtok(NULL, ",")) {
		char *topic;

		if (asprintf(&topic, "%s-%s", opt("topic", NULL), codec) < 0)
			fail("out of memory");
		o.codecs[o.ntopics] = codec;
		o.topics[o.ntopics++] = topic;
	}
}

/* How many of the records 0..i-1 went to partition p. */
static int64_t
before(long i, int p)
{
	return i <= p ? 0 : (i - p + o.parts - 1) / o.parts;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *v)
{
	char err[256];

	if (rd_kafka_conf_set(conf, name, v, err, sizeof(err)) !=
	    RD_KAFKA_CONF_OK)
		fail("%s", err);
}

static rd_kafka_conf_t *
common(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set(conf, "bootstrap.servers", opt("bootstrap", NULL));
	set(conf, "log_level", "2");
	return conf;
}

static rd_kafka_t *
client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char err[256];
	rd_kafka_t *rk = rd_kafka_new(type, conf, err, sizeof(err));

	if (rk == NULL)
		fail("%s", err);
	return rk;
}

static int
listed(rd_kafka_t *rk, const char *topic)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	int found = 0;

	err = rd_kafka_metadata(rk, 1, NULL, &md, WAIT_MS);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("metadata: %s", rd_kafka_err2str(err));
	for (int i = 0; i < md->topic_cnt; i++) {
		if (strcmp(md->topics[i].topic, topic) != 0)
			continue;
		if (md->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR)
			found = md->topics[i].partition_cnt;
	}
	rd_kafka_metadata_destroy(md);
	return found;
}

static void
check_results(const rd_kafka_topic_result_t **res, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_topic_result_error(res[i]) !=
		    RD_KAFKA_RESP_ERR_NO_ERROR)
			fail("%s: %s", rd_kafka_topic_result_name(res[i]),
			    rd_kafka_topic_result_error_string(res[i]));
	if (n != (size_t)o.ntopics)
		fail("%zu answers for %d topics", n, o.ntopics);
}

static rd_kafka_event_t *
answer(rd_kafka_queue_t *q)
{
	rd_kafka_event_t *ev = rd_kafka_queue_poll(q, WAIT_MS);

	if (ev == NULL)
		fail("no answer");
	if (rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s", rd_kafka_event_error_string(ev));
	return ev;
}

static void
create(void)
{
	rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, common());
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_NewTopic_t *nt[TOPICS_MAX];
	rd_kafka_event_t *ev;
	const rd_kafka_topic_result_t **res;
	size_t n;

	for (int i = 0; i < o.ntopics; i++)
		nt[i] = rd_kafka_NewTopic_new(o.topics[i], o.parts, 1, NULL,
		    0);
	rd_kafka_CreateTopics(rk, nt, (size_t)o.ntopics, NULL, q);
	ev = answer(q);
	res = rd_kafka_CreateTopics_result_topics(
	    rd_kafka_event_CreateTopics_result(ev), &n);
	check_results(res, n);
	rd_kafka_event_destroy(ev);
	for (int i = 0; i < o.ntopics; i++)
		if (listed(rk, o.topics[i]) != o.parts)
			fail("%s is not listed with %d partitions",
			    o.topics[i], o.parts);
	rd_kafka_NewTopic_destroy_array(nt, (size_t)o.ntopics);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
}

static void
delete(void)
{
	rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, common());
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_DeleteTopic_t *dt[TOPICS_MAX];
	rd_kafka_event_t *ev;
	const rd_kafka_topic_result_t **res;
	size_t n;

	for (int i = 0; i < o.ntopics; i++)
		dt[i] = rd_kafka_DeleteTopic_new(o.topics[i]);
	rd_kafka_DeleteTopics(rk, dt, (size_t)o.ntopics, NULL, q);
	ev = answer(q);
	res = rd_kafka_DeleteTopics_result_topics(
	    rd_kafka_event_DeleteTopics_result(ev), &n);
	check_results(res, n);
	rd_kafka_event_destroy(ev);
	for (int i = 0; i < o.ntopics; i++)
		if (listed(rk, o.topics[i]) != 0)
			fail("%s is still listed", o.topics[i]);
	rd_kafka_DeleteTopic_destroy_array(dt, (size_t)o.ntopics);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
}

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	long i = (long)(intptr_t)m->_private;

	(void)rk;
	(void)arg;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s record %ld: %s", sending.topic, i,
		    rd_kafka_err2str(m->err));
	/* A batch that was stored by an earlier try is acked without offset. */
	if (o.exact && m->offset >= 0 &&
	    m->offset != before(i, (int)(i % o.parts)))
		fail("%s record %ld acked at offset %lld, not %lld",
		    sending.topic, i, (long long)m->offset,
		    (long long)before(i, (int)(i % o.parts)));
	sending.acked++;
	if (sending.progress != NULL && sending.acked % 500 == 0) {
		fprintf(sending.progress, "%ld\n", sending.acked);
		fflush(sending.progress);
	}
}

static void
send_one(rd_kafka_t *rk, const char *topic, long i)
{
	static struct record r;
	rd_kafka_headers_t *headers;
	rd_kafka_resp_err_t err;

	records_get(&o.records, (uint32_t)i, &r);
	for (;;) {
		headers = rd_kafka_headers_new(RECORD_HEADERS_MAX);
		for (int j = 0; j < r.nheaders; j++)
			rd_kafka_header_add(headers, r.names[j], -1,
			    r.headers[j].p, (ssize_t)r.headers[j].len);
		err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
		    RD_KAFKA_V_PARTITION((int32_t)(i % o.parts)),
		    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		    RD_KAFKA_V_TIMESTAMP(r.timestamp),
		    RD_KAFKA_V_KEY(r.key.p, r.key.len),
		    RD_KAFKA_V_VALUE((void *)(uintptr_t)r.value.p,
		    r.value.len), RD_KAFKA_V_HEADERS(headers),
		    RD_KAFKA_V_OPAQUE((void *)(intptr_t)i), RD_KAFKA_V_END);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			return;
		rd_kafka_headers_destroy(headers);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			fail("%s record %ld: %s", topic, i,
			    rd_kafka_err2str(err));
		rd_kafka_poll(rk, 100);
	}
}

/* Sends all records, or until the file exists; returns how many. */
static long
send_all(const char *topic, const char *codec, const char *until)
{
	rd_kafka_conf_t *conf = common();
	const struct timespec pace = { 0, 25000000 };
	rd_kafka_t *rk;
	long i;

	set(conf, "compression.codec", codec);
	set(conf, "enable.idempotence", "true");
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rk = client(RD_KAFKA_PRODUCER, conf);
	sending.topic = topic;
	sending.acked = 0;
	for (i = 0; i < o.count; i++) {
		if (until != NULL && i % 100 == 0) {
			if (access(until, F_OK) == 0)
				break;
			nanosleep(&pace, NULL);
		}
		send_one(rk, topic, i);
		rd_kafka_poll(rk, 0);
	}
	if (rd_kafka_flush(rk, WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%s: %ld of %ld records were acked in time", topic,
		    sending.acked, i);
	if (sending.acked != i)
		fail("%s: %ld acks for %ld records", topic, sending.acked, i);
	rd_kafka_destroy(rk);
	return i;
}

static void
produce(void)
{
	for (int i = 0; i < o.ntopics; i++)
		send_all(o.topics[i], o.codecs[i], NULL);
}

static void
load(void)
{
	const char *total = opt("total", NULL);
	char *tmp;
	FILE *f;
	long n;

	sending.progress = fopen(opt("progress", NULL), "a");
	if (sending.progress == NULL)
		fail("progress file: %s", strerror(errno));
	n = send_all(o.topics[0], o.codecs[0], opt("until", NULL));
	fclose(sending.progress);
	if (asprintf(&tmp, "%s.tmp", total) < 0 ||
	    (f = fopen(tmp, "w")) == NULL || fprintf(f, "%ld\n", n) < 0 ||
	    fclose(f) != 0 || rename(tmp, total) != 0)
		fail("cannot write %s: %s", total, strerror(errno));
	free(tmp);
}

static void
check_field(const char *at, const char *what, const void *p, size_t len,
    const struct field *want)
{
	if ((p == NULL) != (want->p == NULL) || len != want->len ||
	    (len > 0 && memcmp(p, want->p, len) != 0))
		fail("%s: %s is %s of %zu bytes, not %s of %zu", at, what,
		    p == NULL ? "null" : "a string", len,
		    want->p == NULL ? "null" : "another", want->len);
}

static void
check_headers(const char *at, const rd_kafka_message_t *m,
    const struct record *want)
{
	rd_kafka_headers_t *h;
	int n = 0;

	if (rd_kafka_message_headers(m, &h) == RD_KAFKA_RESP_ERR_NO_ERROR)
		n = (int)rd_kafka_header_cnt(h);
	if (n != want->nheaders)
		fail("%s: %d headers, not %d", at, n, want->nheaders);
	for (int j = 0; j < n; j++) {
		const char *name;
		const void *p;
		size_t len;

		rd_kafka_header_get_all(h, (size_t)j, &name, &p, &len);
		if (strcmp(name, want->names[j]) != 0)
			fail("%s: header %s, not %s", at, name,
			    want->names[j]);
		check_field(at, name, p, len, &want->headers[j]);
	}
}

static void
reader_open(struct reader *rd, const char *topic, long from,
    const char *total)
{
	rd->topic = topic;
	rd->total = total;
	rd->from = from;
	rd->end = total == NULL ? o.count : -1;
	rd->seen_count = 0;
	rd->seen = calloc((size_t)o.count, 1);
	rd->idle_since = time(NULL);
	if (rd->seen == NULL)
		fail("out of memory");
}

static void
reader_add(struct reader *rd, const rd_kafka_message_t *m)
{
	static struct record want;
	rd_kafka_timestamp_type_t type;
	int64_t ts = rd_kafka_message_timestamp(m, &type);
	long i = (long)((ts - o.records.t0) / 3);
	char at[512];

	snprintf(at, sizeof(at), "%s/%d/%lld record %ld", rd->topic,
	    m->partition, (long long)m->offset, i);
	if (i < 0 || i >= o.count || ts != o.records.t0 + 3 * (int64_t)i ||
	    type != RD_KAFKA_TIMESTAMP_CREATE_TIME)
		fail("%s: timestamp %lld", at, (long long)ts);
	if (i % o.parts != m->partition)
		fail("%s: wrong partition", at);
	records_get(&o.records, (uint32_t)i, &want);
	check_field(at, "key", m->key, m->key_len, &want.key);
	check_field(at, "value", m->payload, m->len, &want.value);
	check_headers(at, m, &want);
	if (o.exact && (m->offset != before(i, m->partition) || rd->seen[i] ||
	    i < rd->from))
		fail("%s: lost, doubled or out of order", at);
	if (i >= rd->from && !rd->seen[i]) {
		rd->seen[i] = 1;
		rd->seen_count++;
	}
	rd->idle_since = time(NULL);
}

static int
reader_done(struct reader *rd)
{
	FILE *f;

	if (rd->end < 0 && (f = fopen(rd->total, "r")) != NULL) {
		if (fscanf(f, "%ld", &rd->end) != 1)
			fail("no number in %s", rd->total);
		fclose(f);
	}
	if (rd->end >= 0 && rd->seen_count >= rd->end - rd->from) {
		for (long i = rd->from; i < rd->end; i++)
			if (!rd->seen[i])
				fail("%s: record %ld is missing", rd->topic,
				    i);
		return 1;
	}
	if (time(NULL) - rd->idle_since > IDLE_S)
		fail("%s: nothing more after %ld records", rd->topic,
		    rd->seen_count);
	return 0;
}

/* Reads from the offsets in the list until the reader has all. */
static void
read_all(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *tps,
    struct reader *rd)
{
	rd_kafka_resp_err_t err = rd_kafka_assign(rk, tps);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("assign: %s", rd_kafka_err2str(err));
	while (!reader_done(rd)) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 200);

		if (m == NULL)
			continue;
		/* Errors of the connection pass; nothing else is polled. */
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			reader_add(rd, m);
		else if (m->err != RD_KAFKA_RESP_ERR__TRANSPORT &&
		    m->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
			fail("%s: %s", rd->topic, rd_kafka_message_errstr(m));
		rd_kafka_message_destroy(m);
	}
	free(rd->seen);
}

/* A reader of what is there already does not wait long for more. */
static rd_kafka_t *
consumer(const char *wait_ms)
{
	rd_kafka_conf_t *conf = common();
	rd_kafka_t *rk;

	set(conf, "group.id", "unused");
	set(conf, "enable.auto.commit", "false");
	set(conf, "auto.offset.reset", "error");
	set(conf, "fetch.wait.max.ms", wait_ms);
	rk = client(RD_KAFKA_CONSUMER, conf);
	rd_kafka_poll_set_consumer(rk);
	return rk;
}

static rd_kafka_topic_partition_list_t *
partitions(const char *topic, int64_t offset)
{
	rd_kafka_topic_partition_list_t *l;

	l = rd_kafka_topic_partition_list_new(o.parts);
	for (int p = 0; p < o.parts; p++)
		rd_kafka_topic_partition_list_add(l, topic, p)->offset =
		    offset;
	return l;
}

static void
lookup(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *l)
{
	rd_kafka_resp_err_t err;

	err = rd_kafka_offsets_for_times(rk, l, WAIT_MS);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("offsets for times: %s", rd_kafka_err2str(err));
	for (int i = 0; i < l->cnt; i++)
		if (l->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
			fail("%s/%d: offset for a time: %s",
			    l->elems[i].topic, l->elems[i].partition,
			    rd_kafka_err2str(l->elems[i].err));
}

static void
verify_watermarks(rd_kafka_t *rk, const char *topic)
{
	for (int p = 0; p < o.parts; p++) {
		int64_t lo, hi;
		rd_kafka_resp_err_t err;

		err = rd_kafka_query_watermark_offsets(rk, topic, p, &lo, &hi,
		    WAIT_MS);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
			fail("%s/%d: %s", topic, p, rd_kafka_err2str(err));
		if (lo != 0 || hi < before(o.count, p) ||
		    (o.exact && hi != before(o.count, p)))
			fail("%s/%d: offsets %lld to %lld, not 0 to %lld",
			    topic, p, (long long)lo, (long long)hi,
			    (long long)before(o.count, p));
	}
}

/* A timestamp between records from-1 and from leads to the latter. */
static void
verify_times(rd_kafka_t *rk, const char *topic)
{
	rd_kafka_topic_partition_list_t *l;
	struct reader rd;

	l = partitions(topic, o.records.t0 + 3 * (int64_t)(o.count + o.parts));
	lookup(rk, l);
	for (int p = 0; p < o.parts; p++)
		if (l->elems[p].offset != RD_KAFKA_OFFSET_END)
			fail("%s/%d: offset %lld for a time after the end",
			    topic, p, (long long)l->elems[p].offset);
	rd_kafka_topic_partition_list_destroy(l);

	l = partitions(topic, o.records.t0 + 3 * (int64_t)o.from - 1);
	lookup(rk, l);
	for (int p = 0; p < o.parts; p++)
		if (o.exact && l->elems[p].offset != before(o.from, p))
			fail("%s/%d: record %ld looked up by time gives %lld",
			    topic, p, o.from, (long long)l->elems[p].offset);
	reader_open(&rd, topic, o.from, NULL);
	read_all(rk, l, &rd);
	rd_kafka_topic_partition_list_destroy(l);
}

static void
verify(void)
{
	rd_kafka_t *rk = consumer("20");

	for (int i = 0; i < o.ntopics; i++) {
		rd_kafka_topic_partition_list_t *l;
		struct reader rd;

		verify_watermarks(rk, o.topics[i]);
		l = partitions(o.topics[i], RD_KAFKA_OFFSET_BEGINNING);
		reader_open(&rd, o.topics[i], 0, NULL);
		read_all(rk, l, &rd);
		rd_kafka_topic_partition_list_destroy(l);
		verify_times(rk, o.topics[i]);
	}
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

static void
follow(void)
{
	rd_kafka_t *rk = consumer("500");
	rd_kafka_topic_partition_list_t *l;
	struct reader rd;

	l = partitions(o.topics[0], 0);
	reader_open(&rd, o.topics[0], 0, opt("total", NULL));
	read_all(rk, l, &rd);
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} commands[] = {
		{ "create", create }, { "produce", produce },
		{ "verify", verify }, { "load", load }, { "follow", follow },
		{ "delete", delete }
	};

	options(argc, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, o.command) == 0) {
			commands[i].run();
			return 0;
		}
	fail("no such command");
}
