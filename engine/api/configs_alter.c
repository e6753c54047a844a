/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterConfigs, which gives a resource a whole new set of configs, and
 * IncrementalAlterConfigs, which changes some (protocol.md 4.2).  A resource is
 * changed as a whole or not at all; resources stand for themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs_call.h"
#include "lib/log.h"

enum op { OP_SET, OP_DELETE, OP_APPEND, OP_SUBTRACT };

enum {
	KEYS_MAX	= 1000,	/* of one resource: more than there are */
};

/* One resource, whichever api it came by: rows of what is to be done. */
struct altering {
	struct altering_all *all;
	struct config_change change;
	int8_t		 type;
	struct kstr	 name;
	int32_t		 n;
	const struct alter_configs_req_resource_config *sets;	/* or */
	const struct incremental_alter_configs_req_resource_config *ops;
	int16_t		 error;
	struct kstr	 message;
};

struct altering_all {
	struct call	*call;
	bool		 validate_only, starting;
	int		 pending;
	int32_t		 n;
	struct altering	*v;		/* malloc'ed: changes outlive calls */
};

/* ---- the rows of one --------------------------------------------------- */

static struct kstr
row_name(const struct altering *x, int32_t i)
{
	return x->ops != NULL ? x->ops[i].name : x->sets[i].name;
}

static struct kstr
row_value(const struct altering *x, int32_t i)
{
	return x->ops != NULL ? x->ops[i].value : x->sets[i].value;
}

static int
row_op(const struct altering *x, int32_t i)
{
	return x->ops != NULL ? x->ops[i].config_operation : OP_SET;
}

/* What is wrong with the request itself, as Kafka's ConfigAdminManager. */
static enum err
check_rows(const struct altering *x, char *why)
{
	char shown[CONF_SHOWN_SIZE];

	if (x->n > KEYS_MAX) {
		snprintf(why, WHY_SIZE, "more than %d configs", KEYS_MAX);
		return E_INVALID_REQUEST;
	}
	for (int32_t i = 0; i < x->n; i++) {
		int op = row_op(x, i);

		for (int32_t k = 0; k < i; k++)
			if (kstr_eq(row_name(x, i), row_name(x, k))) {
				snprintf(why, WHY_SIZE, "Error due to "
				    "duplicate config keys");
				return E_INVALID_REQUEST;
			}
		conf_show(row_name(x, i), shown);
		if (op < OP_SET || op > OP_SUBTRACT) {
			snprintf(why, WHY_SIZE, "Unknown operation type %d "
			    "for %s", op, shown);
			return E_INVALID_REQUEST;
		}
		if (op != OP_DELETE && row_value(x, i).len < 0) {
			snprintf(why, WHY_SIZE, "Null value not supported "
			    "for : %s", shown);
			return E_INVALID_REQUEST;
		}
	}
	return E_OK;
}

/* ---- a new set --------------------------------------------------------- */

static enum err
set_put(const struct altering *x, struct kstr name, struct kstr value,
    struct conf_set *set, char *why)
{
	switch ((enum config_resource)x->type) {
	case RES_TOPIC:
		return topic_conf_put(set, name, value, why, WHY_SIZE);
	case RES_BROKER:
		return broker_conf_put(set, name, value, why, WHY_SIZE);
	case RES_GROUP:
		return group_conf_put(set, name, value, why, WHY_SIZE);
	case RES_LOGGER:
	case RES_METRICS:
		break;
	}
	return E_INVALID_REQUEST;
}

/* Before APPEND or SUBTRACT: what the list holds now. */
static const char *
list_now(const struct altering *x, const struct topic_row *r,
    const struct conf_set *set)
{
	const char *name = x->type == RES_TOPIC ? r->name : r->synonym;
	const char *v = conf_set_get(set, name);
	enum config_source src;

	if (v != NULL)
		return v;
	return x->type == RES_BROKER ? r->def :
	    topic_config_value(x->all->call->eng, NULL, r, &src);
}

static bool
word_in(const char *list, struct kstr word)
{
	for (;;) {
		size_t n = strcspn(list, ",");

		if (word.len == (int32_t)n && memcmp(list, word.p, n) == 0)
			return true;
		if (list[n] == '\0')
			return false;
		list += n + 1;
	}
}

/* out holds words with commas between; there is room for one more. */
static void
word_add(char *out, const char *word, size_t n)
{
	size_t at = strlen(out);

	if (n == 0)
		return;
	if (at > 0)
		out[at++] = ',';
	memcpy(out + at, word, n);
	out[at + n] = '\0';
}

