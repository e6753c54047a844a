/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a word is: the one tokenizer, for the index and for the check of
 * records, which must agree.  A word is a run of letters, digits, marks and
 * '_'; a Chinese or Japanese character is a word of its own.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/arena.h"

/* A word of a folded text, borrowed from it. */
struct token {
	const char	*p;
	size_t		 n;
	bool		 glued;	/* no blank between the word before and it */
};

struct tokens {
	const char	*at, *end;
	bool		 blank;
};

/*
 * The text in lower case and normal form (NFC), in the arena; bytes that are
 * not UTF-8 become blanks.  NULL without memory.  Text that is folded already
 * ASCII comes back as it is.
 */
const char *text_fold(const char *, size_t n, size_t *out, struct arena *);
void	 tokens_init(struct tokens *, const char *folded, size_t n);
bool	 tokens_next(struct tokens *, struct token *);
/* Whether a word could begin, or end, at p, between a text's two ends. */
bool	 token_edge(const char *start, const char *p, const char *end);
/* Looks like a random identifier, which search.ids=false leaves out. */
bool	 token_is_id(const char *, size_t n);
/*
 * A number that hardly any other record has, as a time in ms; the index leaves
 * out its last digits, so that some records share what is left.
 */
enum { TOKEN_LONG = 12, TOKEN_LONG_CUT = 3 };
bool	 token_is_long(const char *, size_t n);
bool	 token_is_digits(const char *, size_t n);
/* Counts for nothing in relevance. */
bool	 token_is_stop(const char *, size_t n);

#endif
