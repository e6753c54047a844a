/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of chronik-search.  Each is made by a process of its own, which
 * bounds its own memory and time and is killed when it hangs; what it says is
 * read as anybody's words would be.  Nothing here waits.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "seek.h"

enum {
	SEEKS_MAX	= 4,		/* processes at once */
	ANSWERS_MAX	= 256,		/* kept */
	KEPT_BYTES_MAX	= 64 * MIB,	/* of those that nobody has open */
	ALL_BYTES_MAX	= 256 * MIB,
	KEEP_MS		= 10000,	/* since it was used last */
	PART_KEEP_MS	= 2000,		/* of one that is not complete */
	WORDS_MAX	= 1024,		/* of its standard error */
	HARD_MS		= 60000,	/* when nothing else ends it */
	FOUND_MEMORY	= 4 * MIB,
	HANDLES		= 4,
};

/* A process at work.  Its memory lives until its handles are closed. */
struct seek {
	struct answer	*answer;
	uv_process_t	 process;
	uv_pipe_t	 out, words;
	uv_timer_t	 timer;
	int		 open;		/* of process, out, words */
	int		 handles;	/* not closed yet */
	bool		 late, too_much;
	int64_t		 status;
	int		 signal;
	struct wr	 said;
	char		 why[WORDS_MAX + 1];
	size_t		 why_len;
};

static void seeks_start(struct fs *);

/* ---- answers ------------------------------------------------------------ */

struct answer *
answer_ref(struct answer *a)
{
	a->refs++;
	return a;
}

static void
answer_free(struct answer *a)
{
	struct fs *fs = a->fs;

	ASSERT(!a->busy && a->refs == 0 && !a->kept);
	fs->answers_bytes -= a->len;
	arena_reset(&a->memory);
	if (a->topic != NULL)
		topic_put(fs, a->topic);
	free(a->bytes);
	free(a->name);
	free(a);
}

void
answer_put(struct answer *a)
{
	ASSERT(a->refs > 0);
	if (--a->refs == 0 && !a->kept)
		answer_free(a);
}

static void
answer_drop(struct answer *a)
{
	TAILQ_REMOVE(&a->fs->answers, a, next);
	a->fs->nanswers--;
	a->kept = false;
	if (a->refs == 0)
		answer_free(a);
}

static void
answer_used(struct answer *a)
{
	struct fs *fs = a->fs;

	a->used_ms = elink_now_ms();
	TAILQ_REMOVE(&fs->answers, a, next);
	TAILQ_INSERT_TAIL(&fs->answers, a, next);
}

/* What was not used lately goes, and more if it is too much. */
static void
answers_trim(struct fs *fs, size_t bytes_max, int64_t age_ms)
{
	int64_t now = elink_now_ms();
	struct answer *a, *more;

	for (a = TAILQ_FIRST(&fs->answers); a != NULL; a = more) {
		more = TAILQ_NEXT(a, next);
		if (!a->busy && (now - a->used_ms >= age_ms ||
		    fs->nanswers > ANSWERS_MAX ||
		    fs->answers_bytes > bytes_max))
			answer_drop(a);
	}
}

void
answers_drop(struct fs *fs)
{
	answers_trim(fs, 0, 0);
}

/* A loop that has no answers sleeps. */
static void
on_keep_timer(uv_timer_t *t)
{
	struct fs *fs = t->data;

	answers_trim(fs, KEPT_BYTES_MAX, KEEP_MS);
	if (TAILQ_EMPTY(&fs->answers))
		uv_timer_stop(t);
}

static struct answer *
answer_new(struct fs *fs, const struct node_key *k)
{
	struct answer *a = calloc(1, sizeof *a);

	if (a == NULL || (a->name = strdup(k->name)) == NULL) {
		free(a);
		return NULL;
	}
	a->fs = fs;
	a->kind = k->kind;
	a->topic = k->topic == NULL ? NULL : topic_ref(k->topic);
	a->part = k->part;
	a->kept = a->busy = true;
	a->begun = ++fs->seq;
	TAILQ_INIT(&a->waiters);
	arena_init(&a->memory, FOUND_MEMORY);
	TAILQ_INSERT_TAIL(&fs->answers, a, next);
	fs->nanswers++;
	uv_timer_start(&fs->answers_timer, on_keep_timer, KEEP_MS,
	    KEEP_MS / 2);
	return a;
}

/* The kind of answer that has a kind of file. */
static enum kind
asked_for(enum kind k)
{
	return k == KIND_COVERAGE || k == KIND_HITS ? KIND_RESULTS : k;
}

