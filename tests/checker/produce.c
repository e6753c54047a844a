/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers.  Strict ones are idempotent with acks=all; loose ones are not,
 * with acks=1 and every codec and size of batch.  A client that declares
 * itself unable to go on is replaced by another, with a number of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

enum {
	BIG_MAX		= 60000,	/* of a value, bytes */
	KEYS		= 300,		/* of a compacted topic at a time */
	FLUSH_MS	= 120000,
	BURST_MS	= 10,
};

/* One client's life. */
struct producer {
	struct check	*c;
	struct worker	*w;
	struct hist	*h;
	rd_kafka_t	*rk;
	uint32_t	 id;
	uint64_t	 seq, rand;
	uint8_t		*buf;
};

/* Exactly what the library promises of each record. */
static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	struct producer *p = arg;
	struct event e = { .type = EV_SEND, .part = (uint32_t)m->partition,
	    .id = (uint64_t)(uintptr_t)m->_private, .offset = -1 };
	int topic = kc_find(p->c, rd_kafka_topic_name(m->rkt));

	(void)rk;
	e.topic = (uint16_t)topic;
	switch (rd_kafka_message_status(m)) {
	case RD_KAFKA_MSG_STATUS_PERSISTED:
		e.outcome = EV_OK;
		e.offset = m->offset;
		atomic_fetch_add(&p->c->acked, 1);
		break;
	case RD_KAFKA_MSG_STATUS_NOT_PERSISTED:
		e.outcome = EV_FAIL;
		atomic_fetch_add(&p->c->failed, 1);
		break;
	case RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED:
		e.outcome = EV_INFO;
		atomic_fetch_add(&p->c->unknown, 1);
		break;
	}
	hist_put(p->h, e);
}

static rd_kafka_t *
strict_new(struct producer *p)
{
	static const char *const codecs[] = { "none", "lz4", "zstd" };
	const char *kv[] = { "enable.idempotence", "true", "acks", "all",
	    "max.in.flight", "5", "linger.ms", "2", "message.timeout.ms",
	    "90000", "retry.backoff.ms", "50", "compression.codec",
	    codecs[rand_next(&p->rand) % 3], "queue.buffering.max.messages",
	    "5000", NULL };
	rd_kafka_conf_t *conf = kc_conf(p->c, kv);

	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rd_kafka_conf_set_opaque(conf, p);
	return kc_new(RD_KAFKA_PRODUCER, conf);
}

static rd_kafka_t *
loose_new(struct producer *p)
{
	static const char *const codecs[] = { "none", "gzip", "snappy", "lz4",
	    "zstd" };
	static const char *const sizes[] = { "1", "100", "16384", "1000000" };
	static const char *const lingers[] = { "0", "5", "50" };
	const char *kv[] = { "acks", "1", "max.in.flight", "5", "linger.ms",
	    lingers[rand_next(&p->rand) % 3], "message.timeout.ms", "8000",
	    "retry.backoff.ms", "50", "compression.codec",
	    codecs[rand_next(&p->rand) % 5], "batch.size",
	    sizes[rand_next(&p->rand) % 4], "queue.buffering.max.messages",
	    "5000", NULL };
	rd_kafka_conf_t *conf = kc_conf(p->c, kv);

	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rd_kafka_conf_set_opaque(conf, p);
	return kc_new(RD_KAFKA_PRODUCER, conf);
}

/* Which topic is next: of this thread's workload and profile, and mostly the
 * newest. */
static int
topic_pick(struct producer *p)
{
	int n = atomic_load(&p->c->ntopics), fit[TOPICS_MAX], k = 0;

	for (int i = 0; i < n; i++) {
		const struct ck_topic *t = &p->c->setup.topics[i];
		int w = t->compact ? W_COMPACT : t->times ? W_TIMES :
		    t->raw ? W_RAW : t->group ? W_GROUP :
		    t->deletes || t->retention_ms >= 0 ||
		    t->retention_bytes >= 0 ? W_RETAIN : W_APPEND;

		if (w == p->w->workload && t->idempotent == !p->w->loose)
			fit[k++] = i;
	}
	if (k == 0)
		return -1;
	if (p->w->workload == W_APPEND && rand_next(&p->rand) % 8 != 0)
		return fit[k - 1];
	return fit[rand_next(&p->rand) % (uint64_t)k];
}

