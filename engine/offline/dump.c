/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dumps of segments, indexes, producer snapshots and the clean marker.  The
 * decoding is done here once more, apart from the code that writes, so that
 * both can be held against format.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "dump.h"
#include "lib/crc32c.h"
#include "lib/limits.h"
#include "lib/utf8.h"
#include "log/format.h"
#include "log/journal_file.h"
#include "log/roster.h"
#include "log/scan.h"

bool (*dump_meta_record)(const struct record *, struct wr *);

/* A dump under way: the file, and where lines go. */
struct dump {
	FILE		*out;
	bool		 json, meta;
	bool		 damaged;
	int64_t		 size;
	struct scan	 s;
	void		(*hurt)(void *, int64_t, int64_t, const char *);
	void		*arg;
};

/* Lines: a word, then fields. */
static void
line(struct dump *d, const char *word)
{
	fprintf(d->out, d->json ? "{\"type\":\"%s\"" : "%s", word);
}

static void
line_end(struct dump *d)
{
	fputs(d->json ? "}\n" : "\n", d->out);
}

static void
name(struct dump *d, const char *key, const char *suffix)
{
	fprintf(d->out, d->json ? ",\"%s%s\":" : " %s%s=", key, suffix);
}

static void
put_int(struct dump *d, const char *key, int64_t v)
{
	name(d, key, "");
	fprintf(d->out, "%" PRId64, v);
}

static void
put_bool(struct dump *d, const char *key, bool v)
{
	name(d, key, "");
	fputs(v ? "true" : "false", d->out);
}

static void
put_hex(struct dump *d, const char *key, const uint8_t *p, size_t n)
{
	name(d, key, "");
	fputs(d->json ? "\"" : "", d->out);
	while (n-- > 0)
		fprintf(d->out, "%02x", *p++);
	fputs(d->json ? "\"" : "", d->out);
}

static void
put_crc(struct dump *d, const char *key, uint32_t crc)
{
	uint8_t p[4];

	be32_put(p, crc);
	put_hex(d, key, p, sizeof p);
}

static void
put_quoted(struct dump *d, const uint8_t *p, size_t n)
{
	fputc('"', d->out);
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_len(p + i, n - i);
		if (len == 0)
			fprintf(d->out, "\\x%02x", p[i]);
		else if (p[i] == '"' || p[i] == '\\')
			fprintf(d->out, "\\%c", p[i]);
		else if (p[i] == '\n')
			fputs("\\n", d->out);
		else if (p[i] == '\t')
			fputs("\\t", d->out);
		else if (p[i] < 0x20 || p[i] == 0x7f)
			fprintf(d->out, d->json ? "\\u%04x" : "\\x%02x",
			    p[i]);
		else if (p[i] == 0xc2 && p[i + 1] < 0xa0)
			/* Terminals obey these too. */
			fprintf(d->out, d->json ? "\\u%04x" : "\\u{%x}",
			    p[i + 1]);
		else
			fwrite(p + i, 1, len, d->out);
		len += len == 0;
	}
	fputc('"', d->out);
}

/* Bytes of a message: JSON cannot hold all of them in a string. */
static void
put_bytes(struct dump *d, const char *key, const uint8_t *p, int32_t len)
{
	size_t n = len < 0 ? 0 : (size_t)len;

	if (d->json && !utf8_valid(p, n)) {
		name(d, key, "_hex");
		fputc('"', d->out);
		while (n-- > 0)
			fprintf(d->out, "%02x", *p++);
		fputc('"', d->out);
		return;
	}
	name(d, key, "");
	if (len < 0)
		fputs("null", d->out);
	else
		put_quoted(d, p, n);
}

static void
put_str(struct dump *d, const char *key, const char *s)
{
	name(d, key, "");
	put_quoted(d, (const uint8_t *)s, strlen(s));
}

/* n bytes from pos on are not what they should be; n = -1: unknown. */
static void
damage(struct dump *d, int64_t pos, int64_t n, const char *why)
{
	d->damaged = true;
	if (d->hurt != NULL)
		d->hurt(d->arg, pos, n, why);
	line(d, "damage");
	put_int(d, "position", pos);
	if (n >= 0)
		put_int(d, "bytes", n);
	put_str(d, "why", why);
	line_end(d);
}

