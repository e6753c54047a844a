/* SPDX-License-Identifier: Apache-2.0 */
/* The cleaner: its choice, its passes, its pace. */
#include <stdlib.h>
#include <string.h>

#include "cleaner.h"
#include "compact.h"
#include "engine.h"
#include "lib/log.h"
#include "reap.h"
#include "roll.h"
#include "swap.h"
#include "told.h"

enum {
	RETRY_MAX_MS	= 3600 * 1000,
	WAIT_MAX_MS	= 1000,		/* then the loop looks again */
	SLICES_PER_S	= 4,		/* at least, when there is a limit */
};

/* One pass over one partition.  It counts as a job of the partition, also
 * between two jobs: so recovery and deletion wait for its end. */
struct cleaning {
	struct job	 job;
	struct cleaning	*next, **prevp;
	struct part	*part;
	uint32_t	 gen;
	struct compaction c;
	struct timer	 timer;		/* between two slices */
	bool		 out;		/* a job is */
	struct seg	**segs;		/* ours, those of c, until the first
					 * slice has compared them (told.h) */
	char		 dir[PATH_SIZE];
	int64_t		 slice;		/* bytes */
	int64_t		 slice_at, rounds; /* mono_ms when it began, and the
					 * committer's rounds then */
	int64_t		 started;	/* mono_ms */
	/* A swap: */
	int64_t		 bases[COMPACT_GROUP_MAX], due;
	struct seg	*old[COMPACT_GROUP_MAX];	/* ours, those n */
	int		 n;
	struct seg	*fresh;
	bool		 begun;
	enum err	 err;
	struct meta_put	 put;
};

/* ---- options ------------------------------------------------------------ */

/* One that clients may change while the engine runs. */
static int64_t
option(const struct engine *eng, const char *name, int64_t given)
{
	enum config_source src;
	const char *v = configs_dynamic(eng, name, &src);
	int64_t n;

	return v != NULL && conf_parse_int(kstr_of(v), &n) ? n : given;
}

static int64_t
backoff_ms(const struct engine *eng)
{
	return option(eng, "log.cleaner.backoff.ms",
	    eng->conf->log_cleaner_backoff_ms);
}

static int64_t
rate_max(const struct engine *eng)
{
	return option(eng, "log.cleaner.io.max.bytes.per.second",
	    eng->conf->log_cleaner_io_max_bytes_per_second);
}

static int
passes_max(const struct engine *eng)
{
	return (int)option(eng, "log.cleaner.threads",
	    eng->conf->log_cleaner_threads);
}

/* Bytes of one pass's map. */
static int64_t
map_max(const struct engine *eng)
{
	return option(eng, "log.cleaner.dedupe.buffer.size",
	    eng->conf->log_cleaner_dedupe_buffer_size) / passes_max(eng);
}

/* ---- the choice --------------------------------------------------------- */

struct dirt {
	struct part	*part;
	int64_t		 from;		/* first dirty offset */
	int		 nclean;	/* segments before the end of it */
	double		 ratio;
};

/* The segment that holds an offset, or the first one. */
static int
seg_at(const struct part *p, int64_t offset)
{
	int i = 0;

	(void)part_seg(p, offset, &i);
	return i;
}

/* When segments began is not known of those that were finished before the
 * engine's start: it is read when somebody wants to know. */
struct times {
	struct job	 job;
	struct part	*part;
	int		 n;
	struct seg	**segs;		/* ours */
	int64_t		*ts;
};

static void clean_more(struct engine *);

static void
times_run(struct job *j)
{
	struct times *x = (struct times *)j;

	for (int i = 0; i < x->n; i++) {
		uint8_t p[BATCH_HEADER];
		struct batch b;
		size_t got;
		int fd;

		x->ts[i] = -1;
		if (seg_fd(x->segs[i], &fd) == E_OK &&
		    disk->pread(fd, p, sizeof p, 0, &got) == E_OK &&
		    got == sizeof p && batch_read(p, &b) == E_OK)
			x->ts[i] = b.max_ts;
		if (x->ts[i] < 0)
			x->ts[i] = -2;
	}
}

