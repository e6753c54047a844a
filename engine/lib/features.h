/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feature levels (KIP-584), as ApiVersions shows and UpdateFeatures judges
 * them.  What Kafka does at a level, this release does, and at no other: so
 * the least, the greatest and the finalized level are one.  transaction.version
 * and kraft.version are not among them on purpose: clients then use the
 * transactions of before KIP-890, and there is no quorum to change.
 */
#ifndef FEATURES_H
#define FEATURES_H

#include <stdint.h>

struct feature {
	const char	*name;
	int16_t		 level;
	int16_t		 api;	/* shown when it is served; -1: always */
};

static const struct feature features[] = {
	{ "group.version",	1, 68 },	/* KIP-848 */
	{ "metadata.version",	25, -1 },	/* 4.0-IV3 */
};
enum { FEATURES_N = sizeof features / sizeof *features };

#endif
