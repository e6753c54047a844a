/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine of a few hundred lines for tests of the gateway: it keeps topics
 * in memory files and does as a topic's name says, so that a test chooses the
 * fault from the client's side.
 *
 *	hold...		appends are answered when one to "release" comes, the
 *			last one first
 *	drop...		the link is closed without an answer
 *	fail...		appends are answered with STORAGE
 *	empty...	fetches find nothing until one to "wake" is appended
 *	rotate...	every append starts a segment; old ones are retired
 *	stat-byes	its end offset is the number of sessions that ended
 *	stat-parked	... of fetches that are parked
 *	stat-links	... of links that were made
 *	stat-held	... of appends that are held
 *	stat-told	... of times that it was told who a client is
 *	client-id-N	... N if the asking session's client id is "id-N", and
 *			its host is 127.0.0.1
 *
 * usage: fake_engine SOCKET [CREDIT]
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/batch.h"
#include "lib/ipc.h"
#include "lib/kafka.h"

enum { TOPICS = 64, PARTS = 4, SEGS = 64, PARKED = 4096, HELD = 8192,
	NEW = 4 * SEGS, SESSIONS = 65536 };

struct fseg { int64_t handle, size; int fd; bool passed; };

struct fpart { int64_t end; struct fseg seg[SEGS]; int nseg; };

static struct ftopic {
	char		name[256];
	struct fpart	part[PARTS];
} topics[TOPICS];

static struct ipc link_;
static bool linked;
static uint8_t *region;
static int64_t region_bytes, handles, byes, links, told;
static struct { uint64_t number; int id; bool local; } sessions[SESSIONS];
static int credit = 64;
static struct {
	struct ipc_head h; uint8_t *p; size_t n; int64_t due;
} parked[PARKED];
static int nparked;
static struct { struct ipc_head h; uint8_t *p; size_t n; } held[HELD];
static int nheld;

static bool
starts(struct kstr s, const char *with)
{
	size_t n = strlen(with);

	return s.len >= (int32_t)n && memcmp(s.p, with, n) == 0;
}

static struct ftopic *
topic(struct kstr name)
{
	int i = 0;

	for (; i < TOPICS && topics[i].name[0] != '\0'; i++)
		if (kstr_eq(kstr_of(topics[i].name), name))
			return &topics[i];
	ASSERT(i < TOPICS && name.len > 0 && name.len < 256);
	memcpy(topics[i].name, name.p, (size_t)name.len);
	return &topics[i];
}

static void
answer(const struct ipc_head *q, const struct msg *m, const void *s,
    const int *fds, int nfds)
{
	struct ipc_head h = *q;

	h.flags = IPC_RESPONSE;
	h.nfds = (uint16_t)nfds;
	ASSERT(ipc_send(&link_, &h, m, s, fds) == E_OK);
}

static void
got_hello(const struct ipc_head *h, struct hello_req *q, int *fds)
{
	struct hello_res s = { .cluster_id = kstr_of("fake-cluster"),
	    .node_id = 7, .credit = credit, .fetch_max_bytes = 55 * MIB };

	ASSERT(q->protocol == ipc_protocol() && h->nfds == 1);
	region_bytes = q->region_bytes;
	region = mmap(NULL, (size_t)region_bytes, PROT_READ, MAP_SHARED,
	    fds[0], 0);
	ASSERT(region != MAP_FAILED);
	close(fds[0]);
	answer(h, ipc_res(IPC_HELLO), &s, NULL, 0);
}

static int64_t
store(struct ftopic *t, struct fpart *p, const uint8_t *b, size_t n)
{
	bool rotate = starts(kstr_of(t->name), "rotate");
	uint8_t *copy = malloc(n);
	struct retire ret = { { 1, NULL } };
	struct ipc_head h = { .type = IPC_RETIRE };
	struct fseg *g;
	struct batch head;
	int64_t base = p->end;

	ASSERT(copy != NULL && batch_read(b, &head) == E_OK);
	ASSERT((size_t)batch_size(&head) == n);
	memcpy(copy, b, n);
	batch_assign(copy, base, 3);
	if (p->nseg == 0 || (rotate && p->nseg < SEGS)) {
		if (p->nseg > 0 && p->seg[p->nseg - 1].passed) {
			g = &p->seg[p->nseg - 1];
			ret.handles.v = &g->handle;
			ASSERT(ipc_send(&link_, &h, &ipc_msgs[IM_retire],
			    &ret, NULL) == E_OK);
			g->passed = false;
			g->handle = ++handles;
		}
		g = &p->seg[p->nseg++];
		*g = (struct fseg){ ++handles, 0, memfd_create("s", 0), false };
	}
	g = &p->seg[p->nseg - 1];
	ASSERT(pwrite(g->fd, copy, n, g->size) == (ssize_t)n);
	g->size += (int64_t)n;
	p->end += head.last_delta + 1;
	free(copy);
	return base;
}

