/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the renderer and the search need of JSON (RFC 8259): whether a text is
 * some, where its strings and numbers end, and strings and base64 written as
 * such.  Parsing into trees is jansson's.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum { JSON_DEPTH_MAX = 128 };	/* jq 1.6 stops at 256 */

/* True for one object, array, number, true or false with blanks around it, of
 * valid UTF-8 and not nested deeper than JSON_DEPTH_MAX. */
bool	 json_is_plain(const uint8_t *, size_t n);
/* The same for an object alone. */
bool	 json_has_members(const uint8_t *, size_t n);
/* The members of such an object, one after the other: the name with its quotes
 * and the value without blanks around it.  False after the last. */
struct json_span { const uint8_t *p; size_t n; };
bool	 json_member(struct rd *, struct json_span *name, struct json_span *);
/* What follows the string that begins at p, which ends at a quote before end,
 * or the number; NULL: there is none. */
const uint8_t *json_string_end(const uint8_t *p, const uint8_t *end,
	    bool *escapes);
const uint8_t *json_number_end(const uint8_t *p, const uint8_t *end);
/* Appends text (utf8_valid) as a JSON string, with its quotes. */
void	 json_put_string(struct wr *, const uint8_t *, size_t n);
/* Appends bytes in base64 (RFC 4648, padded), with quotes. */
void	 json_put_base64(struct wr *, const uint8_t *, size_t n);
void	 json_put_int(struct wr *, int64_t);

#endif
