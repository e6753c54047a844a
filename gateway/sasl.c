/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication, as far as a gateway has to do with it: which requests a
 * connection may make, in what order, and the way of a client's tokens to the
 * engine and back.  It keeps no secret; the engine says who somebody is.
 *
 *	NEW -> TOKEN (handshake v1) -> DONE
 *	    -> RAW   (handshake v0) -> DONE
 *	DONE -> TOKEN or RAW, again: before the lifetime is over (KIP-368)
 *	any -> FAILED: answered and closed, after a delay
 *
 * OFF: this listener asks nobody.  KIP-43, KIP-152.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "conn.h"
#include "lib/ipc.h"
#include "lib/log.h"

#define AGAIN_MS	1000	/* between re-authentications */

enum { MECHANISMS = 1 };

static const char *const known[MECHANISMS] = { "PLAIN" };

bool
sasl_setup(struct gw *gw, char *why, size_t size)
{
	const char *s = gw->conf.sasl_enabled_mechanisms;
	size_t n;

	if (gw->conf.security_protocol == SECURITY_PLAINTEXT)
		return true;
	for (;; s += n + 1) {
		n = strcspn(s, ",");
		if (n != strlen(known[0]) || memcmp(s, known[0], n) != 0) {
			snprintf(why, size, "--sasl-enabled-mechanisms \"%s\": "
			    "\"%.*s\" is not one of: %s",
			    gw->conf.sasl_enabled_mechanisms, (int)n, s,
			    known[0]);
			return false;
		}
		if (s[n] == '\0')
			return true;
	}
}

void
sasl_open(struct conn *c)
{
	if (c->gw->conf.security_protocol == SECURITY_PLAINTEXT)
		return;
	c->sasl.state = SASL_NEW;
	if (c->frame_max > FRAME_PREAUTH_MAX)
		c->frame_max = FRAME_PREAUTH_MAX;
}

/*
 * Failing.
 */
static void
failed(struct conn *c)
{
	struct req *r = c->sasl.last;

	c->sasl.last = NULL;
	if (r->out.len > 0)
		req_reply(r);
	else
		req_free(r);
	conn_end(c, "authentication failed");
}

/* The request, whose answer is in out unless it gets none, is the last. */
static void
fail(struct req *r)
{
	struct conn *c = r->conn;

	c->sasl.state = SASL_FAILED;
	c->sasl.last = r;
	conn_pause(c, (uint64_t)
	    c->gw->conf.connection_failed_authentication_delay_ms, failed);
}

static enum err
authenticate_error(struct req *r, enum err e, struct kstr why)
{
	struct sasl_authenticate_res s = { .error_code = err_code(e),
	    .error_message = why, .auth_bytes = { 0, (const uint8_t *)"" } };

	return r->raw ? E_OK : req_encode(r,
	    &kafka_msgs[KM_sasl_authenticate_res], r->version, &s);
}

/*
 * Which requests.
 */

/* One that has no place here, but says what it should. */
static enum err
misplaced(struct req *r)
{
	struct sasl_authenticate_req q;
	struct arena a;
	enum err e;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	arena_reset(&a);
	return e != E_OK ? e : authenticate_error(r, E_SASL_STATE,
	    kstr_of(r->conn->sasl.state == SASL_NEW ?
	    "there was no handshake" : "there is nothing to authenticate"));
}

bool
sasl_gate(struct req *r)
{
	struct conn *c = r->conn;
	bool shake = r->api->req->key == API_SASL_HANDSHAKE;
	bool token = r->api->req->key == API_SASL_AUTHENTICATE;
	enum err e;

	switch (c->sasl.state) {
	case SASL_OFF:
		if (!token)
			return true;
		break;
	case SASL_DONE:
		if (!shake && c->sasl.ends != 0 &&
		    uv_now(&c->gw->loop) >= c->sasl.ends) {
			req_fail(r, "authentication has expired");
			return false;
		}
		if (!token)
			return true;
		break;
	case SASL_NEW:
		if (shake || r->api->req->key == API_VERSIONS)
			return true;
		break;
	case SASL_TOKEN:
		if (shake || token || r->api->req->key == API_VERSIONS)
			return true;
		break;
	case SASL_RAW:
		return true;
	case SASL_FAILED:
		break;
	}
	if (!token) {
		req_fail(r, "request without authentication");
		return false;
	}
	e = misplaced(r);
	if (e != E_OK)
		req_fail(r, "request cannot be read");
	else if (c->sasl.state == SASL_NEW)
		fail(r);
	else
		req_reply(r);
	return false;
}

/*
 * Handshake.
 */
