/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the gateways about compression.type. */
#include "codecs.h"
#include "serve.h"

static struct hello_res_codec
row_of(const struct topic *t)
{
	struct hello_res_codec r = { .name = kstr_of(t->name), .id = t->id };

	r.codec = (int8_t)topic_conf_codec(&t->conf, &r.level);
	if (t->state != TOPIC_LIVE)
		r.codec = -1;
	return r;
}

enum err
codecs_list(const struct engine *eng, struct hello_res *res, struct arena *a)
{
	const struct topic *t;
	size_t n = 0;

	for (t = eng->topics.first; t != NULL; t = t->next)
		n += t->state == TOPIC_LIVE &&
		    t->conf.compression_type != COMPRESS_PRODUCER;
	a->limit += (n + 1) * sizeof *res->codecs.v;
	res->codecs.v = arena_array(a, n, sizeof *res->codecs.v);
	if (res->codecs.v == NULL)
		return E_NOMEM;
	for (t = eng->topics.first; t != NULL; t = t->next)
		if (t->state == TOPIC_LIVE &&
		    t->conf.compression_type != COMPRESS_PRODUCER)
			res->codecs.v[res->codecs.n++] = row_of(t);
	return E_OK;
}

void
codecs_push(struct engine *eng, const struct topic *t)
{
	struct hello_res_codec row = row_of(t);
	struct topic_codecs msg = { .topics = { 1, &row } };

	serve_tell(eng->serve, IPC_TOPIC_CODECS, &msg);
}
