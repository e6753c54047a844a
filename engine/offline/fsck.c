/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a data directory: the lock, the marker, the catalogue, and every
 * topic's directories against what the catalogue says of them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"
#include "engine.h"
#include "fsck.h"
#include "log/roster.h"
#include "shadow.h"

enum { HEX = 32 };		/* digits of a topic's directory */

struct data {
	struct fsck	*c;
	const char	*dir;
	char		 lost[PATH_SIZE], sub[PATH_SIZE];
	struct engine	*eng;		/* imagined: what the catalogue says */
	bool		 told;		/* it says something */
	bool		 found;		/* something of ours */
	enum err	 err;
};

/* ---- findings ----------------------------------------------------------- */

void
fsck_found(struct fsck *c, struct fsck_log *l, enum found_state state,
    const char *what, const char *path, int64_t pos, int64_t bytes,
    const char *fmt, ...)
{
	struct finding f = { state, what, path, pos, bytes, NULL };
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	f.why = why;
	if (l != NULL) {
		l->fixable += state == FOUND_FIXABLE;
		l->bad += state == FOUND_BAD;
	}
	if (c->mute)
		return;
	c->fixable += state == FOUND_FIXABLE;
	c->fixed += state == FOUND_FIXED;
	c->bad += state == FOUND_BAD;
	c->report(c, &f);
}

enum err
fsck_fail(struct fsck *c, enum err err, const char *path)
{
	if (c->why[0] == '\0')
		snprintf(c->why, sizeof c->why, "%.4000s: %s", path,
		    err_text(err));
	return err;
}

static void
join(char *out, const char *dir, const char *name)
{
	snprintf(out, PATH_SIZE, "%.2000s/%.2000s", dir, name);
}

/* ---- one log ------------------------------------------------------------ */

/* What the first look says is told as fixed when the second one does not find
 * it any more; so the first is told late. */
struct told {
	struct finding	 f;
	struct told	*next;
	char		 words[];
};

struct later {
	struct told	 *first, **tail;
	bool		  full;		/* no memory for more */
};

static void
tell_later(struct fsck *c, const struct finding *f)
{
	struct later *x = c->arg;
	size_t n = strlen(f->path) + 1, m = strlen(f->why) + 1;
	struct told *t = malloc(sizeof *t + n + m);

	if (t == NULL) {
		x->full = true;
		return;
	}
	t->f = *f;
	t->f.path = memcpy(t->words, f->path, n);
	t->f.why = memcpy(t->words + n, f->why, m);
	t->next = NULL;
	*x->tail = t;
	x->tail = &t->next;
}

/* Repairs what the first look found, which was held back, and tells it. */
static enum err
fix(struct fsck *c, struct fsck_log *l, const struct later *x)
{
	bool fixable = l->fixable > 0 && l->bad == 0 && !x->full;
	enum err err = E_OK;
	int64_t files = c->files, batches = c->batches, bytes = c->bytes;

	if (fixable) {
		err = fsck_log_fix(c, l);
		c->mute = true;
		if (err == E_OK)
			err = fsck_log_look(c, l);
		c->mute = false;
		c->files = files;
		c->batches = batches;
		c->bytes = bytes;
	}
	for (struct told *t = x->first; t != NULL; t = t->next)
		fsck_found(c, NULL, fixable && err == E_OK &&
		    t->f.state == FOUND_FIXABLE && l->fixable + l->bad == 0 ?
		    FOUND_FIXED : t->f.state, t->f.what, t->f.path, t->f.pos,
		    t->f.bytes, "%s", t->f.why);
	if (fixable && err == E_OK && l->fixable + l->bad > 0)
		fsck_found(c, NULL, FOUND_BAD, "log", l->dir, -1, -1,
		    "the repair did not help");
	return err;
}

