/* SPDX-License-Identifier: Apache-2.0 */
/* An index made anew, beside the one that is there. */
#include <stdio.h>
#include <string.h>

#include "disk.h"
#include "reindex.h"
#include "seg.h"

void
reindex_begin(struct reindex *x, const char *dir, const struct log_id *id,
    int64_t base)
{
	x->id = *id;
	x->base = base;
	x->max_ts = -1;
	idx_init(&x->idx);
	seg_path(x->path, dir, base, ".idx");
	seg_path(x->tmp, dir, base, ".idx.tmp");
}

static enum err
flush(struct reindex *x, bool sealed)
{
	enum err err;

	if (x->idx.npending == 0)
		return E_OK;
	err = idx_append(x->tmp, &x->id, x->base, x->idx.pending,
	    x->idx.npending, x->idx.nfile, sealed);
	if (err == E_OK)
		idx_flushed(&x->idx, x->idx.npending);
	return err;
}

enum err
reindex_note(struct reindex *x, const struct batch *b, int64_t pos)
{
	enum err err = idx_note(&x->idx, b->base_offset, pos, x->max_ts);

	if (batch_records_ts(b) > x->max_ts)
		x->max_ts = batch_records_ts(b);
	if (err == E_OK && x->idx.npending == IDX_PENDING_MAX)
		err = flush(x, false);
	return err;
}

static enum err
sync_tmp(const char *path)
{
	enum err err;
	int fd;

	if ((err = disk->open(path, DISK_WRITE, &fd)) != E_OK)
		return err;
	err = disk->sync(fd);
	disk->close(fd);
	return err;
}

enum err
reindex_end(struct reindex *x, int64_t end, int64_t size, bool sealed)
{
	enum err err = E_OK;

	if (size > 0)
		err = idx_checkpoint(&x->idx, end, size, x->max_ts);
	if (err == E_OK)
		err = flush(x, sealed);
	if (err == E_OK && size == 0) {
		/* An empty segment has no index. */
		idx_free(&x->idx);
		return idx_cut(x->path, 0);
	}
	if (err == E_OK)
		err = sync_tmp(x->tmp);
	if (err == E_OK)
		err = disk->rename(x->tmp, x->path);
	if (err != E_OK)
		reindex_drop(x);
	idx_free(&x->idx);
	return err;
}

void
reindex_drop(struct reindex *x)
{
	(void)disk->unlink(x->tmp);
	idx_free(&x->idx);
}
