/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sparse index: entries that wait in memory until the log before them is
 * synced, and the .idx file (format.h).  Entries in the file are hints that
 * are checked one by one: a crash may leave holes among those that were never
 * synced, so lookups step over a bad entry, and the cost is a longer walk in
 * the log, never a wrong answer.
 */
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "idx.h"
#include "lib/buf.h"
#include "lib/crc32c.h"

#define CHUNK	128		/* entries read at once */
#define IDX_FILE_MAX	(1024u * MIB)	/* read whole */

void
idx_init(struct idx *x)
{
	*x = (struct idx){ .last = { -1, 0, -1 }, .interval = IDX_INTERVAL };
}

void
idx_free(struct idx *x)
{
	free(x->pending);
	x->pending = NULL;
	x->npending = x->cap = 0;
}

static enum err
add(struct idx *x, int64_t offset, int64_t pos, int64_t max_ts)
{
	struct idx_entry *p;
	int cap;

	ASSERT(offset > x->last.offset && pos > x->last.pos);
	ASSERT(max_ts >= x->last.max_ts);
	if (x->npending == x->cap) {
		cap = x->cap == 0 ? 4 : x->cap * 2;
		p = realloc(x->pending, (size_t)cap * sizeof *p);
		if (p == NULL)
			return E_NOMEM;
		x->pending = p;
		x->cap = cap;
	}
	x->last = (struct idx_entry){ offset, pos, max_ts };
	x->pending[x->npending++] = x->last;
	x->sealed = false;
	return E_OK;
}

bool
idx_due(const struct idx *x, int64_t pos)
{
	/* The more entries wait for a sync, the wider apart new ones are:
	 * memory grows with the logarithm of what is not synced. */
	int tier = x->npending / IDX_PENDING_MAX;
	int64_t gap = x->interval;

	if (tier > 0 && gap < IDX_INTERVAL)
		gap = IDX_INTERVAL;
	gap <<= tier < 16 ? tier : 16;
	return pos > x->last.pos && pos - x->last.pos >= gap;
}

enum err
idx_note(struct idx *x, int64_t offset, int64_t pos, int64_t max_ts)
{
	return idx_due(x, pos) ? add(x, offset, pos, max_ts) : E_OK;
}

enum err
idx_checkpoint(struct idx *x, int64_t offset, int64_t pos, int64_t max_ts)
{
	return pos <= x->last.pos ? E_OK : add(x, offset, pos, max_ts);
}

