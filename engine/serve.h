/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's socket: links to gateways and tools, and the calls that they
 * make.  One call is one request; its handler answers it once, now or later.
 */
#ifndef SERVE_H
#define SERVE_H

#include <uv.h>

#include "api/fetch.h"
#include "engine.h"
#include "lib/ipc.h"
#include "session.h"

/* The shared region of a gateway.  Freed with the last batch that is being
 * written from it. */
struct region {
	int		 refs;
	const uint8_t	*p;
	size_t		 size;
};

struct serve;

/* Segment fds that a link holds, by handle. */
struct handles {
	struct handle_slot { uint64_t handle; uint64_t used; } *slots;
	size_t		 size, n;
};

/* An option of a gateway, as it told. */
struct link_option {
	char		*name, *value;
	bool		 given;
};

struct link {
	struct link	*next, **prevp;
	struct serve	*serve;
	struct ipc	 ipc;
	uv_poll_t	 poll;
	struct region	*region;	/* NULL: none */
	struct handles	 handles;
	size_t		 handles_max;
	struct sessions	 sessions;
	struct link_option *options;	/* NULL: no gateway */
	int		 noptions;
	struct call	*calls;		/* not answered yet */
	int		 ncalls;
	int64_t		 call_bytes;	/* of their requests */
	char		 program[32];
	bool		 greeted, closing, writable_wanted, in_flush;
	struct link	*flush_next;
};

struct call {
	struct call	*next, **prevp;
	struct link	*link;		/* NULL: the link is gone */
	struct session	*session;	/* never NULL */
	struct engine	*eng;
	struct ipc_head	 head;
	struct arena	 arena;
	void		*req;		/* the decoded struct */
	/* Called when the link or the session ends first; the handler must
	 * then finish by call_drop, now or later.  NULL: answers are thrown
	 * away. */
	void		(*cancel)(struct call *);
	void		*state;		/* the handler's own */
	int64_t		 throttle_ms;	/* goes with the answer */
	bool		 metered;	/* its session's time counts */
};

struct serve {
	struct engine	*eng;
	uv_loop_t	*loop;
	uv_poll_t	 listen_poll;
	int		 listen_fd;
	struct link	*links, *flush;
	int		 nlinks;
	struct timer	 listen_again;	/* no fd was left */
	bool		 stopping;
};

/* Listens on a Unix socket (mode 0600); an old one that nobody answers is
 * replaced. */
enum err serve_open(struct serve *, struct engine *, uv_loop_t *,
	    const char *path, char *why, size_t size) MUST;
/* Sends what was queued this turn. */
void	 serve_flush(struct serve *);
/* Stops listening; links stay for answers. */
void	 serve_stop(struct serve *);
void	 serve_close(struct serve *);
/* Sends a one-way message to every gateway. */
void	 serve_tell(struct serve *, int type, const void *msg);
/* No calls are being worked on. */
bool	 serve_idle(const struct serve *);

/* A request of that type is answered. */
bool	 serve_knows(int type);
/* Answers with the response of the call's type and frees the call. */
void	 call_reply(struct call *, const void *res);
/* Answers before the work is done: the call, with what it asked, stays until
 * call_drop. */
void	 call_answer(struct call *, const void *res);
/* As call_reply, with another message and with segments' fds, for extents. */
void	 call_reply_extents(struct call *, struct extents_res *,
	    struct seg **segs, int nsegs);
/* Frees without an answer: the peer is gone, or it broke the rules. */
void	 call_drop(struct call *);
/* The peer broke the protocol: closes the link, drops the call. */
void	 call_bad(struct call *, const char *why);

/* Says something one way. */
void	 link_tell(struct link *, int type, const void *msg);
/* In configs_broker.c: what a gateway told of its options, and what it hears of
 * dynamic ones: one, all. */
enum err link_conf_told(struct link *, const struct gateway_conf_req *) MUST;
void	 link_conf_free(struct link *);
void	 link_conf_tell(struct link *);
void	 gateways_tell(struct engine *);

/* The number of the i-th message that is handled; -1: there are no more. */
int	 serve_handled(size_t i);

struct region *region_ref(struct region *);
void	 region_unref(struct region *);

/* Handlers, by file. */
void	 handle_append(struct call *);		/* produce.c */
void	 handle_init_producer_id(struct call *);
void	 handle_fetch(struct call *);		/* read.c */
void	 handle_list_offsets(struct call *);	/* offsets.c */
void	 handle_offset_for_leader_epoch(struct call *);	/* epochs.c */
void	 handle_metadata(struct call *);	/* metadata.c */
void	 handle_create_topics(struct call *);	/* topics_call.c */
void	 handle_delete_topics(struct call *);
void	 handle_create_partitions(struct call *);
void	 handle_delete_records(struct call *);	/* delete_records.c */
void	 handle_describe_cluster(struct call *);	/* cluster.c */
void	 handle_describe_quorum(struct call *);
void	 handle_update_features(struct call *);
void	 handle_elect_leaders(struct call *);	/* replicas.c */
void	 handle_alter_partition_reassignments(struct call *);
void	 handle_list_partition_reassignments(struct call *);
void	 handle_describe_log_dirs(struct call *);	/* logdirs.c */
void	 handle_describe_producers(struct call *);	/* producers.c */
void	 handle_describe_topic_partitions(struct call *);
void	 handle_join_group(struct call *);	/* group_join.c */
void	 handle_sync_group(struct call *);	/* group_sync.c */
void	 handle_heartbeat(struct call *);
void	 handle_leave_group(struct call *);
void	 handle_describe_groups(struct call *);	/* group_admin.c */
void	 handle_list_groups(struct call *);
void	 handle_delete_groups(struct call *);
void	 handle_offset_delete(struct call *);
void	 handle_offset_commit(struct call *);	/* group_offset.c */
void	 handle_offset_fetch(struct call *);
void	 handle_describe_configs(struct call *);	/* configs_*.c */
void	 handle_alter_configs(struct call *);
void	 handle_incremental_alter_configs(struct call *);
void	 handle_list_config_resources(struct call *);
void	 handle_describe_user_scram(struct call *);	/* user.c */
void	 handle_alter_user_scram(struct call *);
void	 handle_user(struct call *);
void	 handle_describe_client_quotas(struct call *);	/* quota.c */
void	 handle_alter_client_quotas(struct call *);
void	 handle_auth(struct call *);		/* auth.c */
void	 handle_consumer_group_heartbeat(struct call *); /* cgroup_call.c */
void	 handle_consumer_group_describe(struct call *);	/* cgroup_describe.c */
void	 handle_stats(struct call *);		/* stats.c */
void	 handle_topic_stats(struct call *);
void	 handle_part_segs(struct call *);
void	 handle_view(struct call *);		/* view.c */

#endif
