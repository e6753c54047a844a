/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configs that can be changed while the engine runs: those of topics, of
 * the broker (for itself, "1", and for the whole cluster, ""), and of groups.
 * The only place that knows which of them holds:
 *
 *   topic's own > broker > cluster > option > default
 *
 * What is read all the time is laid out flat where it is read: topic->conf.
 *
 * Invariants:
 *  1. What is set is what the catalogue has: a change shows, and acts, when its
 *     record is durable.
 *  2. A change builds on the newest one before it, durable or not (next), so
 *     that no two take each other back.
 */
#ifndef CONFIGS_H
#define CONFIGS_H

#include "lib/conf.h"
#include "lib/hash.h"
#include "meta.h"

struct topic;

/* ConfigSource of Kafka's wire. */
enum config_source {
	SRC_TOPIC = 1, SRC_BROKER, SRC_CLUSTER, SRC_OPTION, SRC_DEFAULT,
	SRC_LOGGER, SRC_METRICS, SRC_GROUP
};
/* ConfigResource.Type. */
enum config_resource {
	RES_TOPIC = 2, RES_BROKER = 4, RES_LOGGER = 8, RES_METRICS = 16,
	RES_GROUP = 32
};

/* One resource's own configs, and the newest set on its way to the disk. */
struct own_configs {
	struct conf_set		 set;
	const struct conf_set	*next;		/* NULL: none; a change's */
};

struct group_configs {
	struct hash_node	 by_name;
	struct own_configs	 own;
	int32_t			 len;
	char			 name[];
};

struct configs {
	struct conf_set		 options;	/* by broker's names */
	struct own_configs	 cluster, broker;
	struct topic_conf	 topics;	/* of one without own configs */
	struct hash		 groups;	/* by name */
};

/* A change of one resource on its way.  The caller's until done. */
struct config_change {
	struct meta_put		 put;
	struct engine		*eng;
	enum config_resource	 type;
	struct kstr		 name;		/* the caller keeps it */
	struct conf_set		 set;		/* all configs after it */
	struct own_configs	*own;
	void			(*done)(struct config_change *, enum err);
	void			*arg;
};

/* Before the catalogue is read: takes the options.  E_NOMEM. */
enum err configs_open(struct engine *) MUST;
void	 configs_free(struct engine *);
/* After it was read. */
void	 configs_ready(struct engine *);
/* The catalogue's records; value NULL: removed. */
enum err configs_restore(struct engine *, enum meta_type,
	    const struct meta_key *, const void *value, char *why,
	    size_t size) MUST;
void	 configs_snapshot(struct engine *, void (*put)(void *, enum meta_type,
	    const struct meta_key *, const void *), void *arg);

/* The configs of a resource: a live topic, broker "" or its id, any group (made
 * when missing and make is set).  NULL: there is none. */
struct own_configs *configs_find(struct engine *, enum config_resource,
	    struct kstr name, bool make);
/* ... a group's, which may be NULL. */
const struct own_configs *configs_find_group(const struct engine *,
	    struct kstr name);
/* The newest set: what a change starts from. */
static inline const struct conf_set *
configs_newest(const struct own_configs *o)
{
	return o->next != NULL ? o->next : &o->set;
}
/*
 * Writes a change whose eng, type, name, set, own and done are filled in; set
 * becomes the change's.  E_OK: done follows, and by then the change shows and
 * acts.  Otherwise done is not called and set is freed.
 */
enum err configs_change(struct config_change *) MUST;
/* Logs each config that somebody may count on although nothing acts on it. */
void	 configs_warn(const struct conf_set *, const struct conf_set *was);
/* Lays a topic's conf anew, and lets it act. */
void	 configs_apply(struct topic *);
/* What dynamic configs say of a broker's config, or NULL; *src says where. */
const char *configs_dynamic(const struct engine *, const char *name,
	    enum config_source *src);
/* Whether the name is this broker's id. */
bool	 configs_is_me(const struct engine *, struct kstr name);

/* What holds for a group of the new protocol: its own value, or the broker's,
 * kept within what the broker allows (KIP-848). */
int32_t	 group_conf_session_ms(const struct engine *, struct kstr group);
int32_t	 group_conf_heartbeat_ms(const struct engine *, struct kstr group);
/* A row of the groups' table: its name (NULL past the last), and the broker's
 * default and bounds. */
enum { GROUP_ROWS_MAX = 8 };
struct group_row {
	const char	*name, *doc;
	char		 option[64];	/* with dots */
	int64_t		 def, min, max;
	bool		 given;		/* the option was */
};
bool	 group_row(const struct conf *, int i, struct group_row *);
/* E_INVALID_CONFIG as of topic_conf_put. */
enum err group_conf_put(struct conf_set *, struct kstr name,
	    struct kstr value, char *why, size_t size) MUST;
/* Values that contradict each other, or what the broker allows. */
enum err group_conf_check(const struct engine *, const struct conf_set *,
	    char *why, size_t size) MUST;

/* ---- configs_broker.c -------------------------------------------------- */

/* E_INVALID_CONFIG as of topic_conf_put; E_INVALID_REQUEST for one that cannot
 * be changed while the broker runs. */
enum err broker_conf_put(struct conf_set *, struct kstr name,
	    struct kstr value, char *why, size_t size) MUST;

#endif
