/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the files of a Kafka's log.dirs: the import's readers must not
 * crash, must not take memory by what they say, and must change nothing.
 *
 * Input: one byte of flags (1 stopped in order, 2 checksums are made right, 4
 * accept what is not whole), then pieces: one byte for the file (modulo
 * NFILES), two bytes of length, that many bytes.  Of Kafka's own logs the bytes
 * are records: a length and a key, a length and a value, and so on.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/log.h"
#include "minilog.h"
#include "offline/import.h"
#include "simdisk.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int	LLVMFuzzerInitialize(int *, char ***);

#define MUST_BE(x)	do { if (!(x)) abort(); } while (0)

enum kind { TEXT, LOG, OWN, SNAPSHOT };

static const struct {
	const char	*path;
	enum kind	 kind;
} files[] = {
	{ "k/meta.properties", TEXT },
	{ "k/replication-offset-checkpoint", TEXT },
	{ "k/log-start-offset-checkpoint", TEXT },
	{ "k/recovery-point-offset-checkpoint", TEXT },
	{ "k/t-0/partition.metadata", TEXT },
	{ "k/t-0/00000000000000000000.log", LOG },
	{ "k/t-0/00000000000000000005.log", LOG },
	{ "k/t-0/00000000000000000000.log.swap", LOG },
	{ "k/t-0/00000000000000000005.log.cleaned", LOG },
	{ "k/t-0/00000000000000000000.snapshot", SNAPSHOT },
	{ "k/__consumer_offsets-0/00000000000000000000.log", OWN },
	{ "k/__transaction_state-0/00000000000000000000.log", OWN },
	{ "k/__cluster_metadata-0/00000000000000000000.log", OWN },
	{ "k/__cluster_metadata-0/00000000000000000003-0000000001.checkpoint",
	    OWN },
};
enum { NFILES = sizeof files / sizeof files[0] };

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup("fuzz_kafka", LOG_FATAL, LOG_TEXT);
	disk = &simdisk;
	return 0;
}

/* Every other batch is part of a transaction, every fourth a marker. */
static void
own_put(struct sim *d, const char *path, const uint8_t *p, size_t n)
{
	struct wr log = wr_grow(1 << 20);
	struct rd r = rd_of(p, n);

	for (int64_t at = 0; rd_left(&r) > 1; at++) {
		size_t from = log.len, k = (uint8_t)rd_i8(&r), v;
		const uint8_t *key, *value;
		struct batch_maker m;

		k = k > rd_left(&r) ? rd_left(&r) : k;
		key = rd_take(&r, k);
		v = rd_left(&r) == 0 ? 0 : (uint8_t)rd_i8(&r);
		v = v > rd_left(&r) ? rd_left(&r) : v;
		value = rd_take(&r, v);
		batch_make(&m, 4096);
		batch_add(&m, 1, key, (int32_t)k, v == 0 ? NULL : value,
		    v == 0 ? -1 : (int32_t)v, NULL, 0);
		m.b.pid = at % 2 ? 7 : -1;
		m.b.attrs = at % 2 ? BATCH_TXN : 0;
		if (at % 4 == 3)
			m.b.attrs |= BATCH_CONTROL;
		if (batch_finish(&m, CODEC_NONE, INT32_MIN, &log) != E_OK)
			break;
		batch_assign(log.p + from, at, 0);
	}
	sim_put(d, path, log.p == NULL ? (const uint8_t *)"" : log.p,
	    log.len);
	wr_free(&log);
}

static void
put_files(struct sim *d, const uint8_t *p, size_t n, bool fix)
{
	while (n >= 3) {
		int i = p[0] % NFILES;
		size_t len = be16(p + 1);
		uint8_t *copy;

		p += 3;
		n -= 3;
		len = len > n ? n : len;
		copy = malloc(len + 1);
		MUST_BE(copy != NULL);
		memcpy(copy, p, len);
		if (fix && files[i].kind == LOG)
			log_fix_crcs(copy, len);
		if (fix && files[i].kind == SNAPSHOT && len > 6)
			be32_put(copy + 2, crc32c(0, copy + 6, len - 6));
		if (files[i].kind == OWN)
			own_put(d, files[i].path, copy, len);
		else
			sim_put(d, files[i].path, copy, len);
		free(copy);
		p += len;
		n -= len;
	}
}

static void
note(void *arg, const char *words)
{
	(void)arg;
	MUST_BE(words != NULL);
}

static enum err
read_all(struct kafka *k)
{
	struct import_groups g;
	struct import_txns x = { .n = 0 };
	enum err err = kafka_dir_open(k, "k");

	if (err == E_OK)
		err = kafka_meta_read(k);
	if (err == E_OK)
		err = import_txns_read(&x, k);
	if (err == E_OK)
		err = import_groups_read(&g, k);
	for (struct kafka_topic *t = k->topics; err == E_OK && t != NULL;
	    t = t->next)
		for (struct kafka_part *p = t->parts; err == E_OK &&
		    p != NULL; p = p->next) {
			struct import_part c = { .k = k, .from = p,
			    .txns = &x };

			err = import_copy(&c);
			MUST_BE(err != E_OK || (c.start >= 0 &&
			    c.start <= c.end));
		}
	return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const dirs[] = { "k", "k/t-0",
	    "k/__consumer_offsets-0", "k/__transaction_state-0",
	    "k/__cluster_metadata-0" };
	struct kafka k;
	struct sim *d;
	uint64_t hash;
	enum err err;

	if (n < 1)
		return 0;
	d = sim_new();
	sim_use(d);
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		err = disk->mkdir(dirs[i]);
		MUST_BE(err == E_OK);
	}
	sim_put(d, "k/meta.properties", "node.id=1\n", 10);
	if (p[0] & 1)
		sim_put(d, "k/.kafka_cleanshutdown", "", 0);
	put_files(d, p + 1, n - 1, p[0] & 2);
	hash = sim_hash(d, ".");
	kafka_init(&k);
	k.recover = p[0] & 4;
	k.note = note;
	err = read_all(&k);
	MUST_BE(err == E_OK || k.why[0] != '\0');
	kafka_free(&k);
	MUST_BE(sim_hash(d, ".") == hash && sim_open_handles(d) == 0);
	sim_free(d);
	return 0;
}
