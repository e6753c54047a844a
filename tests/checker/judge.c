/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge's tables and what is seen at once, event by event.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

enum {
	SENDERS_MAX	= 1 << 16,
	TOLD_MAX	= 5,		/* findings of a kind told in full */
};
#define SEQ_MAX		(1ull << 28)
#define OFFSET_MAX	(1ll << 28)

const char *const anomaly_names[ANOMALIES] = {
#define ANOMALY(word, name, ...) [ANOMALY_##word] = name,
#include "anomaly.def"
};

static const struct { int check; const char *text; } anomaly_texts[] = {
#define ANOMALY(word, name, check, text) [ANOMALY_##word] = { check, text },
#include "anomaly.def"
};

void *
judge_alloc(void *old, size_t n)
{
	void *p = realloc(old, n);

	if (p == NULL) {
		fprintf(stderr, "chronik-check: no memory for %zu bytes\n", n);
		exit(2);
	}
	return p;
}

void
row_add(struct row *r, const struct event *e)
{
	if (r->n == r->cap) {
		r->cap = r->cap * 2 + 16;
		r->v = judge_alloc(r->v, r->cap * sizeof *r->v);
	}
	r->v[r->n++] = *e;
}

void
judge_find(struct judge *j, enum anomaly what, int topic, int part,
    int64_t offset, const char *fmt, ...)
{
	va_list ap;

	if (j->counts[what]++ >= TOLD_MAX || j->out == NULL)
		return;
	fprintf(j->out, "%s: %s partition %d offset %lld: ",
	    anomaly_names[what], j->setup->topics[topic].name, part,
	    (long long)offset);
	va_start(ap, fmt);
	vfprintf(j->out, fmt, ap);
	va_end(ap);
	fprintf(j->out, "\n");
}

struct judge *
judge_new(const struct setup *s, FILE *out)
{
	struct judge *j = judge_alloc(NULL, sizeof *j);

	memset(j, 0, sizeof *j);
	j->setup = s;
	j->out = out;
	for (int t = 0; t < TOPICS_MAX; t++)
		for (int p = 0; p < PARTS_MAX; p++)
			j->views[t][p].start = j->views[t][p].end = -1;
	return j;
}

void
judge_free(struct judge *j)
{
	for (int t = 0; t < TOPICS_MAX; t++)
		for (int p = 0; p < PARTS_MAX; p++) {
			struct view *v = &j->views[t][p];

			free(v->v);
			free(v->lists.v);
			free(v->times.v);
			free(v->deletes.v);
			free(v->epochs.v);
			free(v->ends.v);
			free(v->gaps.v);
			free(v->resets.v);
			free(v->commits.v);
			free(v->committed.v);
		}
	for (uint32_t i = 0; i < j->nsenders; i++)
		free(j->senders[i].v);
	free(j->senders);
	free(j);
}

/* ---- tables ------------------------------------------------------------ */

struct send *
judge_send(const struct judge *j, uint64_t id)
{
	uint32_t p = EV_PRODUCER(id);

	if (p >= j->nsenders || EV_SEQ(id) >= j->senders[p].n)
		return NULL;
	return &j->senders[p].v[EV_SEQ(id)];
}

/* Makes room for it; NULL for a number that none of ours can be. */
static struct send *
send_make(struct judge *j, uint64_t id)
{
	uint32_t p = EV_PRODUCER(id);
	uint64_t seq = EV_SEQ(id);
	struct sender *s;

	if (p >= SENDERS_MAX || seq >= SEQ_MAX)
		return NULL;
	if (p >= j->nsenders) {
		j->senders = judge_alloc(j->senders,
		    (p + 1) * sizeof *j->senders);
		memset(j->senders + j->nsenders, 0,
		    (p + 1 - j->nsenders) * sizeof *j->senders);
		j->nsenders = p + 1;
	}
	s = &j->senders[p];
	if (seq >= s->cap) {
		s->cap = seq + seq / 2 + 64;
		s->v = judge_alloc(s->v, s->cap * sizeof *s->v);
	}
	while (s->n <= seq)
		s->v[s->n++] = (struct send){ .acked = -1, .seen = -1 };
	return &s->v[seq];
}

struct slot *
view_at(const struct view *v, int64_t offset)
{
	return offset < 0 || (uint64_t)offset >= v->n ? NULL : &v->v[offset];
}

bool
view_final(const struct judge *j, const struct view *v, int64_t offset)
{
	const struct slot *s = view_at(v, offset);

	return s != NULL && j->phase > 0 && s->phase == j->phase;
}

static struct slot *
slot_make(struct view *v, int64_t offset)
{
	uint64_t o = (uint64_t)offset;

	if (offset < 0 || offset >= OFFSET_MAX)
		return NULL;
	if (o >= v->cap) {
		v->cap = o + o / 2 + 64;
		v->v = judge_alloc(v->v, v->cap * sizeof *v->v);
	}
	if (o >= v->n) {
		memset(v->v + v->n, 0, (o + 1 - v->n) * sizeof *v->v);
		v->n = o + 1;
	}
	return &v->v[o];
}

