/* SPDX-License-Identifier: Apache-2.0 */
/*
 * produce: a line that is written is a record that is appended.  write(2)
 * returns when all complete lines of it are durable, or with the error; a line
 * without its end waits for it, or for the close.
 *
 * An open file is an idempotent producer.  A batch whose answer was lost with
 * the link is sent again with the same sequence, so that it is there once; and
 * so is one of which the engine does not know whether it is in, until it does.
 * After a failure nobody knows what comes next: the next write is another
 * producer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "lib/log.h"
#include "line.h"

enum {
	LINE_MEMORY	= 64 * MIB,	/* what the records of a batch need */
	REQ_MEMORY	= 4 * MIB,
	BATCH_ROOM	= 4 * KIB,	/* of max.message.bytes: not for
					 * records */
	RECORD_OVERHEAD	= 64,		/* bytes of a record, about */
	AGAIN_MS	= 100,
};

/* A batch that is filled, per partition. */
struct sheaf {
	struct batch_maker m;
	bool		 open;
	size_t		 bytes;
	int		 n;
	struct wr	 out;		/* the finished batch */
	int32_t		 seq;		/* of its first record */
};

/* From the open to the release.  One op at a time works with it. */
struct sink {
	TAILQ_ENTRY(sink) all;
	struct fs	*fs;
	struct node	*node;		/* a reference */
	int32_t		 nparts;
	struct sheaf	*sheaf;		/* per partition */
	int64_t		 bytes_max;	/* of a batch */
	enum codec	 codec;
	int64_t		 pid;		/* -1: to be asked for */
	int16_t		 epoch;
	int32_t		 sticky;	/* where records without key go */
	struct op	*busy;
	bool		 fresh;		/* the configs were read for this op */
	bool		 unsure;	/* its batches may be in or not: they */
	bool		 again;		/* are to be sent again */
	struct ops	 waiters;
	struct wr	 rest;		/* a line without its end */
	struct arena	 lines, req;
	struct ecall	 call;
};

/* ---- partitions --------------------------------------------------------- */

/* Murmur2 as Kafka's own clients use it, so that a key goes where they would
 * put it. */
static uint32_t
murmur2(const uint8_t *p, size_t n)
{
	const uint32_t m = 0x5bd1e995;
	uint32_t h = 0x9747b28c ^ (uint32_t)n, k;

	for (; n >= 4; n -= 4, p += 4) {
		memcpy(&k, p, 4);	/* little-endian */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		k = __builtin_bswap32(k);
#endif
		k *= m;
		k ^= k >> 24;
		k *= m;
		h *= m;
		h ^= k;
	}
	if (n >= 3)
		h ^= (uint32_t)p[2] << 16;
	if (n >= 2)
		h ^= (uint32_t)p[1] << 8;
	if (n >= 1) {
		h ^= p[0];
		h *= m;
	}
	h ^= h >> 13;
	h *= m;
	return h ^ h >> 15;
}

/* -1: there is no such partition. */
static int32_t
part_of(const struct sink *s, const struct line *l)
{
	if (s->node->key.part >= 0)
		return 0;
	if (l->part >= 0)
		return l->part < s->nparts ? l->part : -1;
	if (l->key_len < 0)
		return s->sticky;
	return (int32_t)((murmur2(l->key, (size_t)l->key_len) & INT32_MAX) %
	    (uint32_t)s->nparts);
}

/* ---- batches ------------------------------------------------------------ */

static void
sheaves_drop(struct sink *s)
{
	for (int32_t i = 0; i < s->nparts; i++) {
		struct sheaf *b = &s->sheaf[i];

		if (b->open)
			batch_make_free(&b->m);
		wr_free(&b->out);
		b->open = false;
		b->bytes = 0;
		b->n = 0;
	}
	arena_reset(&s->lines);
}

static size_t
line_bytes(const struct line *l)
{
	size_t n = RECORD_OVERHEAD;

	n += l->key_len > 0 ? (size_t)l->key_len : 0;
	n += l->value_len > 0 ? (size_t)l->value_len : 0;
	for (int32_t i = 0; i < l->nheaders; i++)
		n += 10 + (size_t)l->headers[i].key_len +
		    (l->headers[i].value_len > 0 ?
		    (size_t)l->headers[i].value_len : 0);
	return n;
}

