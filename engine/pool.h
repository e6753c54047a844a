/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads for blocking work.  A job is handed what it needs, runs on a
 * worker, and comes back to the loop.  The queue is the one shared structure;
 * whoever submits bounds how many jobs of his are out.
 *
 * With no threads the pool is inline: tests run its jobs one by one, in the
 * order they were submitted, where and when they choose.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>

#include "lib/err.h"

struct pool;

struct job {
	void		(*run)(struct job *);	/* on a worker */
	void		(*progress)(struct job *); /* on the loop, see below */
	void		(*done)(struct job *);	/* on the loop, at the end */
	struct pool	*pool;
	struct job	*next;			/* the pool's */
	struct job	*next_progress;
};

/* threads 0: inline.  wake: called from any thread when the loop should call
 * pool_reap soon. */
enum err pool_open(int threads, void (*wake)(void *), void *arg,
	    struct pool **) MUST;
void	 pool_close(struct pool *);	/* waits; everything was reaped */
void	 pool_submit(struct pool *, struct job *);
/* From run, at most once per job: have progress() called on the loop. */
void	 pool_progress(struct job *);
/* From run: part(arg, i) for each i below n, here and on workers that have
 * nothing else to do; returns when all have.  Inline: here, in order. */
void	 pool_split(const struct job *, int n, void (*part)(void *arg, int i),
	    void *arg);
/* From run: does another job wait for a thread? */
bool	 pool_waits(const struct job *);
/* On the loop: calls progress and done of what came back. */
void	 pool_reap(struct pool *);
/* Inline pools: runs the oldest job and its callbacks; false when idle. */
bool	 pool_step(struct pool *);
/* Jobs that have not come back yet. */
int	 pool_out(const struct pool *);

#endif
