/* SPDX-License-Identifier: Apache-2.0 */
/* Writing keyed records, and comparing what is left of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_gen.h"
#include "ck.h"
#include "keylog.h"
#include "log/look.h"

enum { BATCH_RECORDS = 8 };

struct keylog kl;

uint32_t
kl_rnd(uint32_t n)
{
	return made_rnd(&kl.seed) % n;
}

/* ---- the log and its model ---------------------------------------------- */

static void
look(void)
{
	struct topic *t = topic_find(&kl.r.eng.topics, kstr_of("t"));

	ck_assert_ptr_nonnull(t);
	kl.p = t->parts[0];
	kl.tc = &t->conf;
}

static void
configure(void)
{
	kl.tc->cleanup_policy = CLEANUP_COMPACT;
	kl.tc->segment_bytes = 6000;
	kl.tc->min_cleanable_dirty_ratio = 0.1;
	kl.tc->delete_retention_ms = 100000;
	kl.tc->file_delete_delay_ms = 0;
	part_policy(kl.p);
}

void
kl_begin(uint32_t s)
{
	kl.seed = s;
	kl.n = 0;
	kl.seen = 0;
	memset(kl.seqs, 0, sizeof kl.seqs);
	memset(kl.recs, 0, sizeof kl.recs);
	rig_init(&kl.r);
	if (!kl.journal)
		kl.r.conf.journal_bytes = 0;
	ck_assert_int_eq(rig_open(&kl.r), E_OK);
	(void)rig_topic(&kl.r, "t", 1);
	look();
	configure();
}

void
kl_again(bool crash)
{
	struct topic_conf was = *kl.tc;

	if (crash) {
		engine_drain(&kl.r.eng);
		rig_kill(&kl.r);
		sim_crash(kl.r.disk, made_rnd(&kl.seed));
	} else
		ck_assert_int_eq(rig_stop(&kl.r), E_OK);
	ck_assert_int_eq(rig_open(&kl.r), E_OK);
	look();
	*kl.tc = was;
	part_policy(kl.p);
}

void
kl_end(void)
{
	rig_kill(&kl.r);
	rig_free(&kl.r);
}

static void
value_of(uint8_t *v, int64_t offset, int32_t len)
{
	for (int32_t i = 0; i < len; i++)
		v[i] = (uint8_t)(offset * 31 + i * 7);
}

static int
key_of(char *k, int key)
{
	return sprintf(k, "key-%d%.*s", key, key % 5, "xxxxx");
}

/* The next record of the batch; ts 0: now, more or less. */
void
kl_add(struct batch_maker *m, int key, int32_t value, int64_t ts)
{
	static const struct header h = { (const uint8_t *)"h", NULL, 1, -1 };
	struct kl_rec *x = &kl.recs[kl.n];
	uint8_t v[KL_VALUE];
	char k[32];
	int n = key_of(k, key);

	ck_assert_int_lt(kl.n, KL_RECORDS);
	*x = (struct kl_rec){ key, ts != 0 ? ts : rig_now - 500 + kl_rnd(1000),
	    value, (int32_t)kl.p->next, INT64_MAX, false, false };
	value_of(v, kl.n, value);
	batch_add(m, x->ts, key < 0 ? NULL : k, key < 0 ? -1 : n,
	    value < 0 ? NULL : v, value, &h, kl.n % 3 == 0);
	kl.n++;
}

void
kl_send(struct batch_maker *m, enum codec codec)
{
	struct wr out = wr_grow(1 * MIB);
	struct sent s = { 0 };
	enum err e = batch_finish(m, codec, INT32_MIN, &out);

	ck_assert_int_eq(e, E_OK);
	ck_assert_int_eq(batch_read(out.p, &s.a.b), E_OK);
	if (kl.tc->message_timestamp_type == TS_APPEND) {
		batch_set_log_time(out.p, out.len, rig_now);
		ck_assert_int_eq(batch_read(out.p, &s.a.b), E_OK);
		for (int i = kl.n - s.a.b.count; i < kl.n; i++)
			kl.recs[i].ts = rig_now;
	}
	sent_make(&s, 1, 1, true);
	free(s.p);
	s.p = out.p;
	ck_assert_int_eq(batch_read(out.p, &s.a.b), E_OK);
	memcpy(s.a.head, out.p, BATCH_HEADER);
	s.a.body = out.p + BATCH_HEADER;
	ck_assert_int_eq(part_append(kl.p, &s.a), E_OK);
	engine_drain(&kl.r.eng);
	ck_assert_int_eq(s.answers, 1);
	ck_assert_int_eq(s.err, E_OK);
	sent_free(&s);
	ck_assert_int_eq(kl.p->next, kl.n);
}

