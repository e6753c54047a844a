/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passthrough of FUSE (Linux 6.9): the kernel reads an open file from another
 * file that we name, and does not ask us.  The library does not know it yet.
 * It needs CAP_SYS_ADMIN and a file that is on no stacked file system; where
 * it cannot be had, nothing is different but the speed.
 */
#ifndef PASS_H
#define PASS_H

#include "fs.h"

/* Between the mount and the first request: fs.pass is PASS_ON when the kernel
 * has agreed. */
enum err pass_offer(struct fs *) MUST;
/* Names a file to the kernel, which keeps it until pass_close.  0: it cannot
 * be. */
int32_t	 pass_open(struct fs *, int fd);
void	 pass_close(struct fs *, int32_t id);
/* As fuse_reply_open. */
int	 pass_reply_open(fuse_req_t, const struct fuse_file_info *, int32_t id);

#endif
