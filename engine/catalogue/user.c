/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of users and the calls that change it.  A change is visible when
 * its records are durable, not before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "engine.h"
#include "lib/log.h"
#include "serve.h"

/* What becomes of one user. */
struct edit {
	struct kstr	 name;
	struct cred	 cred[SCRAMS];	/* none left: the user goes */
	int		 times;		/* that the request names it */
	enum err	 err;
	const char	*why;
};

/* One call, in its arena. */
struct user_change {
	struct user_change *next;
	struct call	*call;
	struct edit	*edits;
	int		 n;
	struct meta_put	 put;
	/* Makes edits of the request, and answers. */
	void		(*plan)(struct user_change *);
	void		(*answer)(struct user_change *);
};

/* ---- the table --------------------------------------------------------- */

static uint64_t
hash_name(struct kstr name)
{
	return hash_bytes(name.p, name.len > 0 ? (size_t)name.len : 0);
}

struct user *
user_find(const struct users *us, struct kstr name)
{
	HASH_FIND(x, &us->by_name, hash_name(name)) {
		struct user *u = HASH_OF(x, struct user, by_name);

		if (kstr_eq(kstr_of(u->name), name))
			return u;
	}
	return NULL;
}

static void
user_free(struct user *u)
{
	OPENSSL_cleanse(u->cred, sizeof u->cred);
	free(u->name);
	free(u);
}

static void
user_drop(struct users *us, struct kstr name)
{
	struct user *u = user_find(us, name);

	if (u == NULL)
		return;
	hash_drop(&us->by_name, &u->by_name);
	user_free(u);
}

/* cred: one of each mechanism. */
static enum err
user_put(struct users *us, struct kstr name, const struct cred *cred)
{
	struct user *u = user_find(us, name);
	enum err e = E_OK;

	if (u == NULL) {
		e = hash_room(&us->by_name);
		u = e == E_OK ? calloc(1, sizeof *u) : NULL;
		if (u == NULL)
			return E_NOMEM;
		u->name = strndup(name.p, (size_t)name.len);
		if (u->name == NULL) {
			free(u);
			return E_NOMEM;
		}
		hash_put(&us->by_name, &u->by_name, hash_name(name));
	}
	memcpy(u->cred, cred, sizeof u->cred);
	return E_OK;
}

void
users_free(struct users *us)
{
	HASH_EACH(x, &us->by_name)
		user_free(HASH_OF(x, struct user, by_name));
	hash_free(&us->by_name);
	*us = (struct users){ 0 };
}

/* ---- records ----------------------------------------------------------- */

static struct meta_user
record_of(const struct cred cred[SCRAMS], struct meta_user_cred v[SCRAMS])
{
	struct meta_user rec = { .creds = { 0, v } };

	for (int i = 0; i < SCRAMS; i++) {
		const struct cred *c = &cred[i];
		int32_t n = (int32_t)scram_size(c->mechanism);

		if (n > 0)
			v[rec.creds.n++] = (struct meta_user_cred){
			    (int8_t)c->mechanism, c->iterations,
			    { c->salt_len, c->salt }, { n, c->stored },
			    { n, c->server } };
	}
	return rec;
}

static struct meta_key
key_of(struct kstr name)
{
	return (struct meta_key){ (const uint8_t *)name.p, (size_t)name.len };
}

static enum err
cred_read(const struct meta_user_cred *v, struct cred *c)
{
	size_t n = scram_size(v->mechanism);

	if (n == 0 || v->stored_key.len != (int32_t)n ||
	    v->server_key.len != (int32_t)n || v->salt.len < 0 ||
	    v->salt.len > SCRAM_SALT_MAX || v->iterations < 1)
		return E_CORRUPT;
	c->mechanism = (uint8_t)v->mechanism;
	c->iterations = v->iterations;
	c->salt_len = (uint8_t)v->salt.len;
	memcpy(c->salt, v->salt.p, c->salt_len);
	memcpy(c->stored, v->stored_key.p, n);
	memcpy(c->server, v->server_key.p, n);
	return E_OK;
}

