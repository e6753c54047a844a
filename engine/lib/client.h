/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blocking client of the engine, for tools.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "ipc.h"

struct eng;

/* Connects and says hello.  timeout_ms bounds every later call too.
 * E_NOTFOUND: no socket there; E_TIMED_OUT; E_PROTO: other version. */
enum err eng_open(const char *path, const char *program, int timeout_ms,
	    struct eng **) MUST;
void	 eng_close(struct eng *);
const struct hello_res *eng_hello(const struct eng *);
/* Sends one request (type: Kafka API key or ipc.def number, version: the API
 * version whose semantics are wanted) and decodes the response struct; its
 * strings live in the arena. */
enum err eng_call(struct eng *, int type, int version, const void *req,
	    void *res, struct arena *) MUST;

#endif
