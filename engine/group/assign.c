/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assignors.  All partitions of all topics lie in one array of owners;
 * a topic's begin at base[topic].  Work is n log n in members, wants and
 * partitions, times the few rounds that uneven wants may take.
 */
#include <stdlib.h>
#include <string.h>

#include "assign.h"

enum { NOBODY = -1, ROUNDS_MAX = 16 };

struct plan {
	struct assign_member *m;
	int		 n;
	const int32_t	*nparts;
	int		 ntopics;
	int32_t		*base;		/* ntopics + 1 of them */
	int32_t		*owner;		/* member by partition, or NOBODY */
	int32_t		*load;		/* partitions by member */
	int32_t		*wants;		/* members by topic, at from[topic] */
	int32_t		*from;		/* ntopics + 1 of them */
};

static void
plan_free(struct plan *p)
{
	free(p->base);
	free(p->owner);
	free(p->load);
	free(p->wants);
	free(p->from);
}

/* Who wants a topic, members in the order given (NULL: as they stand). */
static void
plan_wants(struct plan *p, const int32_t *order)
{
	for (int i = p->n - 1; i >= 0; i--) {
		int at = order != NULL ? order[i] : i;

		for (int k = 0; k < p->m[at].ntopics; k++)
			p->wants[--p->from[p->m[at].topics[k] + 1]] = at;
	}
	/* Each place of from has come down to where its topic begins. */
	memmove(p->from, p->from + 1, (size_t)p->ntopics * sizeof *p->from);
}

static enum err
plan_open(struct plan *p, struct assign_member *m, int n,
    const int32_t *nparts, int ntopics, const int32_t *order)
{
	size_t total = 0, wants = 0;

	*p = (struct plan){ m, n, nparts, ntopics, NULL, NULL, NULL, NULL,
	    NULL };
	p->base = calloc((size_t)ntopics + 1, sizeof *p->base);
	p->from = calloc((size_t)ntopics + 2, sizeof *p->from);
	p->load = calloc((size_t)n + 1, sizeof *p->load);
	if (p->base == NULL || p->from == NULL || p->load == NULL)
		return E_NOMEM;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < m[i].ntopics; k++)
			p->from[m[i].topics[k] + 1]++;
	for (int t = 0; t < ntopics; t++) {
		p->base[t] = (int32_t)total;
		/* What nobody wants is not there. */
		total += p->from[t + 1] > 0 ? (size_t)nparts[t] : 0;
		wants += (size_t)p->from[t + 1];
		p->from[t + 1] = (int32_t)wants;
	}
	p->base[ntopics] = (int32_t)total;
	p->owner = malloc((total + 1) * sizeof *p->owner);
	p->wants = malloc((wants + 1) * sizeof *p->wants);
	if (p->owner == NULL || p->wants == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < total; i++)
		p->owner[i] = NOBODY;
	plan_wants(p, order);
	p->from[ntopics] = (int32_t)wants;
	return E_OK;
}

static int
parts_of(const struct plan *p, int t)
{
	return p->base[t + 1] - p->base[t];
}

/* The place of a partition that the member may keep, or NOBODY. */
static int32_t
kept(const struct plan *p, const struct assign_member *m, uint64_t tp)
{
	int32_t t = tp_topic(tp), part = tp_part(tp);
	int lo = 0, hi = m->ntopics;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (m->topics[mid] < t)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == m->ntopics || m->topics[lo] != t || part < 0 ||
	    part >= parts_of(p, t) || p->owner[p->base[t] + part] != NOBODY)
		return NOBODY;
	return p->base[t] + part;
}

/* Owners to sorted sets: topics and partitions come in order. */
static enum err
plan_result(struct plan *p)
{
	enum err e = E_OK;

	for (int t = 0; t < p->ntopics; t++)
		for (int i = 0; i < parts_of(p, t) && e == E_OK; i++) {
			int32_t o = p->owner[p->base[t] + i];

			if (o != NOBODY)
				e = tps_push(&p->m[o].got, tp_of(t, i));
		}
	return e;
}

/* ---- uniform, all want the same ---------------------------------------- */

static bool
same_wants(const struct assign_member *m, int n)
{
	for (int i = 1; i < n; i++)
		if (m[i].ntopics != m[0].ntopics || (m[i].topics !=
		    m[0].topics && m[0].ntopics > 0 && memcmp(m[i].topics,
		    m[0].topics, (size_t)m[0].ntopics * sizeof(int32_t)) != 0))
			return false;
	return true;
}

