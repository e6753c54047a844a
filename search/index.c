/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The indexer.  Its state is the files (shard.h): it looks for the first
 * offset of a partition that no shard has, indexes from there, and commits
 * documents and the offset behind them in one transaction.  So it may be
 * killed at any point, and whatever is missing is made again.
 *
 * One writer is open at a time, for one step, so memory does not depend on
 * the number of topics.  Steps go round the partitions.
 *
 * Shards go when the log before their end is deleted, when their topic is
 * deleted, or not searched any more, or has other configs, and when their
 * segment was written anew (compaction).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "emit.h"
#include "index.h"
#include "index_in.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "times.h"

enum {
	VIEW_WAIT_MS	= 600000,	/* then it is asked again, to be sure */
	ROUND_MS	= 500,		/* at least, while there is little */
	RETRY_MS	= 5000,		/* after an error */
	NICE		= 10,
	IO_LAST		= 7,		/* of those that get something at all */
};

/* ---- one transaction --------------------------------------------------- */

struct step {
	struct ipart	*part;
	struct xap_writer *w;
	struct doc	 doc;
	struct shapes	 shapes;
	struct times	*times;
	int64_t		 base;		/* of the shard */
	int		 docs;
	int64_t		 bytes;
	enum err	 err;
};

static enum err
sink_term(void *arg, const struct term_buf *b, int position, int wdf)
{
	struct step *s = arg;

	return position < 0 ? xap_term(s->w, b->p, b->n, wdf) :
	    xap_posting(s->w, b->p, b->n, (unsigned)position, wdf);
}

static enum err
sink_value(void *arg, int slot, double v)
{
	struct step *s = arg;

	return xap_value(s->w, slot, v);
}

static bool
each_record(void *arg, const struct record *r)
{
	struct step *s = arg;
	const struct emit_sink sink = { s, sink_term, sink_value,
	    &s->shapes };
	uint32_t id = (uint32_t)(r->offset - s->base + 1);

	/* A record that cannot be taken apart has no words, for a query that
	 * reads it neither. */
	if (doc_read(&s->doc, r) == E_OK)
		s->err = emit_doc(&s->doc, &s->part->topic->conf, &sink);
	if (s->err == E_OK)
		s->err = times_add(s->times, id, r->ts);
	if (s->err == E_OK)
		s->err = xap_add(s->w, id);
	s->docs++;
	s->bytes += r->key_len + r->value_len;
	return s->err == E_OK && s->docs < INDEX_COMMIT_DOCS &&
	    s->bytes < INDEX_COMMIT_BYTES;
}

static enum err
set_number(struct xap_writer *w, const char *key, int64_t n)
{
	char buf[24];

	snprintf(buf, sizeof buf, "%lld", (long long)n);
	return xap_meta_set(w, key, buf, strlen(buf));
}

static enum err
commit(struct step *s, int64_t next)
{
	char *conf = sconf_print(&s->part->topic->conf);
	uint32_t docs = 0;
	enum err e = conf == NULL ? E_NOMEM :
	    xap_meta_set(s->w, "conf", conf, strlen(conf));

	free(conf);
	if (e == E_OK)
		e = shapes_store(&s->shapes, s->w);
	if (e == E_OK)
		e = times_store(s->times);
	if (e == E_OK)
		e = xap_writer_count(s->w, &docs);
	if (e == E_OK)
		e = set_number(s->w, "next", next);
	if (e == E_OK)
		e = set_number(s->w, "gaps", next - s->base - (int64_t)docs);
	return e == E_OK ? xap_commit(s->w) : e;
}

