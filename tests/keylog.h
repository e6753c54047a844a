/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition of a compacted topic in a rig, and a model of all that was ever
 * written to it, for tests of compaction.
 */
#ifndef KEYLOG_H
#define KEYLOG_H

#include "rig.h"

enum { KL_RECORDS = 6000, KL_KEYS = 24, KL_VALUE = 200 };

/* One record that was written; its number is its offset. */
struct kl_rec {
	int		 key;		/* -1: none */
	int64_t		 ts;
	int32_t		 value;		/* its length, -1 a tombstone */
	int32_t		 batch;		/* offset that its batch begins at */
	int64_t		 stays;		/* tombstones: until then at least */
	bool		 seen;
	bool		 gone;		/* a reader did not find it */
};

struct keylog {
	struct rig	 r;
	struct part	*p;
	struct topic_conf *tc;
	struct kl_rec	 recs[KL_RECORDS];
	int		 n;
	uint32_t	 seed;
	int64_t		 seen;		/* so far passes have gone; a restart
					 * may not know it */
	int32_t		 seqs[3];	/* next, of producers 100 to 102 */
	bool		 journal;	/* set before: small appends go there */
};
extern struct keylog kl;

/* A number below n. */
uint32_t kl_rnd(uint32_t n);
/* A new disk, engine and topic, of small segments. */
void	 kl_begin(uint32_t seed);
void	 kl_end(void);
/* The engine once more, after a stop in order or a power cut. */
void	 kl_again(bool crash);

/* The next record of a batch; ts 0: now, more or less. */
void	 kl_add(struct batch_maker *, int key, int32_t value, int64_t ts);
void	 kl_send(struct batch_maker *, enum codec);
/* So many batches of all sorts. */
void	 kl_put_some(int batches);
/* One record in a batch of its own. */
void	 kl_put(int key, int32_t value);
/* The growing segment is finished, and a record begins the next. */
void	 kl_roll(void);
/* Has everything compacted that may be. */
void	 kl_clean(void);

/* Its file, opened. */
int	 kl_fd(const struct seg *);
/* Every batch of a segment; returns the offset after the last. */
int64_t	 kl_check_seg(const struct seg *);
/* The whole log, which is compacted up to an offset. */
void	 kl_check_segs(struct seg **, int n, const struct clean_state *);
/* In the middle of a pass: nothing of the newest is lost. */
void	 kl_check_newest(struct seg **, int n);
/* A fetch at any offset finds the batch that holds it or follows it. */
void	 kl_check_fetch(void);
/* Each producer's next batch is taken, and none that leaves out some. */
void	 kl_check_producers(void);
/* All of these, of the log as it is. */
void	 kl_check(void);

#endif
