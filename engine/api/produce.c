/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce: judges each batch by what only the engine knows (the topic's
 * configs, the producer's past), queues it, and answers when every partition
 * has its verdict.  The gateway has validated the records; what the engine
 * relies on for its own safety it looks at again, in its own copy of the
 * header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/log.h"
#include "plant.h"
#include "serve.h"

enum {
	HUNG_RETRY_MS	= 100,
	BLAMED_MAX	= 1000,	/* records named in an error answer */
};

/* One batch of a request, until its append is done. */
struct entry {
	struct append	 append;
	struct produce	*produce;
	int32_t		 topic, part;	/* indexes into the response */
	bool		 pending;
};

/* A request.  It outlives its call when the answer is a time-out. */
struct produce {
	struct call	*call;		/* NULL once answered */
	struct region	*region;
	struct produce_res res;		/* in the call's arena */
	struct timer	 timer;
	int		 pending, n;
	int64_t		 now;		/* wall_ms at arrival */
	bool		 starting;	/* the loop over the request runs */
	struct entry	 entries[];
};

static void
produce_free(struct produce *pr)
{
	region_unref(pr->region);
	free(pr);
}

static int64_t
bytes_of(const struct append_req *q)
{
	int64_t n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].parts.n; j++)
			if (q->topics.v[i].parts.v[j].length > 0)
				n += q->topics.v[i].parts.v[j].length;
	return n;
}

static void
answer(struct produce *pr)
{
	struct call *c = pr->call;

	pr->call = NULL;
	timer_cancel(&c->eng->timers, &pr->timer);
	throttle_bytes(c, QUOTA_PRODUCE, bytes_of(c->req));
	call_reply(c, &pr->res);
}

static void
maybe_answer(struct produce *pr)
{
	if (pr->starting || pr->pending > 0)
		return;
	if (pr->call != NULL)
		answer(pr);
	produce_free(pr);
}

static struct produce_res_topic_part *
entry_res(struct entry *en)
{
	return &en->produce->res.responses.v[en->topic].
	    partition_responses.v[en->part];
}

static void
res_error(struct produce_res_topic_part *r, enum err e, const char *why)
{
	r->error_code = err_code(e);
	r->base_offset = -1;
	r->log_append_time_ms = -1;
	r->log_start_offset = -1;
	if (e != E_OK)
		r->error_message = kstr_of(why != NULL ? why : err_text(e));
}

static void
entry_done(struct append *a, enum err e)
{
	struct entry *en = (struct entry *)a;
	struct produce *pr = en->produce;

	en->pending = false;
	pr->pending--;
	if (pr->call != NULL && e != E_OK)
		res_error(entry_res(en), e, NULL);
	maybe_answer(pr);
}

/* ---- time-outs --------------------------------------------------------- */

/* acks=all took too long.  A batch that a worker may still be reading holds
 * the answer back: with it the gateway takes its memory back. */
static void
timed_out(struct timer *t)
{
	struct produce *pr = (struct produce *)((char *)t -
	    offsetof(struct produce, timer));

	for (int i = 0; i < pr->n; i++)
		if (pr->entries[i].pending && !pr->entries[i].append.written) {
			if (timer_set(&pr->call->eng->timers, &pr->timer,
			    mono_ms() + HUNG_RETRY_MS) != E_OK)
				log_warn("no memory for a timer", LE(E_NOMEM));
			return;
		}
	for (int i = 0; i < pr->n; i++)
		if (pr->entries[i].pending)
			res_error(entry_res(&pr->entries[i]), E_TIMED_OUT,
			    NULL);
	answer(pr);
}

/* ---- verdicts ---------------------------------------------------------- */

static enum err
find_part(const struct call *c, const struct append_req_topic *qt,
    int32_t index, struct part **p)
{
	struct topics *ts = &c->eng->topics;
	struct topic *t = qt->name.len >= 0 ? topic_find(ts, qt->name)
	    : topic_find_id(ts, qt->id);

	*p = NULL;
	if (topic_is_internal(t != NULL ? kstr_of(t->name) : qt->name) &&
	    strcmp(c->session->client_id, "__admin_client") != 0)
		return E_INVALID_TOPIC;
	if (t == NULL)
		return qt->name.len >= 0 ? E_UNKNOWN_TOPIC
		    : E_UNKNOWN_TOPIC_ID;
	*p = topic_part(t, index);
	return *p == NULL ? E_UNKNOWN_TOPIC : E_OK;
}

