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

static struct topics *
chain_of(struct fs *fs, struct uuid id)
{
	uint64_t h;

	memcpy(&h, id.b, sizeof h);
	return &fs->topic_chains[h * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static struct topics *
names_of(struct fs *fs, const char *name)
{
	uint64_t h = 0;

	while (*name != '\0')
		h = (h ^ (uint8_t)*name++) * UINT64_C(0x9e3779b97f4a7c15);
	return &fs->topic_names[h >> 54];
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
	TAILQ_REMOVE(chain_of(fs, t->id), t, chain);
	free(t->name);
	free(t);
}

static void
take(struct fs *fs, const struct metadata_res_topic *m)
{
	struct topic *t;

	if (m->error_code != 0 || m->name.len <= 0 ||
	    m->name.len > TOPIC_NAME_MAX || uuid_zero(m->topic_id))
		return;
	TAILQ_FOREACH(t, chain_of(fs, m->topic_id), chain)
		if (uuid_eq(t->id, m->topic_id))
			break;
	if (t == NULL) {
		t = calloc(1, sizeof *t);
		if (t == NULL || (t->name = strndup(m->name.p,
		    (size_t)m->name.len)) == NULL) {
			free(t);
			return;
		}
		t->id = m->topic_id;
		TAILQ_INSERT_HEAD(chain_of(fs, t->id), t, chain);
	}
	if (!t->listed) {
		t->listed = true;
		TAILQ_INSERT_TAIL(&fs->topics, topic_ref(t), next);
		TAILQ_INSERT_HEAD(names_of(fs, t->name), t, by_name);
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
		TAILQ_REMOVE(names_of(fs, t->name), t, by_name);
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

	TAILQ_FOREACH(t, names_of(fs, name), by_name)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}
