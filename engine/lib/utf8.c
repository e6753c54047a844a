/* SPDX-License-Identifier: Apache-2.0 */
/* Every byte of every message that is rendered goes through here, so plain
 * text is looked at eight bytes at a time. */
#include <stdint.h>
#include <string.h>

#include "utf8.h"

#define HIGHS	UINT64_C(0x8080808080808080)

/* n bytes that go on a character, the first of them within a range. */
static bool
follows(const uint8_t *p, size_t n, uint8_t least, uint8_t most)
{
	if (p[0] < least || p[0] > most)
		return false;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t
utf8_len(const void *s, size_t n)
{
	const uint8_t *p = s;
	uint8_t c = p[0];
	size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 :
	    c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (len < 2 || len > n)
		return len > n ? 0 : len;
	return follows(p + 1, len - 1,
	    c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80,
	    c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf) ? len : 0;
}

bool
utf8_valid(const void *s, size_t n)
{
	const uint8_t *p = s;
	uint64_t x;

	for (size_t i = 0, len; i < n; i += len) {
		if (n - i >= 8) {
			memcpy(&x, p + i, 8);
			if ((x & HIGHS) == 0) {
				len = 8;
				continue;
			}
		}
		if ((len = utf8_len(p + i, n - i)) == 0)
			return false;
	}
	return true;
}
