/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups and their members, as objects: by id, with what they hold
 * and their timers. */
#include <stdlib.h>
#include <string.h>

#include "catalogue/configs.h"
#include "cgroup.h"
#include "engine.h"
#include "group_call.h"
#include "lib/log.h"

/* ---- by id ------------------------------------------------------------- */

struct cmember *
cmember_find(const struct cgroup *cg, struct kstr id)
{
	if (id.len <= 0)
		return NULL;
	HASH_FIND(x, &cg->by_id, group_hash(id)) {
		struct cmember *m = HASH_OF(x, struct cmember, by_id);

		if (kstr_eq(kstr_of(m->id), id))
			return m;
	}
	return NULL;
}

struct cmember *
cmember_static(const struct cgroup *cg, struct kstr instance)
{
	struct cmember *m = cg->members;

	while (m != NULL && (m->instance == NULL ||
	    !kstr_eq(kstr_of(m->instance), instance)))
		m = m->next;
	return m;
}

/* ---- members ----------------------------------------------------------- */

static void
count_bytes(struct cmember *m, size_t bytes)
{
	m->group->bytes += bytes - m->bytes;
	m->group->eng->groups.bytes += bytes - m->bytes;
	m->bytes = bytes;
}

static void
session_fire(struct timer *t)
{
	cmember_fence((struct cmember *)((char *)t -
	    offsetof(struct cmember, session)), "its session is over");
}

static void
phase_fire(struct timer *t)
{
	static const char *const why[] = {
		[P_REVOKE] = "it did not give partitions back in time",
		[P_JOIN] = "it did not join again in time",
		[P_SYNC] = "it did not sync in time",
	};
	struct cmember *m = (struct cmember *)((char *)t -
	    offsetof(struct cmember, phase_timer));

	cmember_fence(m, why[m->phase]);
}

struct cmember *
cmember_new(struct cgroup *cg, struct kstr id)
{
	struct cmember *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->group = cg->group;
	m->id = kstr_dup(id);
	m->client_id = strdup("");
	m->host = strdup("");
	m->assignor = -1;
	m->session.fire = session_fire;
	m->phase_timer.fire = phase_fire;
	if (m->id == NULL || m->client_id == NULL || m->host == NULL ||
	    csub_get(cg, NULL, 0, kstr_of(NULL), &m->sub) != E_OK ||
	    hash_room(&cg->by_id) != E_OK) {
		csub_put(cg, m->sub);
		free(m->id);
		free(m->client_id);
		free(m->host);
		free(m);
		return NULL;
	}
	hash_put(&cg->by_id, &m->by_id, group_hash(id));
	*cg->tail = m;
	cg->tail = &m->next;
	cg->nmembers++;
	count_bytes(m, sizeof *m + strlen(m->id));
	cg->group->empty_since = 0;
	return m;
}

static void
cprotocols_free(struct cprotocol *v, int n)
{
	for (int i = 0; i < n; i++) {
		free(v[i].name);
		free(v[i].metadata);
	}
	free(v);
}

enum err
cmember_protocols(struct cmember *m,
    const struct join_group_req_protocol *q, int n)
{
	struct cgroup *cg = cgroup_of(m->group);
	struct cprotocol *v = n == 0 ? NULL : calloc((size_t)n, sizeof *v);
	size_t bytes = sizeof *m + strlen(m->id);
	bool all = n == 0 || v != NULL;

	for (int i = 0; v != NULL && i < n; i++) {
		v[i].name = kstr_dup(q[i].name);
		v[i].metadata = bytes_dup(q[i].metadata, &v[i].len);
		all = all && v[i].name != NULL && v[i].metadata != NULL;
		bytes += sizeof *v + (size_t)v[i].len + (v[i].name != NULL
		    ? strlen(v[i].name) : 0);
	}
	if (!all) {
		if (v != NULL)
			cprotocols_free(v, n);
		return E_NOMEM;
	}
	cprotocols_free(m->protocols, m->nprotocols);
	m->protocols = v;
	m->nprotocols = n;
	count_bytes(m, bytes);
	cg->nclassic += (n > 0) - m->classic;
	m->classic = n > 0;
	return E_OK;
}

