/* SPDX-License-Identifier: Apache-2.0 */
/* Reading command lines, see opts.h. */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "opts.h"

enum { LONG = 256 };		/* getopt's value of an option is id + LONG */

void
opts_init(struct opts *o, int argc, char **argv)
{
	*o = (struct opts){ .argc = argc, .argv = argv, .letters = "-:" };
	optind = 0;		/* getopt begins anew */
	opterr = 0;
}

/* The name with its words joined so. */
static void
add_row(struct opts *o, int id, const char *name, char joint, bool takes)
{
	struct option *v = realloc(o->rows, ((size_t)o->n + 2) * sizeof *v);
	char *own = strdup(name);

	ASSERT(v != NULL && own != NULL);
	for (char *s = own; (s = strpbrk(s, "-_.")) != NULL; s++)
		*s = joint;
	v[o->n] = (struct option){ own, takes ? required_argument :
	    no_argument, NULL, LONG + id };
	v[++o->n] = (struct option){ NULL, 0, NULL, 0 };
	o->rows = v;
}

void
opts_add(struct opts *o, int id, const char *name, char letter, bool takes)
{
	size_t len = strlen(o->letters);

	ASSERT(len + 3 < sizeof o->letters);
	add_row(o, id, name, '-', takes);
	if (strpbrk(name, "-_.") != NULL) {
		add_row(o, id, name, '_', takes);
		add_row(o, id, name, '.', takes);
	}
	if (letter == 0)
		return;
	o->letters[len++] = letter;
	if (takes)
		o->letters[len++] = ':';
	o->letters[len] = '\0';
	o->id_of[(unsigned char)letter % 128] = id;
}

static int
next_at(void)
{
	return optind == 0 ? 1 : optind;
}

const char *
opts_peek(const struct opts *o)
{
	return next_at() < o->argc ? o->argv[next_at()] : NULL;
}

int
opts_word(struct opts *o)
{
	o->at = next_at();
	if (o->at >= o->argc)
		return OPTS_END;
	o->arg = o->value = o->argv[o->at];
	optind = o->at + 1;
	return OPTS_WORD;
}

static int
bad(struct opts *o, const char *why)
{
	o->why = why;
	return OPTS_BAD;
}

int
opts_next(struct opts *o)
{
	const char *arg = opts_peek(o);
	int c, row = 0;

	if (o->ended || arg == NULL)
		return opts_word(o);
	o->at = next_at();
	o->arg = arg;
	c = getopt_long(o->argc, o->argv, o->letters, o->rows, &row);
	o->value = optarg;
	switch (c) {
	case -1:
		o->ended = true;
		return opts_word(o);
	case 1:
		return OPTS_WORD;
	case ':':
		return bad(o, "needs a value");
	case '?':
		return bad(o, optopt >= LONG ? "takes no value" :
		    "is no option");
	}
	if (c < LONG)
		return o->id_of[c % 128];
	if (strlen(o->rows[row].name) != strcspn(arg + 2, "="))
		return bad(o, "is no option");
	return c - LONG;
}

void
opts_free(struct opts *o)
{
	for (int i = 0; i < o->n; i++)
		free((char *)(uintptr_t)o->rows[i].name);
	free(o->rows);
}
