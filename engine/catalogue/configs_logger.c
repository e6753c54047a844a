/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's logger, by the names that Kafka's levels have.  As in Kafka its
 * level holds until the process ends. */
#include <stdio.h>

#include "api/configs_call.h"
#include "lib/log.h"

static const char *const levels[] = { [LOG_DEBUG] = "DEBUG",
    [LOG_INFO] = "INFO", [LOG_WARN] = "WARN", [LOG_FATAL] = "FATAL" };

const char *
logger_level(void)
{
	return levels[log_level_get()];
}

enum err
logger_set(struct kstr level, bool validate_only, char *why, size_t size)
{
	char shown[CONF_SHOWN_SIZE];

	for (int i = LOG_DEBUG; i <= LOG_FATAL; i++)
		if (kstr_eq(kstr_trim(level), kstr_of(levels[i]))) {
			if (!validate_only)
				log_level_set((enum log_level)i);
			return E_OK;
		}
	conf_show(level, shown);
	snprintf(why, size, "The level of a logger is DEBUG, INFO, WARN or "
	    "FATAL, not %s", shown);
	return E_INVALID_CONFIG;
}
