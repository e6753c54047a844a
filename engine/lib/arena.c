/* SPDX-License-Identifier: Apache-2.0 */
/* The bump allocator: chunks that double, one limit over all of them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

#define ALIGN		16
#define CHUNK_MIN	1008		/* a small request costs 1 KiB */
#define CHUNK_MAX	(256 * 1024)

struct arena_chunk {
	struct arena_chunk	*next;
	size_t			 size;	/* of data */
	unsigned char		 data[] __attribute__((aligned(ALIGN)));
};

void
arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .limit = limit };
}

static struct arena_chunk *
chunk_new(struct arena *a, size_t n)
{
	struct arena_chunk *c;
	size_t size = a->head == NULL ? CHUNK_MIN : a->head->size * 2;

	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size > a->limit - a->used)
		size = a->limit - a->used;
	if (size < n)
		size = n;
	if (size > a->limit - a->used)
		return NULL;
	c = malloc(sizeof *c + size);
	if (c == NULL)
		return NULL;
	c->size = size;
	c->next = a->head;
	a->head = c;
	a->left = size;
	a->used += size;
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	unsigned char *p;

	if (n > SIZE_MAX - ALIGN - sizeof(struct arena_chunk))
		return NULL;
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (n == 0)
		n = ALIGN;
	if ((a->head == NULL || n > a->left) && chunk_new(a, n) == NULL)
		return NULL;
	p = a->head->data + (a->head->size - a->left);
	a->left -= n;
	return memset(p, 0, n);
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all))
		return NULL;
	return arena_alloc(a, all);
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = n == SIZE_MAX ? NULL : arena_alloc(a, n + 1);

	if (p != NULL && n > 0)
		memcpy(p, s, n);
	return p;
}

void
arena_reset(struct arena *a)
{
	struct arena_chunk *c;

	while ((c = a->head) != NULL) {
		a->head = c->next;
		free(c);
	}
	a->left = a->used = 0;
}
