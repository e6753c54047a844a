/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge: reads histories, keeps its own model of what the log must be,
 * and names what is not so.  It knows nothing of the broker but the answers
 * in the events; see anomaly.def for what it looks for.
 *
 * Events of one thread come in their order; the threads in any order.
 */
#ifndef CHECKER_JUDGE_H
#define CHECKER_JUDGE_H

#include <stdio.h>

#include "event.h"
#include "setup.h"

enum anomaly {
#define ANOMALY(word, ...) ANOMALY_##word,
#include "anomaly.def"
	ANOMALIES
};

/* A value as its sender saw it, and where readers saw it. */
struct send {
	int64_t	 invoked, ended;	/* 0: not */
	int64_t	 acked;			/* offset, -1 not told or not acked */
	int64_t	 seen;			/* read here last, -1 never */
	int64_t	 ts;
	uint32_t key;			/* and EV_TOMBSTONE, or the size */
	uint16_t topic;
	uint8_t	 part, outcome;
};

struct sender {
	struct send	*v;
	uint64_t	 n, cap;
};

/* One offset as readers saw it. */
struct slot {
	uint64_t id;			/* + 1; 0: not known */
	int64_t	 ts;
	int64_t	 seen_at;		/* first read, 0 never */
	int64_t	 last_at;		/* it was there then: since a reader
					 * who got it began, at the latest */
	uint8_t	 phase, pass;		/* of the last final read */
};

/* A row of events of one kind, in the order of their threads. */
struct row {
	struct event	*v;
	uint64_t	 n, cap;
};

/* One partition. */
struct view {
	struct slot	*v;
	uint64_t	 n, cap;
	struct row	 lists, times, deletes, epochs;
	struct row	 ends;		/* EOFs; id: when the reader began */
	struct row	 gaps;		/* offset .. a was passed over */
	struct row	 resets;
	struct row	 commits, committed; /* of its group */
	int64_t		 start, end;	/* of the last final phase, -1 */
	int64_t		 final_at;	/* when it was */
};

struct judge {
	const struct setup *setup;
	struct view	 views[TOPICS_MAX][PARTS_MAX];
	struct sender	*senders;
	uint32_t	 nsenders;
	int		 phase;		/* the last */
	/* Of the thread being read. */
	struct { int64_t next, began; } reader[TOPICS_MAX][PARTS_MAX];
	uint64_t	 counts[ANOMALIES];
	FILE		*out;		/* where findings go, NULL nowhere */
	/* Figures. */
	uint64_t	 events, sends, acked, failed, unknown, polls, finals,
			 gone, faults;
};

extern const char *const anomaly_names[ANOMALIES];

struct judge *judge_new(const struct setup *, FILE *out);
void	 judge_free(struct judge *);
/* A new thread's events follow. */
void	 judge_thread(struct judge *);
void	 judge_event(struct judge *, const struct event *);
/* All events are there: looks at everything; returns how many anomalies. */
uint64_t judge_end(struct judge *);
/* Judges all the histories in a directory and prints the verdict; returns how
 * many anomalies, -1 when a file cannot be read (said on standard error). */
int64_t	 judge_dir(const struct setup *, const char *dir, FILE *out);

/* ---- between the files of the judge ------------------------------------ */

void	 judge_find(struct judge *, enum anomaly, int topic, int part,
	    int64_t offset, const char *fmt, ...)
	    __attribute__((format(printf, 6, 7)));
struct send *judge_send(const struct judge *, uint64_t id);
/* The slot, NULL beyond what is known. */
struct slot *view_at(const struct view *, int64_t offset);
/* Was it there in the last final phase? */
bool	 view_final(const struct judge *, const struct view *, int64_t offset);
void	*judge_alloc(void *old, size_t n);
void	 row_add(struct row *, const struct event *);

void	 judge_log(struct judge *);		/* judge_log.c */
void	 judge_deletion(struct judge *, int topic, int part);
void	 judge_watch(struct judge *, int topic, int part); /* judge_watch.c */
void	 judge_group(struct judge *, int topic, int part); /* judge_group.c */

#endif
