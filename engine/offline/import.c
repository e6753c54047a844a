/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The import as a whole: what comes along, the target, the order of things.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "catalogue/topic_files.h"
#include "engine.h"
#include "import.h"
#include "kafka_meta.h"
#include "lib/log.h"

enum { STEPS_MAX = 1000000, PID_GAP = 1000 };

/* A topic that comes along. */
struct plan {
	struct plan	*next;
	struct kafka_topic *t;
	struct uuid	 id;
	bool		 kept;
	int32_t		 nparts;
	struct import_part *parts;
	struct conf_set	 own;
};

struct running {
	struct import	*im;
	struct kafka	 k;
	struct plan	*plans, **tail;
	struct import_groups groups;
	struct import_txns txns;
	struct engine	*eng;
	struct pool	*commit, *bulk;
	struct arena	 a;		/* of the catalogue's records */
	struct meta_put	 put;
	enum err	 durable;	/* E_BUSY: not yet */
	bool		 opened;	/* the target */
	bool		 begun;		/* DATA/importing is there */
	bool		 half;		/* records wait that are not all */
};

static enum err
fail(struct running *r, enum err err, const char *what, const char *words)
{
	return kafka_fail(&r->k, err, what, words);
}

/* ---- what comes along --------------------------------------------------- */

static bool
is_own(struct kstr name)
{
	static const char *const names[] = { "__cluster_metadata",
	    "__consumer_offsets", "__transaction_state",
	    "__share_group_state", "__remote_log_metadata" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (kstr_eq(name, kstr_of(names[i])))
			return true;
	return false;
}

static bool
asked_for(const struct import *im, struct kstr name)
{
	for (int i = 0; i < im->ntopics; i++)
		if (kstr_eq(name, kstr_of(im->topics[i])))
			return true;
	return im->ntopics == 0;
}

/* Every partition must be there: half a topic would look like a whole one. */
static enum err
parts_check(struct running *r, struct kafka_topic *t, int32_t *n)
{
	char words[256];
	int32_t i = 0;

	*n = t->listed ? t->nparts : 0;
	for (struct kafka_part *p = t->parts; p != NULL; p = p->next)
		*n = p->index >= *n ? p->index + 1 : *n;
	for (struct kafka_part *p = t->parts; p != NULL && p->index == i;
	    p = p->next)
		i++;
	if (i == *n)
		return E_OK;
	snprintf(words, sizeof words, "partition %d of %d is not in these "
	    "directories; give all log.dirs of its broker", (int)i, (int)*n);
	return fail(r, E_NOTFOUND, t->name.p, words);
}

static enum err
configs_take(struct running *r, struct plan *p)
{
	char why[256];
	enum err err = E_OK;

	for (struct kafka_config *c = p->t->configs; c != NULL; c = c->next)
		if (topic_conf_put(&p->own, c->name, c->value, why,
		    sizeof why) != E_OK)
			kafka_note(&r->k, "topic %s: config %s=%s is not "
			    "taken over: %s", p->t->name.p, c->name.p,
			    c->value.p, why);
	for (int i = 0; err == E_OK && i < r->im->nconfigs; i++) {
		const char *s = r->im->configs[i], *eq = strchr(s, '=');
		struct kstr name = { eq == NULL ? -1 : (int32_t)(eq - s), s };

		if (eq == NULL)
			return fail(r, E_USAGE, s, "--config takes KEY=VALUE");
		err = topic_conf_put(&p->own, name, kstr_of(eq + 1), why,
		    sizeof why);
		if (err != E_OK)
			return fail(r, err, s, why);
	}
	return E_OK;
}

static enum err
plan_add(struct running *r, struct kafka_topic *t)
{
	struct plan *p;
	int32_t n;
	enum err err = parts_check(r, t, &n);

	if (err != E_OK)
		return err;
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return fail(r, E_NOMEM, t->name.p, NULL);
	*r->tail = p;
	r->tail = &p->next;
	p->t = t;
	p->nparts = n;
	p->parts = calloc((size_t)n, sizeof *p->parts);
	if (p->parts == NULL)
		return fail(r, E_NOMEM, t->name.p, NULL);
	return configs_take(r, p);
}

static enum err
plan_all(struct running *r)
{
	struct import *im = r->im;
	enum err err = E_OK;

	for (struct kafka_topic *t = r->k.topics; err == E_OK && t != NULL;
	    t = t->next) {
		if (is_own(t->name) || !asked_for(im, t->name))
			continue;
		if (t->parts != NULL && r->k.metadata != NULL && !t->listed)
			kafka_note(&r->k, "topic %s was deleted; its "
			    "directories stay behind", t->name.p);
		else if (t->parts == NULL && t->listed)
			kafka_note(&r->k, "topic %s has no partition in these "
			    "directories", t->name.p);
		else if (t->parts != NULL)
			err = plan_add(r, t);
	}
	for (int i = 0; err == E_OK && i < im->ntopics; i++) {
		struct plan *p = r->plans;

		while (p != NULL && !kstr_eq(p->t->name,
		    kstr_of(im->topics[i])))
			p = p->next;
		if (p == NULL)
			err = fail(r, E_UNKNOWN_TOPIC, im->topics[i],
			    "there is no such topic to be taken over");
	}
	return err;
}

/* ---- the target --------------------------------------------------------- */

static void
wake(void *arg)
{
	(void)arg;
}

static void
topic_path(const struct running *r, const struct uuid *id, char *out)
{
	int n = snprintf(out, PATH_SIZE, "%s/topics/", r->im->conf->data_dir);

	for (int i = 0; i < 16; i++)
		n += snprintf(out + n, (size_t)(PATH_SIZE - n), "%02x",
		    id->b[i]);
}

static enum err
target_open(struct running *r)
{
	char why[1024];
	enum err err;

	err = pool_open(0, wake, NULL, &r->commit);
	if (err == E_OK)
		err = pool_open(0, wake, NULL, &r->bulk);
	if (err != E_OK)
		return fail(r, err, r->im->conf->data_dir, NULL);
	r->opened = true;
	err = engine_open(r->eng, r->im->conf, r->commit, r->bulk, why,
	    sizeof why);
	if (err != E_OK)
		return fail(r, err, "the data directory", why);
	engine_drain(r->eng);
	return r->eng->opened ? E_OK : fail(r, E_IO,
	    r->im->conf->data_dir, "the engine does not open");
}

/* What the newest segment of a catalogue says, without touching it. */
struct newest {
	int64_t	base;
};

static int
newest_each(const char *name, void *arg)
{
	struct newest *x = arg;
	int64_t base;

	if (seg_name(name, ".log", &base) && base > x->base)
		x->base = base;
	return 0;
}

static enum err
target_imagine(struct running *r)
{
	const char *data = r->im->conf->data_dir;
	struct newest x = { -1 };
	char dir[PATH_SIZE], path[PATH_SIZE], why[1024];
	struct disk_stat st;
	enum err err;
	int fd;

	snprintf(path, sizeof path, "%.4000s/LOCK", data);
	err = disk->stat(path, &st) == E_OK ? disk->lock(path, &fd) :
	    E_NOTFOUND;
	if (err == E_BUSY)
		return fail(r, err, data, "it is in use by an engine");
	if (err == E_OK)
		disk->close(fd);
	snprintf(dir, sizeof dir, "%.4000s/meta", data);
	err = disk->list(dir, newest_each, &x);
	if (err == E_NOTFOUND || (err == E_OK && x.base < 0))
		return E_OK;	/* it would be made */
	seg_path(path, dir, x.base, ".log");
	if (err == E_OK)
		err = disk->stat(path, &st);
	if (err != E_OK)
		return fail(r, err, dir, NULL);
	err = engine_imagine(r->eng, r->im->conf, path, x.base, st.size, why,
	    sizeof why);
	return err == E_OK ? err : fail(r, err, path, why);
}

static void
target_close(struct running *r, enum err err)
{
	enum err stopped = E_BUSY;

	if (!r->opened) {
		if (r->eng->conf != NULL)
			engine_close(r->eng);
		return;
	}
	for (int i = 0; r->eng->opened && !r->half && i < STEPS_MAX &&
	    stopped == E_BUSY; i++) {
		stopped = engine_stop(r->eng);
		(void)pool_step(r->commit);
		(void)pool_step(r->bulk);
	}
	if (stopped != E_OK && err == E_OK)
		kafka_note(&r->k, "the data directory was not closed in "
		    "order; the next start reads the ends of its logs");
	engine_close(r->eng);
	pool_close(r->commit);
	pool_close(r->bulk);
}

/* ---- ids, and what an import before left -------------------------------- */

static bool
id_taken(const struct running *r, const struct uuid *id)
{
	char path[PATH_SIZE];
	struct disk_stat st;

	for (struct topic *t = r->eng->topics.first; t != NULL; t = t->next)
		if (uuid_eq(t->id, *id))
			return true;
	for (struct plan *p = r->plans; p != NULL; p = p->next)
		if (uuid_eq(p->id, *id))
			return true;
	topic_path(r, id, path);
	return disk->stat(path, &st) != E_NOTFOUND;
}

static enum err
id_choose(struct running *r, struct plan *p)
{
	struct uuid id = p->t->id;

	p->kept = !uuid_zero(id) && !id_taken(r, &id);
	while (!p->kept) {
		if (getrandom(id.b, sizeof id.b, 0) != (ssize_t)sizeof id.b)
			return fail(r, E_IO, "random numbers", NULL);
		if (!uuid_zero(id) && !id_taken(r, &id))
			break;
	}
	p->id = id;
	return E_OK;
}

static enum err
fits(struct running *r, struct plan *p)
{
	char why[512];
	enum err err;

	err = topic_create_check(r->eng, p->t->name, p->nparts, why,
	    sizeof why);
	return err == E_OK ? err : fail(r, err, p->t->name.p, why);
}

static void
importing_path(const struct running *r, char *path)
{
	snprintf(path, PATH_SIZE, "%.4000s/importing",
	    r->im->conf->data_dir);
}

static bool
line_read(const uint8_t *p, struct uuid *id)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < IMPORTING_LINE - 1; i++) {
		const char *d = memchr(digits, p[i], 16);

		if (d == NULL)
			return false;
		id->b[i / 2] = (uint8_t)(id->b[i / 2] << 4 | (d - digits));
	}
	return p[IMPORTING_LINE - 1] == '\n';
}

