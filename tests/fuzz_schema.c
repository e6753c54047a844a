/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile bytes as any message of any version, VER_ALL included: byte 0 picks
 * the message, byte 1 the version, the rest is the body.  What can be decoded
 * can be printed and written, and comes back the same; nothing takes more
 * memory than the rule of limits.h allows.
 */
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "lib/kafka.h"
#include "lib/limits.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct { max_align_t x[64]; } outs[2];

/* m was decoded from somewhere: it goes there and back. */
static void
rewrite(const struct msg *m, int v)
{
	struct wr w = wr_grow(FRAME_MAX), again = wr_grow(FRAME_MAX);
	struct arena a;
	struct rd r;

	ASSERT(msg_write(m, v, &w, &outs[0]) == E_OK);
	arena_init(&a, FRAME_MAX);
	r = rd_of(w.p, w.len);
	ASSERT(msg_read(m, v, &r, &a, &outs[1]) == E_OK);
	ASSERT(rd_done(&r));
	ASSERT(gen_same(m, v, &outs[0], &outs[1]));
	ASSERT(msg_write(m, v, &again, &outs[1]) == E_OK);
	ASSERT(w.len == again.len);
	ASSERT(w.len == 0 || memcmp(w.p, again.p, w.len) == 0);
	arena_reset(&a);
	wr_free(&w);
	wr_free(&again);
}

static void
print(const struct msg *m)
{
	struct wr w = wr_grow(FRAME_MAX);

	msg_print(m, &w, &outs[0]);
	ASSERT(!w.bad);
	for (size_t i = 0; i < w.len; i++)
		ASSERT(w.p[i] >= ' ' && w.p[i] <= '~');
	wr_free(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct msg *m;
	struct arena a;
	struct rd r;
	enum err e;
	int v;

	if (n < 2)
		return 0;
	m = &kafka_msgs[p[0] % KM_MAX];
	ASSERT(m->size <= sizeof outs[0]);
	v = m->min + p[1] % (m->max - m->min + 2);
	if (v > m->max)
		v = VER_ALL;
	arena_init(&a, (n - 2) * ARENA_PER_BYTE + ARENA_BASE);
	r = rd_of(p + 2, n - 2);
	e = msg_read(m, v, &r, &a, &outs[0]);
	ASSERT(a.used <= a.limit);
	ASSERT(e == E_OK || e == E_PROTO || e == E_NOMEM);
	if (e == E_OK) {
		print(m);
		rewrite(m, v);
	}
	arena_reset(&a);
	return 0;
}
