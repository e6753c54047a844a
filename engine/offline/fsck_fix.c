/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The repair of a log that has lost nothing: recovery cuts the tail, as the
 * next start would; then indexes are made again, and snapshots of producers
 * that are damaged make room for a good one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"
#include "log/reindex.h"
#include "log/scan.h"

enum { NAMES_MAX = 1000 };	/* of one name in lost+found */

static enum err
index_again(struct fsck *c, const struct fsck_log *l,
    const struct recovered *r, int at)
{
	const struct seg *seg = r->segs[at];
	bool last = at == r->nsegs - 1;
	struct reindex x;
	struct scan s;
	struct batch b;
	const uint8_t *p;
	const char *bad = NULL;
	int64_t pos = 0;
	enum err err = scan_open(&s, seg->path);
	bool is;

	if (err != E_OK)
		return fsck_fail(c, err, seg->path);
	reindex_begin(&x, l->dir, &l->id, seg->base);
	for (; err == E_OK && bad == NULL && pos < s.size;
	    pos += batch_size(&b)) {
		err = scan_batch(&s, pos, &b, &is, &p, &bad);
		if (err == E_OK && bad == NULL)
			err = reindex_note(&x, &b, pos);
	}
	scan_close(&s);
	if (err == E_OK && bad != NULL)
		err = E_CORRUPT;	/* it was whole a moment ago */
	if (err != E_OK)
		reindex_drop(&x);
	else
		err = reindex_end(&x, last ? r->end : r->segs[at + 1]->base,
		    seg->size, !last);
	return err == E_OK ? err : fsck_fail(c, err, x.path);
}

static enum err
indexes_again(struct fsck *c, const struct fsck_log *l,
    const struct recovered *r)
{
	enum err err = E_OK;

	for (int i = 0; err == E_OK && i < l->idx.n; i++)
		for (int k = 0; err == E_OK && k < r->nsegs; k++)
			if (r->segs[k]->base == l->idx.v[i])
				err = index_again(c, l, r, k);
	return err;
}

/* A damaged snapshot goes to lost+found. */
static enum err
snapshot_away(struct fsck *c, const struct fsck_log *l, int64_t base)
{
	char path[PATH_SIZE], to[PATH_SIZE], hex[33];
	struct disk_stat st;
	enum err err;

	seg_path(path, l->dir, base, ".prod");
	if (disk->stat(path, &st) == E_NOTFOUND)
		return E_OK;	/* recovery removed one past the end */
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", l->id.topic.b[i]);
	err = disk->mkdir(c->lost);
	for (int try = 0; err == E_OK && try < NAMES_MAX; try++) {
		snprintf(to, sizeof to, "%.3900s/%s-%d-%lld.prod.%d", c->lost,
		    hex, (int)l->id.part, (long long)base, try);
		err = disk->stat(to, &st);
	}
	if (err == E_NOTFOUND)
		err = disk->rename(path, to);
	else if (err == E_OK)
		err = E_BUSY;
	if (err == E_OK)
		err = disk->sync_dir(c->lost);
	return err == E_OK ? err : fsck_fail(c, err, path);
}

static enum err
snapshots_again(struct fsck *c, const struct fsck_log *l,
    const struct recovered *r)
{
	struct wr w = wr_grow(BATCH_MAX);
	char path[PATH_SIZE];
	enum err err = E_OK;

	for (int i = 0; err == E_OK && i < l->prod.n; i++)
		err = snapshot_away(c, l, l->prod.v[i]);
	if (err != E_OK || l->prod.n == 0 || prod_count(r->prods) == 0)
		return err;
	seg_path(path, l->dir, r->end, ".prod");
	err = prod_encode(r->prods, &l->id, r->end, &w);
	if (err == E_OK)
		err = disk_replace(path, w.p, w.len);
	wr_free(&w);
	return err == E_OK ? err : fsck_fail(c, err, path);
}

enum err
fsck_log_fix(struct fsck *c, struct fsck_log *l)
{
	struct recover_how how = { .dir = l->dir, .lost = c->lost,
	    .id = l->id, .serial = l->serial };
	struct recovered r;
	enum err err = recover_log(&how, &r);

	if (err == E_CORRUPT) {
		fsck_found(c, l, FOUND_BAD, "log", l->dir, -1, -1,
		    "it cannot be repaired: %s", r.why);
		recover_free(&r);
		return E_OK;
	}
	if (err != E_OK)
		snprintf(c->why, sizeof c->why, "%s", r.why);
	if (err == E_OK)
		err = indexes_again(c, l, &r);
	if (err == E_OK)
		err = snapshots_again(c, l, &r);
	if (err == E_OK && (err = disk->sync_dir(l->dir)) != E_OK)
		err = fsck_fail(c, err, l->dir);
	recover_free(&r);
	return err;
}