static bool
is_of(const struct answer *a, const struct node_key *k)
{
	return !a->left && a->kind == asked_for(k->kind) &&
	    a->topic == k->topic && a->part == k->part &&
	    strcmp(a->name, k->name) == 0;
}

static struct answer *
newest(struct fs *fs, const struct node_key *k)
{
	struct answer *a, *best = NULL;

	TAILQ_FOREACH(a, &fs->answers, next)
		if (is_of(a, k) && (best == NULL || a->begun > best->begun))
			best = a;
	return best;
}

uint64_t
answer_file(const struct answer *a, enum kind kind, struct kbytes *out)
{
	*out = kind == KIND_COVERAGE ? a->found.coverage : a->found.text;
	return kind == KIND_COVERAGE ? a->coverage_id :
	    kind == KIND_HITS ? a->hits_id : a->text_id;
}

struct answer *
answer_of(struct fs *fs, const struct node_key *k)
{
	struct kbytes none;
	struct answer *a;

	TAILQ_FOREACH(a, &fs->answers, next)
		if (!a->busy && a->eno == 0 && is_of(a, k) &&
		    answer_file(a, k->kind, &none) == (uint64_t)k->a) {
			answer_used(a);
			return a;
		}
	return NULL;
}

/* ---- what a process has said -------------------------------------------- */

static uint64_t
hash(uint64_t h, const void *p, size_t n)
{
	const uint8_t *s = p;
	uint64_t x;

	h ^= n;
	for (; n > 0; s += n < 8 ? n : 8, n -= n < 8 ? n : 8) {
		x = 0;
		memcpy(&x, s, n < 8 ? n : 8);
		h = (h ^ x) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 33;
	}
	return h;
}

static void
note(struct answer *a, const char *why, int eno, enum err e)
{
	char *what;

	if (asprintf(&what, "%s/%s: %s", a->kind == KIND_KEY_LOG ? "by-key" :
	    "search", a->name, why) < 0)
		return;
	fs_error(a->fs, what, eno, e);
	free(what);
}

/* found has been read: what it says is judged. */
static void
take(struct answer *a)
{
	struct found *f = &a->found;
	enum err e = f->error >= 0 && f->error < E_MAX ?
	    (enum err)f->error : E_UNKNOWN;
	char why[WORDS_MAX];

	snprintf(why, sizeof why, "%.*s", f->why.len < 0 ? 0 : f->why.len,
	    f->why.len < 0 ? "" : f->why.p);
	a->eno = e == E_TOO_LARGE ? EFBIG : err_errno(e);
	for (int32_t i = 0; i < f->topics.n; i++)
		if (f->topics.v[i].len < 0)
			f->topics.n = 0;
	for (int32_t i = 0; i < f->hits.n && a->eno == 0; i++)
		if (f->hits.v[i].topic < 0 ||
		    f->hits.v[i].topic >= f->topics.n)
			a->eno = EPROTO;
	if (a->eno != 0) {
		note(a, why, a->eno, e == E_OK ? E_PROTO : e);
		return;
	}
	if (!f->complete)
		note(a, why, f->late ? ETIMEDOUT : EIO,
		    f->late ? E_TIMED_OUT : E_IO);
	a->text_id = hash(1, f->text.p, (size_t)f->text.len);
	a->coverage_id = hash(1, f->coverage.p, (size_t)f->coverage.len);
	a->hits_id = a->text_id;
	for (int32_t i = 0; i < f->hits.n; i++) {
		const struct found_hit *h = &f->hits.v[i];
		struct kstr t = f->topics.v[h->topic];

		a->hits_id = hash(a->hits_id, t.p, (size_t)t.len);
		a->hits_id = hash(a->hits_id, &h->part, sizeof h->part);
		a->hits_id = hash(a->hits_id, &h->offset, sizeof h->offset);
	}
}

static void
answer_done(struct answer *a)
{
	struct fs *fs = a->fs;

	a->busy = false;
	a->seek = NULL;
	a->used_ms = a->done_ms = elink_now_ms();
	if (a->left)
		answer_drop(a);
	else
		ops_wake(&a->waiters);
	answers_trim(fs, KEPT_BYTES_MAX, INT64_MAX);
	seeks_start(fs);
}

