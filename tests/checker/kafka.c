/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of a run do with librdkafka alike.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { CALL_MS = 5000 };

void
die(const char *what, const char *why)
{
	fprintf(stderr, "chronik-check: %s: %s\n", what, why);
	exit(2);
}

const char *
ck_name(const struct check *c, const char *what, char *buf, size_t size)
{
	snprintf(buf, size, "ck-%s-%012" PRIx64, what,
	    c->setup.run & 0xffffffffffff);
	return buf;
}

struct hist *
ck_hist(const struct check *c, const char *kind, int number)
{
	char name[64];
	struct hist *h;

	snprintf(name, sizeof name, "%s-%d", kind, number);
	h = hist_new(c->dir, name, c->setup.run);
	if (h == NULL)
		die(name, "its history cannot be made");
	return h;
}

uint64_t
ck_seed(const struct check *c, const char *kind, int number)
{
	uint64_t h = c->setup.seed * 1000003 + (uint64_t)number;

	for (; *kind != '\0'; kind++)
		h = h * 31 + (uint8_t)*kind;
	return mix64(h);
}

rd_kafka_conf_t *
kc_conf(const struct check *c, const char *const *kv)
{
	const char *common[] = { "bootstrap.servers", c->bootstrap,
	    "reconnect.backoff.ms", "20", "reconnect.backoff.max.ms", "500",
	    "socket.timeout.ms", "10000", "log_level", "1",
	    "topic.metadata.refresh.fast.interval.ms", "50",
	    "topic.metadata.propagation.max.ms", "60000", NULL };
	const char *const *lists[] = { common, kv };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[512];

	for (int l = 0; l < 2; l++)
		for (const char *const *p = lists[l]; p[0] != NULL; p += 2)
			if (rd_kafka_conf_set(conf, p[0], p[1], why,
			    sizeof why) != RD_KAFKA_CONF_OK)
				die(p[0], why);
	return conf;
}

rd_kafka_t *
kc_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char why[512];
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);

	if (rk == NULL)
		die("client", why);
	return rk;
}

static void *
free_main(void *rk)
{
	rd_kafka_destroy(rk);
	return NULL;
}

void
kc_free(rd_kafka_t *rk)
{
	pthread_t t;

	if (pthread_create(&t, NULL, free_main, rk) != 0)
		die("thread", "cannot be started");
	pthread_detach(t);
}

rd_kafka_t *
kc_reader(const struct check *c, const char *group)
{
	const char *kv[] = { "group.id", group, "enable.auto.commit", "false",
	    "enable.auto.offset.store", "false", "auto.offset.reset", "error",
	    "check.crcs", "true", "enable.partition.eof", "true",
	    "isolation.level", "read_committed", "fetch.wait.max.ms", "100",
	    "fetch.error.backoff.ms", "50", "session.timeout.ms", "10000",
	    "heartbeat.interval.ms", "500", "queued.min.messages", "1000",
	    NULL };
	rd_kafka_t *rk = kc_new(RD_KAFKA_CONSUMER, kc_conf(c, kv));

	rd_kafka_poll_set_consumer(rk);
	return rk;
}

/* ---- administration ----------------------------------------------------- */

/* Error of the first result, or of the whole. */
static rd_kafka_resp_err_t
create_error(rd_kafka_event_t *ev, char *why, size_t size)
{
	const rd_kafka_topic_result_t **r;
	size_t n;

	if (ev == NULL)
		return RD_KAFKA_RESP_ERR__TIMED_OUT;
	if (rd_kafka_event_error(ev) != 0)
		return rd_kafka_event_error(ev);
	r = rd_kafka_CreateTopics_result_topics(
	    rd_kafka_event_CreateTopics_result(ev), &n);
	if (n != 1)
		return RD_KAFKA_RESP_ERR__FAIL;
	if (rd_kafka_topic_result_error_string(r[0]) != NULL)
		snprintf(why, size, "%s",
		    rd_kafka_topic_result_error_string(r[0]));
	return rd_kafka_topic_result_error(r[0]);
}

static rd_kafka_resp_err_t
create_once(rd_kafka_t *rk, const struct ck_topic *t,
    const char *const *configs, char *why, size_t size)
{
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_NewTopic_t *nt = rd_kafka_NewTopic_new(t->name, t->nparts, 1,
	    why, size);
	rd_kafka_resp_err_t e;
	rd_kafka_event_t *ev;

	for (; configs != NULL && configs[0] != NULL; configs += 2)
		rd_kafka_NewTopic_set_config(nt, configs[0], configs[1]);
	rd_kafka_CreateTopics(rk, &nt, 1, NULL, q);
	ev = rd_kafka_queue_poll(q, CALL_MS * 2);
	e = create_error(ev, why, size);
	if (e != 0 && why[0] == '\0')
		snprintf(why, size, "%s", rd_kafka_err2str(e));
	if (ev != NULL)
		rd_kafka_event_destroy(ev);
	rd_kafka_NewTopic_destroy(nt);
	rd_kafka_queue_destroy(q);
	return e;
}

