/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads record batches out of a range of a segment, one after the other, in
 * bounded memory, and the records in them.  Blocks on the file; the file may
 * be any that holds whole batches.
 */
#ifndef READER_H
#define READER_H

#include "batch.h"

enum { READER_CHUNK = 256 * 1024 };	/* bytes read at once; more for a batch
					 * that is larger */

struct reader {
	int		 fd;		/* the caller's */
	int64_t		 pos, end;	/* of what is to be read */
	uint8_t		*buf;		/* ours */
	size_t		 at, len, cap;	/* the next byte in it */
	int64_t		 last_offset;	/* of the newest batch; -1 none yet */
};

void	 reader_open(struct reader *, int fd, int64_t pos, int64_t len);
/* Goes on with another range; the memory stays. */
void	 reader_again(struct reader *, int fd, int64_t pos, int64_t len);
void	 reader_close(struct reader *);
/* The file position of the batch that comes next. */
int64_t	 reader_pos(const struct reader *);
/* The header of the batch that comes next, and still does.  Errors as below. */
enum err reader_header(struct reader *, struct batch *) MUST;
/* The next whole batch, its CRC checked: valid until the next call.  E_EOF:
 * the range is over, perhaps in the middle of a batch (reader_pos is where it
 * begins).  E_CORRUPT, E_NOMEM, E_IO. */
enum err reader_batch(struct reader *, struct batch *, const uint8_t **)
	    MUST;

/* The records of a range from an offset on, without control records. */
struct records {
	struct reader	 r;
	struct batch_iter it;
	bool		 open;		/* it is */
	int64_t		 from;		/* lower offsets are left out */
};
void	 records_open(struct records *, int fd, int64_t pos, int64_t len,
	    int64_t from);
void	 records_close(struct records *);
/* A record that is valid until the next call; E_EOF, and what reader_batch and
 * batch_iter_next say. */
enum err records_next(struct records *, struct record *) MUST;

#endif
