/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ties a program to the `chronik start` that spawned it.
 */
#ifndef CHILD_H
#define CHILD_H

/* The supervisor's process id, in the environment of its children. */
#define CHILD_ENV	"CHRONIK_SUPERVISOR_PID"

/*
 * To be called first by main.  In a child of a supervisor: has the kernel
 * send SIGTERM when the supervisor dies, however it dies, so that nothing is
 * left behind that holds the data directory or the port; ends the process if
 * the supervisor has died already.  Otherwise does nothing.
 */
void	 child_setup(void);

#endif
