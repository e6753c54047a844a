/* SPDX-License-Identifier: Apache-2.0 */
/* The configs of groups: the GROUP rows of conf.def. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static const char session_name[] = "consumer.session.timeout.ms";
static const char heartbeat_name[] = "consumer.heartbeat.interval.ms";

/* The options are named with underscores in the table, with dots by Kafka. */
static const struct row {
	const char	*name, *option, *doc;
	int		 opt;
	size_t		 def, min, max;		/* in struct conf */
} rows[] = {
#define GROUP(n, d, lo, hi, doc) \
	{ n, #d, doc, CONF_OPT_##d, offsetof(struct conf, d), \
	    offsetof(struct conf, lo), offsetof(struct conf, hi) },
#include "lib/conf.def"
};
enum { NROWS = sizeof(rows) / sizeof(*rows) };
_Static_assert((int)NROWS <= (int)GROUP_ROWS_MAX, "room in an answer");

static int64_t
option(const struct conf *c, size_t off)
{
	return *(const int64_t *)((const char *)c + off);
}

bool
group_row(const struct conf *c, int i, struct group_row *out)
{
	if (i < 0 || i >= NROWS)
		return false;
	*out = (struct group_row){ .name = rows[i].name, .doc = rows[i].doc,
	    .def = option(c, rows[i].def), .min = option(c, rows[i].min),
	    .max = option(c, rows[i].max), .given = c->given[rows[i].opt] };
	snprintf(out->option, sizeof out->option, "%s", rows[i].option);
	for (char *p = out->option; *p != '\0'; p++)
		if (*p == '_')
			*p = '.';
	return true;
}

enum err
group_conf_put(struct conf_set *set, struct kstr name, struct kstr value,
    char *why, size_t size)
{
	static const struct conf_kind kind = { T_INT, NULL, 1, INT32_MAX };
	char shown[CONF_SHOWN_SIZE], end[CONF_WHY_MAX], *text;
	struct conf_value v;
	int i = 0;

	while (i < NROWS && !kstr_eq(name, kstr_of(rows[i].name)))
		i++;
	if (i == NROWS) {
		conf_show(name, shown);
		snprintf(why, size, "Unknown group config name: %s", shown);
		return E_INVALID_CONFIG;
	}
	if (value.len < 0) {
		snprintf(why, size, "%s must not be null", rows[i].name);
		return E_INVALID_CONFIG;
	}
	if (!conf_value_parse(&kind, kstr_trim(value), &v, end)) {
		conf_show(value, shown);
		snprintf(why, size, "Invalid value %s for configuration %s: "
		    "it %s", shown, rows[i].name, end);
		return E_INVALID_CONFIG;
	}
	text = conf_value_text(&kind, value);
	return text == NULL ? E_NOMEM :
	    conf_set_put(set, rows[i].name, text);
}

/* The set's value of a row, or the broker's. */
static int64_t
value_of(const struct conf *c, const struct conf_set *set,
    const struct row *r)
{
	const char *text = set == NULL ? NULL : conf_set_get(set, r->name);
	int64_t n;

	if (text != NULL && conf_parse_int(kstr_of(text), &n))
		return n;
	return option(c, r->def);
}

enum err
group_conf_check(const struct engine *eng, const struct conf_set *set,
    char *why, size_t size)
{
	const struct conf *c = eng->conf;
	int64_t session = 0, heartbeat = 0;

	for (const struct row *r = rows; r < rows + NROWS; r++) {
		int64_t v = value_of(c, set, r);

		if (strcmp(r->name, session_name) == 0)
			session = v;
		else
			heartbeat = v;
		/* The broker's own default is the operator's business. */
		if (conf_set_get(set, r->name) == NULL)
			continue;
		if (v < option(c, r->min) || v > option(c, r->max)) {
			snprintf(why, size, "%s must be from %lld to %lld, "
			    "which the broker allows", r->name,
			    (long long)option(c, r->min),
			    (long long)option(c, r->max));
			return E_INVALID_CONFIG;
		}
	}
	if (set->n > 0 && session <= heartbeat) {
		snprintf(why, size, "%s (%lld) must be greater than %s (%lld)",
		    session_name, (long long)session, heartbeat_name,
		    (long long)heartbeat);
		return E_INVALID_CONFIG;
	}
	return E_OK;
}

/* The bounds may have moved since it was set. */
static int32_t
effective(const struct engine *eng, struct kstr group, const char *name)
{
	const struct own_configs *own = configs_find_group(eng, group);
	const struct row *r = rows;
	int64_t v;

	while (strcmp(r->name, name) != 0)
		r++;
	v = value_of(eng->conf, own == NULL ? NULL : &own->set, r);
	if (own != NULL && conf_set_get(&own->set, name) != NULL) {
		if (v < option(eng->conf, r->min))
			v = option(eng->conf, r->min);
		if (v > option(eng->conf, r->max))
			v = option(eng->conf, r->max);
	}
	return (int32_t)v;
}

int32_t
group_conf_session_ms(const struct engine *eng, struct kstr group)
{
	return effective(eng, group, session_name);
}

int32_t
group_conf_heartbeat_ms(const struct engine *eng, struct kstr group)
{
	return effective(eng, group, heartbeat_name);
}
