/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run's description on disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "setup.h"

/* Each number of a topic, in the order of its line. */
#define TOPIC_FIELDS(F) F(nparts) F(acks) F(idempotent) F(compact) \
	F(append_time) F(deletes) F(times) F(group) F(raw) F(retention_ms) \
	F(retention_bytes) F(delete_retention_ms)

bool
setup_save(const struct setup *s, const char *dir)
{
	char path[4096], tmp[4104];
	bool ok;
	FILE *f;

	snprintf(path, sizeof path, "%s/run.txt", dir);
	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	if ((f = fopen(tmp, "w")) == NULL)
		return false;
	fprintf(f, "run %" PRIu64 " %" PRIu64 " %" PRId64 " %d\n", s->run,
	    s->seed, s->wall_ms, s->power_cuts);
	for (int i = 0; i < s->ntopics; i++) {
		fprintf(f, "topic %s", s->topics[i].name);
#define F(x) fprintf(f, " %" PRId64, (int64_t)s->topics[i].x);
		TOPIC_FIELDS(F)
#undef F
		fprintf(f, "\n");
	}
	ok = fflush(f) == 0 && fsync(fileno(f)) == 0;
	return fclose(f) == 0 && ok && rename(tmp, path) == 0;
}

static bool
topic_load(FILE *f, struct ck_topic *t)
{
	int64_t v;

	if (fscanf(f, " topic %127s", t->name) != 1)
		return false;
#define F(x) if (fscanf(f, "%" SCNd64, &v) != 1) \
		return false; \
	t->x = (__typeof__(t->x))v;
	TOPIC_FIELDS(F)
#undef F
	return t->nparts > 0 && t->nparts <= PARTS_MAX;
}

bool
setup_load(struct setup *s, const char *dir)
{
	char path[4096];
	int cuts;
	FILE *f;

	memset(s, 0, sizeof *s);
	snprintf(path, sizeof path, "%s/run.txt", dir);
	if ((f = fopen(path, "r")) == NULL)
		return false;
	if (fscanf(f, "run %" SCNu64 " %" SCNu64 " %" SCNd64 " %d", &s->run,
	    &s->seed, &s->wall_ms, &cuts) != 4) {
		fclose(f);
		errno = EINVAL;
		return false;
	}
	s->power_cuts = cuts != 0;
	while (s->ntopics < TOPICS_MAX &&
	    topic_load(f, &s->topics[s->ntopics]))
		s->ntopics++;
	fclose(f);
	return true;
}