/* Indexes a part of [from, to) into a shard; shard->end says how far. */
static enum err
step_run(struct index *x, struct ipart *p, struct shard *shard, int64_t to)
{
	struct step s = { .part = p, .base = shard->base,
	    .shapes = { .grows = true } };
	char dir[SHARD_PATH], path[SHARD_PATH];
	int64_t next = shard->end;
	bool useless;
	enum err e;

	shard_dir(dir, x->dir, &p->topic->id, p->index);
	shard_path(path, dir, shard);
	e = tree_make(dir);
	if (e == E_OK)
		e = xap_writer_open(path, &s.w);
	if (e != E_OK)
		return e;
	doc_init(&s.doc);
	e = xap_writer_metas(s.w, SHAPE_KEY, shapes_take, &s.shapes);
	if (e == E_OK)
		e = times_open(s.w, (uint32_t)(next - shard->base + 1),
		    &s.times);
	useless = e == E_CORRUPT;	/* unlike a damaged log */
	if (e == E_OK)
		e = src_read(x->src, &p->topic->id, p->index, shard->end,
		    to, each_record, &s, &next);
	doc_free(&s.doc);
	if (e == E_OK)
		e = s.err;
	if (e == E_OK && next > shard->end)
		e = commit(&s, next);
	shapes_free(&s.shapes);
	times_close(s.times);
	xap_writer_close(s.w);
	if (useless && shard_remove(dir, shard) == E_OK)
		return e;		/* it is made anew */
	if (e == E_OK && next == shard->end && shard->end == shard->base)
		e = shard_remove(dir, shard);	/* nothing came of it */
	if (e == E_OK)
		shard->end = next;
	return e;
}

/* ---- one partition ----------------------------------------------------- */

/* The first offset from the log's start on that no shard has. */
static int64_t
first_missing(const struct ipart *p)
{
	int64_t at = p->start;
	const struct shard *s = shards_find(&p->shards, at);

	for (; s != NULL && s < p->shards.v + p->shards.n && s->base <= at;
	    s++)
		at = s->end;
	return at;
}

static const struct view_res_seg *
seg_of(const struct ipart *p, int64_t offset)
{
	int i = p->nsegs - 1;

	while (i > 0 && p->segs[i].base > offset)
		i--;
	return i < 0 ? NULL : &p->segs[i];
}

static int64_t
min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Where the shard that begins at base has to end. */
static int64_t
shard_limit(const struct ipart *p, int64_t base)
{
	const struct view_res_seg *seg = seg_of(p, base);
	int64_t to = min64(base + SHARD_DOCS_MAX, shards_gap_end(&p->shards,
	    base + 1));

	return seg == NULL ? base : min64(to, seg->end);
}

static bool
shard_finished(const struct ipart *p, const struct shard *s)
{
	bool last = seg_of(p, s->base) == &p->segs[p->nsegs - 1];

	return s->end >= shard_limit(p, s->base) && (!last ||
	    s->end - s->base >= SHARD_DOCS_MAX ||
	    shards_find(&p->shards, s->end) != NULL);
}

enum err
ipart_tidy(struct index *x, struct ipart *p)
{
	char dir[SHARD_PATH];
	enum err e = E_OK;
	int n = 0;

	shard_dir(dir, x->dir, &p->topic->id, p->index);
	for (int i = 0; i < p->shards.n; i++) {
		struct shard *s = &p->shards.v[i];

		if (e == E_OK && s->end <= p->start)
			e = shard_remove(dir, s);
		else
			p->shards.v[n++] = *s;
	}
	p->shards.n = n;
	for (int i = 0; i < p->shards.n && e == E_OK; i++)
		if (p->shards.v[i].hot && p->nsegs > 0 &&
		    shard_finished(p, &p->shards.v[i]))
			e = shard_seal(dir, &p->shards.v[i]);
	return e;
}

/* One step of work.  *more: there may be another. */
static enum err
ipart_step(struct index *x, struct ipart *p, bool *more)
{
	int64_t from = first_missing(p), before, limit;
	struct shard *s = from > 0 ? shards_find(&p->shards, from - 1) :
	    NULL;
	struct shard fresh = { .base = from, .end = from, .hot = true };
	enum err e;

	*more = false;
	if (from >= p->hw || p->nsegs == 0)
		return E_OK;
	if (s != NULL && (!s->hot || s->end != from || shard_finished(p, s)))
		s = NULL;
	limit = min64(shard_limit(p, s != NULL ? s->base : from), p->hw);
	if (limit <= from)
		return E_OK;
	before = from;
	if (s != NULL) {
		e = step_run(x, p, s, limit);
		from = s->end;
	} else {
		e = step_run(x, p, &fresh, limit);
		from = fresh.end;
		if (e == E_OK && from > before)
			e = shards_add(&p->shards, fresh);
	}
	x->indexed += from - before;
	*more = from > before;
	return e == E_OK ? ipart_tidy(x, p) : e;
}

/* ---- rounds ------------------------------------------------------------ */

