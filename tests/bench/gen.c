/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator on librdkafka, so that the figures are those of a client
 * that people use.  What it reads back it compares with what it must have
 * written: record i is made from i alone, and every i must come once.
 *
 * usage: gen create|delete|produce|consume|rtt|pace name=value ...
 *
 *	bootstrap=HOST:PORT topic=NAME partitions=N
 *	count=N size=BYTES	records, and how long each one's value is
 *	acks=0|1|all codec=none|gzip|snappy|lz4|zstd linger_ms=N
 *	idempotent=true|false
 *	batch=N			records in a batch at most
 *	producers=N		clients that send in turn
 *	spread=turn|any		partitions in turn, or drawn for each record
 *	rate=N			records per second: pace
 *	arrival=true|false	rtt: a consumer too, not only the answer
 *	windows=N		pace: of the first and the last of so many equal
 *				parts of the time, too
 *
 * produce sends count records and waits for every answer; consume reads them
 * all from the start; rtt sends one at a time and waits for its answer, and
 * for a consumer that waits at the end of the log to get it; pace sends at a
 * rate whatever the broker does, and measures each record until its answer
 * comes, and from the time that it was due until a consumer has it.  create
 * makes the topic, with one config if config=KEY=VALUE is given, and waits
 * until it can be used; delete removes it.  The others print one JSON object.
 * Topics must be there already.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

enum {
	HEAD	= 16,		/* number and mark at the start of a value */
	PATTERN	= 1 << 16,	/* bytes that values are cut from */
	FETCH	= 10000,	/* records taken from librdkafka at a time */
	CLIENTS	= 256,		/* producers at most */
	STALL_S	= 30,		/* nothing for this long is a failure */
};

struct opts {
	const char	*bootstrap, *topic, *acks, *codec, *linger_ms;
	const char	*idempotent, *batch, *config;
	bool		 any, arrival;
	int		 producers;
	int32_t		 partitions;
	int64_t		 count, rate, windows;
	size_t		 size;
};

/* What was seen of the records so far; fits exactly once if sum is right. */
struct tally {
	int64_t		 n, failed;
	uint64_t	 sum;
	int64_t		*ack_ns;	/* produce: of each, NULL not wanted */
};

static char *pattern;

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("gen: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* splitmix64: spreads neighbouring numbers. */
static uint64_t
mix(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Half of the bytes are of few kinds, so that codecs have something to do. */
static void
pattern_make(size_t size)
{
	uint64_t state = 1;

	if ((pattern = malloc(PATTERN + size)) == NULL)
		die("out of memory");
	for (size_t i = 0; i < PATTERN + size; i++) {
		state = mix(state);
		pattern[i] = (char)(i / 16 % 2 ? state >> 8 :
		    'a' + (state >> 8) % 4);
	}
}

static void
value_make(char *value, size_t size, uint64_t i)
{
	uint64_t mark = mix(i);

	memcpy(value, &i, sizeof i);
	memcpy(value + sizeof i, &mark, sizeof mark);
	memcpy(value + HEAD, pattern + mark % PATTERN, size - HEAD);
}

static void
value_check(const rd_kafka_message_t *m, size_t size, struct tally *t)
{
	uint64_t i, mark;

	if (m->len != size)
		die("offset %" PRId64 ": %zu bytes, not %zu", m->offset,
		    m->len, size);
	memcpy(&i, m->payload, sizeof i);
	memcpy(&mark, (char *)m->payload + sizeof i, sizeof mark);
	if (mark != mix(i) || memcmp((char *)m->payload + HEAD,
	    pattern + mark % PATTERN, size - HEAD) != 0)
		die("offset %" PRId64 ": not what was written", m->offset);
	t->n++;
	t->sum += mark;
}

static uint64_t
sum_below(int64_t count)
{
	uint64_t sum = 0;

	for (int64_t i = 0; i < count; i++)
		sum += mix((uint64_t)i);
	return sum;
}

static void
conf_set(rd_kafka_conf_t *c, const char *name, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(c, name, value, why, sizeof why) !=
	    RD_KAFKA_CONF_OK)
		die("%s", why);
}

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct tally *t = opaque;

	(void)rk;
	if (m->err != 0 && t->failed++ == 0)
		fprintf(stderr, "gen: %s\n", rd_kafka_err2str(m->err));
	if (t->ack_ns != NULL)
		t->ack_ns[t->n] = rd_kafka_message_latency(m) * 1000;
	t->n++;
}

