/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first steps of a program.  The death signal of a supervised one is asked
 * for by the child itself, since a spawned program keeps no such setting of
 * its parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "child.h"
#include "log.h"

void
std_open(void)
{
	int fd;

	/* The lowest number that is free is the one that open takes. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

void
child_setup(void)
{
	const char *s = getenv(CHILD_ENV);
	long pid;

	std_open();
	if (s == NULL)
		return;
	pid = strtol(s, NULL, 10);
	/* Not for the children that this program may have. */
	unsetenv(CHILD_ENV);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) == -1)
		log_fatal("cannot ask for a death signal", LERRNO(errno));
	/* If it died before that call, no signal will come. */
	if (getppid() != pid)
		log_fatal("the supervisor has gone", LI("supervisor", pid));
}

bool
program_find(const char *name, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n < 0 ? 0 : n] = '\0';
	if (strrchr(self, '/') != NULL)
		*(strrchr(self, '/') + 1) = '\0';
	return (size_t)snprintf(path, size, "%s%s", self, name) < size &&
	    access(path, X_OK) == 0;
}
