/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of every client driver, in C: record i of a seed, as in
 * Records.java.  Must never depend on time or on chance.
 */
#ifndef RECORDS_H
#define RECORDS_H

#include <stddef.h>
#include <stdint.h>

enum {
	RECORD_HEADERS_MAX = 4,
	RECORD_VALUE_MAX = 102004,
	RECORD_KEY_MAX = 44,
	RECORD_HEADER_MAX = 50
};

struct records {
	uint32_t seed;
	int64_t t0;		/* timestamp of record 0 */
	int null_headers;	/* headers may lack a value */
	int binary_headers;	/* and be other than text */
	int null_both;		/* key and value may both be null */
};

/* Bytes, or null. */
struct field {
	const void *p;		/* into the record or the pool, or NULL */
	size_t len;
};

struct record {
	int64_t timestamp;
	struct field key;
	struct field value;
	int nheaders;
	const char *names[RECORD_HEADERS_MAX];
	struct field headers[RECORD_HEADERS_MAX];
	unsigned char key_buf[RECORD_KEY_MAX];
	unsigned char value_buf[RECORD_VALUE_MAX];
};

/* Fills in record i; what it points to lives as long as *r. */
void records_get(const struct records *rs, uint32_t i, struct record *r);

#endif
