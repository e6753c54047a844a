/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main program of a fuzz target that is built without libFuzzer: it feeds
 * the target every file of its corpus, so that what a fuzzer once found stays
 * found in plain `make check`.  Without arguments the corpus of tests/fuzz_NAME
 * is tests/corpus/NAME; arguments name other files or directories.
 */
#include <errno.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int	LLVMFuzzerInitialize(int *, char ***) __attribute__((weak));

/* The input lies in a block of exactly its size, so that a sanitizer sees a
 * read past its end. */
static int
replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 ||
	    (data = malloc(size > 0 ? (size_t)size : 1)) == NULL ||
	    fseek(f, 0, SEEK_SET) != 0 ||
	    fread(data, 1, (size_t)size, f) != (size_t)size) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		free(data);
		if (f != NULL)
			fclose(f);
		return -1;
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return 0;
}

static int
compare(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Returns how many inputs were replayed, or -1. */
static int
replay_all(char **paths)
{
	FTS *fts = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, compare);
	FTSENT *e;
	int n = 0;

	if (fts == NULL)
		return -1;
	while (n >= 0 && (e = fts_read(fts)) != NULL) {
		if (e->fts_info == FTS_F)
			n = replay(e->fts_path) == 0 ? n + 1 : -1;
		else if (e->fts_info != FTS_D && e->fts_info != FTS_DP) {
			fprintf(stderr, "%s: %s\n", e->fts_path,
			    strerror(e->fts_errno));
			n = -1;
		}
	}
	fts_close(fts);
	return n;
}

int
main(int argc, char **argv)
{
	const char *src = getenv("CHRONIK_SRC");
	const char *name = strrchr(argv[0], '/');
	char corpus[4096];
	char *paths[] = { corpus, NULL };
	int n;

	name = name != NULL ? name + 1 : argv[0];
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	snprintf(corpus, sizeof(corpus), "%s/tests/corpus/%s",
	    src != NULL ? src : ".", name);
	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	n = replay_all(argc > 1 ? argv + 1 : paths);
	printf("%s: %d inputs\n", name, n);
	return n > 0 ? 0 : 1;
}
