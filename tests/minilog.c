/* SPDX-License-Identifier: Apache-2.0 */
/* The storage tests' writer of logs, and its model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lib/crc32c.h"
#include "minilog.h"

void
log_fix_crcs(uint8_t *p, size_t n)
{
	struct batch b;

	while (n >= BATCH_HEADER && batch_read(p, &b) == E_OK &&
	    (size_t)batch_size(&b) <= n) {
		b.crc = crc32c(0, p + BATCH_CRC_FROM,
		    (size_t)batch_size(&b) - BATCH_CRC_FROM);
		batch_write(p, &b);
		p += batch_size(&b);
		n -= (size_t)batch_size(&b);
	}
}

uint64_t
mini_rnd(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;	/* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

size_t
mini_batch(uint8_t *p, struct batch *b, size_t payload, uint64_t rnd)
{
	b->magic = 2;
	b->length = (int32_t)(BATCH_HEADER - BATCH_LOG_OVERHEAD + payload);
	batch_write(p, b);
	for (size_t i = 0; i < payload; i++)
		p[BATCH_HEADER + i] = (uint8_t)mini_rnd(&rnd);
	b->crc = crc32c(0, p + BATCH_CRC_FROM,
	    BATCH_HEADER + payload - BATCH_CRC_FROM);
	batch_write(p, b);
	return BATCH_HEADER + payload;
}

void
mini_init(struct mini *m, const char *dir, const struct log_id *id,
    uint64_t seed)
{
	enum err err;

	*m = (struct mini){ .id = *id, .rng = seed };
	snprintf(m->dir, sizeof m->dir, "%s", dir);
	snprintf(m->lost, sizeof m->lost, "lost+found");
	err = disk->mkdir(m->dir);
	ASSERT(err == E_OK);
	err = disk->mkdir(m->lost);
	ASSERT(err == E_OK);
	err = disk->sync_dir(".");
	ASSERT(err == E_OK);
	m->prods = prod_new();
	ASSERT(m->prods != NULL);
}

void
mini_close(struct mini *m)
{
	while (m->nsegs > 0)
		seg_unref(m->segs[--m->nsegs]);
	prod_free(m->prods);
	m->prods = NULL;
}

void
mini_free(struct mini *m)
{
	mini_close(m);
	free(m->segs);
	for (int i = 0; i < m->nall; i++)
		free(m->all[i].p);
	free(m->all);
	*m = (struct mini){ .next = 0 };
}

static void
add_seg(struct mini *m, struct seg *s)
{
	if (m->nsegs == m->cap) {
		m->cap = m->cap * 2 + 4;
		m->segs = realloc(m->segs, (size_t)m->cap * sizeof *m->segs);
		ASSERT(m->segs != NULL);
	}
	m->segs[m->nsegs++] = s;
}

static enum err
new_seg(struct mini *m)
{
	struct seg *s;
	enum err err = seg_open(m->dir, &m->id, m->next, true, &s);

	if (err != E_OK)
		return err;
	add_seg(m, s);
	return disk->sync_dir(m->dir);
}

/* A batch that comes next, in the model; written or not. */
static struct mini_batch *
make(struct mini *m, size_t payload)
{
	struct mini_batch *x;
	int who = (int)(mini_rnd(&m->rng) % 6);
	int32_t n = (int32_t)(mini_rnd(&m->rng) % 3 + 1);

	if (m->nall == m->all_cap) {
		m->all_cap = m->all_cap * 2 + 16;
		m->all = realloc(m->all, (size_t)m->all_cap *
		    sizeof *m->all);
		ASSERT(m->all != NULL);
	}
	x = &m->all[m->nall++];
	x->b = (struct batch){
		.base_offset = m->next,
		.base_ts = 1000 + m->next,
		.max_ts = 1000 + m->next + (int64_t)
		    (mini_rnd(&m->rng) % 5),
		.pid = who < 4 ? 70 + who : -1,
		.epoch = who < 4 ? 1 : -1,
		.base_seq = who < 4 ? m->seqs[who] : -1,
		.leader_epoch = m->epoch,
		.last_delta = n - 1,
		.count = n,
	};
	if (who < 4)
		m->seqs[who] += n;
	x->p = malloc(BATCH_HEADER + payload);
	ASSERT(x->p != NULL);
	(void)mini_batch(x->p, &x->b, payload, mini_rnd(&m->rng));
	m->next += n;
	return x;
}

