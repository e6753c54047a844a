/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that tests drive step by step. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "minilog.h"
#include "rig.h"

enum { STEPS_MAX = 1000 };

int64_t rig_now = 1700000000000;

static int64_t
now(void)
{
	return rig_now;
}

static const struct clock hands = { now, now };

static void
wake(void *arg)
{
	(void)arg;
}

void
rig_init(struct rig *r)
{
	static char *argv[] = { (char *)(uintptr_t)"test", NULL };

	memset(r, 0, sizeof *r);
	log_setup("test", LOG_FATAL, LOG_TEXT);
	the_clock = &hands;
	disk = &simdisk;
	r->disk = sim_new();
	sim_use(r->disk);
	(void)conf_load(&r->conf, CONF_E, "test", 1, argv);
	r->conf.data_dir = "data";
	r->conf.journal_bytes = JOURNAL_FILES * 64 * KIB;
}

enum err
rig_open(struct rig *r)
{
	enum err e;

	memset(&r->eng, 0, sizeof r->eng);
	e = pool_open(0, wake, NULL, &r->commit);
	if (e == E_OK)
		e = pool_open(0, wake, NULL, &r->bulk);
	ASSERT(e == E_OK);
	e = engine_open(&r->eng, &r->conf, r->commit, r->bulk, r->why,
	    sizeof r->why);
	if (e == E_OK) {
		engine_drain(&r->eng);
		ASSERT(r->eng.opened);
	} else
		rig_kill(r);
	return e;
}

static void
forget_all(struct rig *r)
{
	for (struct topic *t = r->eng.topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->parts != NULL && i < t->nparts; i++)
			commit_forget(&r->eng.commit, t->parts[i]);
	if (r->eng.meta.part != NULL)
		commit_forget(&r->eng.commit, r->eng.meta.part);
}

static void
close_all(struct rig *r)
{
	engine_close(&r->eng);
	pool_close(r->commit);
	pool_close(r->bulk);
}

enum err
rig_stop(struct rig *r)
{
	enum err e = E_BUSY;

	for (int i = 0; i < STEPS_MAX && e == E_BUSY; i++) {
		e = engine_stop(&r->eng);
		(void)pool_step(r->commit);
		(void)pool_step(r->bulk);
	}
	close_all(r);
	return e;
}

void
rig_kill(struct rig *r)
{
	forget_all(r);
	close_all(r);
}

void
rig_free(struct rig *r)
{
	sim_free(r->disk);
}

void
rig_settle(struct rig *r, int64_t ms)
{
	rig_now += ms;
	engine_drain(&r->eng);
	timers_run(&r->eng.timers, rig_now);
	engine_drain(&r->eng);
}

static void
answered(struct append *a, enum err e)
{
	struct sent *s = (struct sent *)a;

	s->answers++;
	s->err = e;
}

void
sent_make(struct sent *s, int n, size_t payload, bool all)
{
	memset(s, 0, sizeof *s);
	s->p = malloc(BATCH_HEADER + payload);
	s->a.b = (struct batch){ .pid = -1, .epoch = -1, .base_seq = -1,
	    .count = n, .last_delta = n - 1, .base_ts = rig_now,
	    .max_ts = rig_now };
	(void)mini_batch(s->p, &s->a.b, payload, payload * 7 + 1);
	memcpy(s->a.head, s->p, BATCH_HEADER);
	s->a.body = s->p + BATCH_HEADER;
	s->a.all = all;
	s->a.done = answered;
}

void
sent_free(struct sent *s)
{
	free(s->p);
	s->p = NULL;
}

struct made_topic {
	struct topic_op	op;
	int		calls;
	enum err	err;
};

static void
made(struct topic_op *op, enum err e)
{
	struct made_topic *m = op->arg;

	m->calls++;
	m->err = e;
}

struct topic *
rig_topic(struct rig *r, const char *name, int32_t nparts)
{
	struct made_topic m = { .op = { .done = made } };
	enum err e;

	m.op.arg = &m;
	e = topic_create(&r->eng, kstr_of(name), nparts, NULL, &m.op);
	ASSERT(e == E_OK);
	engine_drain(&r->eng);
	ASSERT(m.calls == 1);
	ASSERT(m.err == E_OK);
	return topic_find(&r->eng.topics, kstr_of(name));
}

void
rig_append(struct rig *r, struct part *p, size_t payload)
{
	struct sent s;
	enum err e;

	sent_make(&s, 1, payload, true);
	e = part_append(p, &s.a);
	ASSERT(e == E_OK);
	engine_drain(&r->eng);
	ASSERT(s.answers == 1);
	ASSERT(s.err == E_OK);
	sent_free(&s);
}
