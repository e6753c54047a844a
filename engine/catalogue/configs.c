/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configs that change while the engine runs: what is set, the catalogue's
 * records of it, and how a change comes to act.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/limits.h"
#include "lib/log.h"

enum { RECORD_MAX = 4 * MIB };

/* ---- what holds -------------------------------------------------------- */

void
configs_apply(struct topic *t)
{
	struct engine *eng = t->eng;
	struct topic_conf was = t->conf;

	t->conf = eng->configs.topics;
	topic_conf_own(&t->conf, &t->own.set);
	topic_reconfigured(t, &was);
	/* It is armed anew for what is due now. */
	timer_cancel(&eng->timers, &eng->commit.flush_timer);
}

/* The broker's layers of what topics have. */
static void
lay_topics(struct engine *eng)
{
	struct configs *c = &eng->configs;

	topic_conf_init(&c->topics);
	topic_conf_broker(&c->topics, &c->options);
	topic_conf_broker(&c->topics, &c->cluster.set);
	topic_conf_broker(&c->topics, &c->broker.set);
}

void
configs_ready(struct engine *eng)
{
	lay_topics(eng);
	for (struct topic *t = eng->topics.first; t != NULL; t = t->next)
		if (t->state != TOPIC_DELETING)
			configs_apply(t);
}

const char *
configs_dynamic(const struct engine *eng, const char *name,
    enum config_source *src)
{
	const char *v = conf_set_get(&eng->configs.broker.set, name);

	*src = SRC_BROKER;
	if (v == NULL) {
		v = conf_set_get(&eng->configs.cluster.set, name);
		*src = SRC_CLUSTER;
	}
	return v;
}

bool
configs_is_me(const struct engine *eng, struct kstr name)
{
	int64_t id;

	return name.len > 0 && conf_parse_int(name, &id) &&
	    id == eng->conf->node_id;
}

enum err
configs_open(struct engine *eng)
{
	struct configs *c = &eng->configs;
	enum err e = E_OK;

	for (int i = 0; e == E_OK && i < CONF_TOPICS; i++) {
		const char *v = eng->conf->topic[i];
		char *copy = v == NULL ? NULL : strdup(v);

		if (copy != NULL)
			e = conf_set_put(&c->options, topic_row(i)->synonym,
			    copy);
		else if (v != NULL)
			e = E_NOMEM;
	}
	lay_topics(eng);
	return e;
}

/* ---- groups ------------------------------------------------------------ */

static struct group_configs *
group_find_configs(const struct configs *c, struct kstr name)
{
	if (name.len <= 0)
		return NULL;
	HASH_FIND(x, &c->groups, hash_bytes(name.p, (size_t)name.len)) {
		struct group_configs *g = HASH_OF(x, struct group_configs,
		    by_name);

		if (kstr_eq(name, (struct kstr){ g->len, g->name }))
			return g;
	}
	return NULL;
}

static struct group_configs *
group_make(struct configs *c, struct kstr name)
{
	struct group_configs *g;

	if (c->groups.n >= GROUP_CONFIGS_MAX ||
	    hash_room(&c->groups) != E_OK ||
	    (g = calloc(1, sizeof *g + (size_t)name.len + 1)) == NULL)
		return NULL;
	memcpy(g->name, name.p, (size_t)name.len);
	g->len = name.len;
	hash_put(&c->groups, &g->by_name, hash_bytes(g->name,
	    (size_t)name.len));
	return g;
}

static void
group_free_configs(struct configs *c, struct group_configs *g)
{
	hash_drop(&c->groups, &g->by_name);
	conf_set_free(&g->own.set);
	free(g);
}

/* A group that has no configs has no entry. */
static void
group_unmake(struct configs *c, struct kstr name)
{
	struct group_configs *g = group_find_configs(c, name);

	if (g == NULL || g->own.set.n > 0 || g->own.next != NULL)
		return;
	group_free_configs(c, g);
}

