/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints any file that the engine writes (format.h), one thing a line: as
 * words with key=value, or as JSON.  It believes nothing: what is damaged is
 * named with its position, and the rest is printed all the same.
 */
#ifndef DUMP_H
#define DUMP_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/batch.h"

/* The file's kind follows from its first bytes, or from its name.  Returns
 * E_CORRUPT when something in it is damaged (it has been printed then),
 * E_USAGE when the file is none of ours, E_NOTFOUND, E_IO, E_NOMEM. */
enum err dump_file(const char *path, bool json, FILE *out) MUST;

/* The same for all files below a directory, in the order of their names, to
 * that depth of directories; each begins with a line that names it.  Returns
 * the first error, and goes on after it. */
enum err dump_dir(const char *path, int depth, bool json, FILE *out) MUST;
/* Prints nothing, but tells each damage: where, how many bytes (-1 unknown),
 * and why. */
enum err dump_damage(const char *path, void (*hurt)(void *arg, int64_t pos,
	    int64_t bytes, const char *why), void *arg) MUST;

/* Appends words for a record of the catalogue, false if it is none; set by
 * programs that know the catalogue (meta_print).  Asked for files in a
 * directory "meta" only. */
extern bool (*dump_meta_record)(const struct record *, struct wr *out);

#endif
