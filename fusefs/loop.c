/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: the kernel's requests, the link to the engine, deadlines and
 * signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "loop.h"

enum { REQUESTS_PER_TURN = 64, DRAIN_MS = 5000, TRIM_MS = 1000 };

/* The poll handle of a link; its memory lives until it is closed. */
struct wire {
	uv_poll_t	poll;
	int		fd, events;
	struct fs	*fs;
};

/* ---- the engine --------------------------------------------------------- */

static void
wire_freed(uv_handle_t *h)
{
	free(h->data);
}

static void
wire_end(struct fs *fs)
{
	if (fs->wire == NULL)
		return;
	uv_close((uv_handle_t *)&fs->wire->poll, wire_freed);
	fs->wire = NULL;
}

static void
on_link(uv_poll_t *p, int status, int events)
{
	struct wire *w = p->data;
	short ev = 0;

	if (w->fs->wire != w)
		return;
	if (status < 0)
		ev = POLLERR;
	if (events & (UV_READABLE | UV_DISCONNECT))
		ev |= POLLIN;
	if (events & UV_WRITABLE)
		ev |= POLLOUT;
	elink_run(w->fs->link, ev);
}

/* The socket has just been closed: its poll handle must go at once, before
 * another one gets its number. */
void
loop_link_changed(void *arg, enum err why)
{
	struct fs *fs = arg;

	fs->link_err = why;
	if (why == E_OK) {
		fs->fail_until_ms = 0;
		fs->links++;
		log_debug("engine link up");
		return;
	}
	if (fs->wire != NULL)
		log_debug("engine link lost", LE(why));
	wire_end(fs);
}

static void
wire_watch(struct fs *fs)
{
	int fd = elink_fd(fs->link), events;
	struct wire *w = fs->wire;

	if (fd < 0)
		return;
	if (w == NULL) {
		w = calloc(1, sizeof *w);
		if (w == NULL || uv_poll_init(&fs->loop, &w->poll, fd) != 0)
			log_fatal("cannot watch the engine's socket");
		w->fs = fs;
		w->fd = fd;
		w->poll.data = w;
		fs->wire = w;
	}
	events = elink_events(fs->link) & POLLOUT ?
	    UV_READABLE | UV_WRITABLE : UV_READABLE;
	if (events != w->events) {
		uv_poll_start(&w->poll, events, on_link);
		w->events = events;
	}
}

static void
on_link_timer(uv_timer_t *t)
{
	struct fs *fs = t->data;

	elink_run(fs->link, 0);
}

/* ---- before each sleep -------------------------------------------------- */

static void
on_op_timer(uv_timer_t *t)
{
	ops_expire(t->data);
}

static void
arm_deadlines(struct fs *fs)
{
	struct op *op;
	int64_t left;

	if (uv_is_active((uv_handle_t *)&fs->op_timer))
		return;
	TAILQ_FOREACH(op, &fs->ops, next)
		if (op->deadline_ms > 0) {
			left = op->deadline_ms - elink_now_ms();
			uv_timer_start(&fs->op_timer, on_op_timer,
			    left < 0 ? 0 : (uint64_t)left, 0);
			return;
		}
}

/* What many nodes were in goes back to the system, once, when no more of them
 * have gone for a while. */
static void
on_trim_timer(uv_timer_t *t)
{
	struct fs *fs = t->data;

	if (fs->freed != fs->freed_then) {
		fs->freed_then = fs->freed;
		uv_timer_start(t, on_trim_timer, TRIM_MS, 0);
		return;
	}
	hash_trim(&fs->nodes);
	hash_trim(&fs->topic_names);
	hash_trim(&fs->topic_ids);
	hash_trim(&fs->parts);
	(void)malloc_trim(0);
	fs->freed = fs->freed_then = 0;
}

/* A worker that tells the kernel something may wait for calls that we have to
 * answer: they are, until it is back. */
static bool
has_ended(const struct fs *fs)
{
	return fs->stopping && TAILQ_EMPTY(&fs->grows) &&
	    (fs->nwrites == 0 || fs->drained || fs->unmounted);
}

