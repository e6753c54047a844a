/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator on librdkafka, so that the figures are those of a client
 * that people use.  What it reads back it compares with what it must have
 * written: record i is made from i alone, and every i must come once.
 *
 * usage: gen produce|consume|rtt name=value ...
 *
 *	bootstrap=HOST:PORT topic=NAME partitions=N
 *	count=N size=BYTES	records, and how long each one's value is
 *	acks=0|1|all codec=none|gzip|snappy|lz4|zstd linger_ms=N
 *	idempotent=0|1
 *
 * produce sends count records round robin and waits for every answer; consume
 * reads them all from the start; rtt sends one at a time and waits for its
 * answer, and for a consumer that waits at the end of the log to get it.
 * Prints one JSON object.  Topics must be there already.
 */
#include <errno.h>
#include <inttypes.h>
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
	STALL_S	= 30,		/* nothing for this long is a failure */
};

struct opts {
	const char	*bootstrap, *topic, *acks, *codec, *linger_ms;
	const char	*idempotent;
	int32_t		 partitions;
	int64_t		 count;
	size_t		 size;
};

/* What was seen of the records so far; fits exactly once if sum is right. */
struct tally {
	int64_t		 n, failed;
	uint64_t	 sum;
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
		conf_set(c, "batch.num.messages", "100000");
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

	printf("{\"records\": %" PRId64 ", \"size\": %zu, \"seconds\": %.4f, "
	    "\"records_per_s\": %.0f, \"mb_per_s\": %.1f, "
	    "\"client_cpu_s\": %.3f}\n", o->count, o->size, s, n / s,
	    n * (double)o->size / s / 1e6, cpu);
}

static void
send_one(rd_kafka_t *rk, rd_kafka_topic_t *rkt, const struct opts *o,
    int64_t i, char *value)
{
	value_make(value, o->size, (uint64_t)i);
	while (rd_kafka_produce(rkt, (int32_t)(i % o->partitions),
	    RD_KAFKA_MSG_F_COPY, value, o->size, NULL, 0, NULL) != 0) {
		if (errno != ENOBUFS)
			die("produce: %s",
			    rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(rk, 10);
	}
}

static void
produce(const struct opts *o)
{
	struct tally t = { 0 };
	rd_kafka_t *rk = client_open(o, RD_KAFKA_PRODUCER, &t);
	rd_kafka_topic_t *rkt = topic_open(rk, o);
	char *value = malloc(o->size);
	int64_t start, last;
	double cpu;

	if (value == NULL)
		die("out of memory");
	start = now_ns();
	cpu = cpu_s();
	for (int64_t i = 0; i < o->count; i++) {
		send_one(rk, rkt, o, i, value);
		if (i % 1000 == 0)
			rd_kafka_poll(rk, 0);
	}
	for (last = now_ns(); t.n < o->count;) {
		if (rd_kafka_poll(rk, 100) > 0)
			last = now_ns();
		else if (now_ns() - last > STALL_S * INT64_C(1000000000))
			die("no answers: %" PRId64 " of %" PRId64, t.n,
			    o->count);
	}
	if (t.failed > 0)
		die("%" PRId64 " records failed", t.failed);
	print_run(o, now_ns() - start, cpu_s() - cpu);
	free(value);
	rd_kafka_topic_destroy(rkt);
	rd_kafka_destroy(rk);
}

static rd_kafka_queue_t *
consume_start(rd_kafka_t *rk, rd_kafka_topic_t *rkt, const struct opts *o,
    int64_t offset)
{
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);

	for (int32_t p = 0; p < o->partitions; p++)
		if (rd_kafka_consume_start_queue(rkt, p, offset, q) != 0)
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

	q = consume_start(rk, rkt, o, RD_KAFKA_OFFSET_BEGINNING);
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
	print_run(o, last - start, cpu_s() - cpu);
	consume_stop(rk, rkt, q, o);
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
		{ "p50", .5 }, { "p99", .99 }, { "p999", .999 }, { "max", 1 },
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

/* Sends record i, waits for its answer and for its arrival. */
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
	while (seen.n == 0 && left-- > 0)
		consume_some(q, o, &seen, 1, 1000);
	*got = now_ns() - start;
	if (sent->failed > 0 || seen.n != 1 ||
	    seen.sum != mix((uint64_t)i))
		die("record %" PRId64 " was lost", i);
}

static void
rtt(const struct opts *o)
{
	struct tally t = { 0 };
	rd_kafka_t *out = client_open(o, RD_KAFKA_PRODUCER, &t);
	rd_kafka_t *in = client_open(o, RD_KAFKA_CONSUMER, NULL);
	rd_kafka_topic_t *out_t = topic_open(out, o);
	rd_kafka_topic_t *in_t = topic_open(in, o);
	rd_kafka_queue_t *q;
	int64_t *ack = calloc((size_t)o->count, sizeof *ack);
	int64_t *got = calloc((size_t)o->count, sizeof *got);
	char *value = malloc(o->size);

	if (ack == NULL || got == NULL || value == NULL)
		die("out of memory");
	q = consume_start(in, in_t, o, RD_KAFKA_OFFSET_BEGINNING);
	for (int64_t i = 0; i < o->count; i++)
		round_trip(out, out_t, q, o, i, value, &ack[i], &got[i]);
	printf("{\"records\": %" PRId64 ", \"size\": %zu, ", o->count,
	    o->size);
	print_percentiles("ack", ack, o->count, ", ");
	print_percentiles("arrival", got, o->count, "}\n");
	free(ack);
	free(got);
	free(value);
	rd_kafka_topic_destroy(out_t);
	rd_kafka_destroy(out);
	consume_stop(in, in_t, q, o);
}

static void
opts_parse(struct opts *o, char **args)
{
	const char *partitions = "1", *count = "1000", *size = "100";
	const struct { const char *name; const char **at; } rows[] = {
		{ "bootstrap", &o->bootstrap }, { "topic", &o->topic },
		{ "acks", &o->acks }, { "codec", &o->codec },
		{ "linger_ms", &o->linger_ms }, { "partitions", &partitions },
		{ "idempotent", &o->idempotent }, { "count", &count },
		{ "size", &size },
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
	if (o->partitions < 1 || o->count < 1 || o->size < HEAD)
		die("partitions and count are at least 1, size %d", HEAD);
}

int
main(int argc, char **argv)
{
	struct opts o = {
		.bootstrap = "127.0.0.1:9092", .topic = "bench", .acks = "all",
		.codec = "none", .linger_ms = "5", .idempotent = "false",
	};

	if (argc < 2)
		die("usage: gen produce|consume|rtt name=value ...");
	opts_parse(&o, argv + 2);
	pattern_make(o.size);
	if (strcmp(argv[1], "produce") == 0)
		produce(&o);
	else if (strcmp(argv[1], "consume") == 0)
		consume(&o);
	else if (strcmp(argv[1], "rtt") == 0)
		rtt(&o);
	else
		die("%s: not a command", argv[1]);
	return 0;
}
