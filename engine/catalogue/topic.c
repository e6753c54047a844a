/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: the two hash tables, creation and deletion step by step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine.h"
#include "lib/log.h"
#include "log/reap.h"
#include "log/roll.h"
#include "topic_files.h"

enum { REMOVE_LOOK_MS = 3600 * 1000 };	/* at most, until the next look */

/* ---- the tables -------------------------------------------------------- */

/* Kafka counts '.' and '_' as the same in names, so they hash alike. */
static char
fold(char c)
{
	return c == '.' ? '_' : c;
}

static uint64_t
name_hash(struct kstr name)
{
	char s[TOPIC_NAME_MAX];
	size_t n = (size_t)(name.len > TOPIC_NAME_MAX ? TOPIC_NAME_MAX :
	    name.len);

	for (size_t i = 0; i < n; i++)
		s[i] = fold(name.p[i]);
	return hash_bytes(s, n);
}

static bool
collides(const char *a, struct kstr b)
{
	if (strlen(a) != (size_t)b.len)
		return false;
	for (int32_t i = 0; i < b.len; i++)
		if (fold(a[i]) != fold(b.p[i]))
			return false;
	return true;
}

/* Those that are being deleted are on the list too, and found by their id. */
static enum err
list_put(struct topics *ts, struct topic *t)
{
	enum err e = hash_room(&ts->by_id);

	if (e == E_OK)
		e = hash_room(&ts->by_name);
	if (e != E_OK)
		return e;
	hash_put(&ts->by_id, &t->by_id, hash_bytes(t->id.b, sizeof t->id.b));
	t->prev = ts->last;
	t->next = NULL;
	t->seq = ++ts->seq;
	if (ts->last != NULL)
		ts->last->next = t;
	else
		ts->first = t;
	ts->last = t;
	ts->nlist++;
	return E_OK;
}

static void
list_drop(struct topics *ts, struct topic *t)
{
	hash_drop(&ts->by_id, &t->by_id);
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		ts->first = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		ts->last = t->prev;
	ts->nlist--;
}

static enum err
table_put(struct topics *ts, struct topic *t)
{
	enum err e = list_put(ts, t);

	if (e != E_OK)
		return e;
	hash_put(&ts->by_name, &t->by_name, name_hash(kstr_of(t->name)));
	ts->n++;
	ts->nparts += t->nparts;
	ts->changes++;
	return E_OK;
}

/* It stays on the list. */
static void
table_drop(struct topics *ts, struct topic *t)
{
	hash_drop(&ts->by_name, &t->by_name);
	ts->n--;
	ts->nparts -= t->nparts;
	ts->changes++;
}

static struct topic *
find_any(struct topics *ts, struct kstr name, bool folded)
{
	if (name.len <= 0)
		return NULL;
	HASH_FIND(x, &ts->by_name, name_hash(name)) {
		struct topic *t = HASH_OF(x, struct topic, by_name);

		if (folded ? collides(t->name, name)
		    : kstr_eq(kstr_of(t->name), name))
			return t;
	}
	return NULL;
}

struct topic *
topic_find(struct topics *ts, struct kstr name)
{
	struct topic *t = name.len < 0 ? NULL : find_any(ts, name, false);

	return t != NULL && t->state == TOPIC_LIVE ? t : NULL;
}

struct topic *
topic_any(struct topics *ts, struct uuid id)
{
	HASH_FIND(x, &ts->by_id, hash_bytes(id.b, sizeof id.b)) {
		struct topic *t = HASH_OF(x, struct topic, by_id);

		if (uuid_eq(t->id, id))
			return t;
	}
	return NULL;
}

struct topic *
topic_find_id(struct topics *ts, struct uuid id)
{
	struct topic *t = topic_any(ts, id);

	return t != NULL && t->state == TOPIC_LIVE ? t : NULL;
}

struct part *
topic_part(struct topic *t, int32_t index)
{
	return index < 0 || index >= t->nparts ? NULL : t->parts[index];
}

bool
topic_is_internal(struct kstr name)
{
	return kstr_eq(name, kstr_of("__consumer_offsets")) ||
	    kstr_eq(name, kstr_of("__transaction_state")) ||
	    kstr_eq(name, kstr_of("__share_group_state"));
}

bool
topic_is_reserved(struct kstr name)
{
	return topic_is_internal(name) ||
	    kstr_eq(name, kstr_of("__cluster_metadata"));
}

enum err
topic_name_check(struct kstr name)
{
	if (name.len < 1 || name.len > TOPIC_NAME_MAX)
		return E_INVALID_TOPIC;
	if (kstr_eq(name, kstr_of(".")) || kstr_eq(name, kstr_of("..")))
		return E_INVALID_TOPIC;
	for (int32_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		    c == '-'))
			return E_INVALID_TOPIC;
	}
	return E_OK;
}