int
idx_ready(const struct idx *x, int64_t synced)
{
	int lo = 0, hi = x->npending;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;

		if (x->pending[mid].pos <= synced)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
idx_flushed(struct idx *x, int n)
{
	ASSERT(n >= 0 && n <= x->npending);
	x->nfile += n;
	x->npending -= n;
	if (x->npending == 0)
		idx_free(x);
	else
		memmove(x->pending, x->pending + n,
		    (size_t)x->npending * sizeof *x->pending);
}

/* Does the entry lie before what is looked for?  True for a run of entries
 * from the first on, because all three keys rise. */
static bool
before(const struct idx_entry *e, int by, int64_t value)
{
	switch (by) {
	case 0:
		return e->offset <= value;
	case 1:
		return e->pos <= value;
	default:
		ASSERT(by == 2);
		return e->max_ts < value;
	}
}

const struct idx_entry *
idx_pending_find(const struct idx *x, int by, int64_t value)
{
	int lo = 0, hi = x->npending;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;

		if (before(&x->pending[mid], by, value))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? NULL : &x->pending[lo - 1];
}

/* Encodes the header and returns its CRC, the seed of all entries'. */
static uint32_t
header_put(uint8_t p[IDX_HEADER], const struct log_id *id, int64_t base)
{
	uint32_t crc;

	memset(p, 0, IDX_HEADER);
	memcpy(p, IDX_MAGIC, 8);
	be16_put(p + 8, IDX_VERSION);
	memcpy(p + 12, id->topic.b, 16);
	be32_put(p + 28, (uint32_t)id->part);
	be64_put(p + 32, (uint64_t)base);
	crc = crc32c(0, p, IDX_HEADER - 4);
	be32_put(p + IDX_HEADER - 4, crc);
	return crc;
}

static void
entry_put(uint8_t p[IDX_ENTRY], const struct idx_entry *e, bool sealed,
    uint32_t seed)
{
	be64_put(p, (uint64_t)e->offset);
	be64_put(p + 8, (uint64_t)e->pos);
	be64_put(p + 16, (uint64_t)e->max_ts);
	be32_put(p + 24, sealed ? IDX_SEALED : 0);
	be32_put(p + 28, crc32c(seed, p, IDX_ENTRY - 4));
}

static bool
entry_get(const uint8_t p[IDX_ENTRY], struct idx_entry *e, bool *sealed,
    uint32_t seed)
{
	uint32_t flags = be32(p + 24);

	e->offset = (int64_t)be64(p);
	e->pos = (int64_t)be64(p + 8);
	e->max_ts = (int64_t)be64(p + 16);
	*sealed = flags == IDX_SEALED;
	return be32(p + 28) == crc32c(seed, p, IDX_ENTRY - 4) &&
	    flags <= IDX_SEALED && e->offset >= 0 && e->pos > 0 &&
	    e->max_ts >= -1;
}

static int64_t
entry_pos(int64_t n)
{
	return IDX_HEADER + n * IDX_ENTRY;
}

enum err
idx_append(const char *path, const struct log_id *id, int64_t base,
    const struct idx_entry *e, int n, int64_t nfile, bool sealed)
{
	uint8_t header[IDX_HEADER], *p;
	struct iovec iov[2];
	enum err err;
	uint32_t seed = header_put(header, id, base);
	size_t len = (size_t)n * IDX_ENTRY;
	int fd, from = nfile == 0 ? 0 : 1;

	ASSERT(n > 0 && nfile >= 0);
	if ((p = malloc(len)) == NULL)
		return E_NOMEM;
	for (int i = 0; i < n; i++)
		entry_put(p + i * IDX_ENTRY, &e[i], sealed && i == n - 1,
		    seed);
	if ((err = disk->open(path, DISK_CREATE, &fd)) != E_OK)
		goto out;
	iov[0] = (struct iovec){ header, sizeof header };
	iov[1] = (struct iovec){ p, len };
	/* Whatever lies there belongs to no segment any more. */
	if (nfile == 0)
		err = disk->truncate(fd, 0);
	if (err == E_OK)
		err = disk->pwritev(fd, iov + from, 2 - from,
		    nfile == 0 ? 0 : entry_pos(nfile));
	/* What it says of a finished segment outlives a power cut: without it
	 * recovery takes damage in there for the log's end. */
	if (err == E_OK && sealed)
		err = disk->sync(fd);
	disk->close(fd);
out:
	free(p);
	return err;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* E_NOTFOUND for a header that was never written whole: a crash may leave a
 * short file or zeros.  E_CORRUPT for anything else that is not ours. */
static enum err
header_check(int fd, const struct log_id *id, int64_t base)
{
	uint8_t want[IDX_HEADER], p[IDX_HEADER];
	enum err err;
	size_t got;

	(void)header_put(want, id, base);
	err = disk->pread(fd, p, sizeof p, 0, &got);
	if (err != E_OK)
		return err;
	if (all_zero(p, got))
		return E_NOTFOUND;
	if (got < sizeof p)
		return memcmp(p, want, got) == 0 ? E_NOTFOUND : E_CORRUPT;
	return memcmp(p, want, sizeof p) == 0 ? E_OK : E_CORRUPT;
}

/* Reads entries [from, from + n); *got whole ones. */
static enum err
entries_read(int fd, int64_t from, int n, uint8_t *p, int *got)
{
	enum err err;
	size_t bytes;

	err = disk->pread(fd, p, (size_t)n * IDX_ENTRY, entry_pos(from),
	    &bytes);
	*got = err == E_OK ? (int)(bytes / IDX_ENTRY) : 0;
	return err;
}

/* The last good entry below number n: *n becomes the number after it, 0 when
 * there is none. */
static enum err
last_good(int fd, uint32_t seed, int64_t *n, struct idx_entry *e,
    bool *sealed)
{
	uint8_t p[CHUNK * IDX_ENTRY];
	int want = 1, got;	/* usually the very last is good */
	enum err err;

	while (*n > 0) {
		if (want > *n)
			want = (int)*n;
		err = entries_read(fd, *n - want, want, p, &got);
		if (err != E_OK)
			return err;
		for (int i = got; i-- > 0;)
			if (entry_get(p + i * IDX_ENTRY, e, sealed, seed)) {
				*n += i + 1 - want;
				return E_OK;
			}
		*n -= want;
		want = CHUNK;
	}
	*e = (struct idx_entry){ -1, 0, -1 };
	*sealed = false;
	return E_OK;
}

enum err
idx_open(const char *path, const struct log_id *id, int64_t base, int64_t *n,
    struct idx_entry *last, bool *sealed)
{
	uint8_t header[IDX_HEADER];
	struct disk_stat st;
	enum err err;
	int fd;

	*n = 0;
	*last = (struct idx_entry){ -1, 0, -1 };
	*sealed = false;
	if ((err = disk->open(path, DISK_READ, &fd)) != E_OK)
		return err;
	err = disk->fstat(fd, &st);
	if (err == E_OK)
		err = header_check(fd, id, base);
	if (err == E_OK) {
		*n = (st.size - IDX_HEADER) / IDX_ENTRY;
		err = last_good(fd, header_put(header, id, base), n, last,
		    sealed);
	}
	disk->close(fd);
	if (err != E_OK)
		*n = 0;
	return err;
}

/* Number of the first entry that is not before the value, where bad entries
 * count like the nearest good one below. */
static enum err
search(int fd, uint32_t seed, int64_t nfile, int by, int64_t value,
    int64_t *first)
{
	int64_t lo = 0, hi = nfile;

	while (lo < hi) {
		int64_t mid = lo + (hi - lo) / 2, good = mid + 1;
		struct idx_entry e;
		enum err err;
		bool sealed;

		err = last_good(fd, seed, &good, &e, &sealed);
		if (err != E_OK)
			return err;
		if (good == 0 || before(&e, by, value))
			lo = mid + 1;
		else
			hi = good - 1;
	}
	*first = lo;
	return E_OK;
}

enum err
idx_load(const char *path, const struct log_id *id, int64_t base,
    int64_t nfile, int by, int64_t value, struct idx_entry *out, int max,
    int *n)
{
	uint8_t header[IDX_HEADER], p[CHUNK * IDX_ENTRY];
	uint32_t seed = header_put(header, id, base);
	int64_t at, good;
	enum err err;
	bool sealed;
	int fd, got;

	*n = 0;
	if (max <= 0 || nfile <= 0)
		return E_OK;
	if ((err = disk->open(path, DISK_READ, &fd)) != E_OK)
		return err;
	if ((err = search(fd, seed, nfile, by, value, &at)) != E_OK)
		goto out;
	good = at;
	err = last_good(fd, seed, &good, out, &sealed);
	if (err != E_OK || good == 0)
		goto out;
	*n = 1;
	while (*n < max && at < nfile) {
		int want = nfile - at < CHUNK ? (int)(nfile - at) : CHUNK;

		err = entries_read(fd, at, want, p, &got);
		if (err != E_OK || got == 0)
			goto out;
		for (int i = 0; i < got && *n < max; i++)
			*n += entry_get(p + i * IDX_ENTRY, &out[*n], &sealed,
			    seed);
		at += got;
	}
out:
	disk->close(fd);
	if (err != E_OK)
		*n = 0;
	return err;
}

enum err
idx_slurp(const char *path, const struct log_id *id, int64_t base,
    struct idx_entry **v, int64_t *n, bool *sealed, int64_t *bad)
{
	uint8_t header[IDX_HEADER], *p = NULL;
	uint32_t seed = header_put(header, id, base);
	struct idx_entry last;
	bool is;
	size_t size, at;
	enum err err = idx_open(path, id, base, n, &last, sealed);

	*v = NULL;
	*n = 0;
	*bad = -1;
	*sealed = false;
	if (err == E_OK)
		err = disk_slurp(path, IDX_FILE_MAX, &p, &size);
	if (err == E_OK && size >= IDX_HEADER + IDX_ENTRY &&
	    (*v = calloc(size / IDX_ENTRY, sizeof **v)) == NULL)
		err = E_NOMEM;
	for (at = IDX_HEADER; err == E_OK && at < size; at += IDX_ENTRY) {
		if (size - at >= IDX_ENTRY &&
		    entry_get(p + at, &(*v)[*n], &is, seed)) {
			++*n;
			*sealed = is;
		} else if (*bad < 0)
			*bad = (int64_t)at;
	}
	free(p);
	return err;
}

enum err
idx_cut(const char *path, int64_t n)
{
	enum err err;
	int fd;

	if (n == 0) {
		err = disk->unlink(path);
		return err == E_NOTFOUND ? E_OK : err;
	}
	if ((err = disk->open(path, DISK_WRITE, &fd)) != E_OK)
		return err;
	err = disk->truncate(fd, entry_pos(n));
	disk->close(fd);
	return err;
}
