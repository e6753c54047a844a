/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history: what one thread asked and what it was told, in the order of its
 * own clock (CLOCK_MONOTONIC, so all of a machine's threads compare).  One
 * file per thread, appended to and never changed:
 *
 *	OFFSET	SIZE	DESCRIPTION, big endian
 *	0	8	"CHKHIST1"
 *	8	8	the run's number
 *	16	8	zero
 *	24	48 n	events:
 *	  0	1	type
 *	  1	1	outcome
 *	  2	2	topic
 *	  4	4	partition
 *	  8	8	at: nanoseconds
 *	  16	8	id
 *	  24	8	offset
 *	  32	8	a
 *	  40	4	b
 *	  44	4	checksum of the 44 bytes before it
 *
 * The file ends before the first event that is not whole: its writer may have
 * been killed.
 */
#ifndef CHECKER_EVENT_H
#define CHECKER_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ev_type {
	/* id: the value's; invoke: a timestamp, b the value's size, or in
	 * compacted topics the key and EV_TOMBSTONE; ok: offset, -1 when none
	 * was told. */
	EV_SEND = 1,
	/* ok: id, offset, a timestamp, b EV_BAD_*, pass and phase. */
	EV_POLL,
	/* A reader begins at offset. */
	EV_ASSIGN,
	/* A reader was told that the log ends at offset. */
	EV_EOF,
	/* ok: id when it was asked, offset earliest, a latest, b phase. */
	EV_LIST,
	/* ok: id when it was asked, a time asked for, offset (-1: none). */
	EV_TIME,
	/* DeleteRecords up to offset; ok: a the new start. */
	EV_DELETE,
	/* id: the commit's own number, offset, b group. */
	EV_COMMIT,
	/* ok: id when it was asked, offset (-1: none), b group. */
	EV_COMMITTED,
	/* A reader's position, offset, was called out of range. */
	EV_RESET,
	/* A fault begins: a tells which one. */
	EV_NEMESIS,
	/* fail: what should have been served was not. */
	EV_LIVE,
	/* ok: id when it was asked, a leader epoch. */
	EV_EPOCH,
	EV_TYPES
};

enum ev_outcome { EV_INVOKE, EV_OK, EV_FAIL, EV_INFO };

enum {
	EV_SIZE		= 48,
	EV_HEAD		= 24,
	EV_BAD_KEY	= 1,
	EV_BAD_VALUE	= 2,
	EV_BAD_HEADER	= 4,
	EV_BAD_TIME	= 8,
	EV_BAD_FOREIGN	= 16,		/* not a value of this run */
	EV_BAD		= 31,
};
#define EV_TOMBSTONE	0x80000000u
#define EV_PASS(pass, phase) ((uint32_t)(pass) << 8 | (uint32_t)(phase) << 16)

/* id of a value: who sent it, and the how manieth of his it is. */
#define EV_ID(producer, seq) ((uint64_t)(producer) << 40 | (uint64_t)(seq))
#define EV_PRODUCER(id)	((uint32_t)((id) >> 40))
#define EV_SEQ(id)	((id) & 0xffffffffffull)

struct event {
	uint8_t		type, outcome;
	uint16_t	topic;
	uint32_t	part;
	int64_t		at;
	uint64_t	id;
	int64_t		offset, a;
	uint32_t	b;
};

struct hist;

int64_t	 mono_ns(void);
uint64_t mix64(uint64_t);
/* The next number of a seeded row. */
uint64_t rand_next(uint64_t *state);

/* Creates DIR/NAME.hist; NULL: errno tells. */
struct hist *hist_new(const char *dir, const char *name, uint64_t run);
/* Fills in the time when it is 0.  Ends the program when it cannot write. */
void	 hist_put(struct hist *, struct event);
/* What was put is in the file; synced once a second. */
void	 hist_flush(struct hist *);
void	 hist_close(struct hist *);

/* Calls back with every whole event of a file; false: errno tells.  *torn:
 * bytes at the end that are no event. */
bool	 hist_read(const char *path, uint64_t run,
	    void (*each)(const struct event *, void *), void *arg,
	    int64_t *torn);

#endif
