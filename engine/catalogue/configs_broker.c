/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's configs: options that Kafka has, the defaults of topics, and
 * what follows from the rest.  Options of the gateway are known from the
 * gateway that asks, and what changes of them at run time goes back to all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/configs_call.h"
#include "lib/log.h"

enum {
	LINK_OPTIONS_MAX	= 64,	/* that a gateway tells */
	LINK_OPTION_MAX		= CONF_TEXT_MAX, /* of a name or a value */
};

enum broker_id {
#define BROKER(id, ...)	BC_##id,
#include "lib/conf.def"
	BC_N
};
#define STRING	CT_STRING
#define INT	CT_INT
#define LONG	CT_LONG
static const struct {
	const char	*name, *doc;
	enum conf_ctype	 type;
	bool		 dynamic;
} brokers[] = {
#define BROKER(id, n, t, dyn, doc)	{ n, doc, t, dyn },
#include "lib/conf.def"
};
#undef STRING
#undef INT
#undef LONG

/* The release whose features we have; kafka-ui wants the -IV. */
static const char release[] = "3.9-IV0";

/* ---- what a gateway tells ---------------------------------------------- */

void
link_conf_free(struct link *l)
{
	for (int i = 0; i < l->noptions; i++) {
		free(l->options[i].name);
		free(l->options[i].value);
	}
	free(l->options);
	l->options = NULL;
	l->noptions = 0;
}

static const struct link_option *
link_option(const struct link *l, const char *name)
{
	for (int i = 0; l != NULL && i < l->noptions; i++)
		if (strcmp(l->options[i].name, name) == 0)
			return &l->options[i];
	return NULL;
}

enum err
link_conf_told(struct link *l, const struct gateway_conf_req *m)
{
	link_conf_free(l);
	if (m->options.n > LINK_OPTIONS_MAX)
		return E_PROTO;
	l->options = calloc((size_t)m->options.n + 1, sizeof *l->options);
	if (l->options == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < m->options.n; i++) {
		const struct gateway_conf_req_option *o = &m->options.v[i];
		struct link_option *to = &l->options[l->noptions];

		if (o->name.len <= 0 || o->name.len > LINK_OPTION_MAX ||
		    o->value.len < 0 || o->value.len > LINK_OPTION_MAX)
			return E_PROTO;
		to->given = o->given;
		to->name = strndup(o->name.p, (size_t)o->name.len);
		to->value = strndup(o->value.p, (size_t)o->value.len);
		l->noptions++;
		if (to->name == NULL || to->value == NULL)
			return E_NOMEM;
	}
	return E_OK;
}

/* What a gateway does by dynamic configs instead of its own options. */
void
link_conf_tell(struct link *l)
{
	struct gateway_conf_req_option o[CONF_OPTS];
	struct gateway_conf_req m = { .options = { 0, o } };
	const struct engine *eng = l->serve->eng;
	enum config_source src;
	struct conf_row row;

	if (l->options == NULL)
		return;
	for (int i = 0; conf_row(eng->conf, i, &row); i++) {
		const struct link_option *have = link_option(l, row.name);
		const char *v = configs_dynamic(eng, row.name, &src);

		if (!(row.where & CONF_D) || !(row.where & CONF_G) ||
		    have == NULL)
			continue;
		o[m.options.n++] = (struct gateway_conf_req_option){
		    kstr_of(have->name), kstr_of(v != NULL ? v :
		    have->value), v != NULL };
	}
	link_tell(l, IPC_GATEWAY_CONF, &m);
}

void
gateways_tell(struct engine *eng)
{
	struct serve *s = eng->serve;

	for (struct link *l = s == NULL ? NULL : s->links, *next; l != NULL;
	    l = next) {
		next = l->next;
		link_conf_tell(l);
	}
}

/* ---- rows -------------------------------------------------------------- */

static void
row_of_option(const struct call *c, int i, struct broker_row *out)
{
	const struct link_option *o;
	struct conf_row row;

	ASSERT(conf_row(c->eng->conf, i, &row));
	if (row.where & CONF_O)
		return;
	o = link_option(c->link, row.name);
	if (!(row.where & CONF_E) && o == NULL)
		return;		/* asked by a tool: no gateway to say */
	*out = (struct broker_row){ .doc = row.help, .type = row.type,
	    .dynamic = row.where & CONF_D,
	    .given = row.where & CONF_E ? row.given : o->given };
	snprintf(out->name, sizeof out->name, "%s", row.name);
	snprintf(out->def, sizeof out->def, "%s", row.def);
	snprintf(out->value, sizeof out->value, "%s",
	    row.where & CONF_E ? row.value : o->value);
}

static void
row_of_topics(const struct call *c, int i, struct broker_row *out)
{
	const struct topic_row *r = topic_row(i);
	const char *v = c->eng->conf->topic[i];

	if (r->synonym[0] == '\0')
		return;
	*out = (struct broker_row){ .doc = r->doc, .type = r->type,
	    .dynamic = r->kind.type != T_FORMAT, .given = v != NULL,
	    .topic = r };
	snprintf(out->name, sizeof out->name, "%s", r->synonym);
	snprintf(out->def, sizeof out->def, "%s", r->def);
	snprintf(out->value, sizeof out->value, "%s", v != NULL ? v : r->def);
}

