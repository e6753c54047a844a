/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the kernel that wait: for the engine, for a worker, for records.
 * Each ends in one reply: when what it needs has come, when its time is over,
 * or when the caller was interrupted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "lib/log.h"

enum {
	FAIL_MS		= 2000,		/* how long a silent engine is not
					 * asked */
	OP_MEMORY	= 64 * MIB,	/* of one answer */
};

/* libfuse holds a lock of the request here: it is answered later. */
static void
interrupted(fuse_req_t req, void *arg)
{
	struct op *op = arg;

	(void)req;
	op->interrupted = true;
	op->fs->interrupts = true;
}

/* The loop calls this before it sleeps.  Whoever ends one op may have ended
 * others: the list is looked at anew, here and below. */
void
ops_interrupt(struct fs *fs)
{
	struct op *op;

	if (!fs->interrupts)
		return;
	fs->interrupts = false;
	do {
		TAILQ_FOREACH(op, &fs->ops, next)
			if (op->interrupted)
				break;
		if (op != NULL)
			op_err(op, EINTR);
	} while (op != NULL);
}

struct op *
op_new(struct fs *fs, fuse_req_t req, fuse_ino_t ino,
    void (*run)(struct op *))
{
	struct op *op = fs->nops >= OPS_MAX || fs->stopping ? NULL :
	    calloc(1, sizeof *op);

	fs->stats.calls++;
	if (op == NULL) {
		fuse_reply_err(req, fs->stopping ? EINTR : ENOMEM);
		return NULL;
	}
	op->fs = fs;
	op->req = req;
	op->run = run;
	op->seq = ++fs->seq;
	op->node = node_ref(node_of(fs, ino));
	arena_init(&op->arena, OP_MEMORY);
	if (!fs->conf.hard)
		op->deadline_ms = elink_now_ms() + fs->conf.timeout_ms;
	TAILQ_INSERT_TAIL(&fs->ops, op, next);
	fs->nops++;
	return op;
}

void
op_start(struct op *op)
{
	if (op != NULL)
		op->run(op);
}

void
op_end(struct op *op)
{
	struct fs *fs = op->fs;

	if (op->waiting != NULL)
		TAILQ_REMOVE(op->waiting, op, wait);
	if (op->gone != NULL)
		op->gone(op);
	elink_cancel(fs->link, &op->call);
	arena_reset(&op->arena);
	TAILQ_REMOVE(&fs->ops, op, next);
	fs->nops--;
	node_put(op->node);
	if (op->child != NULL)
		node_put(op->child);
	free(op->buf);
	free(op);
}

void
op_err(struct op *op, int eno)
{
	fuse_reply_err(op->req, eno);
	op_end(op);
}

void
op_interruptible(struct op *op)
{
	fuse_req_interrupt_func(op->req, interrupted, op);
}

/* The list of ops stays in the order of their deadlines. */
void
op_progress(struct op *op)
{
	struct fs *fs = op->fs;

	if (op->deadline_ms == 0)
		return;
	op->deadline_ms = elink_now_ms() + fs->conf.timeout_ms;
	TAILQ_REMOVE(&fs->ops, op, next);
	TAILQ_INSERT_TAIL(&fs->ops, op, next);
}

int
op_wait(struct op *op, struct ops *list)
{
	ASSERT(op->waiting == NULL);
	op->waiting = list;
	TAILQ_INSERT_TAIL(list, op, wait);
	op_interruptible(op);
	return WAIT;
}

static void
call_done(struct ecall *c, enum err e, void *res)
{
	struct op *op = c->arg;
	struct fs *fs = op->fs;

	if (e == E_OK)
		fs_heard(fs);
	op->err = e;
	op->res = res;
	op->called = true;
	op_progress(op);
	op->run(op);
}