enum err
mini_append(struct mini *m, int n, size_t payload_max)
{
	struct iovec iov[16];
	int first = m->nall;
	int64_t size = 0;
	struct seg *s;
	enum err err = E_OK;
	int fd;

	ASSERT(n <= 16 && !m->failed);
	if (m->nsegs == 0 && (err = new_seg(m)) != E_OK)
		return err;
	s = m->segs[m->nsegs - 1];
	for (int i = 0; i < n; i++) {
		struct mini_batch *x = make(m, payload_max == 0 ? 0 :
		    mini_rnd(&m->rng) % payload_max);

		iov[i] = (struct iovec){ x->p, (size_t)batch_size(&x->b) };
	}
	err = seg_fd(s, &fd);
	if (err == E_OK)
		err = disk->pwritev(fd, iov, n, s->size);
	if (err != E_OK) {
		m->failed = true;
		return err;
	}
	for (int i = first; i < m->nall && err == E_OK; i++) {
		const struct batch *b = &m->all[i].b;

		err = idx_note(&s->idx, b->base_offset, s->size + size,
		    s->max_ts);
		if (err == E_OK && b->pid >= 0)
			err = prod_note(m->prods, b, mono_ms());
		if (b->max_ts > s->max_ts)
			s->max_ts = b->max_ts;
		size += batch_size(b);
	}
	s->size += size;
	s->end_offset = m->next;
	return err;
}

static enum err
flush_idx(struct seg *s, bool sealed)
{
	int n = idx_ready(&s->idx, s->synced);
	char path[PATH_SIZE], *dot;
	enum err err;

	snprintf(path, sizeof path, "%s", s->path);
	dot = strrchr(path, '.');
	memcpy(dot, ".idx", 5);
	if (n == 0 && sealed && s->idx.nfile > 0)
		return idx_append(path, &s->id, s->base, &s->idx.last, 1,
		    s->idx.nfile - 1, true);
	if (n == 0)
		return E_OK;
	err = idx_append(path, &s->id, s->base, s->idx.pending, n,
	    s->idx.nfile, sealed);
	if (err == E_OK)
		idx_flushed(&s->idx, n);
	if (err == E_OK)
		s->idx.sealed = sealed;
	return err;
}

enum err
mini_sync(struct mini *m)
{
	enum err err = E_OK;
	int fd;

	ASSERT(!m->failed);
	for (int i = 0; i < m->nsegs; i++) {
		struct seg *s = m->segs[i];
		bool sealed = i < m->nsegs - 1;

		if (s->synced < s->size) {
			err = seg_fd(s, &fd);
			if (err == E_OK)
				err = disk->datasync(fd);
			if (err != E_OK) {
				m->failed = true;
				return err;
			}
			s->synced = s->size;
			s->synced_offset = s->end_offset;
		}
		m->synced = s->synced_offset;
		if (sealed && !s->idx.sealed)
			err = idx_checkpoint(&s->idx, s->end_offset, s->size,
			    s->max_ts);
		if (err == E_OK)
			err = flush_idx(s, sealed && !s->idx.sealed);
		if (err != E_OK)
			return err;
	}
	return E_OK;
}

enum err
mini_snapshot(struct mini *m)
{
	struct wr w = wr_grow(1 << 20);
	char path[PATH_SIZE];
	enum err err = prod_encode(m->prods, &m->id, m->next, &w);

	seg_path(path, m->dir, m->next, ".prod");
	if (err == E_OK)
		err = disk_replace(path, w.p, w.len);
	wr_free(&w);
	return err;
}

enum err
mini_roll(struct mini *m)
{
	enum err err = E_OK;

	if (m->nsegs == 0 || m->segs[m->nsegs - 1]->size == 0)
		return E_OK;
	if (!m->relaxed)
		err = mini_sync(m);
	if (err == E_OK)
		err = new_seg(m);
	/* Now that it is not the last one any more, it is sealed. */
	if (err == E_OK && !m->relaxed)
		err = mini_sync(m);
	return err == E_OK ? mini_snapshot(m) : err;
}

enum err
mini_retain(struct mini *m)
{
	static const char *const exts[] = { ".log", ".idx", ".prod" };
	struct seg *s = m->nsegs > 0 ? m->segs[0] : NULL;
	char path[PATH_SIZE];
	struct disk_stat st;
	enum err err;

	if (m->nsegs < 2 || m->segs[1]->base > m->synced)
		return E_OK;
	/* Producers of the first segment must stand in a snapshot. */
	seg_path(path, m->dir, m->segs[1]->base, ".prod");
	if ((err = disk->stat(path, &st)) != E_OK)
		return err == E_NOTFOUND ? E_OK : err;
	m->start = m->segs[1]->base;
	for (int i = 0; i < 3; i++) {
		seg_path(path, m->dir, s->base, exts[i]);
		err = disk->unlink(path);
		if (err != E_OK && err != E_NOTFOUND)
			return err;
	}
	memmove(m->segs, m->segs + 1, (size_t)--m->nsegs * sizeof *m->segs);
	seg_unref(s);
	return disk->sync_dir(m->dir);
}

enum err
mini_stop(struct mini *m)
{
	enum err err = mini_sync(m);
	struct seg *s;

	if (m->nsegs == 0 || err != E_OK)
		return err;
	s = m->segs[m->nsegs - 1];
	err = idx_checkpoint(&s->idx, s->end_offset, s->size, s->max_ts);
	if (err == E_OK)
		err = flush_idx(s, false);
	return err == E_OK ? mini_snapshot(m) : err;
}

