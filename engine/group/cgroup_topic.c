/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the members of a consumer group want, as topics, and who holds which
 * partition.  Subscriptions are shared by all who want the same, so that a
 * change of topics is looked at once, not once per member.
 */
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "engine.h"
#include "group_call.h"
#include "lib/log.h"

enum { RESOLVE_MS = 20 };	/* at most, of patterns in one turn */

static uint64_t
hash_add(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3;
	return (h ^ 0xff) * 0x100000001b3;
}

/* ---- subscriptions ----------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
csub_free(struct csub *s)
{
	for (int i = 0; i < s->nnames; i++)
		free(s->names[i]);
	free(s->names);
	free(s->regex);
	pattern_close(s->pattern);
	free(s->matched);
	free(s->topics);
	free(s);
}

static enum err
csub_make(const struct kstr *names, int n, struct kstr regex,
    struct csub **out)
{
	struct csub *s = calloc(1, sizeof *s);
	int k = 0;

	if (s == NULL)
		return E_NOMEM;
	s->names = calloc((size_t)n + 1, sizeof(char *));
	for (int i = 0; s->names != NULL && i < n; i++) {
		if ((s->names[i] = kstr_dup(names[i])) == NULL)
			break;
		s->nnames++;
	}
	s->regex = regex.len > 0 ? kstr_dup(regex) : NULL;
	if (s->names == NULL || s->nnames < n ||
	    (regex.len > 0 && s->regex == NULL)) {
		csub_free(s);
		return E_NOMEM;
	}
	if (n > 0)
		qsort(s->names, (size_t)n, sizeof(char *), by_name);
	for (int i = 0; i < n; i++)
		if (k > 0 && strcmp(s->names[k - 1], s->names[i]) == 0)
			free(s->names[i]);
		else
			s->names[k++] = s->names[i];
	s->nnames = k;
	s->bytes = sizeof *s;
	for (int i = 0; i < k; i++) {
		size_t len = strlen(s->names[i]);

		s->hash = hash_add(s->hash, s->names[i], len);
		s->bytes += len + 1 + sizeof(char *);
	}
	if (s->regex != NULL)
		s->hash = hash_add(s->hash, s->regex, strlen(s->regex));
	*out = s;
	return E_OK;
}

static bool
csub_same(const struct csub *a, const struct csub *b)
{
	if (a->hash != b->hash || a->nnames != b->nnames ||
	    (a->regex != NULL) != (b->regex != NULL) ||
	    (a->regex != NULL && strcmp(a->regex, b->regex) != 0))
		return false;
	for (int i = 0; i < a->nnames; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

static enum err
csub_pattern(struct cgroup *cg, struct csub *s)
{
	char why[256];
	int n = 0;
	enum err e;

	for (const struct csub *o = cg->subs; o != NULL; o = o->next)
		n += o->regex != NULL;
	if (n >= PATTERNS_MAX)
		return E_GROUP_FULL;
	e = pattern_open(kstr_of(s->regex), &s->pattern, why, sizeof why);
	if (e == E_OK)
		s->bytes += strlen(s->regex) + pattern_size(s->pattern);
	/* One that was fine before a start must not end the engine's. */
	if (e == E_INVALID_REGEX && !cg->live) {
		log_warn("a pattern is of no use any more", LS("group",
		    cg->group->name), LS("pattern", s->regex), LS("why", why));
		e = E_OK;
	}
	return e;
}

enum err
csub_get(struct cgroup *cg, const struct kstr *names, int n,
    struct kstr regex, struct csub **out)
{
	struct groups *gs = &cg->group->eng->groups;
	struct csub *s, *o;
	enum err e = csub_make(names, n, regex, &s);

