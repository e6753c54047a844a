/* SPDX-License-Identifier: Apache-2.0 */
/* The key map: open addressing, the next place when one is taken. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "keymap.h"

struct hash {
	uint64_t	a, b;
};

struct slot {
	struct hash	hash;
	int64_t		next;		/* offset + 1; 0: free */
};
_Static_assert(sizeof(struct slot) == KEYMAP_ENTRY, "what the header says");

struct keymap {
	struct slot	*slots;
	int64_t		 nslots, n, max;
	EVP_MAC		*mac;
	EVP_MAC_CTX	*ctx;
	uint8_t		 secret[16];
};

static enum err
hash_open(struct keymap *m)
{
	size_t size = sizeof(struct hash);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};

	if (getrandom(m->secret, sizeof m->secret, 0) !=
	    (ssize_t)sizeof m->secret)
		return E_IO;
	m->mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	m->ctx = m->mac == NULL ? NULL : EVP_MAC_CTX_new(m->mac);
	if (m->ctx == NULL || EVP_MAC_init(m->ctx, m->secret,
	    sizeof m->secret, params) != 1)
		return E_NOMEM;
	return E_OK;
}

/* Nothing in it can fail once it has been set up: it allocates nothing. */
static struct hash
hash_of(const struct keymap *m, const void *key, size_t n)
{
	struct hash h;
	size_t got = 0;
	int ok = EVP_MAC_init(m->ctx, m->secret, sizeof m->secret, NULL) &&
	    (n == 0 || EVP_MAC_update(m->ctx, key, n)) &&
	    EVP_MAC_final(m->ctx, (unsigned char *)&h, &got, sizeof h);

	ASSERT(ok && got == sizeof h);
	return h;
}

enum err
keymap_new(int64_t bytes, int64_t keys_max, struct keymap **out)
{
	struct keymap *m = calloc(1, sizeof *m);
	int64_t most = bytes / KEYMAP_ENTRY;
	enum err e = E_NOMEM;

	*out = NULL;
	if (m == NULL)
		return e;
	/* One place at least stays free: there a search ends. */
	if (keys_max < 1)
		keys_max = 1;
	m->nslots = keys_max > most ? most : keys_max + keys_max / 9 + 1;
	if (m->nslots > most)
		m->nslots = most;
	if (m->nslots < 2)
		m->nslots = 2;
	m->max = m->nslots - (m->nslots + 9) / 10;
	m->slots = calloc((size_t)m->nslots, sizeof *m->slots);
	if (m->slots != NULL)
		e = hash_open(m);
	if (e != E_OK) {
		keymap_free(m);
		return e;
	}
	*out = m;
	return E_OK;
}

void
keymap_free(struct keymap *m)
{
	if (m == NULL)
		return;
	EVP_MAC_CTX_free(m->ctx);
	EVP_MAC_free(m->mac);
	free(m->slots);
	free(m);
}

bool
keymap_full(const struct keymap *m)
{
	return m->n == m->max;
}

int64_t
keymap_count(const struct keymap *m)
{
	return m->n;
}

int64_t
keymap_bytes(const struct keymap *m)
{
	return m->nslots * KEYMAP_ENTRY;
}

/* The key's place, or the free one where it belongs. */
static struct slot *
find(const struct keymap *m, struct hash h)
{
	int64_t i = (int64_t)((unsigned __int128)h.a *
	    (uint64_t)m->nslots >> 64);
	struct slot *s;

	for (;; i = i + 1 < m->nslots ? i + 1 : 0) {
		s = &m->slots[i];
		if (s->next == 0 || memcmp(&s->hash, &h, sizeof h) == 0)
			return s;
	}
}

void
keymap_put(struct keymap *m, const void *key, size_t n, int64_t offset)
{
	struct hash h = hash_of(m, key, n);
	struct slot *s = find(m, h);

	ASSERT(offset >= 0 && offset < INT64_MAX);
	if (s->next == 0) {
		ASSERT(m->n < m->max);
		m->n++;
		s->hash = h;
	}
	s->next = offset + 1;
}

int64_t
keymap_get(const struct keymap *m, const void *key, size_t n)
{
	return find(m, hash_of(m, key, n))->next - 1;
}