/* The bytes of a batch: inline or in the region. */
static enum err
find_bytes(const struct produce *pr, const struct append_req_part *q,
    const uint8_t **p)
{
	if (q->place < 0) {
		*p = q->inlined.p;
		return q->inlined.len == q->length &&
		    q->length >= BATCH_HEADER ? E_OK : E_PROTO;
	}
	if (pr->region == NULL || q->length < BATCH_HEADER ||
	    (uint64_t)q->place + (uint64_t)q->length > pr->region->size)
		return E_PROTO;
	*p = pr->region->p + q->place;
	return E_OK;
}

static bool
bad_time(int64_t ts, const struct topic_conf *tc, int64_t now)
{
	int64_t age;

	/* -1: it has none. */
	if (ts == -1 || __builtin_sub_overflow(now, ts, &age))
		return ts != -1;
	return age > tc->message_timestamp_before_max_ms ||
	    (age < 0 && -age > tc->message_timestamp_after_max_ms);
}

/* What Kafka checks against the topic's configs (protocol.md 3.2). */
static enum err
check_configs(const struct append_req_part *q, const struct batch *b,
    const struct topic_conf *tc, int64_t now, const char **why)
{
	int32_t level;
	int codec = topic_conf_codec(tc, &level);

	/* The gateway did not know yet what was changed just now; it will
	 * when the batch comes again. */
	if (codec >= 0 && (b->attrs & BATCH_CODEC) != codec)
		return E_NOT_LEADER;
	if (batch_size(b) > tc->max_message_bytes ||
	    q->sent_length > tc->max_message_bytes)
		return E_TOO_LARGE;
	if (batch_size(b) > tc->segment_bytes)
		return E_RECORD_LIST_TOO_LARGE;
	if ((tc->cleanup_policy & CLEANUP_COMPACT) && q->null_key >= 0) {
		*why = "a record of a compacted topic must have a key";
		return E_INVALID_RECORD;
	}
	if (tc->message_timestamp_type == TS_CREATE &&
	    (bad_time(q->min_ts, tc, now) || bad_time(q->max_ts, tc, now))) {
		*why = "a record's timestamp is outside the range that the "
		    "topic allows";
		return E_INVALID_TIMESTAMP;
	}
	return E_OK;
}

/* Structure: a gateway that lies must not make a log that cannot be read. */
static enum err
check_header(const uint8_t *head, int32_t length, struct batch *b)
{
	enum err e = batch_read(head, b);

	if (e != E_OK)
		return e;
	if (batch_size(b) != length || b->count <= 0 ||
	    b->last_delta != b->count - 1 || b->base_offset != 0)
		return E_INVALID_RECORD;
	if (b->attrs & BATCH_CONTROL)
		return E_INVALID_RECORD;
	if (b->pid >= 0 && (b->base_seq < 0 || b->epoch < 0))
		return E_INVALID_RECORD;
	/* Transactions are not served yet: nothing may open one. */
	if (b->attrs & BATCH_TXN)
		return E_INVALID_TXN_STATE;
	return E_OK;
}

static void
stamp_log_time(struct append *a, int64_t now)
{
	size_t under = BATCH_HEADER - BATCH_CRC_FROM;
	uint32_t crc;

	a->b.attrs |= BATCH_LOG_TIME;
	a->b.max_ts = now;
	batch_write(a->head, &a->b);
	crc = crc32c(0, a->head + BATCH_CRC_FROM, under);
	a->b.crc = crc32c(crc, a->body,
	    (size_t)batch_size(&a->b) - BATCH_HEADER);
	batch_write(a->head, &a->b);
}

static void
blame(struct call *c, struct produce_res_topic_part *r, int32_t index,
    const char *why)
{
	if (r->record_errors.v == NULL)
		r->record_errors.v = arena_array(&c->arena, BLAMED_MAX,
		    sizeof *r->record_errors.v);
	if (r->record_errors.v == NULL || r->record_errors.n == BLAMED_MAX)
		return;
	r->record_errors.v[r->record_errors.n++] =
	    (struct produce_res_topic_part_record_error){ index,
	    kstr_of(why) };
}

/* Names every record that breaks the topic's rules.  The gateway could change
 * the bytes while we look, so they are copied first. */
static void
blame_all(struct produce *pr, const struct append_req_part *q, enum err e,
    const struct topic_conf *tc, struct produce_res_topic_part *r,
    const char *why)
{
	struct batch_iter it;
	struct record rec;
	const uint8_t *bytes;
	uint8_t *copy;

	if (find_bytes(pr, q, &bytes) != E_OK ||
	    (copy = malloc((size_t)q->length)) == NULL)
		return;
	memcpy(copy, bytes, (size_t)q->length);
	if (batch_iter_open(&it, copy, (size_t)q->length, INFLATE_MAX) ==
	    E_OK)
		for (int32_t i = 0; batch_iter_next(&it, &rec) == E_OK; i++)
			if (e == E_INVALID_RECORD ? rec.key_len < 0
			    : bad_time(rec.ts, tc, pr->now))
				blame(pr->call, r, i, why);
	batch_iter_close(&it);
	free(copy);
}