enum err
fsck_log(struct fsck *c, struct fsck_log *l)
{
	void (*report)(struct fsck *, const struct finding *) = c->report;
	void *arg = c->arg;
	int64_t fixable = c->fixable, fixed = c->fixed, bad = c->bad;
	struct later x = { .tail = &x.first };
	struct told *t;
	enum err err;

	if (!c->repair)
		return fsck_log_look(c, l);
	c->report = tell_later;
	c->arg = &x;
	err = fsck_log_look(c, l);
	c->report = report;
	c->arg = arg;
	c->fixable = fixable;
	c->fixed = fixed;
	c->bad = bad;
	if (err == E_OK && x.full)
		err = fsck_fail(c, E_NOMEM, l->dir);
	if (err == E_OK)
		err = fix(c, l, &x);
	while ((t = x.first) != NULL) {
		x.first = t->next;
		free(t);
	}
	return err;
}

/* ---- topics ------------------------------------------------------------- */

static bool
hex_read(const char *name, struct uuid *id)
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(name) != HEX)
		return false;
	for (int i = 0; i < HEX; i++) {
		const char *d = strchr(digits, name[i]);

		if (d == NULL)
			return false;
		id->b[i / 2] = (uint8_t)(id->b[i / 2] << 4 | (d - digits));
	}
	return true;
}

static bool
number_read(const char *name, int32_t *n)
{
	char *end, back[16];
	long v = strtol(name, &end, 10);

	snprintf(back, sizeof back, "%ld", v);
	*n = (int32_t)v;
	return *end == '\0' && v >= 0 && v < PARTS_PER_TOPIC_MAX &&
	    strcmp(back, name) == 0;
}

/* Does a directory of no partition hold records? */
struct content {
	const char	*dir;
	int64_t		 bytes;
};

static int
content_each(const char *name, void *arg)
{
	struct content *x = arg;
	char path[PATH_SIZE];
	struct disk_stat st;
	int64_t base;

	join(path, x->dir, name);
	if (disk->stat(path, &st) == E_OK && !st.dir &&
	    seg_name(name, ".log", &base))
		x->bytes += st.size;
	return 0;
}

static void
stray_part(struct data *d, const char *dir, const char *why)
{
	struct content x = { dir, 0 };

	if (disk->list(dir, content_each, &x) != E_OK)
		return;
	fsck_found(d->c, NULL, x.bytes > 0 ? FOUND_BAD : FOUND_NOTE,
	    "directory", dir, -1, x.bytes, "%s%s", why, x.bytes > 0 ?
	    ", but it holds records" : "; it holds nothing");
}

static int
stray_each(const char *name, void *arg)
{
	struct data *d = arg;
	char path[PATH_SIZE];

	join(path, d->sub, name);
	stray_part(d, path, "a directory of no topic");
	return 0;
}

/* Partitions past the topic's count, and what has no business there. */
static int
part_each(const char *name, void *arg)
{
	struct data *d = arg;
	struct topic *t = NULL;
	char path[PATH_SIZE];
	struct uuid id = { { 0 } };
	int32_t n;

	join(path, d->sub, name);
	if (hex_read(d->sub + strlen(d->sub) - HEX, &id))
		t = topic_any(&d->eng->topics, id);
	if (!number_read(name, &n))
		fsck_found(d->c, NULL, FOUND_NOTE, "foreign", path, -1, -1,
		    "it is left alone");
	else if (t != NULL && n >= t->nparts)
		stray_part(d, path, "a partition that the topic does not "
		    "have");
	return 0;
}

static int
topic_each(const char *name, void *arg)
{
	struct data *d = arg;
	struct uuid id = { { 0 } };
	struct topic *t;
	enum err err;

	snprintf(d->sub, sizeof d->sub, "%.2000s/topics/%.1000s", d->dir,
	    name);
	if (!hex_read(name, &id)) {
		fsck_found(d->c, NULL, FOUND_NOTE, "foreign", d->sub, -1, -1,
		    "it is left alone");
		return 0;
	}
	t = d->told ? topic_any(&d->eng->topics, id) : NULL;
	if (!d->told || (t != NULL && t->state == TOPIC_DELETING))
		return 0;
	err = disk->list(d->sub, t == NULL ? stray_each : part_each, d);
	if (err != E_OK)
		d->err = fsck_fail(d->c, err, d->sub);
	return err == E_OK ? 0 : 1;
}

