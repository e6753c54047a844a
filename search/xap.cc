// SPDX-License-Identifier: Apache-2.0
/*
 * All the C++: what xap.h promises, by Xapian.  Every function that calls it
 * stands in guard(), which turns exceptions into errors.
 */
#include <cfloat>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <xapian.h>

#include "times.h"
#include "xap.h"

namespace {

thread_local std::string why_text;

const int open_flags = Xapian::DB_NO_TERMLIST;
/* Less of each block is left over, and a term is found in fewer of them, than
 * with Xapian's 8 KiB. */
const int compact_block = 16384;

template <typename F>
enum err
guard(F f)
{
	try {
		f();
		return E_OK;
	} catch (const Xapian::DatabaseLockError &e) {
		why_text = e.get_msg();
		return E_BUSY;
	} catch (const Xapian::DatabaseModifiedError &e) {
		why_text = e.get_msg();
		return E_BUSY;
	} catch (const Xapian::DatabaseNotFoundError &e) {
		why_text = e.get_msg();
		return E_NOTFOUND;
	} catch (const Xapian::DatabaseCorruptError &e) {
		why_text = e.get_msg();
		return E_CORRUPT;
	} catch (const Xapian::DatabaseVersionError &e) {
		why_text = e.get_msg();
		return E_CORRUPT;
	} catch (const Xapian::DatabaseOpeningError &e) {
		why_text = e.get_msg();
		return E_CORRUPT;
	} catch (const Xapian::WildcardError &e) {
		why_text = e.get_msg();
		return E_TOO_LARGE;
	} catch (const Xapian::Error &e) {
		why_text = e.get_msg();
		const char *s = e.get_error_string();
		if (s != nullptr && strcmp(s, strerror(ENOSPC)) == 0)
			return E_NOSPC;
		return E_IO;
	} catch (const std::bad_alloc &) {
		return E_NOMEM;
	} catch (...) {
		why_text = "unknown exception";
		return E_IO;
	}
}

enum { REOPEN_TRIES = 3 };

/* A reader of a database that is being written may have to begin again. */
template <typename F>
enum err
guard_read(Xapian::Database &db, F f)
{
	enum err e = E_BUSY;

	for (int i = 0; i < REOPEN_TRIES && e == E_BUSY; i++) {
		if (i > 0)
			e = guard([&] { db.reopen(); });
		if (i == 0 || e == E_OK)
			e = guard(f);
	}
	return e;
}

void
metas(const Xapian::Database &db, const char *prefix,
    bool (*each)(void *, const char *, const char *, size_t), void *arg)
{
	for (auto it = db.metadata_keys_begin(prefix);
	    it != db.metadata_keys_end(prefix); ++it) {
		std::string key = *it, value = db.get_metadata(key);

		if (!each(arg, key.c_str(), value.data(), value.size()))
			break;
	}
}

char *
dup(const std::string &s)
{
	return strndup(s.data(), s.size());
}

} // namespace

const char *
xap_why(void)
{
	return why_text.c_str();
}

// ---- writing ---------------------------------------------------------------

struct xap_writer {
	Xapian::WritableDatabase db;
	Xapian::Document doc;
};

enum err
xap_writer_open(const char *path, struct xap_writer **out)
{
	return guard([&] {
		Xapian::WritableDatabase db(path, Xapian::DB_CREATE_OR_OPEN |
		    Xapian::DB_BACKEND_GLASS | open_flags);

		db.begin_transaction();
		*out = new xap_writer{ db, Xapian::Document() };
	});
}

void
xap_writer_close(struct xap_writer *w)
{
	if (w == nullptr)
		return;
	(void)guard([&] { w->db.cancel_transaction(); });
	(void)guard([&] { w->db.close(); });
	(void)guard([&] { delete w; });
}

enum err
xap_term(struct xap_writer *w, const char *s, size_t n, int wdf)
{
	return guard([&] {
		w->doc.add_term(std::string(s, n), (Xapian::termcount)wdf);
	});
}

enum err
xap_posting(struct xap_writer *w, const char *s, size_t n, unsigned position,
    int wdf)
{
	return guard([&] {
		w->doc.add_posting(std::string(s, n), position,
		    (Xapian::termcount)wdf);
	});
}

