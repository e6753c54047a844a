/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of found.def, and names. */
#include "found.h"

#include "rows_table.h"
#include "found.def"

const struct msg found_msg = {
	"found", found_rows, sizeof(struct found), -1, 0, 0, 0
};

static int
unhex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err
found_name(const char *name, char *out, size_t *n)
{
	*n = 0;
	for (; *name != '\0'; name++) {
		if (*name != '%')
			out[(*n)++] = *name;
		else if (unhex(name[1]) >= 0 && unhex(name[2]) >= 0) {
			out[(*n)++] = (char)(unhex(name[1]) << 4 |
			    unhex(name[2]));
			name += 2;
		} else
			return E_USAGE;
	}
	out[*n] = '\0';
	return E_OK;
}
