/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeConfigs and ListConfigResources (protocol.md 4.2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs_call.h"

enum {
	ANSWER_MAX	= 96 * MIB,	/* below a frame on our socket */
	ENTRY_BYTES	= 48,		/* of one, without its strings */
	LAYERS_MAX	= 5,		/* values of one config */
	WORK_MAX	= 100 * 1000 * 1000,	/* a fraction of a second */
};

/* One answer being filled. */
struct describing {
	struct call	*call;
	const struct describe_configs_req *q;
	size_t		 bytes;		/* of the answer so far */
	size_t		 work;		/* names compared so far */
	struct describe_configs_res_result *r;	/* the present resource */
	const struct describe_configs_req_resource *asked;
	int32_t		 cap;		/* of r->configs */
	enum err	 err;
};

/* A value of a config and where it comes from, the one that holds first. */
struct layer {
	const char	*name, *value;
	enum config_source src;
};

/* ---- entries ----------------------------------------------------------- */

static bool
is_asked(const struct describing *d, const char *name)
{
	const struct describe_configs_req_resource *q = d->asked;

	for (int32_t i = 0; i < q->configuration_keys.n; i++)
		if (kstr_eq(q->configuration_keys.v[i], kstr_of(name)))
			return true;
	return q->configuration_keys.n <= 0;
}

/* A string that lives as long as the call; counted. */
static struct kstr
say(struct describing *d, const char *s)
{
	size_t n = strlen(s);
	char *p = arena_strndup(&d->call->arena, s, n);

	d->bytes += n;
	if (p == NULL)
		d->err = E_POLICY_VIOLATION;
	return p == NULL ? kstr_of("") : (struct kstr){ (int32_t)n, p };
}

static void
say_synonyms(struct describing *d,
    struct describe_configs_res_result_config *e, const struct layer *v, int n)
{
	e->synonyms.v = arena_array(&d->call->arena, (size_t)n,
	    sizeof *e->synonyms.v);
	if (e->synonyms.v == NULL) {
		d->err = E_POLICY_VIOLATION;
		return;
	}
	e->synonyms.n = n;
	for (int i = 0; i < n; i++)
		e->synonyms.v[i] =
		    (struct describe_configs_res_result_config_synonym){
		    say(d, v[i].name), say(d, v[i].value),
		    (int8_t)v[i].src };
	d->bytes += (size_t)n * ENTRY_BYTES / 2;
}

/* What documentation says of one that nothing acts on. */
static struct kstr
say_doc(struct describing *d, const char *doc, enum conf_state state)
{
	static const char *const more[] = { [CONF_ENFORCED] = "",
	    [CONF_KEPT] = " The value is kept; nothing acts on it yet.",
	    [CONF_REFUSED] = " It takes only its default so far." };
	size_t n = strlen(doc) + strlen(more[state]);
	char *p = arena_alloc(&d->call->arena, n + 1);

	d->bytes += n;
	if (p == NULL) {
		d->err = E_POLICY_VIOLATION;
		return kstr_of("");
	}
	snprintf(p, n + 1, "%s%s", doc, more[state]);
	return kstr_of(p);
}

struct entry {
	const char	*name, *doc;
	enum conf_ctype	 type;
	enum conf_state	 state;
	bool		 read_only;
	enum config_source own;	/* of the resource itself: not the default */
};

static void
put_entry(struct describing *d, const struct entry *x, const struct layer *v,
    int n)
{
	struct describe_configs_res_result_config *e;

	if (n == 0 || d->err != E_OK || !is_asked(d, x->name))
		return;
	ASSERT(d->r->configs.n < d->cap);
	e = &d->r->configs.v[d->r->configs.n++];
	e->name = say(d, x->name);
	e->value = say(d, v[0].value);
	e->read_only = x->read_only;
	e->config_source = (int8_t)v[0].src;
	/* Version 0 knows two kinds: what the resource has, and the rest. */
	e->is_default = x->own != 0 ? v[0].src != x->own :
	    v[0].src == SRC_DEFAULT;
	e->config_type = (int8_t)x->type;
	e->documentation.len = -1;
	if (d->q->include_synonyms)
		say_synonyms(d, e, v, n);
	if (d->q->include_documentation)
		e->documentation = say_doc(d, x->doc, x->state);
	d->bytes += ENTRY_BYTES;
	if (d->bytes > ANSWER_MAX)
		d->err = E_POLICY_VIOLATION;
}

/* Room for the entries of the present resource. */
static bool
entries_room(struct describing *d, int n)
{
	int32_t most = d->asked->configuration_keys.n;

	d->work += most > 0 ? (size_t)n * (size_t)most : 0;
	if (d->work > WORK_MAX)
		d->err = E_POLICY_VIOLATION;
	/* A key asked for twice still gives one entry. */
	d->cap = most > 0 && most < n ? most : n;
	d->r->configs.v = arena_array(&d->call->arena, (size_t)d->cap,
	    sizeof *d->r->configs.v);
	if (d->r->configs.v == NULL)
		d->err = E_POLICY_VIOLATION;
	return d->err == E_OK;
}

/* ---- layers ------------------------------------------------------------ */

/* The dynamic values of a broker's config, and what it has without. */
static int
layers_broker(const struct engine *eng, const char *name, const char *option,
    const char *def, struct layer *v)
{
	const struct configs *c = &eng->configs;
	const char *s;
	int n = 0;

	if ((s = conf_set_get(&c->broker.set, name)) != NULL)
		v[n++] = (struct layer){ name, s, SRC_BROKER };
	if ((s = conf_set_get(&c->cluster.set, name)) != NULL)
		v[n++] = (struct layer){ name, s, SRC_CLUSTER };
	if (option != NULL)
		v[n++] = (struct layer){ name, option, SRC_OPTION };
	if (def != NULL)
		v[n++] = (struct layer){ name, def, SRC_DEFAULT };
	return n;
}

static int
layers_topic(const struct engine *eng, const struct conf_set *own,
    const struct topic_row *r, struct layer *v)
{
	const char *s = own == NULL ? NULL : conf_set_get(own, r->name);
	int n = 0;

	if (s != NULL)
		v[n++] = (struct layer){ r->name, s, SRC_TOPIC };
	if (r->synonym[0] == '\0') {
		v[n++] = (struct layer){ r->name, r->def, SRC_DEFAULT };
		return n;
	}
	return n + layers_broker(eng, r->synonym,
	    conf_set_get(&eng->configs.options, r->synonym), r->def, v + n);
}

const char *
topic_config_value(const struct engine *eng, const struct conf_set *own,
    const struct topic_row *r, enum config_source *src)
{
	struct layer v[LAYERS_MAX];

	layers_topic(eng, own, r, v);
	*src = v[0].src;
	return v[0].value;
}

/* ---- resources --------------------------------------------------------- */

static enum err
describe_topic(struct describing *d, char *why)
{
	struct engine *eng = d->call->eng;
	const struct topic *t = topic_find(&eng->topics,
	    d->asked->resource_name);
	struct layer v[LAYERS_MAX];
	const struct topic_row *r;

	if (topic_name_check(d->asked->resource_name) != E_OK) {
		snprintf(why, WHY_SIZE, "a topic name is 1 to %d letters, "
		    "digits, dots, underscores and hyphens, and not . or ..",
		    TOPIC_NAME_MAX);
		return E_INVALID_TOPIC;
	}
	if (t == NULL)
		return E_UNKNOWN_TOPIC;
	if (!entries_room(d, CONF_TOPICS))
		return d->err;
	for (int i = 0; (r = topic_row(i)) != NULL; i++) {
		struct entry x = { r->name, r->doc, r->type, r->state, false,
		    SRC_TOPIC };

		put_entry(d, &x, v, layers_topic(eng, &t->own.set, r, v));
	}
	return d->err;
}

/* Broker "": what was set for the whole cluster, and nothing else. */
static void
put_broker(struct describing *d, const struct broker_row *row, bool cluster)
{
	struct entry x = { row->name, row->doc, row->type,
	    row->topic != NULL ? row->topic->state : CONF_ENFORCED,
	    !row->dynamic, 0 };
	struct layer v[LAYERS_MAX];
	int n;

	if (cluster) {
		const char *s = conf_set_get(&d->call->eng->configs.cluster.
		    set, row->name);

		v[0] = (struct layer){ row->name, s, SRC_CLUSTER };
		put_entry(d, &x, v, s != NULL);
		return;
	}
	/* No default, unless that is the empty string. */
	n = layers_broker(d->call->eng, row->name,
	    row->given ? row->value : NULL, row->def[0] == '\0' &&
	    !(row->dynamic && row->type == CT_STRING) ? NULL : row->def, v);
	put_entry(d, &x, v, n);
}

static enum err
describe_broker(struct describing *d, char *why)
{
	struct kstr name = d->asked->resource_name;
	struct broker_row *row;
	int n = 0;

	if (name.len > 0 && !configs_is_me(d->call->eng, name)) {
		char shown[CONF_SHOWN_SIZE];

		conf_show(name, shown);
		snprintf(why, WHY_SIZE, "Unexpected broker id, expected %d or "
		    "empty string, but received %s",
		    (int)d->call->eng->conf->node_id, shown);
		return E_INVALID_REQUEST;
	}
	row = malloc(sizeof *row);
	if (row == NULL)
		return E_NOMEM;
	while (broker_row(d->call, n, row))
		n++;
	if (entries_room(d, n))
		for (int i = 0; broker_row(d->call, i, row); i++)
			if (row->name[0] != '\0')
				put_broker(d, row, name.len == 0);
	free(row);
	return d->err;
}

static enum err
describe_logger(struct describing *d, char *why)
{
	struct entry x = { ROOT_LOGGER, "The level of the engine's log.",
	    CT_STRING, CONF_ENFORCED, false, SRC_LOGGER };
	struct layer v = { ROOT_LOGGER, logger_level(), SRC_LOGGER };
	bool synonyms = d->q->include_synonyms;

	if (d->asked->resource_name.len <= 0) {
		snprintf(why, WHY_SIZE, "Broker id must not be empty");
		return E_INVALID_REQUEST;
	}
	if (!configs_is_me(d->call->eng, d->asked->resource_name)) {
		snprintf(why, WHY_SIZE, "Unexpected broker id, expected %d",
		    (int)d->call->eng->conf->node_id);
		return E_INVALID_REQUEST;
	}
	if (entries_room(d, 1)) {
		put_entry(d, &x, &v, 1);
		if (synonyms && d->r->configs.n > 0)
			d->r->configs.v[0].synonyms.n = 0;
	}
	return d->err;
}

static enum err
describe_group(struct describing *d, char *why)
{
	struct engine *eng = d->call->eng;
	struct kstr name = d->asked->resource_name;
	const struct own_configs *own = configs_find_group(eng, name);
	struct layer v[LAYERS_MAX];
	struct group_row r;
	int n;

	if (name.len <= 0) {
		snprintf(why, WHY_SIZE, "Group name must not be empty");
		return E_INVALID_REQUEST;
	}
	if (!entries_room(d, GROUP_ROWS_MAX))
		return d->err;
	for (int i = 0; group_row(eng->conf, i, &r); i++) {
		struct entry x = { r.name, r.doc, CT_INT, CONF_ENFORCED,
		    false, SRC_GROUP };
		const char *s = own == NULL ? NULL :
		    conf_set_get(&own->set, r.name);
		char def[24];

		n = 0;
		snprintf(def, sizeof def, "%lld", (long long)r.def);
		if (s != NULL)
			v[n++] = (struct layer){ r.name, s, SRC_GROUP };
		v[n++] = (struct layer){ r.option, def, r.given ? SRC_OPTION :
		    SRC_DEFAULT };
		put_entry(d, &x, v, n);
	}
	return d->err;
}

static enum err
describe_one(struct describing *d, char *why)
{
	switch ((enum config_resource)d->asked->resource_type) {
	case RES_TOPIC:
		return describe_topic(d, why);
	case RES_BROKER:
		return describe_broker(d, why);
	case RES_LOGGER:
		return describe_logger(d, why);
	case RES_METRICS:
		/* There are no subscriptions, and an unknown one is empty. */
		if (d->asked->resource_name.len > 0)
			return E_OK;
		snprintf(why, WHY_SIZE, "Client metrics subscription name "
		    "must not be empty");
		return E_INVALID_REQUEST;
	case RES_GROUP:
		return describe_group(d, why);
	}
	snprintf(why, WHY_SIZE, "Unsupported resource type: %d",
	    d->asked->resource_type);
	return E_INVALID_REQUEST;
}

void
handle_describe_configs(struct call *c)
{
	const struct describe_configs_req *q = c->req;
	struct describe_configs_res res = { 0 };
	struct describing d = { .call = c, .q = q };
	char why[WHY_SIZE];

	c->arena.limit += (size_t)q->resources.n * sizeof *res.results.v +
	    (size_t)ANSWER_MAX * 3;
	res.results.v = arena_array(&c->arena, (size_t)q->resources.n,
	    sizeof *res.results.v);
	if (res.results.v == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	res.results.n = q->resources.n;
	for (int32_t i = 0; i < q->resources.n; i++) {
		enum err e;

		d.asked = &q->resources.v[i];
		d.r = &res.results.v[i];
		d.r->resource_type = d.asked->resource_type;
		d.r->resource_name = d.asked->resource_name;
		d.r->error_message.len = -1;
		d.bytes += ENTRY_BYTES + (size_t)(d.asked->
		    resource_name.len + 1);
		why[0] = '\0';
		e = d.err != E_OK ? d.err : describe_one(&d, why);
		if (e == E_OK)
			continue;
		d.r->configs.n = 0;
		d.r->error_code = err_code(e);
		d.r->error_message = e == E_POLICY_VIOLATION ? kstr_of(
		    "the answer is too large: ask for fewer resources") :
		    why[0] == '\0' ? kstr_of(err_text(e)) :
		    str_keep(&c->arena, why);
	}
	call_reply(c, &res);
}

/* ---- ListConfigResources ----------------------------------------------- */

struct listing {
	struct call	*call;
	struct list_config_resources_res res;
	int32_t		 cap;
};

static void
list_put(struct listing *l, enum config_resource type, struct kstr name)
{
	if (l->res.config_resources.n < l->cap)
		l->res.config_resources.v[l->res.config_resources.n++] =
		    (struct list_config_resources_res_config_resource){
		    name, (int8_t)type };
}

static void
list_type(struct listing *l, enum config_resource type)
{
	struct engine *eng = l->call->eng;
	char id[16];

	switch (type) {
	case RES_TOPIC:
		for (struct topic *t = eng->topics.first; t != NULL;
		    t = t->next)
			if (t->state == TOPIC_LIVE)
				list_put(l, type, kstr_of(t->name));
		break;
	case RES_BROKER:
	case RES_LOGGER:
		snprintf(id, sizeof id, "%d", (int)eng->conf->node_id);
		list_put(l, type, str_keep(&l->call->arena, id));
		break;
	case RES_METRICS:
		break;
	case RES_GROUP:
		HASH_EACH(x, &eng->configs.groups) {
			struct group_configs *g = HASH_OF(x,
			    struct group_configs, by_name);

			if (g->own.set.n > 0)
				list_put(l, type, (struct kstr){ g->len,
				    g->name });
		}
		break;
	}
}

void
handle_list_config_resources(struct call *c)
{
	static const int8_t all[] = { RES_TOPIC, RES_BROKER, RES_LOGGER,
	    RES_METRICS, RES_GROUP };
	const struct list_config_resources_req *q = c->req;
	struct listing l = { .call = c };
	const int8_t *types = q->resource_types.v;
	int32_t n = q->resource_types.n, k;
	size_t most = c->eng->topics.n + c->eng->configs.groups.n + 2;

	if (c->head.version == 0)
		n = 0;
	else if (n <= 0) {
		types = all;
		n = sizeof all;
	}
	for (int32_t i = 0; i < n; i++)
		if (memchr(all, types[i], sizeof all) == NULL) {
			l.res.error_code = err_code(E_UNSUPPORTED_VERSION);
			call_reply(c, &l.res);
			return;
		}
	c->arena.limit += most * sizeof *l.res.config_resources.v;
	l.res.config_resources.v = arena_array(&c->arena, most,
	    sizeof *l.res.config_resources.v);
	l.cap = (int32_t)most;
	if (l.res.config_resources.v == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	/* A type that is asked for twice is listed once. */
	for (int32_t i = 0; i < (int32_t)sizeof all; i++) {
		for (k = 0; k < n && types[k] != all[i]; k++)
			;
		if (k < n)
			list_type(&l, (enum config_resource)all[i]);
	}
	call_reply(c, &l.res);
}
