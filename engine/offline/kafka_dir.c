/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of Kafka's log.dirs: names, checkpoint files, segments.  What a crash of
 * Kafka can leave is treated as Kafka treats it at its next start: files that
 * end in .deleted and .cleaned are nothing, one that ends in .swap takes the
 * place of the segments that it was made of.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "kafka_dir.h"
#include "lib/limits.h"
#include "log/scan.h"
#include "log/seg.h"

#define ARENA_MAX	((size_t)4096 * MIB)
#define TEXT_MAX	((size_t)256 * MIB)	/* of a checkpoint file */

void
kafka_init(struct kafka *k)
{
	memset(k, 0, sizeof *k);
	arena_init(&k->a, ARENA_MAX);
}

void
kafka_free(struct kafka *k)
{
	while (k->nlocks > 0)
		disk->close(k->locks[--k->nlocks]);
	arena_reset(&k->a);
}

enum err
kafka_fail(struct kafka *k, enum err err, const char *path, const char *words)
{
	if (k->why[0] == '\0')
		snprintf(k->why, sizeof k->why, "%.4000s: %s", path,
		    words != NULL ? words : err_text(err));
	return err;
}

void
kafka_note(struct kafka *k, const char *fmt, ...)
{
	char words[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof words, fmt, ap);
	va_end(ap);
	k->note(k->arg, words);
}

static void
join(char *out, const char *dir, const char *name)
{
	snprintf(out, PATH_SIZE, "%.2000s/%.2000s", dir, name);
}

struct kafka_topic *
kafka_topic_find(struct kafka *k, struct kstr name)
{
	struct kafka_topic *t = k->topics;

	while (t != NULL && !kstr_eq(t->name, name))
		t = t->next;
	return t;
}

struct kafka_topic *
kafka_topic_get(struct kafka *k, struct kstr name)
{
	struct kafka_topic *t = kafka_topic_find(k, name), **at = &k->topics;
	char *copy;

	if (t != NULL)
		return t;
	t = arena_alloc(&k->a, sizeof *t);
	copy = arena_strndup(&k->a, name.p, (size_t)name.len);
	if (t == NULL || copy == NULL)
		return NULL;
	t->name = (struct kstr){ name.len, copy };
	while (*at != NULL && strcmp((*at)->name.p, copy) < 0)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	return t;
}

struct kafka_part *
kafka_part_find(struct kafka_topic *t, int32_t index)
{
	struct kafka_part *p = t->parts;

	while (p != NULL && p->index != index)
		p = p->next;
	return p;
}

void
kafka_seg_path(char *buf, const struct kafka_part *p,
    const struct kafka_seg *s)
{
	seg_path(buf, p->dir, s->base, s->swap ? ".log.swap" : ".log");
}

/* ---- small text files --------------------------------------------------- */

/* A NUL-terminated copy in the arena; NULL when the file is not there. */
static enum err
text(struct kafka *k, const char *dir, const char *name, char **out)
{
	char path[PATH_SIZE];
	uint8_t *p;
	size_t n;
	enum err err;

	*out = NULL;
	join(path, dir, name);
	err = disk_slurp(path, TEXT_MAX, &p, &n);
	if (err == E_NOTFOUND)
		return E_OK;
	if (err != E_OK)
		return kafka_fail(k, err, path, NULL);
	*out = arena_strndup(&k->a, (char *)p, n);
	free(p);
	return *out == NULL ? kafka_fail(k, E_NOMEM, path, NULL) : E_OK;
}

/* The value of KEY=VALUE or "KEY: VALUE" in a text; len -1 none. */
static struct kstr
property(const char *s, const char *key)
{
	size_t n = strlen(key);

	for (; s != NULL && *s != '\0'; s = strchr(s, '\n')) {
		s += *s == '\n';
		if (strncmp(s, key, n) != 0 || (s[n] != '=' && s[n] != ':'))
			continue;
		s += n + 1;
		s += strspn(s, " ");
		return (struct kstr){ (int32_t)strcspn(s, "\r\n"), s };
	}
	return (struct kstr){ -1, NULL };
}

/* Kafka's ids: base64 for URLs, 22 characters. */
static bool
id_read(struct kstr s, struct uuid *id)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned acc = 0;
	int bits = 0, n = 0;

	if (s.len != 22)
		return false;
	for (int i = 0; i < 22; i++) {
		const char *d = memchr(digits, s.p[i], 64);

		if (d == NULL)
			return false;
		acc = acc << 6 | (unsigned)(d - digits);
		for (bits += 6; bits >= 8 && n < 16; bits -= 8)
			id->b[n++] = (uint8_t)(acc >> (bits - 8));
	}
	return n == 16;
}

