/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader epochs of a partition: where each of them began (KIP-101, KIP-279).
 * Batches carry their epoch, so the log itself is the record of it; what is
 * kept here is read from the log when it is first asked for and forgotten
 * whenever the log is opened anew.  The epoch that a partition has now, and
 * where it began, are in struct part.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "part.h"

/* Complete up to the present epoch, rising in both.  Owned by its partition;
 * what is below the log's start is passed over. */
struct history {
	int		 n;
	struct epoch_at { int32_t epoch; int64_t offset; } v[];
};

/*
 * Where an epoch ended, as Kafka answers it: the greatest epoch <= want that
 * has records (want itself when all of those are gone) and the offset at which
 * a later one begins; the log's end for the present one; -1 and -1 for one
 * that never was.  E_BUSY: the history has to be loaded.
 */
enum err history_end(const struct part *, int32_t want, int32_t *epoch,
	    int64_t *end) MUST;
void	 history_drop(struct part *);

/* Loading: begin and end on the loop, run on a worker in between. */
struct history_load {
	struct part	*part;
	uint32_t	 gen;
	struct epoch_span *spans;
	int		 n;
	struct history	*got;
	enum err	 err;
};
/* E_NOMEM: then there is nothing to end. */
enum err history_load_begin(struct history_load *, struct part *) MUST;
void	 history_load_run(struct history_load *);
/* Gives the partition its history, unless the log is another one by now. */
void	 history_load_end(struct history_load *);

#endif