enum err
xap_value(struct xap_writer *w, int slot, double v)
{
	return guard([&] {
		w->doc.add_value((Xapian::valueno)slot,
		    Xapian::sortable_serialise(v));
	});
}

enum err
xap_add(struct xap_writer *w, uint32_t id)
{
	enum err e = guard([&] { w->db.replace_document(id, w->doc); });

	(void)guard([&] { w->doc = Xapian::Document(); });
	return e;
}

enum err
xap_writer_count(struct xap_writer *w, uint32_t *docs)
{
	return guard([&] { *docs = w->db.get_doccount(); });
}

enum err
xap_meta_set(struct xap_writer *w, const char *key, const char *value,
    size_t n)
{
	return guard([&] { w->db.set_metadata(key, std::string(value, n)); });
}

enum err
xap_writer_metas(struct xap_writer *w, const char *prefix,
    bool (*each)(void *, const char *, const char *, size_t), void *arg)
{
	return guard([&] { metas(w->db, prefix, each, arg); });
}

enum err
xap_commit(struct xap_writer *w)
{
	return guard([&] {
		w->db.commit_transaction();
		w->db.begin_transaction();
	});
}

enum err
xap_compact(const char *from, const char *to)
{
	return guard([&] {
		Xapian::Database db(from, open_flags);

		db.compact(to, Xapian::DBCOMPACT_SINGLE_FILE |
		    Xapian::DBCOMPACT_NO_RENUMBER, compact_block);
	});
}

// ---- reading ---------------------------------------------------------------

struct xap_db {
	Xapian::Database db;
};

enum err
xap_open(const char *path, struct xap_db **out)
{
	return guard([&] {
		*out = new xap_db{ Xapian::Database(path, open_flags) };
	});
}

void
xap_close(struct xap_db *d)
{
	(void)guard([&] { delete d; });
}

enum err
xap_meta(struct xap_db *d, const char *key, char **out)
{
	return guard_read(d->db, [&] {
		*out = dup(d->db.get_metadata(key));
		if (*out == nullptr)
			throw std::bad_alloc();
	});
}

enum err
xap_metas(struct xap_db *d, const char *prefix,
    bool (*each)(void *, const char *, const char *, size_t), void *arg)
{
	/* Not begun again, as terms are not. */
	return guard([&] { metas(d->db, prefix, each, arg); });
}

enum err
xap_counts(struct xap_db *d, uint32_t *docs, uint32_t *last)
{
	return guard_read(d->db, [&] {
		*docs = d->db.get_doccount();
		*last = d->db.get_lastdocid();
	});
}

enum err
xap_terms(struct xap_db *d, const char *prefix, size_t n,
    bool (*each)(void *, const char *, size_t, uint32_t), void *arg)
{
	/* Not begun again: terms would be told twice. */
	return guard([&] {
		std::string p(prefix, n);

		for (auto it = d->db.allterms_begin(p);
		    it != d->db.allterms_end(p); ++it) {
			std::string t = *it;

			if (!each(arg, t.data(), t.size(), it.get_termfreq()))
				break;
		}
	});
}

enum err
xap_has(struct xap_db *d, const char *s, size_t n, uint32_t id, bool *has)
{
	return guard_read(d->db, [&] {
		std::string t(s, n);
		auto it = d->db.postlist_begin(t);

		if (it != d->db.postlist_end(t))
			it.skip_to(id);
		*has = it != d->db.postlist_end(t) && *it == id;
	});
}

enum err
xap_each(struct xap_db *d, bool (*each)(void *, uint32_t), void *arg)
{
	return guard([&] {
		for (auto it = d->db.postlist_begin("");
		    it != d->db.postlist_end(""); ++it)
			if (!each(arg, *it))
				break;
	});
}

// ---- queries ---------------------------------------------------------------

struct xap_query {
	Xapian::Query q;
};

