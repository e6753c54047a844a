/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway as a whole, without its listening socket: what main and tests
 * open and close.  Work is gathered while events are handled and done once,
 * just before the loop sleeps: one write to the engine and one to each client
 * per turn, however many requests there were.
 */
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "lib/ipc.h"

#define QUIET_LINES	10	/* that peers can cause, per second */

bool
gw_may_log(struct gw *gw)
{
	uint64_t now = uv_now(&gw->loop);

	if (now - gw->quiet_from >= 1000) {
		gw->quiet_from = now;
		gw->quiet_n = 0;
	}
	return gw->quiet_n++ < QUIET_LINES;
}

void
gw_turn(struct gw *gw)
{
	do {
		conn_turn_all(gw);
		up_flush(&gw->up);
	} while (!TAILQ_EMPTY(&gw->touched));
	if (gw->stopping && !gw->ended && gw->nconns == 0 &&
	    up_idle(&gw->up))
		gw_close(gw);
}

static void
turn_cb(uv_prepare_t *p)
{
	struct gw *gw = p->data;

	gw_turn(gw);
	gw->caught_up = false;
}

enum err
gw_open(struct gw *gw)
{
	enum err e;

	TAILQ_INIT(&gw->conns);
	TAILQ_INIT(&gw->touched);
	TAILQ_INIT(&gw->hungry);
	TAILQ_INIT(&gw->partial);
	TAILQ_INIT(&gw->fresh);
	TAILQ_INIT(&gw->recodes);
	TAILQ_INIT(&gw->warms);
	if ((gw->scratch = malloc(SCRATCH)) == NULL)
		return E_NOMEM;
	e = region_open(&gw->region, (size_t)gw->conf.region_bytes);
	if (e != E_OK)
		return e;
	if (uv_loop_init(&gw->loop) != 0)
		return E_NOMEM;
	uv_prepare_init(&gw->loop, &gw->turn);
	uv_timer_init(&gw->loop, &gw->idle);
	uv_timer_init(&gw->loop, &gw->stall);
	uv_timer_init(&gw->loop, &gw->deadline);
	uv_timer_init(&gw->loop, &gw->fresh_timer);
	gw->turn.data = gw->idle.data = gw->stall.data = gw;
	gw->deadline.data = gw->fresh_timer.data = gw;
	admit_options(gw);
	uv_prepare_start(&gw->turn, turn_cb);
	up_open(&gw->up, gw);
	return E_OK;
}

void
gw_stop(struct gw *gw)
{
	conn_stop_all(gw);
}

void
gw_close(struct gw *gw)
{
	if (gw->ended)
		return;
	gw->stopping = gw->ended = true;
	conn_close_all(gw);
	up_close(&gw->up);
	uv_close((uv_handle_t *)&gw->turn, NULL);
	uv_close((uv_handle_t *)&gw->idle, NULL);
	uv_close((uv_handle_t *)&gw->stall, NULL);
	uv_close((uv_handle_t *)&gw->deadline, NULL);
	uv_close((uv_handle_t *)&gw->fresh_timer, NULL);
}

void
gw_free(struct gw *gw)
{
	ASSERT(uv_loop_close(&gw->loop) == 0);
	ASSERT(gw->heap == 0 && gw->lent == 0 && gw->nconns == 0);
	up_free(&gw->up);
	codecs_clear(&gw->codecs);
	admit_free(gw);
	region_close(&gw->region);
	free(gw->scratch);
}
