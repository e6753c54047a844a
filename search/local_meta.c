/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue, as far as a search needs it: names and search.* configs of
 * topics, and where partitions begin.  Its newest segment is a whole snapshot
 * with changes behind it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/reader.h"
#include "lib/rows_struct.h"
#include "lib/meta.def"
#include "lib/rows_table.h"
#include "lib/meta.def"
#include "local_in.h"
#include "shard.h"

static const struct msg msgs[] = {
#define MESSAGE(n, k, lo, hi, fx) \
	[k] = { #n, n##_rows, sizeof(struct n), k, lo, hi, fx },
#include "lib/meta.def"
};

enum {
#define MESSAGE(n, k, ...)	MT_##n = k,
#include "lib/meta.def"
	MESSAGE_MEMORY = 16 * MIB,
};

/* ---- tables ------------------------------------------------------------ */

struct ltopic *
local_topic(struct local *l, const struct uuid *id, bool make)
{
	struct ltopic *v;

	for (int i = 0; i < l->ntopics; i++)
		if (uuid_eq(l->topics[i].id, *id))
			return &l->topics[i];
	if (!make || (v = realloc(l->topics, ((size_t)l->ntopics + 1) *
	    sizeof *v)) == NULL)
		return NULL;
	l->topics = v;
	v[l->ntopics] = (struct ltopic){ .id = *id };
	if (sconf_set(&v[l->ntopics].conf, kstr_of(""), kstr_of(""), true,
	    false, false) != E_OK)
		return NULL;
	return &v[l->ntopics++];
}

struct lpart *
local_part(struct ltopic *t, int32_t index, bool make)
{
	struct lpart *v;

	for (int i = 0; i < t->nparts; i++)
		if (t->parts[i].index == index)
			return &t->parts[i];
	if (!make || (v = realloc(t->parts, ((size_t)t->nparts + 1) *
	    sizeof *v)) == NULL)
		return NULL;
	t->parts = v;
	v[t->nparts] = (struct lpart){ .index = index };
	return &v[t->nparts++];
}

bool
local_is_deleted(const struct local *l, const struct uuid *id)
{
	for (int i = 0; i < l->ndeleted; i++)
		if (uuid_eq(l->deleted[i], *id))
			return true;
	return false;
}

void
local_topic_free(struct ltopic *t)
{
	for (int i = 0; i < t->nparts; i++) {
		for (int j = 0; j < t->parts[i].nsegs; j++)
			free(t->parts[i].segs[j].marks);
		free(t->parts[i].segs);
	}
	free(t->parts);
	free(t->name);
	sconf_free(&t->conf);
}

static enum err
topic_drop(struct local *l, const struct uuid *id)
{
	struct ltopic *t = local_topic(l, id, false);
	struct uuid *v;

	if (t != NULL) {
		local_topic_free(t);
		*t = l->topics[--l->ntopics];
	}
	v = realloc(l->deleted, ((size_t)l->ndeleted + 1) * sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	l->deleted = v;
	v[l->ndeleted++] = *id;
	return E_OK;
}

/* ---- records ----------------------------------------------------------- */

/* A config of the topic's own, else its default. */
static struct kstr
config(const struct meta_topic *m, int row)
{
	const struct topic_row *r = topic_row(row);

	for (int32_t i = 0; i < m->configs.n; i++)
		if (kstr_eq(m->configs.v[i].name, kstr_of(r->name)))
			return m->configs.v[i].value;
	return kstr_of(r->def);
}

static bool
is_true(const struct meta_topic *m, int row)
{
	return kstr_eq(config(m, row), kstr_of("true"));
}

static enum err
take_topic(struct local *l, const struct uuid *id, const struct meta_topic *m)
{
	struct ltopic *t = local_topic(l, id, true);

	if (t == NULL)
		return E_NOMEM;
	free(t->name);
	sconf_free(&t->conf);
	t->name = strndup(m->name.p, (size_t)m->name.len);
	t->enabled = is_true(m, CONF_TOPIC_search_enable);
	if (t->name == NULL)
		return E_NOMEM;
	return sconf_set(&t->conf, config(m, CONF_TOPIC_search_fields_text),
	    config(m, CONF_TOPIC_search_fields_numeric),
	    is_true(m, CONF_TOPIC_search_ids),
	    is_true(m, CONF_TOPIC_search_positions),
	    kstr_eq(config(m, CONF_TOPIC_search_stem), kstr_of("en")));
}

/* The key is the type in one byte, and what it is about. */
static enum err
take(struct local *l, const struct record *r, struct arena *a)
{
	union {
		struct meta_topic topic;
		struct meta_start start;
	} u;
	struct rd in = rd_of(r->value, r->value_len < 0 ? 0 :
	    (size_t)r->value_len);
	struct uuid id;
	int type, version;
	struct ltopic *t;
	struct lpart *p;
	enum err e;

	type = r->key_len < 17 ? 0 : r->key[0];
	if (type != MT_meta_topic && type != MT_meta_start &&
	    type != MT_meta_deleted)
		return E_OK;
	memcpy(id.b, r->key + 1, sizeof id.b);
	if (type == MT_meta_deleted)
		return topic_drop(l, &id);
	if (r->value_len < 0)
		return type == MT_meta_topic ? topic_drop(l, &id) : E_OK;
	version = rd_i16(&in);
	if (version > msgs[type].max || version < msgs[type].min)
		return E_UNSUPPORTED_VERSION;
	e = msg_read(&msgs[type], version, &in, a, &u);
	if (e != E_OK)
		return e;
	if (type == MT_meta_topic)
		return take_topic(l, &id, &u.topic);
	if (r->key_len < 21 || (t = local_topic(l, &id, true)) == NULL)
		return E_OK;
	in = rd_of(r->key + 17, 4);
	p = local_part(t, rd_i32(&in), true);
	if (p == NULL)
		return E_NOMEM;
	p->start = u.start.offset;
	return E_OK;
}

static enum err
replay(struct local *l, int fd, int64_t size)
{
	struct arena a;
	struct records rs;
	struct record r;
	enum err e;

	arena_init(&a, MESSAGE_MEMORY);
	records_open(&rs, fd, 0, size, 0);
	while ((e = records_next(&rs, &r)) == E_OK &&
	    (e = take(l, &r, &a)) == E_OK)
		arena_reset(&a);
	records_close(&rs);
	arena_reset(&a);
	return e == E_EOF ? E_OK : e;
}

/* The greatest name of a segment there. */
static bool
newest(const char *dir, char name[64])
{
	struct dirent *de;
	DIR *d = opendir(dir);

	name[0] = '\0';
	while (d != NULL && (de = readdir(d)) != NULL)
		if (strspn(de->d_name, "0123456789") == 20 &&
		    strcmp(de->d_name + 20, ".log") == 0 &&
		    strcmp(de->d_name, name) > 0)
			snprintf(name, 64, "%.60s", de->d_name);
	if (d != NULL)
		closedir(d);
	return name[0] != '\0';
}

enum err
local_catalogue(struct local *l)
{
	char dir[SHARD_PATH - 64], path[SHARD_PATH], name[64];
	struct stat st;
	enum err e;
	int fd;

	snprintf(dir, sizeof dir, "%s/meta", l->dir);
	if (!newest(dir, name))
		return E_NOTFOUND;
	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	e = fd == -1 || fstat(fd, &st) != 0 ? E_IO : replay(l, fd,
	    st.st_size);
	if (fd != -1)
		close(fd);
	if (e == E_OK || e == E_NOMEM)
		return e;
	log_warn("the catalogue is damaged: topics may lack their names",
	    LS("file", path), LS("error", err_text(e)));
	return E_OK;
}
