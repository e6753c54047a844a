/* SPDX-License-Identifier: Apache-2.0 */
/* The bound on open segment files: a list in the order of last use. */
#include "files.h"

enum { SHARES = 4 };	/* jobs that may hold as many as they may at once */

void
files_init(struct files *f, int max)
{
	*f = (struct files){ .max = max };
	f->idle_tail = &f->idle;
}

int
files_share(const struct files *f)
{
	return f->max / SHARES > 1 ? f->max / SHARES : 1;
}

void
files_busy(struct seg *s)
{
	if (s->idle_prevp == NULL)
		return;
	*s->idle_prevp = s->idle_next;
	if (s->idle_next != NULL)
		s->idle_next->idle_prevp = s->idle_prevp;
	else
		s->files->idle_tail = s->idle_prevp;
	s->idle_prevp = NULL;
}

/* Closes idle ones, if need be, until so many may be opened. */
static bool
trim(struct files *f, int more)
{
	struct seg *s;

	while (seg_files_open() > f->max - more && (s = f->idle) != NULL) {
		files_busy(s);
		seg_close(s);
	}
	return seg_files_open() <= f->max - more;
}

void
files_idle(struct seg *s)
{
	struct files *f = s->files;

	if (f == NULL || s->fd < 0 || (s->synced < s->size && !s->lax))
		return;
	s->idle_next = NULL;
	s->idle_prevp = f->idle_tail;
	*f->idle_tail = s;
	f->idle_tail = &s->idle_next;
	trim(f, 0);
}

bool
files_room(struct files *f)
{
	return trim(f, files_share(f));
}

void
files_add(struct files *f, struct seg *s)
{
	ASSERT(s->files == NULL && s->refs > 0);
	s->files = f;
	if (s->refs == 1)
		files_idle(s);
}

void
files_remove(struct seg *s)
{
	files_busy(s);
	s->files = NULL;
}
