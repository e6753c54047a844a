/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program needs before it does anything: the three descriptors that
 * everybody has, what ties it to the `chronik start` that spawned it, and where
 * the others are.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* The supervisor's process id, in the environment of its children. */
#define CHILD_ENV	"CHRONIK_SUPERVISOR_PID"

/*
 * To be called first by main.  Opens /dev/null for each of standard input,
 * output and error that is closed, lest a file or a socket gets its number
 * and is written to by every printf.
 */
void	 std_open(void);

/*
 * std_open, and more: in a child of a supervisor: has the kernel
 * send SIGTERM when the supervisor dies, however it dies, so that nothing is
 * left behind that holds the data directory or the port; ends the process if
 * the supervisor has died already.  Otherwise does nothing.
 */
void	 child_setup(void);

/* The path of another program of ours, beside this one.  False: it is not
 * there; path says where it should be. */
bool	 program_find(const char *name, char *path, size_t size);

#endif
