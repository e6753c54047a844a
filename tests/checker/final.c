/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The final phase: no load, no faults.  Every log is read from its start to
 * its end, again and again until two passes are the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { PASSES_MAX = 4 };

struct pass {
	struct check	*c;
	struct hist	*h;
	rd_kafka_t	*rk;
	uint32_t	 when;
	int64_t		 next[TOPICS_MAX][PARTS_MAX];
	int64_t		 end[TOPICS_MAX][PARTS_MAX];
	int		 left;		/* partitions not read to their end */
	int64_t		 records;
};

/* Begins a partition; false: its ends were not told in time. */
static bool
begin(struct pass *p, int topic, int part, int64_t until)
{
	rd_kafka_topic_partition_list_t *l;
	int64_t low, high;
	rd_kafka_error_t *e;
	bool open;

	while (!kc_list(p->c, p->h, p->rk, topic, part, p->when, &low, &high))
		if (mono_ns() > until)
			return false;
	l = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(l, p->c->setup.topics[topic].name,
	    part)->offset = low;
	open = p->next[topic][part] < p->end[topic][part];
	if (p->next[topic][part] >= 0)
		rd_kafka_incremental_unassign(p->rk, l);
	p->left += (low < high) - open;
	hist_put(p->h, (struct event){ EV_ASSIGN, EV_OK, (uint16_t)topic,
	    (uint32_t)part, 0, 0, low, 0, 0 });
	p->next[topic][part] = low;
	p->end[topic][part] = high;
	if ((e = rd_kafka_incremental_assign(p->rk, l)) != NULL)
		die("assign", rd_kafka_error_string(e));
	rd_kafka_topic_partition_list_destroy(l);
	return true;
}

static void
reached(struct pass *p, int t, int part, int64_t next)
{
	bool before = p->next[t][part] < p->end[t][part];

	p->next[t][part] = next;
	if (before && next >= p->end[t][part])
		p->left--;
}

static void
take(struct pass *p, const rd_kafka_message_t *m, int64_t until)
{
	int t = m->rkt == NULL ? -1 : kc_find(p->c,
	    rd_kafka_topic_name(m->rkt));

	if (t < 0)
		return;
	if (m->err == 0) {
		kc_took(p->c, p->h, t, m, p->when);
		p->records++;
		reached(p, t, m->partition, m->offset + 1);
	} else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		hist_put(p->h, (struct event){ EV_EOF, EV_OK, (uint16_t)t,
		    (uint32_t)m->partition, 0, 0, m->offset, 0, 0 });
		/* What compaction left may end before the log does. */
		reached(p, t, m->partition, m->offset);
	} else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
	    m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
		hist_put(p->h, (struct event){ EV_RESET, EV_INFO, (uint16_t)t,
		    (uint32_t)m->partition, 0, 0, p->next[t][m->partition], 0,
		    0 });
		begin(p, t, m->partition, until);
	}
}

/* One pass; returns how many records there are. */
static int64_t
read_all(struct check *c, struct hist *h, uint32_t when)
{
	struct pass *p = calloc(1, sizeof *p);
	int64_t until = mono_ns() + c->heal_ms * 1000000, seen = -1, records;
	char name[64];

	if (p == NULL)
		die("memory", "not enough");
	*p = (struct pass){ .c = c, .h = h, .when = when,
	    .rk = kc_reader(c, ck_name(c, "final", name, sizeof name)) };
	memset(p->next, 0xff, sizeof p->next);
	memset(p->end, 0xff, sizeof p->end);
	for (int t = 0; t < c->setup.ntopics; t++)
		for (int i = 0; i < c->setup.topics[t].nparts; i++)
			if (!begin(p, t, i, until))
				hist_put(h, (struct event){ EV_LIVE, EV_FAIL,
				    (uint16_t)t, (uint32_t)i, 0, 0, -1,
				    c->heal_ms, 0 });
	while (p->left > 0 && mono_ns() < until) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(p->rk, 100);

		if (m != NULL) {
			take(p, m, until);
			rd_kafka_message_destroy(m);
		}
		/* As long as records come it is alive. */
		if (p->records != seen)
			until = mono_ns() + c->heal_ms * 1000000;
		seen = p->records;
	}
	for (int t = 0; p->left > 0 && t < c->setup.ntopics; t++)
		for (int i = 0; i < c->setup.topics[t].nparts; i++)
			if (p->next[t][i] < p->end[t][i])
				hist_put(h, (struct event){ EV_LIVE, EV_FAIL,
				    (uint16_t)t, (uint32_t)i, 0, 0,
				    p->next[t][i], c->heal_ms, 0 });
	rd_kafka_consumer_close(p->rk);
	kc_free(p->rk);
	records = p->records;
	free(p);
	return records;
}

/* What the group has committed, told in time. */
static void
group_ask(struct check *c, struct hist *h)
{
	int64_t until = mono_ns() + c->heal_ms * 1000000;
	char name[64];
	rd_kafka_t *rk = kc_reader(c, ck_name(c, "group", name, sizeof name));

	for (int t = 0; t < c->setup.ntopics; t++)
		while (c->setup.topics[t].group && !kc_group(c, h, rk, t))
			if (mono_ns() > until) {
				hist_put(h, (struct event){ EV_LIVE, EV_FAIL,
				    (uint16_t)t, 0, 0, 0, -1, c->heal_ms, 0 });
				break;
			}
	rd_kafka_consumer_close(rk);
	kc_free(rk);
}

void
final_read(struct check *c, int phase)
{
	struct hist *h = ck_hist(c, "final", phase);
	int64_t before = -1, now = 0;

	for (int pass = 1; pass <= PASSES_MAX && now != before; pass++) {
		before = now == 0 && pass == 1 ? -1 : now;
		now = read_all(c, h, EV_PASS(pass, phase));
	}
	for (int t = 0; t < c->setup.ntopics; t++)
		if (c->setup.topics[t].group) {
			group_ask(c, h);
			break;
		}
	hist_close(h);
}
