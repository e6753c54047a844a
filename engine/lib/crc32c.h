/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as in record batches and all our own files. */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of n bytes; crc32c(crc32c(0, a), b) is that of a then b. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The table-driven one, for machines without the instruction and for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);
/* CRC-32 (zlib's), as in message formats 0 and 1, is zlib's crc32(). */

#endif
