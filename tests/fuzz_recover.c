/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the files of a log's directory: recovery must not crash, must
 * not take memory by what they say, and must come to rest: what it accepted
 * once, it accepts again unchanged, also after a loss of power.  Dumps of the
 * same files must end, and so must the check, which changes nothing, and its
 * repair, after which nothing is left that could be repaired.
 *
 * Input: one byte of flags (1 clean, 2 serial, 4 checksums are made right),
 * then pieces: one byte for the file (0-2 .log, 3-5 .idx, 6-8 .prod, modulo
 * 9), two bytes of length, that many bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/log.h"
#include "minilog.h"
#include "offline/dump.h"
#include "offline/fsck.h"
#include "simdisk.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int	LLVMFuzzerInitialize(int *, char ***);

static const struct log_id id = { { { 0xf0 } }, 1 };
static const int64_t bases[3] = { 0, 5, 9 };
#define DIR	"d/topics/f0000000000000000000000000000000/1"

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup("fuzz_recover", LOG_FATAL, LOG_TEXT);
	disk = &simdisk;
	return 0;
}

static void
fix_idx(uint8_t *p, size_t n, int64_t base)
{
	uint32_t seed;

	if (n < IDX_HEADER)
		return;
	memset(p, 0, IDX_HEADER);
	memcpy(p, IDX_MAGIC, 8);
	be16_put(p + 8, IDX_VERSION);
	memcpy(p + 12, id.topic.b, 16);
	be32_put(p + 28, (uint32_t)id.part);
	be64_put(p + 32, (uint64_t)base);
	seed = crc32c(0, p, 60);
	be32_put(p + 60, seed);
	for (size_t at = IDX_HEADER; at + IDX_ENTRY <= n; at += IDX_ENTRY)
		be32_put(p + at + 28, crc32c(seed, p + at, 28));
}

static void
fix_prod(uint8_t *p, size_t n, int64_t base)
{
	if (n < PROD_HEADER + 4)
		return;
	memcpy(p, PROD_MAGIC, 8);
	be16_put(p + 8, PROD_VERSION);
	be16_put(p + 10, 0);
	memcpy(p + 12, id.topic.b, 16);
	be32_put(p + 28, (uint32_t)id.part);
	be64_put(p + 32, (uint64_t)base);
	be32_put(p + n - 4, crc32c(0, p, n - 4));
}

static void
put_files(struct sim *d, const uint8_t *p, size_t n, bool fix)
{
	static const char *const exts[] = { ".log", ".idx", ".prod" };
	char path[PATH_SIZE];

	while (n >= 3) {
		int which = p[0] % 9;
		int64_t base = bases[which % 3];
		size_t len = be16(p + 1);
		uint8_t *copy;

		p += 3;
		n -= 3;
		if (len > n)
			len = n;
		copy = malloc(len + 1);
		if (copy == NULL)
			abort();
		memcpy(copy, p, len);
		if (fix && which < 3)
			log_fix_crcs(copy, len);
		else if (fix && which < 6)
			fix_idx(copy, len, base);
		else if (fix)
			fix_prod(copy, len, base);
		seg_path(path, DIR, base, exts[which / 3]);
		sim_put(d, path, copy, len);
		free(copy);
		p += len;
		n -= len;
	}
}

#define MUST_BE(x)	do { if (!(x)) abort(); } while (0)

static void
make_dirs(void)
{
	static const char *const dirs[] = { "d", "d/topics",
	    "d/topics/f0000000000000000000000000000000", DIR };
	enum err err;

	for (int i = 0; i < 4; i++) {
		err = disk->mkdir(dirs[i]);
		MUST_BE(err == E_OK);
	}
	for (int i = 0; i < 3; i++) {
		err = disk->sync_dir(dirs[i]);
		MUST_BE(err == E_OK);
	}
	err = disk->sync_dir(".");
	MUST_BE(err == E_OK);
}

static void
found(struct fsck *c, const struct finding *f)
{
	(void)c;
	MUST_BE(f->path != NULL && f->why != NULL);
}

static void
look(struct fsck *c, bool repair)
{
	enum err err;

	*c = (struct fsck){ .deep = true, .repair = repair, .report = found };
	err = fsck_dir(c, DIR);
	MUST_BE(err == E_OK);
}

static void
hurt(void *arg, int64_t pos, int64_t n, const char *why)
{
	(void)arg;
	MUST_BE(pos >= 0 && n >= -1 && why != NULL);
}

/* On a disk of its own. */
static void
tools(const struct sim *was)
{
	static const char *const exts[] = { ".log", ".idx", ".prod" };
	struct sim *d = sim_clone(was), *before = sim_use(d);
	uint64_t hash = sim_hash(d, ".");
	struct fsck c;
	char path[PATH_SIZE];
	enum err err;

	for (int i = 0; i < 9; i++) {
		seg_path(path, DIR, bases[i % 3], exts[i / 3]);
		err = dump_damage(path, hurt, NULL);
		MUST_BE(err == E_OK || err == E_CORRUPT || err == E_NOTFOUND);
	}
	look(&c, false);
	MUST_BE(sim_hash(d, ".") == hash && c.fixed == 0);
	look(&c, true);
	look(&c, false);
	MUST_BE(c.fixable == 0 || c.bad > 0);
	hash = sim_hash(d, ".");
	look(&c, true);
	MUST_BE(c.fixed == 0 && sim_hash(d, ".") == hash);
	MUST_BE(sim_open_handles(d) == 0);
	sim_use(before);
	sim_free(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct recover_how how = { .dir = DIR, .lost = "lost+found",
	    .id = id };
	struct recovered r;
	struct sim *d;
	enum err err;
	uint64_t hash;
	int64_t end;

	if (n < 1)
		return 0;
	d = sim_new();
	sim_use(d);
	make_dirs();
	how.clean = p[0] & 1;
	how.serial = p[0] & 2;
	put_files(d, p + 1, n - 1, p[0] & 4);
	tools(d);
	err = recover_log(&how, &r);
	MUST_BE((err == E_OK) == (r.why[0] == '\0'));
	end = r.end;
	MUST_BE(err != E_OK || (end >= r.start && r.start >= 0));
	recover_free(&r);
	MUST_BE(sim_open_handles(d) == 0);
	if (err == E_OK) {
		hash = sim_hash(d, ".");
		for (int i = 0; i < 2; i++) {
			err = recover_log(&how, &r);
			MUST_BE(err == E_OK && r.end == end && r.cut == 0);
			recover_free(&r);
			MUST_BE(i > 0 || sim_hash(d, ".") == hash);
			sim_crash(d, 1);
		}
	} else {
		/* Refused for good, not by luck. */
		err = recover_log(&how, &r);
		MUST_BE(err != E_OK);
		recover_free(&r);
	}
	sim_free(d);
	return 0;
}
