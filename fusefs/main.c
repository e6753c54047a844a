/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik-fs: topics as files.  Options, the mount and its end; everything in
 * between is the loop's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache.h"
#include "lib/child.h"
#include "lib/conf_value.h"
#include "lib/log.h"
#include "loop.h"
#include "pass.h"
#include "seek.h"

#define COPY_BYTES	((int64_t)4 << 30)	/* of cache-size, unless told */

enum { TIMEOUT_S_MAX = 3600, READ_AHEAD_KB = 1024, DEATH_TRIES = 100 };

struct options {
	int	 foreground, debug, help, version;
	int	 ro, rw, writable, admin, hard, value_only, pretty_time;
	int	 allow_other, auto_unmount, no_passthrough, xattr;
	int	 timeout_s;
	char	*engine, *cache, *cache_size;
	char	*words[2];		/* operands */
	int	 nwords;
};

#define OPT(text, field, value) { text, offsetof(struct options, field), value }
static const struct fuse_opt specs[] = {
	OPT("-f", foreground, 1),
	OPT("-d", debug, 1),
	OPT("-h", help, 1),
	OPT("--help", help, 1),
	OPT("-V", version, 1),
	OPT("--version", version, 1),
	OPT("ro", ro, 1),
	OPT("rw", rw, 1),
	OPT("writable", writable, 1),
	OPT("admin", admin, 1),
	OPT("hard", hard, 1),
	OPT("value-only", value_only, 1),
	OPT("pretty-time", pretty_time, 1),
	OPT("xattr", xattr, 1),
	OPT("allow_other", allow_other, 1),
	OPT("auto_unmount", auto_unmount, 1),
	OPT("no-passthrough", no_passthrough, 1),
	OPT("timeout=%d", timeout_s, 0),
	OPT("engine=%s", engine, 0),
	OPT("cache=%s", cache, 0),
	OPT("cache-size=%s", cache_size, 0),
	OPT("--engine=%s", engine, 0),
	OPT("--engine %s", engine, 0),
	/* What mount(8) says by itself, or fstab for others. */
	FUSE_OPT_KEY("dev", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("suid", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("exec", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("nodev", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("nosuid", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("noexec", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("auto", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("noauto", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("user", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("nouser", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("users", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("_netdev", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("nofail", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_END
};

static const char usage[] =
"usage: chronik-fs [-fd] [-o option,...] [--engine PATH] MOUNTPOINT\n"
"       mount -t fuse.chronik-fs PATH MOUNTPOINT\n"
"\n"
"Mounts the topics of the engine whose socket is PATH as files (default:\n"
"$CHRONIK_ENGINE, or engine.sock in $CHRONIK_DATA_DIR or ./data).\n"
"\n"
"  -f              stay in the foreground\n"
"  -d              the same, and log what happens\n"
"  -o ro           read only (default)\n"
"  -o rw           with files to produce to (mount(8): -o writable)\n"
"  -o admin        and configs of topics can be written, too\n"
"  -o value-only   lines hold values alone\n"
"  -o pretty-time  timestamps as RFC 3339\n"
"  -o timeout=S    seconds that a call may take without progress (10)\n"
"  -o cache=DIR    where sizes of sealed segments, and copies, are; or none\n"
"  -o cache-size=N bytes of copies of text at most (4G); 0: no copies\n"
"  -o no-passthrough  read segments always through chronik-fs\n"
"  -o xattr        with extended attributes (getfattr)\n"
"  -o hard         wait for ever instead\n"
"  -o allow_other  other users may read, too\n"
"  -o auto_unmount unmount when chronik-fs is killed\n"
"  -h, --help      this text\n"
"  -V, --version   the version\n";

/* Its exit status when it did not mount. */
enum { FAILED = 1, USAGE = 2 };

/* Written to in the background's name: one byte when it is mounted. */
static int ready_fd = -1;

static void __attribute__((format(printf, 2, 3), noreturn))
die(int status, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "chronik-fs: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(status);
}

static int
take_option(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct options *o = data;

	(void)out;
	if (key == FUSE_OPT_KEY_NONOPT) {
		if (o->nwords == 2)
			die(USAGE, "one mount point, please: %s", arg);
		o->words[o->nwords++] = strdup(arg);
		return 0;
	}
	if (arg[0] == '-')
		die(USAGE, "unknown option %s; --help lists them", arg);
	die(USAGE, "unknown option -o %s; --help lists them", arg);
}

/* ---- what is asked ------------------------------------------------------ */

static char *
engine_path(const struct options *o)
{
	const char *dir = getenv("CHRONIK_DATA_DIR"), *s;
	char *path;

	if (o->nwords == 2 && o->engine == NULL)
		return o->words[0];
	if (o->engine != NULL)
		return o->engine;
	if ((s = getenv("CHRONIK_ENGINE")) != NULL && *s != '\0')
		return strdup(s);
	if (dir == NULL || *dir == '\0')
		dir = "./data";
	if (asprintf(&path, "%s/engine.sock", dir) < 0)
		die(FAILED, "out of memory");
	return path;
}

/* A path that survives chdir. */
static char *
absolute(char *path)
{
	char *dir = *path == '/' ? NULL : getcwd(NULL, 0), *out;

	if (*path == '/')
		return path;
	if (dir == NULL || asprintf(&out, "%s/%s", dir, path) < 0)
		die(FAILED, "%s: no working directory", path);
	free(dir);
	return out;
}

/* Where there is none a query says so. */
static char *
search_path(void)
{
	char path[PATH_MAX], *copy;

	(void)program_find("chronik-search", path, sizeof path);
	if ((copy = strdup(path)) == NULL)
		die(FAILED, "out of memory");
	return copy;
}

static int64_t
size_of(const char *s)
{
	int64_t n;

	if (s[0] == '\0' || !conf_parse_size(kstr_of(s), &n) || n < 0)
		die(USAGE, "-o cache-size: bytes, or with K, M or G: %s", s);
	return n;
}

static void
configure(struct fs *fs, int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct options o = { .timeout_s = 10 };

	if (fuse_opt_parse(&args, &o, specs, take_option) != 0)
		exit(USAGE);
	if (o.help || o.version) {
		printf("%s", o.help ? usage : "chronik-fs " PACKAGE_VERSION
		    "\n");
		exit(0);
	}
	if (o.nwords == 0)
		die(USAGE, "where?  %s", "chronik-fs [options] MOUNTPOINT");
	if (o.timeout_s < 1 || o.timeout_s > TIMEOUT_S_MAX)
		die(USAGE, "-o timeout: seconds from 1 to %d",
		    TIMEOUT_S_MAX);
	fs->conf = (struct fs_conf){
		.engine = absolute(engine_path(&o)),
		.mountpoint = absolute(o.words[o.nwords - 1]),
		.foreground = o.foreground || o.debug,
		.search = search_path(),
		.debug = o.debug, .hard = o.hard,
		.xattr = o.xattr,
		.allow_other = o.allow_other,
		.auto_unmount = o.auto_unmount,
		.no_passthrough = o.no_passthrough,
		.timeout_ms = o.timeout_s * 1000,
		.render = { o.value_only, o.pretty_time },
		.copies_max = o.cache_size == NULL ? COPY_BYTES :
		    size_of(o.cache_size),
	};
	if (o.cache == NULL)
		fs->conf.cache = cache_dir_default();
	else if (strcmp(o.cache, "none") != 0)
		fs->conf.cache = absolute(o.cache);
	/* mount(8) says rw by itself: there, writing is asked for in full. */
	fs->conf.admin = !o.ro && o.admin;
	fs->conf.writable = !o.ro && (o.writable || o.admin ||
	    (o.rw && o.nwords == 1));
	free(o.cache_size);
	fuse_opt_free_args(&args);
}

/* A directory of our own with nothing in it, and no symbolic link to one. */
static void
check_mountpoint(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *d;
	struct stat st;
	DIR *dir;

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		die(FAILED, "%s: not a directory (or a link to one)", path);
	if (fd < 0 || fstat(fd, &st) != 0 || (dir = fdopendir(fd)) == NULL)
		die(FAILED, "%s: %s%s", path, strerror(errno),
		    errno == ENOTCONN ? "; a mount is left there: "
		    "fusermount3 -u it" : "");
	if (st.st_uid != geteuid())
		die(FAILED, "%s: belongs to another user", path);
	while ((d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0)
			die(FAILED, "%s: not empty", path);
	closedir(dir);
}

/* ---- going into the background ------------------------------------------ */

/* A child, and a pipe from whoever goes on to whoever stays. */
static pid_t
fork_piped(int fds[2])
{
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		die(FAILED, "cannot start: %s", strerror(errno));
	return pid;
}

/* Waits for a byte from the other end: 1, or 0 when that has ended. */
static ssize_t
pipe_await(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The parent stays until the child has mounted or failed. */
static void
go_background(void)
{
	int fds[2], status;
	pid_t pid = fork_piped(fds);

	if (pid == 0) {
		close(fds[0]);
		ready_fd = fds[1];
		setsid();
		return;
	}
	close(fds[1]);
	if (pipe_await(fds[0]) == 1)
		_exit(0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ?
	    WEXITSTATUS(status) : FAILED);
}

static void
tell_ready(void)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR);
	if (chdir("/") != 0 || null < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(null, 2) < 0)
		log_fatal("cannot go into the background", LERRNO(errno));
	if (null > 2)
		close(null);
	if (write(ready_fd, "1", 1) != 1)
		log_fatal("nobody waits", LERRNO(errno));
	close(ready_fd);
}

/* ---- after a death ------------------------------------------------------- */

static int watch_fd = -1;	/* to the one who watches us, -1: nobody */

/* Whoever is killed leaves a dead mount.  It goes away also when files are open
 * there. */
static void
mount_clear(const char *mountpoint)
{
	const struct timespec ms50 = { 0, 50000000 };
	struct statfs st;

	for (int i = 0; i < DEATH_TRIES; i++, nanosleep(&ms50, NULL)) {
		/* What stat would say may be remembered. */
		if (statfs(mountpoint, &st) == 0 || (errno != ENOTCONN &&
		    errno != ECONNABORTED))
			continue;
		if (geteuid() != 0)
			execlp("fusermount3", "fusermount3", "-u", "-z", "-q",
			    mountpoint, (char *)NULL);
		(void)umount2(mountpoint, MNT_DETACH);
		return;
	}
}

/* A child that outlives us and holds nothing of ours.  A byte tells it that the
 * mount was taken away in order. */
static void
watch_start(const char *mountpoint)
{
	int fds[2], null;

	if (fork_piped(fds) != 0) {
		close(fds[0]);
		watch_fd = fds[1];
		return;
	}
	setsid();
	null = open("/dev/null", O_RDWR);
	if (chdir("/") != 0 || null < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(fds[0], 3) < 0 ||
	    close_range(4, ~0U, 0) != 0)
		_exit(FAILED);
	if (pipe_await(3) == 0)
		mount_clear(mountpoint);
	_exit(0);
}

static void
watch_end(void)
{
	if (watch_fd >= 0 && write(watch_fd, "1", 1) == 1)
		close(watch_fd);
}

/* ---- the mount ---------------------------------------------------------- */

/* The kernel reads 128 KiB ahead whatever a file system asks for; root may
 * change that.  The device is found without touching the mount. */
static void
read_ahead(const char *mountpoint)
{
	char line[8192], where[4096], path[128];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	int major, minor, fd = -1;

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (sscanf(line, "%*d %*d %d:%d %*s %4095s", &major, &minor,
		    where) != 3 || strcmp(where, mountpoint) != 0)
			continue;
		snprintf(path, sizeof path,
		    "/sys/class/bdi/%d:%d/read_ahead_kb", major, minor);
		if (fd >= 0)
			close(fd);
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	if (f != NULL)
		fclose(f);
	if (fd >= 0) {
		if (dprintf(fd, "%d\n", READ_AHEAD_KB) < 0)
			log_debug("read-ahead stays small", LERRNO(errno));
		close(fd);
	}
}

static void
mount_it(struct fs *fs)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char *o;

	if (fs->conf.auto_unmount)
		watch_start(fs->conf.mountpoint);
	if (asprintf(&o, "subtype=chronik-fs,fsname=chronik-fs,"
	    "default_permissions,nosuid,nodev,noexec%s%s",
	    fs->conf.writable ? "" : ",ro",
	    fs->conf.allow_other ? ",allow_other" : "") < 0 ||
	    fuse_opt_add_arg(&args, "chronik-fs") != 0 ||
	    fuse_opt_add_arg(&args, "-o") != 0 ||
	    fuse_opt_add_arg(&args, o) != 0)
		die(FAILED, "out of memory");
	free(o);
	fs->se = fuse_session_new(&args, &fs_ops, sizeof fs_ops, fs);
	fuse_opt_free_args(&args);
	if (fs->se == NULL ||
	    fuse_session_mount(fs->se, fs->conf.mountpoint) != 0)
		die(FAILED, "%s: cannot be mounted", fs->conf.mountpoint);
	/* Only root may name files to the kernel. */
	fs->pass = geteuid() == 0 && !fs->conf.no_passthrough ?
	    PASS_UNKNOWN : PASS_NONE;
	if (pass_offer(fs) != E_OK || loop_fuse(fs) != E_OK) {
		fuse_session_unmount(fs->se);
		die(FAILED, "%s: cannot be served", fs->conf.mountpoint);
	}
	if (geteuid() == 0)
		read_ahead(fs->conf.mountpoint);
}

static const char *
why(enum err e)
{
	switch (e) {
	case E_NOTFOUND:
		return "no engine listens there (is it running?)";
	case E_TIMED_OUT:
		return "the engine does not answer";
	case E_CLUSTER_AUTHORIZATION:
		return "no permission to ask the engine";
	case E_PROTO:
		return "the engine is of another version";
	default:
		return err_text(e);
	}
}

static void
fs_lists(struct fs *fs)
{
	TAILQ_INIT(&fs->ops);
	TAILQ_INIT(&fs->topics);
	TAILQ_INIT(&fs->topics_waiters);
	TAILQ_INIT(&fs->idle_parts);
	TAILQ_INIT(&fs->open_segs);
	TAILQ_INIT(&fs->blks);
	TAILQ_INIT(&fs->blk_waiters);
	TAILQ_INIT(&fs->copies);
	TAILQ_INIT(&fs->grows);
	TAILQ_INIT(&fs->follows);
	TAILQ_INIT(&fs->sinks);
	TAILQ_INIT(&fs->answers);
}

static void
fs_open(struct fs *fs)
{
	struct elink_conf conf = { .path = fs->conf.engine,
	    .program = "chronik-fs", .changed = loop_link_changed,
	    .arg = fs };
	enum err e;

	fs_lists(fs);
	fs->uid = geteuid();
	fs->gid = getegid();
	fs->began_ms = elink_wall_ms();
	fs->scratch = malloc(READ_MAX);
	e = fs->scratch == NULL ? E_NOMEM : elink_open(&conf, &fs->link);
	if (e == E_USAGE)
		die(USAGE, "%s: the path is too long", fs->conf.engine);
	if (e == E_OK)
		e = loop_open(fs);
	if (e == E_OK)
		e = nodes_open(fs);
	if (e == E_OK)
		e = loop_first_answer(fs);
	if (e != E_OK)
		die(FAILED, "%s: %s", fs->conf.engine, why(e));
}

/* Each mount, open file and segment may need one. */
static void
more_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int
main(int argc, char **argv)
{
	static struct fs fs;

	std_open();
	configure(&fs, argc, argv);
	log_setup("chronik-fs", fs.conf.debug ? LOG_DEBUG : LOG_INFO,
	    LOG_TEXT);
	more_files();
	/* Buffers of reads come and go: pages that were touched are kept. */
	mallopt(M_MMAP_THRESHOLD, 4 * MIB);
	mallopt(M_TRIM_THRESHOLD, 16 * MIB);
	signal(SIGPIPE, SIG_IGN);
	check_mountpoint(fs.conf.mountpoint);
	if (!fs.conf.foreground)
		go_background();
	fs_open(&fs);
	mount_it(&fs);
	cache_bound(&fs);
	tell_ready();
	log_info("mounted", LS("on", fs.conf.mountpoint),
	    LS("engine", fs.conf.engine));
	loop_run(&fs);
	/* Nobody is left who would answer the kernel, before it goes. */
	answers_stop(&fs);
	ops_end_all(&fs, ETIMEDOUT, true);
	elink_close(fs.link);
	fuse_session_unmount(fs.se);
	watch_end();
	fuse_session_destroy(fs.se);
	return 0;
}
