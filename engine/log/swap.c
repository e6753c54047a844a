/* SPDX-License-Identifier: Apache-2.0 */
/* Swapping segments: the steps of swap.h, and their completion. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "reap.h"
#include "swap.h"

#define SWAP_LOG	".log.swap"

bool
swap_name(const char *name)
{
	int64_t base;

	return seg_name(name, SWAP_LOG, &base) ||
	    seg_name(name, SWAP_CLEANED, &base) ||
	    seg_name(name, SWAP_IDX, &base);
}

bool
swap_counts(const char *name)
{
	int64_t base;

	return seg_name(name, SWAP_LOG, &base);
}

static enum err
move(const char *dir, int64_t base, const char *from, const char *to)
{
	char a[PATH_SIZE], b[PATH_SIZE];

	seg_path(a, dir, base, from);
	seg_path(b, dir, base, to);
	return disk->rename(a, b);
}

enum err
swap_run(const char *dir, const int64_t *bases, int n, int64_t due,
    bool *begun)
{
	enum err e;

	*begun = true;
	e = move(dir, bases[0], SWAP_CLEANED, SWAP_LOG);
	if (e == E_OK)
		e = disk->sync_dir(dir);
	for (int i = 0; i < n && e == E_OK; i++)
		e = reap_take(dir, bases[i], due);
	if (e == E_OK)
		e = disk->sync_dir(dir);
	if (e == E_OK)
		e = move(dir, bases[0], SWAP_LOG, ".log");
	if (e == E_OK)
		e = move(dir, bases[0], SWAP_IDX, ".idx");
	return e == E_OK ? disk->sync_dir(dir) : e;
}

enum err
swap_drop(const char *dir, int64_t base)
{
	enum err a = seg_unlink(dir, base, SWAP_CLEANED);
	enum err b = seg_unlink(dir, base, SWAP_IDX);

	return a != E_OK ? a : b;
}

/* ---- recovery ----------------------------------------------------------- */

enum kind { K_SWAP, K_CLEANED, K_LOG, K_IDX, K_N };

struct found {
	struct file { int64_t base; enum kind kind; } *v;
	int		 n, cap;
	bool		 nomem;
};