/* n bytes at pos, which the file has; *p is good until the next call. */
static enum err
view(struct dump *d, int64_t pos, size_t n, const uint8_t **p)
{
	return scan_view(&d->s, pos, n, p);
}

static void
put_header(struct dump *d, const struct batch *b, int64_t pos, bool crc_ok)
{
	const char *codec = codec_name(b->attrs & BATCH_CODEC);

	line(d, "batch");
	put_int(d, "position", pos);
	put_int(d, "bytes", batch_size(b));
	put_int(d, "offset", b->base_offset);
	put_int(d, "last_offset", batch_last_offset(b));
	put_int(d, "records", b->count);
	put_int(d, "leader_epoch", b->leader_epoch);
	put_int(d, "magic", b->magic);
	put_crc(d, "crc", b->crc);
	put_bool(d, "crc_ok", crc_ok);
	put_int(d, "attributes", b->attrs);
	put_str(d, "codec", codec == NULL ? "unknown" : codec);
	put_str(d, "time", b->attrs & BATCH_LOG_TIME ? "append" : "create");
	put_bool(d, "transactional", b->attrs & BATCH_TXN);
	put_bool(d, "control", b->attrs & BATCH_CONTROL);
	put_int(d, "base_timestamp", b->base_ts);
	put_int(d, "max_timestamp", b->max_ts);
	put_int(d, "producer", b->pid);
	put_int(d, "producer_epoch", b->epoch);
	put_int(d, "sequence", b->base_seq);
	line_end(d);
}

static void
put_headers(struct dump *d, struct record *rec)
{
	struct header h;

	if (rec->nheaders == 0)
		return;
	name(d, "headers", "");
	fputc('[', d->out);
	for (int n = 0; header_next(rec, &h) == E_OK; n++) {
		bool hex = d->json && h.value_len > 0 &&
		    !utf8_valid(h.value, (size_t)h.value_len);

		if (n > 0)
			fputc(',', d->out);
		fputs(d->json ? "{\"key\":" : "", d->out);
		put_quoted(d, h.key, (size_t)h.key_len);
		fputs(!d->json ? ":" : hex ? ",\"value_hex\":\"" :
		    ",\"value\":", d->out);
		for (int32_t i = 0; hex && i < h.value_len; i++)
			fprintf(d->out, "%02x", h.value[i]);
		if (hex)
			fputc('"', d->out);
		else if (h.value_len < 0)
			fputs("null", d->out);
		else
			put_quoted(d, h.value, (size_t)h.value_len);
		fputs(d->json ? "}" : "", d->out);
	}
	fputc(']', d->out);
}

static void
put_record(struct dump *d, struct record *rec)
{
	struct wr words = wr_grow(16 * MIB);

	line(d, "record");
	put_int(d, "offset", rec->offset);
	put_int(d, "timestamp", rec->ts);
	if (d->meta && dump_meta_record != NULL &&
	    dump_meta_record(rec, &words) && !words.bad) {
		name(d, "is", "");
		if (d->json)
			put_quoted(d, words.p, words.len);
		else
			fwrite(words.p, 1, words.len, d->out);
	} else {
		put_bytes(d, "key", rec->key, rec->key_len);
		put_bytes(d, "value", rec->value, rec->value_len);
		put_headers(d, rec);
	}
	wr_free(&words);
	line_end(d);
}

static enum err
put_records(struct dump *d, const uint8_t *p, size_t n, int64_t pos)
{
	struct batch_iter it;
	struct record rec;
	enum err err;

	err = batch_iter_open(&it, p, n, INFLATE_MAX);
	while (err == E_OK && (err = batch_iter_next(&it, &rec)) == E_OK)
		put_record(d, &rec);
	batch_iter_close(&it);
	if (err == E_EOF || err == E_NOMEM)
		return err == E_EOF ? E_OK : err;
	damage(d, pos, (int64_t)n, "the records do not decode");
	return E_OK;
}

