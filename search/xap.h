/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C face of Xapian: xap.cc is the only C++ of the project, and no
 * exception leaves it.  Databases have no term lists; a document is its id and
 * its terms.  xap_why() says more about the last error of this thread.
 *
 * E_BUSY: locked by another writer, or changed too often under a reader.
 * E_NOTFOUND: no such database.  E_CORRUPT: it is damaged, or none.
 */
#ifndef XAP_H
#define XAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define _Noreturn [[noreturn]]
extern "C" {
#endif
#include "lib/err.h"

const char	*xap_why(void);

/* ---- writing ----------------------------------------------------------- */

struct xap_writer;

/* Opens, making it when it is not there. */
enum err	 xap_writer_open(const char *path, struct xap_writer **) MUST;
/* Without a commit what was added since the last one is lost. */
void		 xap_writer_close(struct xap_writer *);
/* One document at a time: terms, values, then the id that it gets, which is
 * greater than all before. */
enum err	 xap_term(struct xap_writer *, const char *, size_t n, int wdf)
		    MUST;
enum err	 xap_posting(struct xap_writer *, const char *, size_t n,
		    unsigned position, int wdf) MUST;
enum err	 xap_value(struct xap_writer *, int slot, double) MUST;
enum err	 xap_add(struct xap_writer *, uint32_t id) MUST;
enum err	 xap_writer_count(struct xap_writer *, uint32_t *docs) MUST;
enum err	 xap_meta_set(struct xap_writer *, const char *key,
		    const char *value, size_t n) MUST;
enum err	 xap_writer_metas(struct xap_writer *, const char *prefix,
		    bool (*each)(void *, const char *key, const char *value,
		    size_t n), void *) MUST;
/* Everything since the last one becomes durable, all or nothing. */
enum err	 xap_commit(struct xap_writer *) MUST;
/* Copies a database into one compact file with the same ids; not synced. */
enum err	 xap_compact(const char *from, const char *to) MUST;

/* ---- reading ----------------------------------------------------------- */

struct xap_db;
struct xap_query;

enum err	 xap_open(const char *path, struct xap_db **) MUST;
void		 xap_close(struct xap_db *);	/* harmless on NULL */
/* Allocated; "" when it is not set. */
enum err	 xap_meta(struct xap_db *, const char *key, char **) MUST;
/* Calls with what has a key that begins so, until it returns false. */
enum err	 xap_metas(struct xap_db *, const char *prefix,
		    bool (*each)(void *, const char *key, const char *value,
		    size_t n), void *) MUST;
enum err	 xap_counts(struct xap_db *, uint32_t *docs, uint32_t *last)
		    MUST;
/* Calls for each term from a prefix on until it returns false. */
enum err	 xap_terms(struct xap_db *, const char *prefix, size_t n,
		    bool (*each)(void *, const char *, size_t n,
		    uint32_t docs), void *) MUST;
/* Whether a document has the term ("": whether it is there). */
enum err	 xap_has(struct xap_db *, const char *, size_t n, uint32_t id,
		    bool *) MUST;
/* Calls with the id of every document, rising. */
enum err	 xap_each(struct xap_db *, bool (*each)(void *, uint32_t id),
		    void *) MUST;

/* Queries; NULL without memory.  Those that take queries free them, also when
 * they return NULL; a NULL among them makes NULL. */
struct xap_query *xap_q_all(void);
struct xap_query *xap_q_none(void);
struct xap_query *xap_q_term(const char *, size_t n);
struct xap_query *xap_q_start(const char *, size_t n, int expand_max);
struct xap_query *xap_q_range(int slot, double low, double high);
/* Documents of those timestamps; see times.h. */
struct xap_query *xap_q_times(int64_t low, int64_t high);
enum xap_op { XAP_AND, XAP_OR, XAP_NOT, XAP_PHRASE };
struct xap_query *xap_q_join(enum xap_op, struct xap_query **, int n);
void		 xap_q_free(struct xap_query *);
struct xap_query *xap_q_copy(const struct xap_query *);
/* Allocated; for --explain. */
char		*xap_q_text(const struct xap_query *);

/* The ids of the matches from low to high, both included, rising: *n of them,
 * for which ids has room.  E_TOO_LARGE: a beginning stands for too many
 * terms. */
enum err	 xap_match(struct xap_db *, const struct xap_query *,
		    uint32_t low, uint32_t high, uint32_t *ids, uint32_t *n)
		    MUST;
/* How many matches there are. */
enum err	 xap_count(struct xap_db *, const struct xap_query *,
		    uint32_t *) MUST;

/* Several databases as one, for relevance: BM25 with k1 1.2 and b 0.75. */
struct xap_all;
enum err	 xap_all_open(struct xap_db *const *, int n, struct xap_all **)
		    MUST;
void		 xap_all_close(struct xap_all *);
struct xap_hit { int db; uint32_t id; double score; };
enum err	 xap_rank(struct xap_all *, const struct xap_query *,
		    uint32_t from, uint32_t max, struct xap_hit *,
		    uint32_t *n, uint32_t *total) MUST;

/* The English stem of a folded word; its length, 0 without memory. */
size_t		 xap_stem(const char *, size_t n, char *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