/* A checkpoint file: a version, a count, then "topic partition offset". */
struct checkpoint {
	const char	*rest;		/* the lines; NULL there is no file */
};

static enum err
checkpoint_open(struct kafka *k, const char *dir, const char *name,
    struct checkpoint *c)
{
	char path[PATH_SIZE];
	char *s, *end;

	c->rest = NULL;
	if (text(k, dir, name, &s) != E_OK)
		return E_IO;
	if (s == NULL)
		return E_OK;
	join(path, dir, name);
	if (strtol(s, &end, 10) != 0 || end == s || *end != '\n')
		return kafka_fail(k, E_CORRUPT, path,
		    "it does not begin with version 0");
	(void)strtol(end + 1, &end, 10);
	if (*end != '\n' && *end != '\0')
		return kafka_fail(k, E_CORRUPT, path, "it has no count");
	c->rest = end;
	return E_OK;
}

static int64_t
checkpoint_of(const struct checkpoint *c, const struct kafka_topic *t,
    int32_t part, int64_t none)
{
	const char *s = c->rest;

	for (; s != NULL && *s != '\0'; s = strchr(s, '\n')) {
		char *end;
		int64_t v;

		s += *s == '\n';
		if (strncmp(s, t->name.p, (size_t)t->name.len) != 0 ||
		    s[t->name.len] != ' ')
			continue;
		if (strtol(s + t->name.len + 1, &end, 10) != part ||
		    *end != ' ')
			continue;
		v = strtoll(end + 1, &end, 10);
		return v < 0 || (*end != '\n' && *end != '\r' &&
		    *end != '\0') ? none : v;
	}
	return none;
}

/* ---- partitions --------------------------------------------------------- */

struct opening {
	struct kafka	*k;
	const char	*dir;
	int32_t		 broker;
	bool		 clean;
	int		 nparts;	/* that hold clients' records */
	struct checkpoint start, hw, recovery;
	enum err	 err;
};

struct listing {
	struct kafka	*k;
	struct kafka_part *p;
	int64_t		 cleaned;	/* least base of a .cleaned file */
	int		 cap;
	enum err	 err;
};

static bool
ext_is(const char *name, const char *ext, int64_t *base)
{
	return seg_name(name, ext, base);
}

static int
seg_each(const char *name, void *arg)
{
	struct listing *l = arg;
	struct kafka_part *p = l->p;
	struct kafka_seg *v;
	int64_t base;
	bool swap = ext_is(name, ".log.swap", &base);

	if (ext_is(name, ".log.cleaned", &base) && base < l->cleaned)
		l->cleaned = base;
	if (!swap && !ext_is(name, ".log", &base))
		return 0;
	if (p->nsegs == l->cap) {
		l->cap = l->cap * 2 + 8;
		v = arena_array(&l->k->a, (size_t)l->cap, sizeof *v);
		if (v == NULL) {
			l->err = kafka_fail(l->k, E_NOMEM, p->dir, NULL);
			return 1;
		}
		if (p->nsegs > 0)
			memcpy(v, p->segs, (size_t)p->nsegs * sizeof *v);
		p->segs = v;
	}
	p->segs[p->nsegs++] = (struct kafka_seg){ base, swap };
	return 0;
}

static int
seg_order(const void *a, const void *b)
{
	const struct kafka_seg *x = a, *y = b;

	return x->base != y->base ? (x->base > y->base) - (x->base < y->base)
	    : x->swap - y->swap;
}

static enum err
last_batch(void *arg, const struct batch *b, struct record *rec)
{
	int64_t *end = arg;

	if (rec == NULL)
		*end = batch_last_offset(b) + 1;
	return E_OK;
}

/* Swapped files are complete, unless a .cleaned one of the same work is there:
 * then the work had not ended.  They stand for all that they were made of. */
static enum err
swaps_settle(struct listing *l)
{
	struct kafka_part *p = l->p;
	int64_t least = INT64_MAX, most = -1;
	char path[PATH_SIZE];
	enum err err;
	int n = 0;

	for (int i = 0; i < p->nsegs; i++) {
		const struct kafka_seg *s = &p->segs[i];
		int64_t end = s->base;

		if (!s->swap || s->base >= l->cleaned)
			continue;
		kafka_seg_path(path, p, s);
		err = kafka_file_read(l->k, path, 0, INT64_MAX, last_batch,
		    &end);
		if (err != E_OK)
			return err;
		least = s->base < least ? s->base : least;
		most = end > most ? end : most;
	}
	for (int i = 0; i < p->nsegs; i++) {
		struct kafka_seg s = p->segs[i];

		if (s.swap ? s.base < l->cleaned : s.base < least ||
		    s.base >= most)
			p->segs[n++] = s;
	}
	p->nsegs = n;
	return E_OK;
}

