/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the seeds of fuzz_schema into a directory: for each message one in
 * its newest version and one in VER_ALL, made up from its rows.
 *
 * usage: seed_schema tests/corpus/schema
 */
#include <stdio.h>
#include <stdlib.h>

#include "gen.h"
#include "lib/kafka.h"
#include "lib/limits.h"

static struct { max_align_t x[64]; } out;

static void
seed(const char *dir, int k, int v, uint8_t pick)
{
	const struct msg *m = &kafka_msgs[k];
	struct wr w = wr_grow(MIB);
	struct arena a;
	struct gen g = {
		.a = &a, .state = (uint64_t)k, .elems = 20, .small = true,
	};
	char path[4096];
	FILE *f;

	arena_init(&a, MIB);
	ASSERT(m->size <= sizeof out);
	gen_msg(&g, m, v, &out);
	wr_i8(&w, (int8_t)k);
	wr_i8(&w, (int8_t)pick);
	ASSERT(msg_write(m, v, &w, &out) == E_OK);
	snprintf(path, sizeof path, "%s/%s-%s", dir, m->name,
	    v == VER_ALL ? "all" : "new");
	if ((f = fopen(path, "wb")) == NULL ||
	    fwrite(w.p, 1, w.len, f) != w.len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	wr_free(&w);
	arena_reset(&a);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seed_schema DIRECTORY\n");
		return 2;
	}
	for (int k = 0; k < KM_MAX; k++) {
		const struct msg *m = &kafka_msgs[k];

		seed(argv[1], k, m->max, (uint8_t)(m->max - m->min));
		seed(argv[1], k, VER_ALL, (uint8_t)(m->max - m->min + 1));
	}
	return 0;
}
