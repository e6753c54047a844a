/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as search sees it: its texts, the members of its JSON, its key and
 * its headers.  The index is made of this and records are checked against it,
 * so what is left out (see limits.h) is left out of both.
 */
#ifndef DOC_H
#define DOC_H

#include "lib/batch.h"

/* A scalar of the value, or all of a value that is not JSON. */
struct doc_text {
	const char	*path;		/* NULL: of no member */
	const char	*raw, *text;	/* as it is; folded */
	size_t		 raw_len, len;
	double		 num;
	bool		 is_num, is_str;
	bool		 words;		/* it has words */
};

struct doc_header {
	const char	*name;
	size_t		 name_len;
	struct doc_text	 value;
};

struct doc {
	struct arena	 arena;
	bool		 json, tombstone;
	int		 ntexts, texts_cap;
	struct doc_text	*texts;
	int		 npaths, paths_cap;
	const char	**paths;	/* of members, also of objects */
	int		 nheaders;
	struct doc_header *headers;
	struct doc_text	 key;		/* raw NULL: none */
};

void	 doc_init(struct doc *);
/* What the record holds; borrows from it.  A member that is there twice counts
 * twice.  The last one's memory is used again.  E_NOMEM; a record whose headers
 * make no sense is E_INVALID_RECORD. */
enum err doc_read(struct doc *, const struct record *) MUST;
void	 doc_free(struct doc *);
/* The i-th text that has words, of value, key and headers; NULL: no more. */
const struct doc_text *doc_words(const struct doc *, int i);

#endif
