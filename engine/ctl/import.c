/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik import: takes over the topics of a Kafka that is stopped.  Works on
 * the data directory itself, whose engine is stopped too.
 */
#include <stdio.h>

#include "ctl.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "offline/import.h"

static const struct column columns[] = {
	{ "name", "NAME", false },
	{ "id", "ID", false },
	{ "id_kept", "ID KEPT", false },
	{ "partitions", "PARTITIONS", true },
	{ "offsets", "OFFSETS", true },
	{ "bytes", "BYTES", true },
	{ "status", "STATUS", false },
};

static void
told(struct import *im, const struct import_told *t)
{
	json_t *item = json_object();

	json_object_set_new(item, "name", out_str(kstr_of(t->name)));
	json_object_set_new(item, "id", out_uuid(t->id));
	json_object_set_new(item, "id_kept", json_boolean(t->kept));
	json_object_set_new(item, "partitions", json_integer(t->parts));
	json_object_set_new(item, "offsets", json_integer(t->offsets));
	json_object_set_new(item, "bytes", json_integer(t->bytes));
	json_object_set_new(item, "status", json_string(im->dry_run ?
	    "would be imported" : "imported"));
	json_object_set_new(item, "dry_run", json_boolean(im->dry_run));
	json_array_append_new(im->arg, item);
}

static void
note(void *arg, const char *words)
{
	(void)arg;
	fprintf(stderr, "note: %s\n", words);
}

int
cmd_import(struct args *a)
{
	static char *argv[] = { (char *)(uintptr_t)"chronik", NULL };
	static struct conf conf;
	struct import im = { .conf = &conf, .dirs = a->operands,
	    .ndirs = a->noperands, .topics = a->topics,
	    .ntopics = a->ntopics, .configs = a->configs,
	    .nconfigs = a->nconfigs, .link = a->opt[OPT_link] != NULL,
	    .recover = a->opt[OPT_recover] != NULL,
	    .dry_run = a->opt[OPT_dry_run] != NULL, .told = told,
	    .note = note };
	enum err e;

	(void)conf_load(&conf, CONF_E, "chronik import", 1, argv);
	log_setup("chronik", LOG_WARN, LOG_TEXT);
	if (a->opt[OPT_data_dir] != NULL)
		conf.data_dir = a->opt[OPT_data_dir];
	im.arg = json_array();
	e = import_run(&im);
	if (e != E_OK) {
		json_decref(im.arg);
		out_error(a, a->operands[0], e, kstr_of(im.why[0] != '\0' ?
		    im.why : NULL));
		return e == E_BUSY || e == E_POLICY_VIOLATION ? EXIT_REFUSED :
		    e == E_USAGE ? EXIT_USAGE : EXIT_ITEM;
	}
	out_items(a, "chronik.import/1", im.arg, columns, 7);
	if (a->format == FORMAT_TABLE) {
		fflush(stdout);
		fprintf(stderr, "%lld topics, %lld groups, %lld committed "
		    "offsets%s\n", (long long)im.ntold, (long long)im.groups,
		    (long long)im.offsets, im.dry_run ?
		    "; nothing was changed" : "");
	}
	return EXIT_OK;
}
