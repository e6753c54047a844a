/* SPDX-License-Identifier: Apache-2.0 */
/* The indexer: keeps an index of every topic that wants one. */
#ifndef INDEX_H
#define INDEX_H

#include "src.h"

/*
 * Works until it is killed, which may be at any time; with once, until
 * everything is indexed.  Returns an exit status.
 */
int	 index_run(struct src *, const char *dir, bool once);
/* The lock of an index; E_BUSY: another indexer has it. */
enum err index_lock(const char *dir) MUST;
/* Makes an indexer that does not get into anybody's way. */
void	 index_calm(void);

#endif
