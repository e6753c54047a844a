/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second driver: a client of our own that speaks the protocol plainly, so
 * that nothing is hidden by a library's retries.  A request is sent once; no
 * answer means that nobody knows.  Every answer to a Fetch also tells the ends
 * of the log, and when they were asked for.
 *
 * Versions are the last ones before tagged fields: Produce 7, Fetch 11,
 * ListOffsets 5.  One broker is assumed, and no compression.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum {
	FRAME_MAX	= 4 << 20,
	WAIT_S		= 5,		/* for an answer */
	BATCH_MAX	= 20,		/* records */
	VALUE_MAX	= 500,
	API_PRODUCE	= 0,
	API_FETCH	= 1,
	API_LIST	= 2,
	PAUSE_MS	= 50,
};

/* A frame being written, or read. */
struct frame {
	uint8_t	*p;
	size_t	 n, at;
	bool	 bad;
};

struct raw {
	struct check	*c;
	struct worker	*w;
	struct hist	*h;
	int		 fd;
	int32_t		 corr;
	uint64_t	 rand;
	struct frame	 out, in;
};

/* ---- numbers ------------------------------------------------------------ */

static void
put(struct frame *f, uint64_t v, int n)
{
	if (f->n + (size_t)n > FRAME_MAX)
		die("raw", "a frame is too long");
	for (int i = n; i-- > 0; v >>= 8)
		f->p[f->n + (size_t)i] = (uint8_t)v;
	f->n += (size_t)n;
}

static void
put_bytes(struct frame *f, const void *p, size_t n)
{
	if (f->n + n > FRAME_MAX)
		die("raw", "a frame is too long");
	memcpy(f->p + f->n, p, n);
	f->n += n;
}

static void
put_str(struct frame *f, const char *s)
{
	put(f, strlen(s), 2);
	put_bytes(f, s, strlen(s));
}

static void
put_var(struct frame *f, int64_t v)
{
	uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);

	for (; u > 127; u >>= 7)
		put(f, (u & 127) | 128, 1);
	put(f, u, 1);
}

static void
put_blob(struct frame *f, const void *p, size_t n)
{
	put_var(f, (int64_t)n);
	put_bytes(f, p, n);
}

static int64_t
get(struct frame *f, int n)
{
	uint64_t v = 0;

	if (f->bad || f->n - f->at < (size_t)n) {
		f->bad = true;
		return -1;
	}
	for (int i = 0; i < n; i++)
		v = v << 8 | f->p[f->at++];
	return n == 8 ? (int64_t)v : n == 4 ? (int32_t)v : n == 2 ?
	    (int16_t)v : (int8_t)v;
}

static const uint8_t *
get_bytes(struct frame *f, int64_t n)
{
	if (n < 0)
		n = 0;
	if (f->bad || f->n - f->at < (size_t)n) {
		f->bad = true;
		return NULL;
	}
	f->at += (size_t)n;
	return f->p + f->at - n;
}

static int64_t
get_var(struct frame *f)
{
	uint64_t u = 0;
	int shift = 0, b;

	do {
		b = (int)get(f, 1) & 255;
		u |= (uint64_t)(b & 127) << shift;
		shift += 7;
	} while (b > 127 && shift < 64 && !f->bad);
	return (int64_t)(u >> 1 ^ -(u & 1));
}

/* CRC-32C, bit by bit; what is sent here is short. */
static uint32_t
crc32c(const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffff;

	if (table[1] == 0)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t x = i;

			for (int k = 0; k < 8; k++)
				x = x >> 1 ^ (x & 1 ? 0x82f63b78 : 0);
			table[i] = x;
		}
	while (n-- > 0)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 255];
	return ~crc;
}

/* ---- the connection ----------------------------------------------------- */

static void
hang_up(struct raw *r)
{
	struct timespec pause = { 0, PAUSE_MS * 1000000 };

	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	nanosleep(&pause, NULL);
}

