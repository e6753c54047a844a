/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a record to one line of text.  The function is fixed: the same record
 * gives the same bytes for ever, or RENDER_VERSION grows, since sizes of files
 * are sums of it and are kept.  See chronik-fs(1), RECORDS.
 */
#ifndef RENDER_H
#define RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "batch.h"

enum { RENDER_VERSION = 1 };

struct render {
	bool	value_only;	/* the value alone */
	bool	pretty_time;	/* timestamps as words (RFC 3339) */
};

/* What the bytes depend on besides the record: part of every file's
 * identity. */
uint32_t render_id(const struct render *);
/* Appends the line of a record, with its newline.  E_INVALID_RECORD: its
 * headers make no sense; E_NOMEM. */
enum err render_record(const struct render *, int32_t part,
	    const struct record *, struct wr *) MUST;
/* Appends a time in ms as RFC 3339, or as a number when it has no year of
 * four digits; with quotes if it has letters. */
void	 render_time(struct wr *, int64_t ms);

#endif
