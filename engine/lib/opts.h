/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines, by getopt_long(3): --name VALUE, --name=VALUE, -x VALUE,
 * -xVALUE, -xy, with words among them; behind "--" there are words only.
 * Names are given whole, lest a new option change what an old command line
 * means; they may be joined by '-', '_' or '.'.  One is read at a time.
 */
#ifndef OPTS_H
#define OPTS_H

#include <getopt.h>
#include <stdbool.h>

enum { OPTS_END = -1, OPTS_WORD = -2, OPTS_BAD = -3 };

struct opts {
	int		 argc;
	char		**argv;
	struct option	*rows;
	int		 n, id_of[128];		/* by letter */
	char		 letters[256];
	bool		 ended;			/* "--" was seen */
	int		 at;			/* what was read: in argv */
	const char	*arg;			/* ... as it was written */
	const char	*value;			/* of an option, or the word */
	const char	*why;			/* OPTS_BAD: "is no option" */
};

/* argv[0] is passed over.  The strings are borrowed. */
void	 opts_init(struct opts *, int argc, char **argv);
/* letter 0: it has none; takes: a value. */
void	 opts_add(struct opts *, int id, const char *name, char letter,
	    bool takes);
/* The id, from 0 on, of the option that comes next, or one of the above. */
int	 opts_next(struct opts *);
/* What comes next; NULL: nothing. */
const char *opts_peek(const struct opts *);
/* That as a word, whatever it looks like. */
int	 opts_word(struct opts *);
void	 opts_free(struct opts *);

#endif