static enum err
importing_end(struct running *r)
{
	char path[PATH_SIZE];
	enum err err;

	importing_path(r, path);
	err = disk->unlink(path);
	if (err == E_OK)
		err = disk->sync_dir(r->im->conf->data_dir);
	return err == E_OK || err == E_NOTFOUND ? E_OK :
	    fail(r, err, path, NULL);
}

/* An import that did not end: takes its half copies away. */
static enum err
leftovers(struct running *r)
{
	char path[PATH_SIZE];
	uint8_t *p;
	size_t n;
	enum err err;

	importing_path(r, path);
	err = disk_slurp(path, 64 * MIB, &p, &n);
	if (err != E_OK)
		return err == E_NOTFOUND ? E_OK : fail(r, err, path, NULL);
	for (size_t at = 0; err == E_OK && at + IMPORTING_LINE <= n;
	    at += IMPORTING_LINE) {
		struct uuid id = { { 0 } };
		struct topic *t = r->eng->topics.first;

		if (!line_read(p + at, &id)) {
			err = fail(r, E_CORRUPT, path, "it is damaged; see "
			    "which directories in topics are of no topic, "
			    "then remove it");
			break;
		}
		while (t != NULL && !uuid_eq(t->id, id))
			t = t->next;
		if (t == NULL && (err = topic_files_remove(r->eng, &id, 0)) !=
		    E_OK)
			err = fail(r, err, path, "the half copies of an "
			    "import before cannot be removed");
	}
	free(p);
	return err == E_OK ? importing_end(r) : err;
}

