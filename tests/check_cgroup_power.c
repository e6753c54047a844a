/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a consumer group while the power goes: members of both protocols
 * join, share, commit, leave, come back and are thrown out, the group becomes
 * classic and a consumer group again.  Before each call that changes the disk
 * the disk is cloned, crashed in several ways and opened.  The group must be
 * one that it has been, whole, and not from before what has been answered;
 * and its members go on in it without being fenced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "group/cgroup.h"
#include "group/group_call.h"
#include "rig.h"
#include "session.h"

/* Under a sanitizer fewer states are enough: it looks for other mistakes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS	2
#else
#define SEEDS	6
#endif

enum { TEXT = 4096, STATES_MAX = 8, SEEN_MAX = 4096, CLIENTS = 8,
    TOPICS = 2, PARTS = 4, NO_EPOCH = -9, DELAY_MS = 10 };

static struct rig r;
static char client_id[] = "client", host[] = "127.0.0.1", none[] = "";
static struct session client = { .refs = 1, .client_id = client_id,
    .host = host, .software = none, .principal = none };
static const char *const names[TOPICS] = { "a", "b" };

/* A member as it sees itself: what it has been answered. */
static struct client {
	char		 id[96];
	const char	*instance;
	bool		 classic;
	int32_t		 epoch;		/* NO_EPOCH: it is not in the group */
	struct tps	 told;
} clients[CLIENTS];

/* What the group has been since the last answer, and what crashes left. */
static char states[STATES_MAX][TEXT];
static int nstates, asked;
static bool weak;	/* the answers of this step promise nothing */
static struct seen {
	int	 answered;
	char	*text;
} seen[SEEN_MAX];
static int nseen;
static int64_t crashes, runs;

/* ---- the group in words ------------------------------------------------- */

static struct group *
group(void)
{
	return group_find(&r.eng, kstr_of("g"), false);
}

static int32_t
place(const struct uuid *id)
{
	for (int i = 0; i < TOPICS; i++) {
		const struct topic *t = topic_find(&r.eng.topics,
		    kstr_of(names[i]));

		if (t != NULL && memcmp(&t->id, id, sizeof *id) == 0)
			return i;
	}
	ck_abort_msg("a topic that nobody made");
}

static size_t
say_set(char *out, size_t n, const struct cgroup *cg, const char *what,
    const struct tps *s)
{
	unsigned has[TOPICS] = { 0 };

	for (int i = 0; i < s->n; i++)
		has[place(&cg->topics[tp_topic(s->v[i])].id)] |=
		    1u << tp_part(s->v[i]);
	return n + (size_t)snprintf(out + n, TEXT - n, " %s %x/%x", what,
	    has[0], has[1]);
}

static size_t
say_modern(char *out, size_t n, const struct cgroup *cg)
{
	n += (size_t)snprintf(out + n, TEXT - n, "consumer %d %d %lld\n",
	    (int)cg->epoch, (int)cg->target_epoch, (long long)cg->wanted);
	for (const struct cmember *m = cg->members; m != NULL; m = m->next) {
		n += (size_t)snprintf(out + n, TEXT - n,
		    "%s %s %d %d %d %d %d %d", m->id,
		    m->instance == NULL ? "-" : m->instance, (int)m->classic,
		    (int)m->epoch, (int)m->previous, (int)m->state,
		    (int)m->rebalance_ms, m->sub->nnames);
		n = say_set(out, n, cg, "has", &m->assigned);
		n = say_set(out, n, cg, "gives", &m->revoking);
		n = say_set(out, n, cg, "shall", &m->target);
		n += (size_t)snprintf(out + n, TEXT - n, "\n");
	}
	return n;
}

static size_t
say_classic(char *out, size_t n, const struct group *g)
{
	n += (size_t)snprintf(out + n, TEXT - n, "classic %d\n",
	    g->stored ? (int)g->generation : 0);
	for (const struct member *m = g->members; m != NULL && g->stored;
	    m = m->next) {
		unsigned sum = 0;

		for (int i = 0; i < m->assignment_len; i++)
			sum = sum * 31 + m->assignment[i];
		n += (size_t)snprintf(out + n, TEXT - n, "%s %s %d:%x\n",
		    m->id, m->instance == NULL ? "-" : m->instance,
		    (int)m->assignment_len, sum);
	}
	return n;
}

