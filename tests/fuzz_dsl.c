/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in Elasticsearch's language from strangers: what is refused is
 * refused in words, what is read prints and can be asked of a record.
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

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct query_parse parse;
	struct dsl_request req;
	struct wr w = wr_grow(1 << 20);
	struct arena arena;
	json_t *v = json_loadb((const char *)p, n, 0, NULL);
	enum err e;

	if (v == NULL)
		return 0;
	arena_init(&arena, 16 << 20);
	parse = (struct query_parse){ .arena = &arena,
	    .now_ms = 1795392664928 };
	e = dsl_read(v, &parse, &req);
	json_decref(v);
	if (e == E_USAGE)
		ASSERT(parse.why[0] != '\0');
	if (e == E_OK) {
		ASSERT(req.from >= 0 && req.size >= 0 &&
		    req.naggs <= DSL_AGGS_MAX &&
		    req.nfields <= DSL_FIELDS_MAX);
		query_print(req.query, &w);
		(void)plan_refusal(req.query);
		check_record(req.query);
	}
	wr_free(&w);
	query_parse_free(&parse);
	arena_reset(&arena);
	return 0;
}