bool
kc_topic(struct check *c, const struct ck_topic *t,
    const char *const *configs)
{
	const char *none[] = { NULL };
	rd_kafka_t *rk = kc_new(RD_KAFKA_PRODUCER, kc_conf(c, none));
	int64_t end = mono_ns() + c->heal_ms * 1000000;
	rd_kafka_resp_err_t e;
	char why[512];

	do {
		why[0] = '\0';
		e = create_once(rk, t, configs, why, sizeof why);
		if (e == RD_KAFKA_RESP_ERR_INVALID_CONFIG ||
		    e == RD_KAFKA_RESP_ERR_POLICY_VIOLATION ||
		    (e != 0 && mono_ns() > end))
			die(t->name, why);
	} while (e != 0 && e != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS &&
	    !atomic_load(&c->ending));
	kc_free(rk);
	return e == 0 || e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
}

rd_kafka_resp_err_t
kc_delete(rd_kafka_t *rk, const char *topic, int part, int64_t offset,
    int64_t *low)
{
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_topic_partition_list_t *l =
	    rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR__TIMED_OUT;
	rd_kafka_DeleteRecords_t *d;
	rd_kafka_event_t *ev;

	rd_kafka_topic_partition_list_add(l, topic, part)->offset = offset;
	d = rd_kafka_DeleteRecords_new(l);
	rd_kafka_DeleteRecords(rk, &d, 1, NULL, q);
	ev = rd_kafka_queue_poll(q, CALL_MS * 2);
	if (ev != NULL && (e = rd_kafka_event_error(ev)) == 0) {
		const rd_kafka_topic_partition_list_t *r =
		    rd_kafka_DeleteRecords_result_offsets(
		    rd_kafka_event_DeleteRecords_result(ev));

		e = r->cnt == 1 ? r->elems[0].err : RD_KAFKA_RESP_ERR__FAIL;
		*low = r->cnt == 1 ? r->elems[0].offset : -1;
	}
	if (ev != NULL)
		rd_kafka_event_destroy(ev);
	rd_kafka_DeleteRecords_destroy(d);
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_queue_destroy(q);
	return e;
}

/* ---- records ------------------------------------------------------------ */

int
kc_find(const struct check *c, const char *topic)
{
	for (int i = 0; i < atomic_load(&c->ntopics); i++)
		if (strcmp(c->setup.topics[i].name, topic) == 0)
			return i;
	return -1;
}

/* The stamp is the value, but a tombstone's is in a header. */
static uint32_t
took_check(struct check *c, const struct ck_topic *t,
    const rd_kafka_message_t *m, int topic, struct value *v)
{
	rd_kafka_timestamp_type_t type;
	int64_t ts = rd_kafka_message_timestamp(m, &type);
	uint8_t head[VALUE_HEAD];
	char key[VALUE_KEY_MAX];
	rd_kafka_headers_t *hs;
	const void *h = NULL, *stamp = m->payload;
	size_t n = 0, len = m->len;
	uint32_t bad = 0;

	if (rd_kafka_message_headers(m, &hs) != 0)
		return EV_BAD_HEADER | EV_BAD_FOREIGN;
	if (m->payload == NULL &&
	    rd_kafka_header_get_last(hs, "stamp", &stamp, &len) != 0)
		return EV_BAD_VALUE | EV_BAD_FOREIGN;
	bad = value_check(c->setup.run, stamp, len, v);
	if ((bad & EV_BAD_FOREIGN) != 0)
		return bad;
	value_head(c->setup.run, v, head);
	if (rd_kafka_header_get_last(hs, "h", &h, &n) != 0 ||
	    n != VALUE_HEAD || memcmp(h, head, n) != 0)
		bad |= EV_BAD_HEADER;
	n = value_key(v, t->compact, key);
	if (m->key_len != n || memcmp(m->key, key, n) != 0)
		bad |= EV_BAD_KEY;
	if (v->topic != topic || v->part != m->partition)
		bad |= EV_BAD_VALUE;
	if (!t->append_time ? ts != v->ts || type !=
	    RD_KAFKA_TIMESTAMP_CREATE_TIME : type !=
	    RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME)
		bad |= EV_BAD_TIME;
	return bad;
}

void
kc_took(struct check *c, struct hist *h, int topic,
    const rd_kafka_message_t *m, uint32_t when)
{
	struct value v = { .id = 0 };
	uint32_t bad = took_check(c, &c->setup.topics[topic], m, topic, &v);

	hist_put(h, (struct event){ EV_POLL, EV_OK, (uint16_t)topic,
	    (uint32_t)m->partition, 0, v.id, m->offset,
	    rd_kafka_message_timestamp(m, NULL), bad | when });
	atomic_fetch_add(&c->read, 1);
}

bool
kc_list(struct check *c, struct hist *h, rd_kafka_t *rk, int topic, int part,
    uint32_t when, int64_t *low, int64_t *high)
{
	int64_t asked, before;

	/* Where only the question for the start fails, librdkafka says that it
	 * is the end: an empty log is believed when it is told twice. */
	*high = -1;
	do {
		before = *high;
		asked = mono_ns();
		if (rd_kafka_query_watermark_offsets(rk,
		    c->setup.topics[topic].name, part, low, high, CALL_MS) !=
		    0)
			return false;
	} while (*low == *high && *high > 0 && *high != before);
	hist_put(h, (struct event){ EV_LIST, EV_OK, (uint16_t)topic,
	    (uint32_t)part, 0, (uint64_t)asked, *low, *high, when });
	return true;
}
