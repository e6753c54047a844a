/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .chronik/ctl: one write is one command to this chronik-fs.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "copy.h"
#include "lib/log.h"
#include "seek.h"

/* What can be made again, but for what is in use. */
static int
drop_caches(struct fs *fs)
{
	answers_drop(fs);
	text_drop(fs);
	copies_drop(fs);
	parts_drop(fs);
	return 0;
}

/* The link notices that it is lost, and is made anew. */
static int
reconnect(struct fs *fs)
{
	int fd = elink_fd(fs->link);

	fs->fail_until_ms = 0;
	if (fd >= 0)
		(void)shutdown(fd, SHUT_RDWR);
	return 0;
}

static int
log_as(enum log_level level)
{
	log_level_set(level);
	return 0;
}

static int
log_more(struct fs *fs)
{
	(void)fs;
	return log_as(LOG_DEBUG);
}

static int
log_some(struct fs *fs)
{
	(void)fs;
	return log_as(LOG_INFO);
}

static int
log_less(struct fs *fs)
{
	(void)fs;
	return log_as(LOG_WARN);
}

static const struct { const char *words; int (*run)(struct fs *); }
commands[] = {
	{ "drop-caches", drop_caches },
	{ "reconnect", reconnect },
	{ "log debug", log_more },
	{ "log info", log_some },
	{ "log warn", log_less },
};

void
control_write(struct op *op)
{
	size_t n = op->size;
	int eno = EINVAL;

	while (n > 0 && op->buf[n - 1] == '\n')
		n--;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strlen(commands[i].words) == n &&
		    memcmp(commands[i].words, op->buf, n) == 0)
			eno = commands[i].run(op->fs);
	if (eno != 0) {
		fs_error(op->fs, "ctl: commands are drop-caches, reconnect, "
		    "log debug, log info, log warn", eno, E_USAGE);
		op_err(op, eno);
		return;
	}
	log_info("told", LSN("command", op->buf, (int64_t)n));
	fuse_reply_write(op->req, op->size);
	op_end(op);
}
