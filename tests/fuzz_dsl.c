/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in Elasticsearch's language from strangers: a body, behind a line
 * "?name=value&..." of parameters perhaps.  What is refused is refused in
 * words, what is read prints and can be asked of a record.
 */
#include <stdlib.h>
#include <string.h>

#include "dsl.h"
#include "match.h"
#include "plan.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_record(const struct query *q)
{
	static const char value[] = "{\"msg\":\"connection reset\",\"n\":3}";
	static const struct sconf conf = { .ids = true, .text = (char *)"",
	    .numeric = (char *)"" };
	struct record r = { .value = (const uint8_t *)value,
	    .value_len = sizeof value - 1, .key_len = -1 };
	struct match m = { .query = q, .topic = "t", .conf = &conf };
	struct doc d;

	doc_init(&d);
	ASSERT(doc_read(&d, &r) == E_OK);
	(void)match_doc(&m, &d, &r);
	doc_free(&d);
}

/* The parameters of one line, which is cut to pieces. */
static enum err
read_params(char *s, struct query_parse *parse, struct dsl_request *req)
{
	char *one, *value;
	enum err e = E_OK;

	while (e == E_OK && (one = strsep(&s, "&")) != NULL) {
		value = strchr(one, '=');
		if (value != NULL)
			*value++ = '\0';
		e = dsl_param(one, value, parse, req);
	}
	return e;
}

static void
check_request(const struct dsl_request *r)
{
	ASSERT(r->from >= 0 && r->size >= 0 && r->timeout_ms >= 0 &&
	    r->naggs <= DSL_AGGS_MAX && r->include.n <= DSL_FIELDS_MAX &&
	    r->exclude.n <= DSL_FIELDS_MAX && r->marked.n <= DSL_FIELDS_MAX &&
	    strlen(r->sort_values) <= DSL_SORTS_MAX);
	for (int i = 0; i < r->naggs; i++)
		ASSERT(r->aggs[i].by_time ? r->aggs[i].interval_ms > 0 :
		    r->aggs[i].size > 0);
	(void)dsl_named(&r->include, "user.id");
	(void)dsl_named(&r->exclude, "user.id");
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *end = n > 0 && *p == '?' ? memchr(p, '\n', n) : NULL;
	struct query_parse parse;
	struct dsl_request req;
	struct wr w = wr_grow(1 << 20);
	struct arena arena;
	char *line = end == NULL ? NULL : strndup((const char *)p + 1,
	    (size_t)(end - p) - 1);
	json_t *v;
	enum err e = E_OK;

	if (end != NULL) {
		n -= (size_t)(end + 1 - p);
		p = end + 1;
	}
	v = n == 0 ? NULL : json_loadb((const char *)p, n, 0, NULL);
	arena_init(&arena, 16 << 20);
	parse = (struct query_parse){ .arena = &arena,
	    .now_ms = 1795392664928 };
	dsl_init(&req);
	if (v != NULL)
		e = dsl_read(v, &parse, &req);
	json_decref(v);
	if (e == E_OK && line != NULL)
		e = read_params(line, &parse, &req);
	free(line);
	if (e == E_OK)
		e = dsl_finish(&parse, &req);
	if (e == E_USAGE)
		ASSERT(parse.why[0] != '\0');
	if (e == E_OK) {
		check_request(&req);
		query_print(req.query, &w);
		(void)plan_refusal(req.query);
		check_record(req.query);
	}
	wr_free(&w);
	query_parse_free(&parse);
	arena_reset(&arena);
	return 0;
}