static enum err
dump_log(struct dump *d)
{
	int64_t pos, next, expect = -1;
	const uint8_t *p;
	const char *bad;
	struct batch b;
	enum err err;
	bool is;

	for (pos = 0; pos < d->size; pos = next) {
		if ((err = scan_batch(&d->s, pos, &b, &is, &p, &bad)) != E_OK)
			return err;
		if (!is) {
			err = scan_find(&d->s, pos + 1, 0, INT64_MAX, &next);
			if (err != E_OK)
				return err;
			damage(d, pos, next - pos, next < d->size ?
			    "no batch here" : "no whole batch up to the end");
			continue;
		}
		next = pos + batch_size(&b);
		put_header(d, &b, pos, bad == NULL);
		if (bad != NULL) {
			damage(d, pos, batch_size(&b), bad);
			continue;
		}
		if (b.base_offset < expect)
			damage(d, pos, batch_size(&b), "offsets go back");
		expect = batch_last_offset(&b) + 1;
		err = put_records(d, p, (size_t)batch_size(&b), pos);
		if (err != E_OK)
			return err;
	}
	return E_OK;
}

/* What .idx and .prod begin with. */
static void
put_identity(struct dump *d, const char *word, const uint8_t *p)
{
	line(d, word);
	put_int(d, "version", be16(p + 8));
	put_int(d, "flags", be16(p + 10));
	put_hex(d, "topic", p + 12, 16);
	put_int(d, "partition", (int32_t)be32(p + 28));
	put_int(d, "offset", (int64_t)be64(p + 32));
}

static enum err
dump_idx(struct dump *d)
{
	const uint8_t *p;
	uint32_t seed;
	enum err err;
	bool ok;

	if (d->size < IDX_HEADER) {
		damage(d, 0, d->size, "less than a header");
		return E_OK;
	}
	if ((err = view(d, 0, IDX_HEADER, &p)) != E_OK)
		return err;
	seed = be32(p + 60);
	ok = seed == crc32c(0, p, 60);
	put_identity(d, "index", p);
	put_bool(d, "crc_ok", ok);
	line_end(d);
	if (!ok || be16(p + 8) != IDX_VERSION || be16(p + 10) != 0)
		damage(d, 0, IDX_HEADER, ok ? "unknown version or flags" :
		    "wrong CRC");
	for (int64_t pos = IDX_HEADER; pos < d->size; pos += IDX_ENTRY) {
		if (d->size - pos < IDX_ENTRY) {
			damage(d, pos, d->size - pos, "a part of an entry");
			break;
		}
		if ((err = view(d, pos, IDX_ENTRY, &p)) != E_OK)
			return err;
		line(d, "entry");
		put_int(d, "offset", (int64_t)be64(p));
		put_int(d, "position", (int64_t)be64(p + 8));
		put_int(d, "max_timestamp", (int64_t)be64(p + 16));
		put_bool(d, "sealed", be32(p + 24) & IDX_SEALED);
		line_end(d);
		if (be32(p + 28) != crc32c(seed, p, 28))
			damage(d, pos, IDX_ENTRY, "wrong CRC");
	}
	return E_OK;
}

static void
put_producer(struct dump *d, struct rd *r)
{
	int n;

	line(d, "producer");
	put_int(d, "id", rd_i64(r));
	put_int(d, "epoch", rd_i16(r));
	put_int(d, "timestamp", rd_i64(r));
	n = rd_i8(r);
	put_int(d, "batches", n);
	line_end(d);
	if (n > PRODUCER_BATCHES)
		r->bad = true;
	while (n-- > 0 && !r->bad) {
		line(d, "appended");
		put_int(d, "sequence", rd_i32(r));
		put_int(d, "last_sequence", rd_i32(r));
		put_int(d, "offset", rd_i64(r));
		put_int(d, "last_offset", rd_i64(r));
		put_int(d, "timestamp", rd_i64(r));
		line_end(d);
	}
}

