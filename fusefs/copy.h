/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of the text of sealed segments, for the kernel to read by itself (see
 * pass.h).  A copy is a file without a name: nothing is left of it when
 * chronik-fs ends, however it does.  It begins when the segment's .jsonl is
 * opened; whoever renders a block of the text writes it there, too.  It is
 * whole when it has all of them.
 *
 * A copy that cannot be written or read is given up, and no reader hears of
 * it: the text can be rendered at any time.  All is the loop's, but for
 * copy_read and copy_write, which block and are the workers'.
 */
#ifndef COPY_H
#define COPY_H

#include "fs.h"

struct copy {
	TAILQ_ENTRY(copy) lru;		/* while seg is set */
	struct fs	*fs;
	struct tseg	*seg;		/* NULL: gone, or the copy given up */
	int		 refs;		/* of seg, open files, jobs */
	int		 fd;		/* -1: not there yet */
	int64_t		 bytes;		/* written */
	int		 nblocks, nleft;
	struct ops	 waiters;	/* for the file */
	bool		 has[];		/* per block */
};

/* Begins a copy of a segment that is sealed and measured, or finds it.  0: in
 * s->copy, NULL if there can be none; WAIT: it is being made. */
int	 copy_begin(struct op *, struct tseg *);
struct copy *copy_ref(struct copy *);
void	 copy_put(struct copy *);	/* NULL is none */
/* The copy of a block can be read, or should be written; NULL is none. */
bool	 copy_has(const struct copy *, int block);
bool	 copy_wants(const struct copy *, int block);
bool	 copy_is_whole(const struct copy *);
/* The segment has none any more; whoever has it open keeps it. */
void	 copy_drop(struct tseg *);
/* All that nobody has open. */
void	 copies_drop(struct fs *);

/* Bytes of the text from a place on.  False: errno says why. */
bool	 copy_read(const struct copy *, int64_t at, uint8_t *to, size_t n);
/* *left: bytes that are free on that disk now. */
bool	 copy_write(const struct copy *, int64_t at, const uint8_t *, size_t n,
	    int64_t *left);
/* A block of so many bytes was written. */
void	 copy_took(struct copy *, int block, size_t n, int64_t left);
/* It could not be written or read. */
void	 copy_failed(struct copy *, int eno);

#endif
