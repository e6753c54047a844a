/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of quotas, DescribeClientQuotas and AlterClientQuotas.  A change
 * is visible when its record is durable, not before; one call is worked on at
 * a time, since what it does depends on what is there.
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/log.h"
#include "serve.h"

const char *const quota_names[QUOTA_KEYS] = { "producer_byte_rate",
    "consumer_byte_rate", "request_percentage", "controller_mutation_rate",
    "connection_creation_rate" };

static const char *const types[ENTITIES] = { "user", "client-id", "ip" };

enum { KEY_MAX = 4 * KIB, ENTRIES_MAX = 1000 };

/* ---- entities and keys ------------------------------------------------- */

/* Three times: kind 1, and of a name its length 2 and bytes. */
static size_t
key_write(uint8_t key[KEY_MAX], const struct entity *e)
{
	struct wr w = wr_fixed(key, KEY_MAX);

	for (int i = 0; i < ENTITIES; i++) {
		struct kstr n = e->name[i];

		wr_i8(&w, n.len == ABSENT ? ENTITY_NONE : n.len < 0 ?
		    ENTITY_DEFAULT : ENTITY_NAMED);
		if (n.len >= 0) {
			wr_i16(&w, (int16_t)n.len);
			wr_bytes(&w, n.p, (size_t)n.len);
		}
	}
	return w.bad ? 0 : w.len;
}

/* Names are borrowed from the key. */
static enum err
key_read(const uint8_t *key, size_t len, struct entity *e)
{
	struct rd r = rd_of(key, len);

	for (int i = 0; i < ENTITIES; i++) {
		int kind = rd_i8(&r), n;

		e->name[i] = (struct kstr){ kind == ENTITY_NONE ? ABSENT : -1,
		    NULL };
		if (kind != ENTITY_NAMED)
			continue;
		n = rd_i16(&r);
		if (n < 1)
			return E_CORRUPT;
		e->name[i] = (struct kstr){ n, (const char *)rd_take(&r,
		    (size_t)n) };
	}
	return rd_done(&r) && len <= KEY_MAX ? E_OK : E_CORRUPT;
}

/* ---- the table --------------------------------------------------------- */

static struct quota *
find_key(const struct quotas *qs, const uint8_t *key, size_t n)
{
	HASH_FIND(x, &qs->by_key, hash_bytes(key, n)) {
		struct quota *q = HASH_OF(x, struct quota, by_key);

		if (q->key_len == n && memcmp(q->key, key, n) == 0)
			return q;
	}
	return NULL;
}

static struct quota *
find(const struct quotas *qs, const struct entity *e)
{
	uint8_t key[KEY_MAX];
	size_t n = qs->by_key.n == 0 ? 0 : key_write(key, e);

	return n == 0 ? NULL : find_key(qs, key, n);
}

double
quota_get(const struct quotas *qs, const struct entity *e, enum quota_key k)
{
	const struct quota *q = find(qs, e);

	return q == NULL ? 0 : q->value[k];
}

/* Something has changed: every session looks again. */
static void
changed(struct quotas *qs)
{
	qs->gen++;
	memset(qs->any, 0, sizeof qs->any);
	HASH_EACH(x, &qs->by_key) {
		const struct quota *q = HASH_OF(x, struct quota, by_key);

		for (int k = 0; k < QUOTA_KEYS; k++)
			qs->any[k] = qs->any[k] || q->value[k] > 0;
	}
	if (qs->by_key.n == 0)
		throttle_reset(qs);
}

static bool
is_empty(const double value[QUOTA_KEYS])
{
	for (int k = 0; k < QUOTA_KEYS; k++)
		if (value[k] > 0)
			return false;
	return true;
}

static void
drop(struct quotas *qs, struct quota *q)
{
	if (q == NULL)
		return;
	hash_drop(&qs->by_key, &q->by_key);
	free(q->key);
	free(q);
}

static enum err
put(struct quotas *qs, const uint8_t *key, size_t n,
    const double value[QUOTA_KEYS])
{
	struct quota *q = find_key(qs, key, n);
	enum err e;

	if (q == NULL) {
		e = hash_room(&qs->by_key);
		q = e == E_OK ? calloc(1, sizeof *q) : NULL;
		if (q == NULL || (q->key = malloc(n)) == NULL) {
			free(q);
			return E_NOMEM;
		}
		memcpy(q->key, key, n);
		q->key_len = n;
		hash_put(&qs->by_key, &q->by_key, hash_bytes(key, n));
	}
	memcpy(q->value, value, sizeof q->value);
	return E_OK;
}