static enum err
topic_check(struct data *d, struct topic *t)
{
	char dir[PATH_SIZE];
	struct disk_stat st;
	enum err err = E_OK;

	for (int32_t i = 0; err == E_OK && i < t->nparts; i++) {
		struct part *p = t->parts[i];
		struct fsck_log l = { .dir = dir, .id = p->id,
		    .start = p->trimmed, .epoch_max = d->eng->epoch,
		    .gaps = (t->conf.cleanup_policy & CLEANUP_COMPACT) ||
		    p->clean.at > 0 };	/* it was, before */

		part_dir(p, dir);
		err = disk->stat(dir, &st);
		if (err == E_NOTFOUND || (err == E_OK && !st.dir)) {
			fsck_found(d->c, NULL, FOUND_BAD, "directory", dir,
			    -1, -1, "partition %d of topic %s is missing",
			    (int)i, t->name);
			err = E_OK;
			continue;
		}
		if (err == E_OK)
			err = fsck_log(d->c, &l);
		fsck_log_free(&l);
		if (err != E_OK)
			return fsck_fail(d->c, err, dir);
	}
	return err;
}

/* ---- the catalogue ------------------------------------------------------ */

static enum err
catalogue(struct data *d)
{
	char dir[PATH_SIZE], path[PATH_SIZE], why[512];
	struct fsck_log l = { .dir = dir, .serial = true, .epoch_max = -1 };
	struct disk_stat st;
	enum err err;

	join(dir, d->dir, "meta");
	err = disk->stat(dir, &st);
	if (err == E_NOTFOUND) {
		fsck_found(d->c, NULL, FOUND_BAD, "catalogue", dir, -1, -1,
		    "it is missing: no engine starts here");
		return E_OK;
	}
	if (err == E_OK)
		err = fsck_log(d->c, &l);
	fsck_log_free(&l);
	if (err != E_OK || l.nlogs == 0)
		return err == E_OK ? err : fsck_fail(d->c, err, dir);
	seg_path(path, dir, l.last_base, ".log");
	err = engine_imagine(d->eng, d->c->conf, path, l.last_base,
	    l.last_end, why, sizeof why);
	snprintf(d->eng->data, sizeof d->eng->data, "%s", d->dir);
	if (err == E_OK) {
		d->told = true;
		if (l.epoch > d->eng->epoch)
			fsck_found(d->c, NULL, FOUND_BAD, "batch", path, -1,
			    -1, "leader epoch %d was never given out",
			    (int)l.epoch);
	} else if (err == E_NOMEM || err == E_IO)
		return fsck_fail(d->c, err, path);
	else
		fsck_found(d->c, NULL, FOUND_BAD, "catalogue", path, -1, -1,
		    "it cannot be read: %s", why[0] != '\0' ? why :
		    err_text(err));
	return E_OK;
}

static enum err
topics(struct data *d)
{
	char path[PATH_SIZE];
	enum err err = E_OK;

	for (struct topic *t = d->eng->topics.first; d->told && t != NULL &&
	    err == E_OK; t = t->next)
		if (t->state == TOPIC_LIVE)
			err = topic_check(d, t);
	if (err != E_OK)
		return err;
	join(path, d->dir, "topics");
	err = disk->list(path, topic_each, d);
	if (err != E_OK && err != E_NOTFOUND)
		return fsck_fail(d->c, err, path);
	return d->err;
}

/* ---- the directory ------------------------------------------------------ */