static enum err
importing_begin(struct running *r)
{
	struct wr w = wr_grow(64 * MIB);
	char path[PATH_SIZE], hex[IMPORTING_LINE + 1];
	enum err err;

	for (struct plan *p = r->plans; p != NULL; p = p->next) {
		for (int i = 0; i < 16; i++)
			snprintf(hex + 2 * i, 3, "%02x", p->id.b[i]);
		hex[IMPORTING_LINE - 1] = '\n';
		wr_bytes(&w, hex, IMPORTING_LINE);
	}
	importing_path(r, path);
	err = w.bad ? E_NOMEM : disk_replace(path, w.p, w.len);
	wr_free(&w);
	r->begun = err == E_OK;
	return err == E_OK ? err : fail(r, err, path, NULL);
}

/* ---- copying ------------------------------------------------------------ */

static enum err
topic_copy(struct running *r, struct plan *p)
{
	char top[PATH_SIZE], dir[PATH_SIZE];
	struct kafka_part *from = p->t->parts;
	enum err err = E_OK;

	topic_path(r, &p->id, top);
	if (!r->im->dry_run && (err = disk->mkdir(top)) != E_OK)
		err = fail(r, err, top, NULL);
	for (int32_t i = 0; err == E_OK && i < p->nparts; i++) {
		snprintf(dir, sizeof dir, "%.4000s/%d", top, (int)i);
		p->parts[i] = (struct import_part){ .k = &r->k, .from = from,
		    .txns = &r->txns, .id = { p->id, i },
		    .dir = r->im->dry_run ? NULL : dir,
		    .link = r->im->link };
		err = import_copy(&p->parts[i]);
		p->parts[i].dir = NULL;
		from = from->next;
	}
	if (err == E_OK && !r->im->dry_run &&
	    (err = disk->sync_dir(top)) != E_OK)
		err = fail(r, err, top, NULL);
	return err;
}