void
cmember_free(struct cmember *m)
{
	struct cgroup *cg = cgroup_of(m->group);
	struct timers *ts = &m->group->eng->timers;
	struct tps none = { 0 }, nil = { 0 };
	struct cmember **mp = &cg->members;

	/* Nothing takes no memory. */
	if (cmember_hold(m, &none, &nil, 0) != E_OK ||
	    cmember_protocols(m, NULL, 0) != E_OK)
		log_fatal("nothing takes memory", LE(E_NOMEM));
	while (*mp != m)
		mp = &(*mp)->next;
	*mp = m->next;
	if (m->next == NULL)
		cg->tail = mp;
	hash_drop(&cg->by_id, &m->by_id);
	cg->nmembers--;
	timer_cancel(ts, &m->session);
	timer_cancel(ts, &m->phase_timer);
	count_bytes(m, 0);
	csub_put(cg, m->sub);
	tps_free(&m->target);
	free(m->id);
	free(m->client_id);
	free(m->host);
	free(m->instance);
	free(m->rack);
	free(m);
	if (cg->nmembers == 0)
		cg->group->empty_since = wall_ms();
}

enum err
cmember_rename(struct cmember *m, struct kstr id)
{
	struct cgroup *cg = cgroup_of(m->group);
	char *s = kstr_dup(id);

	if (s == NULL)
		return E_NOMEM;
	hash_drop(&cg->by_id, &m->by_id);
	free(m->id);
	m->id = s;
	hash_put(&cg->by_id, &m->by_id, group_hash(id));
	return E_OK;
}

enum err
cmember_text(struct cmember *m, char **field, struct kstr to, bool *changed)
{
	char *s;

	if (to.len < 0 || (*field != NULL && kstr_eq(kstr_of(*field), to)))
		return E_OK;
	s = kstr_dup(to);
	if (s == NULL)
		return E_NOMEM;
	count_bytes(m, m->bytes + strlen(s) - (*field != NULL
	    ? strlen(*field) : 0));
	free(*field);
	*field = s;
	*changed = true;
	return E_OK;
}

void
cmember_session(struct cmember *m)
{
	int64_t ms = m->classic ? m->session_ms : group_conf_session_ms(
	    m->group->eng, kstr_of(m->group->name));

	if (timer_set(&m->group->eng->timers, &m->session, mono_ms() + ms) !=
	    E_OK)
		log_warn("no memory for a session timer", LE(E_NOMEM));
}

void
cmember_phase(struct cmember *m, enum cphase phase)
{
	struct timers *ts = &m->group->eng->timers;

	m->phase = phase;
	if (phase == P_NONE)
		timer_cancel(ts, &m->phase_timer);
	else if (timer_set(ts, &m->phase_timer, mono_ms() +
	    m->rebalance_ms) != E_OK)
		log_warn("no memory for a rebalance timer", LE(E_NOMEM));
}

/* ---- groups ------------------------------------------------------------ */

static void
resolve_fire(struct timer *t)
{
	struct cgroup *cg = (struct cgroup *)((char *)t -
	    offsetof(struct cgroup, resolve));

	if (cgroup_advance(cg, false) != E_OK)
		log_warn("topics of a pattern are not known", LS("group",
		    cg->group->name), LE(E_NOMEM));
	cgroup_flush(cg->group->eng);
}

struct cgroup *
cgroup_new(struct group *g)
{
	struct cgroup *cg = calloc(1, sizeof *cg);

	if (cg == NULL)
		return NULL;
	cg->group = g;
	cg->tail = &cg->members;
	cg->resolve.fire = resolve_fire;
	g->modern = cg;
	g->ops = &cgroup_ops;
	return cg;
}

void
cgroup_free(struct group *g)
{
	struct cgroup *cg = g->modern;

	while (cg->members != NULL)
		cmember_free(cg->members);
	timer_cancel(&g->eng->timers, &cg->resolve);
	for (int32_t i = 0; i < cg->ntopics; i++)
		free(cg->topics[i].owner);
	free(cg->topics);
	free(cg->chains);
	hash_free(&cg->by_id);
	free(cg);
	g->modern = NULL;
	g->ops = NULL;
}
