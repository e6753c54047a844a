/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The non-blocking end of a client's link to the engine, for a loop of any
 * kind.  The loop polls elink_fd for elink_events, for at most elink_wait_ms,
 * and then calls elink_run, which calls back.  The link makes itself again
 * with a growing, jittered pause after each loss.
 *
 *   DOWN -> HELLO (connected) -> READY -> DOWN (lost) -> ...
 *
 * Calls that cannot be sent yet wait, up to their deadlines.  After a loss
 * those marked again are sent again; the others end with E_CLOSED: whether
 * the engine has done what they asked is not known.
 */
#ifndef ELINK_H
#define ELINK_H

#include <stdbool.h>
#include <sys/queue.h>

#include "ipc.h"

/* A segment whose fd the engine has passed; its bytes stay readable while a
 * reference is held, even after the engine has retired it. */
struct ehandle {
	TAILQ_ENTRY(ehandle) chain;
	int64_t	 id;		/* never used again by this engine process */
	int	 fd;		/* read with pread only: it is shared */
	int	 refs;
	bool	 retired;
};

enum ecall_state { ECALL_IDLE, ECALL_WAITING, ECALL_SENT };

/*
 * One request.  The caller owns it and fills in what stands before the blank
 * line; req must stay valid until done is called or the call is cancelled.
 * done is called once, from elink_run or elink_close, never from elink_call.
 * Its res is the decoded response, valid during done only, or, when arena is
 * set, as long as that arena is; NULL with an error.  An error that the
 * response itself holds is not looked at.
 */
struct ecall {
	void		(*done)(struct ecall *, enum err, void *res);
	void		*arg;
	const void	*req;
	struct arena	*arena;
	uint16_t	 type;		/* Kafka API key, or of ipc.def */
	int16_t		 version;	/* whose semantics are wanted */
	bool		 again;		/* harmless when done twice */
	int64_t		 deadline_ms;	/* elink_now_ms; 0: none */

	TAILQ_ENTRY(ecall) next;
	enum ecall_state state;
	uint32_t	 id;
};

struct elink_conf {
	const char	*path;		/* of the engine's socket */
	const char	*program;	/* as told in hello */
	/* Memory for appends, see hello in chronik-ipc(7); bytes 0: none.
	 * Called before each hello: after a loss it may have to be renewed. */
	int		(*region_fd)(void *arg);
	int64_t		 region_bytes;
	/* The link is ready (E_OK), or was lost or not made (why). */
	void		(*changed)(void *arg, enum err why);
	void		*arg;
};

struct elink;

/* Connects at the first elink_run.  The program's name must outlive the link.
 * E_NOMEM, E_USAGE: the path is too long. */
enum err elink_open(const struct elink_conf *, struct elink **) MUST;
/* Ends all calls with E_CLOSED.  Handles that are still held live on. */
void	 elink_close(struct elink *);
int	 elink_fd(const struct elink *);	/* -1 while there is none */
short	 elink_events(const struct elink *);	/* as of poll(2) */
int	 elink_wait_ms(const struct elink *);	/* -1: no end */
void	 elink_run(struct elink *, short revents);
bool	 elink_ready(const struct elink *);
/* Of the newest link that was ready; zero before. */
const struct hello_res *elink_hello(const struct elink *);
/* How many links were made: handle ids of another one mean nothing. */
uint32_t elink_count(const struct elink *);
/* Puts a call on its way; it is sent by the next elink_run at the latest. */
void	 elink_call(struct elink *, struct ecall *);
/* Forgets a call: done is not called.  Harmless on one that is idle. */
void	 elink_cancel(struct elink *, struct ecall *);
/* A reference on a segment of the present link; E_PROTO: no such handle. */
enum err elink_handle(struct elink *, int64_t id, struct ehandle **) MUST;
struct ehandle *ehandle_ref(struct ehandle *);
void	 ehandle_put(struct ehandle *);
int64_t	 elink_now_ms(void);		/* the clock of deadlines */
int64_t	 elink_wall_ms(void);		/* since 1970; it may jump */

#endif
