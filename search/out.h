/* SPDX-License-Identifier: Apache-2.0 */
/* Hits on standard output, in the formats of chronik-search(1). */
#ifndef OUT_H
#define OUT_H

#include "walk.h"

enum format { OUT_TEXT, OUT_JSON, OUT_JSONL, OUT_RAW, OUT_TSV,
    OUT_TEMPLATE };

/* What may stand behind a % in a template. */
#define OUT_TEMPLATE_LETTERS	"tposTkvhS%"

struct out {
	enum format	 format;
	const char	*template;
	const char	*fields;	/* NULL: the value */
	bool		 color, null;
	int64_t		 shown;
	struct wr	 w;		/* not written yet */
	struct doc	 doc;
	bool		 failed;	/* standard output does */
};

void	 out_open(struct out *);
/* Before and after the hits of a search. */
void	 out_begin(struct out *);
void	 out_end(struct out *, const struct search *);
/* context: a record beside a hit, which need not match. */
void	 out_hit(struct out *, struct search *, const struct hit *,
	    bool context);
/* A line between groups of records. */
void	 out_gap(struct out *);
void	 out_close(struct out *);
void	 out_flush(struct out *);

/* Text as JSON has it: quoted, UTF-8 only. */
void	 out_json_text(struct wr *, const char *, size_t n);
/* The same, whatever bytes it holds. */
void	 out_json_any(struct wr *, const char *, size_t n);
void	 out_time(char out[32], int64_t ms);

#endif