/* Queues one batch.  E_OK: entry_done follows, or has been called. */
static enum err
entry_start(struct produce *pr, struct entry *en, struct part *p,
    const struct append_req_part *q, const char **why)
{
	struct append_req *req = pr->call->req;
	struct produce_res_topic_part *r = entry_res(en);
	struct append *a = &en->append;
	struct prod_hit hit;
	const uint8_t *bytes;
	enum err e;

	e = find_bytes(pr, q, &bytes);
	if (e != E_OK)
		return e;
	memcpy(a->head, bytes, BATCH_HEADER);
	a->body = bytes + BATCH_HEADER;
	a->all = req->acks == -1;
	a->done = entry_done;
	e = check_header(a->head, q->length, &a->b);
	if (e == E_OK)
		e = check_configs(q, &a->b, &p->topic->conf, pr->now, why);
	if (e != E_OK)
		return e;
	if (p->state != PART_ONLINE)
		return part_refusal(&a->b, E_STORAGE);
	r->log_start_offset = p->start;
	en->pending = true;
	if (a->b.pid >= 0 && p->prods != NULL) {
		e = prod_check(p->prods, &a->b, &hit);
		if (e == E_DUPLICATE_SEQUENCE) {
			a->b.base_offset = r->base_offset = hit.first_offset;
			a->b.last_delta = (int32_t)(hit.last_offset -
			    hit.first_offset);
			if (p->topic->conf.message_timestamp_type == TS_APPEND)
				r->log_append_time_ms = hit.ts;
			pr->pending++;
			part_await(p, a);
			return E_OK;
		}
		/* Those before it were refused: the same word. */
		if (e == E_OUT_OF_ORDER_SEQUENCE && pr->call->eng->space.full)
			e = part_refusal(&a->b, E_NOSPC);
	}
	if (e == E_OK && p->topic->conf.message_timestamp_type == TS_APPEND) {
		stamp_log_time(a, pr->now);
		r->log_append_time_ms = pr->now;
	}
	if (e == E_OK)
		e = part_append(p, a);
	if (e == E_OK) {
		r->base_offset = a->b.base_offset + (PLANT(wrong_offset) &&
		    a->b.base_offset % 50 == 49);
		pr->pending++;
	} else
		en->pending = false;
	return e;
}

static void
start_part(struct produce *pr, struct entry *en,
    const struct append_req_topic *qt, const struct append_req_part *q)
{
	struct produce_res_topic_part *r = entry_res(en);
	struct append_req *req = pr->call->req;
	const char *why = NULL;
	struct part *p;
	bool ours = false;
	enum err e;

	r->index = q->index;
	r->log_append_time_ms = r->log_start_offset = r->base_offset = -1;
	r->error_message.len = -1;
	r->current_leader.leader_id = r->current_leader.leader_epoch = -1;
	e = req->acks < -1 || req->acks > 1 ? E_INVALID_REQUIRED_ACKS : E_OK;
	if (e == E_OK)
		e = find_part(pr->call, qt, q->index, &p);
	if (e == E_OK && q->error != E_OK) {
		e = q->error > 0 && q->error < E_MAX ? (enum err)q->error
		    : E_UNKNOWN;
		why = q->message.len <= 0 ? NULL : arena_strndup(
		    &pr->call->arena, q->message.p, (size_t)q->message.len);
	}
	if (e == E_OK) {
		e = entry_start(pr, en, p, q, &why);
		ours = true;
	}
	if (e == E_OK)
		return;
	res_error(r, e, why);
	if (e == E_NOT_LEADER) {	/* it is we who lead, all the same */
		r->current_leader.leader_id =
		    (int32_t)pr->call->eng->conf->node_id;
		r->current_leader.leader_epoch = p->epoch;
	}
	if (ours && why != NULL)
		blame_all(pr, q, e, &p->topic->conf, r, why);
	else if (!ours && q->bad_index >= 0)
		blame(pr->call, r, q->bad_index,
		    why != NULL ? why : err_text(e));
}

/* No gateway sends a null list; the counts below rely on that. */
static bool
well_formed(const struct append_req *q)
{
	if (q->topics.n < 0)
		return false;
	for (int32_t i = 0; i < q->topics.n; i++)
		if (q->topics.v[i].parts.n < 0)
			return false;
	return true;
}

