/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bug is planted.  Only in engines that are built to be wrong.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "plant.h"
#undef PLANT

static const char *const words[] = {
#define PLANT(word, ...) #word,
#include "plant.def"
};

bool
plant_is(enum plant p)
{
	static atomic_int chosen = -2;	/* -1: none */
	int c = atomic_load(&chosen);
	const char *s;

	if (c == -2) {
		c = -1;
		s = getenv("CHRONIK_PLANT");
		for (int i = 0; s != NULL && i < PLANTS; i++)
			if (strcmp(words[i], s) == 0)
				c = i;
		if (s != NULL && c < 0)
			log_fatal("there is no such plant", LS("plant", s));
		atomic_store(&chosen, c);
	}
	return c == (int)p;
}
