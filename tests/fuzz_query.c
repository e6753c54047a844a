/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries and records from strangers: a line that is a query, then a value.
 * What is refused is refused in words; what is read prints; and whatever the
 * record, it has terms that fit, and places that lie in its texts.  The same
 * bytes are taken for the timestamps of a shard.
 */
#include <stdlib.h>
#include <string.h>

#include "emit.h"
#include "match.h"
#include "plan.h"
#include "times.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static enum err
sink_term(void *arg, const struct term_buf *b, int position, int wdf)
{
	size_t *n = arg;

	(void)position;
	ASSERT(b->n <= TERM_SIZE && wdf >= 0);
	++*n;
	return E_OK;
}

static enum err
sink_value(void *arg, int slot, double v)
{
	(void)arg;
	(void)v;
	ASSERT(slot >= 0);
	return E_OK;
}

static void
check_record(const struct query *q, const uint8_t *p, size_t n)
{
	static const struct sconf conf = { .ids = false, .stem = false,
	    .text = (char *)"msg^3", .numeric = (char *)"n" };
	struct record r = { .value = p, .value_len = (int32_t)n,
	    .key = p, .key_len = n > 3 ? 3 : (int32_t)n };
	struct match m = { .query = q, .topic = "t", .conf = &conf };
	struct match_span v[8];
	const struct doc_text *t;
	size_t terms = 0;
	struct shapes shapes = { .grows = true };
	const struct emit_sink sink = { &terms, sink_term, sink_value,
	    &shapes };
	struct doc d;

	doc_init(&d);
	if (doc_read(&d, &r) == E_OK) {
		(void)match_doc(&m, &d, &r);
		ASSERT(emit_doc(&d, &conf, &sink) == E_OK);
		for (int i = 0; (t = doc_words(&d, i)) != NULL; i++)
			for (int k = match_spans(&m, t, v, 8); k > 0; k--)
				ASSERT(v[k - 1].from < v[k - 1].to &&
				    v[k - 1].to <= t->len);
	}
	doc_free(&d);
	shapes_free(&shapes);
}

/* The timestamps of a shard: whatever the bytes, stretches stay in the block,
 * one behind the other. */
static void
check_times(const uint8_t *p, size_t n)
{
	struct times_at t;
	uint32_t next = TIMES_BLOCK + 1;

	for (times_begin(&t, 1, p, n); times_next(&t) == E_OK;
	    next = t.first + t.n)
		ASSERT(t.first == next && t.n > 0 &&
		    t.first + t.n <= 2 * TIMES_BLOCK + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *end = n == 0 ? NULL : memchr(p, '\n', n);
	size_t len = end == NULL ? n : (size_t)(end - p);
	struct query_parse parse;
	struct wr w = wr_grow(1 << 20);
	struct query *q = NULL;
	struct arena arena;
	enum err e;

	arena_init(&arena, 16 << 20);
	parse = (struct query_parse){ .arena = &arena,
	    .any = n > 0 && p[n - 1] & 1, .now_ms = 1795392664928 };
	e = query_parse(&parse, (const char *)p, len, &q);
	if (e == E_USAGE)
		ASSERT(parse.why[0] != '\0');
	if (e == E_OK) {
		query_print(q, &w);
		(void)plan_refusal(q);
		(void)match_scope(q, "t", 0);
		check_record(q, end == NULL ? p : end + 1,
		    end == NULL ? 0 : n - len - 1);
	}
	check_times(p, n);
	wr_free(&w);
	query_parse_free(&parse);
	arena_reset(&arena);
	return 0;
}
