/* SPDX-License-Identifier: Apache-2.0 */
/* See copy.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache.h"
#include "copy.h"
#include "lib/log.h"
#include "pass.h"

enum {
	RETRY_MS	= 60000,	/* after the disk has failed */
	SHARE		= 4,		/* of what is free, one in so many */
};

struct copy *
copy_ref(struct copy *c)
{
	c->refs++;
	return c;
}

void
copy_put(struct copy *c)
{
	if (c == NULL)
		return;
	ASSERT(c->refs > 0);
	if (--c->refs > 0)
		return;
	if (c->fd >= 0)
		close(c->fd);
	c->fs->copy_bytes -= c->bytes;
	free(c);
}

bool
copy_has(const struct copy *c, int block)
{
	return c != NULL && c->fd >= 0 && block < c->nblocks && c->has[block];
}

bool
copy_wants(const struct copy *c, int block)
{
	return c != NULL && c->fd >= 0 && block < c->nblocks && !c->has[block];
}

bool
copy_is_whole(const struct copy *c)
{
	return c->fd >= 0 && c->nleft == 0;
}

static void
leave(struct copy *c)
{
	if (c->seg == NULL)
		return;
	TAILQ_REMOVE(&c->fs->copies, c, lru);
	c->fs->ncopies--;
	c->seg->copy = NULL;
	c->seg = NULL;
	copy_put(c);
}

void
copy_drop(struct tseg *s)
{
	if (s->copy != NULL)
		leave(s->copy);
}

/* Lets go of the one that was not opened for the longest time, of those that
 * nobody uses.  False: there is none. */
static bool
drop_oldest(struct fs *fs, const struct copy *but)
{
	struct copy *c;

	TAILQ_FOREACH(c, &fs->copies, lru)
		if (c != but && c->refs == 1) {
			leave(c);
			return true;
		}
	return false;
}

void
copies_drop(struct fs *fs)
{
	while (drop_oldest(fs, NULL))
		;
}

/* ---- on a worker -------------------------------------------------------- */

bool
copy_read(const struct copy *c, int64_t at, uint8_t *to, size_t n)
{
	ssize_t k;

	for (size_t got = 0; got < n; got += (size_t)k) {
		k = pread(c->fd, to + got, n - got, at + (int64_t)got);
		if (k == 0)
			errno = EIO;
		if (k <= 0)
			return false;
	}
	return true;
}

/* What is free on the disk of the copies, without them. */
static int64_t
disk_free(int fd)
{
	struct statvfs st;

	return fstatvfs(fd, &st) != 0 ? 0 : (int64_t)(st.f_bavail > INT64_MAX /
	    st.f_frsize ? INT64_MAX : st.f_bavail * st.f_frsize);
}

bool
copy_write(const struct copy *c, int64_t at, const uint8_t *p, size_t n,
    int64_t *left)
{
	ssize_t k;

	for (size_t put = 0; put < n; put += (size_t)k) {
		k = pwrite(c->fd, p + put, n - put, at + (int64_t)put);
		if (k <= 0)
			return false;
	}
	*left = disk_free(c->fd);
	return true;
}

/* ---- beginning ---------------------------------------------------------- */

struct making {
	uv_work_t	 work;
	struct copy	*copy;		/* a reference */
	const char	*dir;
	int		 fd, eno;
	int64_t		 left;
};

static void
give_up(struct copy *c, int eno, int64_t for_ms)
{
	if (c->seg == NULL)
		return;
	log_info("no copies of text", LS("dir", c->fs->conf.cache),
	    LERRNO(eno));
	c->fs->copies_off_ms = for_ms == INT64_MAX ? for_ms :
	    elink_now_ms() + for_ms;
	leave(c);
}

void
copy_failed(struct copy *c, int eno)
{
	give_up(c, eno, RETRY_MS);
}

/* Others need room on that disk, too. */
static void
take_room(struct fs *fs, int64_t left)
{
	int64_t all = left > INT64_MAX - fs->copy_bytes ? INT64_MAX :
	    left + fs->copy_bytes;

	fs->copy_room = all / SHARE < fs->conf.copies_max ? all / SHARE :
	    fs->conf.copies_max;
	fs->copy_room_ms = elink_now_ms();
}