void
quotas_free(struct quotas *qs)
{
	throttle_reset(qs);
	HASH_EACH(x, &qs->by_key)
		drop(qs, HASH_OF(x, struct quota, by_key));
	hash_free(&qs->by_key);
	*qs = (struct quotas){ 0 };
}

/* ---- records ----------------------------------------------------------- */

static int
key_of(struct kstr name)
{
	for (int k = 0; k < QUOTA_KEYS; k++)
		if (kstr_eq(kstr_of(quota_names[k]), name))
			return k;
	return -1;
}

static struct meta_quota
record_of(const double value[QUOTA_KEYS], struct meta_quota_value *v)
{
	struct meta_quota rec = { .values = { 0, v } };

	for (int k = 0; k < QUOTA_KEYS; k++)
		if (value[k] > 0)
			v[rec.values.n++] = (struct meta_quota_value){
			    kstr_of(quota_names[k]), value[k] };
	return rec;
}

enum err
quota_restore(struct engine *eng, const struct meta_key *key,
    const void *value)
{
	const struct meta_quota *rec = value;
	double v[QUOTA_KEYS] = { 0 };
	struct entity e;
	enum err err = key_read(key->p, key->len, &e);

	for (int32_t i = 0; err == E_OK && value != NULL && i < rec->values.n;
	    i++) {
		int k = key_of(rec->values.v[i].key);

		if (k < 0 || !(rec->values.v[i].value > 0))
			return E_CORRUPT;
		v[k] = rec->values.v[i].value;
	}
	if (err == E_OK && is_empty(v))
		drop(&eng->quotas, find_key(&eng->quotas, key->p,
		    key->len));
	else if (err == E_OK)
		err = put(&eng->quotas, key->p, key->len, v);
	changed(&eng->quotas);
	return err;
}

void
quotas_snapshot(struct engine *eng, void (*out)(void *, enum meta_type,
    const struct meta_key *, const void *), void *arg)
{
	struct meta_quota_value v[QUOTA_KEYS];

	HASH_EACH(x, &eng->quotas.by_key) {
		struct quota *q = HASH_OF(x, struct quota, by_key);
		struct meta_quota rec = record_of(q->value, v);
		struct meta_key key = { q->key, q->key_len };

		out(arg, MT_meta_quota, &key, &rec);
	}
}

/* ---- alter ------------------------------------------------------------- */

struct edit {
	struct entity	 entity;
	double		 value[QUOTA_KEYS];
	enum err	 err;
	char		*why;		/* in the call's arena, or constant */
};

/* A call, in its arena. */
struct quota_change {
	struct quota_change *next;
	struct call	*call;
	struct edit	*edits;
	int		 n;
	struct meta_put	 put;
};

static void
refuse(struct call *c, struct edit *d, const char *why, struct kstr what)
{
	char line[256];
	int n;

	if (d->err != E_OK)
		return;
	d->err = E_INVALID_REQUEST;
	n = snprintf(line, sizeof line, "%s%.*s", why,
	    what.len > 100 ? 100 : what.len < 0 ? 0 : (int)what.len,
	    what.len < 0 ? "" : what.p);
	d->why = arena_strndup(&c->arena, line, (size_t)n);
}

static const struct kstr nothing = { -1, NULL };

static bool
is_address(struct kstr s)
{
	struct in6_addr a;
	char text[CLIENT_HOST_MAX];

	if (s.len <= 0 || s.len >= CLIENT_HOST_MAX)
		return false;
	memcpy(text, s.p, (size_t)s.len);
	text[s.len] = '\0';
	return inet_pton(AF_INET, text, &a) == 1 ||
	    inet_pton(AF_INET6, text, &a) == 1;
}

