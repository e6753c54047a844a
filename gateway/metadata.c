/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata, DescribeCluster, DescribeQuorum: the engine knows what there is,
 * the gateway knows where clients can reach it.
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

enum err
cluster_answer(struct req *r, struct rd *body)
{
	struct gw *gw = r->gw;
	struct describe_cluster_res_broker b;
	struct describe_cluster_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(r->api->res, VER_ALL, body, &a, &s);
	if (e == E_OK && s.error_code == 0) {
		b = (struct describe_cluster_res_broker){
		    .broker_id = gw->up.node_id, .host = kstr_of(gw->host),
		    .port = gw->port, .rack = kstr_of(NULL) };
		s.brokers.n = 1;
		s.brokers.v = &b;
	}
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, &s);
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}

enum err
quorum_answer(struct req *r, struct rd *body)
{
	struct gw *gw = r->gw;
	struct describe_quorum_res_node_listener l = {
	    kstr_of("PLAINTEXT"), kstr_of(gw->host), (uint16_t)gw->port };
	struct describe_quorum_res_node node = { gw->up.node_id, { 1, &l } };
	struct describe_quorum_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(r->api->res, VER_ALL, body, &a, &s);
	/* Beside a partition that is described stands who votes on it. */
	if (e == E_OK && s.topics.n > 0 && s.topics.v[0].partitions.n > 0 &&
	    s.topics.v[0].partitions.v[0].error_code == 0) {
		s.nodes.n = 1;
		s.nodes.v = &node;
	}
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, &s);
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}
