/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast CRC-32C is, per block size, as one JSON object on stdout.  Each
 * figure is the best of several short rounds: other work on the machine can
 * only slow a round down.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/crc32c.h"

#define ROUNDS		20
#define ROUND_BYTES	(32 << 20)

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
measure(uint32_t (*f)(uint32_t, const void *, size_t), const uint8_t *p,
    size_t n, uint32_t *sum)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		size_t calls = ROUND_BYTES / n;
		double from = now_s(), gb_s;

		for (size_t i = 0; i < calls; i++)
			*sum = f(*sum, p, n);
		gb_s = (double)(calls * n) / (now_s() - from) / 1e9;
		if (gb_s > best)
			best = gb_s;
	}
	return best;
}

int
main(void)
{
	static const size_t sizes[] = { 64, 512, 1024, 4096, 16384, 1 << 20 };
	uint8_t *p = malloc(1 << 20);
	uint32_t sum = 0;

	if (p == NULL)
		return EXIT_FAILURE;
	memset(p, 0x5a, 1 << 20);
	printf("{\"bench\":\"crc32c\",\"unit\":\"GB/s\",\"blocks\":[");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		printf("%s{\"bytes\":%zu,\"best\":%.2f", i > 0 ? "," : "",
		    sizes[i], measure(crc32c, p, sizes[i], &sum));
		printf(",\"portable\":%.2f}",
		    measure(crc32c_portable, p, sizes[i], &sum));
	}
	/* Printed so that no call can be left out. */
	printf("],\"sum\":%" PRIu32 "}\n", sum);
	free(p);
	return EXIT_SUCCESS;
}
