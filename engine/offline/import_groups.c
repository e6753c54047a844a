/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Kafka's coordinators keep: groups and committed offsets, as the last
 * record of each key says, and transactions.  A commit within a transaction
 * counts from the transaction's commit marker on.
 */
#include <string.h>

#include "import.h"
#include "kafka_meta.h"
#include "lib/limits.h"

enum {
	SLOTS		= 1 << 16,
	KEY_OFFSET	= 1,	/* and 0 */
	KEY_GROUP	= 2,
	KEY_CGROUP	= 3,
	TXN_PREPARED	= 2,	/* to commit */
	MARK_COMMIT	= 1,
};

static size_t
hash(struct kstr a, struct kstr b, int32_t n)
{
	uint64_t h = 0xcbf29ce484222325u + (uint64_t)n;

	for (int32_t i = 0; i < a.len; i++)
		h = (h ^ (uint8_t)a.p[i]) * 0x100000001b3;
	for (int32_t i = 0; i < b.len; i++)
		h = (h ^ (uint8_t)b.p[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 32) & (SLOTS - 1);
}

static bool
copy(struct kafka *k, struct kstr *s)
{
	int32_t n = s->len < 0 ? 0 : s->len;

	s->p = arena_strndup(&k->a, n > 0 ? s->p : "", (size_t)n);
	s->len = n;
	return s->p != NULL;
}

/* The offset's place, made when it is not there. */
static struct import_offset *
offset_get(struct import_groups *g, const struct import_offset *of)
{
	struct import_offset **at = &g->offsets[hash(of->group, of->topic,
	    of->part)], *o;

	for (o = *at; o != NULL; o = o->next)
		if (o->part == of->part && kstr_eq(o->group, of->group) &&
		    kstr_eq(o->topic, of->topic))
			return o;
	if ((o = arena_alloc(&g->k->a, sizeof *o)) == NULL)
		return NULL;
	*o = (struct import_offset){ .group = of->group, .topic = of->topic,
	    .part = of->part, .metadata = kstr_of("") };
	if (!copy(g->k, &o->group) || !copy(g->k, &o->topic))
		return NULL;
	o->next = *at;
	*at = o;
	return o;
}

static enum err
offset_put(struct import_groups *g, const struct import_offset *of)
{
	struct import_offset *o = offset_get(g, of);

	if (o == NULL)
		return E_NOMEM;
	o->gone = of->gone;
	o->offset = of->offset;
	o->epoch = of->epoch;
	o->commit_ms = of->commit_ms;
	o->expire_ms = of->expire_ms;
	if (of->gone || kstr_eq(o->metadata, of->metadata))
		return E_OK;
	o->metadata = of->metadata;
	return copy(g->k, &o->metadata) ? E_OK : E_NOMEM;
}

/* Waits for its transaction's marker. */
static enum err
offset_later(struct import_groups *g, const struct import_offset *of)
{
	struct import_offset *o = arena_alloc(&g->k->a, sizeof *o);

	if (o == NULL)
		return E_NOMEM;
	*o = *of;
	if (!copy(g->k, &o->group) || !copy(g->k, &o->topic) ||
	    !copy(g->k, &o->metadata))
		return E_NOMEM;
	o->pending = g->pending;
	g->pending = o;
	return E_OK;
}

/* Oldest first, as they were committed. */
static enum err
marker(struct import_groups *g, int64_t pid, bool commit)
{
	struct import_offset **at = &g->pending, *o, *turned = NULL;
	enum err err = E_OK;

	while ((o = *at) != NULL) {
		if (o->pid != pid) {
			at = &o->pending;
			continue;
		}
		*at = o->pending;
		o->pending = turned;
		turned = o;
	}
	for (; turned != NULL && commit && err == E_OK;
	    turned = turned->pending)
		err = offset_put(g, turned);
	return err;
}

static enum err
group_put(struct import_groups *g, struct kstr name, bool modern,
    const struct kr_group *rec, const struct kr_cgroup *crec)
{
	struct import_group **at = &g->groups[hash(name, kstr_of(""), 0)], *x;

	for (x = *at; x != NULL && !kstr_eq(x->name, name); x = x->next)
		continue;
	if (x == NULL) {
		if ((x = arena_alloc(&g->k->a, sizeof *x)) == NULL)
			return E_NOMEM;
		x->name = name;
		if (!copy(g->k, &x->name))
			return E_NOMEM;
		x->next = *at;
		*at = x;
	}
	/* The end of what it was under the other protocol. */
	if (rec == NULL && crec == NULL) {
		x->gone |= x->modern == modern;
		return E_OK;
	}
	x->gone = false;
	x->modern = modern;
	x->type = rec != NULL ? rec->protocol_type : kstr_of("consumer");
	x->generation = rec != NULL ? rec->generation : crec->epoch;
	return copy(g->k, &x->type) ? E_OK : E_NOMEM;
}

/* Reads a value: its version in 2 bytes, then the row's.  E_CORRUPT. */
static enum err
value_read(const struct msg *m, const struct record *rec, struct arena *a,
    void *out)
{
	struct rd r = rd_of(rec->value, (size_t)rec->value_len);
	int v = rd_i16(&r);
	enum err err;

	if (r.bad || v < m->min || v > m->max)
		return E_CORRUPT;
	err = msg_read(m, v, &r, a, out);
	return err == E_PROTO ? E_CORRUPT : err;
}

static enum err
offset_record(struct import_groups *g, const struct batch *b,
    const struct record *rec, int version, struct rd *key)
{
	struct kr_offset_key k;
	struct kr_offset v;
	struct import_offset of;
	struct arena a;
	enum err err;

	msg_init(&kafka_recs[KR_kr_offset], &v);
	arena_init(&a, 1 * MIB);
	err = msg_read(&kafka_recs[KR_kr_offset_key], version, key, &a, &k);
	if (err == E_OK && rec->value_len >= 0)
		err = value_read(&kafka_recs[KR_kr_offset], rec, &a, &v);
	of = (struct import_offset){ .group = k.group, .topic = k.topic,
	    .part = k.partition, .pid = b->pid, .gone = rec->value_len < 0,
	    .offset = v.offset, .epoch = v.leader_epoch,
	    .metadata = v.metadata, .commit_ms = v.commit_ms,
	    .expire_ms = v.expire_ms };
	if (err == E_OK)
		err = b->attrs & BATCH_TXN ? offset_later(g, &of) :
		    offset_put(g, &of);
	arena_reset(&a);
	return err == E_PROTO ? E_CORRUPT : err;
}

static enum err
group_record(struct import_groups *g, const struct record *rec, int version,
    struct rd *key)
{
	bool modern = version == KEY_CGROUP;
	struct kr_group_key k;
	struct kr_group v;
	struct kr_cgroup cv;
	struct arena a;
	enum err err;

	arena_init(&a, 16 * MIB);
	err = msg_read(&kafka_recs[KR_kr_group_key], version, key, &a, &k);
	if (err == E_OK && rec->value_len >= 0)
		err = modern ?
		    value_read(&kafka_recs[KR_kr_cgroup], rec, &a, &cv) :
		    value_read(&kafka_recs[KR_kr_group], rec, &a, &v);
	if (err == E_OK)
		err = group_put(g, k.group, modern,
		    rec->value_len < 0 || modern ? NULL : &v,
		    rec->value_len < 0 || !modern ? NULL : &cv);
	arena_reset(&a);
	return err == E_PROTO ? E_CORRUPT : err;
}

static enum err
each(void *arg, const struct batch *b, struct record *rec)
{
	struct import_groups *g = arg;
	struct rd key;
	int version;

	if (rec == NULL || rec->key_len < 2)
		return E_OK;
	key = rd_of(rec->key, (size_t)rec->key_len);
	version = rd_i16(&key);
	if (b->attrs & BATCH_CONTROL)
		return b->attrs & BATCH_TXN ? marker(g, b->pid,
		    rd_i16(&key) == MARK_COMMIT) : E_OK;
	if (version >= 0 && version <= KEY_OFFSET)
		return offset_record(g, b, rec, version, &key);
	if (version == KEY_GROUP || version == KEY_CGROUP)
		return group_record(g, rec, version, &key);
	return E_OK;	/* members, targets: gone with their connections */
}

enum err
import_groups_read(struct import_groups *g, struct kafka *k)
{
	struct kafka_topic *t = kafka_topic_find(k,
	    kstr_of("__consumer_offsets"));
	struct kafka_part *p = t == NULL ? NULL : t->parts;
	enum err err = E_OK;

	*g = (struct import_groups){ .k = k, .size = SLOTS };
	g->offsets = arena_array(&k->a, SLOTS, sizeof *g->offsets);
	g->groups = arena_array(&k->a, SLOTS, sizeof *g->groups);
	if (g->offsets == NULL || g->groups == NULL)
		return kafka_fail(k, E_NOMEM, "__consumer_offsets", NULL);
	for (; err == E_OK && p != NULL; p = p->next)
		err = kafka_log_read(k, p, each, g);
	if (g->pending != NULL)
		kafka_note(k, "offsets were committed in transactions that "
		    "are open: they do not count");
	return err;
}

/* ---- transactions ------------------------------------------------------- */

static enum err
txn_each(void *arg, const struct batch *b, struct record *rec)
{
	struct { struct import_txns *x; struct kafka *k; } *t = arg;
	struct import_txns *x = t->x;
	struct import_txn *v;
	struct rd r;
	int64_t pid;
	int status;

	if (rec == NULL || (b->attrs & BATCH_CONTROL) || rec->value_len < 0)
		return E_OK;
	/* Versions 0 and 1 begin alike. */
	r = rd_of(rec->value, (size_t)rec->value_len);
	(void)rd_i16(&r);
	pid = rd_i64(&r);
	(void)rd_i16(&r);
	(void)rd_i32(&r);
	status = rd_i8(&r);
	if (r.bad)
		return E_CORRUPT;
	if (pid >= t->k->next_pid)
		t->k->next_pid = pid + 1;
	for (int i = 0; i < x->n; i++)
		if (x->v[i].pid == pid) {
			x->v[i].commits = status == TXN_PREPARED;
			return E_OK;
		}
	if (status != TXN_PREPARED)
		return E_OK;
	if (x->n == x->cap) {
		v = arena_array(&t->k->a, (size_t)x->cap * 2 + 16, sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		if (x->n > 0)
			memcpy(v, x->v, (size_t)x->n * sizeof *v);
		x->v = v;
		x->cap = x->cap * 2 + 16;
	}
	x->v[x->n++] = (struct import_txn){ pid, true };
	return E_OK;
}

enum err
import_txns_read(struct import_txns *x, struct kafka *k)
{
	struct { struct import_txns *x; struct kafka *k; } arg = { x, k };
	struct kafka_topic *t = kafka_topic_find(k,
	    kstr_of("__transaction_state"));
	enum err err = E_OK;

	*x = (struct import_txns){ .n = 0 };
	for (struct kafka_part *p = t == NULL ? NULL : t->parts;
	    err == E_OK && p != NULL; p = p->next)
		err = kafka_log_read(k, p, txn_each, &arg);
	return err;
}