/* Its codec is another one, or is wanted no more. */
static void
recoded(const struct topic *t)
{
	if (t->eng->recoded != NULL)
		t->eng->recoded(t->eng, t);
}

void
topic_reconfigured(struct topic *t, const struct topic_conf *was)
{
	int32_t new_level, old_level;

	if (topic_conf_codec(&t->conf, &new_level) !=
	    topic_conf_codec(was, &old_level) || new_level != old_level)
		recoded(t);
	for (int32_t i = 0; i < t->nparts; i++)
		part_policy(t->parts[i]);
	view_move(t->eng, NULL);
}

/* ---- building and freeing ---------------------------------------------- */

static void
topic_free(struct topic *t)
{
	if (t == NULL)
		return;
	timer_cancel(&t->eng->timers, &t->remove);
	for (int32_t i = 0; t->parts != NULL && i < t->nparts; i++)
		part_free(t->parts[i]);
	free(t->parts);
	free(t->name);
	conf_set_free(&t->own.set);
	free(t);
}

static struct topic *
topic_new(struct engine *eng, struct kstr name, const struct uuid *id,
    int32_t nparts, const struct conf_set *own)
{
	struct topic *t = calloc(1, sizeof *t);
	struct log_id lid = { *id, 0 };

	if (t == NULL)
		return NULL;
	t->eng = eng;
	t->id = *id;
	t->nparts = t->nparts_rec = nparts;
	t->grows_tail = &t->grows;
	t->conf = eng->configs.topics;
	if (own != NULL && conf_set_copy(&t->own.set, own) != E_OK) {
		free(t);
		return NULL;
	}
	topic_conf_own(&t->conf, &t->own.set);
	t->name = strndup(name.p, (size_t)name.len);
	t->parts = calloc((size_t)nparts, sizeof(struct part *));
	for (; t->name != NULL && t->parts != NULL && lid.part < nparts;
	    lid.part++)
		if ((t->parts[lid.part] = part_new(eng, t, &lid)) == NULL)
			break;
	if (lid.part < nparts) {
		topic_free(t);
		return NULL;
	}
	return t;
}

static enum err
new_id(struct topics *ts, struct uuid *id)
{
	do {
		if (getrandom(id->b, 16, 0) != 16)
			return E_IO;
		id->b[6] = (uint8_t)(0x40 | (id->b[6] & 0x0f));
		id->b[8] = (uint8_t)(0x80 | (id->b[8] & 0x3f));
	} while (topic_find_id(ts, *id) != NULL);
	return E_OK;
}

static enum err
record_fill(const struct topic *t, int32_t nparts, struct meta_topic *rec,
    struct arena *a)
{
	const struct conf_set *own = configs_newest(&t->own);

	*rec = (struct meta_topic){ .name = kstr_of(t->name),
	    .parts = nparts, .created_ms = t->created_ms };
	rec->configs.n = own->n;
	rec->configs.v = arena_array(a, (size_t)own->n,
	    sizeof *rec->configs.v);
	if (rec->configs.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < own->n; i++)
		rec->configs.v[i] = (struct meta_topic_config){
		    kstr_of(own->v[i].name), kstr_of(own->v[i].value) };
	return E_OK;
}

enum err
topic_record(const struct topic *t, void *out, struct arena *a)
{
	return record_fill(t, t->nparts, out, a);
}

enum err
topic_write(struct topic *t, int32_t nparts, struct meta_put *put)
{
	struct meta_key key = meta_key_uuid(&t->id);
	struct meta_topic rec;
	struct arena a;
	enum err e;

	if (nparts == 0)
		nparts = t->nparts_rec;
	arena_init(&a, 1 * MIB);
	e = record_fill(t, nparts, &rec, &a);
	if (e == E_OK)
		e = meta_write(&t->eng->meta, MT_meta_topic, &key, &rec, put);
	arena_reset(&a);
	if (e == E_OK)
		t->nparts_rec = nparts;
	return e;
}

void
topic_unwrite(struct topic *t)
{
	t->nparts_rec = t->nparts;
}

/* ---- creating ---------------------------------------------------------- */

