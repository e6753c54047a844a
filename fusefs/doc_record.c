/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record, as a document: its line, or its value's bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "lib/reader.h"

/* On a worker: the record is in one of the batches of the extents. */
struct find {
	uv_work_t	 work;
	struct node	*node;
	struct extents	 x;
	struct render	 render;
	enum err	 err;
	char		*text;
	size_t		 len;
};

static enum err
take(struct find *f, const struct record *rec)
{
	struct wr w = wr_grow((size_t)INFLATE_MAX * 8);
	enum err e = E_OK;

	if (f->node->key.kind == KIND_VALUE)
		wr_bytes(&w, rec->value_len > 0 ? rec->value :
		    (const uint8_t *)"", rec->value_len > 0 ?
		    (size_t)rec->value_len : 0);
	else
		e = render_record(&f->render, f->node->key.part, rec, &w);
	if (e == E_OK && w.bad)
		e = E_NOMEM;
	if (e == E_OK && w.p == NULL)
		w.p = calloc(1, 1);
	f->text = (char *)w.p;
	f->len = w.len;
	return e;
}

static void
find(uv_work_t *u)
{
	struct find *f = u->data;
	int64_t want = f->node->key.a;
	struct records s;
	struct record rec;

	f->err = E_NOTFOUND;
	for (int32_t i = 0; i < f->x.n && f->err == E_NOTFOUND; i++) {
		records_open(&s, f->x.v[i].h->fd, f->x.v[i].position,
		    f->x.v[i].length, want);
		f->err = records_next(&s, &rec);
		if (f->err == E_OK)
			f->err = rec.offset == want ? take(f, &rec) :
			    E_NOTFOUND;
		else if (f->err == E_EOF)
			f->err = E_NOTFOUND;
		records_close(&s);
	}
}

static void
found(uv_work_t *u, int status)
{
	struct find *f = u->data;
	struct node *n = f->node;
	enum err e = f->err;

	(void)status;
	if (e == E_OK)
		doc_set(n, f->text, f->len);
	else
		free(f->text);
	extents_free(&f->x);
	free(f);
	doc_done(n, e);
}

static void
told(struct ecall *c, enum err e, void *res)
{
	struct node *n = c->arg;
	struct find *f = calloc(1, sizeof *f);

	if (f == NULL && e == E_OK)
		e = E_NOMEM;
	if (e == E_OK)
		e = extents_take(n->fs->link, res, &f->x);
	/* What is not in the log any more is not there. */
	if (e == E_OFFSET_OUT_OF_RANGE)
		e = E_NOTFOUND;
	if (e != E_OK) {
		free(f);
		doc_done(n, e);
		return;
	}
	f->work.data = f;
	f->node = n;
	f->render = n->fs->conf.render;
	uv_queue_work(&n->fs->loop, &f->work, find, found);
}

void
doc_record_start(struct node *n)
{
	struct fetch_want w = { .topic = n->key.topic->id,
	    .part = n->key.part, .offset = n->key.a, .bytes_max = 1 };

	doc_call(n, API_FETCH, 17, fetch_want_req(&w, &n->doc.memory), told);
}
