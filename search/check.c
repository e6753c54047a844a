/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-search status and verify: how far the index is, and whether it holds
 * what the log holds: a document for every record, and no other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "emit.h"
#include "lib/limits.h"
#include "lib/opts.h"
#include "times.h"

enum {
	SAMPLE_EVERY	= 1000,		/* a record whose terms are looked up */
	AGES_MS		= 10000,	/* for the ages of records */
	TRIES		= 5,		/* for a shard that is being written */
};

struct places { struct place at; bool json; };

/* Options of these commands; how many topics are left at the front of argv. */
static int
take_places(int argc, char **argv, struct places *p, const char *name)
{
	static const char *const names[] = { "engine", "data-dir",
	    "index-dir" };
	bool status = strcmp(name, "status") == 0;
	const char **at[] = { &p->at.engine, &p->at.data_dir,
	    &p->at.index_dir };
	enum { PLACES = 3, JSON = PLACES, HELP };
	struct opts o;
	int id, left = 0;

	opts_init(&o, argc, argv);
	for (int i = 0; i < PLACES; i++)
		opts_add(&o, i, names[i], 0, true);
	if (status)
		opts_add(&o, JSON, "json", 0, false);
	opts_add(&o, HELP, "help", 'h', false);
	while ((id = opts_next(&o)) != OPTS_END) {
		if (id == OPTS_BAD)
			cmd_fail("%s: %s %s; --help lists them", name, o.arg,
			    o.why);
		if (id == HELP) {
			printf("usage: chronik-search %s %s"
			    "[--engine PATH] [--data-dir DIR] "
			    "[--index-dir DIR] [TOPIC ...]\n", name,
			    status ? "[--json] " : "");
			exit(0);
		}
		if (id == OPTS_WORD)
			argv[left++] = argv[o.at];
		else if (id == JSON)
			p->json = true;
		else
			*at[id] = o.value;
	}
	opts_free(&o);
	return left;
}

static const struct query everything = { .op = Q_ALL };

static void
open_all(struct search *s, const struct places *p, char dir[SHARD_PATH])
{
	enum err e;

	s->src = cmd_connect(&p->at, dir);
	s->dir = dir;
	s->query = &everything;
	e = search_open(s);
	if (e == E_NOTFOUND || e == E_USAGE)
		cmd_fail("%s", s->why);
	if (e != E_OK)
		cmd_fail("the engine does not answer: %s", err_text(e));
}

static void
print_progress(const struct walk *w, const struct progress *k, bool json)
{
	printf(json ? "{\"topic\":\"%s\",\"partition\":%d,"
	    "\"indexed\":%lld,\"lag\":%lld,\"shards\":%d,"
	    "\"bytes\":%lld,\"indexed_to\":%lld,\"lag_ms\":%lld}\n" :
	    "%s\t%d\t%lld\t%lld\t%d\t%lld\t%lld\t%lld\n", w->topic,
	    w->part, (long long)k->indexed, (long long)k->missing, k->shards,
	    (long long)k->bytes, (long long)k->indexed_to,
	    (long long)k->lag_ms);
}

int
cmd_status(int argc, char **argv)
{
	struct search s = { .sort = SORT_NEWEST };
	struct places p = { 0 };
	char dir[SHARD_PATH];
	struct progress k;
	int64_t now;

	s.ntopics = take_places(argc, argv, &p, "status");
	s.topics = (const char *const *)argv;
	s.deadline_ms = elink_now_ms() + AGES_MS;
	open_all(&s, &p, dir);
	now = elink_wall_ms();
	if (!p.json)
		puts("TOPIC\tPARTITION\tINDEXED\tLAG\tSHARDS\tBYTES\t"
		    "INDEXED-TO\tLAG-MS");
	for (int i = 0; i < s.nwalks; i++) {
		walk_progress(&s.walks[i], now, &k);
		print_progress(&s.walks[i], &k, p.json);
	}
	search_close(&s);
	src_close(s.src);
	return fflush(stdout) == 0 ? EXIT_HITS : EXIT_ERROR;
}

/* ---- verify ------------------------------------------------------------ */

struct verify {
	const struct walk *w;
	const struct shard *shard;
	struct xap_db	*db;
	struct sconf	 conf;
	struct doc	 doc;
	struct shapes	 shapes;
	uint32_t	*ids;		/* of its documents, rising */
	uint32_t	 n, at, id;
	int64_t		 records, bad;
	enum err	 err;
};

static void
complain(struct verify *v, int64_t offset, const char *what)
{
	if (v->bad++ < 10)
		printf("%s/%d@%lld: %s\n", v->w->topic, v->w->part,
		    (long long)offset, what);
}

static enum err
sink_term(void *arg, const struct term_buf *b, int position, int wdf)
{
	struct verify *v = arg;
	bool has = false;
	enum err e = xap_has(v->db, b->p, b->n, v->id, &has);

	(void)position;
	(void)wdf;
	if (e == E_OK && !has)
		complain(v, v->shard->base + v->id - 1, "lacks a term");
	return e;
}

static enum err
sink_value(void *arg, int slot, double d)
{
	(void)arg;
	(void)slot;
	(void)d;
	return E_OK;
}

static bool
each_id(void *arg, uint32_t id)
{
	struct verify *v = arg;

	v->ids[v->n++] = id;
	return v->n < SHARD_DOCS_MAX;
}

static enum err
check_time(struct verify *v, const struct record *r)
{
	int64_t ts = 0;
	enum err e = times_get(v->db, v->id, &ts);

	if (e == E_NOTFOUND || (e == E_OK && ts != r->ts))
		complain(v, r->offset, "has another time");
	return e == E_NOTFOUND ? E_OK : e;
}

