/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes which document.  A maker calls doc_set or doc_set_json when it has
 * the text, and doc_done, once, at the end.
 */
#ifndef DOC_H
#define DOC_H

#include <jansson.h>

#include "fs.h"

/* Takes over text (of malloc, or NULL: no memory). */
void	 doc_set(struct node *, char *text, size_t len);
void	 doc_set_json(struct node *, json_t *);	/* takes it over, too */
void	 doc_done(struct node *, enum err);
/* Asks the engine; req lives in the document's memory.  NULL: ends it. */
void	 doc_call(struct node *, int type, int version, const void *req,
	    void (*done)(struct ecall *, enum err, void *));
json_t	*json_kstr(struct kstr);

void	 doc_record_start(struct node *);	/* doc_record.c */
void	 doc_group_start(struct node *);	/* doc_group.c */
/* At once, without doc_done: */
void	 doc_query(struct node *);		/* search.c */
void	 doc_readme(struct node *);		/* doc_status.c */
void	 doc_status(struct node *);

#endif
