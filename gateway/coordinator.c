/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FindCoordinator: every group and transactional id is coordinated by the one
 * engine behind us, and clients reach it through us.
 */
#include "api.h"
#include "conn.h"

enum { TYPE_GROUP, TYPE_TRANSACTION };

static void
fill(const struct gw *gw, enum err e, struct kstr key,
    struct find_coordinator_res_coordinator *c)
{
	*c = (struct find_coordinator_res_coordinator){ .key = key,
	    .node_id = -1, .host = kstr_of(""), .port = -1,
	    .error_code = err_code(e), .error_message = kstr_of(NULL) };
	if (e != E_OK) {
		c->error_message = kstr_of(err_text(e));
		return;
	}
	c->node_id = gw->up.node_id;
	c->host = kstr_of(gw->host);
	c->port = gw->port;
}

enum err
coordinator_answer(struct req *r)
{
	struct find_coordinator_res_coordinator one;
	struct find_coordinator_req q;
	struct find_coordinator_res s;
	struct arena a;
	enum err e, bad = E_OK;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	msg_init(r->api->res, &s);
	if (e == E_OK && (q.key_type < TYPE_GROUP ||
	    q.key_type > TYPE_TRANSACTION))
		bad = E_INVALID_REQUEST;
	if (e == E_OK && r->version < 4) {
		fill(r->gw, bad, q.key, &one);
		s.error_code = one.error_code;
		s.error_message = one.error_message;
		s.node_id = one.node_id;
		s.host = one.host;
		s.port = one.port;
	} else if (e == E_OK) {
		s.coordinators.v = arena_array(&a,
		    (size_t)q.coordinator_keys.n, sizeof *s.coordinators.v);
		if (s.coordinators.v == NULL)
			e = E_NOMEM;
		for (int32_t i = 0; e == E_OK && i < q.coordinator_keys.n; i++)
			fill(r->gw, bad, q.coordinator_keys.v[i],
			    &s.coordinators.v[s.coordinators.n++]);
	}
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, &s);
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}