static void
append_part(struct ftopic *t, const struct append_req_part *q,
    struct produce_res_topic_part *s)
{
	const uint8_t *b;
	enum err e = q->error;

	*s = (struct produce_res_topic_part){ .index = q->index,
	    .base_offset = -1, .log_append_time_ms = -1,
	    .log_start_offset = -1, .error_message = q->message,
	    .current_leader = { -1, -1 } };
	if (e == E_OK && (q->index < 0 || q->index >= PARTS))
		e = E_UNKNOWN_TOPIC;
	if (e == E_OK && starts(kstr_of(t->name), "fail"))
		e = E_STORAGE;
	s->error_code = err_code(e);
	if (e != E_OK)
		return;
	if (q->place < 0) {
		b = q->inlined.p;
		ASSERT(q->inlined.len == q->length);
	} else {
		ASSERT(q->place + q->length <= region_bytes);
		b = region + q->place;
	}
	s->base_offset = store(t, &t->part[q->index], b, (size_t)q->length);
	s->log_start_offset = 0;
}

static void	 retry_parked(void);

static void
append_now(const struct ipc_head *h, const struct append_req *q,
    struct arena *a)
{
	struct produce_res s;
	struct produce_res_topic *o;
	const struct append_req_topic *t;
	bool wake = false;

	msg_init(&kafka_msgs[KM_produce_res], &s);
	s.responses.n = q->topics.n;
	s.responses.v = arena_array(a, (size_t)q->topics.n, sizeof *o);
	for (int32_t i = 0; i < q->topics.n; i++) {
		t = &q->topics.v[i];
		o = &s.responses.v[i];
		o->name = t->name;
		o->topic_id = t->id;
		o->partition_responses.n = t->parts.n;
		o->partition_responses.v = arena_array(a,
		    (size_t)t->parts.n, sizeof *o->partition_responses.v);
		for (int32_t j = 0; j < t->parts.n; j++)
			append_part(topic(t->name.len > 0 ? t->name :
			    kstr_of("by-id")), &t->parts.v[j],
			    &o->partition_responses.v[j]);
		wake = wake || starts(t->name, "wake");
	}
	answer(h, ipc_res(IPC_APPEND), &s, NULL, 0);
	if (wake)
		retry_parked();
}

static void
release_held(void)
{
	while (nheld > 0) {
		struct append_req q;
		struct arena a;
		struct rd r;

		nheld--;
		r = rd_of(held[nheld].p, held[nheld].n);
		arena_init(&a, 64 * MIB);
		ASSERT(msg_read(ipc_req(IPC_APPEND), VER_ALL, &r, &a, &q) ==
		    E_OK);
		append_now(&held[nheld].h, &q, &a);
		arena_reset(&a);
		free(held[nheld].p);
	}
}

static bool
got_append(const struct ipc_head *h, struct append_req *q, struct arena *a,
    const uint8_t *body, size_t n)
{
	struct kstr name = q->topics.n > 0 ? q->topics.v[0].name :
	    kstr_of("none");

	if (starts(name, "drop"))
		return false;
	if (starts(name, "hold")) {
		ASSERT(nheld < HELD);
		held[nheld].h = *h;
		held[nheld].n = n;
		held[nheld].p = malloc(n + 1);
		memcpy(held[nheld++].p, body, n);
		return true;
	}
	append_now(h, q, a);
	if (starts(name, "release"))
		release_held();
	return true;
}

/* All that there is from the batch of an offset on.  Returns bytes. */
static int64_t
fetch_part(const struct ftopic *t, const struct fetch_req_topic_part *q,
    struct extents_res_part *s, struct arena *a)
{
	int64_t bytes = 0;
	struct fpart *p = (struct fpart *)&t->part[q->partition];

