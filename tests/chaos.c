/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load under faults: two idempotent producers with acks=all and two consumers
 * over all partitions of a topic, while somebody else hurts the broker.
 * Checks that nothing acknowledged is lost, doubled, reordered or changed,
 * that an offset has one value for ever, and that an acknowledgement names the
 * offset at which the record is read.
 *
 *	chaos BOOTSTRAP TOPIC PARTITIONS PROGRESS-FILE
 *
 * Runs until a byte (or the end) comes on standard input, then lets everything
 * be acknowledged and read.  PROGRESS-FILE holds the number acknowledged, for
 * whoever paces the faults.  Exit 0: all checks hold; 3: they hold, but the
 * client library gave up on a producer before.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PRODUCERS	= 2,
	CONSUMERS	= 2,
	PARTS_MAX	= 64,
	RECORDS_MAX	= 4 << 20,	/* of one partition */
	PAYLOAD_MAX	= 2000,
	QUIET_MS	= 120000,	/* no progress: given up */
};

/* What a record says of itself; the payload follows. */
struct stamp {
	uint64_t	run;
	uint32_t	producer, part, seq, len, sum;
};

/* One partition as a reader saw it. */
struct view {
	int64_t		 next;			/* least offset allowed */
	uint32_t	 seq[PRODUCERS];	/* next of each */
	int64_t		*offset[PRODUCERS];	/* by seq */
};

static uint64_t run_id;
static int nparts;
static const char *bootstrap, *topic;
static atomic_bool ending, all_acked, gave_up;
static atomic_long acked, failed, bad;
static uint32_t sent[PRODUCERS][PARTS_MAX];
/* By seq: offset + 1, -1 not told, 0 not acknowledged. */
static int64_t *acked_at[PRODUCERS][PARTS_MAX];

static void
complain(const char *what, int part, int64_t offset, int64_t got,
    int64_t want)
{
	if (atomic_fetch_add(&bad, 1) < 20)
		fprintf(stderr, "chaos: %s: partition %d offset %" PRId64
		    ": got %" PRId64 ", wanted %" PRId64 "\n", what, part,
		    offset, got, want);
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "chaos: %s: %s\n", what, why);
	exit(2);
}

static uint32_t
mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352d;
	x ^= x >> 15;
	x *= 0x846ca68b;
	return x ^ x >> 16;
}

static uint32_t
sum_of(const uint8_t *p, size_t n)
{
	uint32_t s = 2166136261u;

	while (n-- > 0)
		s = (s ^ *p++) * 16777619u;
	return s;
}

static rd_kafka_t *
client(rd_kafka_type_t type, const char *const *kv)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	char why[512];
	rd_kafka_t *rk;

	for (; kv[0] != NULL; kv += 2)
		if (rd_kafka_conf_set(c, kv[0], kv[1], why, sizeof why) !=
		    RD_KAFKA_CONF_OK)
			die(kv[0], why);
	rk = rd_kafka_new(type, c, why, sizeof why);
	if (rk == NULL)
		die("client", why);
	return rk;
}

/* ---- producers --------------------------------------------------------- */

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	struct stamp s;

	(void)rk;
	(void)arg;
	memcpy(&s, m->payload, sizeof s);
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		if (atomic_fetch_add(&failed, 1) < 5)
			fprintf(stderr, "chaos: not delivered: %s\n",
			    rd_kafka_err2str(m->err));
		return;
	}
	/* A retry whose first answer was lost may come without an offset. */
	acked_at[s.producer][s.part][s.seq] = m->offset >= 0 ? m->offset + 1
	    : -1;
	atomic_fetch_add(&acked, 1);
}

/* The client declares itself unable to go on.  What was acknowledged must be
 * there all the same. */
static void
give_up(rd_kafka_t *rk)
{
	char why[512] = "";

	rd_kafka_fatal_error(rk, why, sizeof why);
	fprintf(stderr, "chaos: the client gave up: %s\n", why);
	atomic_store(&gave_up, true);
	atomic_store(&ending, true);
}