static enum err
dump_prod(struct dump *d)
{
	const uint8_t *p;
	struct rd r;
	int32_t n, seen = 0;
	size_t size = (size_t)d->size;
	enum err err;
	bool ok;

	if (d->size < PROD_HEADER + 4 || d->size > BATCH_MAX) {
		damage(d, 0, d->size, "not the size of a snapshot");
		return E_OK;
	}
	if ((err = view(d, 0, size, &p)) != E_OK)
		return err;
	ok = be32(p + size - 4) == crc32c(0, p, size - 4);
	r = rd_of(p + 40, size - 44);
	n = rd_i32(&r);
	put_identity(d, "producers", p);
	put_int(d, "count", n);
	put_bool(d, "crc_ok", ok);
	line_end(d);
	if (!ok || be16(p + 8) != PROD_VERSION || be16(p + 10) != 0)
		damage(d, 0, d->size, ok ? "unknown version or flags" :
		    "wrong CRC");
	for (; seen < n && rd_left(&r) > 0 && !r.bad; seen++)
		put_producer(d, &r);
	if (seen != n || !rd_done(&r))
		damage(d, 0, d->size,
		    "the number of producers is not that of the header");
	return E_OK;
}

static void
put_told(struct dump *d, const struct roster_part *x)
{
	struct roster_seg s;
	const char *why = roster_odd(x);

	line(d, "told");
	put_hex(d, "topic", x->id.topic.b, 16);
	put_int(d, "part", x->id.part);
	put_int(d, "leader_epoch", x->epoch);
	put_int(d, "epoch_start", x->epoch_start);
	put_int(d, "end_offset", x->end);
	put_int(d, "snapshot", x->snapped);
	if (x->deleted_due != INT64_MAX)
		put_int(d, "deleted_due", x->deleted_due);
	put_int(d, "directory_ns", x->dir_ns);
	put_int(d, "producer_bytes", (int64_t)x->nprods);
	put_int(d, "segments", x->nsegs);
	line_end(d);
	for (int i = 0; i < x->nsegs; i++) {
		roster_seg(x, i, &s);
		line(d, "segment");
		put_int(d, "offset", s.base);
		put_int(d, "end_offset", s.end);
		put_int(d, "bytes", s.size);
		put_int(d, "written_ns", s.written_ns);
		put_int(d, "inode", (int64_t)s.ino);
		put_int(d, "max_timestamp", s.max_ts);
		put_int(d, "first_timestamp", s.first_ts);
		put_int(d, "entries", s.nidx);
		put_bool(d, "sealed", s.sealed);
		line_end(d);
	}
	if (why != NULL)
		damage(d, 0, d->size, why);
}

static enum err
dump_clean(struct dump *d)
{
	struct roster_head h;
	struct roster_part x;
	const uint8_t *p;
	struct rd parts;
	enum err err;
	int32_t n = 0;

	if (d->size < CLEAN_SIZE || d->size > CLEAN_MAX) {
		damage(d, 0, d->size, "not the size of a clean marker");
		return E_OK;
	}
	if ((err = view(d, 0, (size_t)d->size, &p)) != E_OK)
		return err;
	err = roster_head(p, (size_t)d->size, &h, &parts);
	line(d, "clean");
	put_int(d, "version", be16(p + 8));
	put_int(d, "flags", be16(p + 10));
	put_bool(d, "crc_ok", err != E_CORRUPT);
	if (err == E_OK && h.stopped_ms >= 0) {
		put_int(d, "parts", h.n);
		put_int(d, "catalogue_end", h.meta_end);
		put_int(d, "stopped", h.stopped_ms);
	}
	line_end(d);
	if (err != E_OK) {
		damage(d, 0, d->size, err == E_CORRUPT ? "wrong CRC" :
		    "unknown version or flags");
		return E_OK;
	}
	for (; (err = roster_next(&parts, &x)) == E_OK; n++)
		put_told(d, &x);
	if (err == E_CORRUPT || n != h.n)
		damage(d, 0, d->size,
		    "the number of partitions is not that of the header");
	return E_OK;
}

