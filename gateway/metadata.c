/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata: the engine knows the topics, the gateway knows where clients can
 * reach it.
 */
#include "api.h"
#include "conn.h"

enum err
metadata_answer(struct req *r, struct rd *body)
{
	struct gw *gw = r->gw;
	struct metadata_res_broker b;
	struct metadata_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(r->api->res, VER_ALL, body, &a, &s);
	if (e == E_OK) {
		b = (struct metadata_res_broker){ .node_id = gw->up.node_id,
		    .host = kstr_of(gw->host), .port = gw->port,
		    .rack = kstr_of(NULL) };
		s.brokers.n = 1;
		s.brokers.v = &b;
		s.controller_id = b.node_id;
		s.cluster_id = kstr_of(gw->up.cluster_id);
		e = req_encode(r, r->api->res, r->version, &s);
	}
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}