/* One offset has one value, whoever says so. */
static struct slot *
slot_claim(struct judge *j, const struct event *e, const char *who)
{
	struct slot *s = slot_make(&j->views[e->topic][e->part], e->offset);

	if (s == NULL) {
		judge_find(j, ANOMALY_SPURIOUS_OFFSET, e->topic,
		    (int)e->part, e->offset, "%s names an offset that "
		    "cannot be", who);
		return NULL;
	}
	if (s->id != 0 && s->id - 1 != e->id)
		judge_find(j, ANOMALY_INCONSISTENT_OFFSETS, e->topic,
		    (int)e->part, e->offset, "%s says value %u/%llu, before "
		    "it was %u/%llu", who, EV_PRODUCER(e->id),
		    (unsigned long long)EV_SEQ(e->id),
		    EV_PRODUCER(s->id - 1),
		    (unsigned long long)EV_SEQ(s->id - 1));
	if (s->id != e->id + 1)
		s->seen_at = s->last_at = 0;	/* that was another value */
	s->id = e->id + 1;
	return s;
}

/* ---- events ------------------------------------------------------------ */

static void
on_send(struct judge *j, const struct event *e)
{
	struct send *s = send_make(j, e->id);

	if (s == NULL)
		return;
	if (e->outcome == EV_INVOKE) {
		s->invoked = e->at;
		s->topic = e->topic;
		s->part = (uint8_t)e->part;
		s->ts = e->a;
		s->key = e->b;
		j->sends++;
		return;
	}
	s->ended = e->at;
	s->outcome = e->outcome;
	if (e->outcome == EV_FAIL)
		j->failed++;
	else if (e->outcome == EV_INFO)
		j->unknown++;
	else {
		j->acked++;
		s->acked = e->offset;
		if (e->offset >= 0)
			slot_claim(j, e, "an acknowledgement");
	}
}

/* A reader's next record: no step back, and what is passed over is looked at
 * when all is known. */
static void
on_step(struct judge *j, const struct event *e)
{
	int64_t next = j->reader[e->topic][e->part].next;

	if (next >= 0 && e->offset < next)
		judge_find(j, ANOMALY_NONMONOTONIC_POLL, e->topic,
		    (int)e->part, e->offset, "read after %lld",
		    (long long)next - 1);
	else if (next >= 0 && e->offset > next) {
		struct event gap = *e;

		gap.offset = next;
		gap.a = e->offset;
		row_add(&j->views[e->topic][e->part].gaps, &gap);
	}
	j->reader[e->topic][e->part].next = e->offset + 1;
}

/* Is it what was sent?  The sender may not have been read yet. */
static bool
poll_whole(struct judge *j, const struct event *e)
{
	uint32_t bad = e->b & EV_BAD;

	if (bad == 0)
		return true;
	judge_find(j, (bad & EV_BAD_FOREIGN) != 0 && (bad & EV_BAD_VALUE) == 0
	    ? ANOMALY_PHANTOM : ANOMALY_CORRUPTION, e->topic, (int)e->part,
	    e->offset, "%s%s%s%s%s",
	    bad & EV_BAD_KEY ? " key" : "",
	    bad & EV_BAD_VALUE ? " value" : "",
	    bad & EV_BAD_HEADER ? " header" : "",
	    bad & EV_BAD_TIME ? " timestamp" : "",
	    bad & EV_BAD_FOREIGN ? " not of this run" : "");
	return (bad & EV_BAD_FOREIGN) == 0;
}

static void
on_poll(struct judge *j, const struct event *e)
{
	int phase = (int)(e->b >> 16 & 0xff), pass = (int)(e->b >> 8 & 0xff);
	const struct ck_topic *t = &j->setup->topics[e->topic];
	struct send *s;
	struct slot *o;

	j->polls++;
	on_step(j, e);
	if (!poll_whole(j, e))
		return;
	if ((s = send_make(j, e->id)) == NULL) {
		judge_find(j, ANOMALY_PHANTOM, e->topic, (int)e->part,
		    e->offset, "no sender has this number");
		return;
	}
	if ((o = slot_claim(j, e, "a reader")) == NULL)
		return;
	o->ts = e->a;
	if (o->seen_at == 0 || e->at < o->seen_at)
		o->seen_at = e->at;
	if (j->reader[e->topic][e->part].began > o->last_at)
		o->last_at = j->reader[e->topic][e->part].began;
	if (s->seen >= 0 && s->seen != e->offset && t->idempotent)
		judge_find(j, ANOMALY_DUPLICATE, e->topic, (int)e->part,
		    e->offset, "value %u/%llu is also at %lld",
		    EV_PRODUCER(e->id), (unsigned long long)EV_SEQ(e->id),
		    (long long)s->seen);
	s->seen = e->offset;
	if (phase == 0)
		return;
	if (phase > j->phase)
		j->phase = phase;
	/* The first pass that saw it counts. */
	if (o->phase < phase) {
		o->phase = (uint8_t)phase;
		o->pass = (uint8_t)pass;
	}
}