enum err
user_restore(struct engine *eng, const struct meta_key *key, const void *value)
{
	struct kstr name = { (int32_t)key->len, (const char *)key->p };
	const struct meta_user *rec = value;
	struct cred cred[SCRAMS] = { 0 };
	enum err e = E_OK;

	if (key->len < 1 || key->len > USER_NAME_MAX)
		return E_CORRUPT;
	if (value == NULL) {
		user_drop(&eng->users, name);
		return E_OK;
	}
	for (int32_t i = 0; e == E_OK && i < rec->creds.n; i++)
		e = scram_size(rec->creds.v[i].mechanism) == 0 ? E_CORRUPT :
		    cred_read(&rec->creds.v[i],
		    &cred[rec->creds.v[i].mechanism - 1]);
	return e == E_OK ? user_put(&eng->users, name, cred) : e;
}

void
users_snapshot(struct engine *eng, void (*put)(void *, enum meta_type,
    const struct meta_key *, const void *), void *arg)
{
	struct meta_user_cred v[SCRAMS];

	HASH_EACH(x, &eng->users.by_name) {
		struct user *u = HASH_OF(x, struct user, by_name);
		struct meta_user rec = record_of(u->cred, v);
		struct meta_key key = key_of(kstr_of(u->name));

		put(arg, MT_meta_user, &key, &rec);
	}
}

/* ---- changes ----------------------------------------------------------- */

static bool
is_empty(const struct cred cred[SCRAMS])
{
	return cred[0].mechanism == SCRAM_NONE &&
	    cred[1].mechanism == SCRAM_NONE;
}

static void	 change_run(struct users *);

/* The first of the line has had its answer. */
static void
change_end(struct user_change *ch)
{
	struct users *us = &ch->call->eng->users;

	us->waiting = ch->next;
	if (us->waiting == NULL)
		us->waiting_tail = &us->waiting;
	for (int i = 0; i < ch->n; i++)
		OPENSSL_cleanse(ch->edits[i].cred, sizeof ch->edits[i].cred);
	ch->answer(ch);
	change_run(us);
}

static void
change_durable(struct meta_put *put, enum err e)
{
	struct user_change *ch = (struct user_change *)((char *)put -
	    offsetof(struct user_change, put));
	struct users *us = &ch->call->eng->users;

	for (int i = 0; i < ch->n; i++) {
		struct edit *d = &ch->edits[i];

		if (d->err != E_OK)
			continue;
		d->err = e;
		if (e == E_OK && is_empty(d->cred))
			user_drop(us, d->name);
		else if (e == E_OK)
			d->err = user_put(us, d->name, d->cred);
		if (d->err == E_OK)
			log_info(is_empty(d->cred) ? "user removed" :
			    "user changed",
			    LSN("user", d->name.p, d->name.len),
			    LS("by", ch->call->session->principal));
	}
	change_end(ch);
}

static bool
change_write(struct user_change *ch)
{
	struct meta *m = &ch->call->eng->meta;
	struct meta_user_cred v[SCRAMS];
	bool some = false;

	for (int i = 0; i < ch->n; i++) {
		struct edit *d = &ch->edits[i];
		struct meta_user rec = record_of(d->cred, v);
		struct meta_key key = key_of(d->name);

		if (d->err != E_OK)
			continue;
		d->err = meta_write(m, MT_meta_user, &key,
		    is_empty(d->cred) ? NULL : &rec, NULL);
		some = some || d->err == E_OK;
	}
	return some;
}

static void
change_run(struct users *us)
{
	struct user_change *ch = us->waiting;

	if (ch == NULL)
		return;
	ch->plan(ch);
	if (change_write(ch)) {
		ch->put.done = change_durable;
		meta_wait(&ch->call->eng->meta, &ch->put);
	} else
		change_end(ch);
}

