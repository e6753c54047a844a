/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole engine on a disk that loses: topics come and go, batches are
 * appended, segments roll, retention deletes, the engine stops and starts; and
 * before each call that changes the disk the power goes, in several ways, and
 * another engine opens what is left.  It must start without help, know every
 * topic whose creation or deletion was answered, and every config that was
 * changed, hold every byte below the high watermark where it was, and know the
 * producers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "engine.h"
#include "lib/crc32c.h"
#include "lib/log.h"
#include "minilog.h"
#include "simdisk.h"

enum { TOPICS = 5, PARTS_MOST = 3, PIDS = 2, IDLE_STEPS = 400,
    CONF_FROM = 50000, FILES_FEW = 2 };

static const char topic_conf_name[] = "min.compaction.lag.ms";
static const char cluster_conf_name[] = "leader.replication.throttled.rate";
static const char group_conf_name[] = "consumer.session.timeout.ms";

/* Under a sanitizer fewer states are enough: it looks for other mistakes. */
#if defined(__SANITIZE_ADDRESS__)
#define SLOW	20
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW	20
#endif
#elif defined(__SANITIZE_THREAD__)
#define SLOW	20
#endif

struct mbatch {
	struct batch	 b;		/* with its offset */
	uint8_t		*p;		/* as it lies in the log */
};

/* What a partition got, and what was promised of it. */
struct mpart {
	struct mbatch	*v;
	int		 n, cap;
	int64_t		 promised;	/* offset: seen by readers or acked */
};

/* The numbers that a config was given, in order: 0 before the first. */
struct mconf { int asked, promised; };

struct mtopic {
	enum { NONE, CREATING, LIVE, DELETING } state;
	char		 name[16];
	int32_t		 nparts;
	struct mpart	 parts[PARTS_MOST];
	struct mconf	 conf;
	struct topic_op	 op;
	struct world	*w;
};

struct world {
	struct engine	*eng;		/* NULL while it is opened or closed */
	struct pool	*commit, *bulk;
	struct conf	 conf;
	struct mtopic	 topics[TOPICS];
	struct mconf	 cluster, group;
	uint64_t	 seed, rng;
	int		 seeds;
	bool		 small;		/* segments and retention */
	bool		 faults;
	int64_t		 call, states;
};

/* An append on its way. */
struct op {
	struct append	 a;
	struct world	*w;
	struct mpart	*mp;
	uint8_t		*p;
};

static int64_t now_ms;

static int64_t
clock_now(void)
{
	return now_ms;
}

static const struct clock clock_test = { clock_now, clock_now };

#define FAIL(w, ...) do { \
	char what_[600]; \
	snprintf(what_, sizeof what_, __VA_ARGS__); \
	ck_abort_msg("workload %llu, call %lld: %s", \
	    (unsigned long long)(w)->seed, (long long)(w)->call, what_); \
} while (0)

static uint64_t
below(struct world *w, uint64_t n)
{
	return mini_rnd(&w->rng) % n;
}

static void
wake(void *arg)
{
	(void)arg;
}

static struct engine *
open_engine(struct world *w, struct pool **commit, struct pool **bulk)
{
	struct engine *eng = calloc(1, sizeof *eng);
	char why[512];
	enum err err;

	err = pool_open(0, wake, NULL, commit);
	if (err == E_OK)
		err = pool_open(0, wake, NULL, bulk);
	ck_assert_int_eq(err, E_OK);
	/* Files are opened again and again, or never closed. */
	eng->files.max = w->seed % 2 == 0 ? FILES_FEW : 0;
	err = engine_open(eng, &w->conf, *commit, *bulk, why, sizeof why);
	if (err != E_OK)
		FAIL(w, "the engine does not open: %s", why);
	return eng;
}

