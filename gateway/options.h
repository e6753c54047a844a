/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "gateway.h"

/* Tells the engine, once the link is up. */
void	 options_tell(struct gw *);
/* The engine's word on them.  E_PROTO, E_NOMEM. */
enum err options_told(struct gw *, struct rd *body) MUST;

#endif
