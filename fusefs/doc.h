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
/* doc_group.c: the id of a group that has this name; null: there is none. */
struct kstr group_id(const char *name, struct arena *);
const struct offset_fetch_req *group_offsets_req(struct arena *,
	    const char *name);

void	 doc_record_start(struct node *);	/* doc_record.c */
void	 doc_group_start(struct node *);	/* doc_group.c */
void	 doc_offset_start(struct node *);	/* offsets.c */
void	 doc_engine_start(struct node *);	/* doc_status.c */
/* At once, without doc_done: */
void	 doc_query(struct node *);		/* search.c */
void	 doc_readme(struct node *);		/* doc_status.c */
void	 doc_status(struct node *);

#endif
