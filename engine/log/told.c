/* SPDX-License-Identifier: Apache-2.0 */
/* Holding what is found on the disk against what was said, see told.h. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "seg.h"

static atomic_uint odd;

unsigned
told_odd(void)
{
	return atomic_load(&odd);
}

struct told_dir *
told_new(int64_t dir_ns)
{
	struct told_dir *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->refs = 1;
	t->dir_ns = dir_ns;
	return t;
}

struct told_dir *
told_ref(struct told_dir *t)
{
	t->refs++;
	return t;
}

void
told_unref(struct told_dir *t)
{
	if (t != NULL && --t->refs == 0)
		free(t);
}

bool
told_open(const struct seg *s)
{
	return s->told.dir != NULL && !atomic_load(&s->told.seen);
}

bool
told_is_odd(const struct seg *s)
{
	return s->told.dir != NULL &&
	    atomic_load(&s->told.dir->state) == TOLD_ODD;
}

/* Named once for a directory. */
static enum err
is_odd(struct seg *s, const char *what)
{
	if (atomic_exchange(&s->told.dir->state, TOLD_ODD) != TOLD_ODD) {
		atomic_fetch_add(&odd, 1);
		log_warn("changed while no engine ran", LS("file", s->path),
		    LS("what", what));
	}
	return E_CORRUPT;
}

/* Names come and go by our own hands too, but not before it was seen. */
static enum err
dir_check(struct seg *s)
{
	struct told_dir *t = s->told.dir;
	enum told_state unseen = TOLD_UNSEEN;
	char dir[PATH_SIZE];
	struct disk_stat st;
	enum err e;

	if (atomic_load(&t->state) != TOLD_UNSEEN)
		return atomic_load(&t->state) == TOLD_SEEN ? E_OK : E_CORRUPT;
	strcpy(dir, s->path);
	*strrchr(dir, '/') = '\0';
	e = disk->stat(dir, &st);
	if (e != E_OK && e != E_NOTFOUND)
		return e;
	if ((e == E_NOTFOUND || st.written_ns != t->dir_ns) &&
	    atomic_load(&t->state) != TOLD_SEEN)
		return is_odd(s, "its directory");
	return atomic_compare_exchange_strong(&t->state, &unseen, TOLD_SEEN) ||
	    unseen == TOLD_SEEN ? E_OK : E_CORRUPT;
}

enum err
told_check(struct seg *s, int fd)
{
	struct told_file *t = &s->told;
	struct disk_stat st = { 0 };
	enum err e;

	if (!told_open(s))
		return E_OK;
	e = fd >= 0 ? disk->fstat(fd, &st) : disk->stat(s->path, &st);
	if (e != E_OK)
		return told_missing(s, e);
	if ((e = dir_check(s)) != E_OK)
		return e;
	/* Who saw it first may have written to it since. */
	if ((st.ino != t->ino || st.size != t->size ||
	    st.written_ns != t->written_ns) && !atomic_load(&t->seen))
		return is_odd(s, "the file");
	atomic_store(&t->seen, true);
	return E_OK;
}

enum err
told_missing(struct seg *s, enum err e)
{
	return e == E_NOTFOUND && told_open(s) ? is_odd(s, "the file is gone") :
	    e;
}