void
configs_free(struct engine *eng)
{
	struct configs *c = &eng->configs;

	HASH_EACH(x, &c->groups)
		group_free_configs(c, HASH_OF(x, struct group_configs,
		    by_name));
	hash_free(&c->groups);
	conf_set_free(&c->options);
	conf_set_free(&c->cluster.set);
	conf_set_free(&c->broker.set);
	*c = (struct configs){ 0 };
}

/* ---- records ----------------------------------------------------------- */

static enum err
record_fill(const struct conf_set *set, struct meta_broker_config *rec,
    struct arena *a)
{
	rec->configs.n = set->n;
	rec->configs.v = arena_array(a, (size_t)set->n,
	    sizeof *rec->configs.v);
	if (rec->configs.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < set->n; i++)
		rec->configs.v[i] = (struct meta_topic_config){
		    kstr_of(set->v[i].name), kstr_of(set->v[i].value) };
	return E_OK;
}

static struct meta_key
name_key(struct kstr name)
{
	return (struct meta_key){ (const uint8_t *)name.p,
	    (size_t)name.len };
}

static void
snap_set(const struct own_configs *o, enum meta_type t, struct kstr name,
    void (*put)(void *, enum meta_type, const struct meta_key *,
    const void *), void *arg)
{
	const struct conf_set *set = configs_newest(o);
	struct meta_key key = name_key(name);
	struct meta_broker_config rec;
	struct arena a;

	if (set->n == 0)
		return;
	arena_init(&a, RECORD_MAX);
	/* A handful of names: memory for them is there or nothing is. */
	ASSERT(record_fill(set, &rec, &a) == E_OK);
	put(arg, t, &key, &rec);
	arena_reset(&a);
}

void
configs_snapshot(struct engine *eng, void (*put)(void *, enum meta_type,
    const struct meta_key *, const void *), void *arg)
{
	struct configs *c = &eng->configs;
	struct group_configs *g;
	char id[16];

	snprintf(id, sizeof id, "%d", (int)eng->conf->node_id);
	snap_set(&c->cluster, MT_meta_broker_config, kstr_of(""), put, arg);
	snap_set(&c->broker, MT_meta_broker_config, kstr_of(id), put, arg);
	HASH_EACH(x, &c->groups) {
		g = HASH_OF(x, struct group_configs, by_name);
		snap_set(&g->own, MT_meta_group_config,
		    (struct kstr){ g->len, g->name }, put, arg);
	}
}

enum err
configs_restore(struct engine *eng, enum meta_type t,
    const struct meta_key *key, const void *value, char *why, size_t size)
{
	struct kstr name = { (int32_t)key->len, (const char *)key->p };
	enum config_resource type = t == MT_meta_group_config ? RES_GROUP :
	    RES_BROKER;
	const struct meta_broker_config *rec = value;
	struct conf_set set = { 0 };
	struct own_configs *own;
	enum err e = E_OK;

	for (int32_t i = 0; value != NULL && e == E_OK &&
	    i < rec->configs.n; i++)
		e = type == RES_GROUP ? group_conf_put(&set,
		    rec->configs.v[i].name, rec->configs.v[i].value, why,
		    size) : broker_conf_put(&set, rec->configs.v[i].name,
		    rec->configs.v[i].value, why, size);
	if (e != E_OK) {
		conf_set_free(&set);
		return e;
	}
	/* Of another node id: this data directory had it once. */
	if (type == RES_BROKER && name.len > 0 && !configs_is_me(eng, name)) {
		conf_set_free(&set);
		return E_OK;
	}
	own = configs_find(eng, type, name, true);
	if (own == NULL) {
		conf_set_free(&set);
		return E_NOMEM;
	}
	conf_set_free(&own->set);
	own->set = set;
	if (type == RES_GROUP)
		group_unmake(&eng->configs, name);
	return E_OK;
}

/* ---- changes ----------------------------------------------------------- */

const struct own_configs *
configs_find_group(const struct engine *eng, struct kstr name)
{
	const struct group_configs *g =
	    group_find_configs(&eng->configs, name);

	return g == NULL ? NULL : &g->own;
}

