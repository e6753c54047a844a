/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik dump: prints any file that the engine writes.
 */
#include <stdio.h>

#include "ctl.h"

int
cmd_dump(struct args *a)
{
	(void)a;
	return EXIT_ITEM;
}