/* E_BUSY: the batch of that partition is full; it has to go first. */
static enum err
line_add(struct sink *s, const uint8_t *p, size_t n)
{
	const char *why = NULL;
	struct sheaf *b;
	struct line l;
	size_t bytes;
	int32_t part;
	enum err e = line_read(p, n, &s->lines, &l, &why);

	if (e == E_OK && (part = part_of(s, &l)) < 0) {
		why = "p is no partition of the topic";
		e = E_INVALID_RECORD;
	}
	if (e != E_OK) {
		if (why != NULL)
			fs_error(s->fs, why, err_errno(e), e);
		return e;
	}
	b = &s->sheaf[part];
	bytes = line_bytes(&l);
	if ((int64_t)bytes > s->bytes_max)
		return E_TOO_LARGE;
	if (b->open && (int64_t)(b->bytes + bytes) > s->bytes_max)
		return E_BUSY;
	if (!b->open) {
		batch_make(&b->m, BATCH_MAX);
		b->open = true;
	}
	batch_add(&b->m, l.ts < 0 ? elink_wall_ms() : l.ts, l.key, l.key_len,
	    l.value, l.value_len, l.headers, l.nheaders);
	b->bytes += bytes;
	b->n++;
	return E_OK;
}

/* Takes complete lines, and the last one without end if it is to go, until
 * there are no more or a batch is full.  op->got: what is taken. */
static enum err
lines_take(struct sink *s, struct op *op, bool all)
{
	enum err e = E_OK;
	const uint8_t *p, *end, *nl;

	while (e == E_OK && op->got < op->size) {
		p = (const uint8_t *)op->buf + op->got;
		end = (const uint8_t *)op->buf + op->size;
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL && !all)
			break;
		if (nl == NULL)
			nl = end;
		e = line_add(s, p, (size_t)(nl - p));
		if (e == E_OK)
			op->got += (size_t)(nl - p) + (nl < end);
	}
	/* What came before a bad line goes first. */
	return e == E_BUSY || op->got > op->acked ? E_OK : e;
}

/* The row of a batch, finished. */
static enum err
row_fill(struct sink *s, int32_t i, struct append_req_part *r)
{
	struct sheaf *b = &s->sheaf[i];
	const char *why = NULL;
	struct batch_facts f;
	enum err e;

	b->m.b.pid = s->pid;
	b->m.b.epoch = s->epoch;
	b->m.b.base_seq = b->seq;
	b->m.b.base_offset = 0;
	b->out = wr_grow(BATCH_MAX);
	b->open = false;
	e = batch_finish(&b->m, s->codec, INT32_MIN, &b->out);
	if (e == E_OK)
		e = batch_check(b->out.p, b->out.len, true, true, &f, &why);
	if (e != E_OK)
		return e;
	*r = (struct append_req_part){ .index = s->node->key.part >= 0 ?
	    s->node->key.part : i, .place = -1,
	    .length = (int32_t)b->out.len,
	    .sent_length = (int32_t)b->out.len, .message = { -1, NULL },
	    .inlined = { (int32_t)b->out.len, b->out.p },
	    .min_ts = f.min_ts, .max_ts = f.max_ts, .null_key = f.null_key,
	    .bad_index = f.bad_index };
	return E_OK;
}

/* NULL with E_OK: there is nothing to append. */
static enum err
request(struct sink *s, const struct append_req **out)
{
	struct arena *a = &s->req;
	struct append_req *q;
	struct append_req_topic *t;
	enum err e = E_OK;

	arena_reset(a);
	*out = NULL;
	q = arena_alloc(a, sizeof *q);
	t = arena_alloc(a, sizeof *t);
	if (q == NULL || t == NULL)
		return E_NOMEM;
	t->name = kstr_of(s->node->key.topic->name);
	t->id = s->node->key.topic->id;
	t->parts.v = arena_array(a, (size_t)s->nparts, sizeof *t->parts.v);
	if (t->parts.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < s->nparts && e == E_OK; i++)
		if (s->sheaf[i].n > 0)
			e = row_fill(s, i, &t->parts.v[t->parts.n++]);
	*q = (struct append_req){ .transactional_id = { -1, NULL },
	    .acks = -1, .timeout_ms = s->fs->conf.timeout_ms,
	    .topics = { 1, t } };
	if (e == E_OK && t->parts.n > 0)
		*out = q;
	return e;
}

/* ---- configs ------------------------------------------------------------ */

