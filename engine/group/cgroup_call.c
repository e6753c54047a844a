/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConsumerGroupHeartbeat and ConsumerGroupDescribe: checks of the requests,
 * with Kafka's words, and answers.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "catalogue/configs.h"
#include "cgroup.h"
#include "group_call.h"
#include "lib/log.h"

struct kstr
call_words(struct call *c, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;
	char *s;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	s = arena_strndup(&c->arena, buf, strlen(buf));
	return s == NULL ? kstr_of("out of memory") : kstr_of(s);
}

/* ---- checks of a heartbeat --------------------------------------------- */

typedef struct consumer_group_heartbeat_req req_t;
typedef struct consumer_group_heartbeat_res res_t;

/* The answer to be, and what it is about. */
struct beat {
	struct call	*c;
	const req_t	*q;
	res_t		*res;
	struct group	*g;
	struct cgroup	*cg;
	struct cmember	*m;
	struct tps	 owned;		/* as the request says */
	bool		 foreign;	/* ... and topics that are not ours */
	struct tps	 before;	/* assigned when it came */
	bool		 fresh;		/* a new member */
};

static enum err
refuse(struct beat *b, enum err e, struct kstr words)
{
	b->res->error_message = words;
	return e;
}

/* There, but empty or of white space. */
static bool
blank(struct kstr s)
{
	for (int32_t i = 0; i < s.len; i++)
		if (!isspace((unsigned char)s.p[i]))
			return false;
	return s.len >= 0;
}

static enum err
invalid(struct beat *b, const char *words)
{
	return refuse(b, E_INVALID_REQUEST, kstr_of(words));
}

static enum err
check_ids(struct beat *b)
{
	const req_t *q = b->q;

	if ((b->c->head.version >= 1 || q->member_epoch > 0 ||
	    q->member_epoch == EPOCH_LEAVE) && blank(q->member_id))
		return invalid(b, "MemberId can't be empty.");
	if (q->group_id.len <= 0 || blank(q->group_id))
		return invalid(b, "GroupId can't be empty.");
	if (blank(q->instance_id))
		return invalid(b, "InstanceId can't be empty.");
	if (blank(q->rack_id))
		return invalid(b, "RackId can't be empty.");
	if (q->group_id.len > GROUP_NAME_MAX ||
	    q->member_id.len > MEMBER_ID_MAX ||
	    q->instance_id.len > MEMBER_ID_MAX ||
	    q->rack_id.len > MEMBER_ID_MAX)
		return invalid(b, "An id is too long.");
	if ((q->member_id.len > 0 && memchr(q->member_id.p, '\0',
	    (size_t)q->member_id.len) != NULL) || memchr(q->group_id.p, '\0',
	    (size_t)q->group_id.len) != NULL || (q->instance_id.len > 0 &&
	    memchr(q->instance_id.p, '\0', (size_t)q->instance_id.len) !=
	    NULL))
		return invalid(b, "An id has a NUL in it.");
	return E_OK;
}

static enum err
check_regex(struct beat *b)
{
	struct pattern *p;
	char why[256];
	enum err e;

	if (b->q->subscribed_topic_regex.len <= 0)
		return E_OK;
	e = pattern_open(b->q->subscribed_topic_regex, &p, why, sizeof why);
	if (e == E_OK)
		pattern_close(p);
	return e != E_INVALID_REGEX ? e : refuse(b, e, call_words(b->c,
	    "SubscribedTopicRegex `%.*s` is not a valid regular expression: "
	    "%s.", WORDS(
	    b->q->subscribed_topic_regex), why));
}

static int
assignor_find(struct kstr name)
{
	int i = 0;

	while (i < ASSIGN_N && !kstr_eq(kstr_of(assignors[i].name), name))
		i++;
	return i == ASSIGN_N ? -1 : i;
}