/* now + words, or now - words, in the order of now.  Allocated. */
static char *
list_change(const char *now, struct kstr words, bool append)
{
	struct kstr rest = words;
	char *out = calloc(1, strlen(now) + (size_t)words.len + 2);
	char *text = strndup(words.p, (size_t)words.len);

	if (out == NULL || text == NULL) {
		free(out);
		free(text);
		return NULL;
	}
	for (const char *p = now; ; ) {
		size_t n = strcspn(p, ",");

		if (append || !word_in(text, (struct kstr){ (int32_t)n, p }))
			word_add(out, p, n);
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
	free(text);
	while (append && rest.len >= 0) {
		const char *comma = rest.len == 0 ? NULL :
		    memchr(rest.p, ',', (size_t)rest.len);
		struct kstr w = rest;

		if (comma != NULL)
			w.len = (int32_t)(comma - rest.p);
		rest.len -= w.len + 1;
		rest.p += w.len + 1;
		w = kstr_trim(w);
		if (!word_in(out, w))
			word_add(out, w.p, (size_t)w.len);
	}
	return out;
}

static enum err
row_list(const struct altering *x, int32_t i, struct conf_set *set,
    char *why)
{
	struct kstr name = row_name(x, i);
	const struct topic_row *r = x->type == RES_TOPIC ?
	    topic_row_find(name) : x->type == RES_BROKER ?
	    topic_row_broker(name) : NULL;
	bool append = row_op(x, i) == OP_APPEND;
	char shown[CONF_SHOWN_SIZE], *list;
	enum err e;

	conf_show(name, shown);
	if (r == NULL) {
		/* The word for an unknown name comes before that for a type. */
		struct conf_set scratch = { 0 };

		e = set_put(x, name, kstr_of("1"), &scratch, why);
		conf_set_free(&scratch);
		if (e != E_OK && strncmp(why, "Unknown", 7) == 0)
			return e;
	}
	if (r == NULL || r->type != CT_LIST) {
		snprintf(why, WHY_SIZE, "Can't %s to key %s because its type "
		    "is not LIST.", append ? "APPEND" : "SUBTRACT", shown);
		return E_INVALID_CONFIG;
	}
	list = list_change(list_now(x, r, set), row_value(x, i), append);
	if (list == NULL)
		return E_NOMEM;
	e = set_put(x, name, kstr_of(list), set, why);
	free(list);
	return e;
}

/* One that is not set may be deleted all the same. */
static void
row_delete(struct kstr name, struct conf_set *set)
{
	for (int i = 0; i < set->n; i++)
		if (kstr_eq(name, kstr_of(set->v[i].name))) {
			conf_set_drop(set, set->v[i].name);
			break;
		}
}

static enum err
set_make(const struct altering *x, const struct conf_set *was,
    struct conf_set *set, char *why)
{
	enum err e = E_OK;

	*set = (struct conf_set){ 0 };
	if (x->ops != NULL)
		e = conf_set_copy(set, was);
	for (int32_t i = 0; e == E_OK && i < x->n; i++)
		switch ((enum op)row_op(x, i)) {
		case OP_SET:
			e = set_put(x, row_name(x, i), row_value(x, i), set,
			    why);
			break;
		case OP_DELETE:
			row_delete(row_name(x, i), set);
			break;
		case OP_APPEND:
		case OP_SUBTRACT:
			e = row_list(x, i, set, why);
			break;
		}
	return e;
}

/* Whether what would hold then is of one piece. */
static enum err
set_check(const struct altering *x, const struct conf_set *set, char *why)
{
	const struct engine *eng = x->all->call->eng;
	struct topic_conf t;

	switch ((enum config_resource)x->type) {
	case RES_TOPIC:
		t = eng->configs.topics;
		topic_conf_own(&t, set);
		return topic_conf_check(&t, why, WHY_SIZE);
	case RES_BROKER:
		t = eng->configs.topics;
		topic_conf_broker(&t, set);
		return topic_conf_check(&t, why, WHY_SIZE);
	case RES_GROUP:
		return group_conf_check(eng, set, why, WHY_SIZE);
	case RES_LOGGER:
	case RES_METRICS:
		break;
	}
	return E_OK;
}

/* ---- resources --------------------------------------------------------- */

/* What is wrong with the resource, before its configs are looked at. */
static enum err
check_resource(const struct altering *x, char *why)
{
	const struct engine *eng = x->all->call->eng;
	char shown[CONF_SHOWN_SIZE];

	conf_show(x->name, shown);
	switch ((enum config_resource)x->type) {
	case RES_TOPIC:
		if (x->name.len <= 0) {
			snprintf(why, WHY_SIZE,
			    "Default topic resources are not allowed.");
			return E_INVALID_REQUEST;
		}
		if (topic_name_check(x->name) == E_OK)
			return E_OK;
		snprintf(why, WHY_SIZE, "%s is no name of a topic", shown);
		return E_INVALID_TOPIC;
	case RES_LOGGER:
		/* The older api does not know it. */
		if (x->ops == NULL)
			break;
		if (configs_is_me(eng, x->name))
			return E_OK;
		snprintf(why, WHY_SIZE, "Unexpected broker id, expected %d, "
		    "but received %s", (int)eng->conf->node_id, shown);
		return E_INVALID_REQUEST;
	case RES_BROKER:
		if (x->name.len <= 0 || configs_is_me(eng, x->name))
			return E_OK;
		snprintf(why, WHY_SIZE, "Unexpected broker id, expected %d, "
		    "but received %s", (int)eng->conf->node_id, shown);
		return E_INVALID_REQUEST;
	case RES_GROUP:
		if (x->name.len > 0)
			return E_OK;
		snprintf(why, WHY_SIZE,
		    "Default group resources are not allowed.");
		return E_INVALID_REQUEST;
	case RES_METRICS:
		snprintf(why, WHY_SIZE, "Client metrics are not collected: "
		    "there are no subscriptions to configure");
		return E_INVALID_REQUEST;
	}
	snprintf(why, WHY_SIZE, "Unknown resource type %d", x->type);
	return E_INVALID_REQUEST;
}

static enum err
alter_logger(const struct altering *x, char *why)
{
	enum err e = E_OK;

	for (int32_t i = 0; e == E_OK && i < x->n; i++) {
		if (!kstr_eq(row_name(x, i), kstr_of(ROOT_LOGGER))) {
			snprintf(why, WHY_SIZE, "There is one logger, "
			    ROOT_LOGGER);
			e = E_INVALID_CONFIG;
		} else if (row_op(x, i) != OP_SET) {
			snprintf(why, WHY_SIZE, "The level of the logger "
			    ROOT_LOGGER " can only be set");
			e = E_INVALID_REQUEST;
		} else
			e = logger_set(row_value(x, i),
			    x->all->validate_only, why, WHY_SIZE);
	}
	return e;
}

static void
verdict(struct altering *x, enum err e, const char *why)
{
	x->error = err_code(e);
	x->message = e == E_OK ? (struct kstr){ -1, NULL } : why[0] != '\0' ?
	    str_keep(&x->all->call->arena, why) : kstr_of(err_text(e));
}

static void reply(struct altering_all *);

static const char *
resource_word(enum config_resource type)
{
	switch (type) {
	case RES_TOPIC:
		return "topic";
	case RES_BROKER:
		return "broker";
	case RES_LOGGER:
		return "logger";
	case RES_METRICS:
		return "metrics";
	case RES_GROUP:
		return "group";
	}
	return "?";
}

static void
changed(struct config_change *ch, enum err e)
{
	struct altering *x = ch->arg;
	struct altering_all *all = x->all;

	verdict(x, e, "");
	if (e == E_OK && x->type == RES_BROKER)
		gateways_tell(all->call->eng);
	if (e == E_OK)
		log_info("configs changed",
		    LS("resource", resource_word(ch->type)),
		    LSN("name", x->name.p, x->name.len),
		    LI("configs", x->n));
	all->pending--;
	reply(all);
}

static enum err
alter_one(struct altering *x, char *why)
{
	struct engine *eng = x->all->call->eng;
	static const struct conf_set none;
	struct own_configs *own;
	struct conf_set set;
	enum err e;

	e = check_rows(x, why);
	if (e == E_OK)
		e = check_resource(x, why);
	if (e == E_OK && x->type == RES_LOGGER)
		return alter_logger(x, why);
	if (e != E_OK)
		return e;
	own = configs_find(eng, (enum config_resource)x->type, x->name,
	    false);
	e = set_make(x, own == NULL ? &none : configs_newest(own), &set, why);
	if (e == E_OK)
		e = set_check(x, &set, why);
	if (e == E_OK && own == NULL && x->type == RES_TOPIC)
		e = E_UNKNOWN_TOPIC;
	if (e != E_OK || x->all->validate_only ||
	    (own != NULL && own->next == NULL &&
	    conf_set_eq(&own->set, &set)) || (own == NULL && set.n == 0)) {
		conf_set_free(&set);
		return e;
	}
	if (own == NULL)
		own = configs_find(eng, (enum config_resource)x->type,
		    x->name, true);
	if (own == NULL) {
		conf_set_free(&set);
		snprintf(why, WHY_SIZE, "at most %d groups have configs",
		    GROUP_CONFIGS_MAX);
		return E_POLICY_VIOLATION;
	}
	x->change = (struct config_change){ .eng = eng, .type =
	    (enum config_resource)x->type, .name = x->name, .set = set,
	    .own = own, .done = changed, .arg = x };
	e = configs_change(&x->change);
	x->all->pending += e == E_OK;
	return e;
}

/* ---- requests ---------------------------------------------------------- */

static void
reply(struct altering_all *all)
{
	struct alter_configs_res res = { 0 };
	struct incremental_alter_configs_res ires = { 0 };
	struct call *c = all->call;
	void *rows;

	if (all->starting || all->pending > 0)
		return;
	_Static_assert(sizeof *res.responses.v == sizeof *ires.responses.v,
	    "the same rows");
	rows = arena_array(&c->arena, (size_t)all->n,
	    sizeof *res.responses.v);
	if (rows == NULL) {
		call_bad(c, "out of memory");
		free(all->v);
		free(all);
		return;
	}
	res.responses.n = ires.responses.n = all->n;
	res.responses.v = rows;
	ires.responses.v = rows;
	for (int32_t i = 0; i < all->n; i++)
		res.responses.v[i] = (struct alter_configs_res_response){
		    all->v[i].error, all->v[i].message, all->v[i].type,
		    all->v[i].name };
	if (c->head.type == API_ALTER_CONFIGS)
		call_reply(c, &res);
	else
		call_reply(c, &ires);
	free(all->v);
	free(all);
}

static int
by_resource(const void *a, const void *b)
{
	const struct altering *x = *(const struct altering *const *)a;
	const struct altering *y = *(const struct altering *const *)b;

	if (x->type != y->type)
		return x->type - y->type;
	if (x->name.len != y->name.len)
		return x->name.len < y->name.len ? -1 : 1;
	return x->name.len <= 0 ? 0 : memcmp(x->name.p, y->name.p,
	    (size_t)x->name.len);
}

/* One that stands more than once is not changed at all. */
static enum err
find_twins(struct altering_all *all)
{
	struct altering **by = calloc((size_t)all->n + 1, sizeof(*by));

	if (by == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < all->n; i++)
		by[i] = &all->v[i];
	if (all->n > 1)
		qsort(by, (size_t)all->n, sizeof(*by), by_resource);
	for (int32_t i = 0; i < all->n; i++)
		if ((i > 0 && by_resource(&by[i], &by[i - 1]) == 0) ||
		    (i + 1 < all->n && by_resource(&by[i], &by[i + 1]) == 0))
			verdict(by[i], E_INVALID_REQUEST,
			    "Each resource must appear at most once.");
	free(by);
	return E_OK;
}

static struct altering_all *
altering_new(struct call *c, int32_t n, bool validate_only)
{
	struct altering_all *all = calloc(1, sizeof *all);

	c->arena.limit += (size_t)n * (sizeof(struct
	    alter_configs_res_response) + WHY_SIZE) + MIB;
	if (all != NULL)
		all->v = calloc((size_t)n + 1, sizeof *all->v);
	if (all == NULL || all->v == NULL) {
		free(all);
		call_bad(c, "out of memory");
		return NULL;
	}
	all->call = c;
	all->validate_only = validate_only;
	all->starting = true;
	all->n = n;
	return all;
}

static void
alter_all(struct altering_all *all)
{
	char why[WHY_SIZE];

	if (find_twins(all) != E_OK) {
		call_bad(all->call, "out of memory");
		free(all->v);
		free(all);
		return;
	}
	for (int32_t i = 0; i < all->n; i++) {
		why[0] = '\0';
		if (all->v[i].error == 0)
			verdict(&all->v[i], alter_one(&all->v[i], why), why);
	}
	all->starting = false;
	reply(all);
}

void
handle_alter_configs(struct call *c)
{
	const struct alter_configs_req *q = c->req;
	struct altering_all *all = altering_new(c, q->resources.n,
	    q->validate_only);

	if (all == NULL)
		return;
	for (int32_t i = 0; i < all->n; i++)
		all->v[i] = (struct altering){ .all = all,
		    .type = q->resources.v[i].resource_type,
		    .name = q->resources.v[i].resource_name,
		    .n = q->resources.v[i].configs.n,
		    .sets = q->resources.v[i].configs.v };
	alter_all(all);
}

void
handle_incremental_alter_configs(struct call *c)
{
	/* Not NULL: which api it is, it says of a resource without rows. */
	static const struct incremental_alter_configs_req_resource_config no;
	const struct incremental_alter_configs_req *q = c->req;
	struct altering_all *all = altering_new(c, q->resources.n,
	    q->validate_only);

	if (all == NULL)
		return;
	for (int32_t i = 0; i < all->n; i++)
		all->v[i] = (struct altering){ .all = all,
		    .type = q->resources.v[i].resource_type,
		    .name = q->resources.v[i].resource_name,
		    .n = q->resources.v[i].configs.n,
		    .ops = q->resources.v[i].configs.n > 0 ?
		    q->resources.v[i].configs.v : &no };
	alter_all(all);
}
