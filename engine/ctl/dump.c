/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik dump: prints any file that the engine writes, or all files below a
 * directory.  Needs no engine, and disturbs none that runs.
 */
#include <stdio.h>

#include "catalogue/meta.h"
#include "ctl.h"
#include "disk.h"
#include "offline/dump.h"

enum { DEPTH = 4 };	/* DATA/topics/<id>/<part>/ */

static enum err
dump(const char *path, bool json)
{
	struct disk_stat st;
	enum err e = disk->stat(path, &st);

	if (e == E_OK && st.dir)
		return dump_dir(path, DEPTH, json, stdout);
	return e == E_OK ? dump_file(path, json, stdout) : e;
}

int
cmd_dump(struct args *a)
{
	int i, rc = EXIT_OK;
	struct kstr words;
	enum err e;

	dump_meta_record = meta_print;
	for (i = 0; i < a->noperands; i++) {
		e = dump(a->operands[i], a->opt[OPT_json] != NULL);
		if (e == E_OK)
			continue;
		words = kstr_of(e == E_CORRUPT ? "is damaged, see the "
		    "output" : e == E_USAGE ? "is none of the files that "
		    "dump knows" : NULL);
		fflush(stdout);
		out_error(a, a->operands[i], e, words);
		rc = EXIT_ITEM;
	}
	return rc;
}
