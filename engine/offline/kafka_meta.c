/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metadata of a KRaft cluster says: topics, their ids and configs,
 * partitions and who leads them.  The newest snapshot first, then the records
 * of the log that came after it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "kafka_meta.h"
#include "lib/limits.h"
#include "lib/rows_table.h"
#include "kafka_rec.def"

const struct msg kafka_recs[KR_MAX] = {
#define MESSAGE(n, k, lo, hi, fx) \
	[KR_##n] = { #n, n##_rows, sizeof(struct n), k, lo, hi, fx },
#include "kafka_rec.def"
};

enum {
	FRAME		= 1,	/* version of what stands around a record */
	ABORT		= 25,	/* of a transaction in the metadata */
	SCRAM		= 11,
	QUOTA		= 14,
	ACL		= 18,
	TOPIC_CONFIG	= 2,	/* type of a config's resource */
};

struct kafka_lead {
	struct kafka_lead *next;
	int32_t		 part, leader;
	int32_t		 nreplicas, replica, nisr, isr;	/* the first of each */
};

struct reading {
	struct kafka	*k;
	int64_t		 scram, quotas, acls, odd;
};

static struct kafka_topic *
topic_of_id(struct kafka *k, const struct uuid *id)
{
	struct kafka_topic *t = k->topics;

	while (t != NULL && (!t->listed || !uuid_eq(t->id, *id)))
		t = t->next;
	return t;
}

static enum err
topic_apply(struct kafka *k, const struct kr_topic *r)
{
	struct kafka_topic *t = r->name.len < 1 ? NULL :
	    kafka_topic_get(k, r->name);

	if (t == NULL)
		return r->name.len < 1 ? E_CORRUPT : E_NOMEM;
	/* The directories of one that was deleted may still be there, while
	 * another one has its name. */
	t->id = r->id;
	t->listed = true;
	t->nparts = 0;
	t->leads = NULL;
	return E_OK;
}

static struct kafka_lead *
lead_of(struct kafka *k, const struct uuid *id, int32_t part, bool make)
{
	struct kafka_topic *t = topic_of_id(k, id);
	struct kafka_lead *l = t == NULL ? NULL : t->leads;

	while (l != NULL && l->part != part)
		l = l->next;
	if (l != NULL || t == NULL || !make || part < 0 ||
	    (l = arena_alloc(&k->a, sizeof *l)) == NULL)
		return l;
	l->part = part;
	l->next = t->leads;
	t->leads = l;
	t->nparts = part >= t->nparts ? part + 1 : t->nparts;
	return l;
}

static void
change_apply(struct kafka *k, const struct kr_partition_change *r)
{
	struct kafka_lead *l = lead_of(k, &r->topic, r->partition, false);

	if (l == NULL)
		return;
	if (r->leader != -2)
		l->leader = r->leader;
	if (r->isr.n > 0) {
		l->nisr = r->isr.n;
		l->isr = r->isr.v[0];
	}
	if (r->replicas.n > 0) {
		l->nreplicas = r->replicas.n;
		l->replica = r->replicas.v[0];
	}
}

static void
partition_apply(struct kafka *k, const struct kr_partition *r)
{
	struct kr_partition_change c = { .partition = r->partition,
	    .topic = r->topic, .leader = r->leader,
	    .isr = { r->isr.n, r->isr.v },
	    .replicas = { r->replicas.n, r->replicas.v } };

	if (lead_of(k, &r->topic, r->partition, true) != NULL)
		change_apply(k, &c);
}

static enum err
config_apply(struct kafka *k, const struct kr_config *r)
{
	struct kafka_config **at, *c;
	struct kafka_topic *t;
	char *name, *value;

	if (r->resource_type != TOPIC_CONFIG || r->resource.len < 1)
		return E_OK;
	if ((t = kafka_topic_get(k, r->resource)) == NULL)
		return E_NOMEM;
	for (at = &t->configs; *at != NULL; at = &(*at)->next)
		if (kstr_eq((*at)->name, r->name)) {
			*at = (*at)->next;
			break;
		}
	if (r->value.len < 0)
		return E_OK;
	c = arena_alloc(&k->a, sizeof *c);
	name = arena_strndup(&k->a, r->name.p, (size_t)r->name.len);
	value = arena_strndup(&k->a, r->value.p, (size_t)r->value.len);
	if (c == NULL || name == NULL || value == NULL)
		return E_NOMEM;
	c->name = (struct kstr){ r->name.len, name };
	c->value = (struct kstr){ r->value.len, value };
	c->next = t->configs;
	t->configs = c;
	return E_OK;
}

static void
remove_apply(struct kafka *k, const struct kr_remove_topic *r)
{
	struct kafka_topic *t = topic_of_id(k, &r->id);

	if (t == NULL)
		return;
	t->listed = false;
	t->nparts = 0;
	t->leads = NULL;
	t->configs = NULL;
}

static enum err
apply(struct reading *r, enum kafka_rec t, void *v)
{
	struct kr_producer_ids *ids = v;

	switch ((int)t) {
	case KR_kr_topic:
		return topic_apply(r->k, v);
	case KR_kr_partition:
		partition_apply(r->k, v);
		return E_OK;
	case KR_kr_config:
		return config_apply(r->k, v);
	case KR_kr_partition_change:
		change_apply(r->k, v);
		return E_OK;
	case KR_kr_remove_topic:
		remove_apply(r->k, v);
		return E_OK;
	case KR_kr_producer_ids:
		if (ids->next > r->k->next_pid)
			r->k->next_pid = ids->next;
		return E_OK;
	}
	return E_OK;
}

static enum err
record_apply(void *arg, const struct batch *b, struct record *rec)
{
	struct reading *r = arg;
	union { max_align_t m; uint8_t b[512]; } v;
	struct rd in;
	struct arena a;
	uint32_t frame, key, version;
	enum err err = E_OK;

	if (rec == NULL || (b->attrs & BATCH_CONTROL) || rec->value_len < 0)
		return E_OK;
	in = rd_of(rec->value, (size_t)rec->value_len);
	frame = rd_uvarint(&in);
	key = rd_uvarint(&in);
	version = rd_uvarint(&in);
	if (in.bad || frame != FRAME)
		return E_CORRUPT;
	r->scram += key == SCRAM;
	r->quotas += key == QUOTA;
	r->acls += key == ACL;
	r->odd += key == ABORT;
	for (int i = 0; i <= KR_kr_producer_ids; i++) {
		const struct msg *m = &kafka_recs[i];

		if ((uint32_t)m->key != key)
			continue;
		if (version > (uint32_t)m->max)
			return E_UNSUPPORTED_VERSION;
		ASSERT(m->size <= sizeof v);
		arena_init(&a, 16 * MIB);
		err = msg_read(m, (int)version, &in, &a, &v);
		if (err == E_OK)
			err = apply(r, (enum kafka_rec)i, &v);
		else if (err == E_PROTO)
			err = E_CORRUPT;
		arena_reset(&a);
	}
	return err;
}

/* ---- snapshots ---------------------------------------------------------- */

struct newest {
	int64_t	offset;
	char	name[64];
};

/* OFFSET-EPOCH.checkpoint */
static int
snapshot_each(const char *name, void *arg)
{
	struct newest *x = arg;
	const char *dash = strchr(name, '-');
	char *end;
	int64_t offset = strtoll(name, &end, 10);

	if (end == dash && dash - name == BASE_DIGITS && offset >= x->offset &&
	    strlen(name) == BASE_DIGITS + 11 + 11 &&
	    strcmp(name + BASE_DIGITS + 11, ".checkpoint") == 0) {
		x->offset = offset;
		snprintf(x->name, sizeof x->name, "%s", name);
	}
	return 0;
}

static enum err
metadata_read(struct kafka *k, struct kafka_part *p)
{
	struct reading r = { .k = k };
	struct newest x = { .offset = -1 };
	char path[PATH_SIZE];
	enum err err = disk->list(p->dir, snapshot_each, &x);

	if (err != E_OK)
		return kafka_fail(k, err, p->dir, NULL);
	if (x.offset > 0) {
		snprintf(path, sizeof path, "%.4000s/%s", p->dir, x.name);
		err = kafka_file_read(k, path, 0, INT64_MAX, record_apply,
		    &r);
		p->start = x.offset;
	}
	p->whole = true;
	if (err == E_OK)
		err = kafka_log_read(k, p, record_apply, &r);
	if (err != E_OK)
		return kafka_fail(k, err, p->dir, NULL);
	if (r.scram + r.quotas + r.acls > 0)
		kafka_note(k, "the cluster's users, quotas and ACLs are not "
		    "taken over: %lld records of them", (long long)(r.scram +
		    r.quotas + r.acls));
	if (r.odd > 0)
		kafka_note(k, "the cluster's metadata holds changes that were "
		    "taken back; see whether the topics are right");
	return E_OK;
}

/* ---- what counts -------------------------------------------------------- */

/*
 * All of a log counts when Kafka would keep all of it at its next start: where
 * this is the only replica, or the leader.  Another replica may hold records
 * that were never committed, above its high watermark.  Without metadata that
 * cannot be told, and what may have been acknowledged is not thrown away.
 */
static void
part_judge(struct kafka_part *p)
{
	const struct kafka_lead *l = p->topic->leads;

	while (l != NULL && l->part != p->index)
		l = l->next;
	if (l == NULL || p->broker < 0)
		return;
	p->leader = l->leader;
	p->whole = l->leader == p->broker ||
	    (l->nreplicas == 1 && l->replica == p->broker) ||
	    (l->leader < 0 && l->nisr == 1 && l->isr == p->broker);
}

enum err
kafka_meta_read(struct kafka *k)
{
	struct kafka_topic *t = kafka_topic_find(k,
	    kstr_of("__cluster_metadata"));
	enum err err = E_OK;

	if (t != NULL && t->parts != NULL)
		k->metadata = t->parts;
	if (k->metadata != NULL)
		err = metadata_read(k, k->metadata);
	else
		kafka_note(k, "there is no __cluster_metadata in these "
		    "directories: configs of topics are not taken over, "
		    "--config sets them");
	for (t = k->topics; err == E_OK && t != NULL; t = t->next)
		for (struct kafka_part *p = t->parts; p != NULL; p = p->next)
			part_judge(p);
	return err;
}
