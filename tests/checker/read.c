/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: all partitions of all topics, from the start, with a jump now and
 * then; and the members of a group, which commit what they have read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { JUMP_NS = 500000000, CALL_MS = 5000, COMMIT_EVERY = 40 };

struct reader {
	struct check	*c;
	struct hist	*h;
	rd_kafka_t	*rk;
	uint64_t	 rand;
	int		 topics;	/* assigned already */
	bool		 member;	/* of a group, which assigns */
	int64_t		 next[TOPICS_MAX][PARTS_MAX];
	int64_t		 jumped;
};

/* A place is taken up anew: at offset. */
static void
place_at(struct reader *r, int topic, int part, int64_t offset)
{
	rd_kafka_topic_partition_list_t *l =
	    rd_kafka_topic_partition_list_new(1);
	rd_kafka_error_t *e;

	rd_kafka_topic_partition_list_add(l, r->c->setup.topics[topic].name,
	    part)->offset = offset;
	if (r->next[topic][part] >= 0 &&
	    (e = rd_kafka_incremental_unassign(r->rk, l)) != NULL)
		die("unassign", rd_kafka_error_string(e));
	hist_put(r->h, (struct event){ EV_ASSIGN, EV_OK, (uint16_t)topic,
	    (uint32_t)part, 0, 0, offset, 0, 0 });
	if ((e = rd_kafka_incremental_assign(r->rk, l)) != NULL)
		die("assign", rd_kafka_error_string(e));
	r->next[topic][part] = offset;
	rd_kafka_topic_partition_list_destroy(l);
}

static void
topics_follow(struct reader *r)
{
	for (; r->topics < atomic_load(&r->c->ntopics); r->topics++)
		for (int p = 0; p < r->c->setup.topics[r->topics].nparts;
		    p++) {
			r->next[r->topics][p] = -1;
			place_at(r, r->topics, p, 0);
		}
}

/* Some way back, or to the start. */
static void
jump(struct reader *r)
{
	int64_t low, high, at;
	int t, p;

	if (r->topics == 0 || mono_ns() - r->jumped < JUMP_NS)
		return;
	r->jumped = mono_ns();
	t = (int)(rand_next(&r->rand) % (uint64_t)r->topics);
	p = (int)(rand_next(&r->rand) %
	    (uint64_t)r->c->setup.topics[t].nparts);
	if (!kc_list(r->c, r->h, r->rk, t, p, 0, &low, &high))
		return;
	at = rand_next(&r->rand) % 4 == 0 || high - low < 2 ? low :
	    high - (int64_t)(rand_next(&r->rand) % (uint64_t)(high - low) %
	    2000);
	place_at(r, t, p, at);
}

/* The log begins later than the offset that was asked for: taken up there.  We
 * may have jumped since, so only the error knows which one that was. */
static void
out_of_range(struct reader *r, int topic, int part, int64_t offset)
{
	int64_t low, high;

	hist_put(r->h, (struct event){ EV_RESET, EV_INFO, (uint16_t)topic,
	    (uint32_t)part, 0, 0, offset >= 0 ? offset :
	    r->next[topic][part], 0, 0 });
	while (r->member || !kc_list(r->c, r->h, r->rk, topic, part, 0, &low,
	    &high))
		if (r->member || atomic_load(&r->c->ending))
			return;
	place_at(r, topic, part, low);
}

static void
take(struct reader *r, const rd_kafka_message_t *m)
{
	int t = m->rkt == NULL ? -1 : kc_find(r->c,
	    rd_kafka_topic_name(m->rkt));

	if (t < 0)
		return;
	if (m->err == 0) {
		kc_took(r->c, r->h, t, m, 0);
		r->next[t][m->partition] = m->offset + 1;
	} else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		hist_put(r->h, (struct event){ EV_EOF, EV_OK, (uint16_t)t,
		    (uint32_t)m->partition, 0, 0, m->offset, 0, 0 });
	else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
	    m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		out_of_range(r, t, m->partition, m->offset);
}

void *
read_main(void *arg)
{
	struct worker *w = arg;
	struct reader *r = calloc(1, sizeof *r);
	char name[64];

	if (r == NULL)
		die("memory", "not enough");
	r->c = w->c;
	r->h = ck_hist(w->c, "read", w->number);
	r->rand = ck_seed(w->c, "read", w->number);
	r->rk = kc_reader(w->c, ck_name(w->c, "reader", name, sizeof name));
	while (!atomic_load(&w->c->ending)) {
		rd_kafka_message_t *m;

		topics_follow(r);
		m = rd_kafka_consumer_poll(r->rk, 50);
		if (m != NULL) {
			take(r, m);
			rd_kafka_message_destroy(m);
		} else
			hist_flush(r->h);
		jump(r);
	}
	rd_kafka_consumer_close(r->rk);
	kc_free(r->rk);
	hist_close(r->h);
	free(r);
	return NULL;
}