static rd_kafka_t *
client_open(const struct opts *o, rd_kafka_type_t type, struct tally *t)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char why[256];

	conf_set(c, "bootstrap.servers", o->bootstrap);
	conf_set(c, "socket.nagle.disable", "true");
	conf_set(c, "log_level", "4");
	if (type == RD_KAFKA_PRODUCER) {
		conf_set(c, "acks", o->acks);
		conf_set(c, "linger.ms", o->linger_ms);
		conf_set(c, "compression.codec", o->codec);
		conf_set(c, "enable.idempotence", o->idempotent);
		conf_set(c, "batch.size", "1000000");
		conf_set(c, "batch.num.messages", o->batch);
		conf_set(c, "queue.buffering.max.messages", "500000");
		rd_kafka_conf_set_opaque(c, t);
		rd_kafka_conf_set_dr_msg_cb(c, delivered);
	} else {
		conf_set(c, "fetch.wait.max.ms", "100");
		conf_set(c, "fetch.error.backoff.ms", "10");
		conf_set(c, "queued.min.messages", "1000000");
		conf_set(c, "check.crcs", "true");
	}
	if ((rk = rd_kafka_new(type, c, why, sizeof why)) == NULL)
		die("%s", why);
	return rk;
}

static rd_kafka_topic_t *
topic_open(rd_kafka_t *rk, const struct opts *o)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, o->topic, NULL);
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t e;

	if (rkt == NULL)
		die("%s: %s", o->topic,
		    rd_kafka_err2str(rd_kafka_last_error()));
	e = rd_kafka_metadata(rk, 0, rkt, &md, STALL_S * 1000);
	if (e != 0)
		die("%s: %s", o->topic, rd_kafka_err2str(e));
	if (md->topics[0].partition_cnt != o->partitions)
		die("%s: %d partitions, not %d", o->topic,
		    md->topics[0].partition_cnt, o->partitions);
	rd_kafka_metadata_destroy(md);
	return rkt;
}

static void
print_run(const struct opts *o, int64_t ns, double cpu)
{
	double s = (double)ns / 1e9, n = (double)o->count;

	printf("\"records\": %" PRId64 ", \"size\": %zu, \"seconds\": %.4f, "
	    "\"records_per_s\": %.0f, \"mb_per_s\": %.1f, "
	    "\"client_cpu_s\": %.3f}\n", o->count, o->size, s, n / s,
	    n * (double)o->size / s / 1e6, cpu);
}