static enum err
copy_all(struct running *r)
{
	char top[PATH_SIZE];
	enum err err = E_OK;

	snprintf(top, sizeof top, "%.4000s/topics", r->im->conf->data_dir);
	if (!r->im->dry_run && (err = disk->mkdir(top)) != E_OK)
		return fail(r, err, top, NULL);
	for (struct plan *p = r->plans; err == E_OK && p != NULL; p = p->next)
		err = topic_copy(r, p);
	if (err != E_OK || r->im->dry_run)
		return err;
	err = disk->sync_dir(top);
	if (err == E_OK)
		err = disk->sync_dir(r->im->conf->data_dir);
	return err == E_OK ? err : fail(r, err, top, NULL);
}

/* ---- the catalogue ------------------------------------------------------ */

static enum err
put(struct running *r, enum meta_type t, const struct meta_key *key,
    const void *value)
{
	enum err err = meta_write(&r->eng->meta, t, key, value, NULL);

	return err == E_OK ? err : fail(r, err, "the catalogue", NULL);
}

static enum err
topic_put(struct running *r, struct plan *p)
{
	struct meta_topic rec = { .name = p->t->name, .parts = p->nparts,
	    .created_ms = wall_ms() };
	struct meta_key key = meta_key_uuid(&p->id);
	struct meta_key_part k;
	enum err err;

	rec.configs.n = p->own.n;
	rec.configs.v = arena_array(&r->a, (size_t)p->own.n + 1,
	    sizeof *rec.configs.v);
	if (rec.configs.v == NULL)
		return fail(r, E_NOMEM, p->t->name.p, NULL);
	for (int i = 0; i < p->own.n; i++)
		rec.configs.v[i] = (struct meta_topic_config){
		    kstr_of(p->own.v[i].name), kstr_of(p->own.v[i].value) };
	err = put(r, MT_meta_topic, &key, &rec);
	for (int32_t i = 0; err == E_OK && i < p->nparts; i++) {
		struct import_part *x = &p->parts[i];
		struct meta_start start = { x->start };

		if (x->start <= x->first)
			continue;
		key = meta_key_part(&k, &x->id);
		err = put(r, MT_meta_start, &key, &start);
	}
	return err;
}

