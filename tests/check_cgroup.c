/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups and the catalogue: whatever members have done, a crash and
 * a clean stop bring back the same group, epochs, targets and holders.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ck.h"
#include "group/cgroup.h"
#include "rig.h"

enum { TOPICS = 3, STEPS = 300, TEXT = 64 * 1024 };

static struct rig r;
static unsigned seed;

static struct cgroup *
group(void)
{
	struct group *g = group_find(&r.eng, kstr_of("g"), true);
	struct cgroup *cg = cgroup_of(g);

	if (cg == NULL)
		ck_assert_int_eq(cgroup_upgrade(g, &cg), E_OK);
	return cg;
}

static size_t
text_set(char *out, size_t n, const struct cgroup *cg, const char *what,
    const struct tps *s)
{
	unsigned sum = 0;

	/* Indexes are not kept: a topic's id and the partition are. */
	for (int i = 0; i < s->n; i++)
		sum += (cg->topics[tp_topic(s->v[i])].id.b[0] * 31u +
		    (unsigned)tp_part(s->v[i])) * 2654435761u;
	return n + (size_t)snprintf(out + n, TEXT - n, " %s %d:%08x", what,
	    s->n, sum);
}

/* All of the group that counts. */
static void
text(char *out)
{
	const struct cgroup *cg = group();
	size_t n = (size_t)snprintf(out, TEXT, "%d %d %lld %s\n",
	    (int)cg->epoch, (int)cg->target_epoch, (long long)cg->wanted,
	    cgroup_state(cg->group));
	char line[256];

	for (const struct cmember *m = cg->members; m != NULL; m = m->next) {
		snprintf(line, sizeof line, "%s %d %d %d %d %d", m->id,
		    (int)m->epoch, (int)m->previous, (int)m->state,
		    (int)m->rebalance_ms, m->sub->nnames);
		n += (size_t)snprintf(out + n, TEXT - n, "%s %s", line,
		    m->sub->regex == NULL ? "-" : m->sub->regex);
		n = text_set(out, n, cg, "has", &m->assigned);
		n = text_set(out, n, cg, "gives", &m->revoking);
		n = text_set(out, n, cg, "shall", &m->target);
		n += (size_t)snprintf(out + n, TEXT - n, "\n");
	}
}

static struct cmember *
any(void)
{
	struct cgroup *cg = group();
	int n = cg->nmembers == 0 ? 0 : rand_r(&seed) % cg->nmembers;
	struct cmember *m = cg->members;

	while (n-- > 0)
		m = m->next;
	return m;
}

static void
subscribe(struct cmember *m)
{
	static const char *const names[TOPICS] = { "a", "b", "c" };
	struct kstr want[TOPICS];
	struct csub *s;
	int n = 0;

	for (int i = 0; i < TOPICS; i++)
		if (rand_r(&seed) % 2)
			want[n++] = kstr_of(names[i]);
	ck_assert_int_eq(csub_get(group(), want, n, kstr_of(
	    rand_r(&seed) % 4 ? NULL : "[ab]"), &s), E_OK);
	csub_put(group(), m->sub);
	m->sub = s;
	ck_assert_int_eq(cmember_put(m), E_OK);
	ck_assert_int_eq(cgroup_advance(group(), true), E_OK);
}

/* A member that has what it is assigned, and no more; or does not tell. */
static void
step(int k)
{
	struct cgroup *cg = group();
	struct cmember *m = any();
	char id[16];

	if (m == NULL || (rand_r(&seed) % 8 == 0 && cg->nmembers < 8)) {
		snprintf(id, sizeof id, "m%d", k);
		if (cg->written == 0)
			ck_assert_int_eq(cgroup_put(cg), E_OK);
		m = cmember_new(cg, kstr_of(id));
		ck_assert_ptr_nonnull(m);
		m->rebalance_ms = 60000;
		subscribe(m);
	} else if (rand_r(&seed) % 12 == 0) {
		ck_assert_int_eq(cmember_leave(m), E_OK);
		m = NULL;
	} else if (rand_r(&seed) % 6 == 0)
		subscribe(m);
	if (m != NULL) {
		struct tps owned = { 0 };

		ck_assert_int_eq(tps_copy(&owned, &m->assigned), E_OK);
		ck_assert_int_eq(cgroup_advance(cg, false), E_OK);
		ck_assert_int_eq(cmember_advance(m, rand_r(&seed) % 3
		    ? &owned : NULL), E_OK);
		tps_free(&owned);
	}
	cgroup_flush(&r.eng);
	engine_drain(&r.eng);
}

START_TEST(test_restart)
{
	char *before = malloc(TEXT), *after = malloc(TEXT);

	seed = (unsigned)_i + 1;
	rig_init(&r);
	ck_assert_int_eq(rig_open(&r), E_OK);
	rig_topic(&r, "a", 4);
	rig_topic(&r, "b", 3);
	for (int k = 0; k < STEPS; k++) {
		step(k);
		if (k == STEPS / 2)
			rig_topic(&r, "c", 5);
		if (k % 10 != 9)
			continue;
		ck_assert_int_eq(cgroup_advance(group(), false), E_OK);
		cgroup_flush(&r.eng);
		engine_drain(&r.eng);
		text(before);
		if (k % 20 == 9)
			rig_kill(&r);
		else
			ck_assert_int_eq(rig_stop(&r), E_OK);
		ck_assert_int_eq(rig_open(&r), E_OK);
		text(after);
		ck_assert_str_eq(before, after);
		/* Nobody has to do anything because of it. */
		ck_assert_int_eq(cgroup_advance(group(), false), E_OK);
		text(after);
		ck_assert_str_eq(before, after);
	}
	ck_assert_int_eq(rig_stop(&r), E_OK);
	rig_free(&r);
	free(before);
	free(after);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cgroup");
	TCase *tc = tcase_create("restarts");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_restart, 0, 8);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