static void
before_sleep(uv_prepare_t *p)
{
	struct fs *fs = p->data;
	int ms;

	ops_interrupt(fs);
	if (has_ended(fs))
		uv_stop(&fs->loop);
	elink_run(fs->link, 0);
	wire_watch(fs);
	ms = elink_wait_ms(fs->link);
	if (ms >= 0)
		uv_timer_start(&fs->link_timer, on_link_timer,
		    (uint64_t)ms, 0);
	else
		uv_timer_stop(&fs->link_timer);
	arm_deadlines(fs);
	if (fs->freed >= TRIM_FREED &&
	    !uv_is_active((uv_handle_t *)&fs->trim_timer))
		uv_timer_start(&fs->trim_timer, on_trim_timer, TRIM_MS, 0);
}

/* ---- the kernel --------------------------------------------------------- */

static void
on_stop_timer(uv_timer_t *t)
{
	struct fs *fs = t->data;

	fs->drained = true;
}

/* Writes that are on their way may end; no other call begins. */
void
loop_stop(struct fs *fs)
{
	if (fs->stopping)
		return;
	fs->stopping = true;
	ops_end_all(fs, EINTR, false);
	uv_timer_start(&fs->stop_timer, on_stop_timer, DRAIN_MS, 0);
}

static void
on_fuse(uv_poll_t *p, int status, int events)
{
	struct fs *fs = p->data;
	int n = 0;

	(void)events;
	for (int i = 0; status == 0 && i < REQUESTS_PER_TURN; i++) {
		n = fuse_session_receive_buf(fs->se, &fs->fuse_buf);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		fuse_session_process_buf(fs->se, &fs->fuse_buf);
	}
	if (status < 0 || (n <= 0 && n != -EAGAIN && n != -EINTR) ||
	    fuse_session_exited(fs->se)) {
		fs->unmounted = true;
		uv_poll_stop(p);
		loop_stop(fs);
	}
}

static void
on_signal(uv_signal_t *s, int number)
{
	(void)number;
	loop_stop(s->data);
}

enum err
loop_open(struct fs *fs)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	if (uv_loop_init(&fs->loop) != 0)
		return E_NOMEM;
	uv_timer_init(&fs->loop, &fs->link_timer);
	uv_timer_init(&fs->loop, &fs->op_timer);
	uv_timer_init(&fs->loop, &fs->stop_timer);
	uv_timer_init(&fs->loop, &fs->trim_timer);
	uv_timer_init(&fs->loop, &fs->answers_timer);
	uv_timer_init(&fs->loop, &fs->sinks_timer);
	uv_prepare_init(&fs->loop, &fs->prepare);
	fs->link_timer.data = fs->op_timer.data = fs->stop_timer.data = fs;
	fs->answers_timer.data = fs->trim_timer.data = fs->prepare.data = fs;
	fs->sinks_timer.data = fs;
	fs->op_timer.timer_cb = on_op_timer;
	for (int i = 0; i < 3; i++) {
		uv_signal_init(&fs->loop, &fs->sig[i]);
		fs->sig[i].data = fs;
		uv_signal_start(&fs->sig[i], on_signal, numbers[i]);
	}
	uv_prepare_start(&fs->prepare, before_sleep);
	return E_OK;
}

static void
on_first_timer(uv_timer_t *t)
{
	uv_stop(t->loop);
}

/* Turns the loop until the engine has answered. */
enum err
loop_first_answer(struct fs *fs)
{
	int64_t deadline = elink_now_ms() + fs->conf.timeout_ms;
	uv_timer_t timer;
	enum err e = E_OK;

	uv_timer_init(&fs->loop, &timer);
	uv_timer_start(&timer, on_first_timer,
	    (uint64_t)fs->conf.timeout_ms, 0);
	while (!elink_ready(fs->link) && !fs->stopping && e == E_OK) {
		fs->link_err = E_OK;
		uv_run(&fs->loop, UV_RUN_ONCE);
		if (fs->link_err != E_OK && fs->link_err != E_BUSY)
			e = fs->link_err;
		else if (elink_now_ms() >= deadline)
			e = E_TIMED_OUT;
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&fs->loop, UV_RUN_NOWAIT);
	return fs->stopping ? E_CLOSED : e;
}

enum err
loop_fuse(struct fs *fs)
{
	int fd = fuse_session_fd(fs->se), flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return err_of_errno(errno);
	if (uv_poll_init(&fs->loop, &fs->fuse_poll, fd) != 0)
		return E_NOMEM;
	fs->fuse_poll.data = fs;
	uv_poll_start(&fs->fuse_poll, UV_READABLE, on_fuse);
	return E_OK;
}

void
loop_run(struct fs *fs)
{
	if (!fs->stopping)
		uv_run(&fs->loop, UV_RUN_DEFAULT);
}