static enum err
check(struct beat *b)
{
	const req_t *q = b->q;
	enum err e = check_ids(b);

	if (e != E_OK)
		return e;
	if (q->member_epoch == 0) {
		if (q->rebalance_timeout_ms == -1)
			return invalid(b, "RebalanceTimeoutMs must be provided "
			    "in first request.");
		if (q->topic_partitions.n != 0)
			return invalid(b, "TopicPartitions must be empty when "
			    "(re-)joining.");
		if (q->subscribed_topic_names.n < 0 &&
		    q->subscribed_topic_regex.len < 0)
			return invalid(b, "Either SubscribedTopicNames or "
			    "SubscribedTopicRegex must be non-null when "
			    "(re-)joining.");
	} else if (q->member_epoch == EPOCH_LEAVE_STATIC &&
	    q->instance_id.len < 0)
		return invalid(b, "InstanceId can't be null.");
	else if (q->member_epoch < EPOCH_LEAVE_STATIC)
		return invalid(b, "MemberEpoch is invalid.");
	if (q->server_assignor.len >= 0 &&
	    assignor_find(q->server_assignor) < 0)
		return refuse(b, E_UNSUPPORTED_ASSIGNOR, call_words(b->c,
		    "ServerAssignor %.*s is not supported. Supported "
		    "assignors: uniform, range.", WORDS(q->server_assignor)));
	return check_regex(b);
}

/* ---- group and member -------------------------------------------------- */

static enum err
no_group(struct beat *b)
{
	return refuse(b, E_GROUP_ID_NOT_FOUND, call_words(b->c, b->g == NULL
	    ? "Consumer group %.*s not found." : "Group %.*s is not a consumer "
	    "group.", WORDS(b->q->group_id)));
}

static enum err
group_of(struct beat *b)
{
	bool join = b->q->member_epoch == 0;
	enum err e = E_OK;

	b->g = group_find(b->c->eng, b->q->group_id, false);
	if (b->g == NULL && !join)
		return no_group(b);
	if (b->g == NULL)
		b->g = group_find(b->c->eng, b->q->group_id, true);
	if (b->g == NULL)
		return E_COORDINATOR_NOT_AVAILABLE;
	if (b->g->ops == NULL && join) {
		e = cgroup_upgrade(b->g, &b->cg);
		if (e == E_GROUP_ID_NOT_FOUND)
			return refuse(b, e, call_words(b->c, "Cannot upgrade "
			    "classic group %s to consumer group.",
			    b->g->name));
		return e;
	}
	b->cg = cgroup_of(b->g);
	return b->cg == NULL ? no_group(b) : E_OK;
}

/* Partitions of the request as a set. */
static enum err
owned_read(struct beat *b)
{
	const req_t *q = b->q;
	enum err e = E_OK;

	for (int32_t i = 0; i < q->topic_partitions.n; i++) {
		int32_t t = ctopic_find(b->cg,
		    &q->topic_partitions.v[i].topic_id);

		b->foreign |= t < 0;
		for (int32_t k = 0; t >= 0 && e == E_OK &&
		    k < q->topic_partitions.v[i].partitions.n; k++)
			e = tps_push(&b->owned, tp_of(t,
			    q->topic_partitions.v[i].partitions.v[k]));
	}
	tps_sort(&b->owned);
	return e;
}

static bool
is_subset(const struct beat *b)
{
	for (int i = 0; i < b->owned.n; i++)
		if (!tps_has(&b->m->assigned, b->owned.v[i]))
			return false;
	return b->q->topic_partitions.n >= 0 && !b->foreign;
}

/* The epoch before is fine if the answer with the new one may have been lost:
 * the member has nothing that it was not given. */
static enum err
check_epoch(struct beat *b)
{
	int32_t got = b->q->member_epoch, is = b->m->epoch;

	if (got == 0 || got == is || (got < is && got == b->m->previous &&
	    is_subset(b)))
		return E_OK;
	return refuse(b, E_FENCED_MEMBER_EPOCH, call_words(b->c,
	    "The consumer group member has a %s member epoch (%d) than the "
	    "one known by the group coordinator (%d). The member must abandon "
	    "all its partitions and rejoin.", got > is ? "greater" : "smaller",
	    (int)got, (int)is));
}