void
mini_adopt(struct mini *m, struct recovered *r)
{
	mini_close(m);
	for (int i = 0; i < r->nsegs; i++)
		add_seg(m, r->segs[i]);
	r->nsegs = 0;
	m->prods = r->prods;
	r->prods = NULL;
	recover_free(r);
	m->start = r->start;
	m->next = m->synced = r->end;
	m->failed = false;
	while (m->nall > 0 && m->all[m->nall - 1].b.base_offset >= r->end)
		free(m->all[--m->nall].p);
	for (int i = 0; i < 4; i++)
		m->seqs[i] = 0;
	for (int i = 0; i < m->nall; i++)
		if (m->all[i].b.pid >= 0)
			m->seqs[m->all[i].b.pid - 70] =
			    m->all[i].b.base_seq + m->all[i].b.count;
}

static char words[256];

static const char *
same_bytes(const struct mini *m, struct seg *s, int *at)
{
	int64_t pos = 0, max_ts = -1;
	int fd;

	if (seg_fd(s, &fd) != E_OK)
		return "a segment does not open";

	for (; *at < m->nall && pos < s->size; (*at)++) {
		const struct mini_batch *x = &m->all[*at];
		size_t n = (size_t)batch_size(&x->b), got;
		uint8_t *p = malloc(n);
		bool same;

		ASSERT(p != NULL);
		same = disk->pread(fd, p, n, pos, &got) == E_OK &&
		    got == n && memcmp(p, x->p, n) == 0;
		free(p);
		if (!same) {
			snprintf(words, sizeof words, "segment %lld, position "
			    "%lld is not offset %lld", (long long)s->base,
			    (long long)pos, (long long)x->b.base_offset);
			return words;
		}
		if (pos == 0 && x->b.base_offset != s->base)
			return "a segment's base is not its first offset";
		if (x->b.max_ts > max_ts)
			max_ts = x->b.max_ts;
		pos += (int64_t)n;
	}
	if (pos != s->size)
		return "a segment ends in a batch or past what was written";
	if (s->max_ts != max_ts)
		return "a segment's greatest timestamp is wrong";
	if (s->size > 0 && s->end_offset !=
	    batch_last_offset(&m->all[*at - 1].b) + 1)
		return "a segment's end offset is wrong";
	if (s->size > 0 && s->idx.last.pos != s->size)
		return "no checkpoint at a segment's end";
	if (s->idx.npending > 0)
		return "index entries are left in memory";
	if (s->synced != s->size || s->synced_offset != s->end_offset)
		return "a segment's synced end is not its end";
	return NULL;
}

static const char *
same_producers(const struct mini *m, const struct recovered *r)
{
	struct prod_table *t = prod_new();
	struct wr a = wr_grow(1 << 20), b = wr_grow(1 << 20);
	enum err err = E_OK;
	bool same;

	ASSERT(t != NULL);
	for (int i = 0; i < m->nall && err == E_OK; i++)
		if (m->all[i].b.base_offset < r->end && m->all[i].b.pid >= 0)
			err = prod_note(t, &m->all[i].b, mono_ms());
	if (err == E_OK)
		err = prod_encode(t, &m->id, r->end, &a);
	if (err == E_OK)
		err = prod_encode(r->prods, &m->id, r->end, &b);
	ASSERT(err == E_OK);
	same = a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
	prod_free(t);
	wr_free(&a);
	wr_free(&b);
	return same ? NULL : "producer state is not that of the log";
}

const char *
mini_verify(const struct mini *m, const struct recovered *r, int64_t least)
{
	const char *bad = NULL;
	int32_t epoch = -1;
	int at = 0;

	if (r->end < least) {
		snprintf(words, sizeof words, "end %lld, but %lld was synced",
		    (long long)r->end, (long long)least);
		return words;
	}
	if (r->nsegs > 0 && r->start != r->segs[0]->base)
		return "start is not the first segment's";
	if (r->start > m->start)
		return "start is past the segments that were deleted";
	while (at < m->nall && m->all[at].b.base_offset < r->start)
		at++;
	for (int i = at; i < m->nall && m->all[i].b.base_offset < r->end; i++)
		epoch = m->all[i].b.leader_epoch;
	for (int i = 0; i < r->nsegs && bad == NULL; i++) {
		if (i > 0 && r->segs[i]->base != r->segs[i - 1]->end_offset)
			return "segments do not join";
		bad = same_bytes(m, r->segs[i], &at);
	}
	if (bad != NULL)
		return bad;
	if (r->nsegs > 0 && r->end != r->segs[r->nsegs - 1]->end_offset)
		return "end is not the last segment's";
	if (r->nsegs > 0 && r->epoch != epoch)
		return "the leader epoch is wrong";
	return same_producers(m, r);
}