/* ---- groups ------------------------------------------------------------- */

static void
commits_note(struct reader *r, const rd_kafka_topic_partition_list_t *l,
    uint64_t id, uint8_t outcome)
{
	for (int i = 0; i < l->cnt; i++)
		hist_put(r->h, (struct event){ EV_COMMIT, outcome,
		    (uint16_t)kc_find(r->c, l->elems[i].topic),
		    (uint32_t)l->elems[i].partition, 0, id + (uint64_t)i,
		    l->elems[i].offset, 0, 0 });
}

/* Commits where this member stands. */
static void
commit(struct reader *r)
{
	rd_kafka_topic_partition_list_t *l = NULL;
	rd_kafka_resp_err_t e;
	uint64_t id;

	if (rd_kafka_assignment(r->rk, &l) != 0 || l == NULL)
		return;
	for (int i = l->cnt; i > 0; i--) {
		rd_kafka_topic_partition_t *x = &l->elems[i - 1];
		int t = kc_find(r->c, x->topic);

		x->offset = t < 0 ? -1 : r->next[t][x->partition];
		if (x->offset < 0)
			rd_kafka_topic_partition_list_del_by_idx(l, i - 1);
	}
	id = atomic_fetch_add(&r->c->commits, (uint64_t)l->cnt);
	if (l->cnt > 0) {
		commits_note(r, l, id, EV_INVOKE);
		hist_flush(r->h);
		e = rd_kafka_commit(r->rk, l, 0);
		/* The library asks again by itself: an error may be the answer
		 * to the second try of what the first one did. */
		commits_note(r, l, id, e == 0 ? EV_OK : EV_INFO);
		atomic_fetch_add(&r->c->commits_ok, e == 0);
	}
	rd_kafka_topic_partition_list_destroy(l);
}

/* What the group has committed, as it is told. */
bool
kc_committed(struct check *c, struct hist *h, rd_kafka_t *rk,
    rd_kafka_topic_partition_list_t *l)
{
	int64_t asked = mono_ns();

	if (rd_kafka_committed(rk, l, CALL_MS) != 0)
		return false;
	for (int i = 0; i < l->cnt; i++)
		if (l->elems[i].err == 0)
			hist_put(h, (struct event){ EV_COMMITTED, EV_OK,
			    (uint16_t)kc_find(c, l->elems[i].topic),
			    (uint32_t)l->elems[i].partition, 0,
			    (uint64_t)asked, l->elems[i].offset < 0 ? -1 :
			    l->elems[i].offset, 0, 0 });
	return true;
}

bool
kc_group(struct check *c, struct hist *h, rd_kafka_t *rk, int topic)
{
	rd_kafka_topic_partition_list_t *l =
	    rd_kafka_topic_partition_list_new(4);
	bool told;

	for (int p = 0; p < c->setup.topics[topic].nparts; p++)
		rd_kafka_topic_partition_list_add(l,
		    c->setup.topics[topic].name, p);
	told = kc_committed(c, h, rk, l);
	rd_kafka_topic_partition_list_destroy(l);
	return told;
}

static void
rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t e,
    rd_kafka_topic_partition_list_t *l, void *arg)
{
	struct reader *r = arg;

	if (e != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		for (int i = 0; i < l->cnt; i++) {
			int t = kc_find(r->c, l->elems[i].topic);

			r->next[t][l->elems[i].partition] = -1;
		}
		rd_kafka_assign(rk, NULL);
		return;
	}
	while (!kc_committed(r->c, r->h, rk, l))
		if (atomic_load(&r->c->ending))
			break;
	for (int i = 0; i < l->cnt; i++) {
		int t = kc_find(r->c, l->elems[i].topic);

		if (l->elems[i].offset < 0)
			l->elems[i].offset = 0;
		hist_put(r->h, (struct event){ EV_ASSIGN, EV_OK, (uint16_t)t,
		    (uint32_t)l->elems[i].partition, 0, 0,
		    l->elems[i].offset, 0, 0 });
		r->next[t][l->elems[i].partition] = l->elems[i].offset;
	}
	rd_kafka_assign(rk, l);
}

