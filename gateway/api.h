/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what we serve.  ApiVersions answers from it, so nothing is
 * advertised that is not in it.
 */
#ifndef API_H
#define API_H

#include <stdint.h>

#include "gateway.h"

enum {
	F_APPEND = 1,	/* needs credit; lends pieces to the engine */
	F_AGAIN	 = 2,	/* reads only: sent again after a lost link */
	F_ALONE	 = 8,	/* the next one is not read before its answer */
	F_SMALL	 = 4,	/* its answer in memory is no larger than it */
};

struct api {
	const char	*name;
	int16_t		 min, max;	/* advertised */
	uint16_t	 flags;
	uint16_t	 type;		/* on the engine's socket */
	const struct msg *req, *res;	/* Kafka's */
	/* Decodes the frame and hands it to up_send, or (local) answers it by
	 * req_reply.  E_PROTO, E_NOMEM: the connection is closed. */
	enum err	(*send)(struct req *);
	/* Encodes the engine's answer, then req_reply.  E_PROTO: the engine
	 * talks nonsense.  NULL: local. */
	enum err	(*answer)(struct req *, struct rd *);
	/* The outcome is unknown: answers so.  NULL: closes the connection. */
	void		(*lost)(struct req *);
};

/* NULL: unknown key. */
const struct api *api_find(int key);
/* Rows in ascending order of key: the first at or after *key. */
const struct api *api_next(int *key);

/* A scratch arena for one request of n frame bytes: the memory rule. */
void	 arena_for_frame(struct arena *, size_t n);
/* The same for a body that the engine sent. */
void	 arena_for_engine(struct arena *, size_t n);
/* Decodes the request's body at the client's version. */
enum err req_decode(const struct req *, struct arena *, void *out) MUST;
/* Encodes the response at the client's version: length, header and body, with
 * holes for the extents.  On failure nothing is kept. */
enum err req_encode(struct req *, const struct msg *, int version,
	    const void *in) MUST;

/* One file each. */
enum err generic_send(struct req *) MUST;
enum err generic_answer(struct req *, struct rd *) MUST;
void	 create_topics_lost(struct req *);
void	 delete_topics_lost(struct req *);
void	 create_partitions_lost(struct req *);
void	 delete_records_lost(struct req *);
void	 init_producer_id_lost(struct req *);
enum err metadata_answer(struct req *, struct rd *) MUST;
enum err cluster_answer(struct req *, struct rd *) MUST;
enum err quorum_answer(struct req *, struct rd *) MUST;
enum err coordinator_answer(struct req *) MUST;
enum err sasl_handshake(struct req *) MUST;
enum err sasl_send(struct req *) MUST;
enum err sasl_answer(struct req *, struct rd *) MUST;
enum err versions_answer(struct req *) MUST;
enum err versions_too_new(struct req *) MUST;
enum err produce_send(struct req *) MUST;
enum err produce_answer(struct req *, struct rd *) MUST;
void	 produce_lost(struct req *);
enum err fetch_send(struct req *) MUST;
enum err fetch_answer(struct req *, struct rd *) MUST;

#endif
