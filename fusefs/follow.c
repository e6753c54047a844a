/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: records from now on (or from an offset on), for readers that wait.
 * Each open file has one fetch at the engine, parked there until something
 * comes, so that a follower that idles costs some memory and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "lib/reader.h"

enum {
	PARK_MS		= 30000,
	FETCH_BYTES	= 1 * MIB,
	REQ_MEMORY	= 4 * MIB,
};

/* From the open to the release; a job that is out keeps it a little longer. */
struct follow {
	TAILQ_ENTRY(follow) all;
	struct fs	*fs;
	struct node	*node;		/* a reference */
	int32_t		 nparts;
	int64_t		*next;		/* offset, per partition */
	struct ecall	 call;
	struct arena	 memory;	/* of the request */
	struct ops	 readers;
	char		*text;		/* [at, len) is not read yet */
	size_t		 at, len;
	enum err	 err;		/* told to the next reader */
	bool		 busy, released;
};

/* Extents to be rendered, on a worker. */
struct pour {
	uv_work_t	 work;
	struct follow	*f;
	struct render	 render;
	struct pour_part { int32_t part; int64_t next; struct extent x; } *v;
	int		 n;
	struct wr	 out;
	enum err	 err;
};

static void
follow_free(struct follow *f)
{
	TAILQ_REMOVE(&f->fs->follows, f, all);
	arena_reset(&f->memory);
	node_put(f->node);
	free(f->next);
	free(f->text);
	free(f);
}

/* ---- on a worker -------------------------------------------------------- */

static void
pour(uv_work_t *u)
{
	struct pour *p = u->data;
	struct records s;
	struct record rec;
	enum err e = E_OK;

	for (int i = 0; i < p->n && e == E_OK; i++) {
		struct pour_part *v = &p->v[i];

		records_open(&s, v->x.h->fd, v->x.position, v->x.length,
		    v->next);
		while ((e = records_next(&s, &rec)) == E_OK) {
			e = render_record(&p->render, v->part, &rec, &p->out);
			if (e != E_OK)
				break;
			v->next = rec.offset + 1;
		}
		if (e == E_EOF) {
			/* Offsets that have no record are over, too. */
			if (s.r.last_offset + 1 > v->next)
				v->next = s.r.last_offset + 1;
			e = E_OK;
		}
		records_close(&s);
	}
	p->err = e;
}

static void
pour_free(struct pour *p)
{
	for (int i = 0; i < p->n; i++)
		ehandle_put(p->v[i].x.h);
	wr_free(&p->out);
	free(p->v);
	free(p);
}

static void
poured(uv_work_t *u, int status)
{
	struct pour *p = u->data;
	struct follow *f = p->f;

	(void)status;
	f->busy = false;
	if (f->released) {
		pour_free(p);
		follow_free(f);
		return;
	}
	for (int i = 0; i < p->n; i++)
		f->next[p->v[i].part] = p->v[i].next;
	f->err = p->err;
	free(f->text);
	f->text = (char *)p->out.p;
	f->len = p->out.len;
	f->at = 0;
	p->out = wr_grow(1);
	pour_free(p);
	ops_wake(&f->readers);
}

/* ---- fetches ------------------------------------------------------------ */

/* All partitions at their places. */
static const struct fetch_req *
request(struct follow *f)
{
	struct fetch_want w = { .topic = f->node->key.topic->id,
	    .bytes_max = FETCH_BYTES, .wait_ms = PARK_MS, .part = 0 };
	struct fetch_req *q;
	struct fetch_req_topic_part *v;
	struct arena *a = &f->memory;
	int32_t one = f->node->key.part;

	arena_reset(a);
	q = (struct fetch_req *)fetch_want_req(&w, a);
	v = arena_array(a, (size_t)f->nparts, sizeof *v);
	if (q == NULL || v == NULL)
		return NULL;
	for (int32_t i = 0; i < f->nparts; i++) {
		v[i] = q->topics.v[0].partitions.v[0];
		v[i].partition = one >= 0 ? one : i;
		v[i].fetch_offset = f->next[i];
	}
	q->topics.v[0].partitions.v = v;
	q->topics.v[0].partitions.n = f->nparts;
	return q;
}

static enum err
take_part(struct follow *f, struct pour *p, const struct extents_res_part *r)
{
	int32_t i = f->node->key.part >= 0 ? 0 : r->index;
	enum err e = r->error >= 0 && r->error < E_MAX ? (enum err)r->error :
	    E_UNKNOWN;

	if (i < 0 || i >= f->nparts)
		return E_PROTO;
	/* A partition that is being recovered comes back. */
	if (e == E_LEADER_NOT_AVAILABLE)
		return E_OK;
	for (int32_t k = 0; e == E_OK && k < r->extents.n; k++) {
		struct extents_res_extent *x = &r->extents.v[k];
		struct pour_part *v = &p->v[p->n];

		if (x->length <= 0 || x->position < 0)
			return E_PROTO;
		*v = (struct pour_part){ i, f->next[i],
		    { NULL, x->position, x->length } };
		e = elink_handle(f->fs->link, x->handle, &v->x.h);
		if (e == E_OK)
			p->n++;
	}
	return e;
}