	if (e != E_OK)
		return e;
	for (o = cg->subs; o != NULL && !csub_same(o, s); o = o->next)
		;
	if (o == NULL && s->regex != NULL)
		e = csub_pattern(cg, s);
	if (o == NULL && e == E_OK && cg->live &&
	    (cg->group->bytes + s->bytes > GROUP_BYTES_MAX ||
	    gs->bytes + s->bytes > GROUPS_BYTES_MAX))
		e = E_GROUP_FULL;
	if (o != NULL || e != E_OK)
		csub_free(s);
	if (e != E_OK)
		return e;
	if (o == NULL) {
		o = s;
		o->next = cg->subs;
		cg->subs = o;
		cg->group->bytes += o->bytes;
		gs->bytes += o->bytes;
		cg->seen = 0;
	}
	o->refs++;
	*out = o;
	return E_OK;
}

void
csub_put(struct cgroup *cg, struct csub *s)
{
	struct csub **sp = &cg->subs;

	if (s == NULL || --s->refs > 0)
		return;
	while (*sp != s)
		sp = &(*sp)->next;
	*sp = s->next;
	cg->group->bytes -= s->bytes;
	cg->group->eng->groups.bytes -= s->bytes;
	cg->seen = 0;
	csub_free(s);
}

bool
csub_has(const struct csub *s, const struct topics *ts, struct kstr name)
{
	struct topic *t = topic_find((struct topics *)(uintptr_t)ts, name);

	for (int i = 0; i < s->nnames; i++)
		if (kstr_eq(kstr_of(s->names[i]), name))
			return true;
	return t != NULL && s->pattern != NULL &&
	    pattern_match(s->pattern, t->name);
}

/* ---- patterns ---------------------------------------------------------- */

static enum err
matched_add(struct csub *s, const struct topics *ts, const struct uuid *id)
{
	struct uuid *v;
	int n = 0;

	if (s->nmatched == s->matched_cap) {
		/* Those that are gone make room. */
		for (int i = 0; i < s->nmatched; i++)
			if (topic_find_id((struct topics *)(uintptr_t)ts,
			    s->matched[i]) != NULL)
				s->matched[n++] = s->matched[i];
		s->nmatched = n;
	}
	if (s->nmatched * 2 > s->matched_cap || s->matched_cap == 0) {
		n = s->matched_cap == 0 ? 8 : s->matched_cap * 2;
		v = realloc(s->matched, (size_t)n * sizeof *v);
		if (v == NULL)
			return E_NOMEM;
		s->matched = v;
		s->matched_cap = n;
	}
	s->matched[s->nmatched++] = *id;
	return E_OK;
}

/* Looks at topics that it has not seen.  E_BUSY: time is up. */
static enum err
csub_resolve(struct csub *s, const struct topics *ts, int64_t until)
{
	const struct topic *t = ts->last;
	enum err e;

	if (s->pattern == NULL || t == NULL)
		return E_OK;
	while (t->prev != NULL && t->prev->seq > s->seen)
		t = t->prev;
	for (; t != NULL; t = t->next) {
		if (t->seq <= s->seen || t->state == TOPIC_DELETING)
			continue;
		/* One that is being created is matched ahead of its time. */
		if (pattern_match(s->pattern, t->name) &&
		    (e = matched_add(s, ts, &t->id)) != E_OK)
			return e;
		s->seen = t->seq;
		if (mono_ms() > until && t->next != NULL)
			return E_BUSY;
	}
	return E_OK;
}

/* ---- topics by index --------------------------------------------------- */

static int32_t *
chain_of(const struct cgroup *cg, const struct uuid *id)
{
	uint64_t h;

	memcpy(&h, id->b + 8, sizeof h);
	h ^= h >> 29;
	return &cg->chains[h & (uint64_t)(cg->nchains - 1)];
}

int32_t
ctopic_find(const struct cgroup *cg, const struct uuid *id)
{
	int32_t i = cg->nchains == 0 ? -1 : *chain_of(cg, id);

	while (i >= 0 && !uuid_eq(cg->topics[i].id, *id))
		i = cg->topics[i].next;
	return i;
}

static void
chains_fill(struct cgroup *cg)
{
	for (int32_t i = 0; i < cg->nchains; i++)
		cg->chains[i] = -1;
	for (int32_t i = 0; i < cg->ntopics; i++) {
		int32_t *c = chain_of(cg, &cg->topics[i].id);

		if (uuid_zero(cg->topics[i].id))
			continue;
		cg->topics[i].next = *c;
		*c = i;
	}
}