int
op_call(struct op *op, int type, int version, const void *req)
{
	int eno = fs_engine_errno(op->fs);

	if (eno != 0)
		return eno;
	op->called = false;
	op->call = (struct ecall){ .done = call_done, .arg = op, .req = req,
	    .arena = &op->arena, .type = (uint16_t)type,
	    .version = (int16_t)version, .again = true };
	elink_call(op->fs->link, &op->call);
	op_interruptible(op);
	return WAIT;
}

/* What wakes was progress: the time begins again.  They are marked first: who
 * waits again must not be run again. */
void
ops_wake(struct ops *list)
{
	struct ops due = TAILQ_HEAD_INITIALIZER(due);
	struct op *op;

	while ((op = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, op, wait);
		TAILQ_INSERT_TAIL(&due, op, wait);
		op->waiting = &due;
	}
	while ((op = TAILQ_FIRST(&due)) != NULL) {
		TAILQ_REMOVE(&due, op, wait);
		op->waiting = NULL;
		op_progress(op);
		op->run(op);
	}
}

/* The first one that has a deadline. */
static struct op *
op_due(const struct fs *fs)
{
	struct op *op;

	TAILQ_FOREACH(op, &fs->ops, next)
		if (op->deadline_ms > 0)
			break;
	return op;
}

static void
op_expire(struct op *op, int64_t now)
{
	struct fs *fs = op->fs;

	fs->stats.timeouts++;
	if (!op->seeking)
		fs->fail_until_ms = now + FAIL_MS;
	if (op->late != NULL && op->late(op))
		return;
	fs_error(fs, op->node->key.name, ETIMEDOUT, E_TIMED_OUT);
	op_err(op, ETIMEDOUT);
}

void
ops_expire(struct fs *fs)
{
	int64_t now = elink_now_ms();
	struct op *op;

	while ((op = op_due(fs)) != NULL && op->deadline_ms <= now)
		op_expire(op, now);
	if (op != NULL)
		uv_timer_start(&fs->op_timer, fs->op_timer.timer_cb,
		    (uint64_t)(op->deadline_ms - now), 0);
}

void
ops_end_all(struct fs *fs, int eno, bool writes)
{
	struct op *op;

	do {
		TAILQ_FOREACH(op, &fs->ops, next)
			if (writes || (op->run != produce_write &&
			    op->run != produce_flush))
				break;
		if (op != NULL)
			op_err(op, eno);
	} while (op != NULL);
}

void
fs_heard(struct fs *fs)
{
	fs->fail_until_ms = 0;
}

int
fs_engine_errno(const struct fs *fs)
{
	return fs->fail_until_ms > elink_now_ms() && !fs->conf.hard ?
	    EHOSTUNREACH : 0;
}

/* A ring of lines: what an errno cannot say. */
void
fs_error(struct fs *fs, const char *what, int eno, enum err e)
{
	char **at = &fs->errors[fs->errors_at];
	struct wr w = wr_grow(KIB);

	fs->stats.errors++;
	render_time(&w, elink_wall_ms());
	wr_bytes(&w, "", 1);
	free(*at);
	*at = NULL;
	if (!w.bad && asprintf(at, "%.*s %s: %s: %s (%s)\n", (int)w.len - 3,
	    (char *)w.p + 1, what == NULL ? "-" : what, strerror(eno),
	    err_name(e), err_text(e)) < 0)
		*at = NULL;
	wr_free(&w);
	fs->errors_at = (fs->errors_at + 1) % ERRORS_MAX;
}

int
op_errno(struct op *op, enum err e, const char *what)
{
	int eno = err_errno(e);

	/* The kernel may still know a name that leads to another topic now, or
	 * to none: this makes it ask for the names again. */
	if (e == E_UNKNOWN_TOPIC || e == E_UNKNOWN_TOPIC_ID) {
		op->fs->topics_sent = 0;
		return ESTALE;
	}
	if (eno == 0)
		return 0;
	/* Names that are not there are nobody's failure. */
	if (eno != ENOENT)
		fs_error(op->fs, what, eno, e);
	return eno;
}
