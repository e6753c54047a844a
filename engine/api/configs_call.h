/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of the config apis share. */
#ifndef CONFIGS_CALL_H
#define CONFIGS_CALL_H

#include "admin.h"

/* A config of the broker as it is without dynamic ones. */
struct broker_row {
	char		 name[64];	/* "": this row is not shown */
	const char	*doc;
	enum conf_ctype	 type;
	bool		 dynamic, given;
	const struct topic_row *topic;	/* whose default it is, or NULL */
	char		 def[PATH_SIZE];	/* "": it has none */
	char		 value[PATH_SIZE];
};
/* Row i as the link of the call sees it; false past the last. */
bool	 broker_row(const struct call *, int i, struct broker_row *);
bool	 broker_conf_is_list(struct kstr name);

/* The value of a topic config, with the topic's own set. */
const char *topic_config_value(const struct engine *,
	    const struct conf_set *own, const struct topic_row *,
	    enum config_source *);

/* The one logger that there is, and its levels. */
#define ROOT_LOGGER	"root"
const char *logger_level(void);
enum err logger_set(struct kstr level, bool validate_only, char *why,
	    size_t size) MUST;

#endif