/* E_OK with what is to be poured out, perhaps nothing. */
static enum err
take(struct follow *f, const struct extents_res *res, struct pour *p)
{
	size_t n = 0;
	enum err e = E_OK;

	if (res->error != E_OK)
		return res->error > 0 && res->error < E_MAX ?
		    (enum err)res->error : E_UNKNOWN;
	for (int32_t i = 0; i < res->topics.n; i++)
		for (int32_t k = 0; k < res->topics.v[i].parts.n; k++)
			n += res->topics.v[i].parts.v[k].extents.n > 0 ?
			    (size_t)res->topics.v[i].parts.v[k].extents.n : 0;
	p->v = calloc(n + 1, sizeof *p->v);
	if (p->v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < res->topics.n; i++)
		for (int32_t k = 0; e == E_OK &&
		    k < res->topics.v[i].parts.n; k++)
			e = take_part(f, p, &res->topics.v[i].parts.v[k]);
	return e;
}

static void fetch(struct follow *);

static void
fetched(struct ecall *c, enum err e, void *res)
{
	struct follow *f = c->arg;
	struct pour *p = e == E_OK ? calloc(1, sizeof *p) : NULL;

	if (p == NULL && e == E_OK)
		e = E_NOMEM;
	if (e == E_OK) {
		fs_heard(f->fs);
		p->out = wr_grow((size_t)INFLATE_MAX * 8);
		e = take(f, res, p);
	}
	if (e == E_OK && p->n > 0) {
		p->work.data = p;
		p->f = f;
		p->render = f->fs->conf.render;
		f->busy = true;
		uv_queue_work(&f->fs->loop, &p->work, pour, poured);
		return;
	}
	if (p != NULL)
		pour_free(p);
	f->err = e;
	if (e != E_OK)
		ops_wake(&f->readers);
	else if (!TAILQ_EMPTY(&f->readers))
		fetch(f);
}

/* Only while somebody reads: what is not read is not fetched either. */
static void
fetch(struct follow *f)
{
	if (f->busy || f->call.state != ECALL_IDLE)
		return;
	f->call = (struct ecall){ .done = fetched, .arg = f,
	    .req = request(f), .type = API_FETCH, .version = 17,
	    .again = true };
	if (f->call.req == NULL) {
		f->err = E_NOMEM;
		ops_wake(&f->readers);
	} else
		elink_call(f->fs->link, &f->call);
}

/* ---- the kernel's side -------------------------------------------------- */

void
follow_read(struct op *op)
{
	struct follow *f = (struct follow *)(uintptr_t)op->fi.fh;
	size_t n = f->len - f->at;
	enum err e = f->err;

	op->deadline_ms = 0;
	if (n > 0) {
		if (n > op->size)
			n = op->size;
		fuse_reply_buf(op->req, f->text + f->at, n);
		f->at += n;
		op_end(op);
	} else if (e != E_OK) {
		f->err = E_OK;
		op_err(op, op_errno(op, e, f->node->key.topic->name));
	} else {
		fetch(f);
		if (op->fi.flags & O_NONBLOCK)
			op_err(op, EAGAIN);
		else
			(void)op_wait(op, &f->readers);
	}
}

/* The ends of all partitions, in one answer. */
static int
take_ends(struct op *op, int64_t *next, int32_t n)
{
	const struct topic_stats_res *res = op->res;
	const struct topic_stats_res_topic *t;
	int32_t one = op->node->key.part;

	if (op->err != E_OK)
		return op_errno(op, op->err, op->node->key.topic->name);
	if (!topic_is(op->node->key.topic, res))
		return op_errno(op, E_UNKNOWN_TOPIC_ID,
		    op->node->key.topic->name);
	t = &res->topics.v[0];
	for (int32_t i = 0; i < t->parts.n; i++) {
		if (one >= 0 && t->parts.v[i].index == one)
			next[0] = t->parts.v[i].high_watermark;
		else if (one < 0 && t->parts.v[i].index < n)
			next[t->parts.v[i].index] =
			    t->parts.v[i].high_watermark;
	}
	return 0;
}