static size_t
say_offsets(char *out, size_t n, struct group *g)
{
	for (int i = 0; i < TOPICS; i++) {
		struct topic *t = topic_find(&r.eng.topics,
		    kstr_of(names[i]));

		for (int32_t p = 0; t != NULL && p < t->nparts; p++) {
			struct committed *o = group_offset(g, t, p, false);

			if (o != NULL && o->ts != 0)
				n += (size_t)snprintf(out + n, TEXT - n,
				    "%s-%d %lld %.*s\n", names[i], (int)p,
				    (long long)o->offset,
				    (int)o->metadata.len, o->metadata.p);
		}
	}
	return n;
}

/* All that is durable of it, or will be.  Of a rebalance of the classic kind
 * nothing is before its end. */
static void
say(char *out, const char *last)
{
	struct group *g = group();
	size_t n = 0;

	if (g == NULL || (g->ops == NULL && !g->stored && g->offsets.n == 0)) {
		snprintf(out, TEXT, "none");
		return;
	}
	if (g->ops != NULL)
		n = say_modern(out, n, cgroup_of(g));
	else if ((g->state == GROUP_PREPARING ||
	    g->state == GROUP_COMPLETING) && last != NULL &&
	    strncmp(last, "consumer", 8) != 0) {
		snprintf(out, TEXT, "%s", last);
		return;
	} else
		n = say_classic(out, n, g);
	n = say_offsets(out, n, g);
	ck_assert_uint_lt(n, TEXT - 1);
}

/* ---- calls -------------------------------------------------------------- */

static struct call *
call_new(int version, const void *req, size_t size)
{
	struct call *c = calloc(1, sizeof *c);

	arena_init(&c->arena, MIB);
	c->eng = &r.eng;
	c->session = session_ref(&client);
	c->head.version = (uint16_t)version;
	c->req = arena_alloc(&c->arena, size);
	memcpy(c->req, req, size);
	asked++;
	return c;
}

static int
answered(void)
{
	return asked - (client.refs - 1);
}

/* What the member is told; of a classic one when it syncs. */
static void
told(struct client *c, const struct cmember *m)
{
	c->epoch = m->epoch;
	tps_free(&c->told);
	ck_assert_int_eq(tps_copy(&c->told, &m->assigned), E_OK);
}

static void
beat_send(struct client *c, int32_t epoch)
{
	struct kstr wants[TOPICS] = { kstr_of("a"), kstr_of("b") };
	struct consumer_group_heartbeat_req q = { .group_id = kstr_of("g"),
	    .member_id = kstr_of(c->id), .member_epoch = epoch,
	    .instance_id = kstr_of(c->instance), .rack_id = { -1, NULL },
	    .rebalance_timeout_ms = -1,
	    .subscribed_topic_names = { -1, NULL },
	    .subscribed_topic_regex = { -1, NULL },
	    .server_assignor = { -1, NULL }, .topic_partitions = { -1, NULL } };
	struct consumer_group_heartbeat_req_topic_partition v[TOPICS];
	int32_t parts[TOPICS * PARTS];
	struct group *g = group();

	if (epoch == 0) {
		q.rebalance_timeout_ms = 60000;
		q.subscribed_topic_names.n = TOPICS;
		q.subscribed_topic_names.v = wants;
	}
	if (epoch >= 0)
		q.topic_partitions.n = 0;
	q.topic_partitions.v = v;
	for (int i = 0; epoch > 0 && i < c->told.n; i++) {
		parts[i] = tp_part(c->told.v[i]);
		if (i == 0 || tp_topic(c->told.v[i]) !=
		    tp_topic(c->told.v[i - 1])) {
			v[q.topic_partitions.n].topic_id = cgroup_of(g)->
			    topics[tp_topic(c->told.v[i])].id;
			v[q.topic_partitions.n].partitions.v = parts + i;
			v[q.topic_partitions.n++].partitions.n = 0;
		}
		v[q.topic_partitions.n - 1].partitions.n++;
	}
	handle_consumer_group_heartbeat(call_new(1, &q, sizeof q));
}

/* Its step in the group; what it is answered is what there is now. */
static void
beat(struct client *c, int32_t epoch)
{
	struct group *g;
	struct cmember *m;

	beat_send(c, epoch);
	g = group();
	m = g == NULL || cgroup_of(g) == NULL ? NULL : cmember_find(
	    cgroup_of(g), kstr_of(c->id));
	if (epoch < 0) {
		c->epoch = NO_EPOCH;
		tps_free(&c->told);
		return;
	}
	ck_assert_ptr_nonnull(m);
	told(c, m);
}