	*s = (struct extents_res_part){ .index = q->partition,
	    .fetch_offset = q->fetch_offset, .diverging_epoch = -1,
	    .high_watermark = p->end, .last_stable_offset = p->end };
	if (q->fetch_offset < 0 || q->fetch_offset > p->end) {
		s->error = E_OFFSET_OUT_OF_RANGE;
		return 1;
	}
	s->extents.v = arena_array(a, SEGS, sizeof *s->extents.v);
	for (int i = 0; i < p->nseg; i++) {
		int64_t pos = 0;
		uint8_t b[BATCH_HEADER];
		struct batch h;

		for (; pos < p->seg[i].size; pos += batch_size(&h)) {
			ASSERT(pread(p->seg[i].fd, b, sizeof b, pos) ==
			    sizeof b && batch_read(b, &h) == E_OK);
			if (batch_last_offset(&h) >= q->fetch_offset)
				break;
		}
		if (pos == p->seg[i].size)
			continue;
		s->extents.v[s->extents.n++] = (struct extents_res_extent){
		    p->seg[i].handle, pos, (int32_t)(p->seg[i].size - pos) };
		bytes += p->seg[i].size - pos;
	}
	return bytes;
}

/* Handles of the answer that this link has not met. */
static int
new_handles(const struct ftopic *t, const struct extents_res_part *s,
    int64_t *ids, int *fds)
{
	struct fpart *p = (struct fpart *)&t->part[s->index];
	int n = 0;

	for (int32_t i = 0; i < s->extents.n; i++)
		for (int k = 0; k < p->nseg; k++)
			if (p->seg[k].handle == s->extents.v[i].handle &&
			    !p->seg[k].passed) {
				p->seg[k].passed = true;
				ids[n] = p->seg[k].handle;
				fds[n++] = p->seg[k].fd;
				ASSERT(n < SEGS);
			}
	return n;
}

/* False: nothing to say yet. */
static bool
fetch_now(const struct ipc_head *h, const struct fetch_req *q,
    struct arena *a, bool anyway)
{
	struct extents_res s = { 0 };
	int64_t ids[NEW], bytes = 0;
	int fds[NEW], n = 0, at = 0;

	s.topics.n = q->topics.n;
	s.topics.v = arena_array(a, (size_t)q->topics.n, sizeof *s.topics.v);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct fetch_req_topic *t = &q->topics.v[i];
		struct ftopic *f = topic(t->topic.len > 0 ? t->topic :
		    kstr_of("by-id"));

		s.topics.v[i].name = t->topic;
		s.topics.v[i].id = t->topic_id;
		s.topics.v[i].parts.n = t->partitions.n;
		s.topics.v[i].parts.v = arena_array(a,
		    (size_t)t->partitions.n, sizeof *s.topics.v[i].parts.v);
		for (int32_t j = 0; j < t->partitions.n; j++)
			bytes += fetch_part(f, &t->partitions.v[j],
			    &s.topics.v[i].parts.v[j], a);
	}
	if (bytes == 0 && !anyway)
		return false;
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < s.topics.v[i].parts.n; j++)
			n += new_handles(topic(q->topics.v[i].topic.len > 0 ?
			    q->topics.v[i].topic : kstr_of("by-id")),
			    &s.topics.v[i].parts.v[j], ids + n, fds + n);
	for (; n - at > IPC_FDS_MAX; at += IPC_FDS_MAX) {
		struct ipc_head ah = { .type = IPC_EXTENTS };
		struct extents_res ahead = { .handles = { IPC_FDS_MAX,
		    ids + at } };

		answer(&ah, ipc_res(API_FETCH), &ahead, fds + at, IPC_FDS_MAX);
	}
	s.handles.n = n - at;
	s.handles.v = ids + at;
	answer(h, ipc_res(API_FETCH), &s, fds + at, n - at);
	return true;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
park(const struct ipc_head *h, const struct fetch_req *q, const uint8_t *p,
    size_t n)
{
	ASSERT(nparked < PARKED);
	parked[nparked].h = *h;
	parked[nparked].n = n;
	parked[nparked].due = now_ms() + q->max_wait_ms;
	parked[nparked].p = malloc(n + 1);
	memcpy(parked[nparked++].p, p, n);
}

/* Looks at every parked fetch again. */
static void
retry_parked(void)
{
	int was = nparked;
	int64_t now = now_ms();

	nparked = 0;
	for (int i = 0; i < was; i++) {
		struct rd r = rd_of(parked[i].p, parked[i].n);
		struct fetch_req q;
		struct arena a;

		arena_init(&a, 64 * MIB);
		ASSERT(msg_read(ipc_req(API_FETCH), VER_ALL, &r, &a, &q) ==
		    E_OK);
		if (fetch_now(&parked[i].h, &q, &a, parked[i].due <= now))
			free(parked[i].p);
		else
			parked[nparked++] = parked[i];
		arena_reset(&a);
	}
}

