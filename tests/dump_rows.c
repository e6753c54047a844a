/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the rows of kafka.def as the compiler sees them, for rows.py: a line
 * M name key min max flex for a message, then a line F for each field, its
 * children after it, tab-separated:
 *   F path type since until null tag null_def noflex def
 * null is the first nullable version and tag the wire tag, or -1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/kafka.h"

static const char *const types[K_NTYPES] = {
	[K_BOOL] = "bool", [K_I8] = "int8", [K_I16] = "int16",
	[K_U16] = "uint16", [K_I32] = "int32", [K_U32] = "uint32",
	[K_I64] = "int64", [K_F64] = "float64", [K_UUID] = "uuid",
	[K_STR] = "string", [K_BYTES] = "bytes", [K_RECORDS] = "records",
	[K_SUB] = "struct", [K_SUBP] = "pointer", [K_ARR] = "[]struct",
	[K_VEC] = "[]",
};

static void
dump(const struct field *rows, const char *parent)
{
	char path[512];

	for (const struct field *f = rows; f->type != K_END; f++) {
		snprintf(path, sizeof path, "%s%s%s", parent,
		    *parent == '\0' ? "" : ".", f->name);
		printf("F\t%s\t%s%s\t%d\t%d\t%d\t%d\t%d\t%d\t%" PRId64 "\n",
		    path, types[f->type],
		    f->type == K_VEC ? types[f->elem] : "", f->since,
		    f->until, f->null - 1, f->tag - 1, f->null_def,
		    f->noflex, f->def);
		if (f->sub != NULL)
			dump(f->sub(), path);
	}
}

int
main(void)
{
	for (int i = 0; i < KM_MAX; i++) {
		const struct msg *m = &kafka_msgs[i];

		printf("M\t%s\t%d\t%d\t%d\t%d\n", m->name, m->key, m->min,
		    m->max, m->flex);
		dump(m->fields(), "");
	}
	return ferror(stdout) != 0 || fflush(stdout) != 0;
}
