/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that say who they are.  A stamp is eight numbers in the byte order
 * of this machine, which alone reads them: magic, run, id, topic and
 * partition, time, key and length, a sum of the payload, a sum of the stamp.
 */
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "value.h"

#define STAMP_MAGIC	0x63686b76616c7565ull

enum { S_MAGIC, S_RUN, S_ID, S_WHERE, S_TS, S_SHAPE, S_PAYLOAD, S_SUM };

size_t
value_key(const struct value *v, int compact, char *key)
{
	return (size_t)snprintf(key, VALUE_KEY_MAX, compact ? "k%06u" : "p%u",
	    compact ? v->key : EV_PRODUCER(v->id));
}

void
value_head(uint64_t run, const struct value *v, uint8_t *head)
{
	uint64_t h = mix64(run ^ mix64(v->id));

	memcpy(head, &h, VALUE_HEAD);
}

static uint64_t
fill_sum(uint64_t run, const struct value *v, uint8_t *p)
{
	uint64_t seed = mix64(run + v->id * 3), sum = seed, w;

	for (uint32_t i = 0; i < v->len; i += 8) {
		/* Half of it is easy to compress. */
		w = i / 8 % 2 != 0 ? seed : mix64(seed + i);
		if (p != NULL)
			memcpy(p + i, &w, v->len - i < 8 ? v->len - i : 8);
		sum = (sum ^ w) * 0x9e3779b97f4a7c15ull;
	}
	return sum;
}

static uint64_t
stamp_sum(const uint64_t *s)
{
	uint64_t h = 0;

	for (int i = 0; i < S_SUM; i++)
		h = mix64(h ^ s[i]);
	return h;
}

void
value_make(uint64_t run, const struct value *v, uint8_t *p)
{
	uint64_t s[8] = { [S_MAGIC] = STAMP_MAGIC, [S_RUN] = run,
	    [S_ID] = v->id, [S_WHERE] = (uint64_t)v->topic << 32 | v->part,
	    [S_TS] = (uint64_t)v->ts,
	    [S_SHAPE] = (uint64_t)v->key << 32 | v->len };

	s[S_PAYLOAD] = fill_sum(run, v, p + VALUE_STAMP);
	s[S_SUM] = stamp_sum(s);
	memcpy(p, s, VALUE_STAMP);
}

uint32_t
value_check(uint64_t run, const uint8_t *p, size_t n, struct value *v)
{
	uint64_t s[8], seed, w;

	memset(v, 0, sizeof *v);
	if (n < VALUE_STAMP)
		return EV_BAD_VALUE | EV_BAD_FOREIGN;
	memcpy(s, p, VALUE_STAMP);
	if (s[S_SUM] != stamp_sum(s) || s[S_MAGIC] != STAMP_MAGIC)
		return EV_BAD_VALUE | EV_BAD_FOREIGN;
	if (s[S_RUN] != run)
		return EV_BAD_FOREIGN;
	*v = (struct value){ .id = s[S_ID], .topic = (uint16_t)(s[S_WHERE] >>
	    32), .part = (uint16_t)s[S_WHERE], .ts = (int64_t)s[S_TS],
	    .key = (uint32_t)(s[S_SHAPE] >> 32), .len = (uint32_t)s[S_SHAPE] };
	if (v->len != n - VALUE_STAMP)
		return EV_BAD_VALUE;
	seed = mix64(run + v->id * 3);
	for (uint32_t i = 0; i < v->len; i += 8) {
		w = i / 8 % 2 != 0 ? seed : mix64(seed + i);
		if (memcmp(p + VALUE_STAMP + i, &w, v->len - i < 8 ?
		    v->len - i : 8) != 0)
			return EV_BAD_VALUE;
	}
	return 0;
}