static bool
each_record(void *arg, const struct record *r)
{
	struct verify *v = arg;
	const struct emit_sink sink = { arg, sink_term, sink_value,
	    &v->shapes };

	v->id = (uint32_t)(r->offset - v->shard->base + 1);
	for (; v->at < v->n && v->ids[v->at] < v->id; v->at++)
		complain(v, v->shard->base + v->ids[v->at] - 1,
		    "is in the index, not in the log");
	if (v->at < v->n && v->ids[v->at] == v->id) {
		v->at++;
		if (v->records++ % SAMPLE_EVERY != 0)
			return true;
		v->err = check_time(v, r);
		if (v->err == E_OK && doc_read(&v->doc, r) == E_OK)
			v->err = emit_doc(&v->doc, &v->conf, &sink);
	} else
		complain(v, r->offset, "is in the log, not in the index");
	return v->err == E_OK;
}

/* Everything that is to be compared. */
static enum err
verify_records(struct verify *v)
{
	int64_t next, gaps, low = v->shard->base, end;
	uint32_t docs, last;
	enum err e = shard_facts(v->db, &next, &gaps, &v->conf);

	if (e == E_OK)
		e = xap_counts(v->db, &docs, &last);
	if (e != E_OK)
		return e;
	if (next - low != (int64_t)docs + gaps)
		complain(v, low, "documents and gaps do not add up");
	if (next < v->shard->end)
		complain(v, low, "the shard ends before its name says");
	if (docs > SHARD_DOCS_MAX) {
		complain(v, low, "the shard has too many documents");
		return E_OK;
	}
	e = xap_each(v->db, each_id, v);
	/* Documents below the log's start are deleted with their shard. */
	if (low < v->w->start)
		low = v->w->start;
	while (v->at < v->n && v->shard->base + v->ids[v->at] - 1 < low)
		v->at++;
	if (e == E_OK)
		e = src_read(v->w->search->src, &v->w->id, v->w->part, low,
		    v->shard->end, each_record, v, &end);
	if (e == E_OK)
		e = v->err;
	for (; e == E_OK && v->at < v->n && v->shard->base +
	    v->ids[v->at] - 1 < v->shard->end; v->at++)
		complain(v, v->shard->base + v->ids[v->at] - 1,
		    "is in the index, not in the log");
	return e == E_OFFSET_OUT_OF_RANGE ? E_OK : e;
}

static enum err
verify_shard(struct verify *v, const char *dir)
{
	char path[SHARD_PATH];
	enum err e;

	shard_path(path, dir, v->shard);
	v->n = v->at = 0;
	v->err = E_OK;
	v->ids = malloc((SHARD_DOCS_MAX + 1) * sizeof *v->ids);
	e = v->ids == NULL ? E_NOMEM : xap_open(path, &v->db);
	if (e == E_OK) {
		e = xap_metas(v->db, SHAPE_KEY, shapes_take, &v->shapes);
		if (e == E_OK)
			e = verify_records(v);
		shapes_free(&v->shapes);
		sconf_free(&v->conf);
		xap_close(v->db);
	}
	free(v->ids);
	return e;
}

/* The indexer goes on meanwhile: a shard that grew may be a file by now, or
 * was removed with its records. */
static enum err
verify_again(struct verify *v, const char *dir)
{
	struct shard want = *v->shard;
	const struct shard *was = v->shard, *now;
	int64_t bad = v->bad, records = v->records;
	struct shards list;
	enum err e;

	v->shard = &want;
	e = verify_shard(v, dir);
	for (int i = 1; i < TRIES && (e == E_NOTFOUND || e == E_BUSY); i++) {
		if (shards_list(dir, SHARDS_LIST, &list, NULL) != E_OK)
			break;
		now = shards_find(&list, want.base);
		if (now == NULL || now->base != want.base)
			e = E_OK;
		else
			want.hot = now->hot;
		if (e != E_OK && !now->hot)
			want.end = now->end;
		shards_free(&list);
		v->bad = bad;
		v->records = records;
		if (e != E_OK)
			e = verify_shard(v, dir);
	}
	v->shard = was;
	return e;
}

int
cmd_verify(int argc, char **argv)
{
	struct search s = { .sort = SORT_NEWEST };
	struct places p = { 0 };
	char dir[SHARD_PATH], part[SHARD_PATH];
	int64_t bad = 0, records = 0, lag = 0;
	struct progress k;
	int shards = 0;

	s.ntopics = take_places(argc, argv, &p, "verify");
	s.topics = (const char *const *)argv;
	open_all(&s, &p, dir);
	for (int i = 0; i < s.nwalks; i++) {
		struct walk *w = &s.walks[i];
		struct verify v = { .w = w };

		doc_init(&v.doc);
		shard_dir(part, dir, &w->id, w->part);
		for (int j = 0; j < w->shards.n; j++) {
			enum err e;

			v.shard = &w->shards.v[j];
			if (j > 0 && v.shard->base < v.shard[-1].end)
				complain(&v, v.shard->base, "two shards have "
				    "it");
			e = verify_again(&v, part);
			if (e != E_OK)
				complain(&v, v.shard->base, err_text(e));
			shards++;
		}
		doc_free(&v.doc);
		bad += v.bad;
		records += v.records;
		walk_progress(w, 0, &k);
		lag += k.missing;
	}
	bad += s.shards_broken;
	printf("%lld records in %d shards, %lld not indexed yet, %lld "
	    "wrong\n", (long long)records, shards, (long long)lag,
	    (long long)bad);
	search_close(&s);
	src_close(s.src);
	return bad > 0 ? EXIT_NONE : EXIT_HITS;
}
