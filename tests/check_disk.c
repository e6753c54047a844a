/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same promises of disk.h asked of the real disk and of the simulated one,
 * and then what only the simulated one can do: losing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ck.h"
#include "lib/log.h"
#include "simdisk.h"

static struct sim *sim;		/* NULL: the real disk */
static char root[32];

static void
setup_real(void)
{
	strcpy(root, "/tmp/check_disk.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_eq(chdir(root), 0);
	disk = &disk_real;
}

static int
remove_one(const char *name, void *arg)
{
	(void)arg;
	if (remove(name) != 0)
		fprintf(stderr, "%s stays\n", name);
	return 0;
}

static void
teardown_real(void)
{
	enum err err = disk->list("d", remove_one, NULL);

	(void)err;
	err = disk->list(".", remove_one, NULL);
	ck_assert_int_eq(err, E_OK);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(root), 0);
}

static void
setup_sim(void)
{
	sim = sim_new();
	sim_use(sim);
	disk = &simdisk;
}

static void
teardown_sim(void)
{
	ck_assert_int_eq(sim_open_handles(sim), 0);
	sim_free(sim);
}

static void
put(int fd, const char *s, int64_t pos)
{
	struct iovec iov = { (void *)(uintptr_t)s, strlen(s) };
	enum err err = disk->pwritev(fd, &iov, 1, pos);

	ck_assert_int_eq(err, E_OK);
}

/* The whole file is s (n bytes). */
static void
has(const char *path, const char *s, size_t n)
{
	uint8_t *p;
	size_t got;
	enum err err = disk_slurp(path, 1 << 20, &p, &got);

	ck_assert_int_eq(err, E_OK);
	ck_assert_uint_eq(got, n);
	ck_assert(memcmp(p, s, n) == 0);
	free(p);
}

START_TEST(test_modes)
{
	int fd = -1, fd2 = -1;

	ck_assert_int_eq(disk->open("f", DISK_READ, &fd), E_NOTFOUND);
	ck_assert_int_eq(disk->open("f", DISK_WRITE, &fd), E_NOTFOUND);
	ck_assert_int_eq(disk->open("no/f", DISK_CREATE, &fd), E_NOTFOUND);
	ck_assert_int_eq(disk->open("f", DISK_CREATE_NEW, &fd), E_OK);
	put(fd, "hello", 0);
	ck_assert_int_eq(disk->open("f", DISK_CREATE_NEW, &fd2), E_BUSY);
	ck_assert_int_eq(disk->open("f", DISK_CREATE, &fd2), E_OK);
	put(fd2, "J", 0);
	disk->close(fd2);
	ck_assert_int_eq(disk->open("f", DISK_WRITE, &fd2), E_OK);
	put(fd2, "!", 5);
	disk->close(fd2);
	disk->close(fd);
	has("f", "Jello!", 6);
}
END_TEST

START_TEST(test_read_write)
{
	enum { PARTS = 3000 };	/* more than one system call takes */
	static char text[PARTS][4];
	static struct iovec iov[PARTS];
	static char back[PARTS * 3 + 10];
	struct disk_stat st;
	size_t got;
	int fd;

	for (int i = 0; i < PARTS; i++) {
		snprintf(text[i], 4, "%03d", i % 1000);
		iov[i] = (struct iovec){ text[i], i % 7 == 0 ? 0 : 3 };
	}
	ck_assert_int_eq(disk->open("f", DISK_CREATE, &fd), E_OK);
	ck_assert_int_eq(disk->pwritev(fd, iov, PARTS, 100), E_OK);
	ck_assert_int_eq(disk->fstat(fd, &st), E_OK);
	ck_assert_int_eq(st.size, 100 + (PARTS - 429) * 3);
	ck_assert(!st.dir);
	/* Before it a hole of zeros, behind it nothing. */
	ck_assert_int_eq(disk->pread(fd, back, 103, 0, &got), E_OK);
	ck_assert_uint_eq(got, 103);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(back[i], 0);
	ck_assert(memcmp(back + 100, "001", 3) == 0);
	ck_assert_int_eq(disk->pread(fd, back, sizeof back, st.size - 3,
	    &got), E_OK);
	ck_assert_uint_eq(got, 3);
	ck_assert(memcmp(back, "999", 3) == 0);
	ck_assert_int_eq(disk->pread(fd, back, 10, st.size, &got), E_OK);
	ck_assert_uint_eq(got, 0);
	ck_assert_int_eq(disk->pread(fd, back, 10, st.size + 5, &got), E_OK);
	ck_assert_uint_eq(got, 0);
	/* What was just written is in memory. */
	ck_assert(disk->resident(fd, 0, st.size));
	ck_assert(disk->resident(fd, 77, 1));
	ck_assert(disk->resident(fd, 77, 0));
	ck_assert_int_eq(disk->pread_now(fd, back, 10, 100, &got), E_OK);
	ck_assert_uint_eq(got, 10);
	ck_assert(memcmp(back, "0010020030", 10) == 0);
	disk->close(fd);
}
END_TEST