/* Milliseconds until the first parked fetch is due; -1: none is. */
static int
parked_wait(void)
{
	int64_t due = INT64_MAX, now = now_ms();

	for (int i = 0; i < nparked; i++)
		if (parked[i].due < due)
			due = parked[i].due;
	return nparked == 0 ? -1 : due < now ? 0 :
	    due - now > INT32_MAX ? INT32_MAX : (int)(due - now);
}

static void
got_bye(uint64_t session)
{
	int k = 0;

	byes++;
	sessions[session].number = 0;
	for (int i = 0; i < nparked; i++)
		if (parked[i].h.session == session)
			free(parked[i].p);
		else
			parked[k++] = parked[i];
	nparked = k;
}

static void
got_who(uint64_t session, const struct who *q)
{
	char id[16] = "";

	told++;
	ASSERT(session > 0 && session < SESSIONS);
	if (starts(q->client_id, "id-") && q->client_id.len < 16)
		memcpy(id, q->client_id.p + 3, (size_t)q->client_id.len - 3);
	sessions[session].number = session;
	sessions[session].id = atoi(id);
	sessions[session].local = kstr_eq(q->host, kstr_of("127.0.0.1"));
}

static void
got_metadata(const struct ipc_head *h, struct metadata_req *q,
    struct arena *a)
{
	struct metadata_res s;
	struct metadata_res_topic *t;
	int32_t *seven = arena_array(a, 1, 4);

	*seven = 7;
	msg_init(&kafka_msgs[KM_metadata_res], &s);
	s.topics.n = q->topics.n < 0 ? 0 : q->topics.n;
	s.topics.v = arena_array(a, (size_t)s.topics.n, sizeof *t);
	for (int32_t i = 0; i < s.topics.n; i++) {
		t = &s.topics.v[i];
		t->name = q->topics.v[i].name;
		t->partitions.n = PARTS;
		t->partitions.v = arena_array(a, PARTS,
		    sizeof *t->partitions.v);
		for (int j = 0; j < PARTS; j++) {
			t->partitions.v[j].partition_index = j;
			t->partitions.v[j].leader_id = 7;
			t->partitions.v[j].replica_nodes.n = 1;
			t->partitions.v[j].replica_nodes.v = seven;
			t->partitions.v[j].isr_nodes.n = 1;
			t->partitions.v[j].isr_nodes.v = seven;
		}
	}
	answer(h, ipc_res(API_METADATA), &s, NULL, 0);
}

static int64_t
end_offset(uint64_t session, struct kstr name, int32_t part)
{
	if (starts(name, "stat-told"))
		return told;
	if (starts(name, "client-id"))
		return sessions[session].local ? sessions[session].id : -1;
	if (starts(name, "stat-byes"))
		return byes;
	if (starts(name, "stat-parked"))
		return nparked;
	if (starts(name, "stat-links"))
		return links;
	if (starts(name, "stat-held"))
		return nheld;
	return part < 0 || part >= PARTS ? -1 : topic(name)->part[part].end;
}

static void
got_list_offsets(const struct ipc_head *h, struct list_offsets_req *q,
    struct arena *a)
{
	struct list_offsets_res s;
	struct list_offsets_res_topic *t;

	msg_init(&kafka_msgs[KM_list_offsets_res], &s);
	s.topics.n = q->topics.n;
	s.topics.v = arena_array(a, (size_t)s.topics.n, sizeof *t);
	for (int32_t i = 0; i < s.topics.n; i++) {
		t = &s.topics.v[i];
		t->name = q->topics.v[i].name;
		t->partitions.n = q->topics.v[i].partitions.n;
		t->partitions.v = arena_array(a, (size_t)t->partitions.n,
		    sizeof *t->partitions.v);
		for (int32_t j = 0; j < t->partitions.n; j++) {
			int32_t p =
			    q->topics.v[i].partitions.v[j].partition_index;

			t->partitions.v[j].partition_index = p;
			t->partitions.v[j].timestamp = -1;
			t->partitions.v[j].offset = end_offset(h->session,
			    t->name, p);
			if (q->topics.v[i].partitions.v[j].timestamp == -2)
				t->partitions.v[j].offset = 0;
		}
	}
	answer(h, ipc_res(API_LIST_OFFSETS), &s, NULL, 0);
}