/* Where what is so old begins; where nothing is younger, the end stays. */
static int
take_ages(struct op *op, int64_t *next, int32_t n)
{
	const struct list_offsets_res *res = op->res;
	int32_t one = op->node->key.part, i;

	if (op->err != E_OK)
		return op_errno(op, op->err, op->node->key.topic->name);
	if (res->topics.n != 1)
		return EPROTO;
	for (int32_t k = 0; k < res->topics.v[0].partitions.n; k++) {
		const struct list_offsets_res_topic_part *p =
		    &res->topics.v[0].partitions.v[k];

		i = one >= 0 ? 0 : p->partition_index;
		if (p->error_code != 0)
			return op_errno(op, err_of_code(p->error_code),
			    op->node->key.topic->name);
		if (i >= 0 && i < n && p->offset >= 0)
			next[i] = p->offset;
	}
	return 0;
}

static const struct list_offsets_req *
ages_req(struct op *op, int32_t n)
{
	struct list_offsets_req *q = arena_alloc(&op->arena, sizeof *q);
	struct list_offsets_req_topic *t = arena_alloc(&op->arena, sizeof *t);
	struct list_offsets_req_topic_part *v = arena_array(&op->arena,
	    (size_t)n, sizeof *v);
	int64_t ts = elink_wall_ms() - op->node->key.b;

	if (q == NULL || t == NULL || v == NULL)
		return NULL;
	for (int32_t i = 0; i < n; i++)
		v[i] = (struct list_offsets_req_topic_part){
		    .partition_index = op->node->key.part >= 0 ?
		    op->node->key.part : i, .current_leader_epoch = -1,
		    .timestamp = ts < 0 ? 0 : ts, .max_num_offsets = 1 };
	*t = (struct list_offsets_req_topic){ .name =
	    kstr_of(op->node->key.topic->name), .partitions = { n, v } };
	*q = (struct list_offsets_req){ .replica_id = -1,
	    .topics = { 1, t } };
	return q;
}

static const void *
ends_req(struct op *op)
{
	struct topic_stats_req *q = arena_alloc(&op->arena, sizeof *q);

	if (q != NULL)
		q->name = kstr_of(op->node->key.topic->name);
	return q;
}

/* Into next, in the op's arena: an offset per partition. */
static int
places(struct op *op, int64_t *next, int32_t n)
{
	bool ages = op->node->key.a == FOLLOW_AGE;
	const void *q;
	int eno = 0;

	if (op->node->key.a >= 0) {
		next[0] = op->node->key.a;
		return 0;
	}
	if (op->called) {
		op->called = false;
		eno = op->stage == 0 ? take_ends(op, next, n) :
		    take_ages(op, next, n);
		if (eno != 0 || op->stage++ == ages)
			return eno;
	}
	q = op->stage == 0 ? ends_req(op) : (const void *)ages_req(op, n);
	if (q == NULL)
		return ENOMEM;
	return op->stage == 0 ? op_call(op, IPC_TOPIC_STATS, 0, q) :
	    op_call(op, API_LIST_OFFSETS, 10, q);
}

static int
follow_new(struct op *op, const int64_t *next, int32_t n)
{
	struct follow *f = calloc(1, sizeof *f);

	if (f == NULL || (f->next = calloc((size_t)n + 1, sizeof *f->next)) ==
	    NULL) {
		free(f);
		return ENOMEM;
	}
	memcpy(f->next, next, (size_t)n * sizeof *next);
	f->nparts = n;
	f->fs = op->fs;
	f->node = node_ref(op->node);
	TAILQ_INIT(&f->readers);
	TAILQ_INSERT_TAIL(&f->fs->follows, f, all);
	arena_init(&f->memory, REQ_MEMORY);
	op->fi.fh = (uintptr_t)f;
	return 0;
}

void
follow_open(struct op *op)
{
	int32_t n = op->node->key.part >= 0 ? 1 :
	    op->node->key.topic->nparts;
	int eno = 0;

	if (op->state == NULL) {
		/* As many as there are now, whatever comes. */
		op->size = (size_t)n;
		op->state = arena_array(&op->arena, op->size + 1,
		    sizeof(int64_t));
	}
	n = (int32_t)op->size;
	eno = op->state == NULL ? ENOMEM : places(op, op->state, n);
	if (eno == 0)
		eno = follow_new(op, op->state, n);
	if (eno == WAIT)
		return;
	if (eno != 0) {
		op_err(op, eno);
		return;
	}
	op->fi.direct_io = 1;
	op->fi.nonseekable = 1;
	if (fuse_reply_open(op->req, &op->fi) != 0)
		follow_free((struct follow *)(uintptr_t)op->fi.fh);
	else
		op->fs->stats.followers++;
	op_end(op);
}

void
follow_release(struct node *n, struct fuse_file_info *fi)
{
	struct follow *f = (struct follow *)(uintptr_t)fi->fh;

	n->fs->stats.followers--;
	elink_cancel(f->fs->link, &f->call);
	f->released = true;
	if (!f->busy)
		follow_free(f);
}
