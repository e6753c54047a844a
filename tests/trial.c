/* SPDX-License-Identifier: Apache-2.0 */
/* Trial decodings: see trial.h. */
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "trial.h"

size_t
trial_allowance(size_t n)
{
	return (size_t)ARENA_PER_BYTE * n + ARENA_BASE;
}

enum err
trial(struct trial *t, const struct msg *m, int v, const void *p, size_t n,
    struct any *out)
{
	struct rd r;
	enum err e;

	ASSERT(m->size <= sizeof *out);
	t->copy = malloc(n + (n == 0));
	ASSERT(t->copy != NULL);
	if (n > 0)
		memcpy(t->copy, p, n);
	arena_init(&t->a, trial_allowance(n));
	r = rd_of(t->copy, n);
	e = msg_read(m, v, &r, &t->a, out);
	ASSERT(t->a.used <= trial_allowance(n));
	t->left = rd_left(&r);
	return e;
}

void
trial_end(struct trial *t)
{
	arena_reset(&t->a);
	free(t->copy);
}

enum err
trial_result(const struct msg *m, int v, const void *p, size_t n)
{
	struct trial t;
	struct any out;
	enum err e = trial(&t, m, v, p, n, &out);

	ASSERT(e != E_OK || t.left == 0);
	trial_end(&t);
	return e;
}