/* As a kill would: nothing more is written. */
static void
close_engine(struct engine *eng, struct pool *commit, struct pool *bulk)
{
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		for (int32_t i = 0; t->parts != NULL && i < t->nparts; i++)
			commit_forget(&eng->commit, t->parts[i]);
	commit_forget(&eng->commit, eng->meta.part);
	engine_close(eng);
	pool_close(commit);
	pool_close(bulk);
	free(eng);
}

/* ---- checking ------------------------------------------------------------ */

static void
check_bytes(struct world *w, const struct part *p, const struct mpart *mp)
{
	int at = 0;

	while (at < mp->n && mp->v[at].b.base_offset < p->start)
		at++;
	for (int i = 0; i < p->nsegs; i++) {
		struct seg *s = p->segs[i];
		int64_t pos = 0;
		int fd;

		if (seg_fd(s, &fd) != E_OK)
			FAIL(w, "%s does not open", s->path);
		for (; pos < s->size && at < mp->n; at++) {
			size_t n = (size_t)batch_size(&mp->v[at].b), got;
			uint8_t *q = malloc(n);
			bool same = disk->pread(fd, q, n, pos, &got) ==
			    E_OK && got == n && memcmp(q, mp->v[at].p, n) == 0;

			free(q);
			if (!same)
				FAIL(w, "segment %lld position %lld is not "
				    "offset %lld", (long long)s->base,
				    (long long)pos,
				    (long long)mp->v[at].b.base_offset);
			pos += (int64_t)n;
		}
		if (pos != s->size)
			FAIL(w, "bytes that nobody sent");
	}
}

/* The state of producers after the batches from an offset on. */
static void
producers_from(const struct part *p, const struct mpart *mp, int64_t from,
    struct wr *out)
{
	struct prod_table *t = prod_new();
	enum err err = E_OK;

	for (int i = 0; i < mp->n && err == E_OK; i++)
		if (mp->v[i].b.pid >= 0 && mp->v[i].b.base_offset >= from &&
		    mp->v[i].b.base_offset < p->next)
			err = prod_note(t, &mp->v[i].b, mono_ms());
	if (err == E_OK)
		err = prod_encode(t, &p->id, 0, out);
	ck_assert_int_eq(err, E_OK);
	prod_free(t);
}

/* What retention removed may be forgotten with its segments, because
 * snapshots are not synced; what is in the log never. */
static void
check_producers(struct world *w, const struct part *p, const struct mpart *mp)
{
	struct wr all = wr_grow(1 << 20), kept = wr_grow(1 << 20);
	struct wr is = wr_grow(1 << 20);
	struct prod_table *none = prod_new();
	enum err err = prod_encode(p->prods == NULL ? none : p->prods, &p->id,
	    0, &is);

	ck_assert_int_eq(err, E_OK);
	prod_free(none);
	producers_from(p, mp, 0, &all);
	producers_from(p, mp, p->start, &kept);
	if ((is.len != all.len || memcmp(is.p, all.p, is.len) != 0) &&
	    (is.len != kept.len || memcmp(is.p, kept.p, is.len) != 0))
		FAIL(w, "producers of [%lld, %lld) are not as they were",
		    (long long)p->start, (long long)p->next);
	wr_free(&all);
	wr_free(&kept);
	wr_free(&is);
}

static void
check_conf(struct world *w, const struct own_configs *own, const char *name,
    const struct mconf *mc)
{
	const char *s = own == NULL ? NULL : conf_set_get(&own->set, name);
	int n = s == NULL ? 0 : atoi(s) - CONF_FROM;

	if (n < mc->promised || n > mc->asked)
		FAIL(w, "%s is number %d, promised %d, asked %d", name, n,
		    mc->promised, mc->asked);
}

