/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway before a fake engine (fake_engine.c), and a client of raw frames.
 * Whatever does not go as a test expects fails it.
 */
#ifndef GWTEST_H
#define GWTEST_H

#include <sys/types.h>

#include "lib/buf.h"
#include "lib/kafka.h"

enum { WAIT_MS = 60000 };	/* a test that waits longer has failed */

extern char	 sock[96];	/* the engine's */
extern pid_t	 gateway;
extern int	 port;
extern const char *client_id;	/* of requests; NULL: null */
extern struct arena mem;	/* of what is received, until the end */

/* Runs a program of the build directory; its stdout goes to out unless -1. */
pid_t	 spawn(const char *prog, const char *const *args, int out);
void	 engine_start(const char *credit);
void	 engine_kill(void);
/* Starts one and learns its port; two more options, or NULL. */
void	 gateway_start(const char *extra, const char *extra2);
void	 setup_with(const char *credit, const char *extra, const char *extra2);
void	 setup(void);
/* The gateway must have ended, or end, with nothing leaked or asserted. */
void	 gateway_ended(void);
void	 teardown(void);

int	 dial(void);
void	 put(int s, const void *, size_t);
/* False: the end came first. */
bool	 get(int s, void *, size_t);
/* Nothing more comes; closes. */
void	 closed(int s);
void	 ask(int s, int key, int version, int32_t corr, const void *req);
/* The next response must be to corr; decodes it. */
void	 answer(int s, int key, int version, int32_t corr, void *out);
/* A batch of one record of n bytes. */
struct kbytes batch_of(size_t n, int fill);
void	 produce_frame(struct wr *, int version, int32_t corr,
	    const char *topic, int acks, struct kbytes);
void	 produce(int s, int version, int32_t corr, const char *topic, int acks,
	    struct kbytes);
/* Returns the offset. */
int64_t	 produced(int s, int version, int32_t corr, int error);
void	 fetch(int s, int version, int32_t corr, const char *topic,
	    int64_t from, int wait_ms);
struct kbytes fetched(int s, int version, int32_t corr);
int64_t	 end_offset(int s, const char *topic);
/* Asks for an end offset until it is what is wanted. */
void	 until(int s, const char *topic, int64_t want);

#endif
