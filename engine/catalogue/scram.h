/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of SCRAM (RFC 5802, RFC 7677): what a password is stored as, and
 * how one is checked against them.
 */
#ifndef SCRAM_H
#define SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum scram { SCRAM_NONE, SCRAM_SHA256, SCRAM_SHA512 };	/* Kafka's numbers */
enum {
	SCRAMS		= 2,
	SCRAM_KEY_MAX	= 64,		/* bytes of the longer hash */
	SCRAM_SALT_MAX	= 128,
	SCRAM_SALT	= 24,		/* that we make */
	SCRAM_ITERATIONS_MIN = 4096,	/* Kafka's own bounds */
	SCRAM_ITERATIONS_MAX = 16384,
	SCRAM_ITERATIONS = 8192,	/* that we ask for */
};

/* What is kept of one password; mechanism SCRAM_NONE: nothing. */
struct cred {
	uint8_t		mechanism;
	uint8_t		salt_len;
	int32_t		iterations;
	uint8_t		salt[SCRAM_SALT_MAX];
	uint8_t		stored[SCRAM_KEY_MAX], server[SCRAM_KEY_MAX];
};

/* Bytes of a key; 0: there is no such mechanism. */
size_t	 scram_size(int mechanism);
/* The slow part (PBKDF2): to scram_size bytes.  E_NOMEM. */
enum err scram_salt(const struct cred *, const char *password, size_t len,
	    uint8_t salted[SCRAM_KEY_MAX]) MUST;
/* Fills stored and server of one whose mechanism is set. */
enum err scram_keys(struct cred *, const uint8_t *salted) MUST;
/* The keys are those of a salted password; takes the same time always. */
bool	 scram_same(const struct cred *, const uint8_t *salted);

#endif
