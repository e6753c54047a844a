/* SPDX-License-Identifier: Apache-2.0 */
/* The real clocks. */
#include <time.h>

#include "clock.h"

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
real_wall(void)
{
	return read_ms(CLOCK_REALTIME);
}

static int64_t
real_mono(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

const struct clock clock_real = { real_wall, real_mono };
const struct clock *the_clock = &clock_real;