/* The marker names other files than are there: what, or NULL. */
static const char *
told_otherwise(const struct roster_part *x, const char *dir)
{
	char path[PATH_SIZE];
	struct disk_stat st;
	struct roster_seg s;

	if (disk->stat(dir, &st) != E_OK || st.written_ns != x->dir_ns)
		return "names came or went in it";
	for (int i = 0; i < x->nsegs; i++) {
		roster_seg(x, i, &s);
		seg_path(path, dir, s.base, ".log");
		if (disk->stat(path, &st) != E_OK || st.ino != s.ino ||
		    st.size != s.size || st.written_ns != s.written_ns)
			return "a segment's file was written to, or is "
			    "another one";
	}
	return NULL;
}

/* Files that were changed, or copied, are no damage: the next start looks at
 * them. */
static enum err
marker_told(struct data *d, const char *marker, bool *named)
{
	struct roster_head h;
	struct roster_part x;
	char dir[PATH_SIZE];
	struct rd parts;
	const char *why;
	uint8_t *p;
	size_t n;
	enum err err = disk_slurp(marker, CLEAN_MAX, &p, &n);

	if (err != E_OK)
		return fsck_fail(d->c, err, marker);
	err = roster_head(p, n, &h, &parts);
	*named = err == E_OK && h.n > 0;
	while (err == E_OK && (err = roster_next(&parts, &x)) == E_OK) {
		log_dir(d->dir, &x.id, dir);
		if ((why = told_otherwise(&x, dir)) == NULL)
			continue;
		fsck_found(d->c, NULL, FOUND_NOTE, "marker", dir, -1, -1,
		    "since the engine was stopped, %s; the next start reads "
		    "this log as after a crash", why);
	}
	free(p);
	return err == E_EOF ? E_OK : fsck_fail(d->c, err, marker);
}

static enum err
marker(struct data *d)
{
	char path[PATH_SIZE];
	enum err err;
	bool good, named;

	join(path, d->dir, "clean");
	err = clean_look(d->dir, &good);
	if (err == E_NOTFOUND)
		return E_OK;
	if (err != E_OK)
		return fsck_fail(d->c, err, path);
	d->c->files++;
	/* A damaged one was whole once: no crash leaves half of it. */
	d->c->clean = true;
	if (good) {
		err = marker_told(d, path, &named);
		/* What is repaired is another file than it says. */
		if (err == E_OK && named && d->c->repair &&
		    (err = clean_write(d->dir, NULL)) != E_OK)
			err = fsck_fail(d->c, err, path);
		return err;
	}
	if (d->c->repair && (err = clean_take(d->dir, &good,
	    NULL)) != E_OK)
		return fsck_fail(d->c, err, path);
	fsck_found(d->c, NULL, d->c->repair ? FOUND_FIXED : FOUND_FIXABLE,
	    "marker", path, -1, -1, "the clean marker is damaged; without "
	    "one the next start reads the ends of all logs");
	return E_OK;
}

static int
top_each(const char *name, void *arg)
{
	static const char *const ours[] = { "LOCK", "clean", "meta", "topics",
	    "lost+found", "engine.sock", "importing", "reserve", "search",
	    "journal" };
	struct data *d = arg;
	char path[PATH_SIZE];

	join(path, d->dir, name);
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (strcmp(name, ours[i]) == 0) {
			d->found |= i < 4;
			if (strcmp(name, "importing") == 0)
				fsck_found(d->c, NULL, FOUND_NOTE, "import",
				    path, -1, -1, "an import did not end; the "
				    "next one starts over");
			return 0;
		}
	fsck_found(d->c, NULL, FOUND_NOTE, "foreign", path, -1, -1,
	    "nothing of the engine; it is left alone");
	return 0;
}

/* E_BUSY when an engine holds the directory. */
static enum err
lock(struct fsck *c, const char *dir, int *fd)
{
	char path[PATH_SIZE];
	struct disk_stat st;
	enum err err;

	*fd = -1;
	join(path, dir, "LOCK");
	if (disk->stat(path, &st) == E_NOTFOUND && !c->repair)
		return E_OK;	/* none ever ran here */
	err = disk->lock(path, fd);
	if (err == E_BUSY)
		snprintf(c->why, sizeof c->why, "%.4000s is in use by an "
		    "engine", dir);
	return err == E_OK ? err : fsck_fail(c, err, path);
}

