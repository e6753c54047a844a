/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories on disk.  See event.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "event.h"

enum { BUFFER = EV_SIZE * 1024, READ_EVENTS = 1 << 14 };

static const char magic[] = "CHKHIST1";

struct hist {
	int	 fd;
	size_t	 n;
	int64_t	 synced_at;
	char	*path;
	uint8_t	 buf[BUFFER];
};

int64_t
mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t
mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t
rand_next(uint64_t *state)
{
	return mix64(++*state);
}

static void
put(uint8_t *p, uint64_t v, int n)
{
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

static uint64_t
get(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

static uint32_t
check_sum(const uint8_t *p)
{
	uint64_t h = 0x5ca1ab1e, w;

	for (int i = 0; i < 40; i += 8) {
		memcpy(&w, p + i, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	h = mix64(h ^ get(p + 40, 4));
	return (uint32_t)(h ^ h >> 32);
}

static void
encode(const struct event *e, uint8_t *p)
{
	p[0] = e->type;
	p[1] = e->outcome;
	put(p + 2, e->topic, 2);
	put(p + 4, e->part, 4);
	put(p + 8, (uint64_t)e->at, 8);
	put(p + 16, e->id, 8);
	put(p + 24, (uint64_t)e->offset, 8);
	put(p + 32, (uint64_t)e->a, 8);
	put(p + 40, e->b, 4);
	put(p + 44, check_sum(p), 4);
}

static bool
decode(const uint8_t *p, struct event *e)
{
	if (check_sum(p) != get(p + 44, 4))
		return false;
	e->type = p[0];
	e->outcome = p[1];
	e->topic = (uint16_t)get(p + 2, 2);
	e->part = (uint32_t)get(p + 4, 4);
	e->at = (int64_t)get(p + 8, 8);
	e->id = get(p + 16, 8);
	e->offset = (int64_t)get(p + 24, 8);
	e->a = (int64_t)get(p + 32, 8);
	e->b = (uint32_t)get(p + 40, 4);
	return e->type >= EV_SEND && e->type < EV_TYPES &&
	    e->outcome <= EV_INFO;
}

static void
write_out(struct hist *h)
{
	for (size_t done = 0; done < h->n; ) {
		ssize_t n = write(h->fd, h->buf + done, h->n - done);

		if (n < 0) {
			fprintf(stderr, "chronik-check: %s: %s\n", h->path,
			    strerror(errno));
			exit(2);
		}
		done += (size_t)n;
	}
	h->n = 0;
}

struct hist *
hist_new(const char *dir, const char *name, uint64_t run)
{
	struct hist *h = calloc(1, sizeof *h);

	if (h == NULL || asprintf(&h->path, "%s/%s.hist", dir, name) < 0)
		return NULL;
	h->fd = open(h->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND |
	    O_CLOEXEC, 0644);
	if (h->fd < 0)
		return NULL;
	memcpy(h->buf, magic, 8);
	put(h->buf + 8, run, 8);
	put(h->buf + 16, 0, 8);
	h->n = EV_HEAD;
	write_out(h);
	return h;
}

void
hist_put(struct hist *h, struct event e)
{
	if (e.at == 0)
		e.at = mono_ns();
	if (h->n + EV_SIZE > BUFFER)
		write_out(h);
	encode(&e, h->buf + h->n);
	h->n += EV_SIZE;
}

void
hist_flush(struct hist *h)
{
	int64_t now = mono_ns();

	if (h->n > 0)
		write_out(h);
	if (now - h->synced_at < 1000000000)
		return;
	h->synced_at = now;
	if (fdatasync(h->fd) != 0) {
		fprintf(stderr, "chronik-check: %s: %s\n", h->path,
		    strerror(errno));
		exit(2);
	}
}

void
hist_close(struct hist *h)
{
	h->synced_at = 0;
	hist_flush(h);
	close(h->fd);
	free(h->path);
	free(h);
}

bool
hist_read(const char *path, uint64_t run,
    void (*each)(const struct event *, void *), void *arg, int64_t *torn)
{
	FILE *f = fopen(path, "r");
	uint8_t head[EV_HEAD], *buf;
	struct event e;
	size_t n, i = 0;

	*torn = 0;
	if (f == NULL)
		return false;
	buf = malloc((size_t)EV_SIZE * READ_EVENTS);
	if (buf == NULL || fread(head, 1, EV_HEAD, f) != EV_HEAD ||
	    memcmp(head, magic, 8) != 0 || get(head + 8, 8) != run) {
		errno = buf == NULL ? ENOMEM : EINVAL;
		free(buf);
		fclose(f);
		return false;
	}
	do {
		n = fread(buf, 1, (size_t)EV_SIZE * READ_EVENTS, f);
		for (i = 0; i + EV_SIZE <= n && decode(buf + i, &e);
		    i += EV_SIZE)
			each(&e, arg);
	} while (n == (size_t)EV_SIZE * READ_EVENTS && i == n);
	*torn = (int64_t)(n - i);
	free(buf);
	fclose(f);
	return true;
}