static void
join_classic(struct client *c)
{
	struct kstr wants[TOPICS] = { kstr_of("a"), kstr_of("b") };
	struct consumer_protocol_subscription s = { .topics = { TOPICS,
	    wants }, .user_data = { -1, NULL } };
	struct wr w = wr_grow(KIB);
	struct join_group_req_protocol p = { kstr_of("range"), { 0, NULL } };
	struct join_group_req q = { .group_id = kstr_of("g"),
	    .session_timeout_ms = 45000, .rebalance_timeout_ms = 60000,
	    .member_id = kstr_of(c->id),
	    .group_instance_id = kstr_of(c->instance),
	    .protocol_type = kstr_of("consumer"), .protocols = { 1, &p } };
	struct consumer_protocol_subscription_topic_partition own[TOPICS];
	int32_t parts[TOPICS * PARTS];
	const struct cgroup *cg = group() == NULL ? NULL : cgroup_of(group());

	s.owned_partitions.v = own;
	for (int i = 0; cg != NULL && i < c->told.n; i++) {
		int at = place(&cg->topics[tp_topic(c->told.v[i])].id);

		parts[i] = tp_part(c->told.v[i]);
		own[i].topic = kstr_of(names[at]);
		own[i].partitions.v = parts + i;
		own[i].partitions.n = 1;
		s.owned_partitions.n++;
	}
	wr_i16(&w, 1);
	ck_assert_int_eq(msg_write(&kafka_msgs[
	    KM_consumer_protocol_subscription], 1, &w, &s), E_OK);
	p.metadata = (struct kbytes){ (int32_t)w.len, w.p };
	handle_join_group(call_new(c->instance == NULL ? 3 : 5, &q,
	    sizeof q));
	wr_free(&w);
	c->classic = true;
}

static struct client *
client_of(const char *id)
{
	for (int i = 0; i < CLIENTS; i++)
		if (strcmp(clients[i].id, id) == 0)
			return &clients[i];
	return NULL;
}

/* The member that was given an id is this one. */
static void
meet(struct client *c)
{
	struct group *g = group();

	for (struct member *m = g->members; m != NULL; m = m->next)
		if (client_of(m->id) == NULL)
			snprintf(c->id, sizeof c->id, "%s", m->id);
	if (cgroup_of(g) != NULL)
		for (struct cmember *m = cgroup_of(g)->members; m != NULL;
		    m = m->next)
			if (client_of(m->id) == NULL)
				snprintf(c->id, sizeof c->id, "%s", m->id);
	ck_assert_int_ne(c->id[0], '\0');
}

static void
sync_classic(struct client *c)
{
	struct group *g = group();
	struct cgroup *cg = cgroup_of(g);
	struct sync_group_req_assignment v[CLIENTS];
	struct sync_group_req q = { .group_id = kstr_of("g"),
	    .member_id = kstr_of(c->id),
	    .group_instance_id = kstr_of(c->instance),
	    .protocol_type = { -1, NULL }, .protocol_name = { -1, NULL } };
	/* Version 0, a topic, a partition. */
	static uint8_t bytes[CLIENTS][21];

	if (cg != NULL) {
		struct cmember *m = cmember_find(cg, kstr_of(c->id));

		q.generation_id = m->epoch;
		handle_sync_group(call_new(c->instance == NULL ? 3 : 5, &q,
		    sizeof q));
		told(c, m);
		return;
	}
	q.generation_id = g->generation;
	q.assignments.v = v;
	for (struct member *m = g->members; m != NULL && g->leader != NULL &&
	    strcmp(g->leader->id, c->id) == 0; m = m->next) {
		int n = q.assignments.n++;
		uint8_t one[21] = { 0, 0, 0, 0, 0, 1, 0, 1, 'a', 0, 0, 0, 1,
		    0, 0, 0, (uint8_t)n };

		memcpy(bytes[n], one, sizeof one);
		v[n].member_id = kstr_of(m->id);
		v[n].assignment = (struct kbytes){ sizeof one, bytes[n] };
	}
	handle_sync_group(call_new(c->instance == NULL ? 3 : 5, &q,
	    sizeof q));
	c->epoch = g->generation;
	tps_free(&c->told);
}

static void
leave_classic(struct client *c)
{
	struct leave_group_req q = { .group_id = kstr_of("g"),
	    .member_id = kstr_of(c->id) };

	/* As in Kafka: after a crash its session ends. */
	weak = cgroup_of(group()) == NULL;
	handle_leave_group(call_new(1, &q, sizeof q));
	c->epoch = NO_EPOCH;
	tps_free(&c->told);
}

