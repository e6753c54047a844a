/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's root: one per process, owned by main (or a test).  All of it
 * belongs to the loop.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "api/fetch_session.h"
#include "api/view.h"
#include "catalogue/auth.h"
#include "catalogue/configs.h"
#include "catalogue/meta.h"
#include "catalogue/quota.h"
#include "catalogue/topic.h"
#include "catalogue/user.h"
#include "clock.h"
#include "group/group.h"
#include "lib/conf.h"
#include "log/cleaner.h"
#include "log/commit.h"
#include "log/files.h"
#include "log/journal.h"
#include "log/space.h"

struct engine {
	const struct conf *conf;
	char		  data[PATH_SIZE - 256];	/* directory */
	struct pool	 *bulk;		/* slow work: recovery, cold reads */
	struct files	  files;	/* of segments */
	struct timers	  timers;
	struct committer  commit;
	struct journal	  journal;
	struct space	  space;
	struct meta	  meta;
	struct configs	  configs;	/* that change at run time */
	struct topics	  topics;
	struct groups	  groups;
	struct users	  users;
	struct auth	  auth;
	struct quotas	  quotas;
	char		  cluster_id[24];
	int32_t		  epoch;	/* leader epoch given out next */
	/* Producer ids: the next, the end of the block that was taken, and
	 * the end of what the catalogue has synced. */
	int64_t		  next_pid, pid_limit, pid_durable;
	uint64_t	  next_handle;	/* of segments */
	struct window	 *windows, **windows_tail;	/* index cache */
	int		  nwindows;
	struct fetch	 *due, **due_tail;	/* woken long polls */
	int		  parked;	/* long polls */
	int64_t		  parked_bytes;	/* and what they hold */
	uint64_t	  rounds;	/* see epochs.c */
	struct fetch_sessions fetch_sessions;
	struct view	  view;		/* what the indexer sees */
	struct topic	 *recover_topic; /* next to be opened */
	int32_t		  recover_part;
	int		  recovering;	/* partitions being opened */
	struct roster	 *roster;	/* while they are; NULL: none */
	int64_t		  told;		/* partitions that it told of */
	unsigned	  odd;		/* of told_odd, dealt with */
	struct timer	  retain_timer, reap_timer, producers_timer;
	struct cleaner	  cleaner;
	struct meta_put	  epoch_put;	/* of an unclean start */
	/* Many partitions after a crash: one sync of all before they are
	 * opened and one after. */
	bool		  together, together_busy;
	bool		  epoch_durable, clean_start, opened, stopping;
	int		  lock_fd;
	int64_t		  started, appended_ms;	/* mono_ms; the last append */
	struct {
		int64_t appends, append_bytes, fetches, fetch_bytes;
		int64_t cold_reads, compactions;
	} stats;
	/* Called when a segment's fd is no longer for the gateways. */
	void		(*retired)(struct engine *, uint64_t handle);
	/* Called when a topic's codec is another one, or gone with it. */
	void		(*recoded)(struct engine *, const struct topic *);
	/* Called when the last partition is open. */
	void		(*ready)(struct engine *);
	void		 *serve;	/* the socket's side, see serve.h */
};

/* Opens the catalogue of a data directory (making a new one only where there
 * is nothing) and starts recovery of every partition; ready() follows.
 * files: how many segments' files may be open, 0 for the most there may be.
 * why: words of at most size bytes when it is refused. */
enum err engine_open(struct engine *, const struct conf *, struct pool *commit,
	    struct pool *bulk, char *why, size_t size) MUST;
/* For tools: no engine, but what one segment of a catalogue would make of it,
 * in memory alone; size bytes of the file at path.  engine_close follows, also
 * after an error. */
enum err engine_imagine(struct engine *, const struct conf *,
	    const char *path, int64_t base, int64_t size, char *why,
	    size_t n) MUST;
/* What is due after events: the loop calls it once per turn. */
void	 engine_turn(struct engine *);
/* In order: everything queued is written and synced, checkpoints and producer
 * snapshots are written, then the clean marker.  Call it again, as jobs
 * come back, until it says E_OK (E_BUSY: not yet). */
enum err engine_stop(struct engine *) MUST;
void	 engine_close(struct engine *);
/* Runs inline pools until nothing is left to do (tests). */
void	 engine_drain(struct engine *);

#endif