static enum err
ctopics_grow(struct cgroup *cg)
{
	int32_t cap = cg->topics_cap == 0 ? 8 : cg->topics_cap * 2, *chains;
	struct ctopic *v;

	v = realloc(cg->topics, (size_t)cap * sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	cg->topics = v;
	chains = realloc(cg->chains, (size_t)cap * sizeof *chains);
	if (chains == NULL)
		return E_NOMEM;
	cg->chains = chains;
	cg->topics_cap = cg->nchains = cap;
	chains_fill(cg);
	return E_OK;
}

int32_t
ctopic_get(struct cgroup *cg, const struct uuid *id)
{
	int32_t i = ctopic_find(cg, id), *c;

	if (i >= 0)
		return i;
	for (i = cg->topics_free; i < cg->ntopics &&
	    !uuid_zero(cg->topics[i].id); i++)
		;
	if (i == cg->topics_cap && ctopics_grow(cg) != E_OK)
		return -1;
	if (i == cg->ntopics)
		cg->ntopics++;
	cg->topics_free = i + 1;
	cg->topics[i] = (struct ctopic){ .id = *id, .kept = true };
	c = chain_of(cg, id);
	cg->topics[i].next = *c;
	*c = i;
	return i;
}

static void
keep(struct cgroup *cg, const struct tps *s)
{
	for (int i = 0; i < s->n; i++)
		cg->topics[tp_topic(s->v[i])].kept = true;
}

/* Places of topics that nobody wants or holds become free. */
static void
ctopics_sweep(struct cgroup *cg)
{
	for (int32_t i = 0; i < cg->ntopics; i++)
		cg->topics[i].kept = cg->topics[i].nparts > 0;
	for (const struct cmember *m = cg->members; m != NULL; m = m->next) {
		keep(cg, &m->assigned);
		keep(cg, &m->revoking);
		keep(cg, &m->target);
	}
	for (int32_t i = 0; i < cg->ntopics; i++)
		if (!cg->topics[i].kept) {
			free(cg->topics[i].owner);
			cg->topics[i] = (struct ctopic){ .next = -1 };
		}
	cg->topics_free = 0;
	chains_fill(cg);
}

/* ---- what there is ----------------------------------------------------- */

static int
by_index(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return x < y ? -1 : x > y;
}

/* The topics of a subscription that exist, by index. */
static enum err
csub_topics(struct cgroup *cg, struct csub *s)
{
	struct topics *ts = &cg->group->eng->topics;
	size_t most = (size_t)s->nnames + (size_t)s->nmatched + 1;
	int32_t *v = malloc(most * sizeof *v);
	int n = 0, k = 0;

	for (int i = 0; v != NULL && i < s->nnames + s->nmatched; i++) {
		struct topic *t = i < s->nnames
		    ? topic_find(ts, kstr_of(s->names[i]))
		    : topic_find_id(ts, s->matched[i - s->nnames]);

		if (t == NULL)
			continue;
		if ((v[n] = ctopic_get(cg, &t->id)) < 0) {
			free(v);
			v = NULL;
			break;
		}
		cg->topics[v[n++]].nparts = t->nparts;
	}
	if (v == NULL)
		return E_NOMEM;
	qsort(v, (size_t)n, sizeof *v, by_index);
	for (int i = 0; i < n; i++)
		if (k == 0 || v[k - 1] != v[i])
			v[k++] = v[i];
	free(s->topics);
	s->topics = v;
	s->ntopics = k;
	return E_OK;
}

static void
resolve_later(struct cgroup *cg)
{
	if (timer_set(&cg->group->eng->timers, &cg->resolve, mono_ms() + 1) !=
	    E_OK)
		log_warn("no memory for a timer", LE(E_NOMEM));
}

enum err
cgroup_refresh(struct cgroup *cg, bool *changed)
{
	struct topics *ts = &cg->group->eng->topics;
	int64_t until = mono_ms() + RESOLVE_MS;
	uint64_t wanted = 0;
	enum err e = E_OK;

	*changed = false;
	for (struct csub *s = cg->subs; s != NULL && e == E_OK; s = s->next)
		e = csub_resolve(s, ts, until);
	cg->unresolved = e == E_BUSY;
	if (e == E_BUSY) {
		resolve_later(cg);
		return E_OK;
	}
	for (int32_t i = 0; i < cg->ntopics; i++)
		cg->topics[i].nparts = 0;
	for (struct csub *s = cg->subs; s != NULL && e == E_OK; s = s->next)
		e = csub_topics(cg, s);
	if (e != E_OK) {
		cg->seen = 0;
		return e;
	}
	cg->seen = ts->changes;
	for (int32_t i = 0; i < cg->ntopics; i++) {
		const struct ctopic *t = &cg->topics[i];

		if (t->nparts > 0)
			wanted += hash_add(hash_add(
			    0xcbf29ce484222325, t->id.b, sizeof t->id.b),
			    &t->nparts, sizeof t->nparts);
	}
	*changed = (int64_t)wanted != cg->wanted;
	cg->wanted = (int64_t)wanted;
	ctopics_sweep(cg);
	return E_OK;
}

/* ---- owners ------------------------------------------------------------ */

struct cmember *
ctopic_owner(const struct cgroup *cg, uint64_t tp)
{
	const struct ctopic *t = &cg->topics[tp_topic(tp)];

	return tp_part(tp) < t->nowner ? t->owner[tp_part(tp)] : NULL;
}

/* Room for all of them first, so that owning cannot fail half way. */
static enum err
owners_room(struct cgroup *cg, const struct tps *s)
{
	for (int i = 0; i < s->n; i++) {
		struct ctopic *t = &cg->topics[tp_topic(s->v[i])];
		int32_t n = tp_part(s->v[i]) + 1;
		struct cmember **v;

		if (n <= t->nowner)
			continue;
		if (n < t->nparts)
			n = t->nparts;
		v = realloc(t->owner, (size_t)n * sizeof(struct cmember *));
		if (v == NULL)
			return E_NOMEM;
		for (int32_t k = t->nowner; k < n; k++)
			v[k] = NULL;
		t->owner = v;
		t->nowner = n;
	}
	return E_OK;
}

static void
own(struct cgroup *cg, const struct tps *s, struct cmember *from,
    struct cmember *to)
{
	for (int i = 0; i < s->n; i++) {
		struct ctopic *t = &cg->topics[tp_topic(s->v[i])];

		ASSERT(t->owner[tp_part(s->v[i])] == from);
		t->owner[tp_part(s->v[i])] = to;
	}
}

enum err
cmember_hold(struct cmember *m, struct tps *assigned, struct tps *revoking,
    int32_t epoch)
{
	struct cgroup *cg = cgroup_of(m->group);
	int32_t *since = NULL;
	enum err e = E_OK;

	if (assigned->n > 0) {
		since = malloc((size_t)assigned->n * sizeof *since);
		e = since == NULL ? E_NOMEM : E_OK;
	}
	for (int i = 0; e == E_OK && i < assigned->n; i++) {
		int was = tps_find(&m->assigned, assigned->v[i]);

		since[i] = was < 0 ? epoch : m->since[was];
	}
	if (cg->live) {
		if (e == E_OK)
			e = owners_room(cg, assigned);
		if (e == E_OK)
			e = owners_room(cg, revoking);
	}
	if (e != E_OK) {
		free(since);
		return e;
	}
	if (cg->live) {
		own(cg, &m->assigned, m, NULL);
		own(cg, &m->revoking, m, NULL);
		own(cg, assigned, NULL, m);
		own(cg, revoking, NULL, m);
	}
	tps_free(&m->assigned);
	tps_free(&m->revoking);
	free(m->since);
	m->since = since;
	m->assigned = *assigned;
	m->revoking = *revoking;
	*assigned = *revoking = (struct tps){ 0 };
	return E_OK;
}