static void
make(uv_work_t *u)
{
	struct making *m = u->data;

	m->fd = cache_temp(m->dir);
	m->eno = m->fd < 0 ? errno : 0;
	m->left = m->fd < 0 ? 0 : disk_free(m->fd);
}

/* Whether the kernel would take it is asked before much is written. */
static void
made(uv_work_t *u, int status)
{
	struct making *m = u->data;
	struct copy *c = m->copy;
	struct fs *fs = c->fs;
	int32_t id;

	(void)status;
	c->fd = m->fd;
	if (m->fd < 0)
		give_up(c, m->eno, m->eno == EOPNOTSUPP ? INT64_MAX :
		    RETRY_MS);
	else if ((id = pass_open(fs, m->fd)) == 0)
		give_up(c, EOPNOTSUPP, INT64_MAX);
	else {
		pass_close(fs, id);
		take_room(fs, m->left);
		if (c->seg != NULL && c->seg->m_text > fs->copy_room)
			leave(c);
	}
	ops_wake(&c->waiters);
	copy_put(c);
	free(m);
}

static bool
may_begin(const struct fs *fs, const struct tseg *s)
{
	int64_t now = elink_now_ms();

	return fs->conf.copies_max > 0 && fs->conf.cache != NULL &&
	    s->sealed && !s->gone && s->m_pos >= s->bytes && s->m_text > 0 &&
	    fs->copies_off_ms <= now && (s->m_text <= fs->copy_room ||
	    fs->copy_room_ms == 0 || fs->copy_room_ms < now - RETRY_MS);
}

static struct copy *
copy_new(struct fs *fs, struct tseg *s)
{
	struct copy *c = calloc(1, sizeof *c + (size_t)s->nblocks *
	    sizeof *c->has);
	struct making *m = c == NULL ? NULL : calloc(1, sizeof *m);
	int64_t end;

	if (m == NULL) {
		free(c);
		return NULL;
	}
	*c = (struct copy){ .fs = fs, .seg = s, .refs = 2, .fd = -1,
	    .nblocks = s->nblocks };
	/* Nobody asks for what is empty. */
	for (int i = 0; i < s->nblocks; i++) {
		end = i + 1 < s->nblocks ? s->blocks[i + 1].text : s->m_text;
		c->has[i] = end == s->blocks[i].text;
		c->nleft += !c->has[i];
	}
	TAILQ_INIT(&c->waiters);
	TAILQ_INSERT_TAIL(&fs->copies, c, lru);
	fs->ncopies++;
	s->copy = c;
	*m = (struct making){ .copy = c, .dir = fs->conf.cache };
	m->work.data = m;
	uv_queue_work(&fs->loop, &m->work, make, made);
	return c;
}

int
copy_begin(struct op *op, struct tseg *s)
{
	struct fs *fs = op->fs;
	struct copy *c = s->copy;

	if (c != NULL) {
		TAILQ_REMOVE(&fs->copies, c, lru);
		TAILQ_INSERT_TAIL(&fs->copies, c, lru);
	} else if (!may_begin(fs, s) || (fs->ncopies >= COPIES_MAX &&
	    !drop_oldest(fs, NULL)) || (c = copy_new(fs, s)) == NULL)
		return 0;
	return c->fd >= 0 ? 0 : op_wait(op, &c->waiters);
}

/* ---- growing ------------------------------------------------------------ */

void
copy_took(struct copy *c, int block, size_t n, int64_t left)
{
	struct fs *fs = c->fs;

	if (c->seg == NULL || c->has[block])
		return;
	c->has[block] = true;
	c->nleft--;
	c->bytes += (int64_t)n;
	fs->copy_bytes += (int64_t)n;
	take_room(fs, left);
	while (fs->copy_bytes > fs->copy_room)
		if (!drop_oldest(fs, c)) {
			leave(c);
			break;
		}
}
