/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding partitions to a topic, one growth of a topic at a time.  A crash
 * leaves the old count, with directories that the next growth or the deletion
 * clears, or the new one with all that belongs to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "lib/log.h"
#include "log/roll.h"
#include "topic_files.h"

static void grow_next(struct topic *);

static void
grow_free(struct topic_op *op)
{
	for (int32_t i = op->from; op->fresh != NULL && i < op->to; i++)
		recover_free(&op->fresh[i - op->from]);
	for (int32_t i = op->from; op->parts != NULL && i < op->to; i++)
		part_free(op->parts[i]);
	free(op->fresh);
	free(op->parts);
}

static void
grow_end(struct topic_op *op, enum err e)
{
	struct topic *t = op->topic;

	grow_free(op);
	t->growing = false;
	if (e == E_OK) {
		log_info("partitions added", LS("topic", t->name),
		    LI("parts", t->nparts));
	} else {
		log_warn("partitions not added", LS("topic", t->name), LE(e));
		t->eng->topics.nparts -= op->to - op->from;
	}
	op->done(op, e);
	grow_next(t);
}

static void
grow_recorded(struct meta_put *put, enum err e)
{
	struct topic_op *op = (struct topic_op *)((char *)put -
	    offsetof(struct topic_op, put));
	struct topic *t = op->topic;

	if (e == E_OK) {
		memcpy(op->parts, t->parts,
		    (size_t)op->from * sizeof *op->parts);
		free(t->parts);
		t->parts = op->parts;
		t->nparts = op->to;
		t->eng->topics.changes++;
		op->parts = NULL;
		/* Configs may have changed since they were made. */
		for (int32_t i = op->from; i < op->to; i++)
			part_policy(t->parts[i]);
	} else
		topic_unwrite(t);
	grow_end(op, e);
}

static void
grow_run(struct job *j)
{
	struct topic_op *op = (struct topic_op *)((char *)j -
	    offsetof(struct topic_op, job));
	const struct topic *t = op->topic;

	op->err = topic_files_create(t->eng, &t->id, op->from, op->to,
	    op->fresh);
	for (int32_t i = op->from; op->err == E_OK && i < op->to; i++)
		seg_reserve(op->fresh[i - op->from].segs[0],
		    part_reserve(op->parts[i]));
	/* E_BUSY: what is there is not ours. */
	if (op->err != E_OK && op->err != E_BUSY &&
	    topic_files_remove(t->eng, &t->id, op->from) != E_OK)
		log_warn("files of partitions that were not added stay",
		    LE(op->err));
}

static void
grow_done(struct job *j)
{
	struct topic_op *op = (struct topic_op *)((char *)j -
	    offsetof(struct topic_op, job));

	/* All that may fail comes before the record. */
	for (int32_t i = op->from; op->err == E_OK && i < op->to; i++)
		op->err = part_install(op->parts[i], &op->fresh[i - op->from],
		    op->topic->eng->epoch);
	op->put.done = grow_recorded;
	if (op->err == E_OK)
		op->err = topic_write(op->topic, op->to, &op->put);
	if (op->err != E_OK)
		grow_end(op, op->err);
}

enum err
topic_grow_check(const struct topic *t, int32_t count, char *why, size_t size)
{
	if (t->state != TOPIC_LIVE || t->leaving) {
		snprintf(why, size, "%s", err_text(E_UNKNOWN_TOPIC));
		return E_UNKNOWN_TOPIC;
	}
	if (count <= t->nparts) {
		snprintf(why, size, "topic '%s' has %d partition%s already: "
		    "%d would be no increase", t->name, (int)t->nparts,
		    t->nparts == 1 ? "" : "s", (int)count);
		return E_INVALID_PARTITIONS;
	}
	if (count > PARTS_PER_TOPIC_MAX) {
		snprintf(why, size, "a topic has at most %d partitions",
		    PARTS_PER_TOPIC_MAX);
		return E_INVALID_PARTITIONS;
	}
	if (t->eng->space.full) {
		snprintf(why, size, "the disk is full: delete something "
		    "first");
		return E_NOSPC;
	}
	if (t->eng->topics.nparts + count - t->nparts > PARTS_MAX) {
		snprintf(why, size, "the engine holds at most %d partitions",
		    PARTS_MAX);
		return E_POLICY_VIOLATION;
	}
	return E_OK;
}

static enum err
grow_start(struct topic *t, struct topic_op *op)
{
	struct log_id id = { t->id, t->nparts };
	int32_t n;
	char why[256];
	enum err e = topic_grow_check(t, op->to, why, sizeof why);

	if (e != E_OK)
		return e;
	op->from = t->nparts;
	n = op->to - op->from;
	op->fresh = calloc((size_t)n, sizeof *op->fresh);
	op->parts = calloc((size_t)op->to, sizeof(struct part *));
	for (; op->fresh != NULL && op->parts != NULL && id.part < op->to;
	    id.part++)
		if ((op->parts[id.part] = part_new(t->eng, t, &id)) == NULL)
			break;
	if (id.part < op->to) {
		grow_free(op);
		return E_NOMEM;
	}
	t->growing = true;
	t->eng->topics.nparts += n;
	op->job.run = grow_run;
	op->job.done = grow_done;
	pool_submit(t->eng->bulk, &op->job);
	return E_OK;
}

/* What waited for the growth that has ended. */
static void
grow_next(struct topic *t)
{
	struct topic_op *op;
	enum err e;

	while (!t->growing && (op = t->grows) != NULL) {
		if ((t->grows = op->next) == NULL)
			t->grows_tail = &t->grows;
		e = grow_start(t, op);
		if (e != E_OK)
			op->done(op, e);
	}
	if (!t->growing && t->then_delete != NULL)
		topic_delete_now(t);
}

enum err
topic_grow(struct topic *t, int32_t count, struct topic_op *op)
{
	char why[256];
	enum err e = topic_grow_check(t, count, why, sizeof why);

	if (e != E_OK)
		return e;
	op->topic = t;
	op->to = count;
	if (!t->growing)
		return grow_start(t, op);
	op->next = NULL;
	*t->grows_tail = op;
	t->grows_tail = &op->next;
	return E_OK;
}
