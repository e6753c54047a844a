/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of chronik-fs: made, run and stopped by main. */
#ifndef LOOP_H
#define LOOP_H

#include "fs.h"

enum err loop_open(struct fs *) MUST;
/* For elink_conf.changed. */
void	 loop_link_changed(void *fs, enum err why);
/* Waits for the engine's hello: E_NOTFOUND, E_TIMED_OUT, E_PROTO, ... */
enum err loop_first_answer(struct fs *) MUST;
/* Listens to the kernel, once mounted. */
enum err loop_fuse(struct fs *) MUST;
void	 loop_run(struct fs *);		/* until it is stopped */
void	 loop_stop(struct fs *);

#endif
