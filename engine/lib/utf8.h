/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, nothing above
 * U+10FFFF.
 */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at p, of n > 0 bytes; 0: there is none. */
size_t	 utf8_len(const void *p, size_t n);
/* True when all of it is. */
bool	 utf8_valid(const void *p, size_t n);

#endif
