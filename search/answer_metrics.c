/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: how far the index is, in the text format of Prometheus. */
#include <stdlib.h>
#include <string.h>

#include "answer_in.h"

enum {
	SERIES_MAX	= 200,		/* with series of their own */
	AGES_MS		= 5000,		/* for the ages of records */
};

/* The partitions of a topic together; of the last, all other topics'. */
struct sum { const char *topic; struct progress all; };

static const struct {
	const char	*name, *help;
	size_t		 at;		/* in struct progress */
	double		 unit;
} rows[] = {
#define ROW(name, member, unit, help)					\
	{ name, help, offsetof(struct progress, member), unit }
	ROW("indexed_records", indexed, 1, "Offsets that are indexed"),
	ROW("lag_records", missing, 1, "Offsets that are not indexed yet"),
	ROW("lag_seconds", lag_ms, 1e-3,
	    "Age of the oldest record that is not indexed yet"),
	ROW("bytes", bytes, 1, "Files of the index"),
#undef ROW
};

static void
sum_add(struct sum *sum, const struct progress *p)
{
	sum->all.indexed += p->indexed;
	sum->all.missing += p->missing;
	sum->all.bytes += p->bytes;
	if (p->lag_ms > sum->all.lag_ms)
		sum->all.lag_ms = p->lag_ms;
}

/* Of every walk, by its topic: the walks of one are side by side. */
static int
sum_walks(struct search *s, struct sum v[SERIES_MAX + 1])
{
	int64_t now = elink_wall_ms();
	struct progress p;
	int n = 0;

	for (int i = 0; i < s->nwalks; i++) {
		struct walk *w = &s->walks[i];

		if (n == 0 || (n <= SERIES_MAX && strcmp(v[n - 1].topic,
		    w->topic) != 0)) {
			v[n].topic = n < SERIES_MAX ? w->topic : "_other";
			n++;
		}
		walk_progress(w, now, &p);
		sum_add(&v[n - 1], &p);
	}
	return n;
}

static void
put_rows(struct wr *w, const struct sum *v, int n)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		answer_putf(w, "# HELP chronik_index_%s %s\n"
		    "# TYPE chronik_index_%s gauge\n", rows[i].name,
		    rows[i].help, rows[i].name);
		for (int j = 0; j < n; j++) {
			int64_t x;

			memcpy(&x, (const char *)&v[j].all + rows[i].at,
			    sizeof x);
			answer_putf(w, "chronik_index_%s{topic=\"%s\"} %.15g\n",
			    rows[i].name, v[j].topic, (double)x *
			    rows[i].unit);
		}
	}
}

void
answer_metrics(struct serve_call *c)
{
	static const struct query everything = { .op = Q_ALL };
	struct search s = { .src = c->src, .dir = c->dir,
	    .query = &everything, .sort = SORT_NEWEST,
	    .deadline_ms = elink_now_ms() + AGES_MS };
	struct sum v[SERIES_MAX + 1] = { 0 };
	enum err e = search_open(&s);

	if (e != E_OK)
		answer_error(c, 503, "unavailable", err_text(e));
	else {
		put_rows(&c->out, v, sum_walks(&s, v));
		answer_putf(&c->out, "# HELP chronik_index_damaged_shards "
		    "Shards that are of no use\n"
		    "# TYPE chronik_index_damaged_shards gauge\n"
		    "chronik_index_damaged_shards %lld\n",
		    (long long)s.shards_broken);
		c->type = "text/plain; version=0.0.4";
	}
	search_close(&s);
}
