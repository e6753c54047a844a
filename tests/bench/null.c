/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of what a client can do: a broker of one process that checks
 * nothing and writes nothing.  It answers Produce with the next offsets and
 * drops the records, or keeps them in memory (`null keep`) and serves them
 * again.  One topic is as good as another: each name that is asked for exists
 * with `partitions=N` partitions.  It speaks few versions and no codec's
 * FindCoordinator, trusts its peer and is for benchmarks alone.
 *
 * With `file=DIR` it is the control: the least that a broker of one process
 * must do.  It proves each batch's checksum and writes it to a file of its
 * partition; with `sync` it syncs the files written, once for all that one
 * read of a connection brought, before it answers.
 *
 * usage: null [keep | file=DIR [sync]] [partitions=N]
 *
 * Prints "ready HOST:PORT".
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/crc32c.h"

enum {
	PARTS	= 1024,		/* most partitions of all names together */
	CONNS	= 4096,		/* most descriptors */
	IN	= 4 << 20,	/* a connection's input at least */
	FETCH	= 1 << 20,	/* bytes of one partition in an answer */
};

struct part {
	char		 topic[64];
	int32_t		 index;
	int64_t		 next;
	uint8_t		*kept;
	size_t		 len, cap;
	/* Where a fetch for an offset begins: batches as they came. */
	struct place { int64_t base; size_t at; } *batches;
	size_t		 nbatches, batches_cap;
	/* The control's: its file, and how long that is. */
	int		 fd;
	off_t		 size;
	bool		 dirty;
};

struct conn {
	int	 fd;
	uint8_t	*in;
	size_t	 len, cap;
};

struct out {
	uint8_t	*p;
	size_t	 len, cap;
};

static struct part parts[PARTS];
static int nparts, partitions = 1, port;
static bool keep, synced;
static const char *dir;
static struct conn *conns[CONNS];
static struct out out;

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("null: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void *
more(void *p, size_t n)
{
	if ((p = realloc(p, n)) == NULL)
		die("out of memory");
	return p;
}

static uint8_t *
room(size_t n)
{
	if (out.len + n > out.cap)
		out.p = more(out.p, out.cap = (out.len + n) * 2);
	out.len += n;
	return out.p + out.len - n;
}

static void
put16(int v)
{
	uint16_t be = htobe16((uint16_t)v);

	memcpy(room(sizeof be), &be, sizeof be);
}

static void
put32(int32_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	memcpy(room(sizeof be), &be, sizeof be);
}

static void
put64(int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);

	memcpy(room(sizeof be), &be, sizeof be);
}

static void
put_str(const char *s, int n)
{
	put16(n);
	memcpy(room((size_t)n), s, (size_t)n);
}

static int
get16(const uint8_t **p)
{
	uint16_t v;

	memcpy(&v, *p, sizeof v);
	*p += sizeof v;
	return (int16_t)be16toh(v);
}

static int32_t
get32(const uint8_t **p)
{
	uint32_t v;

	memcpy(&v, *p, sizeof v);
	*p += sizeof v;
	return (int32_t)be32toh(v);
}

static int64_t
get64(const uint8_t **p)
{
	uint64_t v;

	memcpy(&v, *p, sizeof v);
	*p += sizeof v;
	return (int64_t)be64toh(v);
}

static const char *
get_str(const uint8_t **p, int *n)
{
	const char *s;

	*n = get16(p);
	s = (const char *)*p;
	*p += *n > 0 ? *n : 0;
	return s;
}

static struct part *
part_of(const char *name, int n, int32_t index)
{
	for (int i = 0; i < nparts; i++)
		if (parts[i].index == index &&
		    strncmp(parts[i].topic, name, (size_t)n) == 0 &&
		    parts[i].topic[n] == '\0')
			return &parts[i];
	if (nparts == PARTS || (size_t)n >= sizeof parts->topic)
		die("too many partitions, or a long name");
	memcpy(parts[nparts].topic, name, (size_t)n);
	parts[nparts].index = index;
	if (dir != NULL) {
		char path[4096];

		snprintf(path, sizeof path, "%s/%d", dir, nparts);
		parts[nparts].fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0644);
		if (parts[nparts].fd < 0)
			die("%s: %s", path, strerror(errno));
	}
	return &parts[nparts++];
}