START_TEST(test_cache)
{
	static char page[64 * 1024];
	struct iovec iov = { page, sizeof page };
	char c[10];
	size_t got;
	enum err err;
	int fd;

	memset(page, 'x', sizeof page);
	ck_assert_int_eq(disk->open("f", DISK_CREATE, &fd), E_OK);
	ck_assert_int_eq(disk->pwritev(fd, &iov, 1, 0), E_OK);
	ck_assert_int_eq(disk->datasync(fd), E_OK);
	ck_assert_int_eq(disk->drop_cache(fd), E_OK);
	/* tmpfs keeps all; elsewhere nothing may be read at once. */
	err = disk->pread_now(fd, c, sizeof c, 5000, &got);
	ck_assert(err == E_BUSY || (err == E_OK && got == sizeof c));
	if (sim != NULL) {
		ck_assert_int_eq(err, E_BUSY);
		ck_assert(!disk->resident(fd, 0, 10));
	}
	ck_assert_int_eq(disk->pread(fd, c, sizeof c, 5000, &got), E_OK);
	ck_assert_uint_eq(got, sizeof c);
	ck_assert(disk->resident(fd, 5000, sizeof c));
	ck_assert_int_eq(disk->pread_now(fd, c, sizeof c, 5000, &got), E_OK);
	ck_assert_uint_eq(got, sizeof c);
	ck_assert_int_eq(c[9], 'x');
	disk->close(fd);
}
END_TEST

START_TEST(test_sizes)
{
	struct disk_stat st;
	int fd;

	ck_assert_int_eq(disk->open("f", DISK_CREATE, &fd), E_OK);
	put(fd, "0123456789", 0);
	ck_assert_int_eq(disk->reserve(fd, 10, 100000), E_OK);
	ck_assert_int_eq(disk->fstat(fd, &st), E_OK);
	ck_assert_int_eq(st.size, 10);
	ck_assert_int_eq(disk->truncate(fd, 4), E_OK);
	ck_assert_int_eq(disk->truncate(fd, 6), E_OK);
	ck_assert_int_eq(disk->sync(fd), E_OK);
	ck_assert_int_eq(disk->syncfs(fd), E_OK);
	disk->close(fd);
	has("f", "0123\0\0", 6);
}
END_TEST

struct names {
	int	n, a, b, stop;
};

static int
count_name(const char *name, void *arg)
{
	struct names *x = arg;

	x->n++;
	x->a += strcmp(name, "a") == 0;
	x->b += strcmp(name, "b") == 0;
	return x->stop;
}

START_TEST(test_names)
{
	struct disk_stat st;
	struct names x = { 0 };
	int fd;

	ck_assert_int_eq(disk->mkdir("d"), E_OK);
	ck_assert_int_eq(disk->mkdir("d"), E_OK);
	ck_assert_int_eq(disk->mkdir("no/d"), E_NOTFOUND);
	ck_assert_int_eq(disk->stat("d", &st), E_OK);
	ck_assert(st.dir);
	ck_assert_int_eq(disk->open("d/a", DISK_CREATE, &fd), E_OK);
	put(fd, "abc", 0);
	disk->close(fd);
	ck_assert_int_eq(disk->mkdir("d/a"), E_NOTDIR);
	ck_assert_int_eq(disk->rmdir("d"), E_IO);
	ck_assert_int_eq(disk->rename("d/a", "d/b"), E_OK);
	ck_assert_int_eq(disk->rename("d/a", "d/c"), E_NOTFOUND);
	ck_assert_int_eq(disk->stat("d/a", &st), E_NOTFOUND);
	ck_assert_int_eq(disk->stat("d/b", &st), E_OK);
	ck_assert_int_eq(st.size, 3);
	ck_assert_int_eq(disk->open("d/a", DISK_CREATE, &fd), E_OK);
	disk->close(fd);
	ck_assert_int_eq(disk->list("d", count_name, &x), E_OK);
	ck_assert_int_eq(x.n, 2);
	ck_assert_int_eq(x.a, 1);
	ck_assert_int_eq(x.b, 1);
	x = (struct names){ .stop = 1 };
	ck_assert_int_eq(disk->list("d", count_name, &x), E_OK);
	ck_assert_int_eq(x.n, 1);
	ck_assert_int_eq(disk->list("no", count_name, &x), E_NOTFOUND);
	ck_assert_int_eq(disk->rename("d/b", "d/a"), E_OK);	/* replaces */
	has("d/a", "abc", 3);
	ck_assert_int_eq(disk->sync_dir("d"), E_OK);
	ck_assert_int_eq(disk->sync_dir("no"), E_NOTFOUND);
	ck_assert_int_eq(disk->unlink("d/a"), E_OK);
	ck_assert_int_eq(disk->unlink("d/a"), E_NOTFOUND);
	ck_assert_int_eq(disk->rmdir("d"), E_OK);
	ck_assert_int_eq(disk->rmdir("d"), E_NOTFOUND);
}
END_TEST