static int64_t
wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct value
value_pick(struct producer *p, int topic)
{
	const struct ck_topic *t = &p->c->setup.topics[topic];
	uint64_t r = rand_next(&p->rand);
	struct value v = { .id = EV_ID(p->id, p->seq),
	    .topic = (uint16_t)topic, .ts = wall_ms() };

	v.part = (uint16_t)(r % (uint64_t)t->nparts);
	r = rand_next(&p->rand);
	v.len = (uint32_t)(r % 100 == 0 ? r / 100 % BIG_MAX : r / 100 % 400);
	/* Up to an hour back, and rarely ahead of the others. */
	if (t->times && !t->append_time)
		v.ts += (int64_t)(rand_next(&p->rand) % 3600000) - 3500000;
	if (t->compact) {
		/* The keys in use move on, so that some are left alone. */
		v.key = (uint32_t)((p->seq / 16 + rand_next(&p->rand) %
		    KEYS) % KEYS_MAX);
		v.part = (uint16_t)(v.key % (uint32_t)t->nparts);
	}
	return v;
}

static rd_kafka_resp_err_t
value_send(struct producer *p, const struct value *v, bool tombstone)
{
	const struct ck_topic *t = &p->c->setup.topics[v->topic];
	size_t n = VALUE_STAMP + v->len;
	uint8_t head[VALUE_HEAD];
	char key[VALUE_KEY_MAX];
	size_t klen = value_key(v, t->compact, key);

	value_head(p->c->setup.run, v, head);
	value_make(p->c->setup.run, v, p->buf);
	if (tombstone)
		return rd_kafka_producev(p->rk, RD_KAFKA_V_TOPIC(t->name),
		    RD_KAFKA_V_PARTITION(v->part),
		    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		    RD_KAFKA_V_KEY(key, klen), RD_KAFKA_V_VALUE(NULL, 0),
		    RD_KAFKA_V_HEADER("h", head, VALUE_HEAD),
		    RD_KAFKA_V_HEADER("stamp", p->buf, n),
		    RD_KAFKA_V_TIMESTAMP(v->ts),
		    RD_KAFKA_V_OPAQUE((void *)(uintptr_t)v->id),
		    RD_KAFKA_V_END);
	return rd_kafka_producev(p->rk, RD_KAFKA_V_TOPIC(t->name),
	    RD_KAFKA_V_PARTITION(v->part),
	    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_KEY(key, klen), RD_KAFKA_V_VALUE(p->buf, n),
	    RD_KAFKA_V_HEADER("h", head, VALUE_HEAD),
	    RD_KAFKA_V_TIMESTAMP(v->ts),
	    RD_KAFKA_V_OPAQUE((void *)(uintptr_t)v->id), RD_KAFKA_V_END);
}

/* False: the client cannot go on. */
static bool
send_one(struct producer *p)
{
	int topic = topic_pick(p);
	bool compact, tombstone;
	rd_kafka_resp_err_t e;
	struct value v;

	if (topic < 0)
		return true;
	v = value_pick(p, topic);
	compact = p->c->setup.topics[topic].compact;
	tombstone = compact && rand_next(&p->rand) % 8 == 0;
	if (tombstone)
		v.len = 0;
	p->seq++;
	hist_put(p->h, (struct event){ EV_SEND, EV_INVOKE, v.topic, v.part, 0,
	    v.id, -1, v.ts, compact ? v.key | (tombstone ? EV_TOMBSTONE : 0) :
	    v.len + VALUE_STAMP });
	while ((e = value_send(p, &v, tombstone)) ==
	    RD_KAFKA_RESP_ERR__QUEUE_FULL)
		rd_kafka_poll(p->rk, 10);
	atomic_fetch_add(&p->c->sent, 1);
	if (e == 0)
		return true;
	/* It never left this process. */
	hist_put(p->h, (struct event){ EV_SEND, EV_FAIL, v.topic, v.part, 0,
	    v.id, -1, 0, 0 });
	return false;
}