static enum err
handshake_verdict(struct conn *c, struct kstr mechanism)
{
	uint64_t now = uv_now(&c->gw->loop);

	switch (c->sasl.state) {
	case SASL_NEW:
		break;
	case SASL_DONE:
		/* Without an end there is nothing to renew. */
		if (c->sasl.ends == 0 || (c->sasl.again_from != 0 &&
		    now - c->sasl.again_from < AGAIN_MS))
			return E_SASL_STATE;
		c->sasl.again_from = now;
		break;
	case SASL_OFF:
	case SASL_TOKEN:
	case SASL_RAW:
	case SASL_FAILED:
		return E_SASL_STATE;
	}
	return kstr_eq(mechanism, kstr_of(known[0])) ? E_OK :
	    E_UNSUPPORTED_SASL;
}

enum err
sasl_handshake(struct req *r)
{
	struct kstr names[MECHANISMS] = { kstr_of(known[0]) };
	struct conn *c = r->conn;
	struct sasl_handshake_req q;
	struct sasl_handshake_res s = { 0 };
	struct arena a;
	enum err e, v;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	v = e == E_OK ? handshake_verdict(c, q.mechanism) : e;
	arena_reset(&a);
	s.error_code = err_code(v);
	if (c->sasl.state != SASL_OFF) {
		s.mechanisms.n = MECHANISMS;
		s.mechanisms.v = names;
	}
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, &s);
	if (e != E_OK)
		return e;
	if (v == E_UNSUPPORTED_SASL || (v != E_OK &&
	    c->sasl.state == SASL_TOKEN)) {
		fail(r);
		return E_OK;
	}
	if (v == E_OK)
		c->sasl.state = r->version == 0 ? SASL_RAW : SASL_TOKEN;
	req_reply(r);
	return E_OK;
}

/*
 * Tokens.
 */
enum err
sasl_send(struct req *r)
{
	struct auth_req out = { .mechanism = kstr_of(known[0]) };
	struct sasl_authenticate_req q;
	struct arena a;
	enum err e = E_OK;

	arena_for_frame(&a, r->frame_len);
	if (r->raw)
		out.bytes = (struct kbytes){ (int32_t)r->frame_len, r->frame };
	else if ((e = req_decode(r, &a, &q)) == E_OK)
		out.bytes = q.auth_bytes;
	if (e == E_OK)
		e = up_send(r, &out);
	arena_reset(&a);
	return e;
}

/* What the engine gave for the next link. */
static enum err
keep_token(struct sasl *x, struct kbytes t)
{
	uint8_t *p = NULL;

	if (t.len > AUTH_TOKEN_MAX)
		return E_PROTO;
	if (t.len > 0) {
		if ((p = malloc((size_t)t.len)) == NULL)
			return E_NOMEM;
		memcpy(p, t.p, (size_t)t.len);
	}
	free(x->token.p);
	x->token.p = p;
	x->token.len = p == NULL ? -1 : t.len;
	return E_OK;
}

static enum err
encode_success(struct req *r, const struct auth_res *a)
{
	struct sasl_authenticate_res s = { .error_message = { -1, NULL },
	    .auth_bytes = a->bytes, .session_lifetime_ms = a->lifetime_ms };
	struct wr w;

	if (s.auth_bytes.len < 0)
		s.auth_bytes = (struct kbytes){ 0, (const uint8_t *)"" };
	if (!r->raw)
		return req_encode(r, r->api->res, r->version, &s);
	w = wr_grow(FRAME_PREAUTH_MAX);
	wr_i32(&w, s.auth_bytes.len);
	wr_bytes(&w, s.auth_bytes.p, (size_t)s.auth_bytes.len);
	r->out = w;
	return w.bad ? E_NOMEM : E_OK;
}

static enum err
succeed(struct req *r, const struct auth_res *a)
{
	struct conn *c = r->conn;
	enum err e = keep_token(&c->sasl, a->token);

	if (e == E_OK)
		e = encode_success(r, a);
	if (e != E_OK)
		return e;
	c->sasl.state = SASL_DONE;
	c->sasl.ends = a->lifetime_ms <= 0 ? 0 :
	    uv_now(&c->gw->loop) + (uint64_t)a->lifetime_ms;
	c->frame_max = (uint32_t)c->gw->conf.socket_request_max_bytes;
	req_reply(r);
	return E_OK;
}

enum err
sasl_answer(struct req *r, struct rd *body)
{
	struct auth_res s;
	struct arena a;
	enum err e;

	arena_for_engine(&a, rd_left(body));
	e = msg_read(ipc_res(IPC_AUTH), VER_ALL, body, &a, &s);
	if (e == E_OK && s.error == E_OK)
		e = succeed(r, &s);
	else if (e == E_OK && (s.error == E_SASL_FAILED ||
	    s.error == E_SASL_STATE || s.error == E_UNSUPPORTED_SASL)) {
		e = authenticate_error(r, (enum err)s.error, s.message);
		if (e == E_OK)
			fail(r);
	} else if (e == E_OK)
		req_fail(r, "the engine cannot authenticate now");
	arena_reset(&a);
	return e;
}
