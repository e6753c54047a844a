/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users, quotas and the secret of tokens on a disk that loses: before each
 * call that changes the disk the power goes, in several ways, and another
 * engine opens what is left.  It must know everything that was visible, and
 * nothing of a change that had not begun.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "lib/log.h"
#include "rig.h"
#include "serve.h"

enum { USERS = 4, SEEDS = 6 };

static struct rig r;
static struct session someone = { .refs = 1, .client_id = (char *)"check",
    .principal = (char *)"check", .host = (char *)"" };
static int states, began;

/* A call of a link that is gone: its answer goes nowhere. */
static struct call *
call_new(int type, const void *req, size_t size)
{
	struct call *c = calloc(1, sizeof *c);

	c->eng = &r.eng;
	c->session = session_ref(&someone);
	c->head.type = (uint16_t)type;
	arena_init(&c->arena, 16 * MIB);
	c->req = arena_alloc(&c->arena, size);
	memcpy(c->req, req, size);
	return c;
}

static void
change_user(int i, int iterations)
{
	static uint8_t salted[64];
	char name[8];
	struct alter_user_scram_credentials_req_upsertion u = {
	    .mechanism = SCRAM_SHA256, .iterations = iterations,
	    .salt = { 4, (const uint8_t *)"salt" },
	    .salted_password = { 32, salted } };
	struct alter_user_scram_credentials_req_deletion d = {
	    .mechanism = SCRAM_SHA256 };
	struct alter_user_scram_credentials_req q = { 0 };

	snprintf(name, sizeof name, "u%d", i);
	u.name = d.name = kstr_of(name);
	if (iterations > 0) {
		q.upsertions.n = 1;
		q.upsertions.v = &u;
	} else {
		q.deletions.n = 1;
		q.deletions.v = &d;
	}
	handle_alter_user_scram(call_new(API_ALTER_USER_SCRAM, &q, sizeof q));
	engine_drain(&r.eng);
}

static void
change_quota(int i, double value)
{
	char name[8];
	struct alter_client_quotas_req_entry_entity e = {
	    .entity_type = kstr_of("client-id") };
	struct alter_client_quotas_req_entry_op o = {
	    .key = kstr_of("producer_byte_rate"), .value = value,
	    .remove = value <= 0 };
	struct alter_client_quotas_req_entry en = { { 1, &e }, { 1, &o } };
	struct alter_client_quotas_req q = { { 1, &en }, false };

	snprintf(name, sizeof name, "u%d", i);
	e.entity_name = kstr_of(name);
	handle_alter_client_quotas(call_new(API_ALTER_CLIENT_QUOTAS, &q,
	    sizeof q));
	engine_drain(&r.eng);
}

static int
user_has(const struct engine *eng, int i)
{
	char name[8];
	struct user *u;

	snprintf(name, sizeof name, "u%d", i);
	u = user_find(&eng->users, kstr_of(name));
	return u == NULL ? 0 : u->cred[0].iterations;
}

static double
quota_has(const struct engine *eng, int i)
{
	char name[8];
	struct entity e = { { { ABSENT, NULL }, { 0, name },
	    { ABSENT, NULL } } };

	snprintf(name, sizeof name, "u%d", i);
	e.name[ENTITY_CLIENT] = kstr_of(name);
	return quota_get(&eng->quotas, &e, QUOTA_PRODUCE);
}

/* What was visible, and for the one that is changing what it changes to. */
static struct { int user[USERS]; double quota[USERS]; } seen;
static int which, next_user;
static double next_quota;

static void
check_state(const struct engine *eng, bool exact)
{
	for (int i = 0; i < USERS; i++) {
		int u = user_has(eng, i);
		double q = quota_has(eng, i);
		bool may = !exact && i == which;

		ck_assert(u == seen.user[i] || (may && u == next_user));
		ck_assert(q == seen.quota[i] || (may && q == next_quota));
	}
}

static void
remember(void)
{
	for (int i = 0; i < USERS; i++) {
		seen.user[i] = user_has(&r.eng, i);
		seen.quota[i] = quota_has(&r.eng, i);
	}
}

/* The power goes here, on copies of the disk. */
static void
at_call(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	struct rig now = r;

	(void)op;
	(void)arg;
	for (uint64_t seed = 0; began && seed < SEEDS; seed++) {
		struct sim *copy = sim_clone(d), *was;

		sim_hook(copy, NULL, NULL);
		sim_crash(copy, seed * 1000 + (uint64_t)n);
		was = sim_use(copy);
		r.disk = copy;
		ck_assert_int_eq(rig_open(&r), E_OK);
		check_state(&r.eng, false);
		ck_assert(r.eng.auth.has_secret);
		ck_assert_mem_eq(r.eng.auth.secret, now.eng.auth.secret,
		    SECRET_SIZE);
		rig_kill(&r);
		sim_use(was);
		sim_free(copy);
		r = now;
		states++;
	}
}

START_TEST(power)
{
	unsigned rng = 7;

	rig_init(&r);
	r.conf.security_protocol = SECURITY_SASL;
	ck_assert_int_eq(rig_open(&r), E_OK);
	ck_assert(r.eng.auth.has_secret);
	began = true;
	for (int i = 0; i < 60; i++) {
		rng = rng * 1103515245 + 12345;
		which = (int)(rng >> 16) % USERS;
		remember();
		next_user = seen.user[which];
		next_quota = seen.quota[which];
		sim_hook(r.disk, at_call, NULL);
		if (i % 2 == 0) {
			next_user = (rng >> 24) % 3 == 0 ? 0 : 4096 + i;
			change_user(which, next_user);
			ck_assert_int_eq(user_has(&r.eng, which), next_user);
		} else {
			next_quota = (rng >> 24) % 3 == 0 ? 0 : 1000 + i;
			change_quota(which, next_quota);
			ck_assert(quota_has(&r.eng, which) == next_quota);
		}
		sim_hook(r.disk, NULL, NULL);
	}
	ck_assert_int_gt(states, 200);
	/* A kill, an ordered stop, and a rewritten catalogue. */
	remember();
	rig_kill(&r);
	sim_kill(r.disk);
	ck_assert_int_eq(rig_open(&r), E_OK);
	check_state(&r.eng, true);
	for (int i = 0; r.eng.meta.part->segs[0]->base == 0; i++) {
		struct meta_pids rec = { 1000 };

		ck_assert_int_lt(i, 1000);
		for (int k = 0; k < 1000; k++)
			ck_assert_int_eq(meta_write(&r.eng.meta, MT_meta_pids,
			    NULL, &rec, NULL), E_OK);
		engine_drain(&r.eng);
	}
	ck_assert_int_eq(rig_stop(&r), E_OK);
	ck_assert_int_eq(rig_open(&r), E_OK);
	check_state(&r.eng, true);
	ck_assert(r.eng.auth.has_secret);
	rig_kill(&r);
	rig_free(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("identity");
	TCase *c = tcase_create("identity");
	SRunner *sr;
	int failed;

	tcase_set_timeout(c, 600);
	tcase_add_test(c, power);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
