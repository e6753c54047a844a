/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the DSL's reader share. */
#ifndef DSL_IN_H
#define DSL_IN_H

#include "dsl.h"
#include "query_in.h"

/* A query; NULL: p->err and why. */
struct query	*dsl_query(struct parse *, const json_t *);

#endif
