/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a journal file, before the first start looks at a segment: it
 * must not crash, not take memory by what they say, write nothing but whole
 * batches, and nothing else when it is done again.
 *
 * Input: one byte of flags (1: checksums are made right), then the file.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/log.h"
#include "log/journal.h"
#include "simdisk.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int	LLVMFuzzerInitialize(int *, char ***);

#define MUST_BE(x)	do { if (!(x)) abort(); } while (0)

static const char seg[] =
    "data/topics/00112233445566778899aabbccddeeff/3/00000000000000000042.log";

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup("fuzz_journal", LOG_FATAL, LOG_TEXT);
	disk = &simdisk;
	return 0;
}

static void
fix(uint8_t *p, size_t n)
{
	uint64_t id;

	if (n < JOURNAL_BLOCK)
		return;
	memcpy(p, JOURNAL_MAGIC, 8);
	be16_put(p + 8, JOURNAL_VERSION);
	be16_put(p + 10, 0);
	be32_put(p + 60, crc32c(0, p, 60));
	id = be64(p + 24);
	for (size_t at = JOURNAL_BLOCK; at + JOURNAL_RECORD <= n;
	    at += JOURNAL_BLOCK) {
		size_t len = be32(p + at + 12);

		if (len < JOURNAL_RECORD || len > n - at)
			continue;
		be64_put(p + at, id);
		be32_put(p + at + 28, crc32c(crc32c(0, p + at,
		    JOURNAL_RECORD - 4), p + at + JOURNAL_RECORD,
		    len - JOURNAL_RECORD));
	}
}

static bool full;

/* Only a piece of a place far behind the segment's end may fail: it would take
 * more room than there is. */
static void
bad(void *arg, const struct log_id *id, enum err e)
{
	(void)arg;
	(void)id;
	MUST_BE(e == E_NOSPC);
	full = true;
}

enum { ROOM = 16 * MIB };

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct journal_replay r = { .data = "data", .files = JOURNAL_ALL,
	    .bad = bad };
	struct sim *d;
	uint8_t *copy;
	uint64_t hash;
	enum err e;

	if (n < 1)
		return 0;
	MUST_BE((copy = malloc(n)) != NULL);
	memcpy(copy, p + 1, n - 1);
	if (p[0] & 1)
		fix(copy, n - 1);
	d = sim_new();
	sim_use(d);
	e = disk->mkdir("data");
	if (e == E_OK)
		e = disk->mkdir("data/journal");
	if (e == E_OK)
		e = disk->mkdir("data/topics");
	if (e == E_OK)
		e = disk->mkdir("data/topics/"
		    "00112233445566778899aabbccddeeff");
	if (e == E_OK)
		e = disk->mkdir("data/topics/"
		    "00112233445566778899aabbccddeeff/3");
	MUST_BE(e == E_OK);
	sim_put(d, seg, "", 0);
	sim_put(d, "data/journal/0.jnl", copy, n - 1);
	free(copy);
	sim_space(d, ROOM);
	full = false;
	e = journal_replay(&r);
	MUST_BE((e == E_OK) == (r.why[0] == '\0'));
	MUST_BE(sim_open_handles(d) == 0);
	if (e == E_OK && !full) {
		hash = sim_hash(d, ".");
		e = journal_replay(&r);
		MUST_BE(e == E_OK && sim_hash(d, ".") == hash);
	}
	sim_free(d);
	return 0;
}