static void
check_entity(struct call *c, const struct alter_client_quotas_req_entry *q,
    struct edit *d)
{
	for (int i = 0; i < ENTITIES; i++)
		d->entity.name[i] = (struct kstr){ ABSENT, NULL };
	for (int32_t i = 0; i < q->entity.n; i++) {
		struct kstr name = q->entity.v[i].entity_name;
		int t = 0;

		while (t < ENTITIES && !kstr_eq(kstr_of(types[t]),
		    q->entity.v[i].entity_type))
			t++;
		if (t == ENTITIES)
			refuse(c, d, "unknown entity type ",
			    q->entity.v[i].entity_type);
		else if (d->entity.name[t].len != ABSENT)
			refuse(c, d, "entity type given twice: ",
			    kstr_of(types[t]));
		else if (name.len == 0 || name.len > (t == ENTITY_CLIENT ?
		    CLIENT_ID_MAX : USER_NAME_MAX))
			refuse(c, d, "name is empty or too long: ",
			    kstr_of(types[t]));
		else
			d->entity.name[t] = name;
	}
	if (d->err != E_OK)
		return;
	if (q->entity.n <= 0)
		refuse(c, d, "an entity must not be empty", nothing);
	else if (d->entity.name[ENTITY_IP].len != ABSENT) {
		if (d->entity.name[ENTITY_USER].len != ABSENT ||
		    d->entity.name[ENTITY_CLIENT].len != ABSENT)
			refuse(c, d, "an address stands alone", nothing);
		else if (d->entity.name[ENTITY_IP].len >= 0 &&
		    !is_address(d->entity.name[ENTITY_IP]))
			refuse(c, d, "not an IP address: ",
			    d->entity.name[ENTITY_IP]);
	}
}

static void
check_op(struct call *c, struct edit *d,
    const struct alter_client_quotas_req_entry_op *op)
{
	bool ip = d->entity.name[ENTITY_IP].len != ABSENT;
	int k = key_of(op->key);

	/* A key that is removed need not be one. */
	if (op->remove) {
		if (k >= 0)
			d->value[k] = 0;
		return;
	}
	if (k < 0 || (k == QUOTA_CONNECT) != ip)
		refuse(c, d, "no quota of this entity: ", op->key);
	else if (!(op->value > 0) || !isfinite(op->value))
		refuse(c, d, "a quota must be greater than 0: ", op->key);
	else if (k != QUOTA_TIME && k != QUOTA_MUTATE &&
	    (op->value > 9e15 || fabs(op->value - nearbyint(op->value)) >
	    1e-6))
		refuse(c, d, "must be a whole number: ", op->key);
	else if (k == QUOTA_CONNECT && op->value > INT32_MAX)
		refuse(c, d, "too large: ", op->key);
	else
		d->value[k] = op->value;
}

static bool
same_entity(const struct entity *a, const struct entity *b)
{
	for (int i = 0; i < ENTITIES; i++)
		if (!kstr_eq(a->name[i], b->name[i]))
			return false;
	return true;
}

static void
plan(struct quota_change *ch)
{
	struct alter_client_quotas_req *q = ch->call->req;
	size_t n = ch->call->eng->quotas.by_key.n;

	for (int32_t i = 0; i < q->entries.n; i++) {
		const struct alter_client_quotas_req_entry *en =
		    &q->entries.v[i];
		struct edit *d = &ch->edits[ch->n++];
		const struct quota *was;

		check_entity(ch->call, en, d);
		for (int j = 0; d->err == E_OK && j < i; j++)
			if (same_entity(&ch->edits[j].entity, &d->entity))
				refuse(ch->call, d, "an entity is named twice",
				    nothing);
		was = d->err == E_OK ? find(&ch->call->eng->quotas,
		    &d->entity) : NULL;
		if (was != NULL)
			memcpy(d->value, was->value, sizeof d->value);
		for (int32_t k = 0; d->err == E_OK && k < en->ops.n; k++) {
			for (int32_t j = 0; j < k; j++)
				if (kstr_eq(en->ops.v[j].key,
				    en->ops.v[k].key))
					refuse(ch->call, d, "key given "
					    "twice: ", en->ops.v[k].key);
			check_op(ch->call, d, &en->ops.v[k]);
		}
		if (d->err == E_OK && was == NULL && !is_empty(d->value) &&
		    ++n > QUOTAS_MAX)
			refuse(ch->call, d, "there are too many quotas",
			    nothing);
	}
}

