/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every byte on disk.  The man page chronik-segment(5) and tests/golden say
 * the same; they change together.  All numbers are big-endian.
 *
 * DATA/LOCK                          held by the running engine
 * DATA/clean                         written last at a clean stop, see below
 * DATA/meta/<base>.log .idx          the catalogue: batches, as in topics
 * DATA/topics/<uuid>/<part>/         uuid: 32 hex digits; part: decimal
 *     <base>.log                     Kafka record batches, magic 2, verbatim
 *     <base>.idx                     sparse index of that segment
 *     <base>.prod                    producer state at offset <base>
 *     <base>.log.<ms>.deleted        a deleted segment; removed at <ms>
 *     <base>.log.cleaned .idx.cleaned  compaction is writing it, see swap.h
 *     <base>.log.swap                it is about to be <base>.log
 * DATA/journal/<n>.jnl               small appends, see below
 * DATA/lost+found/                   bytes that recovery cut off
 * DATA/reserve                       no bytes, but blocks: see space.h
 * DATA/importing                     what an import that did not end has made
 * <base>: the offset of the first record, 20 decimal digits.
 *
 * Sparse index (.idx): a header, then entries of 32 bytes in rising order.
 * The engine writes an entry only after the log up to its position has been
 * synced: so the last entry is also the durable checkpoint of the segment.
 *
 *   OFFSET SIZE DESCRIPTION
 *        0    8 magic "CHRONIDX"
 *        8    2 version, 1
 *       10    2 must-understand flags, 0
 *       12   16 topic id
 *       28    4 partition
 *       32    8 base offset of the segment
 *       40   20 zero
 *       60    4 CRC-32C of bytes 0-59
 *   then, for each entry:
 *        0    8 offset: the first offset at or after the position
 *        8    8 position in the .log: a batch starts or will start here
 *       16    8 greatest timestamp of the records before the position, -1 none
 *       24    4 flags: 1 sealed (the last entry of a finished segment)
 *       28    4 CRC-32C of bytes 0-27, seeded with the CRC of the header
 *
 * Producer snapshot (.prod): the state of idempotent producers before the
 * offset in its name.  Written whole, replaced by rename.
 *
 *        0    8 magic "CHRONPRD"
 *        8    2 version, 1
 *       10    2 must-understand flags, 0
 *       12   16 topic id
 *       28    4 partition
 *       32    8 offset
 *       40    4 number of producers
 *       44    n producers: id 8, epoch 2, last timestamp 8, number of batches
 *               1 (0-5), then per batch, oldest first: first sequence 4, last
 *               sequence 4, first offset 8, last offset 8, timestamp 8
 *     last    4 CRC-32C of everything before
 *
 * Clean marker (clean): there exactly while the data directory was stopped in
 * order; removed (and the directory synced) before the first write.  It holds
 * the roster: what a start would find out by looking at every partition.  One
 * that is not named is looked at.
 *
 *        0    8 magic "CHRONCLN"
 *        8    2 version, 2; 1 has 4 more bytes, the CRC-32C of 0-11, and no
 *               partitions
 *       10    2 must-understand flags, 0
 *       12    4 number of partitions
 *       16    8 end offset of the catalogue, -1 not known: no partitions then
 *       24    8 when it was written, ms since 1970
 *       32    n the partitions
 *     last    4 CRC-32C of everything before
 *   each partition:
 *        0   16 topic id
 *       16    4 partition
 *       20    4 leader epoch
 *       24    8 the log's end when that epoch began
 *       32    8 end offset
 *       40    8 offset of the newest producer snapshot, -1 none
 *       48    8 when its first deleted segment is due, 2^63 - 1: there is none
 *       56    8 when names came or went in its directory, ns since 1970
 *       64    4 number of segments
 *       68    4 length of the producer state, 0: there are no producers
 *       72    n the producer state at the end, as in a snapshot; then for each
 *               segment, oldest first: base offset 8, end offset 8, size of
 *               the .log 8, when it was written 8 (ns since 1970), its inode
 *               number 8, greatest timestamp 8 (-1 none), timestamp of the
 *               first batch 8 (-1 not known, -2 none), number of index
 *               entries 8 (the last is at the end of the .log), flags 4 (1
 *               sealed), zero 4
 *
 * Journal file (.jnl): bytes that have been written to segments, in case the
 * segments lose them before they are synced.  Files have a fixed size, are
 * written full of zeros once, and are used again and again, a lap each time.
 * A header in a block of 4096 bytes, then records, each from the start of a
 * block, filled up with zeros.
 *
 *   OFFSET SIZE DESCRIPTION
 *        0    8 magic "CHRONJNL"
 *        8    2 version, 1
 *       10    2 must-understand flags, 0
 *       12    4 zero
 *       16    8 lap, rising over all files; 0: nothing in the file is needed
 *       24    8 id of the lap, by lot, so that no bytes of an earlier lap, nor
 *               any that a producer sent, are taken for a record of it
 *       32   28 zero
 *       60    4 CRC-32C of bytes 0-59
 *   each record:
 *        0    8 id of the lap
 *        8    4 number in the lap, from 0
 *       12    4 length of the record without what fills the block
 *       16    4 number of pieces
 *       20    8 zero
 *       28    4 CRC-32C of bytes 0-27, then of all pieces
 *   then each piece, whole batches of one segment:
 *        0   16 topic id
 *       16    4 partition
 *       20    4 length of the batches
 *       24    8 base offset of the segment
 *       32    8 position in the .log
 *       40    n the batches
 *
 * Import (importing): there while topics of another log are copied in.  Text,
 * a line for each topic: its id, 32 hex digits.  A topic that the catalogue
 * does not know is a half copy; the next import removes it.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/schema.h"

#define IDX_MAGIC	"CHRONIDX"
#define PROD_MAGIC	"CHRONPRD"
#define CLEAN_MAGIC	"CHRONCLN"
#define JOURNAL_MAGIC	"CHRONJNL"

enum {
	IDX_VERSION	= 1,
	IDX_HEADER	= 64,	/* bytes */
	IDX_ENTRY	= 32,
	IDX_SEALED	= 1,
	PROD_VERSION	= 1,
	PROD_HEADER	= 44,
	CLEAN_VERSION	= 2,
	CLEAN_BARE	= 1,	/* the version without partitions */
	CLEAN_SIZE	= 16,	/* of that one */
	CLEAN_HEAD	= 32,
	CLEAN_PART	= 72,
	CLEAN_SEG	= 72,
	JOURNAL_VERSION	= 1,
	JOURNAL_HEAD	= 64,
	JOURNAL_BLOCK	= 4096,
	JOURNAL_RECORD	= 32,
	JOURNAL_PIECE	= 40,
	IMPORTING_LINE	= 33,

	BASE_DIGITS	= 20,
	PATH_SIZE	= 4096,	/* any path we build */
};

/* Which log a file belongs to; the catalogue's is all zero. */
struct log_id {
	struct uuid	topic;
	int32_t		part;
};

#endif