/* The process has ended, and all that it said is there. */
static void
judge(struct seek *k)
{
	struct answer *a = k->answer;
	char why[WORDS_MAX + 64];
	bool read = false;
	struct rd r;

	a->bytes = realloc(k->said.p, k->said.len + 1);
	if (a->bytes == NULL)
		a->bytes = k->said.p;
	a->len = a->bytes == NULL ? 0 : k->said.len;
	a->fs->answers_bytes += a->len;
	r = rd_of(a->bytes, a->len);
	k->said = wr_grow(1);
	if (!k->late && !k->too_much && k->status == 0 && k->signal == 0)
		read = msg_read(&found_msg, VER_ALL, &r, &a->memory,
		    &a->found) == E_OK && rd_done(&r) &&
		    a->found.version == FOUND_VERSION &&
		    a->found.text.len >= 0 && a->found.coverage.len >= 0;
	if (read) {
		take(a);
		return;
	}
	if (a->left)
		return;
	k->why[strcspn(k->why, "\n")] = '\0';
	a->eno = k->late || k->signal == SIGXCPU ? ETIMEDOUT : EIO;
	snprintf(why, sizeof why, "chronik-search %s %s", k->late ?
	    "does not answer" : k->too_much ? "says too much" :
	    k->signal != 0 ? "was killed" : k->status != 0 ? "failed" :
	    "answers nonsense", k->why);
	note(a, why, a->eno, a->eno == EIO ? E_IO : E_TIMED_OUT);
}

/* ---- processes ---------------------------------------------------------- */

static void
on_closed(uv_handle_t *h)
{
	struct seek *k = h->data;

	if (--k->handles > 0)
		return;
	wr_free(&k->said);
	free(k);
}

static void
seek_end(struct seek *k)
{
	struct answer *a = k->answer;

	k->answer = NULL;
	a->fs->nseeks--;
	uv_close((uv_handle_t *)&k->process, on_closed);
	uv_close((uv_handle_t *)&k->out, on_closed);
	uv_close((uv_handle_t *)&k->words, on_closed);
	uv_close((uv_handle_t *)&k->timer, on_closed);
	answer_done(a);
}

static void
one_less(struct seek *k)
{
	if (--k->open > 0)
		return;
	judge(k);
	seek_end(k);
}

static void
on_end(uv_process_t *p, int64_t status, int signal)
{
	struct seek *k = p->data;

	k->status = status;
	k->signal = signal;
	one_less(k);
}

static void
on_deadline(uv_timer_t *t)
{
	struct seek *k = t->data;

	k->late = true;
	(void)uv_process_kill(&k->process, SIGKILL);
}

static void
on_room(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
	static char room[64 * KIB];	/* used at once */

	(void)h;
	(void)hint;
	*b = uv_buf_init(room, sizeof room);
}

static void
on_said(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct seek *k = s->data;

	if (n > 0 && s == (uv_stream_t *)&k->out) {
		wr_bytes(&k->said, b->base, (size_t)n);
		if (k->said.bad && !k->too_much) {
			k->too_much = true;
			(void)uv_process_kill(&k->process, SIGKILL);
		}
	} else if (n > 0) {
		if ((size_t)n > WORDS_MAX - k->why_len)
			n = (ssize_t)(WORDS_MAX - k->why_len);
		memcpy(k->why + k->why_len, b->base, (size_t)n);
		k->why_len += (size_t)n;
	} else if (n < 0) {
		(void)uv_read_stop(s);
		one_less(k);
	}
}

static int
run(struct seek *k)
{
	static const char *const parts[KIND_MAX] = {
		[KIND_QUERY] = "check", [KIND_RESULTS] = "results",
		[KIND_COUNT] = "count",
		[KIND_FACETS] = "facets", [KIND_KEY_LOG] = "key" };
	struct answer *a = k->answer;
	const struct fs_conf *c = &a->fs->conf;
	const char *args[16] = { "chronik-search", "files", "--engine",
	    c->engine };
	char part[16], ms[16];
	uv_stdio_container_t io[3] = { { .flags = UV_IGNORE },
	    { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
	      .data.stream = (uv_stream_t *)&k->out },
	    { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
	      .data.stream = (uv_stream_t *)&k->words } };
	uv_process_options_t o = { .exit_cb = on_end, .file = c->search,
	    .args = (char **)(uintptr_t)args, .stdio_count = 3,
	    .stdio = io };
	int n = 4, base = c->hard ? HARD_MS : c->timeout_ms, rc;

	snprintf(ms, sizeof ms, "%d", base / 4 * 3);
	args[n++] = "--timeout";
	args[n++] = ms;
	if (a->topic != NULL) {
		args[n++] = "--topic";
		args[n++] = a->topic->name;
	}
	if (a->part >= 0) {
		snprintf(part, sizeof part, "%d", a->part);
		args[n++] = "--partition";
		args[n++] = part;
	}
	if (c->render.value_only)
		args[n++] = "--value-only";
	if (c->render.pretty_time)
		args[n++] = "--pretty-time";
	args[n++] = parts[a->kind];
	args[n++] = a->name;
	rc = uv_spawn(&a->fs->loop, &k->process, &o);
	/* Before any of those who wait for it gives up. */
	if (rc == 0)
		uv_timer_start(&k->timer, on_deadline,
		    (uint64_t)(base / 10 * 9), 0);
	return rc;
}

