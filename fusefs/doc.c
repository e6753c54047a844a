/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: small files whose text is made when somebody looks, since their
 * size must be known then, and is kept for a second.  A record never changes:
 * its text is kept as long as its node.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

enum { KEEP_MS = 1000 };

void
doc_set(struct node *n, char *text, size_t len)
{
	struct doc *d = &n->doc;

	d->err = text == NULL ? E_NOMEM : E_OK;
	d->made_ms = elink_now_ms();
	d->made = d->call_seq;
	if (text != NULL && d->text != NULL && d->len == len &&
	    memcmp(d->text, text, len) == 0) {
		free(text);
		return;
	}
	if (text == NULL)
		return;
	free(d->text);
	d->text = text;
	d->len = len;
	d->changed_ms = elink_wall_ms();
}

void
doc_set_json(struct node *n, json_t *j)
{
	char *text = j == NULL ? NULL : json_dumps(j, JSON_INDENT(2));
	size_t len = text == NULL ? 0 : strlen(text);
	char *more = text == NULL ? NULL : realloc(text, len + 2);

	json_decref(j);
	if (more == NULL)
		free(text);
	else
		memcpy(more + len, "\n", 2);
	doc_set(n, more, len + 1);
}

json_t *
json_kstr(struct kstr s)
{
	json_t *j;

	if (s.len < 0)
		return json_null();
	j = json_stringn(s.p, (size_t)s.len);
	return j != NULL ? j : json_string("(not UTF-8)");
}

void
doc_done(struct node *n, enum err e)
{
	struct doc *d = &n->doc;

	if (e != E_OK) {
		d->err = e;
		d->made = d->call_seq;
		d->made_ms = 0;
	} else
		fs_heard(n->fs);
	json_decref(d->state);
	d->state = NULL;
	arena_reset(&d->memory);
	d->busy = false;
	ops_wake(&d->waiters);
	node_put(n);
}

void
doc_call(struct node *n, int type, int version, const void *req,
    void (*done)(struct ecall *, enum err, void *))
{
	struct doc *d = &n->doc;

	if (req == NULL) {
		doc_done(n, E_NOMEM);
		return;
	}
	d->call = (struct ecall){ .done = done, .arg = n, .req = req,
	    .type = (uint16_t)type, .version = (int16_t)version,
	    .again = true };
	elink_call(n->fs->link, &d->call);
}

void
doc_free(struct doc *d)
{
	free(d->text);
}

/* ---- topics ------------------------------------------------------------- */

static char *
uuid_text(struct uuid u, char buf[37])
{
	static const char hex[] = "0123456789abcdef";
	char *p = buf;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[u.b[i] >> 4];
		*p++ = hex[u.b[i] & 15];
	}
	*p = '\0';
	return buf;
}

static json_t *
topic_json(const struct topic_stats_res_topic *t)
{
	json_t *j = json_object(), *parts = json_array(),
	    *confs = json_object();
	char id[37];

	for (int32_t i = 0; i < t->parts.n; i++) {
		const struct topic_stats_res_part *p = &t->parts.v[i];
		enum err e = p->error >= 0 && p->error < E_MAX ?
		    (enum err)p->error : E_UNKNOWN;

		json_array_append_new(parts, json_pack(
		    "{s:i,s:s,s:I,s:I,s:I,s:i}", "partition", p->index,
		    "state", e == E_OK ? "online" : err_name(e), "start",
		    (json_int_t)p->log_start_offset, "high_watermark",
		    (json_int_t)p->high_watermark, "bytes",
		    (json_int_t)p->bytes, "segments", p->segments));
	}
	for (int32_t i = 0; i < t->configs.n; i++)
		if (t->configs.v[i].name.len >= 0)
			json_object_setn_new(confs, t->configs.v[i].name.p,
			    (size_t)t->configs.v[i].name.len,
			    json_kstr(t->configs.v[i].value));
	json_object_set_new(j, "name", json_kstr(t->name));
	json_object_set_new(j, "id", json_string(uuid_text(t->id, id)));
	json_object_set_new(j, "partitions", parts);
	json_object_set_new(j, "config", confs);
	return j;
}

static void
set_config(struct node *n, const struct topic_stats_res_topic *t)
{
	for (int32_t i = 0; i < t->configs.n; i++) {
		struct kstr v = t->configs.v[i].value;
		char *text;
		int len;

		if (!kstr_eq(t->configs.v[i].name, kstr_of(n->key.name)))
			continue;
		len = asprintf(&text, "%.*s\n", v.len < 0 ? 0 : v.len,
		    v.len < 0 ? "" : v.p);
		doc_set(n, len < 0 ? NULL : text, (size_t)len);
		return;
	}
	n->doc.err = E_NOTFOUND;
	n->doc.made = n->doc.call_seq;
}

