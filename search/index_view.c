/* SPDX-License-Identifier: Apache-2.0 */
/* The indexer's tables, made anew of each view of the log. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_in.h"
#include "lib/limits.h"
#include "lib/log.h"

/* ---- what is of no use any more ---------------------------------------- */

static bool
topic_wanted(const struct index *x, const char *hex)
{
	char one[SHARD_PATH];

	for (int i = 0; i < x->ntopics; i++) {
		shard_dir(one, "", &x->topics[i].id, -1);
		if (strcmp(one + 1, hex) == 0)
			return true;
	}
	return false;
}

static enum err
remove_strangers(const struct index *x)
{
	DIR *d = opendir(x->dir);
	struct dirent *de;
	char path[SHARD_PATH];
	enum err e = E_OK;

	if (d == NULL)
		return err_of_errno(errno);
	while (e == E_OK && (de = readdir(d)) != NULL) {
		if (strlen(de->d_name) != 32 ||
		    strspn(de->d_name, "0123456789abcdef") != 32 ||
		    topic_wanted(x, de->d_name))
			continue;
		snprintf(path, sizeof path, "%s/%s", x->dir, de->d_name);
		log_info("index removed", LS("topic", de->d_name));
		e = tree_remove(path);
	}
	closedir(d);
	return e;
}

/* An index that was made with other configs is no index of this topic. */
static enum err
check_conf(const struct index *x, const struct itopic *t)
{
	char dir[SHARD_PATH], *was, *now = sconf_print(&t->conf);
	enum err e = E_OK;

	if (now == NULL)
		return E_NOMEM;
	shard_dir(dir, x->dir, &t->id, -1);
	was = file_text(dir, "conf");
	if (was == NULL || strcmp(was, now) != 0) {
		if (was != NULL)
			log_info("index made anew: other configs",
			    LS("topic", t->name));
		e = tree_remove(dir);
		if (e == E_OK)
			e = tree_make(dir);
		if (e == E_OK)
			e = file_put(dir, "conf", now);
	}
	free(was);
	free(now);
	return e;
}

/* ---- tables ------------------------------------------------------------ */

static void
topics_free(struct itopic *v, int n)
{
	for (int i = 0; i < n; i++) {
		free(v[i].name);
		sconf_free(&v[i].conf);
	}
	free(v);
}

static void
parts_free(struct ipart *v, int n)
{
	for (int i = 0; i < n; i++) {
		shards_free(&v[i].shards);
		free(v[i].notes);
	}
	free(v);
}

void
index_free(struct index *x)
{
	parts_free(x->parts, x->nparts);
	topics_free(x->topics, x->ntopics);
	x->parts = NULL;
	x->topics = NULL;
	x->nparts = x->ntopics = 0;
}

static enum err
topic_set(struct itopic *t, const struct view_res_topic *v)
{
	*t = (struct itopic){ .id = v->id, .compacted = v->compacted };
	t->name = strndup(v->name.p, (size_t)v->name.len);
	if (t->name == NULL)
		return E_NOMEM;
	return sconf_set(&t->conf, v->text, v->numeric, v->ids,
	    v->positions, v->stem != 0);
}

/* What is known of a partition goes over from the old table. */
static void
take_over(struct ipart *p, struct index *old)
{
	for (int i = 0; i < old->nparts; i++) {
		/* Views are much alike: it is the next one. */
		int at = (old->hint + i) % old->nparts;
		struct ipart *o = &old->parts[at];

		if (o->index != p->index ||
		    !uuid_eq(o->topic->id, p->topic->id) ||
		    !sconf_eq(&o->topic->conf, &p->topic->conf))
			continue;
		old->hint = at + 1;
		p->shards = o->shards;
		p->listed = o->listed;
		p->notes = o->notes;
		p->nnotes = o->nnotes;
		p->noted_to = o->noted_to;
		p->retry_ms = o->retry_ms;
		o->shards = (struct shards){ 0 };
		o->notes = NULL;
		return;
	}
}

static enum err
part_set(struct index *x, struct index *old, struct ipart *p,
    struct itopic *t, const struct view_res_part *v)
{
	char dir[SHARD_PATH];
	enum err e = E_OK;

	*p = (struct ipart){ .topic = t, .index = v->index,
	    .start = v->start, .clean_to = v->clean_to, .noted_to = -1,
	    .hw = v->error == E_OK ? v->high_watermark :
	    v->start, .segs = v->segs.v, .nsegs = v->error == E_OK ?
	    v->segs.n : 0 };
	take_over(p, old);
	if (!p->listed) {
		shard_dir(dir, x->dir, &t->id, p->index);
		e = shards_list(dir, SHARDS_TIDY, &p->shards, NULL);
		p->listed = e == E_OK;
	}
	if (e == E_OK && t->compacted)
		e = segnotes_check(x, p);
	return e == E_OK ? ipart_tidy(x, p) : e;
}

/* Whether the old table has the topic as it is. */
static bool
topic_known(const struct index *old, int place, const struct itopic *t)
{
	for (int i = 0; i < old->ntopics; i++) {
		const struct itopic *o =
		    &old->topics[(place + i) % old->ntopics];

		if (uuid_eq(o->id, t->id))
			return sconf_eq(&o->conf, &t->conf);
	}
	return false;
}

static enum err
tables_make(struct index *x, const struct view_res *v, struct index *old,
    bool *strange)
{
	size_t n = 0;
	enum err e = E_OK;

	for (int i = 0; i < v->topics.n; i++)
		n += (size_t)v->topics.v[i].parts.n;
	x->topics = calloc((size_t)v->topics.n + 1, sizeof *x->topics);
	x->parts = calloc(n + 1, sizeof *x->parts);
	if (x->topics == NULL || x->parts == NULL)
		return E_NOMEM;
	for (int i = 0; i < v->topics.n && e == E_OK; i++) {
		const struct view_res_topic *t = &v->topics.v[i];

		e = topic_set(&x->topics[i], t);
		x->ntopics++;
		if (e == E_OK && !topic_known(old, i, &x->topics[i])) {
			*strange = true;
			e = check_conf(x, &x->topics[i]);
		}
		for (int j = 0; j < t->parts.n && e == E_OK; j++)
			e = part_set(x, old, &x->parts[x->nparts++],
			    &x->topics[i], &t->parts.v[j]);
	}
	return e;
}

enum err
index_take(struct index *x, const struct view_res *v)
{
	struct index old = *x;
	bool strange = x->ntopics != v->topics.n;
	enum err e;

	old.hint = 0;
	x->topics = NULL;
	x->parts = NULL;
	x->ntopics = x->nparts = 0;
	e = tables_make(x, v, &old, &strange);
	index_free(&old);
	if (e == E_OK && (strange || x->seen == -1))
		e = remove_strangers(x);
	x->seen = e == E_OK ? v->stamp : -1;
	return e;
}