static enum err
fsck_data(struct fsck *c, const char *dir)
{
	struct data d = { .c = c, .dir = dir };
	int fd = -1;
	enum err err = disk->list(dir, top_each, &d);

	if (err == E_OK && !d.found)
		return E_USAGE;
	if (err != E_OK)
		return fsck_fail(c, err, dir);
	if ((err = lock(c, dir, &fd)) != E_OK)
		return err;
	join(d.lost, dir, "lost+found");
	c->lost = d.lost;
	if ((d.eng = calloc(1, sizeof *d.eng)) == NULL)
		err = fsck_fail(c, E_NOMEM, dir);
	c->data = dir;
	if (err == E_OK)
		err = fsck_journal(c, NULL);
	if (err == E_OK)
		err = marker(&d);
	if (err == E_OK)
		err = catalogue(&d);
	if (err == E_OK)
		err = topics(&d);
	if (d.eng != NULL && d.eng->conf != NULL)
		engine_close(d.eng);
	free(d.eng);
	shadow_end();
	if (fd >= 0)
		disk->close(fd);
	return err;
}

/* DATA/topics/<id>/<part>: the data directory's length in path, or 0. */
static size_t
part_path(const char *path, struct log_id *id)
{
	char copy[PATH_SIZE], *slash;
	size_t n = strlen(path);

	if (n >= sizeof copy)
		return 0;
	memcpy(copy, path, n + 1);
	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	slash = strrchr(copy, '/');
	if (slash == NULL || !number_read(slash + 1, &id->part))
		return 0;
	*slash = '\0';
	slash = strrchr(copy, '/');
	if (slash == NULL || !hex_read(slash + 1, &id->topic))
		return 0;
	*slash = '\0';
	slash = strrchr(copy, '/');
	return slash == NULL || slash == copy ||
	    strcmp(slash + 1, "topics") != 0 ? 0 : (size_t)(slash - copy);
}

enum err
fsck_dir(struct fsck *c, const char *path)
{
	char data[PATH_SIZE], lost[PATH_SIZE], dir[PATH_SIZE];
	/* Without the catalogue it is not known whether it is compacted. */
	struct fsck_log l = { .dir = dir, .epoch_max = -1, .gaps = true };
	size_t n = part_path(path, &l.id);
	int fd;
	enum err err;

	c->clean = false;
	if (n == 0)
		return fsck_data(c, path);
	memcpy(data, path, n);
	data[n] = '\0';
	log_dir(data, &l.id, dir);
	join(lost, data, "lost+found");
	c->lost = lost;
	if ((err = lock(c, data, &fd)) != E_OK)
		return err;
	if (clean_look(data, &c->clean) != E_OK)
		c->clean = false;
	/* What is repaired is another file than it says. */
	if (c->clean && c->repair && (err = clean_write(data, NULL)) != E_OK) {
		disk->close(fd);
		return fsck_fail(c, err, data);
	}
	c->data = data;
	err = fsck_journal(c, &l.id);
	if (err == E_OK)
		err = fsck_log(c, &l);
	fsck_log_free(&l);
	shadow_end();
	if (fd >= 0)
		disk->close(fd);
	return err;
}

/* ---- a file ------------------------------------------------------------- */

struct one {
	struct fsck	*c;
	const char	*path;
};

static void
one_damage(void *arg, int64_t pos, int64_t bytes, const char *why)
{
	struct one *o = arg;

	fsck_found(o->c, NULL, FOUND_BAD, "file", o->path, pos, bytes, "%s",
	    why);
}

enum err
fsck_file(struct fsck *c, const char *path)
{
	struct one o = { c, path };
	enum err err = dump_damage(path, one_damage, &o);

	c->files++;
	return err == E_OK || err == E_CORRUPT ? E_OK :
	    fsck_fail(c, err, path);
}