static void
send_one(rd_kafka_t *rk, rd_kafka_topic_t *rkt, const struct opts *o,
    int64_t i, char *value)
{
	uint64_t turn = o->any ? mix(~(uint64_t)i) : (uint64_t)i;

	value_make(value, o->size, (uint64_t)i);
	while (rd_kafka_produce(rkt,
	    (int32_t)(turn % (uint64_t)o->partitions),
	    RD_KAFKA_MSG_F_COPY, value, o->size, NULL, 0, NULL) != 0) {
		if (errno != ENOBUFS)
			die("produce: %s",
			    rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(rk, 10);
	}
}

/* Waits until count records are answered by the producers. */
static void
answers(rd_kafka_t **rk, const struct opts *o, const struct tally *t)
{
	int64_t last = now_ns(), seen = t->n;

	while (t->n < o->count) {
		for (int i = 0; i < o->producers; i++)
			rd_kafka_poll(rk[i], o->producers > 1 ? 1 : 100);
		if (t->n > seen)
			last = now_ns();
		else if (now_ns() - last > STALL_S * INT64_C(1000000000))
			die("no answers: %" PRId64 " of %" PRId64, t->n,
			    o->count);
		seen = t->n;
	}
	if (t->failed > 0)
		die("%" PRId64 " records failed", t->failed);
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void
print_percentiles(const char *name, int64_t *ns, int64_t n, const char *end)
{
	static const struct { const char *name; double p; } rows[] = {
		{ "p50", .5 }, { "p99", .99 }, { "p999", .999 },
		{ "p9999", .9999 }, { "max", 1 },
	};

	qsort(ns, (size_t)n, sizeof *ns, compare);
	printf("\"%s_us\": {", name);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t at = (int64_t)(rows[i].p * (double)n);

		printf("%s\"%s\": %.1f", i > 0 ? ", " : "", rows[i].name,
		    (double)ns[at < n ? at : n - 1] / 1e3);
	}
	printf("}%s", end);
}

static void
produce(const struct opts *o)
{
	struct tally t = { .ack_ns = calloc((size_t)o->count, sizeof t.n) };
	rd_kafka_t *rk[CLIENTS];
	rd_kafka_topic_t *rkt[CLIENTS];
	char *value = malloc(o->size);
	int64_t start, end;
	double cpu;

	if (value == NULL || t.ack_ns == NULL)
		die("out of memory");
	for (int i = 0; i < o->producers; i++) {
		rk[i] = client_open(o, RD_KAFKA_PRODUCER, &t);
		rkt[i] = topic_open(rk[i], o);
	}
	start = now_ns();
	cpu = cpu_s();
	for (int64_t i = 0; i < o->count; i++) {
		int who = (int)(i % o->producers);

		send_one(rk[who], rkt[who], o, i, value);
		if (i / o->producers % 1000 == 0)
			rd_kafka_poll(rk[who], 0);
	}
	answers(rk, o, &t);
	end = now_ns();
	cpu = cpu_s() - cpu;
	printf("{");
	print_percentiles("ack", t.ack_ns, o->count, ", ");
	print_run(o, end - start, cpu);
	for (int i = 0; i < o->producers; i++) {
		rd_kafka_topic_destroy(rkt[i]);
		rd_kafka_destroy(rk[i]);
	}
	free(t.ack_ns);
	free(value);
}

/* By number: when the client asks where the beginning is before it has joined
 * the broker, it waits half a second and asks again. */
static rd_kafka_queue_t *
consume_start(rd_kafka_t *rk, rd_kafka_topic_t *rkt, const struct opts *o)
{
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);

	for (int32_t p = 0; p < o->partitions; p++)
		if (rd_kafka_consume_start_queue(rkt, p, 0, q) != 0)
			die("consume: %s",
			    rd_kafka_err2str(rd_kafka_last_error()));
	return q;
}

/* Takes up to most records, but waits for that many no longer than wait_ms,
 * into the tally; returns how many. */