static void
send_one(rd_kafka_t *rk, rd_kafka_topic_t *t, uint32_t id, uint32_t n)
{
	uint8_t buf[sizeof(struct stamp) + PAYLOAD_MAX];
	uint32_t part = mix(n * 2 + id) % (uint32_t)nparts;
	struct stamp s = { .run = run_id, .producer = id, .part = part,
	    .seq = sent[id][part], .len = mix(n + id * 77) % PAYLOAD_MAX };

	if (s.seq == RECORDS_MAX) {
		atomic_store(&ending, true);
		return;
	}
	for (uint32_t i = 0; i < s.len; i++)
		buf[sizeof s + i] = (uint8_t)(mix(s.seq + i / 4) >> i % 4);
	s.sum = sum_of(buf + sizeof s, s.len);
	memcpy(buf, &s, sizeof s);
	while (rd_kafka_produce(t, (int32_t)part, RD_KAFKA_MSG_F_COPY, buf,
	    sizeof s + s.len, &id, sizeof id, NULL) != 0) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			give_up(rk);
			return;
		}
		rd_kafka_poll(rk, 10);
	}
	sent[id][part]++;
}

static void *
producer(void *arg)
{
	uint32_t id = (uint32_t)(uintptr_t)arg, n = 0;
	const char *kv[] = { "bootstrap.servers", bootstrap,
	    "enable.idempotence", "true", "acks", "all", "linger.ms", "2",
	    "message.timeout.ms", "120000", "retry.backoff.ms", "50",
	    "reconnect.backoff.ms", "20", "reconnect.backoff.max.ms", "500",
	    "compression.codec", id == 0 ? "none" : "lz4",
	    "queue.buffering.max.messages", "2000", "log_level", "2",
	    NULL, NULL };
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	char why[512];
	rd_kafka_topic_t *t;
	rd_kafka_t *rk;

	for (int i = 0; kv[i] != NULL; i += 2)
		if (rd_kafka_conf_set(c, kv[i], kv[i + 1], why, sizeof why) !=
		    RD_KAFKA_CONF_OK)
			die(kv[i], why);
	rd_kafka_conf_set_dr_msg_cb(c, delivered);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof why);
	if (rk == NULL)
		die("producer", why);
	t = rd_kafka_topic_new(rk, topic, NULL);
	while (!atomic_load(&ending)) {
		for (int i = 0; i < 20; i++)
			send_one(rk, t, id, n++);
		rd_kafka_poll(rk, 1);
	}
	if (rd_kafka_flush(rk, QUIET_MS) != 0 && !atomic_load(&gave_up))
		die("flush", "not everything was acknowledged");
	if (!atomic_load(&gave_up) &&
	    rd_kafka_fatal_error(rk, why, sizeof why) != 0)
		give_up(rk);
	rd_kafka_topic_destroy(t);
	rd_kafka_destroy(rk);
	return NULL;
}

/* ---- consumers --------------------------------------------------------- */

static struct view views[CONSUMERS][PARTS_MAX];

static void
take(struct view *v, const rd_kafka_message_t *m)
{
	struct stamp s;
	int part = m->partition;

	if (m->len < sizeof s) {
		complain("short record", part, m->offset, (int64_t)m->len, 0);
		return;
	}
	memcpy(&s, m->payload, sizeof s);
	if (s.run != run_id || s.part != (uint32_t)part ||
	    s.producer >= PRODUCERS || s.len + sizeof s != m->len ||
	    s.sum != sum_of((const uint8_t *)m->payload + sizeof s, s.len)) {
		complain("foreign or changed record", part, m->offset, 0, 0);
		return;
	}
	if (m->offset != v->next)
		complain("offset", part, m->offset, m->offset, v->next);
	v->next = m->offset + 1;
	if (s.seq != v->seq[s.producer])
		complain("sequence", part, m->offset, s.seq,
		    v->seq[s.producer]);
	if (s.seq >= RECORDS_MAX)
		return;
	v->seq[s.producer] = s.seq + 1;
	v->offset[s.producer][s.seq] = m->offset;
}

static bool
seen_all(const struct view *vs)
{
	for (int p = 0; p < nparts; p++)
		for (int i = 0; i < PRODUCERS; i++) {
			uint32_t want = sent[i][p];

			while (want > 0 && acked_at[i][p][want - 1] == 0)
				want--;
			if (vs[p].seq[i] < want)
				return false;
		}
	return true;
}

