/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data directory from strangers: a topic's id (16 bytes), the length of a
 * catalogue (4), the catalogue, and a segment of that topic.  Whatever they
 * hold, reading ends: with records whose offsets rise, or with an error.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "shard.h"
#include "src.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { ID = 16, HEAD = ID + 4, RECORDS_MAX = 100000 };

static char dir[64];

static void
clean(void)
{
	if (dir[0] != '\0' && tree_remove(dir) != E_OK)
		fprintf(stderr, "%s: stays\n", dir);
}

static void
put(const char *below, const char *name, const uint8_t *p, size_t n)
{
	char path[SHARD_PATH];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, below);
	ASSERT(tree_make(path) == E_OK);
	snprintf(path, sizeof path, "%s/%s/%s", dir, below, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ASSERT(fd != -1 && write(fd, p, n) == (ssize_t)n);
	close(fd);
}

struct told { int64_t last; int n; };

static bool
each(void *arg, const struct record *r)
{
	struct told *t = arg;

	ASSERT(r->offset > t->last);
	t->last = r->offset;
	return ++t->n < RECORDS_MAX;
}

static void
read_all(struct src *s)
{
	const struct view_res *v;

	ASSERT(src_view(s, -1, 0, true, &v) == E_OK);
	for (int i = 0; i < v->topics.n; i++) {
		const struct view_res_topic *t = &v->topics.v[i];

		for (int j = 0; j < t->parts.n; j++) {
			const struct view_res_part *p = &t->parts.v[j];
			struct told told = { .last = -1 };
			struct record r;
			int64_t next;

			ASSERT(p->start <= p->high_watermark);
			if (src_read(s, &t->id, p->index, p->start,
			    p->high_watermark, each, &told, &next) == E_OK)
				ASSERT(next <= p->high_watermark);
			(void)!src_get(s, &t->id, p->index, p->start, &r);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char topic[ID * 2 + 16] = "topics/";
	struct src *s;
	size_t len;

	if (n < HEAD)
		return 0;
	if (dir[0] == '\0') {
		strcpy(dir, "/tmp/fuzz_local.XXXXXX");
		ASSERT(mkdtemp(dir) != NULL);
		atexit(clean);
		log_setup("fuzz_local", LOG_FATAL, LOG_TEXT);
	}
	for (int i = 0; i < ID; i++)
		snprintf(topic + 7 + 2 * i, 3, "%02x", p[i]);
	strcat(topic, "/0");
	len = (size_t)p[16] << 24 | (size_t)p[17] << 16 | (size_t)p[18] << 8 |
	    p[19];
	if (len > n - HEAD)
		len = n - HEAD;
	put("meta", "00000000000000000000.log", p + HEAD, len);
	put(topic, "00000000000000000000.log", p + HEAD + len,
	    n - HEAD - len);
	if (src_open_local(dir, &s) == E_OK) {
		read_all(s);
		src_close(s);
	}
	clean();
	return 0;
}