static void
create_end(struct topic_op *op, enum err e)
{
	struct topic *t = op->topic;

	for (int32_t i = 0; i < t->nparts; i++)
		recover_free(&op->fresh[i]);
	free(op->fresh);
	if (e == E_OK) {
		t->state = TOPIC_LIVE;
		t->eng->topics.changes++;
		if (t->conf.compression_type != COMPRESS_PRODUCER)
			recoded(t);
		log_info("topic created", LS("topic", t->name),
		    LI("parts", t->nparts));
	} else {
		log_warn("topic not created", LS("topic", t->name), LE(e));
		table_drop(&t->eng->topics, t);
		list_drop(&t->eng->topics, t);
		topic_free(t);
	}
	op->done(op, e);
}

static void
create_recorded(struct meta_put *put, enum err e)
{
	struct topic_op *op = (struct topic_op *)((char *)put -
	    offsetof(struct topic_op, put));
	struct topic *t = op->topic;

	for (int32_t i = 0; e == E_OK && i < t->nparts; i++)
		e = part_install(t->parts[i], &op->fresh[i], t->eng->epoch);
	create_end(op, e);
}

static void
create_run(struct job *j)
{
	struct topic_op *op = (struct topic_op *)((char *)j -
	    offsetof(struct topic_op, job));
	const struct topic *t = op->topic;

	op->err = topic_files_create(t->eng, &t->id, 0, t->nparts, op->fresh);
	for (int32_t i = 0; op->err == E_OK && i < t->nparts; i++)
		seg_reserve(op->fresh[i].segs[0], part_reserve(t->parts[i]));
	if (op->err != E_OK && topic_files_remove(t->eng, &t->id, 0) != E_OK)
		log_warn("files of a topic that was not created stay",
		    LE(op->err));
}

static void
create_done(struct job *j)
{
	struct topic_op *op = (struct topic_op *)((char *)j -
	    offsetof(struct topic_op, job));
	struct topic *t = op->topic;

	op->put.done = create_recorded;
	if (op->err == E_OK)
		op->err = topic_write(t, 0, &op->put);
	if (op->err != E_OK)
		create_end(op, op->err);
}

enum err
topic_create_check(struct engine *eng, struct kstr name, int32_t nparts,
    char *why, size_t size)
{
	struct topic *t;

	if (topic_name_check(name) != E_OK) {
		snprintf(why, size, "a topic name is 1 to %d letters, digits, "
		    "dots, underscores and hyphens, and not . or ..",
		    TOPIC_NAME_MAX);
		return E_INVALID_TOPIC;
	}
	if (find_any(&eng->topics, name, false) != NULL) {
		snprintf(why, size, "topic '%.*s' already exists",
		    (int)name.len, name.p);
		return E_TOPIC_EXISTS;
	}
	if (topic_is_internal(name)) {
		snprintf(why, size, "topic '%.*s' is kept for the "
		    "coordinator", (int)name.len, name.p);
		return E_INVALID_TOPIC;
	}
	if (topic_is_reserved(name)) {
		snprintf(why, size, "the catalogue cannot be made as a "
		    "topic");
		return E_INVALID_REQUEST;
	}
	if ((t = find_any(&eng->topics, name, true)) != NULL) {
		snprintf(why, size, "topic '%.*s' collides with topic '%s': "
		    "dots and underscores count as the same", (int)name.len,
		    name.p, t->name);
		return E_INVALID_TOPIC;
	}
	if (nparts < 1) {
		snprintf(why, size, "a topic has at least 1 partition");
		return E_INVALID_PARTITIONS;
	}
	if (nparts > PARTS_PER_TOPIC_MAX) {
		snprintf(why, size, "a topic has at most %d partitions",
		    PARTS_PER_TOPIC_MAX);
		return E_INVALID_PARTITIONS;
	}
	if (eng->space.full) {
		snprintf(why, size, "the disk is full: delete something "
		    "first");
		return E_NOSPC;
	}
	if (eng->topics.n >= TOPICS_MAX ||
	    eng->topics.nparts + nparts > PARTS_MAX) {
		snprintf(why, size, "the engine holds at most %d topics and "
		    "%d partitions", TOPICS_MAX, PARTS_MAX);
		return E_POLICY_VIOLATION;
	}
	return E_OK;
}

enum err
topic_create(struct engine *eng, struct kstr name, int32_t nparts,
    const struct conf_set *own, struct topic_op *op)
{
	char why[256];
	struct uuid id;
	struct topic *t;
	enum err e;

	e = topic_create_check(eng, name, nparts, why, sizeof why);
	if (e == E_OK)
		e = new_id(&eng->topics, &id);
	if (e != E_OK)
		return e;
	t = topic_new(eng, name, &id, nparts, own);
	op->fresh = calloc((size_t)nparts, sizeof *op->fresh);
	if (t == NULL || op->fresh == NULL ||
	    table_put(&eng->topics, t) != E_OK) {
		topic_free(t);
		free(op->fresh);
		return E_NOMEM;
	}
	t->state = TOPIC_CREATING;
	t->created_ms = wall_ms();
	op->topic = t;
	op->job.run = create_run;
	op->job.done = create_done;
	pool_submit(eng->bulk, &op->job);
	return E_OK;
}