static bool
dial(struct raw *r)
{
	struct timeval wait = { WAIT_S, 0 };
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *a = NULL;
	char host[256], *port;

	if (r->fd >= 0)
		return true;
	snprintf(host, sizeof host, "%s", r->c->bootstrap);
	if ((port = strrchr(host, ':')) == NULL)
		die("--bootstrap", "wants HOST:PORT");
	*port++ = '\0';
	if (getaddrinfo(host, port, &hint, &a) != 0)
		die("--bootstrap", "no such host");
	r->fd = socket(a->ai_family, a->ai_socktype, 0);
	if (r->fd >= 0) {
		setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &wait,
		    sizeof wait);
		setsockopt(r->fd, SOL_SOCKET, SO_SNDTIMEO, &wait,
		    sizeof wait);
	}
	if (r->fd < 0 || connect(r->fd, a->ai_addr, a->ai_addrlen) != 0)
		hang_up(r);
	freeaddrinfo(a);
	return r->fd >= 0;
}

static bool
read_all(int fd, uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, p, n, 0);

		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static void
request(struct raw *r, int api, int version)
{
	r->out.n = 0;
	put(&r->out, 0, 4);
	put(&r->out, (uint64_t)api, 2);
	put(&r->out, (uint64_t)version, 2);
	put(&r->out, (uint64_t)++r->corr, 4);
	put_str(&r->out, "raw");
}

/* Sends what was made and reads the answer; false: nobody knows. */
static bool
ask(struct raw *r)
{
	size_t n = r->out.n;
	uint8_t head[4];

	r->out.n = 0;
	put(&r->out, n - 4, 4);
	r->out.n = n;
	if (!dial(r))
		return false;
	if (send(r->fd, r->out.p, n, MSG_NOSIGNAL) != (ssize_t)n ||
	    !read_all(r->fd, head, 4)) {
		hang_up(r);
		return false;
	}
	n = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
	    (size_t)head[2] << 8 | head[3];
	r->in = (struct frame){ r->in.p, n, 0, false };
	if (n > FRAME_MAX || !read_all(r->fd, r->in.p, n) ||
	    get(&r->in, 4) != r->corr) {
		hang_up(r);
		return false;
	}
	return true;
}

/* The one topic and partition that every answer here has. */
static bool
one_part(struct raw *r)
{
	bool one = get(&r->in, 4) == 1;

	get_bytes(&r->in, get(&r->in, 2));
	one = one && get(&r->in, 4) == 1;
	get(&r->in, 4);
	return one && !r->in.bad;
}

static void
put_part(struct frame *f, const char *topic, int part)
{
	put(f, 1, 4);
	put_str(f, topic);
	put(f, 1, 4);
	put(f, (uint64_t)part, 4);
}

static struct raw *
raw_new(struct worker *w, const char *kind)
{
	struct raw *r = calloc(1, sizeof *r);

	if (r == NULL || (r->out.p = malloc(FRAME_MAX)) == NULL ||
	    (r->in.p = malloc(FRAME_MAX)) == NULL)
		die("memory", "not enough");
	r->c = w->c;
	r->w = w;
	r->fd = -1;
	r->h = ck_hist(w->c, kind, w->number);
	r->rand = ck_seed(w->c, kind, w->number);
	return r;
}

static void
raw_free(struct raw *r)
{
	if (r->fd >= 0)
		close(r->fd);
	hist_close(r->h);
	free(r->out.p);
	free(r->in.p);
	free(r);
}

static int
topic_raw(const struct check *c)
{
	for (int i = 0; i < atomic_load(&c->ntopics); i++)
		if (c->setup.topics[i].raw)
			return i;
	return -1;
}

/* ---- writing ------------------------------------------------------------ */

static void
put_record(struct frame *f, uint64_t run, const struct value *v, int i)
{
	uint8_t buf[VALUE_STAMP + VALUE_MAX], head[VALUE_HEAD];
	uint8_t body[VALUE_STAMP + VALUE_MAX + 64];
	struct frame b = { .p = body };
	char key[VALUE_KEY_MAX];

	value_make(run, v, buf);
	value_head(run, v, head);
	put(&b, 0, 1);
	put_var(&b, i);			/* a millisecond after the first */
	put_var(&b, i);
	put_blob(&b, key, value_key(v, 0, key));
	put_blob(&b, buf, VALUE_STAMP + v->len);
	put_var(&b, 1);
	put_blob(&b, "h", 1);
	put_blob(&b, head, VALUE_HEAD);
	put_blob(f, body, b.n);
}

