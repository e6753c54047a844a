/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of topics: one request for all of them, asked again when a caller
 * needs it newer.  A topic that is deleted stays in memory for those that
 * know it, out of the list.
 */
#include <stdlib.h>
#include <string.h>

#include "fs.h"

static const struct metadata_req all = { .topics = { -1, NULL } };

static uint64_t
name_hash(const char *name)
{
	return hash_bytes(name, strlen(name));
}

struct topic *
topic_ref(struct topic *t)
{
	t->refs++;
	return t;
}

void
topic_put(struct fs *fs, struct topic *t)
{
	ASSERT(t->refs > 0);
	if (--t->refs > 0)
		return;
	hash_drop(&fs->topic_ids, &t->by_id);
	free(t->name);
	free(t);
}

/* Of the list, or known to nodes and parts only; made if need be.  NULL: no
 * memory. */
static struct topic *
topic_get(struct fs *fs, struct uuid id, struct kstr name)
{
	uint64_t h = hash_bytes(id.b, sizeof id.b);
	struct topic *t;

	HASH_FIND(x, &fs->topic_ids, h) {
		t = HASH_OF(x, struct topic, by_id);
		if (uuid_eq(t->id, id))
			return t;
	}
	if (hash_room(&fs->topic_ids) != E_OK ||
	    (t = calloc(1, sizeof *t)) == NULL)
		return NULL;
	t->name = strndup(name.p, (size_t)name.len);
	if (t->name == NULL) {
		free(t);
		return NULL;
	}
	t->id = id;
	hash_put(&fs->topic_ids, &t->by_id, h);
	return t;
}

static void
take(struct fs *fs, const struct metadata_res_topic *m)
{
	struct topic *t;

	if (m->error_code != 0 || m->name.len <= 0 ||
	    m->name.len > TOPIC_NAME_MAX || uuid_zero(m->topic_id) ||
	    hash_room(&fs->topic_names) != E_OK)
		return;
	t = topic_get(fs, m->topic_id, m->name);
	if (t == NULL)
		return;
	if (!t->listed) {
		t->listed = true;
		TAILQ_INSERT_TAIL(&fs->topics, topic_ref(t), next);
		hash_put(&fs->topic_names, &t->by_name, name_hash(t->name));
		fs->ntopics++;
	}
	t->nparts = m->partitions.n;
	t->seen = fs->topics_list;
}

static void
topics_done(struct ecall *c, enum err e, void *res)
{
	struct fs *fs = c->arg;
	const struct metadata_res *m = res;
	struct topic *t, *more;

	if (e != E_OK) {
		fs->link_err = e;
		ops_wake(&fs->topics_waiters);
		return;
	}
	fs_heard(fs);
	fs->topics_list++;
	for (int32_t i = 0; i < m->topics.n; i++)
		take(fs, &m->topics.v[i]);
	for (t = TAILQ_FIRST(&fs->topics); t != NULL; t = more) {
		more = TAILQ_NEXT(t, next);
		if (t->seen == fs->topics_list)
			continue;
		TAILQ_REMOVE(&fs->topics, t, next);
		hash_drop(&fs->topic_names, &t->by_name);
		t->listed = false;
		fs->ntopics--;
		topic_put(fs, t);
	}
	fs->topics_sent = fs->topics_seq;
	fs->topics_ms = elink_now_ms();
	ops_wake(&fs->topics_waiters);
}

int
topics_fresh(struct op *op, int max_age_ms)
{
	struct fs *fs = op->fs;
	struct ecall *c = &fs->topics_call;
	int eno;

	if (fs->topics_sent > op->seq || (fs->topics_sent > 0 &&
	    elink_now_ms() - fs->topics_ms < max_age_ms))
		return 0;
	if ((eno = fs_engine_errno(fs)) != 0)
		return eno;
	if (c->state == ECALL_IDLE) {
		fs->topics_seq = ++fs->seq;
		*c = (struct ecall){ .done = topics_done, .arg = fs,
		    .req = &all, .type = API_METADATA, .version = 12,
		    .again = true };
		elink_call(fs->link, c);
	}
	return op_wait(op, &fs->topics_waiters);
}

struct topic *
topic_find(struct fs *fs, const char *name)
{
	struct topic *t;

	HASH_FIND(x, &fs->topic_names, name_hash(name)) {
		t = HASH_OF(x, struct topic, by_name);
		if (strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

bool
topic_is(const struct topic *t, const struct topic_stats_res *res)
{
	return res->topics.n == 1 && uuid_eq(res->topics.v[0].id, t->id);
}
