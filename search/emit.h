/* SPDX-License-Identifier: Apache-2.0 */
/* From a record to the terms that the index has of it. */
#ifndef EMIT_H
#define EMIT_H

#include "doc.h"
#include "sconf.h"
#include "shape.h"
#include "terms.h"
#include "token.h"

/* Where terms go to: the index, or whoever compares with it. */
struct emit_sink {
	void		*arg;
	/* position -1: none */
	enum err	(*term)(void *, const struct term_buf *, int position,
			    int wdf);
	/* The slot is that of a numeric member, sconf_slot. */
	enum err	(*value)(void *, int slot, double);
	struct shapes	*shapes;	/* NULL: none */
};

/* Everything of one record.  Returns the first error of the sink's. */
enum err emit_doc(const struct doc *, const struct sconf *,
	    const struct emit_sink *) MUST;

/* The term for a shape. */
void	 emit_shape(struct term_buf *, int number);
/* The term for a word, as the topic's configs have it. */
void	 emit_word(struct term_buf *, const struct sconf *, enum term,
	    const char *path, const char *, size_t n);
/* Whether a key is one word, as it is: one term says both. */
bool	 emit_key_is_word(const struct sconf *, const char *, size_t n);
/* The stem of a word that has one there; false: it has none. */
bool	 emit_stem(struct term_buf *, const struct sconf *, enum term,
	    const char *path, const char *, size_t n);
/* Whether two neighbours are a term of their own: parts of an address or a
 * time.  It depends on them alone, so that a query can tell as well. */
bool	 emit_pairs(const struct token *, const struct token *);
void	 emit_pair(struct term_buf *, const struct token *,
	    const struct token *);
/* Whether a value has a term of its own beside its words: not one that hardly
 * any other record has, which would be most of the index. */
bool	 emit_has_equal(const char *, size_t n);
void	 emit_equal(struct term_buf *, const struct sconf *,
	    const char *path, const char *, size_t n);

#endif