static void
times_done(struct job *j)
{
	struct times *x = (struct times *)j;
	struct part *p = x->part;

	for (int i = 0; i < x->n; i++) {
		x->segs[i]->first_ts = x->ts[i];
		seg_unref(x->segs[i]);
	}
	free(x->segs);
	free(x->ts);
	free(x);
	p->clean.asking = false;
	clean_more(p->eng);
	part_job_done(p);
}

static void
times_learn(struct part *p, int from)
{
	struct times *x;
	int most;

	while (from < p->nsegs - 1 && p->segs[from]->first_ts != -1)
		from++;
	if (from == p->nsegs - 1 || p->clean.asking ||
	    (x = calloc(1, sizeof *x)) == NULL)
		return;
	x->segs = calloc((size_t)p->nsegs, sizeof *x->segs);
	x->ts = calloc((size_t)p->nsegs, sizeof *x->ts);
	if (x->segs == NULL || x->ts == NULL) {
		free(x->segs);
		free(x->ts);
		free(x);
		return;
	}
	most = files_share(&p->eng->files);
	for (int i = from; i < p->nsegs - 1 && x->n < most; i++)
		if (p->segs[i]->first_ts == -1)
			x->segs[x->n++] = seg_ref(p->segs[i]);
	x->part = p;
	x->job.run = times_run;
	x->job.done = times_done;
	p->clean.asking = true;
	p->jobs++;
	pool_submit(p->eng->bulk, &x->job);
}

/* The number of segments before the first that must not be touched; settled:
 * also not those that the journal may write into. */
static int
cleanable(const struct part *p, int64_t dirty, int64_t now, bool settled)
{
	int64_t lag = p->topic->conf.min_compaction_lag_ms;
	int i, from = seg_at(p, dirty);

	for (i = 0; i < p->nsegs - 1; i++) {
		const struct seg *s = p->segs[i];
		int64_t ts = s->max_ts >= 0 ? s->max_ts : s->written_ms;

		if (!s->idx.sealed || s->size == 0 || s->end_offset > p->hw ||
		    (settled && journal_holds(&p->eng->journal, s)) ||
		    (i >= from && lag > 0 && ts > now - lag))
			break;
	}
	return i;
}

/* A dirty segment began too long ago. */
static bool
overdue(struct part *p, int64_t dirty, int64_t now)
{
	int64_t lag = p->topic->conf.max_compaction_lag_ms;
	int from = seg_at(p, dirty);

	if (lag == INT64_MAX)
		return false;
	for (int i = from; i < p->nsegs - 1; i++)
		if (p->segs[i]->first_ts > 0 &&
		    p->segs[i]->first_ts < now - lag)
			return true;
	times_learn(p, from);
	return false;
}

/* As Kafka counts: a segment that is partly dirty is in both sums.  False when
 * there is nothing to do. */
static bool
dirt_of(const struct part *p, int64_t now, bool settled, struct dirt *d)
{
	int64_t clean = 0, dirty = 0;

	*d = (struct dirt){ .from = p->clean.seen };
	if (d->from < p->start || d->from > part_written(p))
		d->from = p->start;
	d->nclean = cleanable(p, d->from, now, settled);
	for (int i = 0; i < p->nsegs && p->segs[i]->base < d->from; i++)
		clean += p->segs[i]->size;
	for (int i = seg_at(p, d->from); i < d->nclean; i++)
		if (p->segs[i]->end_offset > d->from)
			dirty += p->segs[i]->size;
	if (dirty == 0)
		return false;
	d->ratio = (double)dirty / (double)(clean + dirty);
	return true;
}

