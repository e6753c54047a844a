/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: what its threads share.  All of it is set up before they start, but
 * for the counters, the flags and the topics, which are only ever added.
 */
#ifndef CHECKER_CHECK_H
#define CHECKER_CHECK_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "event.h"
#include "setup.h"
#include "value.h"

enum workload {
	W_APPEND = 1, W_GROUP = 2, W_COMPACT = 4, W_RETAIN = 8, W_TIMES = 16,
	W_RAW = 32, W_ALL = 63,
};

enum profile { P_STRICT, P_LOOSE, P_BOTH };

enum { HOOKS_MAX = 16 };

struct hook {
	const char	*name, *command;
};

struct check {
	struct setup	 setup;
	const char	*bootstrap, *dir;
	const char	*progress;	/* a file, or NULL */
	int		 workloads;
	enum profile	 profile;
	int		 nparts, rate;
	int64_t		 records, seconds; /* ends after; 0: not by that */
	int64_t		 rotate;	/* a new topic after so many records */
	bool		 until_eof;	/* ends with standard input */
	int64_t		 heal_ms;	/* bound of service after the faults */

	/* Faults. */
	pid_t		 supervisor;	/* 0: none to signal the children of */
	struct hook	 hooks[HOOKS_MAX];
	int		 nhooks;
	const char	*heal;		/* command when faults end, or NULL */
	int64_t		 pace;		/* records acknowledged between two */
	int64_t		 every_ms;

	_Atomic int	 ntopics;	/* those that may be used */
	_Atomic int64_t	 sent, acked, failed, unknown, read, faults, gave_up;
	/* Of the special workloads: what was done at all. */
	_Atomic int64_t	 commits_ok, looked_up, trimmed;
	_Atomic uint32_t producers;	/* numbers given out */
	_Atomic uint64_t commits;
	atomic_bool	 ending;	/* no more load */
	atomic_bool	 healed;	/* no more faults */
	atomic_bool	 stuck;
};

/* One thread of a run. */
struct worker {
	struct check	*c;
	int		 number, workload;
	bool		 loose;
	pthread_t	 thread;
	void		*(*main)(void *);
};

void	 die(const char *what, const char *why)
	    __attribute__((noreturn));
/* What the run's name is at the broker: topics, groups. */
const char *ck_name(const struct check *, const char *what, char *buf,
	    size_t size);
/* A history for a thread. */
struct hist *ck_hist(const struct check *, const char *kind, int number);
uint64_t ck_seed(const struct check *, const char *kind, int number);

/* kafka.c */
rd_kafka_conf_t *kc_conf(const struct check *, const char *const *kv);
rd_kafka_t *kc_new(rd_kafka_type_t, rd_kafka_conf_t *);
/* Ends a client in a thread of its own: where a topic was lost and came again,
 * the library waits for ever. */
void	 kc_free(rd_kafka_t *);
rd_kafka_t *kc_reader(const struct check *, const char *group);
/* Makes a topic, as often as it takes; false when the run ends first. */
bool	 kc_topic(struct check *, const struct ck_topic *,
	    const char *const *configs);
/* DeleteRecords; error code, *low the new start. */
rd_kafka_resp_err_t kc_delete(rd_kafka_t *, const char *topic, int part,
	    int64_t offset, int64_t *low);
/* Checks a record and puts it into the history; returns its offset. */
void	 kc_took(struct check *, struct hist *, int topic,
	    const rd_kafka_message_t *, uint32_t when);
/* The ends of a log; the answer goes into the history. */
bool	 kc_list(struct check *, struct hist *, rd_kafka_t *, int topic,
	    int part, uint32_t when, int64_t *low, int64_t *high);
/* What the group of rk has committed of these partitions, or of a topic. */
bool	 kc_committed(struct check *, struct hist *, rd_kafka_t *,
	    rd_kafka_topic_partition_list_t *);
bool	 kc_group(struct check *, struct hist *, rd_kafka_t *, int topic);
int	 kc_find(const struct check *, const char *topic);

/* Threads. */
void	*produce_main(void *);
void	*read_main(void *);
void	*group_main(void *);
void	*watch_main(void *);
void	*raw_produce_main(void *);
void	*raw_read_main(void *);
void	*nemesis_main(void *);
/* After the faults: a record to every partition, served in time. */
void	 produce_probe(struct check *);
/* Ends what faults left behind: stopped processes go on. */
void	 nemesis_heal(struct check *);

/* final.c: reads every log from its start to its end; phase from 1 on. */
void	 final_read(struct check *, int phase);

#endif