START_TEST(test_lock)
{
	int fd, fd2;

	ck_assert_int_eq(disk->lock("LOCK", &fd), E_OK);
	/* A second open file is what a second process would have. */
	ck_assert_int_eq(disk->lock("LOCK", &fd2), E_BUSY);
	disk->close(fd);
	ck_assert_int_eq(disk->lock("LOCK", &fd2), E_OK);
	disk->close(fd2);
	ck_assert_int_eq(disk->lock("no/LOCK", &fd), E_NOTFOUND);
}
END_TEST

START_TEST(test_replace)
{
	struct disk_stat st;
	uint8_t *p;
	size_t n;

	ck_assert_int_eq(disk_slurp("f", 10, &p, &n), E_NOTFOUND);
	ck_assert_int_eq(disk_replace("f", "one", 3), E_OK);
	has("f", "one", 3);
	ck_assert_int_eq(disk_replace("f", "", 0), E_OK);
	has("f", "", 0);
	ck_assert_int_eq(disk_replace("f", "twenty", 6), E_OK);
	ck_assert_int_eq(disk_slurp("f", 5, &p, &n), E_TOO_LARGE);
	ck_assert_ptr_null(p);
	has("f", "twenty", 6);
	ck_assert_int_eq(disk->stat("f.tmp", &st), E_NOTFOUND);
	ck_assert_int_eq(disk_replace("no/f", "x", 1), E_NOTFOUND);
}
END_TEST