/* One member's life. */
static void
member_run(struct reader *r)
{
	char group[64];
	const char *kv[] = { "group.id", ck_name(r->c, "group", group,
	    sizeof group), "enable.auto.commit", "false",
	    "enable.auto.offset.store", "false", "auto.offset.reset", "error",
	    "check.crcs", "true", "enable.partition.eof", "true",
	    "fetch.wait.max.ms", "100", "session.timeout.ms", "6000",
	    "heartbeat.interval.ms", "300", "fetch.error.backoff.ms", "50",
	    NULL };
	rd_kafka_conf_t *conf = kc_conf(r->c, kv);
	rd_kafka_topic_partition_list_t *l =
	    rd_kafka_topic_partition_list_new(4);
	int left = 200 + (int)(rand_next(&r->rand) % 2000);

	rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
	rd_kafka_conf_set_opaque(conf, r);
	r->rk = kc_new(RD_KAFKA_CONSUMER, conf);
	rd_kafka_poll_set_consumer(r->rk);
	for (int i = 0; i < atomic_load(&r->c->ntopics); i++)
		if (r->c->setup.topics[i].group)
			rd_kafka_topic_partition_list_add(l,
			    r->c->setup.topics[i].name, -1);
	rd_kafka_subscribe(r->rk, l);
	rd_kafka_topic_partition_list_destroy(l);
	for (int n = 0; left > 0 && !atomic_load(&r->c->ending); n++) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, 50);

		if (m != NULL && m->err == 0)
			left--;
		if (m != NULL) {
			take(r, m);
			rd_kafka_message_destroy(m);
		}
		if (n % COMMIT_EVERY == COMMIT_EVERY - 1) {
			commit(r);
			hist_flush(r->h);
		}
	}
	/* Half of them leave work behind for the next one to do again. */
	if (rand_next(&r->rand) % 2 == 0)
		commit(r);
	rd_kafka_consumer_close(r->rk);
	kc_free(r->rk);
}

void *
group_main(void *arg)
{
	struct worker *w = arg;
	struct reader *r = calloc(1, sizeof *r);

	if (r == NULL)
		die("memory", "not enough");
	r->c = w->c;
	r->member = true;
	r->h = ck_hist(w->c, "group", w->number);
	r->rand = ck_seed(w->c, "group", w->number);
	while (!atomic_load(&w->c->ending)) {
		memset(r->next, 0xff, sizeof r->next);
		member_run(r);
	}
	hist_close(r->h);
	free(r);
	return NULL;
}

/* ---- the watcher -------------------------------------------------------- */

static void
watch_time(struct check *c, struct hist *h, rd_kafka_t *rk, int topic,
    int part, uint64_t *rand)
{
	rd_kafka_topic_partition_list_t *l =
	    rd_kafka_topic_partition_list_new(1);
	int64_t asked = mono_ns(), want;

	want = asked / 1000000 + c->setup.wall_ms + 300000 -
	    (int64_t)(rand_next(rand) % 4000000);
	rd_kafka_topic_partition_list_add(l, c->setup.topics[topic].name,
	    part)->offset = want;
	if (rd_kafka_offsets_for_times(rk, l, CALL_MS) == 0 &&
	    l->elems[0].err == 0) {
		hist_put(h, (struct event){ EV_TIME, EV_OK, (uint16_t)topic,
		    (uint32_t)part, 0, (uint64_t)asked, l->elems[0].offset < 0
		    ? -1 : l->elems[0].offset, want, 0 });
		atomic_fetch_add(&c->looked_up, 1);
	}
	rd_kafka_topic_partition_list_destroy(l);
}

static void
watch_delete(struct check *c, struct hist *h, rd_kafka_t *rk, int topic,
    int part, int64_t offset)
{
	rd_kafka_resp_err_t e;
	int64_t low = -1;

	hist_put(h, (struct event){ EV_DELETE, EV_INVOKE, (uint16_t)topic,
	    (uint32_t)part, 0, 0, offset, 0, 0 });
	hist_flush(h);
	e = kc_delete(rk, c->setup.topics[topic].name, part, offset, &low);
	atomic_fetch_add(&c->trimmed, e == 0);
	hist_put(h, (struct event){ EV_DELETE, e == 0 ? EV_OK : EV_INFO,
	    (uint16_t)topic, (uint32_t)part, 0, 0, offset, low, 0 });
}

void *
watch_main(void *arg)
{
	struct worker *w = arg;
	struct check *c = w->c;
	struct hist *h = ck_hist(c, "watch", w->number);
	uint64_t rand = ck_seed(c, "watch", w->number);
	char group[64];
	rd_kafka_t *rk = kc_reader(c, ck_name(c, "group", group,
	    sizeof group));

	while (!atomic_load(&c->ending)) {
		int n = atomic_load(&c->ntopics), t, p;
		const struct ck_topic *x;
		int64_t low, high;

		hist_flush(h);
		rd_kafka_poll(rk, 10);
		if (n == 0)
			continue;
		t = (int)(rand_next(&rand) % (uint64_t)n);
		x = &c->setup.topics[t];
		p = (int)(rand_next(&rand) % (uint64_t)x->nparts);
		if (!kc_list(c, h, rk, t, p, 0, &low, &high))
			continue;
		if (x->times)
			watch_time(c, h, rk, t, p, &rand);
		if (x->group)
			kc_group(c, h, rk, t);
		if (x->deletes && high - low > 200 &&
		    rand_next(&rand) % 4 == 0)
			watch_delete(c, h, rk, t, p, low + (int64_t)
			    (rand_next(&rand) % (uint64_t)(high - low)));
	}
	rd_kafka_consumer_close(rk);
	kc_free(rk);
	hist_close(h);
	return NULL;
}
