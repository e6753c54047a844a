/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions as the engine tells them, their segments, and the fds of these.
 * A partition that nobody looks at is kept for a while, with what was measured
 * of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "copy.h"

enum { HANDLE_MEMORY = 16 * KIB };

static uint64_t
part_hash(const struct topic *t, int32_t index)
{
	return hash_bytes(t->id.b, sizeof t->id.b) + (uint64_t)index;
}

/* ---- segments ----------------------------------------------------------- */

static void
tseg_close(struct tseg *s)
{
	struct fs *fs = s->part->fs;

	if (s->h == NULL)
		return;
	TAILQ_REMOVE(&fs->open_segs, s, lru);
	fs->nopen_segs--;
	ehandle_put(s->h);
	s->h = NULL;
}

static void
tseg_free(struct tseg *s)
{
	struct part *p = s->part;

	TAILQ_REMOVE(&p->segs, s, next);
	elink_cancel(p->fs->link, &s->call);
	arena_reset(&s->memory);
	tseg_close(s);
	copy_drop(s);
	tseg_drop_text(s);
	free(s->blocks);
	free(s);
}

static struct tseg *
tseg_new(struct part *p, const struct part_segs_res_seg *r)
{
	struct tseg *s = calloc(1, sizeof *s), *at;

	if (s == NULL)
		return NULL;
	s->part = p;
	s->base = s->m_off = r->base;
	s->first_ts = -1;
	s->born = ++p->fs->seq;
	TAILQ_INIT(&s->waiters);
	arena_init(&s->memory, HANDLE_MEMORY);
	/* After all of lower and the same base. */
	TAILQ_FOREACH_REVERSE(at, &p->segs, tsegs, next)
		if (at->base <= s->base)
			break;
	if (at == NULL)
		TAILQ_INSERT_HEAD(&p->segs, s, next);
	else
		TAILQ_INSERT_AFTER(&p->segs, at, s, next);
	return s;
}

struct tseg *
part_seg(struct part *p, int64_t base)
{
	struct tseg *s;

	TAILQ_FOREACH(s, &p->segs, next)
		if (s->base == base && !s->gone)
			return s;
	return NULL;
}

struct tseg *
node_seg(const struct node *n)
{
	struct tseg *s = part_seg(n->part, n->key.a);

	return s != NULL && s->born_gen == n->key.gen ? s : NULL;
}

/* What is kept of it is of no use any more. */
static void
forget_kept(struct tseg *s)
{
	struct cache_key k;

	if (!s->kept || cache_key_of(s->part->fs, s, &k) != E_OK)
		return;
	cache_drop(&k);
	free(k.path);
}

static void
tseg_gone(struct tseg *s)
{
	forget_kept(s);
	s->gone = true;
	s->died = ++s->part->fs->seq;
	tseg_close(s);
	copy_drop(s);
	tseg_drop_text(s);
	ops_wake(&s->waiters);
}

void
tseg_distrust(struct tseg *s)
{
	const struct part_segs_res_seg r = { .base = s->base };
	struct part *p = s->part;
	struct tseg *now;

	tseg_gone(s);
	p->rewrites++;
	if ((now = tseg_new(p, &r)) == NULL)
		return;		/* the engine will tell of it again */
	now->end = s->end;
	now->bytes = s->bytes;
	now->id = s->id;
	now->link = s->link;
	now->max_ts = s->max_ts;
	now->written_ms = s->written_ms;
	now->sealed = s->sealed;
	now->replaces = true;
	now->born_gen = p->rewrites;
}

static void
take_seg(struct part *p, const struct part_segs_res_seg *r)
{
	struct tseg *s = part_seg(p, r->base);
	bool replaces = false;

	/* What is there changes only by compaction, which writes it anew: then
	 * it has another name; if the engine is another one, another size. */
	if (s != NULL && (r->bytes < s->bytes ||
	    (s->sealed && r->bytes != s->bytes) ||
	    (s->link == p->fs->links && s->id != r->handle))) {
		tseg_gone(s);
		p->rewrites++;
		s = NULL;
		replaces = true;
	}
	if (s == NULL && (s = tseg_new(p, r)) == NULL)
		return;
	if (replaces) {
		s->replaces = true;
		s->born_gen = p->rewrites;
	}
	s->end = r->end_offset;
	s->bytes = r->bytes;
	s->id = r->handle;
	s->link = p->fs->links;
	s->max_ts = r->max_ts;
	s->written_ms = r->written_ms;
	s->sealed = r->sealed;
	tseg_keep(s);
}

