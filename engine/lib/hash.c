/* SPDX-License-Identifier: Apache-2.0 */
/* Hash tables with chains, see hash.h. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "hash.h"

enum { FIRST = 4 };		/* chains of a table that begins */

static uint64_t seed;

static void
draw_seed(void)
{
	ASSERT(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
}

/* FNV-1a. */
uint64_t
hash_bytes(const void *s, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *p = s;
	uint64_t h;

	pthread_once(&once, draw_seed);
	h = UINT64_C(0xcbf29ce484222325) ^ seed;
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static struct hash_node **
chain(const struct hash *h, uint64_t hash)
{
	return &h->v[hash & (h->size - 1)];
}

static enum err
resize(struct hash *h, size_t size)
{
	struct hash old = *h;
	struct hash_node *next;

	h->v = calloc(size, sizeof(struct hash_node *));
	if (h->v == NULL) {
		*h = old;
		return E_NOMEM;
	}
	h->size = size;
	h->n = 0;
	for (size_t i = 0; i < old.size; i++)
		for (struct hash_node *x = old.v[i]; x != NULL; x = next) {
			next = x->next;
			hash_put(h, x, x->hash);
		}
	free(old.v);
	return E_OK;
}

enum err
hash_room(struct hash *h)
{
	return h->n < h->size ? E_OK :
	    resize(h, h->size == 0 ? FIRST : h->size * 2);
}

void
hash_trim(struct hash *h)
{
	size_t size = FIRST;

	while (size < h->n)
		size *= 2;
	if (size < h->size)
		(void)!resize(h, size);
}

void
hash_put(struct hash *h, struct hash_node *x, uint64_t hash)
{
	struct hash_node **c = chain(h, hash);

	*x = (struct hash_node){ *c, hash };
	*c = x;
	h->n++;
}

void
hash_drop(struct hash *h, struct hash_node *x)
{
	struct hash_node **c = chain(h, x->hash);

	while (*c != x)
		c = &(*c)->next;
	*c = x->next;
	h->n--;
}

/* The first with that hash from here on. */
static struct hash_node *
of_hash(struct hash_node *x, uint64_t hash)
{
	while (x != NULL && x->hash != hash)
		x = x->next;
	return x;
}

struct hash_node *
hash_first(const struct hash *h, uint64_t hash)
{
	return of_hash(h->size == 0 ? NULL : *chain(h, hash), hash);
}

struct hash_node *
hash_again(const struct hash_node *x)
{
	return of_hash(x->next, x->hash);
}

struct hash_node *
hash_next(const struct hash *h, const struct hash_node *x)
{
	size_t i = 0;

	if (x != NULL && x->next != NULL)
		return x->next;
	if (x != NULL)
		i = (x->hash & (h->size - 1)) + 1;
	while (i < h->size && h->v[i] == NULL)
		i++;
	return i < h->size ? h->v[i] : NULL;
}

void
hash_free(struct hash *h)
{
	free(h->v);
	*h = (struct hash){ 0 };
}
