/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a clean marker: reading it must not crash, not take memory by
 * what they say, and say nothing of a partition that cannot be; what is read
 * is written back the same; a dump of it ends.
 *
 * Input: one byte of flags (1: the checksum and version are made right), then
 * the file.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/log.h"
#include "log/roster.h"
#include "offline/dump.h"
#include "simdisk.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int	LLVMFuzzerInitialize(int *, char ***);

#define MUST_BE(x)	do { if (!(x)) abort(); } while (0)

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup("fuzz_roster", LOG_FATAL, LOG_TEXT);
	disk = &simdisk;
	return 0;
}

static void
fix(uint8_t *p, size_t n)
{
	if (n < CLEAN_HEAD + 4)
		return;
	memcpy(p, CLEAN_MAGIC, 8);
	be16_put(p + 8, CLEAN_VERSION);
	be16_put(p + 10, 0);
	be32_put(p + n - 4, crc32c(0, p, n - 4));
}

/* Written again it is the same, but for bits of flags that mean nothing. */
static void
again(const struct roster *r)
{
	struct wr w = wr_grow(r->n + KIB);
	struct roster_part x;
	struct rd parts = r->parts;
	const uint8_t *from;

	while (from = parts.p, roster_next(&parts, &x) == E_OK) {
		struct roster_seg *segs = calloc((size_t)x.nsegs + 1,
		    sizeof *segs);

		MUST_BE(segs != NULL);
		for (int i = 0; i < x.nsegs; i++)
			roster_seg(&x, i, &segs[i]);
		w.len = 0;
		roster_put(&w, &x, segs);
		MUST_BE(!w.bad && w.len == (size_t)(parts.p - from));
		MUST_BE(memcmp(w.p, from, CLEAN_PART + x.nprods) == 0);
		free(segs);
	}
	wr_free(&w);
}

static void
take(const struct roster *r, const struct roster_part *x)
{
	struct recovered got;
	enum err e = roster_part(r, "d", &x->id, &got);
	int64_t end;

	MUST_BE(e == E_OK || e == E_CORRUPT);
	if (e != E_OK)
		return;
	MUST_BE(got.nsegs > 0 && got.start == got.segs[0]->base);
	end = got.start;
	for (int i = 0; i < got.nsegs; i++) {
		MUST_BE(got.segs[i]->base == end);
		end = got.segs[i]->end_offset;
		MUST_BE(end >= got.segs[i]->base && got.segs[i]->fd < 0);
	}
	MUST_BE(end == got.end);
	recover_free(&got);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct sim *d;
	struct roster *r;
	uint8_t *copy;
	FILE *out;
	char *text;
	size_t len;
	enum err e;

	if (n < 1)
		return 0;
	MUST_BE((copy = malloc(n)) != NULL);
	memcpy(copy, p + 1, n - 1);
	if (p[0] & 1)
		fix(copy, n - 1);
	d = sim_new();
	sim_use(d);
	sim_put(d, "clean", copy, n - 1);
	MUST_BE((out = open_memstream(&text, &len)) != NULL);
	(void)!dump_file("clean", p[0] & 2, out);
	fclose(out);
	free(text);
	e = roster_open(copy, n - 1, &r);
	MUST_BE((e == E_OK) == (r != NULL));
	if (r != NULL) {
		again(r);
		for (int i = 0; i < r->nv; i++)
			take(r, &r->v[i]);
	}
	roster_free(r);
	MUST_BE(sim_open_handles(d) == 0);
	sim_free(d);
	return 0;
}