static void
check_topic(struct world *w, struct engine *eng, const struct mtopic *mt)
{
	struct topic *t = topic_find(&eng->topics, kstr_of(mt->name));

	if (t == NULL && mt->state == LIVE)
		FAIL(w, "topic %s is gone", mt->name);
	if (t != NULL && mt->state == NONE)
		FAIL(w, "topic %s is there", mt->name);
	if (t == NULL)
		return;
	check_conf(w, &t->own, topic_conf_name, &mt->conf);
	if (t->nparts != mt->nparts)
		FAIL(w, "%s has %d partitions", mt->name, (int)t->nparts);
	for (int32_t i = 0; i < t->nparts; i++) {
		struct part *p = t->parts[i];

		if (p->state != PART_ONLINE)
			FAIL(w, "%s-%d is not online", mt->name, (int)i);
		if (p->hw < mt->parts[i].promised)
			FAIL(w, "%s-%d ends at %lld, promised %lld", mt->name,
			    (int)i, (long long)p->hw,
			    (long long)mt->parts[i].promised);
		if (p->hw != p->next || p->start > p->hw)
			FAIL(w, "%s-%d: wrong ends", mt->name, (int)i);
		check_bytes(w, p, &mt->parts[i]);
		check_producers(w, p, &mt->parts[i]);
	}
}

/* Runs everything until the engine rests; timers run too. */
static void
settle(struct engine *eng)
{
	engine_drain(eng);
	timers_run(&eng->timers, now_ms);
	engine_drain(eng);
}

/* Opens the disk in use and looks.  Nothing may need a person. */
static void
check_disk_state(struct world *w)
{
	struct pool *commit, *bulk;
	struct engine *eng = open_engine(w, &commit, &bulk);

	settle(eng);
	if (!eng->opened)
		FAIL(w, "the engine is not ready");
	for (int i = 0; i < TOPICS; i++)
		check_topic(w, eng, &w->topics[i]);
	check_conf(w, &eng->configs.cluster, cluster_conf_name, &w->cluster);
	check_conf(w, configs_find_group(eng, kstr_of("g")), group_conf_name,
	    &w->group);
	close_engine(eng, commit, bulk);
	w->states++;
}

/* What readers may have seen by now. */
static void
promise(struct world *w)
{
	for (int i = 0; i < TOPICS && w->eng != NULL; i++) {
		struct mtopic *mt = &w->topics[i];
		struct topic *t = topic_find(&w->eng->topics,
		    kstr_of(mt->name));

		for (int32_t k = 0; t != NULL && k < t->nparts; k++) {
			struct part *p = t->parts[k];

			if (p->state == PART_ONLINE && !p->relaxed &&
			    p->hw > mt->parts[k].promised)
				mt->parts[k].promised = p->hw;
		}
	}
}

static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct world *w = arg;
	uint64_t seed = w->seed * 1000003 + (uint64_t)n;

	if (op == SIM_OPEN && mini_rnd(&seed) % 4 != 0)
		return;		/* most create nothing */
	promise(w);
	w->call = n;
	for (int i = 0; i < w->seeds; i++) {
		struct sim *c = sim_clone(d);
		uint64_t s = mini_rnd(&seed);

		sim_use(c);
		if (s % 8 == 7)
			sim_kill(c);
		else
			sim_crash(c, s % 8 < 2 ? s % 8 : s);
		check_disk_state(w);
		if (s % 5 == 0) {
			/* And what was found stays. */
			sim_crash(c, mini_rnd(&seed));
			check_disk_state(w);
		}
		sim_free(c);
	}
	sim_use(d);
}

/* ---- doing --------------------------------------------------------------- */

static void
forget(struct mtopic *mt)
{
	for (int i = 0; i < PARTS_MOST; i++) {
		for (int k = 0; k < mt->parts[i].n; k++)
			free(mt->parts[i].v[k].p);
		free(mt->parts[i].v);
		mt->parts[i] = (struct mpart){ .n = 0 };
	}
	mt->conf = (struct mconf){ 0 };
	mt->state = NONE;
}

static void
small_conf(struct world *w, struct topic *t)
{
	if (!w->small)
		return;
	t->conf.segment_bytes = 1500;
	t->conf.retention_bytes = 4000;
	t->conf.segment_ms = 3000;
	t->conf.preallocate = true;
	t->conf.file_delete_delay_ms = w->seed % 2 * 2000;
}