/* Both lists rise; what the engine does not list any more is gone. */
static void
take_segs(struct part *p, const struct part_segs_res *res)
{
	struct tseg *s, *more;
	int32_t i = 0;

	for (s = TAILQ_FIRST(&p->segs); s != NULL; s = more) {
		more = TAILQ_NEXT(s, next);
		if (s->gone)
			continue;
		while (i < res->segs.n && res->segs.v[i].base < s->base)
			i++;
		if (i < res->segs.n && res->segs.v[i].base == s->base)
			continue;
		if (i > 0)
			p->rewrites++;	/* one in the middle */
		tseg_gone(s);
	}
	for (i = 0; i < res->segs.n; i++)
		take_seg(p, &res->segs.v[i]);
}

/* ---- partitions --------------------------------------------------------- */

static void
part_free(struct part *p)
{
	struct fs *fs = p->fs;
	struct tseg *s;

	ASSERT(p->refs == 0);
	elink_cancel(fs->link, &p->call);
	while ((s = TAILQ_FIRST(&p->segs)) != NULL)
		tseg_free(s);
	if (p->is_idle) {
		TAILQ_REMOVE(&fs->idle_parts, p, idle);
		fs->nidle--;
	}
	hash_drop(&fs->parts, &p->by_id);
	topic_put(fs, p->topic);
	free(p);
}

static struct part *
part_new(struct fs *fs, struct topic *t, int32_t index)
{
	struct part *p;

	if (hash_room(&fs->parts) != E_OK ||
	    (p = calloc(1, sizeof *p)) == NULL)
		return NULL;
	p->fs = fs;
	p->topic = topic_ref(t);
	p->index = index;
	p->req = (struct part_segs_req){ t->id, index };
	TAILQ_INIT(&p->segs);
	TAILQ_INIT(&p->waiters);
	hash_put(&fs->parts, &p->by_id, part_hash(t, index));
	return p;
}

static struct part *
part_find(const struct fs *fs, const struct topic *t, int32_t index)
{
	struct part *p;

	HASH_FIND(x, &fs->parts, part_hash(t, index)) {
		p = HASH_OF(x, struct part, by_id);
		if (p->topic == t && p->index == index)
			return p;
	}
	return NULL;
}

struct part *
part_get(struct fs *fs, struct topic *t, int32_t index)
{
	struct part *p = part_find(fs, t, index);

	if (p == NULL && (p = part_new(fs, t, index)) == NULL)
		return NULL;
	if (p->is_idle) {
		TAILQ_REMOVE(&fs->idle_parts, p, idle);
		fs->nidle--;
		p->is_idle = false;
	}
	p->refs++;
	return p;
}

/* Nobody remembers what is gone any more. */
static void
forget_gone(struct part *p)
{
	struct tseg *s, *more;

	for (s = TAILQ_FIRST(&p->segs); s != NULL; s = more) {
		more = TAILQ_NEXT(s, next);
		if (s->gone && !s->measuring)
			tseg_free(s);
	}
}

void
part_put(struct part *p)
{
	struct fs *fs = p->fs;

	ASSERT(p->refs > 0);
	if (--p->refs > 0)
		return;
	forget_gone(p);
	p->is_idle = true;
	TAILQ_INSERT_TAIL(&fs->idle_parts, p, idle);
	if (++fs->nidle > PARTS_KEPT_MAX)
		part_free(TAILQ_FIRST(&fs->idle_parts));
}

void
parts_drop(struct fs *fs)
{
	while (!TAILQ_EMPTY(&fs->idle_parts))
		part_free(TAILQ_FIRST(&fs->idle_parts));
}