static void *
consumer(void *arg)
{
	struct view *vs = arg;
	const char *kv[] = { "bootstrap.servers", bootstrap, "group.id",
	    "chaos", "enable.auto.commit", "false", "auto.offset.reset",
	    "error", "check.crcs", "true", "fetch.wait.max.ms", "200",
	    "reconnect.backoff.ms", "20", "reconnect.backoff.max.ms", "500",
	    "fetch.error.backoff.ms", "50", "log_level", "2", NULL, NULL };
	rd_kafka_topic_partition_list_t *l =
	    rd_kafka_topic_partition_list_new(nparts);
	rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, kv);
	int quiet = 0;

	rd_kafka_poll_set_consumer(rk);
	for (int p = 0; p < nparts; p++)
		rd_kafka_topic_partition_list_add(l, topic, p)->offset = 0;
	rd_kafka_assign(rk, l);
	while (!atomic_load(&all_acked) || !seen_all(vs)) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 200);

		if (m == NULL) {
			quiet += 200;
			if (quiet > QUIET_MS && atomic_load(&all_acked)) {
				complain("lost: never read", -1, -1, 0, 0);
				break;
			}
			continue;
		}
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			quiet = 0;
			take(&vs[m->partition], m);
		} else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		    m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
			complain("offset reset", m->partition, m->offset,
			    m->err, 0);
		rd_kafka_message_destroy(m);
	}
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return NULL;
}

/* ---- main -------------------------------------------------------------- */

static void
compare(void)
{
	for (int p = 0; p < nparts; p++)
		for (int i = 0; i < PRODUCERS; i++)
			for (uint32_t s = 0; s < sent[i][p]; s++) {
				int64_t a = views[0][p].offset[i][s];
				int64_t b = views[1][p].offset[i][s];
				int64_t k = acked_at[i][p][s];

				if (k == 0 && atomic_load(&gave_up))
					continue;
				if (a != b)
					complain("two readers differ", p, a,
					    b, a);
				if (k == 0)
					complain("never acknowledged", p, a,
					    -1, a);
				if (k > 0 && k - 1 != a)
					complain("acknowledged elsewhere", p,
					    a, k - 1, a);
			}
}

static int64_t *
offsets_new(void)
{
	int64_t *v = calloc(RECORDS_MAX, sizeof *v);

	if (v == NULL)
		die("memory", "not enough");
	/* Pages are touched as they are used. */
	return v;
}

static void
progress(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f != NULL) {
		fprintf(f, "%ld\n", atomic_load(&acked));
		fclose(f);
	}
}

int
main(int argc, char **argv)
{
	pthread_t ps[PRODUCERS], cs[CONSUMERS];
	struct pollfd in = { .fd = 0, .events = POLLIN };

	if (argc != 5 || (nparts = atoi(argv[3])) < 1 || nparts > PARTS_MAX) {
		fprintf(stderr, "usage: chaos BOOTSTRAP TOPIC PARTITIONS "
		    "PROGRESS-FILE\n");
		return 2;
	}
	bootstrap = argv[1];
	topic = argv[2];
	run_id = (uint64_t)getpid() << 32 | 0xc4a05;
	for (int p = 0; p < nparts; p++)
		for (int i = 0; i < PRODUCERS; i++) {
			acked_at[i][p] = offsets_new();
			for (int k = 0; k < CONSUMERS; k++)
				views[k][p].offset[i] = offsets_new();
		}
	for (uintptr_t i = 0; i < CONSUMERS; i++)
		pthread_create(&cs[i], NULL, consumer, views[i]);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		pthread_create(&ps[i], NULL, producer, (void *)i);
	while (poll(&in, 1, 50) == 0 && !atomic_load(&ending))
		progress(argv[4]);
	atomic_store(&ending, true);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(ps[i], NULL);
	atomic_store(&all_acked, true);
	for (int i = 0; i < CONSUMERS; i++)
		pthread_join(cs[i], NULL);
	compare();
	progress(argv[4]);
	printf("acked %ld, failed %ld, violations %ld\n", atomic_load(&acked),
	    atomic_load(&failed), atomic_load(&bad));
	if (atomic_load(&bad) > 0)
		return 1;
	if (atomic_load(&gave_up))
		return 3;
	return atomic_load(&failed) > 0;
}
