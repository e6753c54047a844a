/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks, behind a table so that tests can turn the hands. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

struct clock {
	int64_t	(*wall_ms)(void);	/* since 1970; may jump */
	int64_t	(*mono_ms)(void);	/* never goes back */
};

extern const struct clock clock_real;
extern const struct clock *the_clock;

static inline int64_t
wall_ms(void)
{
	return the_clock->wall_ms();
}
static inline int64_t
mono_ms(void)
{
	return the_clock->mono_ms();
}

#endif
