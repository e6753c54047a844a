/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of chronik-search, one process for each: they are kept for a short
 * while, and looked for again when the engine has newer records.
 */
#ifndef SEEK_H
#define SEEK_H

#include "fs.h"
#include "lib/found.h"

/*
 * What was asked, and what was found.  In fs.answers from the question on,
 * until nobody has used it for a while; refs are open files.  While busy it
 * has a process, or waits for its turn.
 */
struct answer {
	TAILQ_ENTRY(answer) next;
	struct fs	*fs;
	enum kind	 kind;		/* QUERY: whether it is one; RESULTS,
					 * COUNT, FACETS, KEY_LOG */
	char		*name;		/* of the query or key, as looked up */
	struct topic	*topic;		/* a reference, or NULL */
	int32_t		 part;
	int		 refs;
	bool		 kept, busy, left;	/* left: nobody wants it */
	struct seek	*seek;		/* NULL: it has no process */
	struct ops	 waiters;
	uint64_t	 begun;		/* fs.seq */
	int64_t		 used_ms, done_ms;
	int		 eno;
	struct found	 found;		/* borrows of bytes and memory */
	uint8_t		*bytes;
	size_t		 len;
	struct arena	 memory;
	uint64_t	 text_id, coverage_id, hits_id;	/* hashes */
};

/* The answer for a kind, a topic, a partition and a name, of the records that
 * there are now, or of any age; 0, its errno, or WAIT.  It is there until the
 * op waits. */
int	 answer_get(struct op *, const struct node_key *, bool any_age,
	    struct answer **);
/* The file of that kind in it, and its hash. */
uint64_t answer_file(const struct answer *, enum kind, struct kbytes *);
/* One that is kept, whose file is the one that the node is; NULL. */
struct answer *answer_of(struct fs *, const struct node_key *);
struct answer *answer_ref(struct answer *);
void	 answer_put(struct answer *);
/* Lets all go that nobody uses. */
void	 answers_drop(struct fs *);
/* Ends all processes. */
void	 answers_stop(struct fs *);

#endif