/* Requests whose topic or id says that the link is to be dropped. */
static bool
got_other(const struct ipc_head *h, void *q)
{
	struct init_producer_id_req *init = q;
	struct create_topics_req *create = q;
	struct delete_topics_req *del = q;
	struct init_producer_id_res s;

	if (h->type == API_INIT_PRODUCER_ID) {
		if (starts(init->transactional_id, "drop"))
			return false;
		msg_init(&kafka_msgs[KM_init_producer_id_res], &s);
		s.producer_id = 4000;
		answer(h, ipc_res(h->type), &s, NULL, 0);
		return true;
	}
	if (h->type == API_CREATE_TOPICS)
		return create->topics.n == 0 ||
		    !starts(create->topics.v[0].name, "drop");
	if (h->type == API_DELETE_TOPICS)
		return !(del->topics.n > 0 &&
		    starts(del->topics.v[0].name, "drop")) &&
		    !(del->topic_names.n > 0 &&
		    starts(del->topic_names.v[0], "drop"));
	return true;
}

/* False: drop the link. */
static bool
handle_frame(const struct ipc_head *h, struct rd body, int *fds)
{
	const struct msg *m = ipc_req(h->type);
	const uint8_t *p = body.p;
	size_t n = rd_left(&body);
	union { max_align_t align; char b[512]; } q;
	struct arena a;
	bool ok = true;

	ASSERT(m != NULL && m->size <= sizeof q);
	ASSERT(h->session == 0 || h->type == IPC_WHO ||
	    sessions[h->session].number == h->session);
	arena_init(&a, 256 * MIB);
	ASSERT(msg_read(m, VER_ALL, &body, &a, &q) == E_OK);
	if (h->type == IPC_HELLO)
		got_hello(h, (void *)&q, fds);
	else if (h->type == IPC_APPEND)
		ok = got_append(h, (void *)&q, &a, p, n);
	else if (h->type == API_FETCH) {
		struct fetch_req *f = (void *)&q;

		if (!fetch_now(h, f, &a, f->max_wait_ms <= 0))
			park(h, f, p, n);
	} else if (h->type == API_METADATA)
		got_metadata(h, (void *)&q, &a);
	else if (h->type == API_LIST_OFFSETS)
		got_list_offsets(h, (void *)&q, &a);
	else if (h->type == IPC_BYE)
		got_bye(h->session);
	else if (h->type == IPC_WHO)
		got_who(h->session, (void *)&q);
	else
		ok = got_other(h, &q);
	arena_reset(&a);
	return ok;
}

static void
drop_link(void)
{
	ipc_close(&link_);
	linked = false;
	memset(sessions, 0, sizeof sessions);
	if (region != NULL)
		munmap(region, (size_t)region_bytes);
	region = NULL;
	while (nheld > 0)
		free(held[--nheld].p);
	while (nparked > 0)
		free(parked[--nparked].p);
	for (int i = 0; i < TOPICS; i++)
		for (int j = 0; j < PARTS; j++)
			for (int k = 0; k < SEGS; k++)
				topics[i].part[j].seg[k].passed = false;
}

static void
serve(void)
{
	int fds[IPC_FDS_MAX];
	struct ipc_head h;
	struct rd body;
	enum err e = ipc_recv(&link_);
	bool ok = true;

	while (e == E_OK && ok) {
		e = ipc_next(&link_, &h, &body, fds);
		if (e == E_OK)
			ok = handle_frame(&h, body, fds);
	}
	ASSERT(e != E_PROTO);
	if (e == E_BUSY)
		e = ipc_flush(&link_);
	if (e != E_OK || !ok)
		drop_link();
}

int
main(int argc, char **argv)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	ASSERT(argc >= 2 && strlen(argv[1]) < sizeof sa.sun_path);
	if (argc > 2)
		credit = atoi(argv[2]);
	strcpy(sa.sun_path, argv[1]);
	unlink(argv[1]);
	if (bind(s, (struct sockaddr *)&sa, sizeof sa) != 0 ||
	    listen(s, 8) != 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		struct pollfd p[2] = { { s, POLLIN, 0 }, { -1, POLLIN, 0 } };

		if (linked) {
			p[1].fd = link_.fd;
			if (ipc_unsent(&link_) > 0)
				p[1].events |= POLLOUT;
		}
		if (poll(p, 2, parked_wait()) < 0)
			return 1;
		retry_parked();
		if (linked && p[1].revents != 0)
			serve();
		else if (linked && ipc_flush(&link_) != E_OK)
			drop_link();
		if (p[0].revents != 0 && (fd = accept4(s, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
			if (linked)
				drop_link();
			ipc_open(&link_, fd, 64 * MIB);
			linked = true;
			links++;
		}
	}
}
