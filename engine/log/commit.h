/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: rounds of writes and syncs over all partitions.
 *
 * At most one job is in its write phase and one in its sync phase; whatever
 * arrives meanwhile rides on the next.  No timer paces it.  A write job goes
 * on to sync in the same thread when no sync is in flight; its write results
 * come to the loop at once (progress), so that acks=1 never waits for a sync.
 * What is small is synced by the journal (journal.h); of the rest, few files
 * are synced one by one, many by one syncfs.
 */
#ifndef COMMIT_H
#define COMMIT_H

#include "part.h"

struct committer {
	struct engine	*eng;
	struct pool	*pool;
	int		 data_fd;	/* of DATA, for syncfs */
	struct part	*dirty, **dirty_tail;	/* with queued batches */
	struct part	*unsynced, **unsynced_tail; /* written > synced */
	struct part	*ckpt;		/* synced since their last checkpoint */
	int		 idx_jobs;	/* in flight; each holds a segment */
	bool		 ckpt_more;	/* more wait for those to come back */
	struct timer	 ckpt_timer, flush_timer;
	bool		 writing, syncing;
	bool		 stopping;	/* sync all, whatever the policy */
	int64_t		 syncs, rounds;	/* counted */
};

enum err commit_open(struct committer *, struct engine *, struct pool *,
	    const char *data) MUST;
void	 commit_close(struct committer *);
/* A partition has queued batches. */
void	 commit_dirty(struct committer *, struct part *);
/* Starts what can be started; the loop calls it once per turn. */
void	 commit_kick(struct committer *);
/* True when nothing is queued, written but unsynced, or in flight. */
bool	 commit_idle(const struct committer *);
/* True while batches of topics are queued for a write or being written. */
bool	 commit_topics(const struct committer *);
/* Takes a partition that is fenced or gone off the lists. */
void	 commit_forget(struct committer *, struct part *);
/* For the clean stop: wants a checkpoint, wants a sync. */
void	 commit_ckpt(struct committer *, struct part *);
void	 commit_unsynced(struct committer *, struct part *);
/* The checkpoints that are wanted come in a while, without another call. */
void	 commit_ckpt_start(struct committer *);
/* A sync of the partition is done: a checkpoint in a while, its entries now if
 * many wait. */
void	 commit_ckpt_soon(struct committer *, struct part *);
/* Marks the oldest finished segment that is not yet sealed. */
void	 commit_seal(struct committer *, struct part *);
/* Writes checkpoints of all that was synced; the clean stop's last step. */
void	 commit_checkpoint(struct committer *);

#endif
