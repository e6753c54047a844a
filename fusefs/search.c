/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/QUERY and by-key/KEY.jsonl: files that are found by name only, and
 * whose text chronik-search makes.  What a name leads to is an inode of its own
 * for each text, so that its size and bytes never change for whoever has it
 * open; after new records the name leads to another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "seek.h"

#define KEY_END	".jsonl"

/* What is there of an answer that is not whole must not be taken for all. */
static int
whole(const struct answer *a, enum kind kind)
{
	if (a->found.complete || kind == KIND_COVERAGE || kind == KIND_HITS)
		return 0;
	return a->found.late ? ETIMEDOUT : EIO;
}

/* The node of the file of that kind, as it is now. */
static int
file_now(struct op *op, struct node_key *k)
{
	struct kbytes none;
	struct answer *a;
	int eno = answer_get(op, k, false, &a);

	if (eno == 0)
		eno = whole(a, k->kind);
	if (eno != 0)
		return eno;
	/* A key that no record has is no file. */
	if (k->kind == KIND_KEY_LOG && a->found.text.len == 0)
		return ENOENT;
	k->a = (int64_t)answer_file(a, k->kind, &none);
	return 0;
}

/* ---- queries ------------------------------------------------------------ */

/* Whether it can be searched for.  What it finds is another question: the
 * kernel looks up one name of a directory at a time. */
static int
lookup_query(struct op *op, const char *name, struct node_key *k)
{
	struct answer *a;

	/* What programs look for in every directory is no query. */
	if (*name == '.' && strchr(name, ':') == NULL)
		return ENOENT;
	*k = (struct node_key){ .kind = KIND_QUERY, .part = -1,
	    .name = name };
	return answer_get(op, k, true, &a);
}

/* Those that the directory is of, or those of now. */
static int
hits_of(struct op *op, struct node *dir, struct answer **a)
{
	*a = answer_of(op->fs, &dir->key);
	return *a != NULL ? 0 : answer_get(op, &dir->key, false, a);
}

/* The i-th hit: a link, whose name is where it leads to. */
static void
hit_key(const struct answer *a, int32_t i, char name[LINK_BYTES_MAX + 1],
    struct node_key *k)
{
	const struct found_hit *h = &a->found.hits.v[i];
	struct kstr t = a->found.topics.v[h->topic];

	snprintf(name, LINK_BYTES_MAX + 1, "%.*s/%d/by-offset/%lld.json",
	    t.len, t.p, h->part, (long long)h->offset);
	*k = (struct node_key){ .kind = KIND_HIT, .part = -1, .a = i + 1,
	    .name = name };
}

static int
lookup_hit(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	char to[LINK_BYTES_MAX + 1], *rest;
	struct answer *a;
	long i = strtol(name, &rest, 10);
	int eno;

	if (*name < '1' || *name > '9' || *rest != '\0' || strlen(name) > 9)
		return ENOENT;
	if ((eno = hits_of(op, dir, &a)) != 0)
		return eno;
	if (i > a->found.hits.n)
		return ENOENT;
	hit_key(a, (int32_t)i - 1, to, k);
	k->name = arena_strndup(&op->arena, to, strlen(to));
	return k->name == NULL ? ENOMEM : 0;
}

int
hits_list(struct op *op, struct node *dir, struct listing *l)
{
	char to[LINK_BYTES_MAX + 1], name[16];
	struct node_key k;
	struct answer *a;
	int eno = hits_of(op, dir, &a);

	for (int32_t i = 0; eno == 0 && i < a->found.hits.n; i++) {
		hit_key(a, i, to, &k);
		snprintf(name, sizeof name, "%d", i + 1);
		eno = err_errno(listing_add(l, &k, name));
	}
	return eno;
}

void
doc_query(struct node *n)
{
	size_t len = strlen(n->key.name);
	char *text = malloc(len + 2);

	if (text != NULL && found_name(n->key.name, text, &len) == E_OK)
		text[len++] = '\n';
	doc_set(n, text, len);
}

/* ---- keys --------------------------------------------------------------- */

static int
lookup_key(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	size_t n = strlen(name), end = sizeof KEY_END - 1;

	if (n < end || strcmp(name + n - end, KEY_END) != 0)
		return ENOENT;
	*k = dir->key;
	k->kind = KIND_KEY_LOG;
	k->name = arena_strndup(&op->arena, name, n - end);
	return k->name == NULL ? ENOMEM : file_now(op, k);
}

/* ---- all of them -------------------------------------------------------- */

int
search_lookup(struct op *op, struct node *dir, const char *name,
    struct node_key *k)
{
	switch (dir->key.kind) {
	case KIND_SEARCH:
		return lookup_query(op, name, k);
	case KIND_HITS:
		return lookup_hit(op, dir, name, k);
	case KIND_BY_KEY:
		return lookup_key(op, dir, name, k);
	default:
		return k->kind == KIND_QUERY_TEXT ? 0 : file_now(op, k);
	}
}

/* Text that is what it was has the attributes that it had. */
int
found_attr(struct fs *fs, struct node *n)
{
	struct answer *a;
	struct kbytes b;

	if (n->known.size >= 0)
		return 0;
	if ((a = answer_of(fs, &n->key)) == NULL)
		return ESTALE;
	(void)answer_file(a, n->key.kind, &b);
	n->known.size = n->known.stored = b.len;
	n->known.ms = a->found.max_ts > 0 ? a->found.max_ts : elink_wall_ms();
	return 0;
}

/* ESTALE has the kernel look the name up once more. */
void
found_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct answer *a = answer_of(n->fs, &n->key);

	if (a == NULL) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fi->fh = (uintptr_t)answer_ref(a);
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi) != 0)
		answer_put(a);
}

void
found_read(fuse_req_t req, struct node *n, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	const struct answer *a = (struct answer *)(uintptr_t)fi->fh;
	struct kbytes b;

	(void)answer_file(a, n->key.kind, &b);
	if (off >= b.len)
		size = 0;
	else if (size > (size_t)(b.len - off))
		size = (size_t)(b.len - off);
	n->fs->stats.text_bytes += size;
	fuse_reply_buf(req, size == 0 ? NULL : (const char *)b.p + off, size);
}

void
found_release(struct fuse_file_info *fi)
{
	answer_put((struct answer *)(uintptr_t)fi->fh);
}
