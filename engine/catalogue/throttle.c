/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meters.  Kafka averages over 11 windows of a second, of which at least ten
 * count: after a pause ten seconds' worth are free, and who uses more waits
 * until the average is back at the limit.  A bucket that leaks at the limit
 * and holds so much does the same without windows, and whoever has waited has
 * paid; with windows he is told to wait again until they have passed.
 *
 * A session keeps pointers to its meters, good while gen is the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "serve.h"

enum {
	IDLE_MS		= 3600 * 1000,	/* then a meter may be forgotten */
	WAIT_MAX_MS	= 3600 * 1000,
	FREE_S		= 10,		/* seconds' worth */
	FREE_MUTATE_S	= 11,		/* Kafka counts these by tokens */
	TIME_WAIT_MAX_MS = 1000,	/* as Kafka's */
};

/* ---- the table --------------------------------------------------------- */

static struct meter *
meter_find(struct quotas *qs, const uint8_t *key, size_t n)
{
	HASH_FIND(x, &qs->meters, hash_bytes(key, n)) {
		struct meter *m = HASH_OF(x, struct meter, by_key);

		if (m->key_len == n && memcmp(m->key, key, n) == 0)
			return m;
	}
	return NULL;
}

static void
use_unlink(struct quotas *qs, struct meter *m)
{
	if (m->newer != NULL)
		m->newer->older = m->older;
	else
		qs->newest = m->older;
	if (m->older != NULL)
		m->older->newer = m->newer;
	else
		qs->oldest = m->newer;
}

static void
use_link(struct quotas *qs, struct meter *m)
{
	m->newer = NULL;
	m->older = qs->newest;
	if (m->older != NULL)
		m->older->newer = m;
	else
		qs->oldest = m;
	qs->newest = m;
}

static void
meter_drop(struct quotas *qs, struct meter *m)
{
	hash_drop(&qs->meters, &m->by_key);
	use_unlink(qs, m);
	free(m);
	qs->gen++;
}

/* Finds or makes the meter of a bucket; NULL: out of memory. */
static struct meter *
meter_get(struct quotas *qs, const uint8_t *key, size_t n, double limit,
    int64_t now)
{
	struct meter *m = meter_find(qs, key, n);

	if (m != NULL) {
		m->limit = limit;
		use_unlink(qs, m);
		use_link(qs, m);
		return m;
	}
	while (qs->oldest != NULL && (qs->meters.n >= METERS_MAX ||
	    now - qs->oldest->last > IDLE_MS))
		meter_drop(qs, qs->oldest);
	if (hash_room(&qs->meters) != E_OK ||
	    (m = calloc(1, sizeof *m + n)) == NULL)
		return NULL;
	memcpy(m->key, key, n);
	m->key_len = n;
	m->limit = limit;
	m->last = now;
	hash_put(&qs->meters, &m->by_key, hash_bytes(key, n));
	use_link(qs, m);
	return m;
}

void
throttle_reset(struct quotas *qs)
{
	while (qs->oldest != NULL)
		meter_drop(qs, qs->oldest);
	hash_free(&qs->meters);
}

/* ---- which meter ------------------------------------------------------- */

static const struct level {
	enum entity_kind user, client;
	bool		 by_user, by_client;
} levels[] = {
	{ ENTITY_NAMED,	  ENTITY_NAMED,	  true,	 true },
	{ ENTITY_NAMED,	  ENTITY_DEFAULT, true,	 true },
	{ ENTITY_NAMED,	  ENTITY_NONE,	  true,	 false },
	{ ENTITY_DEFAULT, ENTITY_NAMED,	  true,	 true },
	{ ENTITY_DEFAULT, ENTITY_DEFAULT, true,	 true },
	{ ENTITY_DEFAULT, ENTITY_NONE,	  true,	 false },
	{ ENTITY_NONE,	  ENTITY_NAMED,	  false, true },
	{ ENTITY_NONE,	  ENTITY_DEFAULT, false, true },
};

static struct kstr
part_of(enum entity_kind kind, const char *name)
{
	switch (kind) {
	case ENTITY_NONE:
		break;
	case ENTITY_DEFAULT:
		return kstr_of(NULL);
	case ENTITY_NAMED:
		return kstr_of(name);
	}
	return (struct kstr){ ABSENT, NULL };
}

static size_t
bucket(uint8_t *key, enum quota_key k, const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);

	key[0] = (uint8_t)k;
	memcpy(key + 1, a, na + 1);
	memcpy(key + 2 + na, b, nb);
	return 2 + na + nb;
}

static struct meter *
resolve(struct engine *eng, const struct session *s, enum quota_key k)
{
	uint8_t key[CLIENT_ID_MAX + USER_NAME_MAX + 16];
	struct quotas *qs = &eng->quotas;
	struct entity e;
	double limit;

	_Static_assert(CLIENT_HOST_MAX < USER_NAME_MAX, "an address fits");
	e.name[ENTITY_IP] = (struct kstr){ ABSENT, NULL };
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		const struct level *l = &levels[i];

		e.name[ENTITY_USER] = part_of(l->user, s->principal);
		e.name[ENTITY_CLIENT] = part_of(l->client, s->client_id);
		limit = quota_get(qs, &e, k);
		if (limit > 0)
			return meter_get(qs, key, bucket(key, k, l->by_user ?
			    s->principal : "", l->by_client ? s->client_id :
			    ""), limit, mono_ms());
	}
	return NULL;
}