/* The call's answer, or what it waits for. */
static void
change_start(struct call *c, int32_t n, void (*plan)(struct user_change *),
    void (*answer)(struct user_change *))
{
	struct users *us = &c->eng->users;
	struct user_change *ch = arena_alloc(&c->arena, sizeof *ch);
	bool first = us->waiting == NULL;

	if (ch != NULL)
		ch->edits = arena_array(&c->arena, (size_t)n + 1,
		    sizeof *ch->edits);
	if (ch == NULL || ch->edits == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	ch->call = c;
	ch->plan = plan;
	ch->answer = answer;
	if (us->waiting_tail == NULL || first)
		us->waiting_tail = &us->waiting;
	*us->waiting_tail = ch;
	us->waiting_tail = &ch->next;
	if (first)
		change_run(us);
}

static void
refuse(struct edit *d, enum err e, const char *why)
{
	if (d->err == E_OK) {
		d->err = e;
		d->why = why;
	}
}

/* The edit of a user, with what it has now.  Requests are short, but nothing
 * says so: sorting would not keep their order. */
static struct edit *
edit_of(struct user_change *ch, struct kstr name)
{
	struct user *u = user_find(&ch->call->eng->users, name);
	struct edit *d;

	for (int i = 0; i < ch->n; i++)
		if (kstr_eq(ch->edits[i].name, name)) {
			ch->edits[i].times++;
			return &ch->edits[i];
		}
	d = &ch->edits[ch->n++];
	d->name = name;
	d->times = 1;
	if (u != NULL)
		memcpy(d->cred, u->cred, sizeof d->cred);
	if (name.len <= 0)
		refuse(d, E_UNACCEPTABLE_CREDENTIAL,
		    "a user name must not be empty");
	else if (name.len > USER_NAME_MAX ||
	    memchr(name.p, '\0', (size_t)name.len) != NULL)
		refuse(d, E_UNACCEPTABLE_CREDENTIAL,
		    "a user name has at most 255 bytes, and no zero byte");
	return d;
}

/* A mechanism, salt and salted password that came with a request. */
static void
edit_cred(struct edit *d, int8_t mechanism, int32_t iterations,
    struct kbytes salt, struct kbytes salted)
{
	size_t n = scram_size(mechanism);
	struct cred c = { .mechanism = (uint8_t)mechanism,
	    .iterations = iterations };
	enum err e;

	if (n == 0)
		refuse(d, E_UNSUPPORTED_SASL, "unknown SCRAM mechanism");
	else if (iterations < SCRAM_ITERATIONS_MIN)
		refuse(d, E_UNACCEPTABLE_CREDENTIAL, "too few iterations");
	else if (iterations > SCRAM_ITERATIONS_MAX)
		refuse(d, E_UNACCEPTABLE_CREDENTIAL, "too many iterations");
	else if (salt.len < 0 || salt.len > SCRAM_SALT_MAX)
		refuse(d, E_UNACCEPTABLE_CREDENTIAL,
		    "a salt has at most 128 bytes");
	else if (salted.len != (int32_t)n)
		refuse(d, E_UNACCEPTABLE_CREDENTIAL,
		    "the salted password has the wrong length");
	if (d->err != E_OK)
		return;
	c.salt_len = (uint8_t)salt.len;
	if (salt.len > 0)
		memcpy(c.salt, salt.p, c.salt_len);
	e = scram_keys(&c, salted.p);
	OPENSSL_cleanse((void *)(uintptr_t)salted.p, n);
	if (e != E_OK)
		refuse(d, e, "out of memory");
	else
		d->cred[mechanism - 1] = c;
	OPENSSL_cleanse(&c, sizeof c);
}

/* There is room for those that are new. */
static void
check_room(struct user_change *ch)
{
	size_t n = ch->call->eng->users.by_name.n;

	for (int i = 0; i < ch->n; i++)
		if (ch->edits[i].err == E_OK && !is_empty(ch->edits[i].cred) &&
		    user_find(&ch->call->eng->users, ch->edits[i].name) ==
		    NULL && ++n > USERS_MAX)
			refuse(&ch->edits[i], E_POLICY_VIOLATION,
			    "there are too many users");
}

/* ---- Kafka's calls ----------------------------------------------------- */

static const char twice[] = "a user is named twice in the request";

static void
alter_plan(struct user_change *ch)
{
	struct alter_user_scram_credentials_req *q = ch->call->req;
	struct edit *d;

	for (int32_t i = 0; i < q->deletions.n; i++) {
		int8_t m = q->deletions.v[i].mechanism;

		d = edit_of(ch, q->deletions.v[i].name);
		if (d->times > 1)
			refuse(d, E_DUPLICATE_RESOURCE, twice);
		else if (scram_size(m) == 0)
			refuse(d, E_UNSUPPORTED_SASL,
			    "unknown SCRAM mechanism");
		else if (d->cred[m - 1].mechanism == SCRAM_NONE)
			refuse(d, E_RESOURCE_NOT_FOUND,
			    "there is no such credential");
		else
			d->cred[m - 1] = (struct cred){ 0 };
	}
	for (int32_t i = 0; i < q->upsertions.n; i++) {
		d = edit_of(ch, q->upsertions.v[i].name);
		if (d->times > 1)
			refuse(d, E_DUPLICATE_RESOURCE, twice);
		else
			edit_cred(d, q->upsertions.v[i].mechanism,
			    q->upsertions.v[i].iterations,
			    q->upsertions.v[i].salt,
			    q->upsertions.v[i].salted_password);
	}
	for (int i = 0; i < ch->n; i++)
		if (ch->edits[i].times > 1) {
			ch->edits[i].err = E_DUPLICATE_RESOURCE;
			ch->edits[i].why = twice;
		}
	check_room(ch);
}

static void
alter_answer(struct user_change *ch)
{
	struct alter_user_scram_credentials_res s = { 0 };
	struct call *c = ch->call;

	s.results.v = arena_array(&c->arena, (size_t)ch->n + 1,
	    sizeof *s.results.v);
	if (s.results.v == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	for (int i = 0; i < ch->n; i++) {
		struct edit *d = &ch->edits[i];

		s.results.v[s.results.n++] =
		    (struct alter_user_scram_credentials_res_result){
		    d->name, err_code(d->err), kstr_of(d->why != NULL ||
		    d->err == E_OK ? d->why : err_text(d->err)) };
	}
	call_reply(c, &s);
}

enum { EDITS_MAX = 1000 };	/* each is compared with each */

static const char too_many[] = "more than 1000 users in one request";

static void
alter_refuse(struct call *c)
{
	struct alter_user_scram_credentials_req *q = c->req;
	int32_t nd = q->deletions.n, n = nd + q->upsertions.n;
	struct alter_user_scram_credentials_res s = { 0 };

	s.results.v = arena_array(&c->arena, (size_t)n,
	    sizeof *s.results.v);
	if (s.results.v == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	for (int32_t i = 0; i < n; i++)
		s.results.v[s.results.n++] =
		    (struct alter_user_scram_credentials_res_result){
		    i < nd ? q->deletions.v[i].name :
		    q->upsertions.v[i - nd].name, err_code(E_INVALID_REQUEST),
		    kstr_of(too_many) };
	call_reply(c, &s);
}

void
handle_alter_user_scram(struct call *c)
{
	struct alter_user_scram_credentials_req *q = c->req;

	if (q->deletions.n < 0)
		q->deletions.n = 0;
	if (q->upsertions.n < 0)
		q->upsertions.n = 0;
	if (q->deletions.n > EDITS_MAX ||
	    q->upsertions.n > EDITS_MAX - q->deletions.n)
		alter_refuse(c);
	else
		change_start(c, q->deletions.n + q->upsertions.n, alter_plan,
		    alter_answer);
}

#define CREDENTIAL(m, n) \
	(struct describe_user_scram_credentials_res_result_credential_info){ \
	    m, n }

static enum err
describe_one(struct call *c, const struct user *u,
    struct describe_user_scram_credentials_res_result *r)
{
	r->user = kstr_of(arena_strndup(&c->arena, u->name, strlen(u->name)));
	r->error_message.len = -1;
	r->credential_infos.v = arena_array(&c->arena, SCRAMS,
	    sizeof *r->credential_infos.v);
	if (r->user.len < 0 || r->credential_infos.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < SCRAMS; i++)
		if (u->cred[i].mechanism != SCRAM_NONE)
			r->credential_infos.v[r->credential_infos.n++] =
			    CREDENTIAL((int8_t)u->cred[i].mechanism,
			    u->cred[i].iterations);
	return E_OK;
}

static bool
named_before(const struct describe_user_scram_credentials_req *q, int32_t i)
{
	for (int32_t j = 0; j < i; j++)
		if (kstr_eq(q->users.v[j].name, q->users.v[i].name))
			return true;
	return false;
}

static bool
named_again(const struct describe_user_scram_credentials_req *q, int32_t i)
{
	for (int32_t j = i + 1; j < q->users.n; j++)
		if (kstr_eq(q->users.v[j].name, q->users.v[i].name))
			return true;
	return false;
}

static enum err
describe_named(struct call *c, struct describe_user_scram_credentials_res *s)
{
	struct describe_user_scram_credentials_req *q = c->req;
	struct describe_user_scram_credentials_res_result *r;
	enum err e = E_OK;

	for (int32_t i = 0; e == E_OK && i < q->users.n; i++) {
		struct user *u = user_find(&c->eng->users, q->users.v[i].name);
		enum err bad = named_again(q, i) ? E_DUPLICATE_RESOURCE :
		    u == NULL ? E_RESOURCE_NOT_FOUND : E_OK;

		if (named_before(q, i))
			continue;
		r = &s->results.v[s->results.n++];
		if (bad == E_OK) {
			e = describe_one(c, u, r);
			continue;
		}
		r->user = q->users.v[i].name;
		r->error_code = err_code(bad);
		r->error_message = kstr_of(u == NULL ?
		    "there is no such user" : twice);
	}
	return e;
}

void
handle_describe_user_scram(struct call *c)
{
	struct describe_user_scram_credentials_req *q = c->req;
	struct describe_user_scram_credentials_res s = {
	    .error_message = { -1, NULL } };
	const struct users *us = &c->eng->users;
	bool all = q->users.n <= 0;
	enum err e = E_OK;

	if (q->users.n > EDITS_MAX) {
		s.error_code = err_code(E_INVALID_REQUEST);
		s.error_message = kstr_of(too_many);
		call_reply(c, &s);
		return;
	}
	c->arena.limit += (size_t)256 * MIB;
	s.results.v = arena_array(&c->arena, (all ? us->by_name.n :
	    (size_t)q->users.n) + 1, sizeof *s.results.v);
	if (s.results.v == NULL)
		e = E_NOMEM;
	if (e == E_OK && !all)
		e = describe_named(c, &s);
	if (all)
		HASH_EACH(x, &us->by_name)
			if (e == E_OK)
				e = describe_one(c, HASH_OF(x, struct user,
				    by_name), &s.results.v[s.results.n++]);
	if (e != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &s);
}

/* ---- our own call ------------------------------------------------------ */

static void
user_plan(struct user_change *ch)
{
	struct user_req *q = ch->call->req;
	struct edit *d = edit_of(ch, q->name);
	bool there = user_find(&ch->call->eng->users, q->name) != NULL;

	if (q->verb == USER_ADD && there)
		refuse(d, E_DUPLICATE_RESOURCE, "the user is there already");
	if (q->verb != USER_ADD && !there)
		refuse(d, E_RESOURCE_NOT_FOUND, "there is no such user");
	if (q->verb < USER_ADD || q->verb > USER_REMOVE ||
	    (q->verb == USER_REMOVE) != (q->creds.n <= 0))
		refuse(d, E_INVALID_REQUEST, "malformed request");
	if (d->err != E_OK)
		return;
	memset(d->cred, 0, sizeof d->cred);
	for (int32_t i = 0; i < q->creds.n; i++)
		edit_cred(d, q->creds.v[i].mechanism,
		    q->creds.v[i].iterations, q->creds.v[i].salt,
		    q->creds.v[i].salted_password);
	check_room(ch);
}

static void
user_answer(struct user_change *ch)
{
	struct edit *d = &ch->edits[0];
	struct user_res s = { (int16_t)d->err, kstr_of(d->why) };

	call_reply(ch->call, &s);
}

void
handle_user(struct call *c)
{
	change_start(c, 1, user_plan, user_answer);
}