namespace {

template <typename F>
struct xap_query *
make(F f)
{
	struct xap_query *out = nullptr;

	if (guard([&] { out = new xap_query{ f() }; }) != E_OK)
		return nullptr;
	return out;
}

/* The ids from low to high, whether there are such documents or not: beside
 * it others need not be looked through from their beginning. */
class id_range : public Xapian::PostingSource {
	Xapian::docid low, high, at = 0;

public:
	id_range(Xapian::docid l, Xapian::docid h) : low(l), high(h) { }
	PostingSource *clone() const { return new id_range(low, high); }
	Xapian::doccount get_termfreq_min() const { return 0; }
	Xapian::doccount get_termfreq_est() const { return high - low + 1; }
	Xapian::doccount get_termfreq_max() const { return high - low + 1; }
	void init(const Xapian::Database &) { at = low - 1; }
	void next(double) { at++; }
	void skip_to(Xapian::docid id, double)
	{
		at = id > at ? id : at;
		at = at > low ? at : low;	/* also without a next before */
	}
	bool at_end() const { return at > high; }
	Xapian::docid get_docid() const { return at; }
};

/* The ids that have timestamps from low to high, and some beside them that no
 * document has. */
class time_range : public Xapian::PostingSource {
	int64_t low, high;
	Xapian::Database db;
	Xapian::docid at = 0, last = 0;
	unsigned block = 0;
	bool loaded = false, more = false;
	std::string bytes;
	struct times_at here;

	bool step()
	{
		enum err e = times_next(&here);

		if (e == E_CORRUPT)
			throw Xapian::DatabaseCorruptError("timestamps");
		return e == E_OK;
	}

	void load(unsigned no)
	{
		char key[TIMES_NAME];

		times_key(key, no);
		bytes = db.get_metadata(key);
		times_begin(&here, no, bytes.data(), bytes.size());
		block = no;
		loaded = true;
		more = step();
	}

	/* To the first of them from id on. */
	void seek(Xapian::docid id)
	{
		for (; id <= last; id = (block + 1) * TIMES_BLOCK + 1) {
			if (!loaded || times_block(id) != block)
				load(times_block(id));
			while (more && (here.first + here.n <= id ||
			    here.ts < low || here.ts > high))
				more = step();
			if (more) {
				at = id > here.first ? id : here.first;
				return;
			}
		}
		at = last + 1;
	}

public:
	time_range(int64_t l, int64_t h) : low(l), high(h) { }
	PostingSource *clone() const { return new time_range(low, high); }
	Xapian::doccount get_termfreq_min() const { return 0; }
	Xapian::doccount get_termfreq_est() const { return last; }
	Xapian::doccount get_termfreq_max() const { return last; }
	void init(const Xapian::Database &d)
	{
		db = d;
		at = 0;
		last = db.get_lastdocid();
		loaded = false;
	}
	void next(double) { seek(at + 1); }
	void skip_to(Xapian::docid id, double)
	{
		if (id > at)
			seek(id);
	}
	bool at_end() const { return at > last; }
	Xapian::docid get_docid() const { return at; }
};

} // namespace

struct xap_query *
xap_q_all(void)
{
	return make([] { return Xapian::Query::MatchAll; });
}

struct xap_query *
xap_q_none(void)
{
	return make([] { return Xapian::Query::MatchNothing; });
}

struct xap_query *
xap_q_term(const char *s, size_t n)
{
	return make([&] { return Xapian::Query(std::string(s, n)); });
}

struct xap_query *
xap_q_start(const char *s, size_t n, int expand_max)
{
	return make([&] {
		return Xapian::Query(Xapian::Query::OP_WILDCARD,
		    std::string(s, n), (Xapian::termcount)expand_max,
		    Xapian::Query::WILDCARD_LIMIT_ERROR,
		    Xapian::Query::OP_OR);
	});
}

struct xap_query *
xap_q_range(int slot, double low, double high)
{
	return make([&] {
		return Xapian::Query(Xapian::Query::OP_VALUE_RANGE,
		    (Xapian::valueno)slot, Xapian::sortable_serialise(low),
		    Xapian::sortable_serialise(high));
	});
}

struct xap_query *
xap_q_times(int64_t low, int64_t high)
{
	return make([&] {
		time_range range(low, high);

		return Xapian::Query(Xapian::Query::OP_AND,
		    Xapian::Query::MatchAll, Xapian::Query(&range));
	});
}

