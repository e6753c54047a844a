/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics whose batches are stored in a codec of their own choice, as the
 * engine told us.  Most topics are not here.
 */
#ifndef CODECS_H
#define CODECS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/codec.h"
#include "lib/ipc.h"

struct topic_recode {
	struct topic_recode *next_name, *next_id;	/* in their chains */
	struct uuid	  id;
	enum codec	  codec;
	int32_t		  level;	/* as codec_deflate takes it */
	int32_t		  len;
	char		  name[];
};

struct codecs {
	struct topic_recode **by_name, **by_id;	/* size: a power of two */
	size_t		  size, n;
};

/* Takes in one row; codec -1 takes the topic out.  E_PROTO: nonsense, or more
 * than TOPICS_MAX. */
enum err codecs_set(struct codecs *, const struct hello_res_codec *) MUST;
/* name null: by id. */
const struct topic_recode *codecs_find(const struct codecs *,
	    struct kstr name, struct uuid id);
void	 codecs_clear(struct codecs *);

#endif
