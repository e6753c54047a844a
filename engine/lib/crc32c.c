/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C three ways: slicing by 8 with tables, and the CRC instructions of
 * x86-64 and ARMv8 over three interleaved streams, because the instruction
 * takes three cycles but a new one can start each cycle.  The way is chosen
 * once, before main runs; all three must give the same sums.
 *
 * Joining streams: a sum moves past n further bytes by multiplication with
 * x^8n modulo the polynomial.  The carry-less product of a sum and
 * k = x^(8n - 33), fed to the CRC instruction as a message of 8 bytes, is that
 * (the instruction multiplies by x^32, and the bit-reflected product lacks
 * one x).
 */
#include <stdbool.h>
#include <string.h>

#include "crc32c.h"

#define POLY	0x82f63b78	/* Castagnoli, bit-reflected */

static uint32_t table[8][256];
static uint32_t (*best)(uint32_t, const uint8_t *, size_t);

static uint32_t
crc_tables(uint32_t c, const uint8_t *p, size_t n)
{
	uint64_t x;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&x, p, 8);
		x ^= c;
		c = table[7][x & 0xff] ^ table[6][x >> 8 & 0xff] ^
		    table[5][x >> 16 & 0xff] ^ table[4][x >> 24 & 0xff] ^
		    table[3][x >> 32 & 0xff] ^ table[2][x >> 40 & 0xff] ^
		    table[1][x >> 48 & 0xff] ^ table[0][x >> 56];
	}
	while (n-- > 0)
		c = table[0][(c ^ *p++) & 0xff] ^ c >> 8;
	return c;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define HARDWARE	__attribute__((target("sse4.2,pclmul")))

static bool
hardware_has(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("sse4.2") &&
	    __builtin_cpu_supports("pclmul");
}

HARDWARE static inline uint32_t
crc_1(uint32_t c, uint8_t x)
{
	return _mm_crc32_u8(c, x);
}

HARDWARE static inline uint32_t
crc_8(uint32_t c, uint64_t x)
{
	return (uint32_t)_mm_crc32_u64(c, x);
}

HARDWARE static inline uint64_t
product(uint32_t a, uint32_t b)
{
	return (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(
	    _mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b), 0));
}

#elif defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

/* <arm_acle.h> hides its names unless the whole file is built for them. */
#ifdef __clang__
#define HARDWARE	__attribute__((target("crc,aes")))
#define ARM_CRC_1	__builtin_arm_crc32cb
#define ARM_CRC_8	__builtin_arm_crc32cd
#else
#define HARDWARE	__attribute__((target("arch=armv8-a+crc+crypto")))
#define ARM_CRC_1	__builtin_aarch64_crc32cb
#define ARM_CRC_8	__builtin_aarch64_crc32cx
#endif

static bool
hardware_has(void)
{
	unsigned long has = getauxval(AT_HWCAP);

	return (has & HWCAP_CRC32) != 0 && (has & HWCAP_PMULL) != 0;
}

HARDWARE static inline uint32_t
crc_1(uint32_t c, uint8_t x)
{
	return ARM_CRC_1(c, x);
}

HARDWARE static inline uint32_t
crc_8(uint32_t c, uint64_t x)
{
	return ARM_CRC_8(c, x);
}

HARDWARE static inline uint64_t
product(uint32_t a, uint32_t b)
{
	return vgetq_lane_u64(vreinterpretq_u64_p128(vmull_p64(a, b)), 0);
}
#endif

#ifdef HARDWARE
/* Streams of so many bytes, and the factors that move a sum past one stream
 * and past two. */
#define LONG		1024
#define LONG_1		0x170076fa
#define LONG_2		0xa51b6135
#define SHORT		128
#define SHORT_1		0x0d3b6092
#define SHORT_2		0xb9e02b86

HARDWARE static inline uint64_t
word(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
	return x;
}

/* Three streams of len bytes each. */
HARDWARE static inline __attribute__((always_inline)) uint32_t
crc_three(uint32_t c, const uint8_t *p, size_t len, uint32_t k1, uint32_t k2)
{
	uint32_t c1 = 0, c2 = 0;

	for (const uint8_t *end = p + len; p < end; p += 8) {
		c = crc_8(c, word(p));
		c1 = crc_8(c1, word(p + len));
		c2 = crc_8(c2, word(p + 2 * len));
	}
	return crc_8(0, product(c, k2) ^ product(c1, k1)) ^ c2;
}

HARDWARE static uint32_t
crc_hardware(uint32_t c, const uint8_t *p, size_t n)
{
	for (; n >= 3 * LONG; p += 3 * LONG, n -= 3 * LONG)
		c = crc_three(c, p, LONG, LONG_1, LONG_2);
	for (; n >= 3 * SHORT; p += 3 * SHORT, n -= 3 * SHORT)
		c = crc_three(c, p, SHORT, SHORT_1, SHORT_2);
	for (; n >= 8; p += 8, n -= 8)
		c = crc_8(c, word(p));
	while (n-- > 0)
		c = crc_1(c, *p++);
	return c;
}
#endif

static void __attribute__((constructor))
crc_choose(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? POLY : 0);
		table[0][i] = c;
	}
	for (int t = 1; t < 8; t++)
		for (int i = 0; i < 256; i++)
			table[t][i] = table[t - 1][i] >> 8 ^
			    table[0][table[t - 1][i] & 0xff];
	best = crc_tables;
#ifdef HARDWARE
	if (hardware_has())
		best = crc_hardware;
#endif
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
	return ~best(~crc, p, n);
}

uint32_t
crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	return ~crc_tables(~crc, p, n);
}