static void
commit(const struct client *c, int32_t part, int64_t offset)
{
	struct offset_commit_req_topic_part p = { .partition_index = part,
	    .committed_offset = offset, .committed_leader_epoch = -1,
	    .committed_metadata = kstr_of("words") };
	struct offset_commit_req_topic t = { .name = kstr_of("a"),
	    .partitions = { 1, &p } };
	struct offset_commit_req q = { .group_id = kstr_of("g"),
	    .generation_id_or_member_epoch = c->epoch,
	    .member_id = kstr_of(c->id),
	    .group_instance_id = kstr_of(c->instance),
	    .retention_time_ms = -1, .topics = { 1, &t } };

	struct call *k = call_new(9, &q, sizeof q);

	/* The handler keeps no copies of the lists. */
	q.topics.v = arena_alloc(&k->arena, sizeof t);
	*q.topics.v = t;
	q.topics.v->partitions.v = arena_alloc(&k->arena, sizeof p);
	*q.topics.v->partitions.v = p;
	memcpy(k->req, &q, sizeof q);
	handle_offset_commit(k);
}

static void
delete_group(void)
{
	struct kstr name = kstr_of("g");
	struct delete_groups_req q = { .groups_names = { 1, &name } };

	handle_delete_groups(call_new(2, &q, sizeof q));
}

/* ---- crashes ------------------------------------------------------------ */

/* A partition has one holder, and epochs are in order. */
static void
check_sound(const struct cgroup *cg)
{
	ck_assert_int_le(cg->target_epoch, cg->epoch);
	for (const struct cmember *m = cg->members; m != NULL; m = m->next) {
		ck_assert_int_le(m->epoch, cg->target_epoch);
		for (int i = 0; i < m->assigned.n; i++)
			ck_assert_ptr_eq(ctopic_owner(cg, m->assigned.v[i]),
			    m);
		for (int i = 0; i < m->revoking.n; i++)
			ck_assert_ptr_eq(ctopic_owner(cg, m->revoking.v[i]),
			    m);
	}
}

/* Members go on with what they have been answered, or ask again if they have
 * not been: nobody is fenced, and in the end all is assigned. */
static void
check_goes_on(void)
{
	struct cgroup *cg = cgroup_of(group());
	struct client mine;
	int32_t held = 0, all = 0;

	for (const struct cmember *m = cg->members; m != NULL; m = m->next)
		if (m->classic || m->epoch < 0)
			return;		/* has to be called, or to come back */
	for (int turn = 0; turn < 12 && cg->nmembers > 0; turn++)
		for (struct cmember *m = cg->members; m != NULL;
		    m = m->next) {
			const struct client *c = client_of(m->id);
			bool knows = turn == 0 && c != NULL &&
			    c->epoch > 0 && asked == answered();

			mine = knows ? *c : (struct client){ .epoch =
			    m->epoch, .instance = m->instance };
			snprintf(mine.id, sizeof mine.id, "%s", m->id);
			if (knows)
				ck_assert(c->epoch == m->epoch ||
				    c->epoch == m->previous);
			mine.told = (struct tps){ 0 };
			ck_assert_int_eq(tps_copy(&mine.told, knows
			    ? &c->told : &m->assigned), E_OK);
			beat(&mine, mine.epoch);
			tps_free(&mine.told);
			engine_drain(&r.eng);
			check_sound(cg);
		}
	for (const struct cmember *m = cg->members; m != NULL; m = m->next) {
		ck_assert_int_eq(m->state, C_STABLE);
		held += m->assigned.n;
	}
	for (struct topic *t = r.eng.topics.first; t != NULL; t = t->next)
		all += t->nparts;
	ck_assert_int_eq(held, cg->nmembers == 0 ? 0 : all);
	runs++;
}

static void
crash(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct rig live = r;
	int64_t now = rig_now;
	int was_asked = asked, was_answered = answered();

	(void)op;
	(void)arg;
	for (uint64_t s = 0; s < SEEDS; s++) {
		struct sim *copy = sim_clone(d);
		struct seen *at = &seen[nseen++];

		ck_assert_int_lt(nseen, SEEN_MAX);
		sim_hook(copy, NULL, NULL);
		if (s == SEEDS - 1)
			sim_kill(copy);
		else
			sim_crash(copy, s < 4 ? s : (uint64_t)n * 31 + s);
		sim_use(copy);
		r = (struct rig){ .conf = live.conf, .disk = copy };
		ck_assert_msg(rig_open(&r) == E_OK, "%s", r.why);
		at->answered = was_answered;
		at->text = malloc(TEXT);
		say(at->text, NULL);
		if (group() != NULL && cgroup_of(group()) != NULL) {
			check_sound(cgroup_of(group()));
			check_goes_on();
		}
		rig_kill(&r);
		asked = was_asked;
		sim_free(copy);
		r = live;
		sim_use(d);
		rig_now = now;
		crashes++;
	}
}