/* What batches of the topic may be. */
static void
take_configs(struct sink *s, const struct topic_stats_res_topic *t)
{
	int64_t message = MIB, segment = MIB;
	char value[32];

	s->codec = CODEC_NONE;
	for (int32_t i = 0; i < t->configs.n; i++) {
		struct kstr v = t->configs.v[i].value;

		snprintf(value, sizeof value, "%.*s", v.len < 0 ? 0 : v.len,
		    v.len < 0 ? "" : v.p);
		if (kstr_eq(t->configs.v[i].name,
		    kstr_of("max.message.bytes")))
			message = strtoll(value, NULL, 10);
		if (kstr_eq(t->configs.v[i].name, kstr_of("segment.bytes")))
			segment = strtoll(value, NULL, 10);
		if (kstr_eq(t->configs.v[i].name,
		    kstr_of("compression.type")))
			for (unsigned c = 0; c < CODEC_MAX; c++)
				if (strcmp(codec_name(c), value) == 0)
					s->codec = (enum codec)c;
	}
	s->bytes_max = message < segment ? message : segment;
	s->bytes_max -= s->bytes_max > 2 * BATCH_ROOM ? BATCH_ROOM :
	    s->bytes_max / 2;
}

/* ---- one op at a time --------------------------------------------------- */

static void
sink_free(struct sink *s)
{
	TAILQ_REMOVE(&s->fs->sinks, s, all);
	elink_cancel(s->fs->link, &s->call);
	sheaves_drop(s);
	arena_reset(&s->req);
	wr_free(&s->rest);
	node_put(s->node);
	free(s->sheaf);
	free(s);
}

/* The op is over, whatever the reason. */
static void
write_gone(struct op *op)
{
	struct sink *s = (struct sink *)(uintptr_t)op->fi.fh;

	if (s->busy != op)
		return;
	/* It may be appended or not. */
	if (s->call.state != ECALL_IDLE || s->unsure)
		s->pid = -1;
	elink_cancel(s->fs->link, &s->call);
	s->unsure = s->again = false;
	s->busy = NULL;
	s->fs->nwrites--;
	sheaves_drop(s);
	ops_wake(&s->waiters);
}

static void write_more(struct sink *, struct op *);
static void got_configs(struct ecall *, enum err, void *);

static void
call(struct sink *s, int type, int version, const void *req,
    void (*done)(struct ecall *, enum err, void *))
{
	s->call = (struct ecall){ .done = done, .arg = s, .req = req,
	    .type = (uint16_t)type, .version = (int16_t)version,
	    .again = true };
	elink_call(s->fs->link, &s->call);
}

/* Batches are refused, maybe for what the topic's configs were when they were
 * read: they are read once more, and the lines that are not in taken again. */
static bool
configs_again(struct sink *s, struct op *op, enum err e)
{
	struct topic_stats_req *q;

	if (s->fresh || (e != E_TOO_LARGE && e != E_RECORD_LIST_TOO_LARGE &&
	    e != E_NOT_LEADER))
		return false;
	arena_reset(&s->req);
	if ((q = arena_alloc(&s->req, sizeof *q)) == NULL)
		return false;
	q->name = kstr_of(s->node->key.topic->name);
	s->fresh = true;
	sheaves_drop(s);
	op->got = op->acked;
	call(s, IPC_TOPIC_STATS, 0, q, got_configs);
	return true;
}

/* Whose first lines are in is told so, and hears of the error when it writes
 * the others again: of which none is in, then. */
static void
write_fail(struct sink *s, struct op *op, enum err e)
{
	int eno;

	if (configs_again(s, op, e))
		return;
	eno = op_errno(op, e, s->node->key.topic->name);
	s->pid = -1;
	if (op->run == produce_write && op->acked > op->stage_bytes &&
	    e != E_NOT_DURABLE) {
		fuse_reply_write(op->req, op->acked - op->stage_bytes);
		op_end(op);
		return;
	}
	op_err(op, eno);
}

/* The engine answers, but the partition has not come back. */
static bool
write_late(struct op *op)
{
	struct sink *s = (struct sink *)(uintptr_t)op->fi.fh;

	if (!s->unsure)
		return false;
	write_fail(s, op, E_NOT_DURABLE);
	return true;
}

