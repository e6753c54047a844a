/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared region.  First touch of a page costs more than everything else
 * that happens to its bytes, so the lowest place always wins: pieces that are
 * warm are used again, and what is never needed is never touched.  New ground
 * is populated in steps, which also turns a lack of memory into an answer
 * instead of a SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "region.h"

#define WARM_STEP	((size_t)MIB)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23	/* Linux 5.14 */
#endif

static size_t
pages(size_t n)
{
	return (n + REGION_PAGE - 1) & ~(size_t)(REGION_PAGE - 1);
}

/* Shared memory that cannot be made smaller, mapped somewhere. */
static enum err
map_new(size_t size, int *fd, uint8_t **base)
{
	int eno;

	*base = MAP_FAILED;
	*fd = memfd_create("chronik-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd >= 0 && ftruncate(*fd, (off_t)size) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		*base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    *fd, 0);
	if (*base != MAP_FAILED)
		return E_OK;
	eno = errno;
	log_warn("no shared memory", LI("bytes", (int64_t)size), LERRNO(eno));
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return eno == ENOMEM ? E_NOMEM : E_IO;
}

enum err
region_open(struct region *g, size_t bytes)
{
	enum err e;

	*g = (struct region){ .size = pages(bytes), .fd = -1, .cap = 64 };
	e = map_new(g->size, &g->fd, &g->base);
	if (e != E_OK) {
		g->base = NULL;
		return e;
	}
	g->free = malloc(g->cap * sizeof *g->free);
	if (g->free == NULL) {
		region_close(g);
		return E_NOMEM;
	}
	g->free[0] = (struct span){ 0, g->size };
	g->nfree = 1;
	return E_OK;
}

enum err
region_renew(struct region *g)
{
	size_t at = 0, end;
	uint8_t *base;
	enum err e;
	int fd;

	e = map_new(g->size, &fd, &base);
	if (e != E_OK)
		return e;
	for (size_t i = 0; at < g->size; i++) {
		end = i < g->nfree ? g->free[i].at : g->size;
		memcpy(base + at, g->base + at, end - at);
		at = i < g->nfree ? end + g->free[i].len : g->size;
	}
	/* In one step from the old to the new under the same addresses. */
	if (mmap(g->base, g->size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED, fd, 0) != g->base) {
		log_warn("no shared memory", LERRNO(errno));
		munmap(base, g->size);
		close(fd);
		return E_NOMEM;
	}
	munmap(base, g->size);
	close(g->fd);
	g->fd = fd;
	g->warm = 0;
	return E_OK;
}

void
region_close(struct region *g)
{
	if (g->base != NULL)
		munmap(g->base, g->size);
	if (g->fd >= 0)
		close(g->fd);
	free(g->free);
	*g = (struct region){ .fd = -1 };
}

/* Touches new ground up to end.  A kernel that cannot do it in one call
 * leaves it to the page faults. */
static bool
warm_up(struct region *g, size_t end)
{
	if (end <= g->warm)
		return true;
	end = (end + WARM_STEP - 1) / WARM_STEP * WARM_STEP;
	if (end > g->size)
		end = g->size;
	if (madvise(g->base + g->warm, end - g->warm,
	    MADV_POPULATE_WRITE) != 0 && errno != EINVAL)
		return false;
	g->warm = end;
	return true;
}

/* The first free span that starts at or after a place. */
static size_t
find(const struct region *g, size_t at)
{
	size_t lo = 0, hi = g->nfree;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (g->free[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Room for one more span. */
static void
spans_more(struct region *g)
{
	struct span *p;

	if (g->nfree < g->cap)
		return;
	p = realloc(g->free, g->cap * 2 * sizeof *p);
	/* Without it a piece would be lost for ever. */
	ASSERT(p != NULL);
	g->free = p;
	g->cap *= 2;
}

/* Takes n bytes off the front of free span i. */
static void
take(struct region *g, size_t i, size_t n)
{
	struct span *s = &g->free[i];

	s->at += n;
	s->len -= n;
	if (s->len == 0) {
		g->nfree--;
		memmove(s, s + 1, (g->nfree - i) * sizeof *s);
	}
}

int64_t
region_alloc(struct region *g, size_t n)
{
	size_t at;

	ASSERT(n > 0);
	n = pages(n);
	for (size_t i = 0; i < g->nfree; i++)
		if (g->free[i].len >= n) {
			at = g->free[i].at;
			if (!warm_up(g, at + n))
				return -1;
			take(g, i, n);
			return (int64_t)at;
		}
	return -1;
}

void
region_free(struct region *g, int64_t place, size_t n)
{
	size_t at = (size_t)place, i = find(g, at);
	bool left, right;
	struct span *s;

	n = pages(n);
	spans_more(g);
	s = g->free + i;
	ASSERT(place >= 0 && n > 0 && n <= g->size && at <= g->size - n);
	ASSERT(i == g->nfree || at + n <= s->at);
	ASSERT(i == 0 || s[-1].at + s[-1].len <= at);
	left = i > 0 && s[-1].at + s[-1].len == at;
	right = i < g->nfree && at + n == s->at;
	if (left) {
		s[-1].len += n;
		if (right) {
			s[-1].len += s->len;
			take(g, i, s->len);
		}
	} else if (right) {
		s->at = at;
		s->len += n;
	} else {
		memmove(s + 1, s, (g->nfree - i) * sizeof *s);
		*s = (struct span){ at, n };
		g->nfree++;
	}
}

enum err
region_grow(struct region *g, int64_t place, size_t n, size_t more)
{
	size_t end = (size_t)place + pages(n), i = find(g, end), want;

	ASSERT(more >= n);
	want = pages(more) - pages(n);
	if (want == 0)
		return E_OK;
	if (i == g->nfree || g->free[i].at != end || g->free[i].len < want ||
	    !warm_up(g, end + want))
		return E_BUSY;
	take(g, i, want);
	return E_OK;
}

/* Makes bytes of a free span a piece again. */
static void
take_back(struct region *g, size_t at, size_t n)
{
	size_t i = find(g, at + 1) - 1, end;
	struct span *s;

	spans_more(g);
	s = &g->free[i];
	end = s->at + s->len;
	ASSERT(s->at <= at && at + n <= end);
	if (s->at == at) {
		take(g, i, n);
		return;
	}
	s->len = at - s->at;
	if (at + n == end)
		return;
	memmove(s + 2, s + 1, (g->nfree - i - 1) * sizeof *s);
	s[1] = (struct span){ at + n, end - at - n };
	g->nfree++;
}

enum err
region_move(struct region *g, int64_t *place, size_t n, size_t more)
{
	enum err e = region_grow(g, *place, n, more);
	int64_t to;

	if (e == E_OK)
		return E_OK;
	if ((to = region_alloc(g, more)) >= 0) {
		memcpy(g->base + to, g->base + *place, n);
		region_free(g, *place, n);
		*place = to;
		return E_OK;
	}
	/* With the free ground before and behind it, it may do. */
	region_free(g, *place, n);
	to = region_alloc(g, more);
	if (to >= 0) {
		memmove(g->base + to, g->base + *place, n);
		*place = to;
		return E_OK;
	}
	take_back(g, (size_t)*place, pages(n));
	return E_BUSY;
}