struct own_configs *
configs_find(struct engine *eng, enum config_resource type, struct kstr name,
    bool make)
{
	struct group_configs *g;
	struct topic *t;

	switch (type) {
	case RES_TOPIC:
		t = topic_find(&eng->topics, name);
		return t == NULL || t->leaving ? NULL : &t->own;
	case RES_BROKER:
		if (name.len == 0)
			return &eng->configs.cluster;
		return configs_is_me(eng, name) ? &eng->configs.broker : NULL;
	case RES_GROUP:
		g = group_find_configs(&eng->configs, name);
		if (g == NULL && make && name.len > 0)
			g = group_make(&eng->configs, name);
		return g == NULL ? NULL : &g->own;
	case RES_LOGGER:
	case RES_METRICS:
		break;
	}
	return NULL;
}

void
configs_warn(const struct conf_set *set, const struct conf_set *was)
{
	for (int i = 0; i < set->n; i++) {
		struct kstr name = kstr_of(set->v[i].name);
		const struct topic_row *r = topic_row_find(name);
		const char *old = conf_set_get(was, set->v[i].name);

		if (r == NULL)
			r = topic_row_broker(name);
		if (r != NULL && r->state == CONF_KEPT && (old == NULL ||
		    strcmp(old, set->v[i].value) != 0))
			log_warn("config is kept but not acted on yet",
			    LS("config", set->v[i].name), LS("why", r->doc));
	}
}

static void
change_durable(struct meta_put *put, enum err e)
{
	struct config_change *ch = (struct config_change *)((char *)put -
	    offsetof(struct config_change, put));
	struct own_configs *own = ch->own;

	/* A topic that was deleted meanwhile still has its struct. */
	if (own->next == &ch->set)
		own->next = NULL;
	if (e == E_OK) {
		configs_warn(&ch->set, &own->set);
		conf_set_free(&own->set);
		own->set = ch->set;
	} else
		conf_set_free(&ch->set);
	ch->set = (struct conf_set){ 0 };
	if (e == E_OK && ch->type == RES_TOPIC)
		configs_apply((struct topic *)((char *)own -
		    offsetof(struct topic, own)));
	else if (e == E_OK && ch->type == RES_BROKER)
		configs_ready(ch->eng);
	else if (ch->type == RES_GROUP)
		group_unmake(&ch->eng->configs, ch->name);
	ch->done(ch, e);
}

static enum err
change_write(struct config_change *ch)
{
	struct meta *m = &ch->eng->meta;
	struct meta_broker_config rec;
	struct meta_key key;
	struct arena a;
	char id[16];
	enum err e;

	arena_init(&a, RECORD_MAX);
	if (ch->type == RES_TOPIC)
		e = topic_write((struct topic *)((char *)ch->own -
		    offsetof(struct topic, own)), 0, &ch->put);
	else {
		/* However the client wrote the broker's id. */
		snprintf(id, sizeof id, "%d", (int)ch->eng->conf->node_id);
		key = name_key(ch->type == RES_BROKER && ch->name.len > 0 ?
		    kstr_of(id) : ch->name);
		e = record_fill(&ch->set, &rec, &a);
		if (e == E_OK)
			e = meta_write(m, ch->type == RES_GROUP ?
			    MT_meta_group_config : MT_meta_broker_config,
			    &key, ch->set.n == 0 ? NULL : &rec, &ch->put);
	}
	arena_reset(&a);
	return e;
}

enum err
configs_change(struct config_change *ch)
{
	const struct conf_set *was = ch->own->next;
	enum err e;

	ch->put.done = change_durable;
	ch->own->next = &ch->set;
	e = change_write(ch);
	if (e != E_OK) {
		ch->own->next = was;
		conf_set_free(&ch->set);
		if (ch->type == RES_GROUP)
			group_unmake(&ch->eng->configs, ch->name);
	}
	return e;
}