static struct plan *
plan_find(struct running *r, struct kstr name)
{
	struct plan *p = r->plans;

	while (p != NULL && !kstr_eq(p->t->name, name))
		p = p->next;
	return p;
}

static enum err
offset_put(struct running *r, const struct import_offset *o)
{
	struct plan *p = plan_find(r, o->topic);
	struct meta_offset rec = { .offset = o->offset, .epoch = o->epoch,
	    .metadata = o->metadata, .committed_ms = o->commit_ms,
	    .expire_ms = o->expire_ms };
	struct log_id id;
	uint8_t *k;
	struct meta_key key;
	size_t n = 20 + (size_t)o->group.len;

	if (o->gone || p == NULL || o->part < 0 || o->part >= p->nparts ||
	    o->offset < 0 || o->group.len > GROUP_NAME_MAX)
		return E_OK;
	if ((k = arena_alloc(&r->a, n)) == NULL)
		return fail(r, E_NOMEM, "the catalogue", NULL);
	id = p->parts[o->part].id;
	memcpy(k, id.topic.b, 16);
	be32_put(k + 16, (uint32_t)id.part);
	memcpy(k + 20, o->group.p, (size_t)o->group.len);
	key = (struct meta_key){ k, n };
	r->im->offsets++;
	return r->im->dry_run ? E_OK : put(r, MT_meta_offset, &key, &rec);
}

/* A group that is there already goes on as it is. */
static enum err
group_put(struct running *r, const struct import_group *g)
{
	struct meta_key key = { (const uint8_t *)g->name.p,
	    (size_t)g->name.len };
	struct meta_group rec = { .generation = g->generation,
	    .type = g->type, .protocol = kstr_of(NULL),
	    .leader = kstr_of(NULL), .changed_ms = wall_ms() };
	struct meta_cgroup crec = { .epoch = g->generation,
	    .target_epoch = g->generation, .empty_ms = wall_ms() };

	if (g->gone || g->name.len > GROUP_NAME_MAX || g->name.len < 1 ||
	    group_find(r->eng, g->name, false) != NULL)
		return E_OK;
	r->im->groups++;
	if (r->im->dry_run)
		return E_OK;
	return g->modern ? put(r, MT_meta_cgroup, &key, &crec) :
	    put(r, MT_meta_group, &key, &rec);
}

static enum err
groups_put(struct running *r)
{
	enum err err = E_OK;

	for (size_t i = 0; i < r->groups.size; i++) {
		for (struct import_group *g = r->groups.groups[i];
		    err == E_OK && g != NULL; g = g->next)
			err = group_put(r, g);
		for (struct import_offset *o = r->groups.offsets[i];
		    err == E_OK && o != NULL; o = o->next)
			err = offset_put(r, o);
	}
	return err;
}

static void
written(struct meta_put *p, enum err err)
{
	struct running *r = (struct running *)((char *)p -
	    offsetof(struct running, put));

	r->durable = err;
}

/* All of it in one batch: it is there as a whole or not at all. */
static enum err
catalogue(struct running *r)
{
	struct meta_epoch epoch = { r->eng->epoch };
	struct meta_pids pids = { r->eng->pid_limit };
	enum err err = E_OK;

	for (struct plan *p = r->plans; p != NULL; p = p->next)
		for (int32_t i = 0; i < p->nparts; i++) {
			struct import_part *x = &p->parts[i];

			if (x->epoch > epoch.epoch)
				epoch.epoch = x->epoch;
			if (x->max_pid >= pids.limit)
				pids.limit = x->max_pid + PID_GAP;
		}
	if (r->k.next_pid > pids.limit)
		pids.limit = r->k.next_pid;
	epoch.epoch++;
	r->half = true;
	err = put(r, MT_meta_epoch, NULL, &epoch);
	if (err == E_OK)
		err = put(r, MT_meta_pids, NULL, &pids);
	for (struct plan *p = r->plans; err == E_OK && p != NULL; p = p->next)
		err = topic_put(r, p);
	if (err == E_OK)
		err = groups_put(r);
	if (err != E_OK)
		return err;
	r->half = false;
	r->put.done = written;
	r->durable = E_BUSY;
	meta_wait(&r->eng->meta, &r->put);
	engine_drain(r->eng);
	if (r->durable == E_OK)
		return E_OK;
	return fail(r, r->durable, "the catalogue", r->durable ==
	    E_TOO_LARGE ? "too much for one import; take over fewer topics "
	    "at once, with --topic" : NULL);
}