static void
segs_done(struct ecall *c, enum err e, void *res)
{
	struct part *p = c->arg;
	const struct part_segs_res *r = res;

	if (e == E_OK) {
		fs_heard(p->fs);
		p->err = r->error >= 0 && r->error < E_MAX ?
		    (enum err)r->error : E_UNKNOWN;
		p->sent = p->call_seq;
		p->told_ms = elink_now_ms();
	}
	if (e == E_OK && p->err == E_OK) {
		p->epoch = r->leader_epoch;
		p->start = r->log_start_offset;
		p->hw = r->high_watermark;
		p->lso = r->last_stable_offset;
		take_segs(p, r);
	}
	ops_wake(&p->waiters);
}

int
part_fresh(struct op *op, struct part *p, int max_age_ms)
{
	struct fs *fs = op->fs;
	int eno;

	if (p->sent > op->seq || (p->sent > 0 &&
	    elink_now_ms() - p->told_ms < max_age_ms))
		return op_errno(op, p->err, p->topic->name);
	if ((eno = fs_engine_errno(fs)) != 0)
		return eno;
	if (p->call.state == ECALL_IDLE) {
		p->call_seq = ++fs->seq;
		p->call = (struct ecall){ .done = segs_done, .arg = p,
		    .req = &p->req, .type = IPC_PART_SEGS, .again = true };
		elink_call(fs->link, &p->call);
	}
	return op_wait(op, &p->waiters);
}

/* ---- fds of segments ---------------------------------------------------- */

void
tseg_touch(struct tseg *s)
{
	struct fs *fs = s->part->fs;

	TAILQ_REMOVE(&fs->open_segs, s, lru);
	TAILQ_INSERT_TAIL(&fs->open_segs, s, lru);
}

static void
opened(struct tseg *s, struct ehandle *h)
{
	struct fs *fs = s->part->fs;

	s->h = ehandle_ref(h);
	TAILQ_INSERT_TAIL(&fs->open_segs, s, lru);
	if (++fs->nopen_segs > SEGS_OPEN_MAX)
		tseg_close(TAILQ_FIRST(&fs->open_segs));
}

static void
fetch_done(struct ecall *c, enum err e, void *res)
{
	struct tseg *s = c->arg;
	struct extents x = { 0 };

	if (e == E_OK)
		e = extents_take(s->part->fs->link, res, &x);
	if (e == E_OK) {
		fs_heard(s->part->fs);
		if (x.n > 0 && s->link == s->part->fs->links &&
		    x.v[0].h->id != s->id && !s->gone)
			tseg_distrust(s);	/* it is not that any more */
		else if (x.n > 0 && s->h == NULL && !s->gone)
			opened(s, x.v[0].h);
		else if (x.n == 0)
			e = E_OFFSET_OUT_OF_RANGE;
	}
	extents_free(&x);
	if (e != E_OK) {
		s->open_err = e;
		s->open_seq = ++s->part->fs->seq;
	}
	arena_reset(&s->memory);
	ops_wake(&s->waiters);
}

int
tseg_open(struct op *op, struct tseg *s)
{
	struct part *p = s->part;
	struct fetch_want w = { .topic = p->topic->id, .part = p->index,
	    .offset = s->base < p->start ? p->start : s->base,
	    .bytes_max = 1 };
	int eno;

	if (s->gone)
		return ESTALE;
	if (s->open_err != E_OK && s->open_seq > op->seq)
		return op_errno(op, s->open_err, p->topic->name);
	if (s->h != NULL) {
		tseg_touch(s);
		return 0;
	}
	if ((eno = fs_engine_errno(op->fs)) != 0)
		return eno;
	if (s->call.state == ECALL_IDLE) {
		s->call = (struct ecall){ .done = fetch_done, .arg = s,
		    .type = API_FETCH, .version = 17, .again = true };
		s->call.req = fetch_want_req(&w, &s->memory);
		if (s->call.req == NULL)
			return ENOMEM;
		elink_call(op->fs->link, &s->call);
	}
	return op_wait(op, &s->waiters);
}
