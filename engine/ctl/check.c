/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik check: whether a data directory is whole, and its repair.  The exit
 * statuses are those of fsck(8).
 */
#include <stdio.h>

#include "ctl.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "offline/fsck.h"

enum { FINDINGS_MAX = 100000 };	/* told one by one */

static const struct column columns[] = {
	{ "state", "STATE", false },
	{ "what", "WHAT", false },
	{ "file", "FILE", false },
	{ "position", "POSITION", true },
	{ "bytes", "BYTES", true },
	{ "why", "WHY", false },
};

static void
collect(struct fsck *c, const struct finding *f)
{
	static const char *const states[] = { [FOUND_NOTE] = "note",
	    [FOUND_FIXABLE] = "fixable", [FOUND_FIXED] = "fixed",
	    [FOUND_BAD] = "bad" };
	json_t *items = c->arg, *item;

	if (json_array_size(items) == FINDINGS_MAX)
		return;		/* counted all the same */
	item = json_object();
	json_object_set_new(item, "state", json_string(states[f->state]));
	json_object_set_new(item, "what", json_string(f->what));
	json_object_set_new(item, "file", out_str(kstr_of(f->path)));
	json_object_set_new(item, "position", f->pos < 0 ? json_null() :
	    json_integer(f->pos));
	json_object_set_new(item, "bytes", f->bytes < 0 ? json_null() :
	    json_integer(f->bytes));
	json_object_set_new(item, "why", out_str(kstr_of(f->why)));
	json_array_append_new(items, item);
}

static void
summary(const struct args *a, const struct fsck *c, bool failed)
{
	if (a->format != FORMAT_TABLE || (failed && c->files == 0))
		return;
	fflush(stdout);
	fprintf(stderr, "%lld files, %lld batches, %lld bytes: ",
	    (long long)c->files, (long long)c->batches,
	    (long long)c->bytes);
	if (c->fixable + c->fixed + c->bad == 0)
		fprintf(stderr, "%s\n", failed ? "nothing was found" :
		    "clean");
	else
		fprintf(stderr, "%lld fixed, %lld can be fixed, %lld bad\n",
		    (long long)c->fixed, (long long)c->fixable,
		    (long long)c->bad);
	if (c->fixable > 0 && !c->repair)
		fprintf(stderr, "hint: --repair puts right what can be\n");
	else if (c->fixable > 0)
		fprintf(stderr, "hint: a log with damage that costs records "
		    "is left as it is\n");
}

int
cmd_check(struct args *a)
{
	static char *argv[] = { (char *)(uintptr_t)"chronik", NULL };
	static struct conf conf;
	struct fsck c = { .deep = a->opt[OPT_deep] != NULL,
	    .repair = a->opt[OPT_repair] != NULL &&
	    a->opt[OPT_dry_run] == NULL, .report = collect };
	struct disk_stat st;
	bool failed = false;
	enum err e;

	(void)conf_load(&conf, CONF_O, "chronik check", 1, argv);
	log_setup("chronik", LOG_FATAL, LOG_TEXT);
	c.conf = &conf;
	c.arg = json_array();
	for (int i = 0; i < a->noperands; i++) {
		c.why[0] = '\0';
		e = disk->stat(a->operands[i], &st);
		if (e == E_OK)
			e = st.dir ? fsck_dir(&c, a->operands[i]) :
			    fsck_file(&c, a->operands[i]);
		if (e == E_OK)
			continue;
		failed = true;
		out_error(a, a->operands[i], e, kstr_of(c.why[0] != '\0' ?
		    c.why : e == E_USAGE ? "is neither a data directory nor "
		    "a partition's directory in one" : NULL));
	}
	if (json_array_size(c.arg) > 0 || a->format != FORMAT_TABLE)
		out_items(a, "chronik.check/1", c.arg, columns, 6);
	else
		json_decref(c.arg);
	summary(a, &c, failed);
	return failed ? FSCK_FAILED : c.bad + c.fixable > 0 ? FSCK_BAD :
	    c.fixed > 0 ? FSCK_FIXED : FSCK_CLEAN;
}
