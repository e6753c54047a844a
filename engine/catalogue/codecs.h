/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which topics have a codec of their own (compression.type).  Gateways recode
 * what is produced to those: they are told at hello, and of every change
 * before it is answered.  The engine takes no batch in another codec.
 */
#ifndef CODECS_H
#define CODECS_H

#include "lib/ipc.h"

struct engine;
struct serve;
struct topic;

/* Lists the topics in the answer to a gateway's hello. */
enum err codecs_list(const struct engine *, struct hello_res *,
	    struct arena *) MUST;
/* Tells all gateways what has become of a topic. */
void	 codecs_push(struct engine *, const struct topic *);

#endif