/* The control: a batch with its offset to the file. */
static void
part_write(struct part *part, const uint8_t *p, size_t size)
{
	uint64_t base = htobe64((uint64_t)part->next);
	struct iovec v[] = { { &base, sizeof base },
		{ (void *)(uintptr_t)(p + sizeof base), size - sizeof base } };
	const uint8_t *at = p + 17;

	if ((uint32_t)get32(&at) != crc32c(0, p + 21, size - 21))
		die("a batch whose checksum is wrong");
	if (pwritev(part->fd, v, 2, part->size) != (ssize_t)size)
		die("write: %s", strerror(errno));
	part->size += (off_t)size;
	part->dirty = true;
}

static void
parts_sync(void)
{
	for (int i = 0; synced && i < nparts; i++) {
		if (parts[i].dirty && fdatasync(parts[i].fd) < 0)
			die("sync: %s", strerror(errno));
		parts[i].dirty = false;
	}
}

/* Takes a partition's batches: counts their records, and keeps them. */
static void
part_take(struct part *part, const uint8_t *p, int32_t n)
{
	for (const uint8_t *end = p + n; p < end;) {
		const uint8_t *at = p + 8, *last = p + 23;
		size_t size = 12 + (size_t)get32(&at);
		uint64_t base = htobe64((uint64_t)part->next);

		if (dir != NULL)
			part_write(part, p, size);
		if (keep) {
			if (part->len + size > part->cap)
				part->kept = more(part->kept,
				    part->cap = (part->len + size) * 2);
			if (part->nbatches == part->batches_cap)
				part->batches = more(part->batches,
				    (part->batches_cap =
				    part->nbatches * 2 + 1024) *
				    sizeof *part->batches);
			part->batches[part->nbatches++] =
			    (struct place){ part->next, part->len };
			memcpy(part->kept + part->len, p, size);
			memcpy(part->kept + part->len, &base, sizeof base);
			part->len += size;
		}
		part->next += get32(&last) + 1;
		p += size;
	}
}

/* The bytes of whole batches from the one that holds offset. */
static const uint8_t *
part_read(const struct part *part, int64_t offset, size_t most, size_t *n)
{
	size_t lo = 0, hi = part->nbatches, at, last;

	*n = 0;
	if (offset >= part->next || part->nbatches == 0)
		return NULL;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (part->batches[mid].base <= offset)
			lo = mid;
		else
			hi = mid;
	}
	at = part->batches[lo].at;
	for (last = lo + 1; last < part->nbatches &&
	    part->batches[last].at - at < most; last++)
		;
	*n = (last < part->nbatches ? part->batches[last].at : part->len) - at;
	return part->kept + at;
}

static void
versions(int version)
{
	static const struct { int key, min, max; } rows[] = {
		{ 0, 3, 7 }, { 1, 4, 4 }, { 2, 1, 1 }, { 3, 1, 1 },
		{ 18, 0, 0 }, { 22, 0, 0 },
	};
	const int n = sizeof rows / sizeof *rows;

	put16(version > 0 ? 35 : 0);
	put32(n);
	for (int i = 0; i < n; i++) {
		put16(rows[i].key);
		put16(rows[i].min);
		put16(rows[i].max);
	}
}

static void
metadata(const uint8_t *p)
{
	int32_t n = get32(&p);

	put32(1);
	put32(1);
	put_str("127.0.0.1", 9);
	put32(port);
	put16(-1);
	put32(1);
	put32(n < 0 ? 0 : n);
	for (; n > 0; n--) {
		int len;
		const char *name = get_str(&p, &len);

		put16(0);
		put_str(name, len);
		*room(1) = 0;
		put32(partitions);
		for (int32_t i = 0; i < partitions; i++) {
			put16(0);
			put32(i);
			for (int k = 0; k < 5; k++)
				put32(1);
		}
	}
}

/* False: acks=0, no answer. */
static bool
produce(const uint8_t *p, int version)
{
	int len, acks;
	int32_t n;

	get_str(&p, &len);
	acks = get16(&p);
	get32(&p);
	put32(n = get32(&p));
	for (; n > 0; n--) {
		const char *name = get_str(&p, &len);
		int32_t m = get32(&p);

		put_str(name, len);
		put32(m);
		for (; m > 0; m--) {
			int32_t index = get32(&p), size = get32(&p);
			struct part *part = part_of(name, len, index);

			put32(index);
			put16(0);
			put64(part->next);
			put64(-1);
			if (version >= 5)
				put64(0);
			part_take(part, p, size);
			p += size;
		}
	}
	put32(0);
	return acks != 0;
}

