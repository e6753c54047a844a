/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's log: replay, group commit of records, rewriting. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/log.h"
#include "lib/rows_table.h"
#include "lib/meta.def"

const struct msg meta_msgs[MT_MAX] = {
#define MESSAGE(n, k, lo, hi, fx) \
	[MT_##n] = { #n, n##_rows, sizeof(struct n), k, lo, hi, fx },
#include "lib/meta.def"
};

enum {
	META_VALUE_MAX	= 16 * MIB,	/* one record */
	META_BATCH_MAX	= 64 * MIB,
	META_FILE_MAX	= 1024 * MIB,	/* far above 100,000 topics */
};

struct meta_key
meta_key_part(struct meta_key_part *k, const struct log_id *id)
{
	memcpy(k->b, id->topic.b, 16);
	be32_put(k->b + 16, (uint32_t)id->part);
	return (struct meta_key){ k->b, sizeof k->b };
}

typedef enum err (*apply_fn)(struct engine *, enum meta_type,
    const struct meta_key *, const void *, char *, size_t);

/* ---- records ----------------------------------------------------------- */

static enum err
record_add(struct batch_maker *m, enum meta_type t,
    const struct meta_key *key, const void *value)
{
	struct wr w = wr_grow(META_VALUE_MAX), k = wr_grow(META_KEY_MAX);
	enum err e = E_OK;

	wr_i8(&k, (int8_t)t);
	if (key != NULL)
		wr_bytes(&k, key->p, key->len);
	if (value != NULL) {
		wr_i16(&w, (int16_t)meta_msgs[t].max);
		e = msg_write(&meta_msgs[t], meta_msgs[t].max, &w, value);
	}
	if (e == E_OK && k.bad)
		e = E_NOMEM;
	if (e == E_OK)
		batch_add(m, wall_ms(), k.p, (int32_t)k.len, w.p,
		    value != NULL ? (int32_t)w.len : -1, NULL, 0);
	wr_free(&w);
	wr_free(&k);
	return e;
}

/* Decodes key and value; *value is in the arena, NULL for a tombstone. */
static enum err
record_read(const struct record *rec, struct arena *a, enum meta_type *t,
    struct meta_key *key, void **value)
{
	struct rd r;
	int v;

	*value = NULL;
	if (rec->key_len < 1)
		return E_CORRUPT;
	*t = rec->key[0];
	if (*t < 1 || *t >= MT_MAX || meta_msgs[*t].name == NULL)
		return E_CORRUPT;
	*key = (struct meta_key){ rec->key + 1, (size_t)rec->key_len - 1 };
	if (rec->value_len < 0)
		return E_OK;
	r = rd_of(rec->value, (size_t)rec->value_len);
	v = rd_i16(&r);
	if (r.bad || v < meta_msgs[*t].min || v > meta_msgs[*t].max)
		return E_CORRUPT;
	if ((*value = arena_alloc(a, meta_msgs[*t].size)) == NULL)
		return E_NOMEM;
	return msg_read(&meta_msgs[*t], v, &r, a, *value);
}

bool
meta_print(const struct record *rec, struct wr *out)
{
	struct meta_key key;
	enum meta_type t;
	struct arena a;
	void *value;
	bool ok;

	arena_init(&a, 16 * MIB);
	ok = record_read(rec, &a, &t, &key, &value) == E_OK;
	if (ok && value == NULL) {
		wr_bytes(out, meta_msgs[t].name, strlen(meta_msgs[t].name));
		wr_bytes(out, " removed", 8);
	} else if (ok)
		msg_print(&meta_msgs[t], out, value);
	arena_reset(&a);
	return ok;
}

/* ---- snapshots --------------------------------------------------------- */

/* A snapshot is cut into batches of about this many bytes. */
enum { SNAP_BATCH = 1 * MIB };

/* The bytes of a segment, and what is known of it. */
struct snapshot {
	struct wr	 bytes;
	int64_t		 next;		/* offset */
	int64_t		 max_ts;
};

struct snap {
	struct meta	*m;
	struct batch_maker maker;
	struct snapshot	*out;
	int64_t		 records;
	enum err	 err;
};

static void
snap_flush(struct snap *s)
{
	int32_t n = s->maker.b.count;
	struct wr one = wr_grow(META_BATCH_MAX);
	struct batch b;

	if (n == 0 || s->err != E_OK) {
		batch_make_free(&s->maker);
		return;
	}
	s->err = batch_finish(&s->maker, CODEC_NONE, INT32_MIN, &one);
	if (s->err == E_OK) {
		batch_assign(one.p, s->out->next, s->m->eng->epoch);
		s->err = batch_read(one.p, &b);
	}
	if (s->err == E_OK) {
		wr_bytes(&s->out->bytes, one.p, one.len);
		s->out->next += n;
		if (b.max_ts > s->out->max_ts)
			s->out->max_ts = b.max_ts;
		if (s->out->bytes.bad)
			s->err = E_NOMEM;
	}
	wr_free(&one);
	batch_make(&s->maker, META_BATCH_MAX);
}

static void
snap_put(struct snap *s, enum meta_type t, const struct meta_key *key,
    const void *value)
{
	if (s->err != E_OK)
		return;
	s->err = record_add(&s->maker, t, key, value);
	s->records++;
	if (s->maker.recs.len > SNAP_BATCH)
		snap_flush(s);
}

static void
snap_topics(struct snap *s)
{
	struct meta_topic rec;
	struct meta_deleted del;
	struct meta_key key;
	struct arena a;

	for (struct topic *t = s->m->eng->topics.first; t != NULL;
	    t = t->next) {
		if (t->state == TOPIC_CREATING)
			continue;
		key = meta_key_uuid(&t->id);
		arena_init(&a, META_VALUE_MAX);
		if (t->state == TOPIC_DELETING) {
			del.parts = t->nparts;
			snap_put(s, MT_meta_deleted, &key, &del);
		} else if (topic_record(t, &rec, &a) == E_OK)
			snap_put(s, MT_meta_topic, &key, &rec);
		else
			s->err = E_NOMEM;
		arena_reset(&a);
	}
}

static void
snap_part(struct snap *s, const struct part *p)
{
	struct meta_key_part k;
	struct meta_key key = meta_key_part(&k, &p->id);
	struct meta_start start = { p->trimmed };
	struct meta_clean clean = { p->clean.to, p->clean.at };

	if (p->trimmed > 0)
		snap_put(s, MT_meta_start, &key, &start);
	if (p->clean.at > 0)
		snap_put(s, MT_meta_clean, &key, &clean);
}

static void
snap_parts(struct snap *s)
{
	for (struct topic *t = s->m->eng->topics.first; t != NULL;
	    t = t->next)
		for (int32_t i = 0; t->state == TOPIC_LIVE && i < t->nparts;
		    i++)
			snap_part(s, t->parts[i]);
}

static void
snap_one(void *arg, enum meta_type t, const struct meta_key *key,
    const void *value)
{
	snap_put(arg, t, key, value);
}

/* The whole catalogue as a segment that starts at offset base; the caller
 * frees the bytes, also when it fails. */
static enum err
snap_make(struct meta *m, int64_t base, struct snapshot *out)
{
	struct snap s = { .m = m, .out = out };
	struct meta_begin begin = { kstr_of(m->eng->cluster_id), wall_ms() };
	struct meta_epoch epoch = { m->eng->epoch };
	struct meta_pids pids = { m->eng->pid_limit };
	struct meta_end end;

	*out = (struct snapshot){ wr_grow(META_FILE_MAX), base, -1 };
	batch_make(&s.maker, META_BATCH_MAX);
	snap_put(&s, MT_meta_begin, NULL, &begin);
	snap_put(&s, MT_meta_epoch, NULL, &epoch);
	snap_put(&s, MT_meta_pids, NULL, &pids);
	configs_snapshot(m->eng, snap_one, &s);
	snap_topics(&s);
	snap_parts(&s);
	groups_snapshot(m->eng, snap_one, &s);
	users_snapshot(m->eng, snap_one, &s);
	quotas_snapshot(m->eng, snap_one, &s);
	auth_snapshot(m->eng, snap_one, &s);
	end.records = s.records - 1;
	snap_put(&s, MT_meta_end, NULL, &end);
	snap_flush(&s);
	batch_make_free(&s.maker);
	return s.err;
}

/* Writes a snapshot as the segment <base>.log, in one step. */
static enum err
snap_write(const char *dir, int64_t base, const struct wr *bytes)
{
	char path[PATH_SIZE];

	seg_path(path, dir, base, ".log");
	return disk_replace(path, bytes->p, bytes->len);
}

/* ---- replay ------------------------------------------------------------ */

struct replay {
	struct engine	*eng;
	apply_fn	 apply;
	int64_t		 records;	/* since the snapshot began */
	bool		 began, ended;
	char		*why;
	size_t		 size;
};

static enum err
replay_record(struct replay *r, const struct record *rec)
{
	struct meta_key key;
	enum meta_type t;
	struct arena a;
	void *value;
	enum err e;

	arena_init(&a, 16 * MIB);
	e = record_read(rec, &a, &t, &key, &value);
	if (e == E_OK && r->began != (t != MT_meta_begin))
		e = E_CORRUPT;
	if (e == E_OK && t == MT_meta_begin && value != NULL) {
		struct meta_begin *b = value;

		snprintf(r->eng->cluster_id, sizeof r->eng->cluster_id, "%.*s",
		    (int)b->cluster_id.len, b->cluster_id.p);
		r->began = true;
	} else if (e == E_OK && t == MT_meta_end && value != NULL) {
		struct meta_end *end = value;

		if (r->ended || end->records != r->records)
			e = E_CORRUPT;
		r->ended = true;
	} else if (e == E_OK) {
		r->records++;
		e = r->apply(r->eng, t, &key, value, r->why, r->size);
	}
	arena_reset(&a);
	return e;
}

static enum err
replay_batch(struct replay *r, const uint8_t *p, size_t n)
{
	struct batch_iter it;
	struct record rec;
	enum err e;

	e = batch_crc_ok(p, n) ? E_OK : E_CORRUPT;
	if (e != E_OK)
		return e;
	e = batch_iter_open(&it, p, n, META_BATCH_MAX);
	while (e == E_OK && (e = batch_iter_next(&it, &rec)) == E_OK)
		e = replay_record(r, &rec);
	batch_iter_close(&it);
	return e == E_EOF ? E_OK : e == E_INVALID_RECORD ? E_CORRUPT : e;
}

enum err
meta_replay(struct engine *eng, int fd, const char *path, int64_t base,
    int64_t size, apply_fn apply, char *why, size_t n)
{
	struct replay rp = { .eng = eng, .apply = apply, .why = why,
	    .size = n }, *r = &rp;
	struct batch b;
	uint8_t *p = malloc((size_t)size + 1);
	size_t got = 0, at = 0;
	int64_t next = base;
	enum err e = p == NULL ? E_NOMEM
	    : disk->pread(fd, p, (size_t)size, 0, &got);

	if (e == E_OK && got != (size_t)size)
		e = E_EOF;
	while (e == E_OK && at < got) {
		e = got - at < BATCH_HEADER ? E_CORRUPT
		    : batch_read(p + at, &b);
		if (e == E_OK && ((size_t)batch_size(&b) > got - at ||
		    b.base_offset != next))
			e = E_CORRUPT;
		if (e == E_OK)
			e = replay_batch(r, p + at, (size_t)batch_size(&b));
		if (e == E_OK) {
			at += (size_t)batch_size(&b);
			next = batch_last_offset(&b) + 1;
		}
	}
	if (e == E_OK && !r->ended)
		e = E_CORRUPT;
	if (e != E_OK && r->why[0] == '\0')
		snprintf(r->why, r->size, "%s: %s at position %zu of %zu",
		    path, err_text(e), at, got);
	free(p);
	return e;
}

/* Older segments are left over from a rewrite that was cut short after its
 * rename: everything in them is in the newest one. */
static enum err
drop_older(const char *dir, int64_t base)
{
	char path[PATH_SIZE];
	enum err e;

	seg_path(path, dir, base, ".idx");
	e = disk->unlink(path);
	if (e != E_OK && e != E_NOTFOUND)
		return e;
	seg_path(path, dir, base, ".log");
	return disk->unlink(path);
}

/* A directory with data but without a catalogue is never taken for new. */
static enum err
is_new(struct engine *eng, const char *dir, char *why, size_t size)
{
	char topics[PATH_SIZE];
	struct disk_stat st;

	snprintf(topics, sizeof topics, "%s/topics", eng->data);
	if (disk->stat(topics, &st) != E_NOTFOUND) {
		snprintf(why, size, "%s holds no catalogue, but %s exists: "
		    "refusing to start empty", dir, topics);
		return E_CORRUPT;
	}
	return E_OK;
}

static enum err
meta_init(struct meta *m, const char *dir, char *why, size_t size)
{
	struct snapshot s = { 0 };
	enum err e;

	e = is_new(m->eng, dir, why, size);
	if (e == E_OK)
		e = disk->mkdir(dir);
	if (e == E_OK)
		e = disk->sync_dir(m->eng->data);
	if (e == E_OK)
		e = snap_make(m, 0, &s);
	if (e == E_OK)
		e = snap_write(dir, 0, &s.bytes);
	wr_free(&s.bytes);
	return e;
}

static enum err
meta_load(struct meta *m, const char *dir, bool clean, apply_fn apply,
    char *why, size_t size)
{
	char lost[PATH_SIZE];
	struct recover_how how = { .dir = dir, .lost = lost, .id = m->part->id,
	    .clean = clean, .serial = true };
	struct recovered got;
	struct seg *s;
	enum err e;
	int fd;

	snprintf(lost, sizeof lost, "%s/lost+found", m->eng->data);
	e = recover_log(&how, &got);
	if (e == E_NOSPC && space_yield(m->eng)) {
		recover_free(&got);
		e = recover_log(&how, &got);
	}
	if (e == E_NOTFOUND || (e == E_OK && got.nsegs == 0)) {
		recover_free(&got);
		got.why[0] = '\0';	/* that there is none is no failure */
		e = meta_init(m, dir, why, size);
		if (e == E_OK)
			e = recover_log(&how, &got);
	}
	if (e != E_OK || got.nsegs == 0) {
		if (why[0] == '\0')
			snprintf(why, size, "%s", got.why);
		recover_free(&got);
		return e != E_OK ? e : E_CORRUPT;
	}
	s = got.segs[got.nsegs - 1];
	e = seg_fd(s, &fd);
	if (e == E_OK)
		e = meta_replay(m->eng, fd, s->path, s->base, s->size, apply,
		    why, size);
	for (int i = 0; e == E_OK && i < got.nsegs - 1; i++)
		e = drop_older(dir, got.segs[i]->base);
	if (e == E_OK && got.nsegs > 1) {
		for (int i = 0; i < got.nsegs - 1; i++)
			seg_unref(got.segs[i]);
		got.segs[0] = s;
		got.nsegs = 1;
		got.start = s->base;
	}
	m->live = s->size;
	if (e == E_OK)
		e = part_install(m->part, &got, m->eng->epoch);
	recover_free(&got);
	return e;
}

enum err
meta_open(struct meta *m, struct engine *eng, bool clean, apply_fn apply,
    char *why, size_t size)
{
	static const struct log_id none;
	char dir[PATH_SIZE];
	enum err e;

	memset(m, 0, sizeof *m);
	m->eng = eng;
	m->waiting_tail = &m->waiting;
	batch_make(&m->maker, META_BATCH_MAX);
	m->part = part_new(eng, NULL, &none);
	if (m->part == NULL)
		return E_NOMEM;
	part_dir(m->part, dir);
	why[0] = '\0';
	e = meta_load(m, dir, clean, apply, why, size);
	if (e != E_OK && why[0] == '\0')
		snprintf(why, size, "%s: %s", dir, err_text(e));
	return e;
}

void
meta_close(struct meta *m)
{
	batch_make_free(&m->maker);
	part_free(m->part);
	m->part = NULL;
}

/* ---- changes ----------------------------------------------------------- */

void
meta_wait(struct meta *m, struct meta_put *p)
{
	p->next = NULL;
	*m->waiting_tail = p;
	m->waiting_tail = &p->next;
}

enum err
meta_write(struct meta *m, enum meta_type t, const struct meta_key *key,
    const void *value, struct meta_put *p)
{
	enum err e = record_add(&m->maker, t, key, value);

	if (e == E_OK && p != NULL)
		meta_wait(m, p);
	return e;
}

bool
meta_idle(const struct meta *m)
{
	return !m->busy && m->maker.b.count == 0 && m->waiting == NULL;
}

static void
puts_finish(struct meta *m, enum err e)
{
	struct meta_put *p = m->flying, *next;

	m->flying = NULL;
	for (; p != NULL; p = next) {
		next = p->next;
		p->done(p, e);
	}
}

static void
batch_done(struct append *a, enum err e)
{
	struct meta *m = (struct meta *)((char *)a -
	    offsetof(struct meta, append));

	if (e == E_NOSPC && space_helps(m->eng)) {
		m->stuck = true;
		return;
	}
	wr_free(&m->bytes);
	m->busy = false;
	puts_finish(m, e);
}

static void
batch_send(struct meta *m)
{
	enum err e;

	m->append.written = false;
	e = part_append(m->part, &m->append);
	if (e != E_OK)
		batch_done(&m->append, e);
}

void
meta_again(struct meta *m)
{
	if (!m->stuck)
		return;
	m->stuck = false;
	batch_send(m);
}

/* ---- rewriting --------------------------------------------------------- */

struct rewrite {
	struct job	 job;
	struct meta	*m;
	struct snapshot	 snap;
	int64_t		 base, old_base;
	int32_t		 epoch;		/* of the snapshot's batches */
	enum err	 err;
	bool		 kept;		/* no room; the old one stays */
	struct seg	*seg;
	char		 dir[PATH_SIZE];
};

static void
rewrite_run(struct job *j)
{
	struct rewrite *r = (struct rewrite *)j;

	char path[PATH_SIZE];
	struct disk_stat st;

	r->err = snap_write(r->dir, r->base, &r->snap.bytes);
	/* Once it has its name, the old one must not be written to. */
	seg_path(path, r->dir, r->base, ".log");
	r->kept = r->err == E_NOSPC && disk->stat(path, &st) == E_NOTFOUND;
	if (r->err == E_OK)
		r->err = seg_open(r->dir, &r->m->part->id, r->base, false,
		    &r->seg);
	/* Left over, it would be removed at the next start. */
	if (r->err == E_OK && drop_older(r->dir, r->old_base) != E_OK)
		log_warn("old catalogue segment stays", LI("base",
		    r->old_base));
}

static void
rewrite_end(struct rewrite *r)
{
	struct meta *m = r->m;

	m->busy = false;
	wr_free(&r->snap.bytes);
	free(r);
	part_job_done(m->part);
	meta_kick(m);
}

static void
rewrite_done(struct job *j)
{
	struct rewrite *r = (struct rewrite *)j;
	struct meta *m = r->m;
	struct part *p = m->part;

	if (r->kept) {
		log_warn("the catalogue is not rewritten yet", LE(r->err));
		m->rewrite_min = part_active(p)->size + META_REWRITE_MIN;
		space_full(m->eng);
		rewrite_end(r);
		return;
	}
	if (r->err != E_OK)
		log_fatal("the catalogue cannot be rewritten", LE(r->err));
	r->seg->size = r->seg->synced = (int64_t)r->snap.bytes.len;
	r->seg->end_offset = r->seg->synced_offset = r->snap.next;
	r->seg->max_ts = r->snap.max_ts;
	r->seg->handle = ++m->eng->next_handle;
	files_remove(p->segs[0]);
	seg_unref(p->segs[0]);
	p->segs[0] = r->seg;
	files_add(&m->eng->files, r->seg);
	p->start = r->base;
	p->epoch = r->epoch;	/* it must not fall along the log */
	p->next = p->hw = r->snap.next;
	m->live = r->seg->size;
	m->rewrite_min = 0;
	log_info("catalogue rewritten", LI("bytes", m->live),
	    LI("base", r->base));
	rewrite_end(r);
}

/* Mostly dead: a new segment takes over.  Nothing is in flight.  True when
 * what was gathered has to wait. */
static bool
rewrite_start(struct meta *m)
{
	struct part *p = m->part;
	struct rewrite *r;

	if (part_active(p)->size < 2 * m->live + META_REWRITE_MIN ||
	    part_active(p)->size < m->rewrite_min)
		return false;
	if (p->idx_busy)
		return true;	/* wait: under load it is always busy */
	if ((r = calloc(1, sizeof *r)) == NULL)
		return false;
	r->m = m;
	r->base = p->next;
	r->old_base = part_active(p)->base;
	r->epoch = m->eng->epoch;
	part_dir(p, r->dir);
	if (snap_make(m, r->base, &r->snap) != E_OK) {
		wr_free(&r->snap.bytes);
		free(r);
		return false;
	}
	commit_forget(&m->eng->commit, p);
	r->job.run = rewrite_run;
	r->job.done = rewrite_done;
	m->busy = true;
	p->jobs++;
	pool_submit(m->eng->bulk, &r->job);
	return true;
}

void
meta_kick(struct meta *m)
{
	enum err e;

	/* Without memory for a record, whoever waits hears of it below. */
	if (m->busy || (m->maker.b.count == 0 && !m->maker.recs.bad))
		return;
	if (rewrite_start(m))
		return;
	m->bytes = wr_grow(META_BATCH_MAX);
	m->flying = m->waiting;
	m->waiting = NULL;
	m->waiting_tail = &m->waiting;
	e = batch_finish(&m->maker, CODEC_NONE, INT32_MIN, &m->bytes);
	batch_make(&m->maker, META_BATCH_MAX);
	if (e == E_OK)
		e = batch_read(m->bytes.p, &m->append.b);
	if (e != E_OK) {
		wr_free(&m->bytes);
		puts_finish(m, e);
		return;
	}
	memcpy(m->append.head, m->bytes.p, BATCH_HEADER);
	m->append.body = m->bytes.p + BATCH_HEADER;
	m->append.all = true;
	m->append.done = batch_done;
	m->busy = true;
	batch_send(m);
}