/* A batch of one of our producers, or of none. */
static void
producer(struct batch_maker *m, int n)
{
	uint32_t who = kl_rnd(6);

	if (who >= 3)
		return;
	m->b.pid = 100 + who;
	m->b.epoch = 0;
	m->b.base_seq = kl.seqs[who];
	kl.seqs[who] += n;
}

void
kl_put_some(int batches)
{
	for (; batches > 0; batches--) {
		int n = (int)kl_rnd(BATCH_RECORDS) + 1;
		struct batch_maker m;

		batch_make(&m, 1 * MIB);
		producer(&m, n);
		for (int i = 0; i < n; i++)
			kl_add(&m, (int)kl_rnd(KL_KEYS), kl_rnd(5) == 0 ? -1 :
			    (int32_t)kl_rnd(KL_VALUE), 0);
		kl_send(&m, (enum codec)kl_rnd(CODEC_MAX));
		rig_now += kl_rnd(200);
	}
}

/* One record in a batch. */
void
kl_put(int key, int32_t value)
{
	struct batch_maker m;

	batch_make(&m, 1 * MIB);
	kl_add(&m, key, value, 0);
	kl_send(&m, CODEC_NONE);
}

/* The growing segment is finished, and something begins the next. */
void
kl_roll(void)
{
	int64_t was = kl.tc->segment_bytes;

	kl.tc->segment_bytes = 1;
	kl_put(KL_KEYS, 1);
	kl.tc->segment_bytes = was;
	ck_assert(kl.p->segs[kl.p->nsegs - 2]->idx.sealed);
}

/* Has everything compacted that may be. */
void
kl_clean(void)
{
	int64_t until = rig_now + kl.tc->delete_retention_ms, before;

	/* What the journal holds is asked for first, and compacted then. */
	do {
		before = kl.r.eng.stats.compactions;
		rig_settle(&kl.r, 15000);
		rig_settle(&kl.r, 15000);
	} while (kl.r.eng.stats.compactions > before);
	for (int i = 0; i < kl.n && i < kl.p->clean.to; i++)
		if (kl.recs[i].value < 0 && kl.recs[i].stays == INT64_MAX)
			kl.recs[i].stays = until;
}

/* ---- checks ------------------------------------------------------------- */

int
kl_fd(const struct seg *s)
{
	int fd = -1;

	ck_assert_int_eq(seg_fd((struct seg *)(uintptr_t)s, &fd), E_OK);
	return fd;
}

static void
check_record(const struct record *x, const struct batch *b)
{
	uint8_t v[KL_VALUE];
	struct kl_rec *m;
	char k[32];

	ck_assert(x->offset >= 0 && x->offset < kl.n);
	m = &kl.recs[x->offset];
	m->seen = true;
	ck_assert_msg(!m->gone, "offset %lld comes back",
	    (long long)x->offset);
	ck_assert_int_eq(x->ts, m->ts);
	ck_assert_int_eq(b->base_offset, m->batch);
	ck_assert_int_eq(x->key_len, m->key < 0 ? -1 : key_of(k, m->key));
	if (m->key >= 0)
		ck_assert_mem_eq(x->key, k, (size_t)x->key_len);
	ck_assert_int_eq(x->value_len, m->value);
	value_of(v, x->offset, m->value);
	if (m->value > 0)
		ck_assert_mem_eq(x->value, v, (size_t)m->value);
	ck_assert_int_eq(x->nheaders, x->offset % 3 == 0);
}

/* Every batch of a segment; returns the offset after the last. */
int64_t
kl_check_seg(const struct seg *s)
{
	uint8_t *bytes = malloc((size_t)s->size + 1);
	int64_t next = s->base, max_ts = -1;
	struct batch_iter it;
	struct record x;
	struct batch b;
	size_t got;

	ck_assert_int_eq(disk->pread(kl_fd(s), bytes, (size_t)s->size, 0, &got),
	    E_OK);
	ck_assert_int_eq(got, s->size);
	for (int64_t pos = 0; pos < s->size; pos += batch_size(&b)) {
		enum err e;

		ck_assert_int_eq(batch_read(bytes + pos, &b), E_OK);
		ck_assert(batch_crc_ok(bytes + pos, (size_t)batch_size(&b)));
		ck_assert_int_ge(b.base_offset, next);
		next = batch_last_offset(&b) + 1;
		ck_assert_int_eq(batch_iter_open(&it, bytes + pos,
		    (size_t)batch_size(&b), INFLATE_MAX), E_OK);
		while ((e = batch_iter_next(&it, &x)) == E_OK) {
			check_record(&x, &b);
			if (x.ts > max_ts)
				max_ts = x.ts;
		}
		ck_assert_int_eq(e, E_EOF);
		batch_iter_close(&it);
	}
	free(bytes);
	ck_assert_int_eq(s->max_ts, max_ts);
	ck_assert_int_eq(s->end_offset, next);
	return next;
}

/* What must be there is, and what is superseded below c->to is not.  From there
 * to kl.seen segments were refused: what is superseded below that may go. */