static void
created(struct topic_op *op, enum err err)
{
	struct mtopic *mt = op->arg;

	if (err != E_OK) {
		ck_assert(mt->w->faults);
		mt->state = NONE;
		return;
	}
	mt->state = LIVE;
	small_conf(mt->w, op->topic);
}

static void
deleted(struct topic_op *op, enum err err)
{
	ck_assert_int_eq(err, E_OK);
	forget(op->arg);
}

static void
topic_step(struct world *w)
{
	struct mtopic *mt = &w->topics[below(w, TOPICS)];
	enum err err;

	if (mt->state == NONE) {
		mt->nparts = (int32_t)below(w, PARTS_MOST) + 1;
		mt->state = CREATING;
		mt->op = (struct topic_op){ .done = created, .arg = mt };
		err = topic_create(w->eng, kstr_of(mt->name), mt->nparts,
		    NULL, &mt->op);
		if (err == E_NOSPC && w->faults && w->eng->space.full)
			mt->state = NONE;
		else
			ck_assert_int_eq(err, E_OK);
	} else if (mt->state == LIVE && below(w, 4) == 0) {
		struct topic *t = topic_find(&w->eng->topics,
		    kstr_of(mt->name));

		ck_assert_ptr_nonnull(t);
		mt->state = DELETING;
		mt->op = (struct topic_op){ .done = deleted, .arg = mt };
		err = topic_delete(t, &mt->op);
		ck_assert_int_eq(err, E_OK);
	}
}

struct conf_op {
	struct config_change ch;
	struct world	*w;
	struct mconf	*mc;
	int		 number;
};

static void
conf_changed(struct config_change *ch, enum err err)
{
	struct conf_op *o = ch->arg;

	ck_assert_int_eq(err, E_OK);
	if (o->number > o->mc->promised)
		o->mc->promised = o->number;
	for (struct topic *t = o->w->eng->topics.first; t != NULL; t = t->next)
		small_conf(o->w, t);
	free(o);
}

/* A topic's config, the cluster's, a group's. */
static void
conf_step(struct world *w)
{
	uint64_t which = below(w, TOPICS + 2);
	struct conf_op *o = calloc(1, sizeof *o);
	struct config_change *ch = &o->ch;
	const char *key = topic_conf_name;
	char value[16];

	ch->type = RES_TOPIC;
	if (which == TOPICS) {
		ch->type = RES_BROKER;
		ch->name = kstr_of("");
		key = cluster_conf_name;
		o->mc = &w->cluster;
	} else if (which > TOPICS) {
		ch->type = RES_GROUP;
		ch->name = kstr_of("g");
		key = group_conf_name;
		o->mc = &w->group;
	} else {
		ch->name = kstr_of(w->topics[which].name);
		o->mc = &w->topics[which].conf;
	}
	o->w = w;
	ch->eng = w->eng;
	ch->done = conf_changed;
	ch->arg = o;
	ch->own = configs_find(w->eng, ch->type, ch->name, true);
	if (ch->own == NULL) {		/* no such topic now */
		free(o);
		return;
	}
	o->number = ++o->mc->asked;
	snprintf(value, sizeof value, "%d", CONF_FROM + o->number);
	ck_assert_int_eq(conf_set_put(&ch->set, key, strdup(value)), E_OK);
	ck_assert_int_eq(configs_change(ch), E_OK);
}

static void
appended(struct append *a, enum err err)
{
	struct op *o = (struct op *)a;
	int64_t end = batch_last_offset(&a->b) + 1;

	if (err == E_OK && a->all && o->w->conf.sync == SYNC_COMMIT &&
	    o->mp->n > 0 && end > o->mp->promised)
		o->mp->promised = end;
	ck_assert(err == E_OK || o->w->faults || err == E_UNKNOWN_TOPIC);
	free(o->p);
	free(o);
}