struct xap_query *
xap_q_join(enum xap_op op, struct xap_query **v, int n)
{
	struct xap_query *out = nullptr;
	bool whole = true;

	for (int i = 0; i < n; i++)
		whole = whole && v[i] != nullptr;
	if (whole)
		out = make([&] {
			std::vector<Xapian::Query> qs;

			for (int i = 0; i < n; i++)
				qs.push_back(v[i]->q);
			if (op == XAP_NOT)
				return Xapian::Query(
				    Xapian::Query::OP_AND_NOT, qs[0], qs[1]);
			return Xapian::Query(op == XAP_AND ?
			    Xapian::Query::OP_AND : op == XAP_OR ?
			    Xapian::Query::OP_OR : Xapian::Query::OP_PHRASE,
			    qs.begin(), qs.end());
		});
	for (int i = 0; i < n; i++)
		xap_q_free(v[i]);
	return out;
}

void
xap_q_free(struct xap_query *q)
{
	(void)guard([&] { delete q; });
}

struct xap_query *
xap_q_copy(const struct xap_query *q)
{
	return make([&] { return q->q; });
}

char *
xap_q_text(const struct xap_query *q)
{
	char *out = nullptr;

	(void)guard([&] { out = dup(q->q.get_description()); });
	return out;
}

enum err
xap_match(struct xap_db *d, const struct xap_query *q, uint32_t low,
    uint32_t high, uint32_t *ids, uint32_t *n)
{
	return guard_read(d->db, [&] {
		Xapian::Enquire enq(d->db);
		id_range range(low, high);

		enq.set_query(Xapian::Query(Xapian::Query::OP_AND, q->q,
		    Xapian::Query(&range)));
		enq.set_weighting_scheme(Xapian::BoolWeight());
		Xapian::MSet m = enq.get_mset(0, high - low + 1);
		*n = 0;
		for (auto it = m.begin(); it != m.end(); ++it)
			ids[(*n)++] = *it;
	});
}

enum err
xap_count(struct xap_db *d, const struct xap_query *q, uint32_t *total)
{
	return guard_read(d->db, [&] {
		Xapian::Enquire enq(d->db);

		enq.set_query(q->q);
		enq.set_weighting_scheme(Xapian::BoolWeight());
		/* How many have one term is written down. */
		Xapian::MSet m = enq.get_mset(0, 0, (Xapian::doccount)0);

		*total = m.get_matches_lower_bound();
		if (*total == m.get_matches_upper_bound())
			return;
		m = enq.get_mset(0, 0, d->db.get_doccount());
		*total = m.get_matches_lower_bound();
	});
}

// ---- relevance -------------------------------------------------------------

struct xap_all {
	Xapian::Database db;
	int n;
};

enum err
xap_all_open(struct xap_db *const *v, int n, struct xap_all **out)
{
	return guard([&] {
		Xapian::Database all;

		for (int i = 0; i < n; i++)
			all.add_database(v[i]->db);
		*out = new xap_all{ all, n };
	});
}

void
xap_all_close(struct xap_all *a)
{
	(void)guard([&] { delete a; });
}

enum err
xap_rank(struct xap_all *a, const struct xap_query *q, uint32_t from,
    uint32_t max, struct xap_hit *hits, uint32_t *n, uint32_t *total)
{
	return guard_read(a->db, [&] {
		Xapian::Enquire enq(a->db);
		unsigned dbs = (unsigned)a->n;

		enq.set_query(q->q);
		enq.set_weighting_scheme(
		    Xapian::BM25Weight(1.2, 0, 1, 0.75, 0));
		Xapian::MSet m = enq.get_mset(from, max);
		*n = 0;
		for (auto it = m.begin(); it != m.end(); ++it)
			hits[(*n)++] = xap_hit{ (int)((*it - 1) % dbs),
			    (*it - 1) / dbs + 1, it.get_weight() };
		*total = m.get_matches_estimated();
	});
}

size_t
xap_stem(const char *s, size_t n, char *out, size_t size)
{
	size_t len = 0;

	(void)guard([&] {
		thread_local const Xapian::Stem stem("en");
		std::string t = stem(std::string(s, n));

		if (t.size() <= size) {
			memcpy(out, t.data(), t.size());
			len = t.size();
		}
	});
	return len;
}