/* Is it worth while? */
static bool
judge(struct part *p, int64_t now, bool settled, struct dirt *d)
{
	const struct topic_conf *tc = &p->topic->conf;

	if (!(tc->cleanup_policy & CLEANUP_COMPACT) || p->eng->space.full ||
	    p->eng->journal.nunsettled > 0 ||
	    p->state != PART_ONLINE || p->retaining || p->clean.busy ||
	    mono_ms() < p->clean.again || !dirt_of(p, now, settled, d))
		return false;
	d->part = p;
	return d->ratio > tc->min_cleanable_dirty_ratio ||
	    overdue(p, d->from, now);
}

static bool
filthiest(struct engine *eng, struct dirt *best)
{
	int64_t now = wall_ms();
	bool held = false;
	struct dirt d;

	*best = (struct dirt){ .part = NULL };
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next) {
		if (t->state != TOPIC_LIVE ||
		    !(t->conf.cleanup_policy & CLEANUP_COMPACT))
			continue;
		for (int32_t i = 0; i < t->nparts; i++)
			if (!judge(t->parts[i], now, true, &d))
				held = held || judge(t->parts[i], now, false,
				    &d);
			else if (best->part == NULL || d.ratio > best->ratio)
				*best = d;
	}
	if (best->part == NULL && held)
		journal_settle(&eng->journal);
	return best->part != NULL;
}

/* ---- the end of a pass -------------------------------------------------- */

static void segs_release(struct cleaning *);

static void
cleaning_free(struct cleaning *x)
{
	struct part *p = x->part;

	timer_cancel(&p->eng->timers, &x->timer);
	compact_end(&x->c);
	segs_release(x);
	free(x->c.segs);
	free((void *)(uintptr_t)x->c.prods);
	if (x->prevp != NULL) {
		*x->prevp = x->next;
		if (x->next != NULL)
			x->next->prevp = x->prevp;
		p->eng->cleaner.n--;
	}
	free(x);
	p->clean.busy = false;
	part_job_done(p);
}

static void
drop_job(struct job *j)
{
	compact_drop(&((struct cleaning *)j)->c);
}

static void
drop_done(struct job *j)
{
	cleaning_free((struct cleaning *)j);
}

/* Before its time: the file that it was making goes, which may take a while. */
static void
cleaning_end(struct cleaning *x)
{
	if (!compact_has_file(&x->c)) {
		cleaning_free(x);
		return;
	}
	timer_cancel(&x->part->eng->timers, &x->timer);
	x->job.run = drop_job;
	x->job.done = drop_done;
	x->out = true;
	pool_submit(x->part->eng->bulk, &x->job);
}

