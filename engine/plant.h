/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted bugs: PLANT(word) is true where an engine that was built with
 * CHRONIK_PLANT defined is told by the environment variable of that name to
 * have the bug.  In every other build it is the constant false.
 */
#ifndef PLANT_H
#define PLANT_H

#include <stdbool.h>

#ifdef CHRONIK_PLANT
enum plant {
#define PLANT(word, ...) PLANT_##word,
#include "plant.def"
	PLANTS
};

bool	 plant_is(enum plant);
#define PLANT(word) plant_is(PLANT_##word)
#else
#define PLANT(word) false
#endif

#endif