/* ---- steps -------------------------------------------------------------- */

/* What the group is from here on, if nothing fails. */
static void
mark(void)
{
	ck_assert_int_lt(nstates, STATES_MAX);
	say(states[nstates], nstates == 0 ? NULL : states[nstates - 1]);
	nstates++;
}

/* The step is over; every crash since the last one left what the group was
 * when the latest answer was given, or something later.  A step of the clock
 * has no answer. */
static void
settle(const char *what)
{
	engine_drain(&r.eng);
	rig_settle(&r, 1);
	ck_assert_int_eq(answered(), asked);
	mark();
	for (int i = 0; i < nseen; i++) {
		struct seen *s = &seen[i];
		int at = weak ? 0 : asked > 0 && s->answered == asked
		    ? nstates - 1 : s->answered;

		while (at < nstates && strcmp(states[at], s->text) != 0)
			at++;
		ck_assert_msg(at < nstates, "%s: %d of %d answered\n%s\n"
		    "was: %s\nis: %s", what, s->answered, asked, s->text,
		    states[0], states[nstates - 1]);
		free(s->text);
	}
	nseen = 0;
	/* Nothing but the disk as it was synced. */
	memmove(states[0], states[nstates - 1], TEXT);
	nstates = 1;
	asked = 0;
	weak = false;
	crash(r.disk, 1, SIM_SYNC, NULL);
	for (int i = 0; i < nseen; i++) {
		ck_assert_msg(strcmp(seen[i].text, states[0]) == 0,
		    "%s, after its answer\n%s\nis: %s", what, seen[i].text,
		    states[0]);
		free(seen[i].text);
	}
	nseen = 0;
}

/* Native members, until nothing moves. */
static void
converge(void)
{
	for (int turn = 0; turn < 8; turn++)
		for (int i = 0; i < CLIENTS; i++) {
			struct client *c = &clients[i];

			if (c->epoch <= 0)
				continue;
			if (!c->classic)
				beat(c, c->epoch);
			else {
				join_classic(c);
				mark();
				sync_classic(c);
			}
			settle("a heartbeat");
		}
}

static void
native_joins(struct client *c, const char *id)
{
	snprintf(c->id, sizeof c->id, "%s", id);
	c->classic = false;
	beat(c, 0);
	settle("a member joins");
}

/* All classic members in turn: the last one completes the join. */
static void
classic_round(struct client *first, int n)
{
	struct client *leader = first;

	for (int i = 0; i < n; i++) {
		join_classic(&first[i]);
		if (first[i].id[0] == '\0')
			meet(&first[i]);
	}
	for (int i = 0; i < 4; i++)
		rig_settle(&r, DELAY_MS);
	settle("classic members join");
	for (int i = 0; i < n; i++)
		if (group()->leader != NULL && strcmp(group()->leader->id,
		    first[i].id) == 0)
			leader = &first[i];
	for (int i = 0; i < n; i++)
		if (&first[i] != leader)
			sync_classic(&first[i]);
	sync_classic(leader);
	settle("classic members sync");
}

/* The next step has the catalogue written anew beneath it. */
static void
rewrite(void)
{
	const struct meta *m = &r.eng.meta;
	struct meta_pids rec = { 1000 };

	sim_hook(r.disk, NULL, NULL);
	while (part_active(m->part)->size < 2 * m->live + META_REWRITE_MIN) {
		for (int k = 0; k < 1000; k++)
			ck_assert_int_eq(meta_write(&r.eng.meta, MT_meta_pids,
			    NULL, &rec, NULL), E_OK);
		engine_drain(&r.eng);
	}
	sim_hook(r.disk, crash, NULL);
}

static void
begin(void)
{
	rig_init(&r);
	r.conf.group_initial_rebalance_delay_ms = DELAY_MS;
	ck_assert_int_eq(rig_open(&r), E_OK);
	rig_topic(&r, "a", PARTS);
	for (int i = 0; i < CLIENTS; i++)
		clients[i].epoch = NO_EPOCH;
	mark();
	sim_hook(r.disk, crash, NULL);
}