static enum err
unknown_member(struct beat *b)
{
	const req_t *q = b->q;

	b->m = NULL;
	if (q->instance_id.len >= 0)
		return refuse(b, E_UNKNOWN_MEMBER, call_words(b->c,
		    "Instance id %.*s is unknown.", WORDS(q->instance_id)));
	return refuse(b, E_UNKNOWN_MEMBER, call_words(b->c, "Member %.*s is "
	    "not a member of group %s.", WORDS(q->member_id), b->g->name));
}

/* A known member, which epoch it may have. */
static enum err
member_known(struct beat *b)
{
	const req_t *q = b->q;

	b->m = q->instance_id.len >= 0 ? cmember_static(b->cg, q->instance_id)
	    : cmember_find(b->cg, q->member_id);
	if (b->m == NULL)
		return unknown_member(b);
	if (q->instance_id.len < 0 || kstr_eq(kstr_of(b->m->id),
	    q->member_id))
		return E_OK;
	return refuse(b, E_FENCED_INSTANCE, call_words(b->c, "Static member "
	    "%.*s with instance id %s was fenced by member %s.",
	    WORDS(q->member_id), b->m->instance, b->m->id));
}

/* A static member comes back under a new id, to what it had. */
static enum err
member_replace(struct beat *b, struct kstr id)
{
	struct cmember *m = b->m;
	enum err e;

	if (!m->classic && m->epoch != EPOCH_LEAVE_STATIC)
		return refuse(b, E_UNRELEASED_INSTANCE, call_words(b->c,
		    "Static member %.*s with instance id %s cannot join the "
		    "group because the instance id is owned by %s member.",
		    WORDS(id), m->instance, m->id));
	if (cmember_find(b->cg, id) != NULL && !kstr_eq(kstr_of(m->id), id))
		return refuse(b, E_UNRELEASED_INSTANCE, kstr_of("The member id "
		    "is in use by another member."));
	e = cmember_put_gone(m);
	if (e == E_OK)
		e = cmember_rename(m, id);
	if (e != E_OK)
		return e;
	m->epoch = m->previous = 0;
	e = cmember_put(m);
	if (e == E_OK)
		e = cmember_put_target(m);
	return e == E_OK ? cmember_put_current(m) : e;
}

static enum err
member_join(struct beat *b)
{
	const req_t *q = b->q;
	struct kstr id = q->member_id;
	char *made = NULL;
	enum err e = E_OK;

	b->m = q->instance_id.len >= 0 ? cmember_static(b->cg, q->instance_id)
	    : cmember_find(b->cg, id);
	if (id.len <= 0) {
		made = member_id_new(kstr_of("consumer"), kstr_of(NULL));
		if (made == NULL)
			return E_COORDINATOR_NOT_AVAILABLE;
		id = kstr_of(made);
	}
	if (b->m == NULL && q->instance_id.len >= 0)
		b->m = cmember_find(b->cg, id);
	else if (b->m != NULL && q->instance_id.len >= 0)
		e = member_replace(b, id);
	if (e == E_OK && b->m == NULL) {
		b->fresh = true;
		if (b->cg->nmembers >= MEMBERS_MAX || b->cg->nmembers >=
		    b->c->eng->conf->group_consumer_max_size)
			e = refuse(b, E_GROUP_FULL, call_words(b->c, "The "
			    "consumer group has reached its maximum capacity "
			    "of %d members.", b->cg->nmembers));
		else if ((b->m = cmember_new(b->cg, id)) == NULL)
			e = E_COORDINATOR_NOT_AVAILABLE;
	}
	free(made);
	return e;
}

/* ---- a heartbeat ------------------------------------------------------- */

enum err
cmember_client(struct cmember *m, struct call *c, bool *changed)
{
	char host[128];
	enum err e;

	/* As Java prints an address. */
	snprintf(host, sizeof host, "/%s", c->session->host);
	e = cmember_text(m, &m->client_id, kstr_of(c->session->client_id),
	    changed);
	return e == E_OK ? cmember_text(m, &m->host, kstr_of(host), changed)
	    : e;
}

