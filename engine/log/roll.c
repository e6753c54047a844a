/* SPDX-License-Identifier: Apache-2.0 */
/* Rolling: the rules of roll.h. */
#include <sys/random.h>

#include "engine.h"
#include "roll.h"

enum { KAFKA_IDX_ENTRY = 8 };	/* bytes, that segment.index.bytes counts */

void
seg_configure(struct seg *s, const struct part *p, bool jitter)
{
	const struct topic_conf *tc;
	uint64_t r;
	int64_t most;

	s->lax = p->relaxed;
	if (p->topic == NULL)
		return;
	tc = &p->topic->conf;
	s->idx.interval = part_idx_interval(p);
	if (!jitter)
		return;
	s->jitter_ms = 0;
	most = tc->segment_jitter_ms < tc->segment_ms ?
	    tc->segment_jitter_ms : tc->segment_ms;
	/* No entropy, no jitter. */
	if (most > 0 && getrandom(&r, sizeof r, GRND_NONBLOCK) ==
	    (ssize_t)sizeof r)
		s->jitter_ms = (int64_t)(r % (uint64_t)most);
}

int64_t
part_reserve(const struct part *p)
{
	return p->topic != NULL && p->topic->conf.preallocate ?
	    p->topic->conf.segment_bytes : 0;
}

void
fill_start(struct fill *f, const struct part *p, const struct seg *s,
    int64_t base)
{
	*f = (struct fill){ .part = p, .base = base, .first_ts = -1 };
	if (s != NULL) {
		f->base = s->base;
		f->pos = s->size;
		f->first_ts = s->first_ts;
		f->made_ms = s->made_ms;
		f->jitter_ms = s->jitter_ms;
		f->idx = s->idx;
		f->entries = s->idx.nfile + s->idx.npending;
	} else {
		idx_init(&f->idx);
		f->idx.interval = part_idx_interval(p);
	}
}

/* An entry of Kafka's offset index has 8 bytes; one of ours says what its
 * offset and time indexes say together.  So bytes are translated to entries,
 * of which there is at least one. */
static bool
index_is_full(const struct fill *f, const struct topic_conf *tc)
{
	int64_t max = tc->segment_index_bytes / KAFKA_IDX_ENTRY;

	return f->entries >= (max > 0 ? max : 1);
}

static bool
waited(const struct fill *f, const struct batch *b,
    const struct topic_conf *tc, int64_t now)
{
	int64_t ms, from = f->first_ts, to = b->max_ts;
	int64_t most = tc->segment_ms;

	/* Only what is finished can be compacted. */
	if ((tc->cleanup_policy & CLEANUP_COMPACT) &&
	    tc->max_compaction_lag_ms < most)
		most = tc->max_compaction_lag_ms;
	if (from < 0) {
		from = f->made_ms;
		to = now;
	}
	/* Times are the producers' word. */
	if (__builtin_sub_overflow(to, from, &ms))
		return to > from;
	return ms > most - f->jitter_ms;
}

bool
fill_takes(const struct fill *f, const struct batch *b, int64_t now)
{
	const struct topic_conf *tc;

	if (f->pos == 0 || f->part->topic == NULL)
		return true;	/* the catalogue rolls by rewriting */
	tc = &f->part->topic->conf;
	return f->pos + batch_size(b) <= tc->segment_bytes &&
	    batch_last_offset(b) - f->base <= INT32_MAX &&
	    !index_is_full(f, tc) && !waited(f, b, tc, now);
}

void
fill_add(struct fill *f, const struct batch *b)
{
	if (f->pos == 0) {
		f->first_ts = b->max_ts;
		f->made_ms = wall_ms();
	} else if (idx_due(&f->idx, f->pos)) {
		f->idx.last.pos = f->pos;
		f->idx.npending++;
		f->entries++;
	}
	f->pos += batch_size(b);
}