/* Keeps what fits the quota, then deals the rest round. */
static void
uniform_same(struct plan *p)
{
	int32_t total = p->base[p->ntopics], quota = total / p->n;
	int32_t extra = total % p->n, at;

	for (int i = 0; i < p->n; i++) {
		const struct tps *had = p->m[i].had;

		for (int k = 0; had != NULL && k < had->n; k++) {
			at = kept(p, &p->m[i], had->v[k]);
			if (at == NOBODY || p->load[i] > quota ||
			    (p->load[i] == quota && extra == 0))
				continue;
			p->owner[at] = i;
			if (p->load[i]++ == quota)
				extra--;
		}
	}
	for (int32_t i = 0, next = 0; i < total; i++) {
		if (p->owner[i] != NOBODY)
			continue;
		while (p->load[next] > quota || (p->load[next] == quota &&
		    extra == 0))
			next = (next + 1) % p->n;
		p->owner[i] = next;
		if (p->load[next]++ == quota)
			extra--;
		next = (next + 1) % p->n;
	}
}

/* ---- uniform, wants differ --------------------------------------------- */

static void
sift(const struct plan *p, int32_t *heap, int n, int i)
{
	for (int c; (c = 2 * i + 1) < n; i = c) {
		int32_t x;

		if (c + 1 < n && p->load[heap[c + 1]] < p->load[heap[c]])
			c++;
		if (p->load[heap[i]] <= p->load[heap[c]])
			break;
		x = heap[i];
		heap[i] = heap[c];
		heap[c] = x;
	}
}

/* Gives what nobody has of a topic to the least loaded who want it. */
static void
fill(struct plan *p, int t, int32_t *heap)
{
	int n = p->from[t + 1] - p->from[t];

	memcpy(heap, p->wants + p->from[t], (size_t)n * sizeof *heap);
	for (int i = n / 2 - 1; i >= 0; i--)
		sift(p, heap, n, i);
	for (int32_t i = p->base[t]; i < p->base[t + 1]; i++)
		if (p->owner[i] == NOBODY) {
			p->owner[i] = heap[0];
			p->load[heap[0]]++;
			sift(p, heap, n, 0);
		}
}

/* One who wants a topic: its load elsewhere, what it has of it, and what it
 * shall have. */
struct share {
	int32_t	member, others, has, quota;
};

static int
by_others(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	if (x->others != y->others)
		return x->others < y->others ? -1 : 1;
	return x->member < y->member ? -1 : x->member > y->member;
}

/* Pours n partitions over the loads that there are: each gets up to one
 * level, what is left raises some by one, first those who have it already. */
static void
pour(struct share *s, int ns, int32_t n)
{
	int64_t level = s[0].others, room = 0;
	int32_t left = n;
	int k;

	for (k = 1; k < ns; k++) {
		room = (s[k].others - level) * (int64_t)k;
		if (room > left)
			break;
		left -= (int32_t)room;
		level = s[k].others;
	}
	level += left / k;
	left %= k;
	for (int i = 0; i < ns; i++)
		s[i].quota = i < k ? (int32_t)(level - s[i].others) : 0;
	for (int keep = 1; keep >= 0 && left > 0; keep--)
		for (int i = 0; i < k && left > 0; i++)
			if (s[i].quota == level - s[i].others &&
			    (s[i].has > s[i].quota) == keep) {
				s[i].quota++;
				left--;
			}
}

/* True when no move of one partition of the topic would even out. */
static bool
is_level(const struct plan *p, int t)
{
	int32_t least = INT32_MAX, most = -1;

	for (int32_t i = p->from[t]; i < p->from[t + 1]; i++)
		if (p->load[p->wants[i]] < least)
			least = p->load[p->wants[i]];
	for (int32_t i = p->base[t]; i < p->base[t + 1]; i++)
		if (p->load[p->owner[i]] > most)
			most = p->load[p->owner[i]];
	return most - least <= 1;
}

/* Evens out the loads by partitions of one topic. */
static void
level(struct plan *p, int t, struct share *s, int32_t *at)
{
	int n = p->from[t + 1] - p->from[t], next = 0;

	for (int i = 0; i < n; i++) {
		int32_t m = p->wants[p->from[t] + i];

		s[i] = (struct share){ m, p->load[m], 0, 0 };
		at[m] = i;
	}
	for (int32_t i = p->base[t]; i < p->base[t + 1]; i++) {
		s[at[p->owner[i]]].others--;
		s[at[p->owner[i]]].has++;
	}
	qsort(s, (size_t)n, sizeof *s, by_others);
	pour(s, n, parts_of(p, t));
	for (int i = 0; i < n; i++)
		at[s[i].member] = i;
	for (int32_t i = p->base[t]; i < p->base[t + 1]; i++) {
		struct share *o = &s[at[p->owner[i]]];

		if (o->has <= o->quota)
			continue;
		while (s[next].has >= s[next].quota)
			next++;
		o->has--;
		p->load[o->member]--;
		s[next].has++;
		p->load[s[next].member]++;
		p->owner[i] = s[next].member;
	}
}