/* What the request brings is the member's; *bump: it wants something else. */
static enum err
member_update(struct beat *b, bool *bump)
{
	const req_t *q = b->q;
	struct cmember *m = b->m;
	struct csub *sub = NULL;
	bool changed = b->fresh || m->classic;
	enum err e = cmember_client(m, b->c, &changed);

	if (e == E_OK)
		e = cmember_text(m, &m->instance, q->instance_id, &changed);
	if (e == E_OK)
		e = cmember_text(m, &m->rack, q->rack_id, &changed);
	if (e == E_OK && (q->subscribed_topic_names.n >= 0 ||
	    q->subscribed_topic_regex.len >= 0)) {
		struct kstr *own = arena_array(&b->c->arena,
		    (size_t)m->sub->nnames + 1, sizeof *own);

		for (int i = 0; own != NULL && i < m->sub->nnames; i++)
			own[i] = kstr_of(m->sub->names[i]);
		e = own == NULL ? E_NOMEM : csub_get(b->cg,
		    q->subscribed_topic_names.n >= 0
		    ? q->subscribed_topic_names.v : own,
		    q->subscribed_topic_names.n >= 0
		    ? q->subscribed_topic_names.n : m->sub->nnames,
		    q->subscribed_topic_regex.len >= 0
		    ? q->subscribed_topic_regex : kstr_of(m->sub->regex),
		    &sub);
	}
	if (e != E_OK)
		return e;
	*bump = b->fresh || (sub != NULL && sub != m->sub);
	changed |= *bump;
	if (sub != NULL) {
		csub_put(b->cg, m->sub);
		m->sub = sub;
	}
	if (q->rebalance_timeout_ms != -1 &&
	    q->rebalance_timeout_ms != m->rebalance_ms) {
		m->rebalance_ms = q->rebalance_timeout_ms;
		changed = true;
	}
	if (q->server_assignor.len >= 0 &&
	    assignor_find(q->server_assignor) != m->assignor) {
		m->assignor = assignor_find(q->server_assignor);
		changed = true;
	}
	if (m->classic && (e = cmember_protocols(m, NULL, 0)) != E_OK)
		return e;
	/* A member's record means nothing before its group's. */
	if (b->cg->written == 0 && (e = cgroup_put(b->cg)) != E_OK)
		return e;
	return changed ? cmember_put(m) : E_OK;
}

/* The set in the form of an answer, in the call's arena. */
static enum err
assignment(struct beat *b)
{
	const struct tps *s = &b->m->assigned;
	struct consumer_group_heartbeat_res_assignment *a;
	int32_t *parts;

	b->c->arena.limit += (size_t)(s->n + 1) * 64;
	a = arena_alloc(&b->c->arena, sizeof *a);
	parts = arena_array(&b->c->arena, (size_t)s->n + 1, sizeof *parts);
	if (a != NULL)
		a->topic_partitions.v = arena_array(&b->c->arena,
		    (size_t)s->n + 1, sizeof *a->topic_partitions.v);
	if (a == NULL || parts == NULL || a->topic_partitions.v == NULL)
		return E_NOMEM;
	for (int i = 0; i < s->n; i++) {
		struct consumer_group_heartbeat_res_topic_partitions *t;

		if (i == 0 || tp_topic(s->v[i]) != tp_topic(s->v[i - 1])) {
			t = &a->topic_partitions.v[a->topic_partitions.n++];
			t->topic_id = b->cg->topics[tp_topic(s->v[i])].id;
			t->partitions.v = parts + i;
		}
		t = &a->topic_partitions.v[a->topic_partitions.n - 1];
		t->partitions.v[t->partitions.n++] = tp_part(s->v[i]);
	}
	b->res->assignment = a;
	return E_OK;
}

/* A full request wants a full answer. */
static bool
is_full(const req_t *q)
{
	return q->member_epoch == 0 || (q->rebalance_timeout_ms != -1 &&
	    (q->subscribed_topic_names.n >= 0 ||
	    q->subscribed_topic_regex.len >= 0) &&
	    q->topic_partitions.n >= 0);
}

