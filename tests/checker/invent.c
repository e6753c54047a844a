/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The histories of a sound run that never took place: to measure the judge.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

int	 invent(struct check *, int64_t records);

enum { SENDERS = 4 };

static void
one(struct hist **h, struct hist *reader, struct hist *last, int64_t i,
    int nparts)
{
	int64_t at = 1000 + i * 1000;
	struct event e = { .topic = 0, .part = (uint32_t)(i % nparts),
	    .id = EV_ID(1 + i % SENDERS, i / SENDERS), .offset = -1,
	    .a = i };

	e.type = EV_SEND;
	e.outcome = EV_INVOKE;
	e.at = at;
	e.b = 100;
	hist_put(h[i % SENDERS], e);
	e.outcome = EV_OK;
	e.offset = i / nparts;
	e.at = at + 500;
	hist_put(h[i % SENDERS], e);
	e.type = EV_POLL;
	e.b = 0;
	e.at = at + 600;
	hist_put(reader, e);
	e.b = EV_PASS(1, 1);
	hist_put(last, e);
	if (i % 1000 != 999)
		return;
	e = (struct event){ .type = EV_LIST, .outcome = EV_OK, .part = e.part,
	    .at = at + 700, .id = (uint64_t)at + 650, .a = e.offset + 1 };
	hist_put(reader, e);
}

int
invent(struct check *c, int64_t records)
{
	struct hist *h[SENDERS], *reader, *last;

	if (mkdir(c->dir, 0755) != 0)
		die(c->dir, "cannot be made; it must not be there");
	c->setup.run = c->setup.seed = 1;
	c->setup.ntopics = 1;
	c->setup.topics[0] = (struct ck_topic){ .name = "invented",
	    .nparts = c->nparts, .acks = -1, .idempotent = true,
	    .retention_ms = -1, .retention_bytes = -1 };
	if (!setup_save(&c->setup, c->dir))
		die(c->dir, "run.txt cannot be written");
	for (int i = 0; i < SENDERS; i++)
		h[i] = ck_hist(c, "produce", i);
	reader = ck_hist(c, "read", 0);
	last = ck_hist(c, "final", 1);
	for (int64_t i = 0; i < records; i++)
		one(h, reader, last, i, c->nparts);
	for (int p = 0; p < c->nparts; p++)
		hist_put(last, (struct event){ .type = EV_LIST,
		    .outcome = EV_OK, .part = (uint32_t)p, .at =
		    records * 1000 + 9000, .id = (uint64_t)records * 1000 +
		    8000, .a = (records - p + c->nparts - 1) / c->nparts,
		    .b = EV_PASS(1, 1) });
	for (int i = 0; i < SENDERS; i++)
		hist_close(h[i]);
	hist_close(reader);
	hist_close(last);
	return 0;
}