/* NULL: there is no quota for it. */
static struct meter *
meter_of(struct engine *eng, struct session *s, enum quota_key k)
{
	struct quotas *qs = &eng->quotas;
	struct meter *m;

	if (!qs->any[k] || s->number == 0)
		return NULL;
	for (int i = 0; s->quota_gen != qs->gen; i++) {
		s->quota_gen = qs->gen;
		for (int j = 0; j < QUOTA_CONNECT; j++)
			s->meter[j] = qs->any[j] ? resolve(eng, s,
			    (enum quota_key)j) : NULL;
		/* Making one may have dropped another, of this session too. */
		ASSERT(i < QUOTA_KEYS + 1);
	}
	m = s->meter[k];
	if (m != NULL) {
		use_unlink(qs, m);
		use_link(qs, m);
	}
	return m;
}

/* ---- rates ------------------------------------------------------------- */

static void
record(struct meter *m, double v, int64_t now)
{
	m->level -= m->limit * (double)(now - m->last) / 1000;
	if (m->level < 0)
		m->level = 0;
	m->level += v;
	m->last = now;
}

/* How long until the average is at the limit again. */
static int64_t
wait_ms(struct meter *m, int64_t now)
{
	double over, wait;

	record(m, 0, now);
	over = m->level - m->limit * (m->key[0] == QUOTA_MUTATE ?
	    FREE_MUTATE_S : FREE_S);
	if (over <= 0)
		return 0;
	wait = ceil(over / m->limit * 1000);
	return wait > WAIT_MAX_MS ? WAIT_MAX_MS : (int64_t)wait;
}

static void
hold(struct call *c, int64_t ms)
{
	if (ms > c->throttle_ms)
		c->throttle_ms = ms;
}

void
throttle_bytes(struct call *c, enum quota_key k, int64_t bytes)
{
	struct meter *m = meter_of(c->eng, c->session, k);
	int64_t now;

	if (m == NULL)
		return;
	now = mono_ms();
	record(m, (double)bytes, now);
	if (k != QUOTA_CONSUME)
		hold(c, wait_ms(m, now));
}

bool
throttle_fetch(struct call *c, int32_t *max_bytes)
{
	struct meter *m = meter_of(c->eng, c->session, QUOTA_CONSUME);
	double most;

	if (m != NULL) {
		most = m->limit * FREE_S;
		if (most < *max_bytes)
			*max_bytes = most < 1 ? 1 : (int32_t)most;
		hold(c, wait_ms(m, mono_ms()));
	}
	return c->throttle_ms > 0;
}

void
throttle_start(struct call *c)
{
	struct meter *m = meter_of(c->eng, c->session, QUOTA_TIME);
	int64_t ms;

	if (m == NULL)
		return;
	ms = wait_ms(m, mono_ms());
	hold(c, ms > TIME_WAIT_MAX_MS ? TIME_WAIT_MAX_MS : ms);
	c->metered = true;
}

/* Percent of a second: a rate of 100 is one whole thread. */
void
throttle_time(struct engine *eng, struct session *s, int64_t ns)
{
	struct meter *m = meter_of(eng, s, QUOTA_TIME);

	if (m != NULL)
		record(m, (double)ns / 1e7, mono_ms());
}

/* ---- changes and connections ------------------------------------------- */

enum err
throttle_mutate(struct call *c, int64_t parts, bool strict)
{
	struct meter *m = meter_of(c->eng, c->session, QUOTA_MUTATE);
	int64_t now, wait;

	if (m == NULL)
		return E_OK;
	now = mono_ms();
	wait = wait_ms(m, now);
	if (wait > 0 && strict) {
		hold(c, wait);
		return E_THROTTLED;
	}
	/* A whole request may lead into debt. */
	record(m, (double)parts, now);
	if (!strict)
		hold(c, wait_ms(m, now));
	return E_OK;
}

int64_t
throttle_connect(struct engine *eng, struct session *s)
{
	uint8_t key[USER_NAME_MAX + 16];
	struct quotas *qs = &eng->quotas;
	struct entity e = { .name = { { ABSENT, NULL }, { ABSENT, NULL },
	    kstr_of(s->host) } };
	int64_t now;
	double limit;
	struct meter *m;

	if (!qs->any[QUOTA_CONNECT] || s->host[0] == '\0')
		return 0;
	limit = quota_get(qs, &e, QUOTA_CONNECT);
	if (limit <= 0) {
		e.name[ENTITY_IP] = kstr_of(NULL);
		limit = quota_get(qs, &e, QUOTA_CONNECT);
	}
	now = mono_ms();
	m = limit <= 0 ? NULL : meter_get(qs, key, bucket(key, QUOTA_CONNECT,
	    s->host, ""), limit, now);
	if (m == NULL)
		return 0;
	record(m, 1, now);
	return wait_ms(m, now);
}