static void
topic_told(struct ecall *c, enum err e, void *r)
{
	const struct topic_stats_res *res = r;
	struct node *n = c->arg;

	if (e == E_OK && !topic_is(n->key.topic, res))
		e = E_UNKNOWN_TOPIC;
	if (e == E_OK && n->key.kind == KIND_TOPIC_META)
		doc_set_json(n, topic_json(&res->topics.v[0]));
	else if (e == E_OK)
		set_config(n, &res->topics.v[0]);
	doc_done(n, e);
}

static void
topic_start(struct node *n)
{
	struct topic_stats_req *q = arena_alloc(&n->doc.memory, sizeof *q);

	if (q != NULL)
		q->name = kstr_of(n->key.topic->name);
	doc_call(n, IPC_TOPIC_STATS, 0, q, topic_told);
}

/* ---- partitions and segments: known from elsewhere ---------------------- */

static json_t *
seg_json(const struct tseg *s)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:b}", "base",
	    (json_int_t)s->base, "end", (json_int_t)s->end, "bytes",
	    (json_int_t)s->bytes, "max_timestamp", (json_int_t)s->max_ts,
	    "sealed", s->sealed);
}

static int
part_doc(struct op *op, struct node *n)
{
	struct part *p = n->part;
	json_t *segs;
	struct tseg *s;
	int eno = part_fresh(op, p, KEEP_MS);

	if (eno != 0)
		return eno;
	if (n->key.kind == KIND_SEG_META) {
		s = part_seg(p, n->key.a);
		if (s == NULL)
			return ESTALE;
		doc_set_json(n, seg_json(s));
		return 0;
	}
	segs = json_array();
	TAILQ_FOREACH(s, &p->segs, next)
		if (!s->gone)
			json_array_append_new(segs, seg_json(s));
	doc_set_json(n, json_pack("{s:s,s:i,s:I,s:I,s:I,s:i,s:o}", "topic",
	    p->topic->name, "partition", p->index, "start",
	    (json_int_t)p->start, "high_watermark", (json_int_t)p->hw,
	    "last_stable_offset", (json_int_t)p->lso, "leader_epoch",
	    p->epoch, "segments", segs));
	return 0;
}

/* ---- freshness ---------------------------------------------------------- */

static void
start(struct node *n)
{
	struct doc *d = &n->doc;

	d->busy = true;
	d->stage = 0;
	d->call_seq = ++n->fs->seq;
	arena_init(&d->memory, 64 * MIB);
	node_ref(n);
	switch (n->key.kind) {
	case KIND_TOPIC_META:
	case KIND_CONFIG_KEY:
		topic_start(n);
		break;
	case KIND_VALUE:
	case KIND_RECORD:
		doc_record_start(n);
		break;
	case KIND_OFFSET:
		doc_offset_start(n);
		break;
	case KIND_ENGINE_META:
		doc_engine_start(n);
		break;
	default:
		doc_group_start(n);
	}
}

int
doc_fresh(struct op *op, struct node *n)
{
	struct doc *d = &n->doc;
	bool young = elink_now_ms() - d->made_ms < KEEP_MS;
	int eno;

	switch (n->key.kind) {
	case KIND_README:
		if (d->text == NULL)
			doc_readme(n);
		return err_errno(d->err);
	case KIND_CONTROL:
		return 0;
	case KIND_QUERY_TEXT:
		if (d->text == NULL)
			doc_query(n);
		return err_errno(d->err);
	case KIND_STATUS:
	case KIND_ERRORS:
	case KIND_METRICS:
		if (d->text == NULL || !young)
			doc_status(n);
		return err_errno(d->err);
	case KIND_PART_META:
	case KIND_SEG_META:
		if (d->text != NULL && young)
			return 0;
		return part_doc(op, n);
	default:
		break;
	}
	if (d->text != NULL && d->err == E_OK && (young ||
	    n->key.kind == KIND_VALUE || n->key.kind == KIND_RECORD))
		return 0;
	if (d->made > op->seq)
		return op_errno(op, d->err, n->key.topic != NULL ?
		    n->key.topic->name : n->key.name);
	if (d->busy)
		return op_wait(op, &d->waiters);
	if ((eno = fs_engine_errno(op->fs)) != 0)
		return eno;
	start(n);
	return d->busy ? op_wait(op, &d->waiters) :
	    op_errno(op, d->err, n->key.name);
}