static void
write_end(struct sink *s, struct op *op)
{
	size_t left = op->size - op->got;

	if (op->run == produce_flush) {
		s->rest.len = 0;
		fuse_reply_err(op->req, 0);
		op_end(op);
		return;
	}
	/* What is left has no end yet. */
	s->rest.len = 0;
	wr_bytes(&s->rest, op->buf + op->got, left);
	if (s->rest.bad || (int64_t)left > s->bytes_max) {
		wr_free(&s->rest);
		s->rest = wr_grow(BATCH_MAX);
		write_fail(s, op, E_TOO_LARGE);
		return;
	}
	fuse_reply_write(op->req, op->size - op->stage_bytes);
	op_end(op);
}

/* Of all partitions, the first error, and whether one has its batch.  Then
 * another one's must not be called not written: all would be written again. */
static enum err
answer_err(const struct produce_res *res, bool *in)
{
	enum err e = E_OK;

	for (int32_t i = 0; i < res->responses.n; i++) {
		const struct produce_res_topic *t = &res->responses.v[i];

		for (int32_t k = 0; k < t->partition_responses.n; k++) {
			const struct produce_res_topic_part *p =
			    &t->partition_responses.v[k];

			*in = *in || p->error_code == 0;
			if (p->error_code != 0 && e == E_OK)
				e = err_of_reply(p->error_code,
				    p->error_message.p, p->error_message.len);
		}
	}
	return *in && (err_errno(e) == ENOSPC || err_errno(e) == EAGAIN) ?
	    E_NOT_DURABLE : e;
}

static void again_later(struct sink *);

static void
appended(struct ecall *c, enum err e, void *res)
{
	struct sink *s = c->arg;
	struct op *op = s->busy;
	bool in = false;

	if (e == E_OK) {
		fs_heard(s->fs);
		e = answer_err(res, &in);
		s->fresh |= in;
	}
	if (e == E_NOT_DURABLE) {
		again_later(s);
		return;
	}
	if (e != E_OK) {
		write_fail(s, op, e);
		return;
	}
	s->unsure = op->seeking = false;
	for (int32_t i = 0; i < s->nparts; i++)
		s->sheaf[i].seq = (int32_t)(((uint32_t)s->sheaf[i].seq +
		    (uint32_t)s->sheaf[i].n) & INT32_MAX);
	sheaves_drop(s);
	op->acked = op->got;
	op_progress(op);
	write_more(s, op);
}

static void
on_again(uv_timer_t *t)
{
	struct fs *fs = t->data;
	struct sink *s;

	TAILQ_FOREACH(s, &fs->sinks, all)
		if (s->again) {
			s->again = false;
			call(s, IPC_APPEND, 10, s->call.req, appended);
		}
}

/* This is no progress: the op's time goes on. */
static void
again_later(struct sink *s)
{
	uv_timer_t *t = &s->fs->sinks_timer;

	s->unsure = s->again = s->busy->seeking = true;
	if (!uv_is_active((uv_handle_t *)t))
		uv_timer_start(t, on_again, AGAIN_MS, 0);
}

static void
got_configs(struct ecall *c, enum err e, void *r)
{
	const struct topic_stats_res *res = r;
	struct sink *s = c->arg;

	if (e == E_OK && !topic_is(s->node->key.topic, res))
		e = E_UNKNOWN_TOPIC_ID;
	if (e != E_OK) {
		write_fail(s, s->busy, e);
		return;
	}
	take_configs(s, &res->topics.v[0]);
	write_more(s, s->busy);
}

static void
got_producer(struct ecall *c, enum err e, void *r)
{
	const struct init_producer_id_res *res = r;
	struct sink *s = c->arg;

	if (e == E_OK && res->error_code != 0)
		e = err_of_code(res->error_code);
	if (e != E_OK) {
		write_fail(s, s->busy, e);
		return;
	}
	s->pid = res->producer_id;
	s->epoch = res->producer_epoch;
	for (int32_t i = 0; i < s->nparts; i++)
		s->sheaf[i].seq = 0;
	write_more(s, s->busy);
}

/* Fills batches, appends them, until all lines of the op are taken. */
static void
write_more(struct sink *s, struct op *op)
{
	static const struct init_producer_id_req init = {
	    .transactional_id = { -1, NULL }, .producer_id = -1,
	    .producer_epoch = -1 };
	const struct append_req *q;
	enum err e;

	if (s->pid < 0) {
		call(s, API_INIT_PRODUCER_ID, 5, &init, got_producer);
		return;
	}
	e = lines_take(s, op, op->run == produce_flush);
	if (e == E_OK)
		e = request(s, &q);
	if (e != E_OK)
		write_fail(s, op, e);
	else if (q != NULL)
		call(s, IPC_APPEND, 10, q, appended);
	else
		write_end(s, op);
}