/* ---- deleting ---------------------------------------------------------- */

struct removal {
	struct job	 job;
	struct topic	*topic;
	enum err	 err;
};

static void
removal_run(struct job *j)
{
	struct removal *r = (struct removal *)j;

	r->err = topic_files_remove(r->topic->eng, &r->topic->id, 0);
}

static void
removal_done(struct job *j)
{
	struct removal *r = (struct removal *)j;
	struct topic *t = r->topic;
	struct meta_key key = meta_key_uuid(&t->id);

	/* On failure the record stays, and the next start tries again. */
	if (r->err != E_OK)
		log_warn("files of a deleted topic stay", LE(r->err));
	else if (meta_write(&t->eng->meta, MT_meta_deleted, &key, NULL,
	    NULL) == E_OK) {
		list_drop(&t->eng->topics, t);
		topic_free(t);
	}
	free(r);
}

static void
removal_start(struct topic *t)
{
	struct removal *r = calloc(1, sizeof *r);

	t->eng->topics.nremoving--;
	if (r == NULL) {
		log_warn("files of a deleted topic stay", LE(E_NOMEM));
		return;
	}
	r->topic = t;
	r->job.run = removal_run;
	r->job.done = removal_done;
	pool_submit(t->eng->bulk, &r->job);
}

static void
removal_fire(struct timer *timer)
{
	struct topic *t = (struct topic *)((char *)timer -
	    offsetof(struct topic, remove));
	int64_t ms = t->remove_ms - wall_ms();

	/* The wall clock may have been set meanwhile. */
	if (ms <= 0 || timer_set(&t->eng->timers, timer, mono_ms() +
	    (ms < REMOVE_LOOK_MS ? ms : REMOVE_LOOK_MS)) != E_OK)
		removal_start(t);
}

/* Its files stay until their time has come; with too many such topics they do
 * not. */
static void
removal_later(struct topic *t)
{
	t->remove.fire = removal_fire;
	if (t->eng->topics.nremoving++ < TOPICS_REMOVING_MAX)
		removal_fire(&t->remove);
	else
		removal_start(t);
}

static void
part_gone(struct part *p)
{
	struct topic *t = p->topic;

	part_shed(p);
	ASSERT(t->nbusy > 0);
	if (--t->nbusy == 0)
		removal_later(t);
}

static void
delete_recorded(struct meta_put *put, enum err e)
{
	struct topic_op *op = (struct topic_op *)((char *)put -
	    offsetof(struct topic_op, put));
	struct topic *t = op->topic;

	if (e == E_OK) {
		log_info("topic deleted", LS("topic", t->name));
		table_drop(&t->eng->topics, t);
		groups_topic_gone(t);
		t->state = TOPIC_DELETING;
		if (t->conf.compression_type != COMPRESS_PRODUCER)
			recoded(t);
		t->nbusy = t->nparts;
		for (int32_t i = 0; i < t->nparts; i++)
			part_drop(t->parts[i], part_gone);
	} else
		t->leaving = false;
	op->done(op, e);
}

static enum err
delete_write(struct topic *t, struct topic_op *op)
{
	struct meta_key key = meta_key_uuid(&t->id);
	struct meta_deleted rec = { t->nparts,
	    reap_due(t->conf.file_delete_delay_ms) };
	enum err e;

	t->remove_ms = rec.remove_ms;
	op->put.done = delete_recorded;
	e = meta_write(&t->eng->meta, MT_meta_deleted, &key, &rec, NULL);
	return e != E_OK ? e : meta_write(&t->eng->meta, MT_meta_topic, &key,
	    NULL, &op->put);
}

enum err
topic_delete(struct topic *t, struct topic_op *op)
{
	enum err e = E_OK;

	if (t->state != TOPIC_LIVE || t->leaving)
		return E_UNKNOWN_TOPIC;
	op->topic = t;
	if (t->growing)
		t->then_delete = op;
	else
		e = delete_write(t, op);
	t->leaving = e == E_OK;
	return e;
}

void
topic_delete_now(struct topic *t)
{
	struct topic_op *op = t->then_delete;
	enum err e = delete_write(t, op);

	t->then_delete = NULL;
	if (e == E_OK)
		return;
	t->leaving = false;
	op->done(op, e);
}

/* ---- at start ---------------------------------------------------------- */