/* A batch of n values from the first on; each goes into the history. */
static void
put_batch(struct raw *r, const struct value *first, int n)
{
	struct frame *f = &r->out;
	size_t at = f->n, end;

	put(f, 0, 8);
	put(f, 0, 4);			/* length: below */
	put(f, UINT32_MAX, 4);
	put(f, 2, 1);
	put(f, 0, 4);			/* CRC: below */
	put(f, 0, 2);
	put(f, (uint64_t)n - 1, 4);
	put(f, (uint64_t)first->ts, 8);
	put(f, (uint64_t)(first->ts + n - 1), 8);
	put(f, UINT64_MAX, 8);
	put(f, UINT16_MAX, 2);
	put(f, UINT32_MAX, 4);
	put(f, (uint64_t)n, 4);
	for (int i = 0; i < n; i++) {
		struct value v = *first;

		v.id += (uint64_t)i;
		v.ts += i;
		put_record(f, r->c->setup.run, &v, i);
		hist_put(r->h, (struct event){ EV_SEND, EV_INVOKE, v.topic,
		    v.part, 0, v.id, -1, v.ts, v.len + VALUE_STAMP });
	}
	end = f->n;
	f->n = at + 8;
	put(f, end - at - 12, 4);
	f->n = at + 17;
	put(f, crc32c(f->p + at + 21, end - at - 21), 4);
	f->n = end;
}

/* Two errors say for sure that nothing was written. */
static enum ev_outcome
produce_outcome(struct raw *r, int64_t *base)
{
	int16_t e;

	if (!one_part(r))
		return EV_INFO;
	e = (int16_t)get(&r->in, 2);
	*base = get(&r->in, 8);
	if (r->in.bad)
		return EV_INFO;
	return e == 0 ? EV_OK : e == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    e == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ? EV_FAIL :
	    EV_INFO;
}

static void
produce(struct raw *r, const struct value *first, int n)
{
	const struct ck_topic *t = &r->c->setup.topics[first->topic];
	enum ev_outcome o;
	int64_t base = -1;
	size_t at, end;

	request(r, API_PRODUCE, 7);
	put(&r->out, UINT16_MAX, 2);
	put(&r->out, UINT16_MAX, 2);	/* acks=all */
	put(&r->out, WAIT_S * 1000, 4);
	put_part(&r->out, t->name, first->part);
	at = r->out.n;
	put(&r->out, 0, 4);
	put_batch(r, first, n);
	end = r->out.n;
	r->out.n = at;
	put(&r->out, end - at - 4, 4);
	r->out.n = end;
	hist_flush(r->h);
	o = ask(r) ? produce_outcome(r, &base) : EV_INFO;
	for (int i = 0; i < n; i++)
		hist_put(r->h, (struct event){ EV_SEND, (uint8_t)o,
		    first->topic, first->part, 0, first->id + (uint64_t)i,
		    o == EV_OK ? base + i : -1, 0, 0 });
	atomic_fetch_add(o == EV_OK ? &r->c->acked : o == EV_FAIL ?
	    &r->c->failed : &r->c->unknown, n);
	atomic_fetch_add(&r->c->sent, n);
}

void *
raw_produce_main(void *arg)
{
	struct raw *r = raw_new(arg, "raw-produce");
	uint32_t id = atomic_fetch_add(&r->c->producers, 1);
	uint64_t seq = 0;

	while (!atomic_load(&r->c->ending)) {
		struct timespec wall, pause = { 0, 5000000 };
		int t = topic_raw(r->c), n;
		struct value v = { .id = EV_ID(id, seq),
		    .topic = (uint16_t)t };

		n = 1 + (int)(rand_next(&r->rand) % BATCH_MAX);
		clock_gettime(CLOCK_REALTIME, &wall);
		v.ts = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
		v.part = (uint16_t)(rand_next(&r->rand) %
		    (uint64_t)r->c->setup.topics[t].nparts);
		v.len = (uint32_t)(rand_next(&r->rand) % VALUE_MAX);
		produce(r, &v, n);
		seq += (uint64_t)n;
		nanosleep(&pause, NULL);
	}
	raw_free(r);
	return NULL;
}

