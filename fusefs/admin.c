/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that take words, and one kind of them: configs of topics.  One write is
 * one value; an empty line takes the topic's own value away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"

enum { RESOURCE_TOPIC = 2, OP_SET = 0, OP_DELETE = 1 };	/* Kafka's */

bool
takes_words(const struct fs *fs, enum kind kind)
{
	return (fs->conf.admin && (kind == KIND_CONFIG_KEY ||
	    kind == KIND_OFFSET)) ||
	    (fs->conf.writable && kind == KIND_CONTROL);
}

static const struct incremental_alter_configs_req *
request(struct op *op)
{
	struct arena *a = &op->arena;
	struct incremental_alter_configs_req *q = arena_alloc(a, sizeof *q);
	struct incremental_alter_configs_req_resource *r =
	    arena_alloc(a, sizeof *r);
	struct incremental_alter_configs_req_resource_config *c =
	    arena_alloc(a, sizeof *c);
	size_t n = op->size;

	if (q == NULL || r == NULL || c == NULL)
		return NULL;
	while (n > 0 && op->buf[n - 1] == '\n')
		n--;
	c->name = kstr_of(op->node->key.name);
	c->config_operation = n > 0 ? OP_SET : OP_DELETE;
	c->value = n > 0 ? (struct kstr){ (int32_t)n, op->buf } :
	    kstr_of(NULL);
	r->resource_type = RESOURCE_TOPIC;
	r->resource_name = kstr_of(op->node->key.topic->name);
	r->configs.n = 1;
	r->configs.v = c;
	q->resources.n = 1;
	q->resources.v = r;
	return q;
}

static int
verdict(struct op *op)
{
	const struct incremental_alter_configs_res *res = op->res;
	struct kstr why;
	char *words;
	enum err e;

	if (op->err != E_OK)
		return op_errno(op, op->err, op->node->key.name);
	if (res->responses.n != 1)
		return EPROTO;
	if (res->responses.v[0].error_code == 0)
		return 0;
	e = err_of_code(res->responses.v[0].error_code);
	why = res->responses.v[0].error_message;
	words = why.len > 0 ? strndup(why.p, (size_t)why.len) : NULL;
	fs_error(op->fs, words != NULL ? words : op->node->key.name,
	    err_errno(e), e);
	free(words);
	return err_errno(e);
}

void
admin_write(struct op *op)
{
	const struct incremental_alter_configs_req *q;
	int eno;

	if (op->off != 0 || op->size > CONFIG_VALUE_MAX) {
		op_err(op, op->off != 0 ? EINVAL : EMSGSIZE);
		return;
	}
	if (!op->called) {
		q = request(op);
		eno = q == NULL ? ENOMEM :
		    op_call(op, API_INCREMENTAL_ALTER_CONFIGS, 1, q);
		if (eno != WAIT)
			op_err(op, eno);
		return;
	}
	if ((eno = verdict(op)) != 0) {
		op_err(op, eno);
		return;
	}
	op->node->doc.made_ms = 0;	/* to be asked for again */
	fuse_reply_write(op->req, op->size);
	op_end(op);
}
