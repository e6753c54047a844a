/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's directories: DATA/topics/<id>/<partition>, each with its log.
 * These block; worker threads.
 */
#ifndef TOPIC_FILES_H
#define TOPIC_FILES_H

#include "engine.h"

/*
 * Makes partitions [from, to), each with an empty segment, and syncs them.
 * What an earlier try that was cut short has left is used again, if it holds
 * nothing; E_BUSY when it holds something.  fresh: one per partition, zeroed;
 * the caller recover_free()s them also after an error.
 */
enum err topic_files_create(const struct engine *, const struct uuid *,
	    int32_t from, int32_t to, struct recovered *fresh) MUST;
/* Removes the partitions from on, and with 0 the whole directory.  A second
 * run takes up where one ended. */
enum err topic_files_remove(const struct engine *, const struct uuid *,
	    int32_t from) MUST;

#endif