static void
check_keys(const struct clean_state *c)
{
	int newest[KL_KEYS + 1], newest_to[KL_KEYS + 1];
	int newest_seen[KL_KEYS + 1];
	int64_t to = c->to;

	memset(newest, 0xff, sizeof newest);
	memset(newest_to, 0xff, sizeof newest_to);
	memset(newest_seen, 0xff, sizeof newest_seen);
	for (int i = 0; i < kl.n; i++)
		if (kl.recs[i].key >= 0) {
			newest[kl.recs[i].key] = i;
			if (i < to)
				newest_to[kl.recs[i].key] = i;
			if (i < kl.seen)
				newest_seen[kl.recs[i].key] = i;
		}
	for (int i = 0; i < kl.n; i++) {
		struct kl_rec *m = &kl.recs[i];

		if (i < kl.seen && (m->key < 0 ? i >= to :
		    newest_seen[m->key] >= to && i != newest_seen[m->key] &&
		    (i >= to || i == newest_to[m->key])))
			;	/* as it comes */
		else if (i >= to)
			ck_assert_msg(m->seen, "offset %d was not compacted, "
			    "and is not there", i);
		else if (m->key < 0)
			ck_assert(!m->seen);
		else if (i != newest_to[m->key])
			ck_assert_msg(!m->seen, "offset %d is superseded by "
			    "%d, clean up to %d", i, newest_to[m->key],
			    (int)to);
		else if (m->value >= 0)
			ck_assert_msg(m->seen, "offset %d, the newest of its "
			    "key, is lost", i);
		else if (rig_now < m->stays)
			ck_assert_msg(m->seen, "tombstone %d went too soon",
			    i);
		if (i == (m->key < 0 ? -1 : newest[m->key]) && m->value >= 0)
			ck_assert(m->seen);
		m->gone = !m->seen;
	}
}

void
kl_check_segs(struct seg **segs, int n, const struct clean_state *c)
{
	if (c->seen > kl.seen)
		kl.seen = c->seen;
	for (int i = 0; i < kl.n; i++)
		kl.recs[i].seen = false;
	for (int i = 0; i < n; i++) {
		int64_t e = kl_check_seg(segs[i]);

		ck_assert_int_eq(e, i + 1 < n ? segs[i + 1]->base : kl.n);
	}
	check_keys(c);
}

/* A fetch at any offset finds the batch that holds it or follows it. */
void
kl_check_fetch(void)
{
	for (int64_t o = 0; o < kl.n; o++) {
		struct look_want w = { .offset = o, .max = 1, .whole = true,
		    .block = true };
		struct fetch_extent x = { 0 };
		struct seg *cold = NULL;
		uint8_t head[BATCH_HEADER];
		struct batch b;
		size_t got;

		ck_assert_int_eq(look_extent(kl.p, &w, &x, &cold), LOOK_OK);
		ck_assert_ptr_nonnull(x.seg);
		ck_assert_int_eq(disk->pread(kl_fd(x.seg), head, sizeof head,
		    x.pos, &got), E_OK);
		ck_assert_int_eq(batch_read(head, &b), E_OK);
		ck_assert_int_ge(batch_last_offset(&b), o);
		for (int64_t i = o; i < b.base_offset; i++)
			ck_assert(!kl.recs[i].seen);
	}
}

/* Each producer's next batch is taken, and its last one known. */
void
kl_check_producers(void)
{
	for (int i = 0; i < 3; i++) {
		struct batch b = { .pid = 100 + i, .base_seq = kl.seqs[i],
		    .count = 1 };
		struct prod_hit hit;

		if (kl.seqs[i] == 0)
			continue;
		ck_assert_int_eq(prod_check(kl.p->prods, &b, &hit), E_OK);
		b.base_seq++;
		ck_assert_int_eq(prod_check(kl.p->prods, &b, &hit),
		    E_OUT_OF_ORDER_SEQUENCE);
	}
}

void
kl_check(void)
{
	kl_check_segs(kl.p->segs, kl.p->nsegs, &kl.p->clean);
	kl_check_fetch();
	kl_check_producers();
}

/* In the middle of a pass: nothing of the newest is lost. */
void
kl_check_newest(struct seg **segs, int n)
{
	for (int i = 0; i < kl.n; i++)
		kl.recs[i].seen = false;
	for (int i = 0; i < n; i++) {
		int64_t after = kl_check_seg(segs[i]);

		ck_assert_int_eq(after, i + 1 < n ? segs[i + 1]->base :
		    kl.n);
	}
	for (int i = 0; i < kl.n; i++) {
		bool newest = true;

		for (int k = i + 1; k < kl.n && newest; k++)
			newest = kl.recs[k].key != kl.recs[i].key;
		if (newest)
			ck_assert_msg(kl.recs[i].seen, "%d is lost", i);
	}
}