static int
found_each(const char *name, void *arg)
{
	struct found *f = arg;
	int cap = f->cap * 2 + 16;
	struct file x, *v;

	if (seg_name(name, SWAP_LOG, &x.base))
		x.kind = K_SWAP;
	else if (seg_name(name, SWAP_CLEANED, &x.base) ||
	    seg_name(name, SWAP_IDX, &x.base))
		x.kind = K_CLEANED;
	else if (seg_name(name, ".log", &x.base))
		x.kind = K_LOG;
	else if (seg_name(name, ".idx", &x.base))
		x.kind = K_IDX;
	else
		return 0;
	if (f->n == f->cap) {
		v = realloc(f->v, (size_t)cap * sizeof *v);
		f->nomem = v == NULL;
		if (v == NULL)
			return 1;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = x;
	return 0;
}

struct ends {
	int64_t	end;		/* offset after the last batch */
	int	fd;
	enum err err;
};

static int
ends_each(const struct batch *b, int64_t pos, void *arg)
{
	struct ends *x = arg;
	size_t n = (size_t)batch_size(b), got;
	uint8_t *p;

	if (b->base_offset < x->end || b->last_delta < 0 ||
	    b->base_offset > INT64_MAX - 1 - b->last_delta)
		x->err = E_CORRUPT;
	x->end = batch_last_offset(b) + 1;
	if (x->err != E_OK)
		return 1;
	if ((p = malloc(n)) == NULL)
		x->err = E_NOMEM;
	else
		x->err = disk->pread(x->fd, p, n, pos, &got);
	if (x->err == E_OK && (got != n || !batch_crc_ok(p, n)))
		x->err = E_CORRUPT;
	free(p);
	return x->err != E_OK;
}

/* Where a swap's batches end.  E_CORRUPT when they are not whole. */
static enum err
ends(const char *dir, int64_t base, int64_t *end)
{
	struct ends x = { .end = base };
	char path[PATH_SIZE];
	struct disk_stat st;
	int64_t at;
	enum err e;

	seg_path(path, dir, base, SWAP_LOG);
	if ((e = disk->open(path, DISK_READ, &x.fd)) != E_OK)
		return e;
	disk->readahead(x.fd, false);
	e = disk->fstat(x.fd, &st);
	if (e == E_OK)
		e = seg_walk(x.fd, 0, st.size, ends_each, &x, &at);
	disk->close(x.fd);
	*end = x.end;
	return x.err != E_OK ? x.err : e;
}

static enum err __attribute__((format(printf, 4, 5)))
refuse(enum err e, char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return e;
}

/* The swap's end, and that a segment begins there: the one that grows is never
 * compacted, and no checksum covers the offsets that tell the end. */
static enum err
judge(const char *dir, const struct found *f, int64_t base, int64_t *end,
    char *why, size_t size)
{
	enum err e = ends(dir, base, end);

	if (e == E_CORRUPT || (e == E_OK && *end == base))
		return refuse(E_CORRUPT, why, size, "%.150s/%0*lld%s: the "
		    "compacted segment is damaged", dir, BASE_DIGITS,
		    (long long)base, SWAP_LOG);
	if (e != E_OK)
		return refuse(e, why, size, "%.150s: %s", dir, err_text(e));
	for (int i = 0; i < f->n; i++)
		if ((f->v[i].kind == K_LOG || f->v[i].kind == K_SWAP) &&
		    f->v[i].base == *end)
			return E_OK;
	return refuse(E_CORRUPT, why, size, "%.150s/%0*lld%s: ends at %lld, "
	    "where no segment begins", dir, BASE_DIGITS, (long long)base,
	    SWAP_LOG, (long long)*end);
}

static enum err
finish(const char *dir, const struct found *f, int64_t base, int64_t end)
{
	enum err e = E_OK;

	for (int i = 0; i < f->n && e == E_OK; i++) {
		const struct file *x = &f->v[i];

		if (x->base >= base && x->base < end &&
		    (x->kind == K_LOG || x->kind == K_IDX))
			e = reap_take(dir, x->base, 0);
	}
	if (e == E_OK)
		e = disk->sync_dir(dir);
	if (e == E_OK)
		e = move(dir, base, SWAP_LOG, ".log");
	if (e == E_OK)
		e = disk->sync_dir(dir);
	if (e == E_OK)
		log_info("compacted segment put in place",
		    LS("dir", dir), LI("base", base), LI("end", end));
	return e;
}

static enum err
recover(const char *dir, const struct found *f, char *why, size_t size)
{
	enum err e = E_OK;
	int64_t end;

	for (int i = 0; i < f->n && e == E_OK; i++)
		if (f->v[i].kind == K_SWAP)
			e = judge(dir, f, f->v[i].base, &end, why, size);
	for (int i = 0; i < f->n && e == E_OK; i++)
		if (f->v[i].kind == K_CLEANED)
			e = swap_drop(dir, f->v[i].base);
	for (int i = 0; i < f->n && e == E_OK; i++) {
		if (f->v[i].kind != K_SWAP)
			continue;
		e = judge(dir, f, f->v[i].base, &end, why, size);
		if (e == E_OK)
			e = finish(dir, f, f->v[i].base, end);
	}
	return e;
}

enum err
swap_recover(const char *dir, char *why, size_t size)
{
	struct found f = { 0 };
	enum err e = disk->list(dir, found_each, &f);

	if (e == E_OK && f.nomem)
		e = E_NOMEM;
	if (e == E_OK)
		e = recover(dir, &f, why, size);
	free(f.v);
	if (e != E_OK && why[0] == '\0')
		snprintf(why, size, "%.200s: %s", dir, err_text(e));
	return e;
}
