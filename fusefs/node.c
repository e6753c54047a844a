/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: what the kernel holds, found by their keys, so that one thing is one
 * inode as long as anybody knows it.  Inode numbers are a hash of the key:
 * they stay the same over mounts.
 */
#include <stdlib.h>
#include <string.h>

#include "fs.h"

const struct kind_row kinds[KIND_MAX] = {
#define KIND(name, class, mode, keep) \
	[KIND_##name] = { #name, NODE_##class, mode, keep },
#include "tree.def"
};

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 33;
}

uint64_t
key_ino(const struct fs *fs, const struct node_key *k)
{
	uint64_t h = mix(render_id(&fs->conf.render), (uint64_t)k->kind);
	uint64_t u[2];

	if (k->kind == KIND_ROOT)
		return FUSE_ROOT_ID;
	if (k->topic != NULL) {
		memcpy(u, k->topic->id.b, sizeof u);
		h = mix(mix(h, u[0]), u[1]);
	}
	h = mix(mix(h, (uint64_t)k->part), k->gen);
	h = mix(mix(h, (uint64_t)k->a), (uint64_t)k->b);
	for (const char *p = k->name; p != NULL && *p != '\0'; p++)
		h = mix(h, (uint8_t)*p);
	return h < 16 ? h + 16 : h;
}

static bool
key_eq(const struct node_key *x, const struct node_key *y)
{
	return x->kind == y->kind && x->part == y->part &&
	    x->topic == y->topic && x->a == y->a && x->b == y->b &&
	    x->gen == y->gen && (x->name == NULL) == (y->name == NULL) &&
	    (x->name == NULL || strcmp(x->name, y->name) == 0);
}

enum err
nodes_open(struct fs *fs)
{
	struct node_key k = { .kind = KIND_ROOT, .part = -1 };

	fs->root = node_get(fs, &k);
	return fs->root == NULL ? E_NOMEM : E_OK;
}

struct node *
node_of(struct fs *fs, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs->root : (struct node *)(uintptr_t)ino;
}

static struct node *
node_new(struct fs *fs, const struct node_key *k, uint64_t ino)
{
	struct node *n;

	if (hash_room(&fs->nodes) != E_OK ||
	    (n = calloc(1, sizeof *n)) == NULL)
		return NULL;
	n->fs = fs;
	n->key = *k;
	n->ino = ino;
	n->refs = 1;
	n->known.size = -1;
	TAILQ_INIT(&n->grow_waiters);
	TAILQ_INIT(&n->doc.waiters);
	TAILQ_INIT(&n->slice.waiters);
	n->slice.from_text = n->slice.to_text = -1;
	n->slice.born = ++fs->seq;
	n->slice.from = k->a;
	n->slice.to = k->b;
	n->slice.only = k->kind == KIND_SEG_JSONL ? k->a : -1;
	if (k->name != NULL && (n->key.name = strdup(k->name)) == NULL)
		goto fail;
	if (k->part >= 0 &&
	    (n->part = part_get(fs, k->topic, k->part)) == NULL)
		goto fail;
	if (k->topic != NULL)
		topic_ref(k->topic);
	hash_put(&fs->nodes, &n->by_key, ino);
	return n;
fail:
	free((char *)n->key.name);
	free(n);
	return NULL;
}

struct node *
node_get(struct fs *fs, const struct node_key *k)
{
	uint64_t ino = key_ino(fs, k);
	struct node *n;

	HASH_FIND(x, &fs->nodes, ino) {
		n = HASH_OF(x, struct node, by_key);
		if (key_eq(&n->key, k))
			return node_ref(n);
	}
	return node_new(fs, k, ino);
}

struct node *
node_ref(struct node *n)
{
	n->refs++;
	return n;
}

static void
node_free(struct node *n)
{
	struct fs *fs = n->fs;

	hash_drop(&fs->nodes, &n->by_key);
	fs->freed++;
	doc_free(&n->doc);
	if (n->part != NULL)
		part_put(n->part);
	if (n->key.topic != NULL)
		topic_put(fs, n->key.topic);
	free((char *)n->key.name);
	free(n);
}

void
node_put(struct node *n)
{
	ASSERT(n->refs > 0);
	if (--n->refs == 0 && n->nlookup == 0)
		node_free(n);
}

void
node_forget(struct node *n, uint64_t count)
{
	ASSERT(n->nlookup >= count);
	n->nlookup -= count;
	if (n->refs == 0 && n->nlookup == 0)
		node_free(n);
}

/* ---- open directories --------------------------------------------------- */

void
listing_free(struct fs *fs, struct listing *l)
{
	if (l == NULL)
		return;
	for (int i = 0; i < l->n; i++) {
		if (l->v[i].key.topic != NULL)
			topic_put(fs, l->v[i].key.topic);
		if (l->v[i].key.name != l->v[i].name)
			free((char *)l->v[i].key.name);
		free(l->v[i].name);
	}
	fs->freed += (uint64_t)l->n;
	free(l->v);
	free(l);
}

enum err
listing_add(struct listing *l, const struct node_key *k, const char *name)
{
	struct listed *v;
	int cap = l->cap == 0 ? 16 : l->cap * 2;

	if (l->n == l->cap) {
		v = realloc(l->v, (size_t)cap * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		l->v = v;
		l->cap = cap;
	}
	v = &l->v[l->n];
	v->key = *k;
	v->name = strdup(name);
	if (v->name == NULL)
		return E_NOMEM;
	/* A key may have the name of the directory. */
	if (k->name != NULL && strcmp(k->name, name) == 0)
		v->key.name = v->name;
	else if (k->name != NULL && (v->key.name = strdup(k->name)) == NULL) {
		free(v->name);
		return E_NOMEM;
	}
	if (k->topic != NULL)
		topic_ref(k->topic);
	l->n++;
	return E_OK;
}
