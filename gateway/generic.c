/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The apis that the engine answers whole: the client's version to a struct,
 * the struct to the engine, its answer to the client's version.  And what is
 * said to those whose change was under way when the engine went.
 */
#include "api.h"
#include "conn.h"

/* Room for any of Kafka's structs. */
union any {
#define MESSAGE(n, ...)		struct n n;
#include "lib/kafka.def"
};

enum err
generic_send(struct req *r)
{
	struct arena a;
	union any q;
	enum err e;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK)
		e = up_send(r, &q);
	arena_reset(&a);
	return e;
}

enum err
generic_answer(struct req *r, struct rd *body)
{
	const struct msg *m = r->api->res;
	struct arena a;
	union any s;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(m, VER_ALL, body, &a, &s);
	if (e == E_OK)
		e = req_encode(r, m, r->version, &s);
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}

/* Answers a request whose outcome nobody knows. */
static void
reply_lost(struct req *r, enum err e, const void *s)
{
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, s);
	if (e == E_OK)
		req_reply(r);
	else
		req_fail(r, "engine lost");
}

void
create_topics_lost(struct req *r)
{
	struct create_topics_req q;
	struct create_topics_res s = { 0 };
	struct create_topics_res_topic *t;
	struct arena a;
	enum err e;

	arena_for_engine(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK && q.topics.n > 0) {
		s.topics.n = q.topics.n;
		s.topics.v = arena_array(&a, (size_t)q.topics.n, sizeof *t);
		e = s.topics.v == NULL ? E_NOMEM : E_OK;
	}
	for (int32_t i = 0; e == E_OK && i < s.topics.n; i++) {
		t = &s.topics.v[i];
		t->name = q.topics.v[i].name;
		t->error_code = err_code(E_TIMED_OUT);
		t->error_message = kstr_of("the engine went away meanwhile");
		t->num_partitions = -1;
		t->replication_factor = -1;
	}
	reply_lost(r, e, &s);
	arena_reset(&a);
}

void
delete_topics_lost(struct req *r)
{
	struct delete_topics_req q;
	struct delete_topics_res s = { 0 };
	struct delete_topics_res_topic *t;
	bool by_id = r->version >= 6;
	struct arena a;
	enum err e;

	arena_for_engine(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	s.responses.n = e != E_OK ? 0 : by_id ? q.topics.n : q.topic_names.n;
	if (s.responses.n > 0) {
		s.responses.v = arena_array(&a, (size_t)s.responses.n,
		    sizeof *t);
		e = s.responses.v == NULL ? E_NOMEM : E_OK;
	}
	for (int32_t i = 0; e == E_OK && i < s.responses.n; i++) {
		t = &s.responses.v[i];
		t->name = by_id ? q.topics.v[i].name : q.topic_names.v[i];
		if (by_id)
			t->topic_id = q.topics.v[i].topic_id;
		t->error_code = err_code(E_TIMED_OUT);
		t->error_message = kstr_of("the engine went away meanwhile");
	}
	reply_lost(r, e, &s);
	arena_reset(&a);
}

void
create_partitions_lost(struct req *r)
{
	struct create_partitions_req q;
	struct create_partitions_res s = { 0 };
	struct create_partitions_res_result *t;
	struct arena a;
	enum err e;

	arena_for_engine(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK && q.topics.n > 0) {
		s.results.n = q.topics.n;
		s.results.v = arena_array(&a, (size_t)q.topics.n, sizeof *t);
		e = s.results.v == NULL ? E_NOMEM : E_OK;
	}
	for (int32_t i = 0; e == E_OK && i < s.results.n; i++) {
		t = &s.results.v[i];
		t->name = q.topics.v[i].name;
		t->error_code = err_code(E_TIMED_OUT);
		t->error_message = kstr_of("the engine went away meanwhile");
	}
	reply_lost(r, e, &s);
	arena_reset(&a);
}

static enum err
delete_records_fill(const struct delete_records_req *q,
    struct delete_records_res *s, struct arena *a)
{
	s->topics.n = q->topics.n;
	s->topics.v = arena_array(a, (size_t)q->topics.n,
	    sizeof *s->topics.v);
	if (s->topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct delete_records_res_topic *t = &s->topics.v[i];

		t->name = q->topics.v[i].name;
		t->partitions.n = q->topics.v[i].partitions.n;
		t->partitions.v = arena_array(a, (size_t)t->partitions.n,
		    sizeof *t->partitions.v);
		if (t->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t k = 0; k < t->partitions.n; k++)
			t->partitions.v[k] =
			    (struct delete_records_res_topic_part){
			    q->topics.v[i].partitions.v[k].partition_index,
			    -1, err_code(E_TIMED_OUT) };
	}
	return E_OK;
}

void
delete_records_lost(struct req *r)
{
	struct delete_records_req q;
	struct delete_records_res s = { 0 };
	struct arena a;
	enum err e;

	arena_for_engine(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	if (e == E_OK)
		e = delete_records_fill(&q, &s, &a);
	reply_lost(r, e, &s);
	arena_reset(&a);
}

void
init_producer_id_lost(struct req *r)
{
	struct init_producer_id_res s;

	msg_init(r->api->res, &s);
	s.error_code = err_code(E_TIMED_OUT);
	s.producer_epoch = -1;
	reply_lost(r, E_OK, &s);
}