static void
fetch(const uint8_t *p)
{
	int32_t n;
	int len;

	p += 4 + 4 + 4 + 4 + 1;
	put32(0);
	put32(n = get32(&p));
	for (; n > 0; n--) {
		const char *name = get_str(&p, &len);
		int32_t m = get32(&p);

		put_str(name, len);
		put32(m);
		for (; m > 0; m--) {
			int32_t index = get32(&p);
			int64_t offset = get64(&p);
			struct part *part = part_of(name, len, index);
			const uint8_t *from;
			size_t size;

			get32(&p);
			from = part_read(part, offset, FETCH, &size);
			put32(index);
			put16(0);
			put64(part->next);
			put64(part->next);
			put32(-1);
			put32((int32_t)size);
			if (size > 0)
				memcpy(room(size), from, size);
		}
	}
}

static void
offsets(const uint8_t *p)
{
	int32_t n;
	int len;

	get32(&p);
	put32(n = get32(&p));
	for (; n > 0; n--) {
		const char *name = get_str(&p, &len);
		int32_t m = get32(&p);

		put_str(name, len);
		put32(m);
		for (; m > 0; m--) {
			int32_t index = get32(&p);
			int64_t when = get64(&p);

			put32(index);
			put16(0);
			put64(-1);
			put64(when == -1 ? part_of(name, len, index)->next :
			    0);
		}
	}
}

/* One request, without its length.  Its answer is added to what goes out. */
static void
answer(const uint8_t *p)
{
	int key = get16(&p), version = get16(&p), len;
	size_t start = out.len;
	uint32_t size;
	bool wanted = true;

	put32(0);
	put32(get32(&p));
	get_str(&p, &len);
	switch (key) {
	case 0:
		wanted = produce(p, version);
		break;
	case 1:
		fetch(p);
		break;
	case 2:
		offsets(p);
		break;
	case 3:
		metadata(p);
		break;
	case 18:
		versions(version);
		break;
	case 22:
		put32(0);
		put16(0);
		put64(1);
		put16(0);
		break;
	default:
		die("request %d", key);
	}
	if (!wanted) {
		out.len = start;
		return;
	}
	size = htobe32((uint32_t)(out.len - start - 4));
	memcpy(out.p + start, &size, sizeof size);
}

/* Blocks on one that does not read: there is nobody to be kept waiting. */
static bool
flush(int fd)
{
	size_t sent = 0;

	while (sent < out.len) {
		ssize_t n = send(fd, out.p + sent, out.len - sent,
		    MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	out.len = 0;
	return true;
}

static bool
conn_read(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, c->cap - c->len, 0);
	size_t at = 0;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	c->len += (size_t)n;
	while (c->len - at >= 4) {
		const uint8_t *p = c->in + at;
		size_t size = 4 + (size_t)get32(&p);

		if (c->len - at < size) {
			if (size > c->cap)
				c->in = more(c->in, c->cap = size);
			break;
		}
		answer(p);
		at += size;
	}
	memmove(c->in, c->in + at, c->len -= at);
	parts_sync();
	if (flush(c->fd))
		return true;
	out.len = 0;
	return false;
}

static void
conn_open(int poll, int from)
{
	int fd = accept(from, NULL, NULL), on = 1;
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
	struct conn *c;

	if (fd < 0)
		return;
	if (fd >= CONNS)
		die("too many connections");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c = more(NULL, sizeof *c);
	*c = (struct conn){ .fd = fd, .in = more(NULL, IN), .cap = IN };
	conns[fd] = c;
	if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll: %s", strerror(errno));
}

static void
conn_close(struct conn *c)
{
	conns[c->fd] = NULL;
	close(c->fd);
	free(c->in);
	free(c);
}

static int
listen_any(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		die("listen: %s", strerror(errno));
	port = ntohs(a.sin_port);
	return fd;
}

int
main(int argc, char **argv)
{
	int from = listen_any(), poll = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = from }, got[64];

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "keep") == 0)
			keep = true;
		else if (strcmp(argv[i], "sync") == 0)
			synced = true;
		else if (strncmp(argv[i], "file=", 5) == 0)
			dir = argv[i] + 5;
		else if (sscanf(argv[i], "partitions=%d", &partitions) != 1)
			die("%s: not an option", argv[i]);
	if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, from, &e) < 0)
		die("epoll: %s", strerror(errno));
	printf("ready 127.0.0.1:%d\n", port);
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(poll, got, 64, -1);

		for (int i = 0; i < n; i++)
			if (got[i].data.fd == from)
				conn_open(poll, from);
			else if (!conn_read(conns[got[i].data.fd]))
				conn_close(conns[got[i].data.fd]);
	}
}
