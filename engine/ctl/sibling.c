/* SPDX-License-Identifier: Apache-2.0 */
/* Where the other programs are. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

bool
sibling_find(const char *name, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*(strrchr(self, '/') + 1) = '\0';
		if ((size_t)snprintf(path, size, "%s%s", self, name) < size &&
		    access(path, X_OK) == 0)
			return true;
	}
	return (size_t)snprintf(path, size, "%s/%s", LIBEXECDIR, name) <
	    size && access(path, X_OK) == 0;
}