/* ---- all of it ---------------------------------------------------------- */

static enum err
source(struct running *r)
{
	struct import *im = r->im;
	enum err err = E_OK;

	r->k.recover = im->recover;
	r->k.note = im->note;
	r->k.arg = im;
	for (int i = 0; err == E_OK && i < im->ndirs; i++)
		err = kafka_dir_open(&r->k, im->dirs[i]);
	if (err == E_OK)
		err = kafka_meta_read(&r->k);
	if (err == E_OK)
		err = plan_all(r);
	if (err == E_OK)
		err = import_txns_read(&r->txns, &r->k);
	if (err == E_OK)
		err = import_groups_read(&r->groups, &r->k);
	return err;
}

/* Nothing of it was written to the catalogue.  After a batch that failed that
 * is not known: then the next import finds out. */
static void
take_back(struct running *r)
{
	enum err err = E_OK;

	for (struct plan *p = r->plans; err == E_OK && p != NULL; p = p->next)
		err = topic_files_remove(r->eng, &p->id, 0);
	if (err == E_OK)
		err = importing_end(r);
	if (err != E_OK)
		kafka_note(&r->k, "the half copies could not be removed; the "
		    "next import does that");
}

static enum err
transfer(struct running *r)
{
	enum err err = E_OK;

	if (!r->im->dry_run)
		err = leftovers(r);
	for (struct plan *p = r->plans; err == E_OK && p != NULL;
	    p = p->next)
		if ((err = fits(r, p)) == E_OK)
			err = id_choose(r, p);
	if (err == E_OK && !r->im->dry_run)
		err = importing_begin(r);
	if (err == E_OK)
		err = copy_all(r);
	if (err == E_OK)
		err = r->im->dry_run ? groups_put(r) : catalogue(r);
	if (err == E_OK && !r->im->dry_run)
		err = importing_end(r);
	else if (err != E_OK && r->begun && r->durable == E_OK)
		take_back(r);
	return err;
}

static void
tell(struct running *r)
{
	struct import *im = r->im;

	for (struct plan *p = r->plans; p != NULL; p = p->next) {
		struct import_told t = { .name = p->t->name.p, .id = p->id,
		    .kept = p->kept, .parts = p->nparts };

		for (int32_t i = 0; i < p->nparts; i++) {
			t.bytes += p->parts[i].bytes;
			t.offsets += p->parts[i].end - p->parts[i].start;
		}
		im->ntold++;
		im->told(im, &t);
	}
}

static void
running_free(struct running *r)
{
	struct plan *p;

	while ((p = r->plans) != NULL) {
		r->plans = p->next;
		conf_set_free(&p->own);
		free(p->parts);
		free(p);
	}
	kafka_free(&r->k);
	arena_reset(&r->a);
	free(r->eng);
}

enum err
import_run(struct import *im)
{
	struct running *r = calloc(1, sizeof *r);
	enum err err;

	im->why[0] = '\0';
	if (r == NULL || (r->eng = calloc(1, sizeof *r->eng)) == NULL) {
		free(r);
		return E_NOMEM;
	}
	r->im = im;
	r->tail = &r->plans;
	kafka_init(&r->k);
	arena_init(&r->a, (size_t)1024 * MIB);
	err = source(r);
	if (err == E_OK)
		err = im->dry_run ? target_imagine(r) : target_open(r);
	if (err == E_OK)
		err = transfer(r);
	target_close(r, err);
	if (err == E_OK)
		tell(r);
	snprintf(im->why, sizeof im->why, "%s", r->k.why);
	running_free(r);
	free(r);
	return err;
}