static int64_t
consume_some(rd_kafka_queue_t *q, const struct opts *o, struct tally *t,
    int64_t most, int wait_ms)
{
	static rd_kafka_message_t *m[FETCH];
	int64_t before = t->n;
	ssize_t n = rd_kafka_consume_batch_queue(q, wait_ms, m,
	    (size_t)(most < FETCH ? most : FETCH));

	for (ssize_t i = 0; i < n; i++) {
		if (m[i]->err == 0)
			value_check(m[i], o->size, t);
		else if (m[i]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
			die("consume: %s", rd_kafka_message_errstr(m[i]));
		rd_kafka_message_destroy(m[i]);
	}
	return t->n - before;
}

static void
consume_stop(rd_kafka_t *rk, rd_kafka_topic_t *rkt, rd_kafka_queue_t *q,
    const struct opts *o)
{
	for (int32_t p = 0; p < o->partitions; p++)
		rd_kafka_consume_stop(rkt, p);
	rd_kafka_queue_destroy(q);
	rd_kafka_topic_destroy(rkt);
	rd_kafka_destroy(rk);
}

static void
consume(const struct opts *o)
{
	struct tally t = { 0 };
	rd_kafka_t *rk = client_open(o, RD_KAFKA_CONSUMER, NULL);
	rd_kafka_topic_t *rkt = topic_open(rk, o);
	rd_kafka_queue_t *q;
	int64_t start = now_ns(), last = start;
	double cpu = cpu_s();

	q = consume_start(rk, rkt, o);
	while (t.n < o->count) {
		if (consume_some(q, o, &t, o->count - t.n, 100) > 0)
			last = now_ns();
		else if (now_ns() - last > STALL_S * INT64_C(1000000000))
			die("no records: %" PRId64 " of %" PRId64, t.n,
			    o->count);
	}
	if (t.n != o->count || t.sum != sum_below(o->count))
		die("%" PRId64 " records, some twice and some not at all",
		    t.n);
	printf("{");
	print_run(o, last - start, cpu_s() - cpu);
	consume_stop(rk, rkt, q, o);
}

/* Sends record i, waits for its answer and, with a queue, its arrival. */
static void
round_trip(rd_kafka_t *rk, rd_kafka_topic_t *rkt, rd_kafka_queue_t *q,
    const struct opts *o, int64_t i, char *value, int64_t *ack, int64_t *got)
{
	struct tally *sent = rd_kafka_opaque(rk), seen = { 0 };
	int64_t start = now_ns(), left = STALL_S * 1000;

	send_one(rk, rkt, o, i, value);
	while (sent->n <= i && left-- > 0)
		rd_kafka_poll(rk, 1000);
	*ack = now_ns() - start;
	while (q != NULL && seen.n == 0 && left-- > 0)
		consume_some(q, o, &seen, 1, 1000);
	*got = now_ns() - start;
	if (sent->failed > 0 || sent->n <= i ||
	    (q != NULL && (seen.n != 1 || seen.sum != mix((uint64_t)i))))
		die("record %" PRId64 " was lost", i);
}

static void
rtt(const struct opts *o)
{
	struct tally t = { 0 };
	rd_kafka_t *out = client_open(o, RD_KAFKA_PRODUCER, &t), *in = NULL;
	rd_kafka_topic_t *out_t = topic_open(out, o), *in_t = NULL;
	rd_kafka_queue_t *q = NULL;
	int64_t *ack = calloc((size_t)o->count, sizeof *ack);
	int64_t *got = calloc((size_t)o->count, sizeof *got);
	char *value = malloc(o->size);

	if (ack == NULL || got == NULL || value == NULL)
		die("out of memory");
	if (o->arrival) {
		in = client_open(o, RD_KAFKA_CONSUMER, NULL);
		in_t = topic_open(in, o);
		q = consume_start(in, in_t, o);
	}
	for (int64_t i = 0; i < o->count; i++)
		round_trip(out, out_t, q, o, i, value, &ack[i], &got[i]);
	printf("{\"records\": %" PRId64 ", \"size\": %zu, ", o->count,
	    o->size);
	print_percentiles("ack", ack, o->count, o->arrival ? ", " : "}\n");
	if (o->arrival)
		print_percentiles("arrival", got, o->count, "}\n");
	free(ack);
	free(got);
	free(value);
	rd_kafka_topic_destroy(out_t);
	rd_kafka_destroy(out);
	if (o->arrival)
		consume_stop(in, in_t, q, o);
}

/* What the consumer of pace knows and finds. */
struct pace {
	const struct opts *o;
	int64_t		 start, *late;	/* late: of each record */
	rd_kafka_queue_t *q;
};

static int64_t
pace_due(const struct pace *p, int64_t i)
{
	return p->start + (int64_t)((double)i * 1e9 / (double)p->o->rate);
}

static void *
pace_consume(void *arg)
{
	static rd_kafka_message_t *m[FETCH];
	struct pace *p = arg;
	struct tally t = { 0 };
	int64_t last = now_ns();

	while (t.n < p->o->count) {
		ssize_t n = rd_kafka_consume_batch_queue(p->q, 1, m, FETCH);
		int64_t now = now_ns();

		for (ssize_t k = 0; k < n; k++) {
			int64_t i;

			if (m[k]->err == 0) {
				value_check(m[k], p->o->size, &t);
				memcpy(&i, m[k]->payload, sizeof i);
				p->late[i] = now - pace_due(p, i);
				last = now;
			}
			rd_kafka_message_destroy(m[k]);
		}
		if (now - last > STALL_S * INT64_C(1000000000))
			die("no records: %" PRId64 " of %" PRId64, t.n,
			    p->o->count);
	}
	if (t.sum != sum_below(p->o->count))
		die("some records twice and some not at all");
	return NULL;
}

static void
pace(const struct opts *o)
{
	struct tally t = { .ack_ns = calloc((size_t)o->count, sizeof t.n) };
	rd_kafka_t *out = client_open(o, RD_KAFKA_PRODUCER, &t);
	rd_kafka_t *in = client_open(o, RD_KAFKA_CONSUMER, NULL);
	rd_kafka_topic_t *out_t = topic_open(out, o);
	rd_kafka_topic_t *in_t = topic_open(in, o);
	struct pace p = { .o = o,
		.late = calloc((size_t)o->count, sizeof *p.late) };
	char *value = malloc(o->size);
	pthread_t reader;

	if (value == NULL || p.late == NULL || t.ack_ns == NULL)
		die("out of memory");
	p.q = consume_start(in, in_t, o);
	p.start = now_ns() + INT64_C(500000000);
	if (pthread_create(&reader, NULL, pace_consume, &p) != 0)
		die("no thread");
	for (int64_t i = 0; i < o->count; i++) {
		int64_t wait = pace_due(&p, i) - now_ns();

		if (wait > 200000) {
			struct timespec ts = { .tv_sec = wait / 1000000000,
				.tv_nsec = wait % 1000000000 };

			nanosleep(&ts, NULL);
		}
		send_one(out, out_t, o, i, value);
		rd_kafka_poll(out, 0);
	}
	answers(&out, o, &t);
	pthread_join(reader, NULL);
	printf("{");
	print_percentiles("ack", t.ack_ns, o->count, ", ");
	printf("\"records\": %" PRId64 ", \"size\": %zu, \"rate\": %" PRId64
	    ", ", o->count, o->size, o->rate);
	if (o->windows > 1) {
		int64_t n = o->count / o->windows;

		print_percentiles("first", p.late, n, ", ");
		print_percentiles("last", p.late + o->count - n, n, ", ");
	}
	print_percentiles("arrival", p.late, o->count, "}\n");
	free(t.ack_ns);
	free(p.late);
	free(value);
	rd_kafka_topic_destroy(out_t);
	rd_kafka_destroy(out);
	consume_stop(in, in_t, p.q, o);
}

/* Waits for the answer of an admin request and checks its only topic. */
static void
admin_wait(const char *topic, rd_kafka_queue_t *q)
{
	rd_kafka_event_t *e = rd_kafka_queue_poll(q, STALL_S * 1000);
	const rd_kafka_topic_result_t **rows = NULL;
	const rd_kafka_CreateTopics_result_t *made;
	const rd_kafka_DeleteTopics_result_t *gone;
	size_t n = 0;

	if (e == NULL)
		die("%s: no answer", topic);
	if (rd_kafka_event_error(e) != 0)
		die("%s: %s", topic, rd_kafka_event_error_string(e));
	if ((made = rd_kafka_event_CreateTopics_result(e)) != NULL)
		rows = rd_kafka_CreateTopics_result_topics(made, &n);
	else if ((gone = rd_kafka_event_DeleteTopics_result(e)) != NULL)
		rows = rd_kafka_DeleteTopics_result_topics(gone, &n);
	if (n != 1 || rd_kafka_topic_result_error(rows[0]) != 0)
		die("%s: %s", topic, n == 1 ? rd_kafka_err2str(
		    rd_kafka_topic_result_error(rows[0])) : "no result");
	rd_kafka_event_destroy(e);
}

static void
create(const struct opts *o)
{
	rd_kafka_t *rk = client_open(o, RD_KAFKA_PRODUCER, NULL);
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	char why[256], key[256];
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(o->topic,
	    o->partitions, 1, why, sizeof why);
	int64_t start = now_ns();

	if (t == NULL)
		die("%s", why);
	if (o->config != NULL) {
		size_t n = strcspn(o->config, "=");

		snprintf(key, sizeof key, "%.*s", (int)n, o->config);
		if (o->config[n] == '\0' || rd_kafka_NewTopic_set_config(t,
		    key, o->config + n + 1) != 0)
			die("%s: not a config", o->config);
	}
	rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
	admin_wait(o->topic, q);
	rd_kafka_NewTopic_destroy(t);
	for (;;) {
		const struct rd_kafka_metadata *md;
		rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, o->topic, NULL);
		int32_t led = 0;

		if (rd_kafka_metadata(rk, 0, rkt, &md, 1000) == 0) {
			for (int i = 0; i < md->topics[0].partition_cnt; i++)
				led += md->topics[0].partitions[i].leader >= 0;
			rd_kafka_metadata_destroy(md);
		}
		rd_kafka_topic_destroy(rkt);
		if (led == o->partitions)
			break;
		if (now_ns() - start > STALL_S * INT64_C(1000000000))
			die("%s: %d of %d partitions have a leader", o->topic,
			    led, o->partitions);
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
}

static void
delete(const struct opts *o)
{
	rd_kafka_t *rk = client_open(o, RD_KAFKA_PRODUCER, NULL);
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(o->topic);

	rd_kafka_DeleteTopics(rk, &t, 1, NULL, q);
	admin_wait(o->topic, q);
	rd_kafka_DeleteTopic_destroy(t);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
}

static void
opts_parse(struct opts *o, char **args)
{
	const char *partitions = "1", *count = "1000", *size = "100";
	const char *producers = "1", *spread = "turn", *rate = "1000";
	const char *arrival = "true", *windows = "1";
	const struct { const char *name; const char **at; } rows[] = {
		{ "bootstrap", &o->bootstrap }, { "topic", &o->topic },
		{ "acks", &o->acks }, { "codec", &o->codec },
		{ "linger_ms", &o->linger_ms }, { "partitions", &partitions },
		{ "idempotent", &o->idempotent }, { "count", &count },
		{ "size", &size }, { "batch", &o->batch },
		{ "producers", &producers }, { "spread", &spread },
		{ "rate", &rate }, { "arrival", &arrival },
		{ "config", &o->config }, { "windows", &windows },
	};
	const size_t nrows = sizeof rows / sizeof *rows;

	for (; *args != NULL; args++) {
		size_t i, len = strcspn(*args, "=");

		for (i = 0; i < nrows; i++)
			if (strlen(rows[i].name) == len &&
			    strncmp(rows[i].name, *args, len) == 0)
				break;
		if (i == nrows || (*args)[len] != '=')
			die("%s: not an option", *args);
		*rows[i].at = *args + len + 1;
	}
	o->partitions = (int32_t)strtol(partitions, NULL, 10);
	o->count = strtoll(count, NULL, 10);
	o->size = strtoul(size, NULL, 10);
	o->rate = strtoll(rate, NULL, 10);
	o->windows = strtoll(windows, NULL, 10);
	o->producers = atoi(producers);
	o->any = strcmp(spread, "any") == 0;
	o->arrival = strcmp(arrival, "true") == 0;
	if (o->partitions < 1 || o->count < 1 || o->size < HEAD ||
	    o->rate < 1 || o->windows < 1 || o->windows > o->count ||
	    o->producers < 1 || o->producers > CLIENTS)
		die("partitions, count, rate and windows are at least 1, "
		    "size %d, producers 1 to %d", HEAD, CLIENTS);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const struct opts *);
	} verbs[] = {
		{ "create", create }, { "delete", delete },
		{ "produce", produce }, { "consume", consume },
		{ "rtt", rtt }, { "pace", pace },
	};
	struct opts o = {
		.bootstrap = "127.0.0.1:9092", .topic = "bench", .acks = "all",
		.codec = "none", .linger_ms = "5", .idempotent = "false",
		.batch = "100000",
	};

	if (argc < 2)
		die("usage: gen VERB name=value ...");
	opts_parse(&o, argv + 2);
	pattern_make(o.size);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(argv[1], verbs[i].name) == 0) {
			verbs[i].run(&o);
			return 0;
		}
	die("%s: not a verb", argv[1]);
}