/* Only the real one. */
START_TEST(test_real)
{
	struct stat st;
	int fd;
	pid_t pid;
	int status;

	/* A symbolic link is never followed. */
	ck_assert_int_eq(symlink("target", "link"), 0);
	ck_assert_int_eq(disk->open("link", DISK_CREATE, &fd), E_IO);
	ck_assert_int_eq(access("target", F_OK), -1);
	/* Handles do not leak into programs we start. */
	ck_assert_int_eq(disk->open("f", DISK_CREATE, &fd), E_OK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 07, 0);
	disk->close(fd);
	/* Reading does not change the inode. */
	ck_assert_int_eq(disk_replace("read", "x", 1), E_OK);
	ck_assert_int_eq(utimensat(AT_FDCWD, "read", (struct timespec[]){
	    { .tv_sec = 1 }, { .tv_nsec = UTIME_OMIT } }, 0), 0);
	for (enum disk_mode m = DISK_READ; m <= DISK_WRITE; m++) {
		size_t got;
		char c;

		ck_assert_int_eq(disk->open("read", m, &fd), E_OK);
		ck_assert_int_eq(disk->pread(fd, &c, 1, 0, &got), E_OK);
		ck_assert_int_eq(got, 1);
		disk->close(fd);
	}
	ck_assert_int_eq(stat("read", &st), 0);
	ck_assert_int_eq(st.st_atim.tv_sec, 1);
	/* A lock is held against another process, and goes with its owner. */
	ck_assert_int_eq(disk->lock("LOCK", &fd), E_OK);
	if ((pid = fork()) == 0) {
		int other;

		disk->close(fd);
		_exit(disk->lock("LOCK", &other) == E_BUSY ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	disk->close(fd);
	if ((pid = fork()) == 0) {
		enum err err = disk->lock("LOCK", &fd);

		_exit(err == E_OK ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(disk->lock("LOCK", &fd), E_OK);
	disk->close(fd);
	/* An error is an error. */
	ck_assert_int_eq(disk->open("f", DISK_READ, &fd), E_OK);
	ck_assert_int_eq(disk->truncate(fd, 3), E_IO);
	disk->close(fd);
	ck_assert_int_eq(disk->fstat(fd, &(struct disk_stat){ 0 }), E_IO);
	ck_assert_int_eq(disk->datasync(fd), E_IO);
}
END_TEST

/* Now what the simulated disk loses. */
static int
file(const char *path)
{
	int fd;

	ck_assert_int_eq(disk->open(path, DISK_CREATE, &fd), E_OK);
	return fd;
}

START_TEST(test_crash_data)
{
	int fd = file("f"), full = 0, none = 0, torn = 0, hole = 0;
	char a[2049], b[2049];

	memset(a, 'a', 2048);
	memset(b, 'b', 2048);
	a[2048] = b[2048] = '\0';
	put(fd, "safe", 0);
	ck_assert_int_eq(disk->datasync(fd), E_OK);
	ck_assert_int_eq(disk->sync_dir("."), E_OK);
	put(fd, a, 4);
	put(fd, b, 2052);
	disk->close(fd);
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct sim *d = sim_clone(sim);
		const uint8_t *p;
		int na = 0, nb = 0;
		size_t n;

		sim_use(d);
		sim_crash(d, seed);
		p = sim_bytes(d, "f", &n);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_ge(n, 4);
		ck_assert(memcmp(p, "safe", 4) == 0);
		for (size_t i = 4; i < n; i++) {
			na += p[i] == 'a';
			nb += p[i] == 'b';
			ck_assert(p[i] == 0 || p[i] == (i < 2052 ? 'a' : 'b'));
		}
		full += na == 2048 && nb == 2048;
		none += n == 4;
		torn += na > 0 && na < 2048;
		hole += na == 0 && nb == 2048;
		if (seed == 0 || seed == 2)
			ck_assert_int_eq(na + nb, 4096);
		if (seed == 1 || seed == 3)
			ck_assert_uint_eq(n, 4);
		sim_free(d);
	}
	sim_use(sim);
	ck_assert_int_gt(full, 0);
	ck_assert_int_gt(none, 0);
	ck_assert_int_gt(torn, 0);
	ck_assert_int_gt(hole, 0);
}
END_TEST

START_TEST(test_crash_names)
{
	int seen[8] = { 0 };
	struct disk_stat st;
	int fd = file("old");

	put(fd, "x", 0);
	ck_assert_int_eq(disk->sync(fd), E_OK);
	disk->close(fd);
	ck_assert_int_eq(disk->mkdir("d"), E_OK);
	ck_assert_int_eq(disk->sync_dir("."), E_OK);
	ck_assert_int_eq(disk->rename("old", "d/new"), E_OK);
	disk->close(file("other"));
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct sim *d = sim_clone(sim);
		int was, is, other;

		sim_use(d);
		sim_crash(d, seed);
		was = disk->stat("old", &st) == E_OK;
		is = disk->stat("d/new", &st) == E_OK;
		other = disk->stat("other", &st) == E_OK;
		ck_assert_int_eq(was + is, 1);	/* a rename is whole */
		seen[is + 2 * other]++;
		sim_free(d);
	}
	sim_use(sim);
	for (int i = 0; i < 4; i++)
		ck_assert_int_gt(seen[i], 0);
	/* Either directory's sync brings it out; the other name stays open. */
	ck_assert_int_eq(disk->sync_dir("d"), E_OK);
	sim_crash(sim, 1);
	ck_assert_int_eq(disk->stat("old", &st), E_NOTFOUND);
	ck_assert_int_eq(disk->stat("d/new", &st), E_OK);
	ck_assert_int_eq(disk->stat("other", &st), E_NOTFOUND);
}
END_TEST

START_TEST(test_phantom)
{
	int fd = file("f"), lost = 0;
	size_t n;

	put(fd, "AAAA", 0);
	ck_assert_int_eq(disk->sync(fd), E_OK);
	ck_assert_int_eq(disk->sync_dir("."), E_OK);
	disk->close(fd);
	for (int i = 0; i < 50; i++) {
		struct sim *d = sim_clone(sim);
		const uint8_t *p;

		sim_use(d);
		sim_seed(d, (uint64_t)i);
		fd = file("f");
		put(fd, "BBBB", 0);
		put(fd, "CC", 4 + i * 512);
		sim_fail_op(d, SIM_DATASYNC, 1, E_IO);
		ck_assert_int_eq(disk->datasync(fd), E_IO);
		ck_assert_int_eq(disk->datasync(fd), E_OK);	/* the lie */
		p = sim_bytes(d, "f", &n);
		ck_assert(memcmp(p, "BBBB", 4) == 0);
		disk->close(fd);
		fd = file("f");	/* a new process still sees it */
		ck_assert_int_eq(disk->drop_cache(fd), E_OK);
		p = sim_bytes(d, "f", &n);
		lost += memcmp(p, "AAAA", 4) == 0;
		ck_assert_uint_eq(n, (size_t)i * 512 + 6);
		disk->close(fd);
		sim_free(d);
	}
	sim_use(sim);
	ck_assert_int_gt(lost, 0);
	ck_assert_int_lt(lost, 50);
}
END_TEST

START_TEST(test_fail)
{
	struct iovec iov = { (void *)(uintptr_t)"0123456789", 10 };
	struct disk_stat st;
	int fd = file("f");

	sim_count_reset(sim);
	sim_fail_at(sim, 2, E_NOSPC, false);
	ck_assert_int_eq(disk->fstat(fd, &st), E_OK);
	ck_assert_int_eq(disk->fstat(fd, &st), E_NOSPC);
	ck_assert_int_eq(disk->fstat(fd, &st), E_OK);
	ck_assert_int_eq(sim_calls(sim), 3);
	sim_fail_at(sim, 4, E_IO, true);
	ck_assert_int_eq(disk->truncate(fd, 3), E_IO);
	ck_assert_int_eq(disk->pwritev(fd, &iov, 1, 0), E_IO);
	ck_assert_int_eq(disk->unlink("f"), E_IO);
	sim_fail_at(sim, 0, E_OK, false);
	ck_assert_int_eq(disk->fstat(fd, &st), E_OK);
	ck_assert_int_eq(st.size, 0);
	/* Space: what fits is written, and deleting makes room. */
	sim_space(sim, 4);
	iov = (struct iovec){ (void *)(uintptr_t)"0123456789", 10 };
	ck_assert_int_eq(disk->pwritev(fd, &iov, 1, 0), E_NOSPC);
	has("f", "0123", 4);
	put(fd, "abcd", 0);
	disk->close(fd);
	ck_assert_int_eq(disk->unlink("f"), E_OK);
	fd = file("g");
	put(fd, "wxyz", 0);
	disk->close(fd);
}
END_TEST

/* A replaced file is the old or the new one, whenever the power goes. */
static int replaced;

static void
check_replace(struct sim *d, int64_t n, enum sim_op op, void *arg)
{
	(void)op;
	(void)arg;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct sim *c = sim_clone(d);
		const uint8_t *p;
		size_t size;

		sim_use(c);
		sim_crash(c, seed + (uint64_t)n * 100 * (seed > 3));
		p = sim_bytes(c, "f", &size);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq(size, 2000);
		ck_assert(p[0] == 'o' || p[0] == 'n');
		for (int i = 1; i < 2000; i++)
			ck_assert_int_eq(p[i], p[0]);
		replaced += p[0] == 'n';
		sim_free(c);
	}
	sim_use(d);
}

START_TEST(test_crash_replace)
{
	char p[2000];

	memset(p, 'o', sizeof p);
	ck_assert_int_eq(disk_replace("f", p, sizeof p), E_OK);
	memset(p, 'n', sizeof p);
	sim_hook(sim, check_replace, NULL);
	ck_assert_int_eq(disk_replace("f", p, sizeof p), E_OK);
	ck_assert_int_gt(replaced, 0);
	sim_hook(sim, NULL, NULL);
	sim_crash(sim, 1);
	has("f", p, sizeof p);
}
END_TEST

static void
add_common(TCase *tc)
{
	tcase_add_test(tc, test_modes);
	tcase_add_test(tc, test_read_write);
	tcase_add_test(tc, test_cache);
	tcase_add_test(tc, test_sizes);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_lock);
	tcase_add_test(tc, test_replace);
}

int
main(void)
{
	Suite *s = suite_create("disk");
	TCase *real = tcase_create("real"), *tc = tcase_create("simulated");
	SRunner *sr;
	int failed;

	log_setup("check_disk", LOG_FATAL, LOG_TEXT);
	tcase_set_timeout(real, 60);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(real, setup_real, teardown_real);
	add_common(real);
	tcase_add_test(real, test_real);
	suite_add_tcase(s, real);
	tcase_add_checked_fixture(tc, setup_sim, teardown_sim);
	add_common(tc);
	tcase_add_test(tc, test_crash_data);
	tcase_add_test(tc, test_crash_names);
	tcase_add_test(tc, test_phantom);
	tcase_add_test(tc, test_fail);
	tcase_add_test(tc, test_crash_replace);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
