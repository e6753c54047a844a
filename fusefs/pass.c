/* SPDX-License-Identifier: Apache-2.0 */
/* See pass.h.  What is here of the kernel's interface is what <linux/fuse.h>
 * of Linux 6.9 and later says. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/log.h"
#include "pass.h"

enum {
	OP_INIT		= 26,
	IN_HEADER	= 40,		/* of a request */
	OUT_HEADER	= 16,		/* of a reply */
	IN_FLAGS	= 12,		/* in the request of INIT; and */
	IN_FLAGS2	= 16,
	OUT_FLAGS	= 12,		/* in the reply */
	OUT_FLAGS2	= 32,
	OUT_DEPTH	= 36,
	OUT_BYTES	= 40,
	FLAG_PARALLEL	= 1 << 18,	/* lookups in one directory */
	FLAG_EXT	= 1 << 30,
	FLAG2_PASS	= 1 << 5,
	STACK_DEPTH	= 1,		/* ours, over a file system of 0 */
	OPEN_NO_FLUSH	= 1 << 5,
	OPEN_PASS	= 1 << 7,
};

struct backing_map {
	int32_t	 fd;
	uint32_t flags;
	uint64_t padding;
};

struct open_out {
	uint64_t fh;
	uint32_t flags;
	int32_t	 backing_id;
};

#define BACKING_OPEN	_IOW(229, 1, struct backing_map)
#define BACKING_CLOSE	_IOW(229, 2, uint32_t)

static uint32_t
u32_at(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static void
u32_put(char *p, uint32_t v)
{
	memcpy(p, &v, sizeof v);
}

/* The first request is INIT; it says what the kernel can.  That lookups in one
 * directory may run beside each other the library asks for, and then forgets to
 * say (3.14). */
static ssize_t
take(int fd, void *buf, size_t size, void *arg)
{
	ssize_t n = read(fd, buf, size);
	struct fs *fs = arg;
	const char *in = (const char *)buf + IN_HEADER;

	if (fs->greeted || n < IN_HEADER)
		return n;
	fs->greeted = true;
	if (u32_at((const char *)buf + 4) != OP_INIT ||
	    n < IN_HEADER + IN_FLAGS2 + 4) {
		fs->pass = PASS_NONE;
		return n;
	}
	fs->parallel = u32_at(in + IN_FLAGS) & FLAG_PARALLEL;
	if (fs->pass == PASS_UNKNOWN)
		fs->pass = u32_at(in + IN_FLAGS) & FLAG_EXT &&
		    u32_at(in + IN_FLAGS2) & FLAG2_PASS ? PASS_OFFERED :
		    PASS_NONE;
	return n;
}

/* Its reply is the library's, with what that does not know. */
static ssize_t
give(int fd, struct iovec *v, int n, void *arg)
{
	struct fs *fs = arg;
	char *out;

	if (fs->pass != PASS_OFFERED && !fs->parallel)
		return writev(fd, v, n);
	if (n == 2 && v[0].iov_len == OUT_HEADER && v[1].iov_len >= OUT_BYTES) {
		out = v[1].iov_base;
		u32_put(out + OUT_FLAGS, u32_at(out + OUT_FLAGS) |
		    (fs->parallel ? FLAG_PARALLEL : 0) |
		    (fs->pass == PASS_OFFERED ? FLAG_EXT : 0));
		if (fs->pass == PASS_OFFERED) {
			u32_put(out + OUT_FLAGS2, u32_at(out + OUT_FLAGS2) |
			    FLAG2_PASS);
			u32_put(out + OUT_DEPTH, STACK_DEPTH);
			fs->pass = PASS_ON;
		}
	}
	if (fs->pass == PASS_OFFERED)
		fs->pass = PASS_NONE;
	fs->parallel = false;
	return writev(fd, v, n);
}

enum err
pass_offer(struct fs *fs)
{
	const struct fuse_custom_io io = { .writev = give, .read = take };

	return fuse_session_custom_io(fs->se, &io,
	    fuse_session_fd(fs->se)) == 0 ? E_OK : E_NOMEM;
}

int32_t
pass_open(struct fs *fs, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(fuse_session_fd(fs->se), BACKING_OPEN, &map);

	if (id > 0)
		return id;
	/* Another file may be on another file system. */
	if (errno != ELOOP && errno != EOPNOTSUPP && errno != ENOMEM) {
		log_debug("no passthrough", LERRNO(errno));
		fs->refused = true;	/* others read fs->pass */
	}
	return 0;
}

void
pass_close(struct fs *fs, int32_t id)
{
	uint32_t u = (uint32_t)id;

	if (ioctl(fuse_session_fd(fs->se), BACKING_CLOSE, &u) != 0)
		log_debug("a file stays with the kernel", LERRNO(errno));
}

int
pass_reply_open(fuse_req_t req, const struct fuse_file_info *fi, int32_t id)
{
	struct open_out out = { fi->fh, OPEN_PASS | OPEN_NO_FLUSH, id };

	return fuse_reply_buf(req, (const char *)&out, sizeof out);
}