static enum err
part_list(struct kafka *k, struct kafka_part *p)
{
	struct listing l = { .k = k, .p = p, .cleaned = INT64_MAX };
	enum err err = disk->list(p->dir, seg_each, &l);

	if (err != E_OK)
		return kafka_fail(k, err, p->dir, NULL);
	if (l.err != E_OK)
		return l.err;
	if (p->nsegs > 0)
		qsort(p->segs, (size_t)p->nsegs, sizeof *p->segs, seg_order);
	return swaps_settle(&l);
}

/* TOPIC-N; false for what has another name, as TOPIC-N.ID-delete. */
static bool
part_name(const char *name, struct kstr *topic, int32_t *n)
{
	const char *dash = strrchr(name, '-');
	char *end;
	long v;

	if (dash == NULL || dash == name || dash[1] < '0' || dash[1] > '9')
		return false;
	v = strtol(dash + 1, &end, 10);
	*n = (int32_t)v;
	*topic = (struct kstr){ (int32_t)(dash - name), name };
	return *end == '\0' && v >= 0 && v < INT32_MAX &&
	    dash - name <= TOPIC_NAME_MAX;
}

static enum err
part_id(struct kafka *k, struct kafka_part *p)
{
	struct kafka_topic *t = p->topic;
	struct uuid id = { { 0 } };
	char path[PATH_SIZE];
	char *s;
	enum err err = text(k, p->dir, "partition.metadata", &s);

	if (err != E_OK || s == NULL)
		return err;
	join(path, p->dir, "partition.metadata");
	if (!id_read(property(s, "topic_id"), &id))
		return kafka_fail(k, E_CORRUPT, path, "it has no topic id");
	if (!uuid_zero(t->id) && !uuid_eq(t->id, id))
		return kafka_fail(k, E_CORRUPT, path,
		    "another partition of the topic has another id");
	t->id = id;
	return E_OK;
}

static enum err
part_open(struct opening *o, struct kstr name, int32_t n, const char *path)
{
	struct kafka *k = o->k;
	struct kafka_topic *t = kafka_topic_get(k, name);
	struct kafka_part *p = arena_alloc(&k->a, sizeof *p), **at;
	enum err err;

	if (t == NULL || p == NULL ||
	    (p->dir = arena_strndup(&k->a, path, strlen(path))) == NULL)
		return kafka_fail(k, E_NOMEM, path, NULL);
	*p = (struct kafka_part){ .topic = t, .index = n, .dir = p->dir,
	    .clean = o->clean, .whole = true, .broker = o->broker,
	    .leader = -2 };
	p->start = checkpoint_of(&o->start, t, n, 0);
	p->hw = checkpoint_of(&o->hw, t, n, -1);
	p->recovery = checkpoint_of(&o->recovery, t, n, -1);
	if (kafka_part_find(t, n) != NULL)
		return kafka_fail(k, E_DUPLICATE_RESOURCE, path, "this "
		    "partition is in another directory too; give the "
		    "directories of one broker only");
	for (at = &t->parts; *at != NULL && (*at)->index < n;
	    at = &(*at)->next)
		continue;
	p->next = *at;
	*at = p;
	err = part_list(k, p);
	if (err == E_OK)
		err = part_id(k, p);
	return err;
}

static int
part_each(const char *name, void *arg)
{
	struct opening *o = arg;
	char path[PATH_SIZE];
	struct disk_stat st;
	struct kstr topic;
	int32_t n;

	join(path, o->dir, name);
	if (!part_name(name, &topic, &n))
		return 0;
	if ((o->err = disk->stat(path, &st)) != E_OK) {
		o->err = kafka_fail(o->k, o->err, path, NULL);
		return 1;
	}
	if (!st.dir)
		return 0;
	o->nparts += !kstr_eq(topic, kstr_of("__cluster_metadata"));
	o->err = part_open(o, topic, n, path);
	return o->err != E_OK;
}

/* ---- the directory ------------------------------------------------------ */

static enum err
lock(struct kafka *k, const char *dir)
{
	char path[PATH_SIZE];
	struct disk_stat st;
	enum err err;

	join(path, dir, ".lock");
	if (disk->stat(path, &st) == E_NOTFOUND)
		return E_OK;	/* no broker has used it as it is now */
	if (k->nlocks == (int)(sizeof k->locks / sizeof k->locks[0]))
		return kafka_fail(k, E_USAGE, dir, "too many directories");
	err = disk->lock(path, &k->locks[k->nlocks]);
	if (err == E_BUSY)
		return kafka_fail(k, err, dir, "a Kafka broker runs here; "
		    "stop it first");
	if (err != E_OK)
		return kafka_fail(k, err, path, NULL);
	k->nlocks++;
	return E_OK;
}