/* ---- reading ------------------------------------------------------------ */

static uint32_t
record_check(struct raw *r, struct frame *f, int topic, int part, int64_t ts,
    struct value *v)
{
	uint8_t head[VALUE_HEAD];
	char key[VALUE_KEY_MAX];
	const uint8_t *k, *p, *h;
	int64_t klen = get_var(f), n, hlen;
	uint32_t bad;

	k = get_bytes(f, klen);
	n = get_var(f);
	p = get_bytes(f, n);
	if (f->bad || get_var(f) != 1)
		return EV_BAD_HEADER | EV_BAD_FOREIGN | EV_BAD_VALUE;
	get_bytes(f, get_var(f));
	hlen = get_var(f);
	h = get_bytes(f, hlen);
	if (f->bad)
		return EV_BAD_HEADER | EV_BAD_FOREIGN | EV_BAD_VALUE;
	bad = value_check(r->c->setup.run, p, (size_t)(n < 0 ? 0 : n), v);
	if ((bad & EV_BAD_FOREIGN) != 0)
		return bad;
	value_head(r->c->setup.run, v, head);
	if (hlen != VALUE_HEAD || memcmp(h, head, VALUE_HEAD) != 0)
		bad |= EV_BAD_HEADER;
	if ((size_t)klen != value_key(v, 0, key) ||
	    memcmp(k, key, (size_t)klen) != 0)
		bad |= EV_BAD_KEY;
	if (v->topic != topic || v->part != part)
		bad |= EV_BAD_VALUE;
	return ts == v->ts ? bad : bad | EV_BAD_TIME;
}

/* The records of one batch from *next on. */
static void
take_batch(struct raw *r, struct frame f, int64_t base, int topic, int part,
    int64_t *next)
{
	int64_t first_ts, n;

	f.at += 10;			/* CRC, attributes, last delta */
	first_ts = get(&f, 8);
	f.at += 22;			/* greatest time, producer */
	n = get(&f, 4);
	for (int64_t i = 0; i < n && !f.bad; i++) {
		struct value v = { .id = 0 };
		size_t end = (size_t)get_var(&f) + f.at;
		int64_t offset, ts;
		uint32_t bad;

		get(&f, 1);
		ts = first_ts + get_var(&f);
		offset = base + get_var(&f);
		bad = record_check(r, &f, topic, part, ts, &v);
		f.at = end <= f.n ? end : f.n;
		if (offset < *next)
			continue;
		hist_put(r->h, (struct event){ EV_POLL, EV_OK,
		    (uint16_t)topic, (uint32_t)part, 0, v.id, offset, ts,
		    bad });
		atomic_fetch_add(&r->c->read, 1);
		*next = offset + 1;
	}
}

/* Whole batches, each with its CRC; the last may be cut off. */
static void
take_batches(struct raw *r, struct frame f, int topic, int part,
    int64_t *next)
{
	while (f.n - f.at >= 61) {
		size_t start = f.at, len;
		int64_t base = get(&f, 8), crc;
		struct frame b;

		len = (size_t)(uint32_t)get(&f, 4);
		if (len > f.n - f.at)
			return;
		b = (struct frame){ f.p, f.at + len, f.at + 5, false };
		crc = get(&b, 4);
		if ((uint32_t)crc != crc32c(f.p + start + 21, len - 9))
			hist_put(r->h, (struct event){ EV_POLL, EV_OK,
			    (uint16_t)topic, (uint32_t)part, 0, 0, base, 0,
			    EV_BAD_VALUE | EV_BAD_FOREIGN });
		b.at -= 4;
		take_batch(r, b, base, topic, part, next);
		f.at = start + 12 + len;
	}
}