static void
on_list(struct judge *j, struct view *v, const struct event *e)
{
	int phase = (int)(e->b >> 16 & 0xff);

	row_add(&v->lists, e);
	if (phase == 0 || phase < j->phase)
		return;
	j->phase = phase;
	v->start = e->offset;
	v->end = e->a;
	v->final_at = e->at;
}

void
judge_thread(struct judge *j)
{
	for (int t = 0; t < TOPICS_MAX; t++)
		for (int p = 0; p < PARTS_MAX; p++) {
			j->reader[t][p].next = -1;
			j->reader[t][p].began = 0;
		}
}

void
judge_event(struct judge *j, const struct event *e)
{
	struct view *v;

	j->events++;
	if (e->topic >= j->setup->ntopics ||
	    e->part >= (uint32_t)j->setup->topics[e->topic].nparts)
		return;
	v = &j->views[e->topic][e->part];
	switch ((enum ev_type)e->type) {
	case EV_SEND:
		on_send(j, e);
		break;
	case EV_POLL:
		on_poll(j, e);
		break;
	case EV_ASSIGN:
		j->reader[e->topic][e->part].next = e->offset;
		j->reader[e->topic][e->part].began = e->at;
		break;
	case EV_EOF: {
		struct event end = *e;

		end.id = (uint64_t)j->reader[e->topic][e->part].began;
		row_add(&v->ends, &end);
		break;
	}
	case EV_LIST:
		on_list(j, v, e);
		break;
	case EV_TIME:
		row_add(&v->times, e);
		break;
	case EV_DELETE:
		row_add(&v->deletes, e);
		break;
	case EV_COMMIT:
		row_add(&v->commits, e);
		break;
	case EV_COMMITTED:
		row_add(&v->committed, e);
		break;
	case EV_RESET:
		row_add(&v->resets, e);
		break;
	case EV_EPOCH:
		row_add(&v->epochs, e);
		break;
	case EV_NEMESIS:
		j->faults++;
		break;
	case EV_LIVE:
		judge_find(j, ANOMALY_LIVENESS, e->topic, (int)e->part,
		    e->offset, "not served within %lld ms", (long long)e->a);
		break;
	case EV_TYPES:
		break;
	}
}

uint64_t
judge_end(struct judge *j)
{
	uint64_t n = 0;

	judge_log(j);
	for (int t = 0; t < j->setup->ntopics; t++)
		for (int p = 0; p < j->setup->topics[t].nparts; p++) {
			judge_deletion(j, t, p);
			judge_watch(j, t, p);
			judge_group(j, t, p);
		}
	for (int i = 0; i < ANOMALIES; i++)
		n += j->counts[i];
	return n;
}

/* ---- a directory ------------------------------------------------------- */

static void
each_event(const struct event *e, void *arg)
{
	judge_event(arg, e);
}

static void
verdict(struct judge *j, uint64_t n)
{
	fprintf(j->out, "events %llu, faults %llu, sent %llu, acknowledged "
	    "%llu, failed %llu, unknown %llu, read %llu, in the log %llu, "
	    "deleted or compacted %llu\n", (unsigned long long)j->events,
	    (unsigned long long)j->faults, (unsigned long long)j->sends,
	    (unsigned long long)j->acked, (unsigned long long)j->failed,
	    (unsigned long long)j->unknown, (unsigned long long)j->polls,
	    (unsigned long long)j->finals, (unsigned long long)j->gone);
	for (int i = 0; i < ANOMALIES; i++)
		if (j->counts[i] > 0)
			fprintf(j->out, "anomaly %s %llu (check %d: %s)\n",
			    anomaly_names[i],
			    (unsigned long long)j->counts[i],
			    anomaly_texts[i].check, anomaly_texts[i].text);
	if (j->phase == 0)
		fprintf(j->out, "note: the histories have no final phase: "
		    "what was lost is not looked for\n");
	fprintf(j->out, "anomalies %llu\n", (unsigned long long)n);
	fflush(j->out);
}

int64_t
judge_dir(const struct setup *s, const char *dir, FILE *out)
{
	struct judge *j = judge_new(s, out);
	struct dirent *d;
	char path[4096];
	int64_t torn, n = 0;
	DIR *list;

	if ((list = opendir(dir)) == NULL) {
		fprintf(stderr, "chronik-check: %s: %s\n", dir,
		    strerror(errno));
		n = -1;
	}
	while (n >= 0 && (d = readdir(list)) != NULL) {
		size_t len = strlen(d->d_name);

		if (len < 6 || strcmp(d->d_name + len - 5, ".hist") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, d->d_name);
		judge_thread(j);
		if (!hist_read(path, s->run, each_event, j, &torn)) {
			fprintf(stderr, "chronik-check: %s: %s\n", path,
			    errno == EINVAL ? "not a history of this run" :
			    strerror(errno));
			n = -1;
		} else if (torn > 0)
			fprintf(out, "note: %s ends in %lld bytes that are "
			    "no event\n", path, (long long)torn);
	}
	if (list != NULL)
		closedir(list);
	if (n == 0) {
		n = (int64_t)judge_end(j);
		verdict(j, (uint64_t)n);
	}
	judge_free(j);
	return n;
}