static struct produce *
produce_new(struct call *c)
{
	struct append_req *q = c->req;
	struct produce_res_topic *rt;
	struct produce *pr;
	int n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		n += q->topics.v[i].parts.n;
	pr = calloc(1, sizeof *pr + (size_t)n * sizeof *pr->entries);
	rt = arena_array(&c->arena, (size_t)q->topics.n, sizeof *rt);
	if (pr == NULL || rt == NULL) {
		free(pr);
		return NULL;
	}
	for (int32_t i = 0; i < q->topics.n; i++) {
		rt[i].name = q->topics.v[i].name;
		if (rt[i].name.len < 0)
			rt[i].name = kstr_of("");
		rt[i].topic_id = q->topics.v[i].id;
		rt[i].partition_responses.n = q->topics.v[i].parts.n;
		rt[i].partition_responses.v = arena_array(&c->arena,
		    (size_t)q->topics.v[i].parts.n,
		    sizeof *rt[i].partition_responses.v);
		if (rt[i].partition_responses.v == NULL) {
			free(pr);
			return NULL;
		}
	}
	pr->res.responses.n = q->topics.n;
	pr->res.responses.v = rt;
	pr->call = c;
	pr->region = region_ref(c->link->region);
	pr->n = n;
	pr->now = wall_ms();
	pr->timer.fire = timed_out;
	return pr;
}

void
handle_append(struct call *c)
{
	struct append_req *q = c->req;
	struct produce *pr;
	struct entry *en;

	if (!well_formed(q)) {
		call_bad(c, "an append with a null list");
		return;
	}
	pr = produce_new(c);
	if (pr == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	en = pr->entries;
	pr->starting = true;
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t k = 0; k < q->topics.v[i].parts.n; k++, en++) {
			en->produce = pr;
			en->topic = i;
			en->part = k;
			start_part(pr, en, &q->topics.v[i],
			    &q->topics.v[i].parts.v[k]);
		}
	pr->starting = false;
	if (pr->pending > 0 && q->acks == -1 && timer_set(&c->eng->timers,
	    &pr->timer, mono_ms() + (q->timeout_ms > 0 ? q->timeout_ms : 0)) !=
	    E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
	maybe_answer(pr);
}

/* ---- producer ids ------------------------------------------------------ */

/* A call that waits for the next block of ids to be durable. */
struct pid_wait {
	struct meta_put	 put;
	struct call	*call;
	int64_t		 pid, limit;
};

static void
pid_answer(struct call *c, enum err e, int64_t pid)
{
	struct init_producer_id_res res = { .error_code = err_code(e),
	    .producer_id = pid, .producer_epoch = e == E_OK ? 0 : -1,
	    .ongoing_txn_producer_id = -1, .ongoing_txn_producer_epoch = -1 };

	call_reply(c, &res);
}

static void
pid_durable(struct meta_put *put, enum err e)
{
	struct pid_wait *w = (struct pid_wait *)put;
	struct engine *eng = w->call->eng;

	if (e == E_OK && w->limit > eng->pid_durable)
		eng->pid_durable = w->limit;
	pid_answer(w->call, e == E_OK ? E_OK : E_COORDINATOR_NOT_AVAILABLE,
	    e == E_OK ? w->pid : -1);
	free(w);
}

/* An id is given out only when the catalogue's record that its block is taken
 * has been synced; until then calls wait, each with its own record. */
static void
pid_next(struct call *c)
{
	struct engine *eng = c->eng;
	struct pid_wait *w;
	struct meta_pids rec;

	if (eng->next_pid < eng->pid_durable) {
		pid_answer(c, E_OK, eng->next_pid++);
		return;
	}
	w = calloc(1, sizeof *w);
	if (w == NULL) {
		pid_answer(c, E_COORDINATOR_NOT_AVAILABLE, -1);
		return;
	}
	if (eng->next_pid == eng->pid_limit)
		eng->pid_limit += PID_BLOCK;
	rec.limit = eng->pid_limit;
	w->call = c;
	w->pid = eng->next_pid++;
	w->limit = rec.limit;
	w->put.done = pid_durable;
	if (meta_write(&eng->meta, MT_meta_pids, NULL, &rec, &w->put) !=
	    E_OK) {
		free(w);
		pid_answer(c, E_COORDINATOR_NOT_AVAILABLE, -1);
	}
}

void
handle_init_producer_id(struct call *c)
{
	struct init_producer_id_req *q = c->req;

	if ((q->producer_id == -1) != (q->producer_epoch == -1) ||
	    q->transactional_id.len == 0)
		pid_answer(c, E_INVALID_REQUEST, -1);
	else if (q->transactional_id.len > 0)
		/* Transactions come later; say so rather than pretend. */
		pid_answer(c, E_UNSUPPORTED_VERSION, -1);
	else
		pid_next(c);
}