/* A journal file: its lap, then each piece, and where whole records end. */
static enum err
dump_piece(const struct journal_piece *x, void *arg)
{
	struct dump *d = arg;

	line(d, "piece");
	put_hex(d, "topic", x->id.topic.b, 16);
	put_int(d, "part", x->id.part);
	put_int(d, "base", x->base);
	put_int(d, "position", x->pos);
	put_int(d, "length", x->len);
	line_end(d);
	return E_OK;
}

static enum err
dump_journal(struct dump *d)
{
	struct journal_head h;
	size_t end = 0, skipped = 0;
	const uint8_t *p;
	enum err err, bad;

	if (d->size > JOURNAL_BYTES_MAX) {
		damage(d, 0, d->size, "too large for a journal file");
		return E_OK;
	}
	if ((err = view(d, 0, (size_t)d->size, &p)) != E_OK)
		return err;
	bad = journal_head_get(p, (size_t)d->size, &h);
	if (bad != E_OK) {
		damage(d, 0, d->size, bad == E_UNSUPPORTED_VERSION ?
		    "unknown version or flags" : "no header of a journal file");
		return E_OK;
	}
	line(d, "journal");
	put_int(d, "lap", (int64_t)h.lap);
	put_bool(d, "free", h.lap == 0);
	line_end(d);
	if (h.lap == 0)
		return E_OK;
	bad = journal_scan(p, (size_t)d->size, &h, dump_piece, d, &end,
	    &skipped);
	line(d, "end");
	put_int(d, "position", (int64_t)end);
	line_end(d);
	if (bad != E_OK || skipped > 0)
		damage(d, 0, (int64_t)end, bad != E_OK ?
		    "a record that makes no sense" :
		    "records that are not whole before others that are");
	return E_OK;
}

/* What an import was making: format.h. */
static enum err
dump_importing(struct dump *d)
{
	const uint8_t *p = (const uint8_t *)"";
	enum err err;

	if (d->size > 0 &&
	    (err = view(d, 0, (size_t)d->size, &p)) != E_OK)
		return err;
	for (int64_t at = 0; at < d->size; at += IMPORTING_LINE) {
		bool whole = d->size - at >= IMPORTING_LINE &&
		    p[at + IMPORTING_LINE - 1] == '\n';

		for (int i = 0; whole && i < IMPORTING_LINE - 1; i++)
			whole = strchr("0123456789abcdef", p[at + i]) != NULL
			    && p[at + i] != '\0';
		if (!whole) {
			damage(d, at, d->size - at, "no topic id in a line");
			break;
		}
		line(d, "importing");
		name(d, "topic", "");
		fprintf(d->out, d->json ? "\"%.*s\"" : "%.*s",
		    IMPORTING_LINE - 1, (const char *)p + at);
		line_end(d);
	}
	return E_OK;
}