static enum err
opening_begin(struct opening *o)
{
	struct kafka *k = o->k;
	struct disk_stat st;
	char path[PATH_SIZE];
	struct kstr id;
	char *s;
	enum err err = text(k, o->dir, "meta.properties", &s);

	if (err != E_OK)
		return err;
	if (s == NULL)
		return kafka_fail(k, E_USAGE, o->dir, "it has no "
		    "meta.properties: it is none of Kafka's log.dirs");
	id = property(s, "node.id");
	if (id.len < 0)
		id = property(s, "broker.id");
	o->broker = id.len > 0 ? (int32_t)strtol(id.p, NULL, 10) : -1;
	join(path, o->dir, ".kafka_cleanshutdown");
	err = disk->stat(path, &st);
	if (err != E_OK && err != E_NOTFOUND)
		return kafka_fail(k, err, path, NULL);
	o->clean = err == E_OK;
	return E_OK;
}

enum err
kafka_dir_open(struct kafka *k, const char *dir)
{
	struct opening o = { .k = k, .dir = dir };
	struct disk_stat st;
	enum err err = disk->stat(dir, &st);

	if (err == E_OK && !st.dir)
		err = E_USAGE;
	if (err != E_OK)
		return kafka_fail(k, err, dir, err == E_USAGE ?
		    "it is no directory" : NULL);
	err = lock(k, dir);
	if (err == E_OK)
		err = opening_begin(&o);
	if (err == E_OK)
		err = checkpoint_open(k, dir, "log-start-offset-checkpoint",
		    &o.start);
	if (err == E_OK)
		err = checkpoint_open(k, dir,
		    "replication-offset-checkpoint", &o.hw);
	if (err == E_OK)
		err = checkpoint_open(k, dir,
		    "recovery-point-offset-checkpoint", &o.recovery);
	if (err != E_OK)
		return err;
	err = disk->list(dir, part_each, &o);
	if (err != E_OK || o.err != E_OK)
		return err != E_OK ? kafka_fail(k, err, dir, NULL) : o.err;
	/* A controller's directory has no such marker. */
	if (!o.clean && o.nparts > 0 && !k->recover)
		return kafka_fail(k, E_POLICY_VIOLATION, dir, "its broker did "
		    "not stop in order; start and stop it once, or use "
		    "--recover");
	return E_OK;
}

/* ---- reading logs ------------------------------------------------------- */

typedef enum err (*each_fn)(void *, const struct batch *, struct record *);

static enum err
batch_each(const struct batch *b, const uint8_t *p, int64_t from,
    each_fn each, void *arg)
{
	struct batch_iter it;
	struct record rec;
	enum err err = each(arg, b, NULL), got;

	if (err != E_OK)
		return err;
	got = batch_iter_open(&it, p, (size_t)batch_size(b), INFLATE_MAX);
	while (err == E_OK && got == E_OK &&
	    (got = batch_iter_next(&it, &rec)) == E_OK)
		if (rec.offset >= from)
			err = each(arg, b, &rec);
	batch_iter_close(&it);
	return err != E_OK ? err : got == E_EOF ? E_OK : got;
}

enum err
kafka_file_read(struct kafka *k, const char *path, int64_t from,
    int64_t upto, each_fn each, void *arg)
{
	struct scan s;
	struct batch b;
	const uint8_t *p;
	const char *bad = NULL;
	int64_t pos = 0;
	bool is;
	enum err err = scan_open(&s, path);

	if (err != E_OK)
		return kafka_fail(k, err, path, NULL);
	for (; err == E_OK && pos < s.size; pos += batch_size(&b)) {
		err = scan_batch(&s, pos, &b, &is, &p, &bad);
		if (err != E_OK || bad != NULL || b.base_offset >= upto)
			break;
		if (batch_last_offset(&b) >= from)
			err = batch_each(&b, p, from, each, arg);
	}
	if (err == E_OK && bad != NULL)
		kafka_note(k, "%.1000s, position %lld: %s; it was read up to "
		    "there", path, (long long)pos, bad);
	scan_close(&s);
	return err == E_OK ? err : kafka_fail(k, err, path, NULL);
}

enum err
kafka_log_read(struct kafka *k, const struct kafka_part *p, each_fn each,
    void *arg)
{
	int64_t upto = p->whole || p->hw < 0 ? INT64_MAX : p->hw;
	char path[PATH_SIZE];
	enum err err = E_OK;

	for (int i = 0; err == E_OK && i < p->nsegs; i++) {
		kafka_seg_path(path, p, &p->segs[i]);
		err = kafka_file_read(k, path, p->start, upto, each, arg);
	}
	return err;
}