/* The sequence that a producer uses next, from what the log has. */
static int32_t
next_seq(const struct mpart *mp, int64_t pid)
{
	for (int i = mp->n; i-- > 0;)
		if (mp->v[i].b.pid == pid)
			return mp->v[i].b.base_seq + mp->v[i].b.count;
	return 0;
}

/* After a fault the offsets of what was lost come again; nothing that was
 * promised may be among them. */
static void
model_cut(struct world *w, struct mpart *mp, int64_t next)
{
	if (next < mp->promised)
		FAIL(w, "offset %lld is given out again", (long long)next);
	while (mp->n > 0 && mp->v[mp->n - 1].b.base_offset >= next)
		free(mp->v[--mp->n].p);
}

static void
model_add(struct mpart *mp, const struct op *o)
{
	struct mbatch *x;

	if (mp->n == mp->cap) {
		mp->cap = mp->cap * 2 + 16;
		mp->v = realloc(mp->v, (size_t)mp->cap * sizeof *mp->v);
	}
	x = &mp->v[mp->n++];
	x->b = o->a.b;
	x->p = malloc((size_t)batch_size(&x->b));
	memcpy(x->p, o->p, (size_t)batch_size(&x->b));
	memcpy(x->p, o->a.head, BATCH_HEADER);
}

static void
append_step(struct world *w)
{
	struct mtopic *mt = &w->topics[below(w, TOPICS)];
	struct topic *t = mt->state != LIVE ? NULL :
	    topic_find(&w->eng->topics, kstr_of(mt->name));
	int32_t i = t == NULL ? 0 : (int32_t)below(w, (uint64_t)t->nparts);
	size_t payload = below(w, 300);
	struct prod_hit hit;
	struct op *o;
	struct part *p;
	enum err err;

	if (t == NULL)
		return;
	p = t->parts[i];
	if (p->state == PART_ONLINE)
		model_cut(w, &mt->parts[i], p->next);
	o = calloc(1, sizeof *o);
	o->w = w;
	o->mp = &mt->parts[i];
	o->p = malloc(BATCH_HEADER + payload);
	o->a.b = (struct batch){ .pid = (int64_t)below(w, PIDS + 2),
	    .count = (int32_t)below(w, 3) + 1, .base_ts = now_ms,
	    .max_ts = now_ms, .epoch = 0 };
	o->a.b.last_delta = o->a.b.count - 1;
	if (o->a.b.pid >= PIDS)
		o->a.b.pid = o->a.b.epoch = -1;
	o->a.b.base_seq = o->a.b.pid < 0 ? -1 :
	    next_seq(o->mp, o->a.b.pid);
	(void)mini_batch(o->p, &o->a.b, payload, mini_rnd(&w->rng));
	memcpy(o->a.head, o->p, BATCH_HEADER);
	o->a.body = o->p + BATCH_HEADER;
	o->a.all = below(w, 2);
	o->a.done = appended;
	err = E_OK;
	if (p->state == PART_ONLINE && p->prods != NULL && o->a.b.pid >= 0)
		err = prod_check(p->prods, &o->a.b, &hit);
	if (err == E_OK)
		err = part_append(p, &o->a);
	if (err != E_OK) {
		ck_assert(w->faults);
		free(o->p);
		free(o);
		return;
	}
	model_add(o->mp, o);
}

static void
restart(struct world *w, bool cleanly)
{
	enum err err = E_BUSY;

	settle(w->eng);
	for (int i = 0; cleanly && err == E_BUSY; i++) {
		ck_assert_int_lt(i, IDLE_STEPS);
		err = engine_stop(w->eng);
		(void)pool_step(w->commit);
		(void)pool_step(w->bulk);
	}
	if (cleanly)
		ck_assert_int_eq(err, E_OK);
	promise(w);
	close_engine(w->eng, w->commit, w->bulk);
	w->eng = NULL;
	w->eng = open_engine(w, &w->commit, &w->bulk);
	settle(w->eng);
	for (struct topic *t = w->eng->topics.first; t != NULL; t = t->next)
		small_conf(w, t);
	for (int i = 0; i < TOPICS; i++)
		if (!w->faults)
			check_topic(w, w->eng, &w->topics[i]);
}