struct rank {
	int32_t	topic, wants;
};

/* Whom few want comes first: there is least choice. */
static int
by_wants(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	if (x->wants != y->wants)
		return x->wants < y->wants ? -1 : 1;
	return x->topic < y->topic ? -1 : x->topic > y->topic;
}

static enum err
uniform_mixed(struct plan *p)
{
	struct rank *rank = calloc((size_t)p->ntopics + 1, sizeof *rank);
	struct share *s = calloc((size_t)p->n + 1, sizeof *s);
	int32_t *tmp = calloc((size_t)p->n + 1, sizeof *tmp);
	bool moved = true;
	int n = 0;

	for (int i = 0; i < p->n; i++) {
		const struct tps *had = p->m[i].had;

		for (int k = 0; had != NULL && k < had->n; k++) {
			int32_t at = kept(p, &p->m[i], had->v[k]);

			if (at == NOBODY)
				continue;
			p->owner[at] = i;
			p->load[i]++;
		}
	}
	for (int t = 0; rank != NULL && t < p->ntopics; t++)
		if (parts_of(p, t) > 0)
			rank[n++] = (struct rank){ t, p->from[t + 1] -
			    p->from[t] };
	if (rank != NULL && s != NULL && tmp != NULL) {
		qsort(rank, (size_t)n, sizeof *rank, by_wants);
		for (int i = 0; i < n; i++)
			fill(p, rank[i].topic, tmp);
		/* Each step lowers the sum of the squares: it ends. */
		for (int r = 0; moved && r < ROUNDS_MAX; r++) {
			moved = false;
			for (int i = 0; i < n; i++)
				if (!is_level(p, rank[i].topic)) {
					level(p, rank[i].topic, s, tmp);
					moved = true;
				}
		}
	}
	moved = rank != NULL && s != NULL && tmp != NULL;
	free(rank);
	free(s);
	free(tmp);
	return moved ? E_OK : E_NOMEM;
}

static enum err
uniform(struct assign_member *m, int n, const int32_t *nparts, int ntopics)
{
	struct plan p;
	enum err e;

	if (n == 0)
		return E_OK;
	e = plan_open(&p, m, n, nparts, ntopics, NULL);
	if (e == E_OK && same_wants(m, n))
		uniform_same(&p);
	else if (e == E_OK)
		e = uniform_mixed(&p);
	if (e == E_OK)
		e = plan_result(&p);
	plan_free(&p);
	return e;
}

/* ---- range ------------------------------------------------------------- */

/* Static members by instance, then the others by id. */
static int
by_id(const void *a, const void *b, void *arg)
{
	const struct assign_member *m = arg;
	const struct assign_member *x = &m[*(const int32_t *)a];
	const struct assign_member *y = &m[*(const int32_t *)b];

	if ((x->instance != NULL) != (y->instance != NULL))
		return x->instance != NULL ? -1 : 1;
	return x->instance != NULL ? strcmp(x->instance, y->instance)
	    : strcmp(x->id, y->id);
}

static enum err
range(struct assign_member *m, int n, const int32_t *nparts, int ntopics)
{
	int32_t *order = calloc((size_t)n + 1, sizeof *order);
	struct plan p;
	enum err e;

	if (order == NULL)
		return E_NOMEM;
	for (int i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, (size_t)n, sizeof *order, by_id, m);
	e = plan_open(&p, m, n, nparts, ntopics, order);
	for (int t = 0; e == E_OK && t < ntopics; t++) {
		int all = p.from[t + 1] - p.from[t], at = p.base[t];

		for (int i = 0; i < all; i++) {
			int many = parts_of(&p, t) / all +
			    (i < parts_of(&p, t) % all);

			while (many-- > 0)
				p.owner[at++] = p.wants[p.from[t] + i];
		}
	}
	if (e == E_OK)
		e = plan_result(&p);
	plan_free(&p);
	free(order);
	return e;
}

const struct assignor assignors[ASSIGN_N] = {
	[ASSIGN_UNIFORM] = { "uniform", uniform },
	[ASSIGN_RANGE] = { "range", range },
};