/* A shard that is in the way of its writer is made anew. */
static void
ipart_failed(struct index *x, struct ipart *p, enum err e)
{
	char dir[SHARD_PATH];
	int broken = 0;

	/* The segment went meanwhile: the next view says so. */
	if (e == E_OFFSET_OUT_OF_RANGE || e == E_UNKNOWN_TOPIC_ID ||
	    e == E_UNKNOWN_TOPIC)
		return;
	log_warn("cannot index", LS("topic", p->topic->name),
	    LI("part", p->index), LE(e), LS("why", xap_why()));
	p->retry_ms = elink_now_ms() + RETRY_MS;
	shard_dir(dir, x->dir, &p->topic->id, p->index);
	shards_free(&p->shards);
	e = shards_list(dir, e == E_CORRUPT ? SHARDS_TIDY : SHARDS_LIST,
	    &p->shards, &broken);
	if (e != E_OK)
		log_warn("cannot read an index", LS("dir", dir), LE(e));
}

/* A step for each partition.  True when there is more to do. */
static bool
round_run(struct index *x)
{
	bool more = false, again;
	int64_t now = elink_now_ms();

	for (int i = 0; i < x->nparts; i++) {
		struct ipart *p = &x->parts[i];
		enum err e;

		if (p->retry_ms > now)
			continue;
		p->retry_ms = 0;
		again = false;
		e = ipart_step(x, p, &again);
		if (e != E_OK)
			ipart_failed(x, p, e);
		more |= again;
	}
	return more;
}

/* How long the next view may be waited for. */
static int
patience(const struct index *x, bool more)
{
	int64_t now = elink_now_ms(), wait = more ? 0 : VIEW_WAIT_MS;

	for (int i = 0; i < x->nparts; i++)
		if (x->parts[i].retry_ms > 0 &&
		    x->parts[i].retry_ms - now < wait)
			wait = x->parts[i].retry_ms - now;
	return wait < 0 ? 0 : (int)wait;
}

/* Many small transactions cost more than they are worth. */
static void
pause_until(int64_t ms)
{
	int64_t left = ms - elink_now_ms();
	struct timespec ts = { left / 1000, left % 1000 * 1000000 };

	if (left > 0)
		nanosleep(&ts, NULL);
}

int
index_run(struct src *src, const char *dir, bool once)
{
	struct index x = { .src = src, .dir = dir, .seen = -1 };
	const struct view_res *v;
	bool more = false, down = false;
	int64_t began;
	enum err e;

	for (;;) {
		e = src_view(src, x.seen, once && x.seen != -1 ? 0 :
		    patience(&x, more), false, &v);
		if (e != E_OK) {
			if (once)
				return 2;
			if (!down)
				log_warn("the engine does not answer", LE(e));
			down = true;
			pause_until(elink_now_ms() + ROUND_MS);
			continue;
		}
		down = false;
		began = elink_now_ms();
		if (!v->same && (e = index_take(&x, v)) != E_OK) {
			log_warn("cannot keep the index", LS("dir", dir),
			    LE(e));
			if (once)
				return 2;
			pause_until(began + RETRY_MS);
			x.seen = -1;
			continue;
		}
		more = round_run(&x);
		if (!more && once)
			break;
		if (!more)
			pause_until(began + ROUND_MS);
	}
	log_info("indexed", LI("records", x.indexed));
	for (int i = 0; i < x.nparts; i++)
		more |= x.parts[i].retry_ms > 0;
	index_free(&x);
	return more ? 1 : 0;
}

enum err
index_lock(const char *dir)
{
	char path[SHARD_PATH];
	enum err e = tree_make(dir);
	int fd;

	if (e != E_OK)
		return e;
	snprintf(path, sizeof path, "%s/LOCK", dir);
	/* Held as long as the process lives. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_of_errno(errno);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		e = errno == EWOULDBLOCK ? E_BUSY : err_of_errno(errno);
		close(fd);
	}
	return e;
}

void
index_calm(void)
{
	struct sched_param none = { 0 };

	if (setpriority(PRIO_PROCESS, 0, NICE) != 0 ||
	    sched_setscheduler(0, SCHED_BATCH, &none) != 0 ||
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
	    IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IO_LAST)) != 0)
		log_warn("cannot lower the priority", LERRNO(errno));
}