/* A later record of a topic that is there: grown, or other configs. */
static enum err
restore_changed(struct topic *t, int32_t nparts, struct conf_set *own)
{
	struct part **v;

	if (nparts < t->nparts)
		return E_CORRUPT;
	v = realloc(t->parts, (size_t)nparts * sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	t->parts = v;
	conf_set_free(&t->own.set);
	t->own.set = *own;		/* configs_ready lays it out */
	*own = (struct conf_set){ 0 };
	t->nparts_rec = nparts;
	for (; t->nparts < nparts; t->nparts++) {
		struct log_id lid = { t->id, t->nparts };

		if ((v[t->nparts] = part_new(t->eng, t, &lid)) == NULL)
			return E_NOMEM;
		t->eng->topics.nparts++;
	}
	return E_OK;
}

enum err
topic_restore(struct engine *eng, const struct uuid *id, const void *rec,
    char *why, size_t size)
{
	const struct meta_topic *m = rec;
	struct conf_set own = { 0 };
	enum err e = E_OK;
	struct topic *t;

	if (id == NULL || topic_name_check(m->name) != E_OK || m->parts < 1 ||
	    m->parts > PARTS_PER_TOPIC_MAX)
		return E_CORRUPT;
	t = find_any(&eng->topics, m->name, false);
	if (t != NULL && !uuid_eq(t->id, *id))
		return E_CORRUPT;
	for (int32_t i = 0; e == E_OK && i < m->configs.n; i++)
		e = topic_conf_put(&own, m->configs.v[i].name,
		    m->configs.v[i].value, why, size);
	if (e == E_OK && t != NULL)
		e = restore_changed(t, m->parts, &own);
	else if (e == E_OK) {
		t = topic_new(eng, m->name, id, m->parts, &own);
		if (t == NULL || table_put(&eng->topics, t) != E_OK) {
			topic_free(t);
			e = E_NOMEM;
		}
	}
	conf_set_free(&own);
	if (e != E_OK)
		return e;
	t->state = TOPIC_LIVE;
	t->created_ms = m->created_ms;
	return E_OK;
}

void
topic_unrestore(struct engine *eng, const struct uuid *id)
{
	struct topic *t = topic_find_id(&eng->topics, *id);

	if (t == NULL)
		return;
	groups_topic_gone(t);
	table_drop(&eng->topics, t);
	list_drop(&eng->topics, t);
	topic_free(t);
}

enum err
topic_restore_deleted(struct engine *eng, const struct uuid *id,
    int32_t nparts, int64_t remove_ms)
{
	struct topic *t;
	enum err e;

	if (nparts < 0) {		/* its tombstone: files are gone */
		t = topic_any(&eng->topics, *id);
		if (t != NULL && t->state == TOPIC_DELETING) {
			list_drop(&eng->topics, t);
			topic_free(t);
		}
		return E_OK;
	}
	topic_unrestore(eng, id);
	t = calloc(1, sizeof *t);
	if (t == NULL)
		return E_NOMEM;
	t->eng = eng;
	t->id = *id;
	t->nparts = nparts;
	t->remove_ms = remove_ms;
	t->state = TOPIC_DELETING;
	e = list_put(&eng->topics, t);
	if (e != E_OK)
		free(t);
	return e;
}

enum err
topic_part_of(struct engine *eng, const struct meta_key *key,
    struct part **part)
{
	struct topic *t;
	struct uuid id;

	*part = NULL;
	if (key->len != 20)
		return E_CORRUPT;
	memcpy(id.b, key->p, 16);
	/* Written when the topic was being deleted: nobody's any more. */
	if ((t = topic_find_id(&eng->topics, id)) == NULL)
		return E_OK;
	*part = topic_part(t, (int32_t)be32(key->p + 16));
	return *part != NULL ? E_OK : E_CORRUPT;
}

enum err
topic_restore_start(struct engine *eng, const struct meta_key *key,
    const void *rec)
{
	const struct meta_start *m = rec;
	struct part *p;
	enum err e = m != NULL && m->offset < 0 ? E_CORRUPT :
	    topic_part_of(eng, key, &p);

	if (e != E_OK || p == NULL)
		return e;
	p->trimmed = p->trim_rec = m != NULL ? m->offset : 0;
	return E_OK;
}

void
topics_resume(struct engine *eng)
{
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		if (t->state == TOPIC_DELETING)
			removal_later(t);
}

void
topics_free(struct topics *ts)
{
	struct topic *t;

	while ((t = ts->first) != NULL) {
		list_drop(ts, t);
		topic_free(t);
	}
	hash_free(&ts->by_name);
	hash_free(&ts->by_id);
	*ts = (struct topics){ 0 };
}