static enum err
beat(struct beat *b)
{
	const req_t *q = b->q;
	bool bump = false;
	enum err e = group_of(b);

	if (e == E_OK)
		e = owned_read(b);
	if (e == E_OK)
		e = q->member_epoch == 0 ? member_join(b) : member_known(b);
	if (e == E_OK && !b->fresh)
		e = check_epoch(b);
	if (e == E_OK)
		e = tps_copy(&b->before, &b->m->assigned);
	if (e == E_OK)
		e = member_update(b, &bump);
	if (e != E_OK) {
		if (b->fresh && b->m != NULL)
			cmember_free(b->m);
		return e;
	}
	e = cgroup_advance(b->cg, bump);
	if (e == E_OK)
		e = cmember_advance(b->m, q->topic_partitions.n >= 0
		    ? &b->owned : NULL);
	cmember_session(b->m);
	if (e != E_OK)
		return e;
	b->res->member_id = call_words(b->c, "%s", b->m->id);
	b->res->member_epoch = b->m->epoch;
	b->res->heartbeat_interval_ms = group_conf_heartbeat_ms(b->c->eng,
	    kstr_of(b->g->name));
	return is_full(q) || !tps_eq(&b->before, &b->m->assigned)
	    ? assignment(b) : E_OK;
}

/* It keeps what it has, as long as its session lasts. */
static enum err
leave_static(struct cmember *m)
{
	struct tps assigned = { 0 }, none = { 0 };
	enum err e = tps_copy(&assigned, &m->assigned);

	if (e == E_OK)
		e = cmember_hold(m, &assigned, &none, m->epoch);
	tps_free(&assigned);
	if (e != E_OK)
		return e;
	m->epoch = EPOCH_LEAVE_STATIC;
	cmember_phase(m, P_NONE);
	return cmember_put_current(m);
}

/* A member goes; a static one may come back to what it has (-2). */
static enum err
leave(struct beat *b)
{
	struct cmember *m;
	enum err e;

	b->g = group_find(b->c->eng, b->q->group_id, false);
	b->cg = b->g == NULL ? NULL : cgroup_of(b->g);
	if (b->cg == NULL)
		return no_group(b);
	e = member_known(b);
	if (e != E_OK)
		return e;
	m = b->m;
	b->m = NULL;
	b->res->member_id = b->q->member_id;
	b->res->member_epoch = b->q->member_epoch;
	log_debug("member leaves", LS("group", b->g->name), LS("member",
	    m->id), LI("epoch", b->q->member_epoch));
	if (b->q->member_epoch == EPOCH_LEAVE) {
		e = cmember_leave(m);
		b->cg = cgroup_of(b->g);
		return e;
	}
	b->m = m;
	return leave_static(m);
}

void
handle_consumer_group_heartbeat(struct call *c)
{
	struct beat b = { .c = c, .q = c->req };
	enum err e;

	b.res = arena_alloc(&c->arena, sizeof *b.res);
	if (b.res == NULL) {
		call_bad(c, "out of memory");
		return;
	}
	b.res->error_message = b.res->member_id = kstr_of(NULL);
	e = check(&b);
	if (e == E_OK)
		e = b.q->member_epoch < 0 ? leave(&b) : beat(&b);
	if (e == E_NOMEM)
		e = E_COORDINATOR_NOT_AVAILABLE;
	if (e != E_OK) {
		b.res->assignment = NULL;
		b.res->member_id = kstr_of(NULL);
		b.res->member_epoch = b.res->heartbeat_interval_ms = 0;
	}
	if (e != E_OK && b.res->error_message.len < 0)
		b.res->error_message = kstr_of(err_text(e));
	b.res->error_code = err_code(e);
	tps_free(&b.owned);
	tps_free(&b.before);
	/* A group that was made for a member that could not join. */
	if (b.cg != NULL && b.cg->nmembers == 0 && b.cg->epoch == 0) {
		cgroup_free(b.g);
		b.cg = NULL;
	}
	cgroup_answer(b.cg, b.m, c, b.res, &b.res->error_code);
	if (b.g != NULL && b.cg == NULL)
		group_unused(b.g);
}