static void
step(struct world *w)
{
	uint64_t what = below(w, 42);

	if (what < 14)
		append_step(w);
	else if (what < 16)
		topic_step(w);
	else if (what < 26)
		(void)pool_step(w->commit);
	else if (what < 32)
		(void)pool_step(w->bulk);
	else if (what < 36)
		engine_turn(w->eng);
	else if (what < 39) {
		now_ms += 400;
		timers_run(&w->eng->timers, now_ms);
	} else if (what >= 40)
		conf_step(w);
	else if (!w->faults && below(w, 4) == 0)
		restart(w, below(w, 3) > 0);
}

static void
world_open(struct world *w, struct sim *d, int sync)
{
	static char *argv[] = { (char *)(uintptr_t)"check_powercut", NULL };

	enum err err;

	now_ms = 1700000000000;
	the_clock = &clock_test;
	sim_use(d);
	(void)conf_load(&w->conf, CONF_E, "check_powercut", 1, argv);
	w->conf.sync = sync;
	/* None, or laps of three records, or some more. */
	w->conf.journal_bytes = (int64_t)(w->seed % 3) * JOURNAL_FILES * 16 *
	    KIB;
	w->conf.data_dir = "data";
	w->conf.log_retention_check_interval_ms = 1500;
	w->rng = w->seed;
	/* Whoever makes the directory above DATA syncs it. */
	err = disk->mkdir("data");
	if (err == E_OK)
		err = disk->sync_dir(".");
	ck_assert_int_eq(err, E_OK);
	for (int i = 0; i < TOPICS; i++) {
		w->topics[i].w = w;
		snprintf(w->topics[i].name, sizeof w->topics[i].name,
		    "topic-%d", i);
	}
	w->eng = open_engine(w, &w->commit, &w->bulk);
	settle(w->eng);
}

static void
world_close(struct world *w)
{
	settle(w->eng);
	close_engine(w->eng, w->commit, w->bulk);
	w->eng = NULL;
	for (int i = 0; i < TOPICS; i++)
		forget(&w->topics[i]);
}

static int
scale(int n)
{
	const char *s = getenv("CRASH_SCALE");

#ifdef SLOW
	n = n / SLOW + 1;
#endif
	return s == NULL ? n : n * atoi(s);
}

static void
crash_runs(int sync, bool small, uint64_t seed, int runs, int steps)
{
	int64_t states = 0;

	for (int i = 0; i < runs; i++) {
		struct world w = { .seed = seed + (uint64_t)i, .seeds = 4,
		    .small = small };
		struct sim *d = sim_new();

		if (i % 2 == 0)		/* the first start ever, too */
			sim_hook(d, at_call, &w);
		world_open(&w, d, sync);
		sim_hook(d, at_call, &w);
		for (int k = 0; k < steps; k++)
			step(&w);
		restart(&w, true);
		states += w.states;
		sim_hook(d, NULL, NULL);
		world_close(&w);
		sim_free(d);
	}
	printf("%lld states\n", (long long)states);
	fflush(stdout);
}

START_TEST(test_commit)
{
	crash_runs(SYNC_COMMIT, false, 1, scale(24), 500);
}
END_TEST

START_TEST(test_roll_retain)
{
	crash_runs(SYNC_COMMIT, true, 1001, scale(24), 500);
}
END_TEST

START_TEST(test_relaxed)
{
	crash_runs(_i == 0 ? SYNC_OS : SYNC_INTERVAL, true, 2001, scale(10),
	    500);
}
END_TEST