/* The one listener's protocol, which is its name, too. */
static const char *
protocol(const struct conf *conf)
{
	return conf->security_protocol == SECURITY_PLAINTEXT ?
	    "PLAINTEXT" : "SASL_PLAINTEXT";
}

static void
listener(const struct call *c, const char *option, struct broker_row *out)
{
	const struct link_option *o = link_option(c->link, option);

	if (o == NULL)
		return;
	out->given = o->given;
	snprintf(out->value, sizeof out->value, "%s://%s",
	    protocol(c->eng->conf), o->value);
}

static void
row_of_broker(const struct call *c, enum broker_id id,
    struct broker_row *out)
{
	const struct conf *conf = c->eng->conf;
	char *v = out->value;
	size_t size = sizeof out->value;

	*out = (struct broker_row){ .doc = brokers[id].doc,
	    .type = brokers[id].type, .dynamic = brokers[id].dynamic };
	switch (id) {
	case BC_ADVERTISED:
		listener(c, "advertised.addr", out);
		break;
	case BC_LISTENERS:
		listener(c, "bind.addr", out);
		break;
	case BC_BROKER_ID:
		snprintf(v, size, "%d", (int)conf->node_id);
		out->given = conf->given[CONF_OPT_node_id];
		break;
	case BC_LOG_DIR:
	case BC_LOG_DIRS:
		snprintf(v, size, "%s", c->eng->data);
		out->given = conf->given[CONF_OPT_data_dir];
		break;
	case BC_RF:
		snprintf(v, size, "1");
		break;
	case BC_IBP:
		snprintf(v, size, "%s", release);
		break;
	case BC_PROTOCOL_MAP:
		snprintf(v, size, "%s:%s", protocol(conf), protocol(conf));
		out->given = conf->given[CONF_OPT_security_protocol];
		break;
	case BC_FOLLOWER_RATE:	/* there is only what was set */
	case BC_LEADER_RATE:
	case BC_N:
		break;
	}
	if (v[0] == '\0' && !out->dynamic)
		return;
	snprintf(out->name, sizeof out->name, "%s", brokers[id].name);
	if (!out->given)
		snprintf(out->def, sizeof out->def, "%s", v);
}

bool
broker_row(const struct call *c, int i, struct broker_row *out)
{
	out->name[0] = '\0';
	if (i < CONF_OPTS)
		row_of_option(c, i, out);
	else if ((i -= CONF_OPTS) < CONF_TOPICS)
		row_of_topics(c, i, out);
	else if ((i -= CONF_TOPICS) < BC_N)
		row_of_broker(c, (enum broker_id)i, out);
	else
		return false;
	return true;
}

/* ---- setting ----------------------------------------------------------- */

static enum err
put(const struct conf_kind *kind, const char *name, struct conf_set *set,
    struct kstr value, char *why, size_t size)
{
	char shown[CONF_SHOWN_SIZE], end[CONF_WHY_MAX], *text;
	struct conf_value v;

	if (value.len >= 0 && conf_value_parse(kind, kstr_trim(value), &v,
	    end)) {
		text = conf_value_text(kind, value);
		return text == NULL ? E_NOMEM : conf_set_put(set, name, text);
	}
	conf_show(value, shown);
	snprintf(why, size, "Invalid value %s for configuration %s: it %s",
	    value.len < 0 ? "null" : shown, name, value.len < 0 ?
	    "must not be null" : end);
	return E_INVALID_REQUEST;
}

enum err
broker_conf_put(struct conf_set *set, struct kstr name, struct kstr value,
    char *why, size_t size)
{
	static const struct conf_kind rate = { T_INT, NULL, 0, INT64_MAX };
	const struct topic_row *r = topic_row_broker(name);
	const struct conf_kind *kind;
	char shown[CONF_SHOWN_SIZE];
	bool known = r != NULL;
	const char *own;
	enum err e;

	if (r != NULL && r->kind.type != T_FORMAT) {
		e = topic_row_put(r, r->synonym, set, value, why, size);
		/* Kafka's word for it, where a broker is concerned. */
		return e == E_INVALID_CONFIG ? E_INVALID_REQUEST : e;
	}
	kind = conf_dynamic(name, &own, &known);
	if (kind != NULL)
		return put(kind, own, set, value, why, size);
	for (int i = 0; i < BC_N; i++)
		if (kstr_eq(name, kstr_of(brokers[i].name))) {
			if (brokers[i].dynamic)
				return put(&rate, brokers[i].name, set, value,
				    why, size);
			known = true;
		}
	conf_show(name, shown);
	snprintf(why, size, known ?
	    "Cannot update these configs dynamically: %s" :
	    "Unknown broker config name: %s", shown);
	return known ? E_INVALID_REQUEST : E_INVALID_CONFIG;
}

/* Whether lists may be appended to. */
bool
broker_conf_is_list(struct kstr name)
{
	const struct topic_row *r = topic_row_broker(name);

	return r != NULL && r->type == CT_LIST;
}