static void
seek_start(struct answer *a)
{
	struct fs *fs = a->fs;
	struct seek *k = calloc(1, sizeof *k);
	int rc;

	if (k == NULL) {
		a->eno = ENOMEM;
		answer_done(a);
		return;
	}
	k->answer = a;
	k->said = wr_grow(FOUND_BYTES_MAX);
	k->handles = HANDLES;
	uv_pipe_init(&fs->loop, &k->out, 0);
	uv_pipe_init(&fs->loop, &k->words, 0);
	uv_timer_init(&fs->loop, &k->timer);
	k->process.data = k->out.data = k->words.data = k->timer.data = k;
	a->seek = k;
	fs->nseeks++;
	fs->stats.seeks++;
	rc = run(k);
	if (rc != 0) {
		a->eno = rc == UV_ENOENT ? ENOTSUP : EIO;
		note(a, rc == UV_ENOENT ? "there is no chronik-search beside "
		    "chronik-fs" : uv_strerror(rc), a->eno, err_of_errno(-rc));
		seek_end(k);
		return;
	}
	k->open = 3;
	uv_read_start((uv_stream_t *)&k->out, on_room, on_said);
	uv_read_start((uv_stream_t *)&k->words, on_room, on_said);
}

/* As many as may run at once, the oldest first. */
static void
seeks_start(struct fs *fs)
{
	struct answer *a, *first;

	while (fs->nseeks < SEEKS_MAX && !fs->stopping) {
		first = NULL;
		TAILQ_FOREACH(a, &fs->answers, next)
			if (a->busy && a->seek == NULL && (first == NULL ||
			    a->begun < first->begun))
				first = a;
		if (first == NULL)
			return;
		seek_start(first);
	}
}

void
answers_stop(struct fs *fs)
{
	struct answer *a;

	TAILQ_FOREACH(a, &fs->answers, next)
		if (a->seek != NULL)
			(void)uv_process_kill(&a->seek->process, SIGKILL);
}

/* ---- who asks ----------------------------------------------------------- */

/* Nobody waits for it any more. */
static void
left(struct op *op)
{
	struct answer *a = op->state;

	if (!a->busy || !TAILQ_EMPTY(&a->waiters))
		return;
	a->left = true;
	if (a->seek != NULL)
		(void)uv_process_kill(&a->seek->process, SIGKILL);
	else {
		a->busy = false;
		answer_drop(a);
	}
}

static int
await(struct op *op, struct answer *a)
{
	op->seeking = true;
	op->state = a;
	op->gone = left;
	return op_wait(op, &a->waiters);
}

/* Of the records as they were when the op began, or later. */
static bool
is_fresh(const struct op *op, const struct answer *a)
{
	const struct view_res *v = op->res;

	if (a->begun > op->seq)
		return true;
	if (!op->called || op->err != E_OK)
		return false;
	if (a->eno != 0)
		return a->eno == EINVAL;
	if (!a->found.complete)
		return elink_now_ms() - a->done_ms < PART_KEEP_MS;
	return v->stamp == a->found.stamp;
}

/* What the engine has now, if it has changed since then. */
static int
view_get(struct op *op, const struct answer *a)
{
	struct view_req *q = arena_alloc(&op->arena, sizeof *q);

	if (q == NULL)
		return ENOMEM;
	q->seen = a == NULL || a->eno != 0 ? -1 : a->found.stamp;
	return op_call(op, IPC_VIEW, 0, q);
}

int
answer_get(struct op *op, const struct node_key *k, bool any_age,
    struct answer **out)
{
	struct fs *fs = op->fs;
	struct answer *a = newest(fs, k);

	op->seeking = false;
	op->gone = NULL;
	op->state = NULL;
	if (a != NULL && a->busy)
		return await(op, a);
	if (a != NULL && ((any_age && (a->eno == 0 || a->eno == EINVAL)) ||
	    is_fresh(op, a))) {
		answer_used(a);
		*out = a;
		return a->eno;
	}
	if (!op->called)
		return view_get(op, a);
	if (op->err != E_OK)
		return op_errno(op, op->err, k->name);
	answers_trim(fs, KEPT_BYTES_MAX, KEEP_MS);
	if (fs->answers_bytes > ALL_BYTES_MAX ||
	    (a = answer_new(fs, k)) == NULL)
		return ENOMEM;
	seeks_start(fs);
	return a->busy ? await(op, a) : a->eno;
}