static void
epoch_put(struct meta_put *p, enum err err)
{
	ck_assert_int_eq(err, E_OK);
	free(p);
}

/* The catalogue is rewritten when it is mostly dead; the power goes at each
 * step of that. */
START_TEST(test_rewrite)
{
	struct world w = { .seed = 9001, .seeds = 12 };
	struct sim *d = sim_new();
	struct meta *m;
	int64_t base, rewrites = 0;

	world_open(&w, d, SYNC_COMMIT);
	for (int k = 0; k < 200; k++)
		step(&w);
	settle(w.eng);
	m = &w.eng->meta;
	base = part_active(m->part)->base;
	while (rewrites < 2) {
		const struct seg *s = part_active(m->part);
		struct meta_put *p = calloc(1, sizeof *p);
		struct meta_epoch rec = { w.eng->epoch };
		enum err err;

		p->done = epoch_put;
		sim_hook(d, s->size > 2 * m->live + META_REWRITE_MIN - 300 ?
		    at_call : NULL, &w);
		err = meta_write(m, MT_meta_epoch, NULL, &rec, p);
		ck_assert_int_eq(err, E_OK);
		engine_drain(w.eng);
		if (part_active(m->part)->base != base) {
			base = part_active(m->part)->base;
			rewrites++;
		}
	}
	ck_assert_int_gt(w.states, 100);
	printf("%lld states\n", (long long)w.states);
	sim_hook(d, NULL, NULL);
	world_close(&w);
	sim_free(d);
}
END_TEST

/*
 * A call on a partition's files fails: that partition answers errors, comes
 * back by itself with all that was promised, and goes on.  Then the power goes
 * as well.
 */
START_TEST(test_faults)
{
	static const enum err errs[] = { E_IO, E_NOSPC };
	int64_t faults = 0, states = 0;

	for (int i = 0; i < scale(5000); i++) {
		struct world w = { .seed = (uint64_t)(7001 + i % 20 +
		    i / 5000 * 20),
		    .small = i % 2, .faults = true };
		struct sim *d = sim_new();

		world_open(&w, d, i % 3 == 2 ? SYNC_OS : SYNC_COMMIT);
		sim_count_reset(d);
		sim_seed(d, (uint64_t)i);
		sim_fail_under(d, i % 5 == 4 ? "journal" : "topics");
		w.call = i % 5000 / 20 + 1;
		sim_fail_at(d, w.call, errs[i / 20 % 2], false);
		for (int k = 0; k < 250; k++)
			step(&w);
		faults += sim_failed(d);
		sim_fail_at(d, 0, E_OK, false);
		for (int k = 0; k < 200; k++) {
			settle(w.eng);
			now_ms += 400;
		}
		promise(&w);
		for (int k = 0; k < TOPICS; k++)
			check_topic(&w, w.eng, &w.topics[k]);
		for (int k = 0; k < TOPICS * 4; k++)
			append_step(&w);
		settle(w.eng);
		promise(&w);
		close_engine(w.eng, w.commit, w.bulk);
		w.eng = NULL;
		sim_crash(d, (uint64_t)i);
		check_disk_state(&w);
		states += w.states;
		w.eng = open_engine(&w, &w.commit, &w.bulk);
		world_close(&w);
		sim_free(d);
	}
	ck_assert_int_gt(faults, 0);
	printf("%lld faults, %lld states\n", (long long)faults,
	    (long long)states);
	fflush(stdout);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("powercut");
	TCase *tc = tcase_create("powercut");
	SRunner *sr = srunner_create(s);
	int failed;

	disk = &simdisk;
	log_setup("check_powercut", LOG_FATAL, LOG_TEXT);
	tcase_set_timeout(tc, 3600);
	tcase_add_test(tc, test_commit);
	tcase_add_test(tc, test_roll_retain);
	tcase_add_loop_test(tc, test_relaxed, 0, 2);
	tcase_add_test(tc, test_rewrite);
	tcase_add_test(tc, test_faults);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