static void
end(void)
{
	sim_hook(r.disk, NULL, NULL);
	rig_kill(&r);
	rig_free(&r);
	for (int i = 0; i < CLIENTS; i++)
		tps_free(&clients[i].told);
}

/* ---- tests -------------------------------------------------------------- */

START_TEST(test_native)
{
	struct client *a = &clients[0], *b = &clients[1], *c = &clients[2];

	begin();
	native_joins(a, "first");
	commit(a, 0, 10);
	settle("a commit");
	native_joins(b, "second");
	converge();
	c->instance = "fixed";
	native_joins(c, "static-1");
	converge();
	/* Two at once, and what the second one does rests on the first. */
	commit(b, 1, 20);
	mark();
	commit(c, 1, 21);
	mark();
	beat(a, a->epoch);
	settle("two commits and a heartbeat");
	ck_assert_ptr_nonnull(strstr(states[0], "a-1 21 words"));
	/* The static one goes for a while, and comes back under another id. */
	beat(c, EPOCH_LEAVE_STATIC);
	settle("a static member leaves");
	native_joins(c, "static-2");
	converge();
	/* More to share, and the members learn of it one by one. */
	sim_hook(r.disk, NULL, NULL);
	rig_topic(&r, "b", 3);
	sim_hook(r.disk, crash, NULL);
	converge();
	if (_i > 0)
		rewrite();
	beat(a, EPOCH_LEAVE);
	mark();
	beat(b, b->epoch);
	settle("one leaves, another asks");
	converge();
	/* Nobody hears of this one again; the others must be heard. */
	rig_now += 30000;
	beat(c, c->epoch);
	settle("a heartbeat");
	rig_settle(&r, 20000);
	b->epoch = NO_EPOCH;
	settle("a session ends");
	ck_assert_ptr_null(strstr(states[0], "second"));
	converge();
	beat(c, EPOCH_LEAVE);
	settle("the last one leaves");
	ck_assert_ptr_nonnull(strstr(states[0], "a-1 21 words"));
	delete_group();
	settle("the group is deleted");
	ck_assert_str_eq(states[0], "none");
	native_joins(a, "again");
	ck_assert_ptr_null(strstr(states[0], "words"));
	ck_assert_int_gt(crashes, 200);
	ck_assert_int_gt(runs, 100);
	end();
}
END_TEST

START_TEST(test_migration)
{
	struct client *c = &clients[0], *n = &clients[2];

	begin();
	if (_i == 1)
		c[1].instance = "fixed";
	classic_round(c, 2);
	commit(&c[0], 0, 1);
	settle("a commit of a classic member");
	native_joins(n, "native");
	ck_assert_int_eq(strncmp(states[0], "consumer", 8), 0);
	ck_assert_ptr_nonnull(strstr(states[0], "a-0 1 words"));
	converge();
	commit(n, 1, 2);
	mark();
	commit(&c[1], 2, 3);
	settle("commits of both kinds");
	if (_i == 1)
		rewrite();
	beat(n, EPOCH_LEAVE);
	settle("the last native member leaves");
	ck_assert_int_eq(strncmp(states[0], "classic", 7), 0);
	ck_assert_ptr_nonnull(strstr(states[0], "a-1 2 words"));
	ck_assert_ptr_nonnull(strstr(states[0], "a-2 3 words"));
	classic_round(c, 2);
	commit(&c[0], 3, 4);
	settle("a commit of a classic member");
	native_joins(n, "native-2");
	converge();
	leave_classic(&c[0]);
	settle("a classic member leaves");
	leave_classic(&c[1]);
	settle("the last classic member leaves");
	converge();
	/* An empty group changes hands as well. */
	beat(n, EPOCH_LEAVE);
	settle("the last one leaves");
	c[0].id[0] = c[1].id[0] = '\0';
	classic_round(c, 1);
	ck_assert_int_eq(strncmp(states[0], "classic", 7), 0);
	ck_assert_ptr_nonnull(strstr(states[0], "a-3 4 words"));
	leave_classic(&c[0]);
	settle("it leaves");
	native_joins(n, "native-3");
	ck_assert_ptr_nonnull(strstr(states[0], "a-3 4 words"));
	ck_assert_int_gt(crashes, 200);
	ck_assert_int_gt(runs, 20);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cgroup_power");
	TCase *tc = tcase_create("crash");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_native, 0, 2);
	tcase_add_loop_test(tc, test_migration, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
