/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker pool: one mutex over two queues, jobs in and jobs back.  The
 * loop is woken once per batch of jobs that come back, not once per job.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "pool.h"

struct queue {
	struct job *head, **tail;
};

/* A job that is shared out; of the stack that waits for it. */
struct split {
	struct split	*below;
	void		(*part)(void *, int);
	void		*arg;
	int		 n, next, left;	/* left: not done yet */
};

struct pool {
	pthread_mutex_t	 mu;
	pthread_cond_t	 more, parted;
	struct split	*splits;	/* that have parts nobody took */
	struct queue	 in, progress, done;
	void		(*wake)(void *);
	void		*arg;
	pthread_t	*threads;
	int		 nthreads;
	int		 out;		/* the loop's own count */
	bool		 woken;		/* wake was called, reap did not run */
	bool		 ending;
};

static void
queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void
queue_put(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

static struct job *
queue_take(struct queue *q)
{
	struct job *j = q->head;

	if (j != NULL && (q->head = j->next) == NULL)
		q->tail = &q->head;
	return j;
}

/* Lets go of the lock and tells the loop, once until it has reaped: while the
 * lock is held the woken would only wait for it. */
static void
call_loop(struct pool *p)
{
	bool was = p->woken;

	p->woken = true;
	pthread_mutex_unlock(&p->mu);
	if (!was)
		p->wake(p->arg);
}

/* With the lock: takes parts while there are any. */
static void
help(struct pool *p, struct split *s)
{
	while (s->next < s->n) {
		int i = s->next++;

		if (s->next == s->n) {
			struct split **at = &p->splits;

			while (*at != s)
				at = &(*at)->below;
			*at = s->below;
		}
		pthread_mutex_unlock(&p->mu);
		s->part(s->arg, i);
		pthread_mutex_lock(&p->mu);
		if (--s->left == 0)
			pthread_cond_broadcast(&p->parted);
	}
}

static void *
worker(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	pthread_mutex_lock(&p->mu);
	for (;;) {
		while (p->splits != NULL)
			help(p, p->splits);
		if ((j = queue_take(&p->in)) == NULL) {
			if (p->ending)
				break;
			pthread_cond_wait(&p->more, &p->mu);
			continue;
		}
		pthread_mutex_unlock(&p->mu);
		j->run(j);
		pthread_mutex_lock(&p->mu);
		queue_put(&p->done, j);
		call_loop(p);
		pthread_mutex_lock(&p->mu);
	}
	pthread_mutex_unlock(&p->mu);
	return NULL;
}

enum err
pool_open(int threads, void (*wake)(void *), void *arg, struct pool **out)
{
	struct pool *p = calloc(1, sizeof *p);
	sigset_t all, old;

	if (p == NULL)
		return E_NOMEM;
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->more, NULL);
	pthread_cond_init(&p->parted, NULL);
	queue_init(&p->in);
	queue_init(&p->progress);
	queue_init(&p->done);
	p->wake = wake;
	p->arg = arg;
	p->threads = calloc((size_t)threads + 1, sizeof *p->threads);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->threads != NULL && p->nthreads < threads &&
	    pthread_create(&p->threads[p->nthreads], NULL, worker, p) == 0)
		p->nthreads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (p->threads == NULL || p->nthreads < threads) {
		pool_close(p);
		return E_NOMEM;
	}
	*out = p;
	return E_OK;
}

void
pool_close(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->mu);
	p->ending = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->mu);
	for (int i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_mutex_destroy(&p->mu);
	pthread_cond_destroy(&p->more);
	pthread_cond_destroy(&p->parted);
	free(p->threads);
	free(p);
}

void
pool_submit(struct pool *p, struct job *j)
{
	j->pool = p;
	p->out++;
	pthread_mutex_lock(&p->mu);
	queue_put(&p->in, j);
	pthread_mutex_unlock(&p->mu);
	/* The woken would only wait for the lock. */
	pthread_cond_signal(&p->more);
}

void
pool_progress(struct job *j)
{
	struct pool *p = j->pool;

	pthread_mutex_lock(&p->mu);
	j->next_progress = NULL;
	*p->progress.tail = j;
	p->progress.tail = &j->next_progress;
	call_loop(p);
}

void
pool_split(const struct job *j, int n, void (*part)(void *, int), void *arg)
{
	struct pool *p = j->pool;
	struct split s = { .part = part, .arg = arg, .n = n, .left = n };

	if (n < 2 || p->nthreads == 0) {
		for (int i = 0; i < n; i++)
			part(arg, i);
		return;
	}
	pthread_mutex_lock(&p->mu);
	s.below = p->splits;
	p->splits = &s;
	for (int i = 1; i < n; i++)
		pthread_cond_signal(&p->more);
	help(p, &s);
	while (s.left > 0)
		pthread_cond_wait(&p->parted, &p->mu);
	pthread_mutex_unlock(&p->mu);
}

bool
pool_waits(const struct job *j)
{
	struct pool *p = j->pool;
	bool some;

	pthread_mutex_lock(&p->mu);
	some = p->in.head != NULL;
	pthread_mutex_unlock(&p->mu);
	return some;
}

void
pool_reap(struct pool *p)
{
	struct job *prog, *done, *next;

	pthread_mutex_lock(&p->mu);
	prog = p->progress.head;
	done = p->done.head;
	queue_init(&p->progress);
	queue_init(&p->done);
	p->woken = false;
	pthread_mutex_unlock(&p->mu);
	for (; prog != NULL; prog = next) {
		next = prog->next_progress;
		prog->progress(prog);
	}
	for (; done != NULL; done = next) {
		next = done->next;
		p->out--;
		done->done(done);
	}
}

bool
pool_step(struct pool *p)
{
	struct job *j;

	ASSERT(p->nthreads == 0);
	if ((j = queue_take(&p->in)) == NULL)
		return false;
	j->run(j);
	queue_put(&p->done, j);
	pool_reap(p);
	return true;
}

int
pool_out(const struct pool *p)
{
	return p->out;
}
