/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic configs: the TOPIC rows of conf.def, their values as text in sets and
 * as numbers in a struct, which is what the log reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "conf.h"

#define CTYPE(t, hi)	((t) == T_BOOL ? CT_BOOLEAN : (t) == T_DOUBLE ? \
    CT_DOUBLE : (t) == T_LIST || (t) == T_REPLICAS || \
    (t) == T_FIELDS ? CT_LIST : (t) != T_INT ? \
    CT_STRING : (hi) > INT32_MAX ? CT_LONG : CT_INT)

static const struct topic_row rows[] = {
#define TOPIC(f, n, t, d, lo, hi, syn, st, doc) \
	{ n, syn, d, doc, CTYPE(T_##t, hi), CONF_##st, \
	    { T_##t, CONF_CHOICES(lo), CONF_BOUND(lo), hi }, \
	    offsetof(struct topic_conf, f) },
#include "conf.def"
};

const struct topic_row *
topic_row(int i)
{
	return i < 0 || i >= CONF_TOPICS ? NULL : &rows[i];
}

const struct topic_row *
topic_row_find(struct kstr name)
{
	for (int i = 0; i < CONF_TOPICS; i++)
		if (kstr_eq(name, kstr_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

const struct topic_row *
topic_row_broker(struct kstr synonym)
{
	for (int i = 0; i < CONF_TOPICS; i++)
		if (synonym.len > 0 &&
		    kstr_eq(synonym, kstr_of(rows[i].synonym)))
			return &rows[i];
	return NULL;
}

bool
topic_row_judge(const struct topic_row *r, struct kstr s,
    char why[CONF_WHY_MAX])
{
	struct conf_value v = { 0 }, def = { 0 };

	if (!conf_value_parse(&r->kind, s, &v, why))
		return false;
	if (r == &rows[CONF_TOPIC_compression_gzip_level] && v.i == 0) {
		snprintf(why, CONF_WHY_MAX, "must be between 1 and 9 or equal "
		    "to -1");
		return false;
	}
	ASSERT(conf_value_parse(&r->kind, kstr_of(r->def), &def, why));
	if (r->state == CONF_REFUSED && (v.i != def.i || v.d != def.d)) {
		snprintf(why, CONF_WHY_MAX, "is not supported yet and takes "
		    "only its default, %s", r->def);
		return false;
	}
	return true;
}

enum err
topic_row_put(const struct topic_row *r, const char *name,
    struct conf_set *set, struct kstr text, char *why, size_t size)
{
	char shown[CONF_SHOWN_SIZE], end[CONF_WHY_MAX], *value;

	if (text.len < 0) {
		snprintf(why, size, "%s must not be null", name);
		return E_INVALID_CONFIG;
	}
	if (text.len > INT16_MAX) {
		snprintf(why, size, "The value of %s is longer than %d bytes",
		    name, INT16_MAX);
		return E_INVALID_CONFIG;
	}
	if (!topic_row_judge(r, kstr_trim(text), end)) {
		conf_show(text, shown);
		snprintf(why, size,
		    "Invalid value %s for configuration %s: it %s", shown,
		    name, end);
		return E_INVALID_CONFIG;
	}
	value = conf_value_text(&r->kind, text);
	if (value == NULL)
		return E_NOMEM;
	return conf_set_put(set, name, value);
}

enum err
topic_conf_put(struct conf_set *set, struct kstr name, struct kstr value,
    char *why, size_t size)
{
	const struct topic_row *r = topic_row_find(name);
	char shown[CONF_SHOWN_SIZE];

	if (r == NULL) {
		conf_show(name, shown);
		snprintf(why, size, "Unknown topic config name: %s", shown);
		return E_INVALID_CONFIG;
	}
	return topic_row_put(r, r->name, set, value, why, size);
}

/* Stores a value that was judged before. */
static void
lay(struct topic_conf *t, const struct topic_row *r, const char *text)
{
	char why[CONF_WHY_MAX];
	struct conf_value v = { 0 };

	ASSERT(conf_value_parse(&r->kind, kstr_of(text), &v, why));
	conf_value_store(&r->kind, v, (char *)t + r->off);
}

/*
 * Kafka 3's one limit stands for the two that came after it, where these are
 * not given in the same place (KIP-937).
 */
static void
lay_difference(struct topic_conf *t, bool difference, bool before, bool after)
{
	if (difference && !before)
		t->message_timestamp_before_max_ms =
		    t->message_timestamp_difference_max_ms;
	if (difference && !after)
		t->message_timestamp_after_max_ms =
		    t->message_timestamp_difference_max_ms;
}

void
topic_conf_init(struct topic_conf *t)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < CONF_TOPICS; i++)
		lay(t, &rows[i], rows[i].def);
}

void
topic_conf_broker(struct topic_conf *t, const struct conf_set *set)
{
	for (int i = 0; i < CONF_TOPICS; i++) {
		const char *v = rows[i].synonym[0] == '\0' ? NULL :
		    conf_set_get(set, rows[i].synonym);

		if (v != NULL)
			lay(t, &rows[i], v);
	}
	lay_difference(t,
	    conf_set_get(set, "log.message.timestamp.difference.max.ms"),
	    conf_set_get(set, "log.message.timestamp.before.max.ms"),
	    conf_set_get(set, "log.message.timestamp.after.max.ms"));
}

void
topic_conf_own(struct topic_conf *t, const struct conf_set *set)
{
	t->set = 0;
	for (int i = 0; i < set->n; i++) {
		const struct topic_row *r =
		    topic_row_find(kstr_of(set->v[i].name));

		ASSERT(r != NULL);
		lay(t, r, set->v[i].value);
		t->set |= (uint64_t)1 << (r - rows);
	}
	lay_difference(t,
	    conf_set_get(set, "message.timestamp.difference.max.ms"),
	    conf_set_get(set, "message.timestamp.before.max.ms"),
	    conf_set_get(set, "message.timestamp.after.max.ms"));
}

enum err
topic_conf_check(const struct topic_conf *t, char *why, size_t size)
{
	if (t->min_compaction_lag_ms > t->max_compaction_lag_ms) {
		snprintf(why, size, "conflict topic config setting "
		    "min.compaction.lag.ms (%lld) > max.compaction.lag.ms "
		    "(%lld)", (long long)t->min_compaction_lag_ms,
		    (long long)t->max_compaction_lag_ms);
		return E_INVALID_CONFIG;
	}
	return E_OK;
}

int
topic_conf_codec(const struct topic_conf *t, int32_t *level)
{
	int64_t n = INT32_MIN;
	int codec = t->compression_type - 1;

	_Static_assert(COMPRESS_PRODUCER == 0, "before the codecs");
	switch (codec) {
	case CODEC_GZIP:
		n = t->compression_gzip_level;
		break;
	case CODEC_LZ4:
		/* As in Kafka: 9 is the fast compressor, any other number a
		 * level of the thorough one. */
		if (t->compression_lz4_level != 9)
			n = t->compression_lz4_level;
		break;
	case CODEC_ZSTD:
		n = t->compression_zstd_level;
		break;
	}
	*level = (int32_t)n;
	return codec;
}
