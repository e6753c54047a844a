/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeLogDirs: the data directory, its file system, and the bytes of each
 * partition's log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin.h"
#include "lib/log.h"

typedef struct describe_log_dirs_res_result_topic dir_topic;
typedef struct describe_log_dirs_res_result_topic_part dir_part;

struct describing {
	struct job	 job;
	struct call	*call;
	struct describe_log_dirs_res res;
	struct describe_log_dirs_res_result dir;
	char		 path[PATH_SIZE];
	enum err	 err;
};

static int64_t
log_bytes(const struct part *p)
{
	int64_t n = 0;

	for (int i = 0; i < p->nsegs; i++)
		n += p->segs[i]->size;
	return n;
}

static void
put_part(dir_topic *r, const struct part *p)
{
	/* One that is damaged has no log that could be described. */
	if (p->nsegs > 0)
		r->partitions.v[r->partitions.n++] = (dir_part){
		    .partition_index = p->id.part,
		    .partition_size = log_bytes(p) };
}

static enum err
put_all(struct describing *d)
{
	struct arena *a = &d->call->arena;
	struct topics *ts = &d->call->eng->topics;

	a->limit += (size_t)ts->nparts * sizeof(dir_part) + ts->n *
	    (sizeof(dir_topic) + TOPIC_NAME_MAX + 64);
	d->dir.topics.v = arena_array(a, ts->n, sizeof(dir_topic));
	if (d->dir.topics.v == NULL)
		return E_NOMEM;
	for (struct topic *t = ts->first; t != NULL; t = t->next) {
		dir_topic *r = &d->dir.topics.v[d->dir.topics.n];

		if (t->state != TOPIC_LIVE)
			continue;
		r->name = str_keep(a, t->name);
		r->partitions.v = arena_array(a, (size_t)t->nparts,
		    sizeof(dir_part));
		if (r->partitions.v == NULL)
			return E_NOMEM;
		for (int32_t i = 0; i < t->nparts; i++)
			put_part(r, t->parts[i]);
		d->dir.topics.n += r->partitions.n > 0;
	}
	return E_OK;
}

static int
by_topic(const void *a, const void *b)
{
	const struct part *x = *(struct part *const *)a;
	const struct part *y = *(struct part *const *)b;
	int d = memcmp(x->id.topic.b, y->id.topic.b, 16);

	return d != 0 ? d : (x->id.part > y->id.part) -
	    (x->id.part < y->id.part);
}

/* Those that were asked for and exist, each once. */
static enum err
put_some(struct describing *d)
{
	const struct describe_log_dirs_req *q = d->call->req;
	struct arena *a = &d->call->arena;
	struct part **v, *p;
	dir_topic *r = NULL;
	size_t most = 0;
	int n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		most += (size_t)q->topics.v[i].partitions.n;
	a->limit += most * (sizeof *v + sizeof(dir_topic) + sizeof(dir_part)) +
	    (size_t)q->topics.n * (TOPIC_NAME_MAX + 64);
	v = arena_array(a, most, sizeof *v);
	d->dir.topics.v = arena_array(a, (size_t)q->topics.n,
	    sizeof(dir_topic));
	if (v == NULL || d->dir.topics.v == NULL)
		return E_NOMEM;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct topic *t = topic_find(&d->call->eng->topics,
		    q->topics.v[i].topic);

		for (int32_t k = 0; t != NULL &&
		    k < q->topics.v[i].partitions.n; k++) {
			p = topic_part(t, q->topics.v[i].partitions.v[k]);
			if (p != NULL && p->nsegs > 0)
				v[n++] = p;
		}
	}
	qsort(v, (size_t)n, sizeof *v, by_topic);
	for (int i = 0, end; i < n; i = end) {
		for (end = i; end < n && v[end]->topic == v[i]->topic; end++)
			continue;
		r = &d->dir.topics.v[d->dir.topics.n++];
		r->name = str_keep(a, v[i]->topic->name);
		r->partitions.v = arena_array(a, (size_t)(end - i),
		    sizeof(dir_part));
		if (r->partitions.v == NULL)
			return E_NOMEM;
		for (int k = i; k < end; k++)
			if (k == i || v[k] != v[k - 1])
				put_part(r, v[k]);
	}
	return E_OK;
}

/* Asking a file system may take as long as it likes. */
static void
space_run(struct job *j)
{
	struct describing *d = (struct describing *)j;

	d->err = disk->space(d->path, &d->dir.total_bytes,
	    &d->dir.usable_bytes);
}

static void
space_done(struct job *j)
{
	struct describing *d = (struct describing *)j;

	if (d->err != E_OK) {
		log_warn("the file system cannot be asked for its size",
		    LS("dir", d->path), LE(d->err));
		d->dir.error_code = err_code(E_STORAGE);
		d->dir.topics.n = 0;
		d->dir.total_bytes = d->dir.usable_bytes = -1;
	}
	d->res.results.n = 1;
	d->res.results.v = &d->dir;
	call_reply(d->call, &d->res);
	free(d);
}

/* The directory's absolute name. */
static void
path_fill(const struct engine *eng, char *path)
{
	const char *dir = eng->data;
	char here[2000];

	if (strncmp(dir, "./", 2) == 0)
		dir += 2;
	if (dir[0] == '/' || getcwd(here, sizeof here) == NULL)
		snprintf(path, PATH_SIZE, "%s", eng->data);
	else
		snprintf(path, PATH_SIZE, "%s/%.2000s", here, dir);
}

void
handle_describe_log_dirs(struct call *c)
{
	const struct describe_log_dirs_req *q = c->req;
	struct describing *d = calloc(1, sizeof *d);

	if (d != NULL)
		d->call = c;
	if (d == NULL || (q->topics.n < 0 ? put_all(d) : put_some(d)) !=
	    E_OK) {
		free(d);
		call_bad(c, "out of memory");
		return;
	}
	path_fill(c->eng, d->path);
	d->dir.log_dir = kstr_of(d->path);
	d->job.run = space_run;
	d->job.done = space_done;
	pool_submit(c->eng->bulk, &d->job);
}
