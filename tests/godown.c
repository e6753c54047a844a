/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A power cut for one file system: everything that was not synced is gone, and
 * from now on every call on it fails until it is mounted again.
 *
 *	godown MOUNTPOINT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* As ext4, XFS and others define it; no header has it for user space. */
#define IOC_SHUTDOWN	_IOR('X', 125, uint32_t)
enum { WITHOUT_LOG_FLUSH = 2 };

int
main(int argc, char **argv)
{
	uint32_t how = WITHOUT_LOG_FLUSH;
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: godown MOUNTPOINT\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, IOC_SHUTDOWN, &how) != 0) {
		fprintf(stderr, "godown: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	close(fd);
	return 0;
}