static void
answer(struct quota_change *ch)
{
	struct call *c = ch->call;
	struct alter_client_quotas_req *q = c->req;
	struct alter_client_quotas_res s = { 0 };

	s.entries.v = arena_array(&c->arena, (size_t)ch->n + 1,
	    sizeof *s.entries.v);
	if (s.entries.v == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	for (int i = 0; i < ch->n; i++) {
		struct alter_client_quotas_res_entry *r =
		    &s.entries.v[s.entries.n++];
		struct edit *d = &ch->edits[i];

		r->error_code = err_code(d->err);
		r->error_message = kstr_of(d->err == E_OK ? NULL :
		    d->why != NULL ? d->why : err_text(d->err));
		/* The rows of both are the same. */
		_Static_assert(
		    sizeof(struct alter_client_quotas_res_entry_entity) ==
		    sizeof(struct alter_client_quotas_req_entry_entity), "");
		r->entity.n = q->entries.v[i].entity.n;
		r->entity.v = (void *)q->entries.v[i].entity.v;
		if (r->entity.n < 0)
			r->entity.n = 0;
	}
	call_reply(c, &s);
}

static void	 change_run(struct quotas *);

static void
change_end(struct quota_change *ch)
{
	struct quotas *qs = &ch->call->eng->quotas;

	qs->waiting = ch->next;
	answer(ch);
	change_run(qs);
}

static void
change_durable(struct meta_put *p, enum err e)
{
	struct quota_change *ch = (struct quota_change *)((char *)p -
	    offsetof(struct quota_change, put));
	struct quotas *qs = &ch->call->eng->quotas;
	uint8_t key[KEY_MAX];

	for (int i = 0; i < ch->n; i++) {
		struct edit *d = &ch->edits[i];
		size_t n = d->err == E_OK ? key_write(key, &d->entity) : 0;

		if (d->err != E_OK)
			continue;
		d->err = e;
		if (e == E_OK && is_empty(d->value))
			drop(qs, find_key(qs, key, n));
		else if (e == E_OK)
			d->err = put(qs, key, n, d->value);
	}
	changed(qs);
	log_info("client quotas changed", LI("entities", ch->n),
	    LS("by", ch->call->session->principal));
	change_end(ch);
}

static bool
change_write(struct quota_change *ch)
{
	struct alter_client_quotas_req *q = ch->call->req;
	struct meta_quota_value v[QUOTA_KEYS];
	uint8_t key[KEY_MAX];
	bool some = false;

	for (int i = 0; !q->validate_only && i < ch->n; i++) {
		struct edit *d = &ch->edits[i];
		struct meta_quota rec = record_of(d->value, v);
		struct meta_key k = { key, 0 };

		if (d->err != E_OK)
			continue;
		k.len = key_write(key, &d->entity);
		d->err = meta_write(&ch->call->eng->meta, MT_meta_quota, &k,
		    is_empty(d->value) ? NULL : &rec, NULL);
		some = some || d->err == E_OK;
	}
	return some;
}

static void
change_run(struct quotas *qs)
{
	struct quota_change *ch = qs->waiting;

	if (ch == NULL)
		return;
	plan(ch);
	if (change_write(ch)) {
		ch->put.done = change_durable;
		meta_wait(&ch->call->eng->meta, &ch->put);
	} else
		change_end(ch);
}

void
handle_alter_client_quotas(struct call *c)
{
	struct alter_client_quotas_req *q = c->req;
	struct quotas *qs = &c->eng->quotas;
	struct quota_change *ch, **tail;

	if (q->entries.n < 0)
		q->entries.n = 0;
	c->arena.limit += (size_t)q->entries.n * (sizeof(struct edit) + 512);
	ch = arena_alloc(&c->arena, sizeof *ch);
	if (ch != NULL)
		ch->edits = arena_array(&c->arena, (size_t)q->entries.n + 1,
		    sizeof *ch->edits);
	if (ch == NULL || ch->edits == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	ch->call = c;
	for (int32_t i = 0; i < q->entries.n; i++) {
		if (q->entries.n > ENTRIES_MAX)
			refuse(c, &ch->edits[ch->n++], "more than 1000 "
			    "entities in one request", nothing);
		else if (q->entries.v[i].ops.n > ENTRIES_MAX)
			refuse(c, &ch->edits[i], "more than 1000 keys",
			    nothing);
	}
	if (q->entries.n > ENTRIES_MAX) {
		answer(ch);
		return;
	}
	for (tail = &qs->waiting; *tail != NULL; tail = &(*tail)->next)
		continue;
	*tail = ch;
	if (qs->waiting == ch)
		change_run(qs);
}

/* ---- describe ---------------------------------------------------------- */

enum { MATCH_EXACT, MATCH_DEFAULT, MATCH_ANY };

struct filter {
	int		 match[ENTITIES];	/* -1: not asked for */
	struct kstr	 name[ENTITIES];
	bool		 strict;
};

static const char *
filter_read(const struct describe_client_quotas_req *q, struct filter *f,
    enum err *e)
{
	*e = E_INVALID_REQUEST;
	f->strict = q->strict;
	for (int i = 0; i < ENTITIES; i++)
		f->match[i] = -1;
	for (int32_t i = 0; i < q->components.n; i++) {
		const struct describe_client_quotas_req_component *c =
		    &q->components.v[i];
		int t = 0;

		while (t < ENTITIES && !kstr_eq(kstr_of(types[t]),
		    c->entity_type))
			t++;
		if (c->entity_type.len <= 0)
			return "an entity type must not be empty";
		if (t == ENTITIES) {
			*e = E_UNSUPPORTED_VERSION;
			return "unknown entity type";
		}
		if (f->match[t] >= 0)
			return "an entity type is given twice";
		if (c->match_type < MATCH_EXACT || c->match_type > MATCH_ANY)
			return "unknown match type";
		if ((c->match_type == MATCH_EXACT) != (c->match.len >= 0))
			return "a name goes with an exact match, and only so";
		f->match[t] = c->match_type;
		f->name[t] = c->match;
	}
	if (f->match[ENTITY_IP] >= 0 && (f->match[ENTITY_USER] >= 0 ||
	    f->match[ENTITY_CLIENT] >= 0))
		return "an address stands alone";
	*e = E_OK;
	return NULL;
}

static bool
fits(const struct filter *f, const struct entity *e)
{
	for (int i = 0; i < ENTITIES; i++) {
		struct kstr n = e->name[i];

		switch (f->match[i]) {
		case -1:
			if (f->strict && n.len != ABSENT)
				return false;
			break;
		case MATCH_EXACT:
			if (!kstr_eq(n, f->name[i]))
				return false;
			break;
		case MATCH_DEFAULT:
			if (n.len != -1)
				return false;
			break;
		default:
			if (n.len == ABSENT)
				return false;
		}
	}
	return true;
}

static enum err
describe(struct call *c, const struct quota *q, const struct entity *e,
    struct describe_client_quotas_res_entry *r)
{
	r->entity.v = arena_array(&c->arena, ENTITIES, sizeof *r->entity.v);
	r->values.v = arena_array(&c->arena, QUOTA_KEYS, sizeof *r->values.v);
	if (r->entity.v == NULL || r->values.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < ENTITIES; i++)
		if (e->name[i].len != ABSENT)
			r->entity.v[r->entity.n++] =
			    (struct describe_client_quotas_res_entry_entity){
			    kstr_of(types[i]), e->name[i] };
	for (int k = 0; k < QUOTA_KEYS; k++)
		if (q->value[k] > 0)
			r->values.v[r->values.n++] =
			    (struct describe_client_quotas_res_entry_value){
			    kstr_of(quota_names[k]), q->value[k] };
	return E_OK;
}

void
handle_describe_client_quotas(struct call *c)
{
	struct describe_client_quotas_res s = { .error_message = nothing };
	struct describe_client_quotas_req *req = c->req;
	const struct quotas *qs = &c->eng->quotas;
	struct filter f;
	struct entity e;
	enum err err;
	const char *why = filter_read(req, &f, &err);

	if (err != E_OK) {
		s.error_code = err_code(err);
		s.error_message = kstr_of(why);
		s.entries.n = -1;
		call_reply(c, &s);
		return;
	}
	c->arena.limit += (qs->by_key.n + 1) * 1024;
	s.entries.v = arena_array(&c->arena, qs->by_key.n + 1,
	    sizeof *s.entries.v);
	err = s.entries.v == NULL ? E_NOMEM : E_OK;
	HASH_EACH(x, &qs->by_key) {
		struct quota *q = HASH_OF(x, struct quota, by_key);

		if (err == E_OK && key_read(q->key, q->key_len, &e) == E_OK &&
		    fits(&f, &e))
			err = describe(c, q, &e, &s.entries.v[s.entries.n++]);
	}
	if (err != E_OK)
		call_bad(c, "out of memory");
	else
		call_reply(c, &s);
}