/* False: another op is at work, this one waits. */
static bool
begin(struct sink *s, struct op *op)
{
	int eno;

	if (s->busy != NULL) {
		(void)op_wait(op, &s->waiters);
		return false;
	}
	if ((eno = fs_engine_errno(s->fs)) != 0) {
		op_err(op, eno);
		return false;
	}
	s->busy = op;
	s->fresh = false;
	s->fs->nwrites++;
	op->gone = write_gone;
	op->late = write_late;
	op->got = op->acked = 0;
	op_interruptible(op);
	s->sticky = (int32_t)(random() % s->nparts);
	return true;
}

void
produce_write(struct op *op)
{
	struct sink *s = (struct sink *)(uintptr_t)op->fi.fh;
	char *buf;

	if (!begin(s, op))
		return;
	/* Behind what has had no end so far. */
	if (s->rest.len > 0) {
		buf = malloc(s->rest.len + op->size + 1);
		if (buf == NULL) {
			op_err(op, ENOMEM);
			return;
		}
		memcpy(buf, s->rest.p, s->rest.len);
		memcpy(buf + s->rest.len, op->buf, op->size);
		free(op->buf);
		op->buf = buf;
		op->size += s->rest.len;
		op->stage_bytes = s->rest.len;
		s->rest.len = 0;
	}
	/* Nothing complete: nothing to ask the engine. */
	if (memchr(op->buf, '\n', op->size) == NULL)
		write_end(s, op);
	else
		write_more(s, op);
}

void
produce_flush(struct op *op)
{
	struct sink *s = (struct sink *)(uintptr_t)op->fi.fh;

	if (s->busy == NULL && s->rest.len == 0) {
		fuse_reply_err(op->req, 0);
		op_end(op);
		return;
	}
	if (!begin(s, op))
		return;
	op->size = s->rest.len;
	op->buf = malloc(op->size + 1);
	if (op->buf == NULL) {
		op_err(op, ENOMEM);
		return;
	}
	if (op->size > 0)
		memcpy(op->buf, s->rest.p, op->size);
	s->rest.len = 0;
	write_more(s, op);
}

/* ---- open and release --------------------------------------------------- */

void
produce_open(struct op *op)
{
	const struct topic_stats_res *res = op->res;
	struct topic *t = op->node->key.topic;
	struct topic_stats_req *q;
	struct sink *s;
	int eno;

	if (!op->called) {
		q = arena_alloc(&op->arena, sizeof *q);
		if (q != NULL)
			q->name = kstr_of(t->name);
		eno = q == NULL ? ENOMEM :
		    op_call(op, IPC_TOPIC_STATS, 0, q);
		if (eno != WAIT)
			op_err(op, eno);
		return;
	}
	eno = op_errno(op, op->err, t->name);
	if (eno == 0 && !topic_is(t, res))
		eno = op_errno(op, E_UNKNOWN_TOPIC_ID, t->name);
	s = eno == 0 ? calloc(1, sizeof *s) : NULL;
	if (s == NULL) {
		op_err(op, eno == 0 ? ENOMEM : eno);
		return;
	}
	s->fs = op->fs;
	s->node = node_ref(op->node);
	s->nparts = op->node->key.part >= 0 ? 1 : res->topics.v[0].parts.n;
	s->sheaf = calloc((size_t)s->nparts, sizeof *s->sheaf);
	s->pid = -1;
	s->rest = wr_grow(BATCH_MAX);
	TAILQ_INIT(&s->waiters);
	TAILQ_INSERT_TAIL(&s->fs->sinks, s, all);
	arena_init(&s->lines, LINE_MEMORY);
	arena_init(&s->req, REQ_MEMORY);
	take_configs(s, &res->topics.v[0]);
	if (s->sheaf == NULL) {
		s->nparts = 0;
		sink_free(s);
		op_err(op, ENOMEM);
		return;
	}
	op->fi.fh = (uintptr_t)s;
	op->fi.direct_io = 1;
	op->fi.nonseekable = 1;
	if (fuse_reply_open(op->req, &op->fi) != 0)
		sink_free(s);
	op_end(op);
}

void
produce_release(struct fs *fs, struct fuse_file_info *fi)
{
	(void)fs;
	sink_free((struct sink *)(uintptr_t)fi->fh);
}
