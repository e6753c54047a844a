/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a data directory that is checked: whether its files are whole,
 * and what it holds that segments do not, which a start would bring to them.
 * Not to know it would be to call damage what is none, and to cut off what is
 * to be kept.
 */
#include <stdio.h>

#include "fsck.h"
#include "log/journal.h"
#include "log/scan.h"
#include "shadow.h"

static void
unsettled(void *arg, const struct log_id *id, enum err err)
{
	struct fsck *c = arg;
	char path[PATH_SIZE];

	journal_path(path, c->data, -1);
	fsck_found(c, NULL, FOUND_BAD, "journal", path, -1, -1, "what it "
	    "holds of partition %d of a topic cannot be written: %s; nothing "
	    "is repaired", (int)id->part, err_text(err));
	c->repair = false;
}

static void
missing(const char *path, int64_t pos, int64_t n, int64_t size, void *arg)
{
	struct fsck *c = arg;

	fsck_found(c, NULL, FOUND_NOTE, "journal", path, pos, n, "%s; the "
	    "journal has them, and the next start, or a repair, writes them",
	    pos + n > size ? "these bytes are not there yet" :
	    "other bytes are there");
}

/* The header of a file; *used: appends may be in it. */
static enum err
head_look(struct fsck *c, int i, bool *used)
{
	struct journal_head head;
	struct scan s;
	char path[PATH_SIZE];
	const uint8_t *p = (const uint8_t *)"";
	size_t n;
	enum err err;

	journal_path(path, c->data, i);
	err = scan_open(&s, path);
	if (err == E_NOTFOUND)
		return E_OK;
	if (err != E_OK)
		return fsck_fail(c, err, path);
	c->files++;
	n = s.size < JOURNAL_HEAD ? (size_t)s.size : JOURNAL_HEAD;
	if (n > 0)
		err = scan_view(&s, 0, n, &p);
	if (err == E_OK) {
		err = journal_head_get(p, n, &head);
		*used |= err == E_OK && head.lap != 0;
		if (err == E_CORRUPT || err == E_UNSUPPORTED_VERSION)
			fsck_found(c, NULL, FOUND_BAD, "journal", path, 0,
			    (int64_t)n, "%s", err_text(err));
		if (err == E_NOTFOUND || err == E_CORRUPT ||
		    err == E_UNSUPPORTED_VERSION)
			err = E_OK;
	}
	scan_close(&s);
	return err == E_OK ? err : fsck_fail(c, err, path);
}

enum err
fsck_journal(struct fsck *c, const struct log_id *only)
{
	struct journal_replay r = { .data = c->data, .only = only,
	    .files = JOURNAL_ALL, .each = c->repair, .bad = unsettled,
	    .arg = c };
	char path[PATH_SIZE];
	bool used = false;
	enum err err = E_OK;

	for (int i = 0; err == E_OK && i < JOURNAL_FILES; i++)
		err = head_look(c, i, &used);
	if (err != E_OK || !used)
		return err;
	if (!c->repair)
		shadow_begin();
	err = journal_replay(&r);
	if (err != E_OK) {
		snprintf(c->why, sizeof c->why, "%s", r.why);
		return E_IO;
	}
	journal_path(path, c->data, -1);
	if (r.skipped > 0)
		fsck_found(c, NULL, FOUND_NOTE, "journal", path, -1,
		    r.skipped, "records that are not whole stand before others "
		    "that are: they were being written, or are damaged");
	shadow_each(missing, c);
	return E_OK;
}