/* Sends until the load ends or the client gives up. */
static void
client_run(struct producer *p)
{
	int burst = p->c->rate * BURST_MS / 1000 + 1;
	bool good = true;
	char why[512];

	p->id = atomic_fetch_add(&p->c->producers, 1);
	p->seq = 0;
	p->rk = p->w->loose ? loose_new(p) : strict_new(p);
	while (good && !atomic_load(&p->c->ending)) {
		int n = (int)(rand_next(&p->rand) % (uint64_t)(2 * burst));
		int64_t until = mono_ns() + BURST_MS * 1000000, left;

		while (n-- > 0 && good)
			good = send_one(p);
		hist_flush(p->h);
		while ((left = (until - mono_ns()) / 1000000) > 0)
			rd_kafka_poll(p->rk, (int)left);
		/* Now and then a producer ends, and another comes. */
		if (rand_next(&p->rand) % 4096 == 0)
			break;
	}
	if (rd_kafka_fatal_error(p->rk, why, sizeof why) != 0) {
		fprintf(stderr, "chronik-check: a producer gave up: %s\n",
		    why);
		atomic_fetch_add(&p->c->gave_up, 1);
		rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE |
		    RD_KAFKA_PURGE_F_INFLIGHT);
	}
	if (rd_kafka_flush(p->rk, FLUSH_MS) != 0)
		rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE |
		    RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_flush(p->rk, 1000);
	kc_free(p->rk);
	hist_flush(p->h);
}

void
produce_probe(struct check *c)
{
	struct worker w = { .c = c };
	struct producer p = { .c = c, .w = &w, .h = ck_hist(c, "probe", 0),
	    .rand = ck_seed(c, "probe", 0),
	    .buf = malloc(VALUE_STAMP + BIG_MAX) };
	int64_t acked = atomic_load(&c->acked), sent = 0;

	if (p.buf == NULL)
		die("memory", "not enough");
	p.id = atomic_fetch_add(&c->producers, 1);
	p.rk = strict_new(&p);
	for (int t = 0; t < atomic_load(&c->ntopics); t++)
		for (int part = 0; part < c->setup.topics[t].nparts; part++) {
			struct value v = value_pick(&p, t);

			v.part = (uint16_t)part;
			v.key = (uint32_t)part;
			p.seq++;
			hist_put(p.h, (struct event){ EV_SEND, EV_INVOKE,
			    v.topic, v.part, 0, v.id, -1, v.ts,
			    c->setup.topics[t].compact ? v.key :
			    v.len + VALUE_STAMP });
			if (value_send(&p, &v, false) == 0)
				sent++;
		}
	if (rd_kafka_flush(p.rk, (int)c->heal_ms) != 0 ||
	    atomic_load(&c->acked) - acked != sent) {
		hist_put(p.h, (struct event){ EV_LIVE, EV_FAIL, 0, 0, 0, 0,
		    -1, c->heal_ms, 0 });
		rd_kafka_purge(p.rk, RD_KAFKA_PURGE_F_QUEUE |
		    RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_flush(p.rk, 1000);
	}
	kc_free(p.rk);
	hist_close(p.h);
	free(p.buf);
}

void *
produce_main(void *arg)
{
	struct worker *w = arg;
	struct producer p = { .c = w->c, .w = w,
	    .h = ck_hist(w->c, "produce", w->number),
	    .rand = ck_seed(w->c, "produce", w->number),
	    .buf = malloc(VALUE_STAMP + BIG_MAX) };

	if (p.buf == NULL)
		die("memory", "not enough");
	while (!atomic_load(&w->c->ending))
		client_run(&p);
	hist_close(p.h);
	free(p.buf);
	return NULL;
}
