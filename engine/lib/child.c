/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The death signal of a supervised program.  The signal is asked for by the
 * child itself, since a spawned program keeps no such setting of its parent.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "child.h"
#include "log.h"

void
child_setup(void)
{
	const char *s = getenv(CHILD_ENV);
	long pid;

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
