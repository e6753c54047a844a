/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where records come from: the engine, or the files that one has left.  It
 * blocks; each call of an engine is bounded by the time that src_open is given.
 */
#ifndef SRC_H
#define SRC_H

#include "lib/batch.h"
#include "lib/client.h"

struct src;

enum err src_open(const char *engine, const char *program, int timeout_ms,
	    struct src **) MUST;
/* A data directory without its engine, see local.h. */
enum err src_open_local(const char *data_dir, struct src **) MUST;
void	 src_close(struct src *);
/* The engine's data directory, as it says itself; the next call may free it.
 * NULL: it does not answer. */
const char *src_data_dir(struct src *);
/*
 * The view of the log that follows the one with the stamp seen (-1: the
 * present one); waits up to wait_ms for it.  Valid until this function has told
 * the next one; res->same: there is no other.
 */
enum err src_view(struct src *, int64_t seen, int wait_ms, bool all,
	    const struct view_res **) MUST;
/*
 * Calls each with the records of [from, to), in the order of offsets, until it
 * returns false.  *next: all below it has been told, or is not there; lower
 * than `to` when the log ends, or each wanted no more.  Records of
 * transactions that are open yet end it.  E_OFFSET_OUT_OF_RANGE: deleted.
 */
enum err src_read(struct src *, const struct uuid *topic, int32_t part,
	    int64_t from, int64_t to,
	    bool (*each)(void *, const struct record *), void *,
	    int64_t *next) MUST;
/* Where a partition's log begins now; like src_view it ends the last view.
 * E_UNKNOWN_TOPIC_ID. */
enum err src_start(struct src *, const struct uuid *topic, int32_t part,
	    int64_t *start) MUST;
/* One record, valid until the next call with src.  E_NOTFOUND: there is none
 * of that offset. */
enum err src_get(struct src *, const struct uuid *topic, int32_t part,
	    int64_t offset, struct record *) MUST;

#endif