/* Said once; it is tried again later, and later still. */
static void
gave_up(struct cleaning *x, enum err e, const char *why)
{
	struct part *p = x->part;
	int64_t ms = backoff_ms(p->eng);

	if (ms < 1000)
		ms = 1000;
	for (int i = 0; i < p->clean.tries && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	p->clean.again = mono_ms() + (ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
	if (p->clean.tries++ == 0)
		log_warn("compaction given up", LS("topic", p->topic->name),
		    LI("part", p->id.part), LS("why", why), LE(e));
}

static void
clean_noted(struct meta_put *put, enum err e)
{
	struct cleaning *x = (struct cleaning *)((char *)put -
	    offsetof(struct cleaning, put));
	struct engine *eng = x->part->eng;

	/* Without the record a restart begins where this pass did. */
	(void)e;
	cleaning_free(x);
	clean_more(eng);
}

/* Segments that it left alone: said once of each, by its name. */
static void
refusals(const struct cleaning *x)
{
	struct part *p = x->part;
	const struct compaction *c = &x->c;

	p->clean.refused = 0;
	for (int i = 0; i < c->nsegs; i++) {
		const struct compact_seg *v = &c->segs[i];
		struct seg *s = p->segs[seg_at(p, v->base)];

		p->clean.refused += v->refused;
		if (v->refused && !s->refused)
			log_warn("damaged segment is not compacted, the others "
			    "are", LS("topic", p->topic->name),
			    LI("part", p->id.part), LS("file", s->path),
			    LI("position", v->bad));
		s->refused = v->refused;
	}
}

/* The pass is over, and all of its segments are in place. */
static void
passed(struct cleaning *x)
{
	struct part *p = x->part;
	struct compaction *c = &x->c;
	struct meta_key_part k;
	struct meta_key key = meta_key_part(&k, &p->id);
	struct meta_clean rec;
	int64_t to = compact_clean_to(c);
	bool owed = p->clean.seen > p->clean.to;

	log_info("log compacted", LS("topic", p->topic->name),
	    LI("part", p->id.part), LI("from", c->dirty), LI("to", to),
	    LI("keys", keymap_count(c->map)), LI("map_bytes",
	    keymap_bytes(c->map)), LI("records", c->records_read),
	    LI("removed", c->records_gone), LI("read_bytes", c->bytes_read),
	    LI("before_bytes", c->bytes_before), LI("after_bytes",
	    c->bytes_after), LI("ms", mono_ms() - x->started));
	/* Once all can be read again it is gone over from where it could not:
	 * what is there knows nothing of the keys behind it. */
	p->clean.seen = c->refused_from < INT64_MAX || !owed ? to :
	    p->clean.to;
	if (!owed)
		p->clean.to = c->refused_from == INT64_MAX ? to :
		    c->refused_from < c->dirty ? c->dirty : c->refused_from;
	p->clean.at = c->now;
	p->clean.tries = 0;
	view_move(p->eng, p);
	p->eng->stats.compactions++;
	rec.offset = p->clean.to;
	rec.at_ms = c->now;
	x->put.done = clean_noted;
	if (meta_write(&p->eng->meta, MT_meta_clean, &key, &rec, &x->put) !=
	    E_OK)
		clean_noted(&x->put, E_NOMEM);
}

static void
ended(struct cleaning *x)
{
	struct part *p = x->part;
	struct engine *eng = p->eng;
	enum err e = x->c.err;

	if (e != E_BUSY)
		refusals(x);
	if (e == E_OK && compact_clean_to(&x->c) > x->c.dirty) {
		passed(x);
		return;
	}
	if (e == E_BUSY)
		p->clean.txns = true;
	else if (e == E_OK)		/* open transactions: later */
		p->clean.again = mono_ms() + backoff_ms(eng);
	else
		gave_up(x, e, x->c.why);
	cleaning_free(x);
	clean_more(eng);
}

/* ---- a swap ------------------------------------------------------------- */

/* On a worker.  Who reads an old segment must have it open before its name is
 * another one's; and its index is found by name. */
static void
swap_job(struct job *j)
{
	struct cleaning *x = (struct cleaning *)j;
	int fd;

	x->err = E_OK;
	for (int i = 0; i < x->n && x->err == E_OK; i++)
		x->err = seg_fd(x->old[i], &fd);
	if (x->err != E_OK)
		return;
	for (int i = 0; i < x->n; i++)
		seg_stale(x->old[i]);
	x->err = swap_run(x->dir, x->bases, x->n, x->due, &x->begun);
	if (x->err == E_OK)
		x->err = seg_open(x->dir, &x->part->id, x->bases[0], false,
		    &x->fresh);
	if (x->err == E_OK && x->fresh->size != x->c.out.size)
		x->err = E_CORRUPT;
}

/* What seg_open does not know. */
static void
seg_fill(struct seg *s, const struct cleaning *x)
{
	const struct compact_out *o = &x->c.out;

	s->synced = s->size;
	s->end_offset = s->synced_offset = o->end_offset;
	s->max_ts = o->max_ts;
	s->first_ts = o->first_ts;
	s->idx.nfile = o->idx.nfile;
	s->idx.last = o->idx.last;
	s->idx.sealed = true;
	s->trust.from = 0;
	s->written_ms = 0;
	for (int i = 0; i < x->n; i++)
		if (x->old[i]->written_ms > s->written_ms)
			s->written_ms = x->old[i]->written_ms;
}

/* The new segment takes the place of the old ones; who reads those goes on. */
static void
segs_replace(struct part *p, struct seg *fresh, int n)
{
	int at = seg_at(p, fresh->base);

	ASSERT(p->segs[at]->base == fresh->base && at + n < p->nsegs);
	for (int i = at; i < at + n; i++) {
		if (p->eng->retired != NULL)
			p->eng->retired(p->eng, p->segs[i]->handle);
		files_remove(p->segs[i]);
		seg_unref(p->segs[i]);
	}
	fresh->handle = ++p->eng->next_handle;
	seg_configure(fresh, p, true);
	p->segs[at] = fresh;
	files_add(&p->eng->files, fresh);
	p->nsegs -= n - 1;
	for (int i = at + 1; i < p->nsegs; i++)
		p->segs[i] = p->segs[i + n - 1];
	window_drop(p);
	view_move(p->eng, p);
}

static void slice_go(struct cleaning *);
static bool given_up(struct cleaning *);

static void
swap_done(struct job *j)
{
	struct cleaning *x = (struct cleaning *)j;
	struct part *p = x->part;
	bool ours = p->gen == x->gen;

	x->out = false;
	if (x->due != 0 && p->state != PART_GONE)
		reap_note(p, x->due);
	if (x->err == E_OK && ours) {
		seg_fill(x->fresh, x);
		segs_replace(p, x->fresh, x->n);
		x->fresh = NULL;
	}
	seg_unref(x->fresh);
	x->fresh = NULL;
	for (int i = 0; i < x->n; i++)
		seg_unref(x->old[i]);
	if (x->err != E_OK) {
		gave_up(x, x->err, "segments cannot be swapped");
		/* What is on the disk now only recovery can tell. */
		if (ours && x->begun)
			part_fence(p, x->err, NULL, false);
		cleaning_end(x);
		return;
	}
	compact_swapped(&x->c);
	if (!given_up(x))
		slice_go(x);
}

static void
swap_start(struct cleaning *x)
{
	struct part *p = x->part;
	int64_t delay = p->topic->conf.file_delete_delay_ms;
	int at;

	x->n = compact_group(&x->c, x->bases);
	at = seg_at(p, x->bases[0]);
	for (int i = 0; i < x->n; i++)
		x->old[i] = seg_ref(p->segs[at + i]);
	x->due = delay > 0 ? reap_due(delay) : 0;
	x->begun = false;
	x->job.run = swap_job;
	x->job.done = swap_done;
	x->out = true;
	pool_submit(p->eng->bulk, &x->job);
}

/* ---- slices ------------------------------------------------------------- */

/* The directory is changed and files are read by their names: first they must
 * be what the last stop said of them. */
static void
slice_job(struct job *j)
{
	struct cleaning *x = (struct cleaning *)j;
	enum err e = E_OK;

	for (int i = 0; x->segs != NULL && e == E_OK && i < x->c.nsegs; i++)
		e = told_check(x->segs[i], -1);
	if (e == E_OK)
		compact_run(&x->c, x->slice);
	else
		compact_fail(&x->c, e, "a segment is not what it was");
}

static void
segs_release(struct cleaning *x)
{
	for (int i = 0; x->segs != NULL && i < x->c.nsegs; i++)
		seg_unref(x->segs[i]);
	free(x->segs);
	x->segs = NULL;
}

/* The partition is no longer what the pass began with, or nobody wants it. */
static bool
given_up(struct cleaning *x)
{
	struct part *p = x->part;
	struct engine *eng = p->eng;

	if (p->gen == x->gen && p->state == PART_ONLINE && !eng->stopping &&
	    !eng->space.full &&
	    (p->topic->conf.cleanup_policy & CLEANUP_COMPACT))
		return false;
	cleaning_end(x);
	if (!eng->stopping)
		clean_more(eng);
	return true;
}

/* When this slice's bytes are worth by the limit. */
static void
charge(struct engine *eng, int64_t bytes)
{
	int64_t rate = rate_max(eng);
	int64_t now = mono_ms(), ms;

	if (eng->cleaner.free_at < now)
		eng->cleaner.free_at = now;
	if (__builtin_mul_overflow(bytes, (int64_t)1000, &ms))
		ms = INT64_MAX;
	eng->cleaner.free_at += ms / rate;
}

/* Where somebody commits, a pass rests as long as it works: on a machine with
 * few processors that is what the others wait for. */
static void
rest(const struct cleaning *x)
{
	struct engine *eng = x->part->eng;
	int64_t now = mono_ms(), until = now + (now - x->slice_at);

	if (eng->commit.rounds != x->rounds && eng->cleaner.free_at < until)
		eng->cleaner.free_at = until;
}

static void
slice_done(struct job *j)
{
	struct cleaning *x = (struct cleaning *)j;

	x->out = false;
	segs_release(x);
	charge(x->part->eng, x->c.moved);
	rest(x);
	if (given_up(x))
		return;
	switch (x->c.step) {
	case COMPACT_READY:
		swap_start(x);
		break;
	case COMPACT_DONE:
		ended(x);
		break;
	default:
		slice_go(x);
	}
}

static void
slice_fire(struct timer *t)
{
	struct cleaning *x = (struct cleaning *)((char *)t -
	    offsetof(struct cleaning, timer));

	if (!given_up(x))
		slice_go(x);
}

static void
slice_go(struct cleaning *x)
{
	struct engine *eng = x->part->eng;
	int64_t rate = rate_max(eng);
	int64_t wait = eng->cleaner.free_at - mono_ms();

	x->timer.fire = slice_fire;
	if (wait > WAIT_MAX_MS)
		wait = WAIT_MAX_MS;
	if (wait > 0 && timer_set(&eng->timers, &x->timer, mono_ms() + wait)
	    == E_OK)
		return;
	x->slice = rate / SLICES_PER_S < COMPACT_SLICE ? rate / SLICES_PER_S :
	    COMPACT_SLICE;
	if (x->slice < 1)
		x->slice = 1;
	x->slice_at = mono_ms();
	x->rounds = eng->commit.rounds;
	x->job.run = slice_job;
	x->job.done = slice_done;
	x->out = true;
	pool_submit(eng->bulk, &x->job);
}

/* ---- starting ----------------------------------------------------------- */

struct gather {
	struct compact_prod *v;
	int		 n;
};

static void
gather_each(const struct prod_info *p, void *arg)
{
	struct gather *g = arg;

	g->v[g->n++] = (struct compact_prod){ p->pid, p->last_offset,
	    p->epoch };
}

static int
by_pid(const void *a, const void *b)
{
	const struct compact_prod *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static enum err
producers_take(struct cleaning *x)
{
	const struct prod_table *t = x->part->prods;
	struct gather g = { 0 };

	if (t == NULL || prod_count(t) == 0)
		return E_OK;
	g.v = calloc((size_t)prod_count(t), sizeof *g.v);
	if (g.v == NULL)
		return E_NOMEM;
	prod_each(t, gather_each, &g);
	qsort(g.v, (size_t)g.n, sizeof *g.v, by_pid);
	x->c.prods = g.v;
	x->c.nprods = g.n;
	return E_OK;
}

/* All segments: the pass may have to look for the ends of transactions behind
 * those that it compacts. */
static enum err
segs_take(struct cleaning *x, int nclean)
{
	struct part *p = x->part;
	struct compact_seg *v = calloc((size_t)p->nsegs, sizeof *v);

	x->segs = calloc((size_t)p->nsegs, sizeof *x->segs);
	if (v == NULL || x->segs == NULL) {
		free(v);
		free(x->segs);
		x->segs = NULL;
		return E_NOMEM;
	}
	for (int i = 0; i < p->nsegs; i++) {
		const struct seg *s = x->segs[i] = seg_ref(p->segs[i]);

		v[i] = (struct compact_seg){ .base = s->base,
		    .end_offset = s->end_offset, .size = s->size,
		    .end = p->relaxed ? s->size : s->synced,
		    .entries = s->idx.nfile };
	}
	x->c.segs = v;
	x->c.nsegs = p->nsegs;
	x->c.nclean = nclean;
	return E_OK;
}

static enum err
cleaning_start(const struct dirt *d)
{
	struct part *p = d->part;
	struct engine *eng = p->eng;
	struct cleaning *x = calloc(1, sizeof *x);
	struct compaction *c;
	enum err e;

	if (x == NULL)
		return E_NOMEM;
	x->part = p;
	x->gen = p->gen;
	x->started = mono_ms();
	part_dir(p, x->dir);
	c = &x->c;
	c->dir = x->dir;
	c->id = p->id;
	c->dirty = d->from;
	c->owed = p->clean.seen > p->clean.to ? p->clean.to : INT64_MAX;
	c->now = wall_ms();
	c->with_txns = p->clean.txns;
	c->map_bytes = map_max(eng);
	c->conf = p->topic->conf;
	c->interval = part_idx_interval(p);
	compact_init(c);
	p->jobs++;
	p->clean.busy = true;
	if ((e = segs_take(x, d->nclean)) != E_OK ||
	    (e = producers_take(x)) != E_OK) {
		gave_up(x, e, "there is no memory");
		cleaning_free(x);
		return e;
	}
	x->next = eng->cleaner.first;
	x->prevp = &eng->cleaner.first;
	if (x->next != NULL)
		x->next->prevp = &x->next;
	eng->cleaner.first = x;
	eng->cleaner.n++;
	slice_go(x);
	return E_OK;
}

/* As many passes as may be. */
static void
clean_more(struct engine *eng)
{
	struct dirt d;

	while (!eng->stopping && eng->cleaner.n < passes_max(eng) &&
	    filthiest(eng, &d))
		if (cleaning_start(&d) != E_OK)
			return;
}

static void
clean_fire(struct timer *t)
{
	struct engine *eng = (struct engine *)((char *)t -
	    offsetof(struct engine, cleaner.timer));

	clean_more(eng);
	cleaner_start(eng);
}

void
cleaner_start(struct engine *eng)
{
	if (!eng->conf->log_cleaner_enable)
		return;
	eng->cleaner.timer.fire = clean_fire;
	if (timer_set(&eng->timers, &eng->cleaner.timer, mono_ms() +
	    backoff_ms(eng)) != E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

void
cleaner_stop(struct engine *eng)
{
	struct cleaning *x, *next;

	timer_cancel(&eng->timers, &eng->cleaner.timer);
	for (x = eng->cleaner.first; x != NULL; x = next) {
		next = x->next;
		if (!x->out && x->timer.at != 0)
			cleaning_end(x);
	}
}

void
cleaner_close(struct engine *eng)
{
	while (eng->cleaner.first != NULL)
		cleaning_free(eng->cleaner.first);
}

double
cleaner_ratio(const struct part *p)
{
	struct dirt d;

	if (p->topic == NULL || p->state != PART_ONLINE ||
	    !(p->topic->conf.cleanup_policy & CLEANUP_COMPACT))
		return -1;
	return dirt_of(p, wall_ms(), false, &d) ? d.ratio : 0;
}

enum err
cleaner_restore(struct engine *eng, const struct meta_key *key,
    const void *value)
{
	const struct meta_clean *m = value;
	struct part *p;
	enum err e = m != NULL && m->offset < 0 ? E_CORRUPT :
	    topic_part_of(eng, key, &p);

	if (e != E_OK || p == NULL)
		return e;
	p->clean.to = p->clean.seen = m != NULL ? m->offset : 0;
	p->clean.at = m != NULL ? m->at_ms : 0;
	return E_OK;
}