/* The lock, and the reserve of blocks. */
static enum err
dump_empty(struct dump *d, const char *word)
{
	line(d, word);
	line_end(d);
	if (d->size > 0)
		damage(d, 0, d->size, "the file should be empty");
	return E_OK;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* The last part of a path. */
static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static bool
in_meta(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash - path >= 4 &&
	    strncmp(slash - 4, "meta", 4) == 0 &&
	    (slash - path == 4 || slash[-5] == '/');
}

/* What recovery or retention took off a log has another name. */
static bool
is_log(const char *path, const uint8_t *p, size_t n)
{
	return ends_with(path, ".log") || strstr(path, "lost+found") != NULL ||
	    (strstr(base_name(path), ".log.") != NULL &&
	    ends_with(path, ".deleted")) || (n > 16 && p[16] == 2);
}

static enum err
dump_any(struct dump *d, const char *path)
{
	size_t n = d->size < BATCH_HEADER ? (size_t)d->size : BATCH_HEADER;
	const uint8_t *p = (const uint8_t *)"";
	enum err err;

	if (n > 0 && (err = view(d, 0, n, &p)) != E_OK)
		return err;
	if (ends_with(path, ".idx") ||
	    (n >= 8 && memcmp(p, IDX_MAGIC, 8) == 0))
		return dump_idx(d);
	if (ends_with(path, ".prod") ||
	    (n >= 8 && memcmp(p, PROD_MAGIC, 8) == 0))
		return dump_prod(d);
	if (strcmp(base_name(path), "clean") == 0 ||
	    (n >= 8 && memcmp(p, CLEAN_MAGIC, 8) == 0))
		return dump_clean(d);
	if (n >= 8 && memcmp(p, JOURNAL_MAGIC, 8) == 0)
		return dump_journal(d);
	if (strcmp(base_name(path), "LOCK") == 0)
		return dump_empty(d, "lock");
	if (strcmp(base_name(path), "reserve") == 0)
		return dump_empty(d, "reserve");
	if (strcmp(base_name(path), "importing") == 0)
		return dump_importing(d);
	return is_log(path, p, n) ? dump_log(d) : E_USAGE;
}

static enum err
run(struct dump *d, const char *path)
{
	enum err err;

	d->meta = in_meta(path);
	if ((err = scan_open(&d->s, path)) != E_OK)
		return err;
	d->size = d->s.size;
	err = dump_any(d, path);
	scan_close(&d->s);
	if (fflush(d->out) != 0 && err == E_OK)
		err = E_IO;
	return err == E_OK && d->damaged ? E_CORRUPT : err;
}

enum err
dump_file(const char *path, bool json, FILE *out)
{
	struct dump d = { .out = out, .json = json };

	return run(&d, path);
}

static ssize_t
nowhere(void *cookie, const char *p, size_t n)
{
	(void)cookie;
	(void)p;
	return (ssize_t)n;
}

enum err
dump_damage(const char *path, void (*hurt)(void *, int64_t, int64_t,
    const char *), void *arg)
{
	struct dump d = { .hurt = hurt, .arg = arg };
	enum err err;

	d.out = fopencookie(NULL, "w",
	    (cookie_io_functions_t){ .write = nowhere });
	if (d.out == NULL)
		return E_NOMEM;
	err = run(&d, path);
	(void)fclose(d.out);
	return err;
}

/* ---- directories -------------------------------------------------------- */

struct names {
	char	**v;
	size_t	  n;
	bool	  full;		/* no memory for more */
};

static int
names_add(const char *name, void *arg)
{
	struct names *x = arg;
	char **v = realloc(x->v, (x->n + 1) * sizeof *v);

	if (v != NULL) {
		x->v = v;
		v[x->n] = strdup(name);
		x->full = v[x->n] == NULL;
		x->n += !x->full;
	} else
		x->full = true;
	return x->full;
}

static int
names_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err
dir_entry(const char *path, int depth, bool json, FILE *out)
{
	struct dump d = { .out = out, .json = json };
	struct disk_stat st;
	enum err err = disk->stat(path, &st);

	/* A socket is no file, and one may go while we look. */
	if (err == E_NOTFOUND || ends_with(path, ".sock"))
		return E_OK;
	if (err == E_OK && st.dir)
		return depth > 0 ? dump_dir(path, depth - 1, json, out) :
		    E_OK;
	line(&d, "file");
	put_str(&d, "path", path);
	if (err == E_OK)
		put_int(&d, "bytes", st.size);
	line_end(&d);
	if (err == E_OK)
		err = dump_file(path, json, out);
	if (err == E_USAGE) {
		line(&d, "foreign");
		line_end(&d);
		err = E_OK;
	}
	return err;
}

enum err
dump_dir(const char *path, int depth, bool json, FILE *out)
{
	struct names x = { 0 };
	char sub[PATH_SIZE];
	enum err err = disk->list(path, names_add, &x), first = E_OK;

	if (err == E_OK && x.full)
		err = E_NOMEM;
	if (err == E_OK && x.n > 0)
		qsort(x.v, x.n, sizeof *x.v, names_order);
	for (size_t i = 0; i < x.n; i++) {
		snprintf(sub, sizeof sub, "%.2000s/%.2000s", path, x.v[i]);
		if (err == E_OK && first != E_NOMEM) {
			enum err e = dir_entry(sub, depth, json, out);

			first = first == E_OK ? e : first;
		}
		free(x.v[i]);
	}
	free(x.v);
	return err == E_OK ? first : err;
}