/* One Fetch; false: the position is not known to the broker. */
static bool
fetch(struct raw *r, int topic, int part, int64_t *next)
{
	int64_t asked = mono_ns(), high, start, n;
	int16_t e;

	request(r, API_FETCH, 11);
	put(&r->out, UINT32_MAX, 4);
	put(&r->out, 100, 4);		/* most to wait, least bytes */
	put(&r->out, 1, 4);
	put(&r->out, 1 << 20, 4);
	put(&r->out, 1, 1);		/* read_committed */
	put(&r->out, 0, 4);
	put(&r->out, UINT32_MAX, 4);
	put_part(&r->out, r->c->setup.topics[topic].name, part);
	put(&r->out, UINT32_MAX, 4);
	put(&r->out, (uint64_t)*next, 8);
	put(&r->out, UINT64_MAX, 8);
	put(&r->out, 1 << 20, 4);
	put(&r->out, 0, 4);
	put(&r->out, 0, 2);
	if (!ask(r))
		return true;
	get(&r->in, 4);
	e = (int16_t)get(&r->in, 2);
	get(&r->in, 4);
	if (e != 0 || !one_part(r))
		return true;
	e = (int16_t)get(&r->in, 2);
	high = get(&r->in, 8);
	get(&r->in, 8);
	start = get(&r->in, 8);
	for (n = get(&r->in, 4); n > 0; n--)
		get_bytes(&r->in, 16);
	get(&r->in, 4);
	n = get(&r->in, 4);
	if (e != 0 || r->in.bad)
		return e != RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
	hist_put(r->h, (struct event){ EV_LIST, EV_OK, (uint16_t)topic,
	    (uint32_t)part, 0, (uint64_t)asked, start, high, 0 });
	if (n > 0 && r->in.n - r->in.at >= (size_t)n) {
		struct frame f = { r->in.p, r->in.at + (size_t)n, r->in.at,
		    false };

		take_batches(r, f, topic, part, next);
	}
	return true;
}

/* The end and its leader epoch. */
static void
epoch_ask(struct raw *r, int topic, int part)
{
	int64_t asked = mono_ns(), epoch;
	int16_t e;

	request(r, API_LIST, 5);
	put(&r->out, UINT32_MAX, 4);
	put(&r->out, 0, 1);
	put_part(&r->out, r->c->setup.topics[topic].name, part);
	put(&r->out, UINT32_MAX, 4);
	put(&r->out, UINT64_MAX, 8);
	if (!ask(r))
		return;
	get(&r->in, 4);
	if (!one_part(r))
		return;
	e = (int16_t)get(&r->in, 2);
	get(&r->in, 8);
	get(&r->in, 8);
	epoch = get(&r->in, 4);
	if (e == 0 && !r->in.bad && epoch >= 0)
		hist_put(r->h, (struct event){ EV_EPOCH, EV_OK,
		    (uint16_t)topic, (uint32_t)part, 0, (uint64_t)asked, -1,
		    epoch, 0 });
}

void *
raw_read_main(void *arg)
{
	struct raw *r = raw_new(arg, "raw-read");
	int64_t next[PARTS_MAX] = { 0 };
	int t = topic_raw(r->c);

	for (int p = 0; p < r->c->setup.topics[t].nparts; p++)
		hist_put(r->h, (struct event){ EV_ASSIGN, EV_OK, (uint16_t)t,
		    (uint32_t)p, 0, 0, 0, 0, 0 });
	while (!atomic_load(&r->c->ending)) {
		int p = (int)(rand_next(&r->rand) %
		    (uint64_t)r->c->setup.topics[t].nparts);

		if (!fetch(r, t, p, &next[p]))
			hist_put(r->h, (struct event){ EV_RESET, EV_INFO,
			    (uint16_t)t, (uint32_t)p, 0, 0, next[p], 0, 0 });
		if (rand_next(&r->rand) % 8 == 0)
			epoch_ask(r, t, p);
		hist_flush(r->h);
	}
	raw_free(r);
	return NULL;
}
