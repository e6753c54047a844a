/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configs and addresses from strangers: "name=value" as a config of a topic, of
 * the broker and of a group, and the whole as HOST:PORT.  What is taken prints
 * as a value that is taken again and means the same; what is refused changes
 * nothing and says why in printable words.
 */
#include <stdlib.h>
#include <string.h>

#include "catalogue/configs.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* The form that Kafka shows means the same, and comes out as itself. */
static void
check_again(const struct conf_set *set, const struct topic_conf *t)
{
	struct conf_set again = { 0 };
	struct topic_conf u;
	char why[256];

	ASSERT(set->n == 1);
	ASSERT(topic_conf_put(&again, kstr_of(set->v[0].name),
	    kstr_of(set->v[0].value), why, sizeof(why)) == E_OK);
	ASSERT(conf_set_eq(set, &again));
	topic_conf_init(&u);
	topic_conf_own(&u, &again);
	ASSERT(memcmp(&u, t, sizeof(u)) == 0);
	conf_set_free(&again);
}

static void
check_why(const char *why)
{
	ASSERT(why[0] != '\0');
	for (; *why != '\0'; why++)
		ASSERT(*why >= ' ' && *why <= '~');
}

static void
check_hostport(const char *s)
{
	char host[64];
	int port;

	if (conf_hostport(s, host, sizeof(host), &port) != E_OK)
		return;
	ASSERT(port >= 0 && port <= 65535);
	ASSERT(host[0] != '\0' && strlen(host) < sizeof(host));
	ASSERT(strlen(host) < strlen(s));
}

/* Those of the broker and of groups: taken, or refused in words. */
static void
check_others(struct kstr name, struct kstr value)
{
	struct conf_set set = { 0 };
	char why[256] = "";

	if (broker_conf_put(&set, name, value, why, sizeof(why)) != E_OK)
		check_why(why);
	why[0] = '\0';
	if (group_conf_put(&set, name, value, why, sizeof(why)) != E_OK)
		check_why(why);
	conf_set_free(&set);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *eq = n == 0 ? NULL : memchr(data, '=', n);
	struct kstr name, value = { -1, NULL };
	struct conf_set set = { 0 };
	struct topic_conf t;
	char why[256], *s;

	s = malloc(n + 1);
	ASSERT(s != NULL);
	if (n > 0)
		memcpy(s, data, n);
	s[n] = '\0';
	check_hostport(s);
	free(s);

	name = (struct kstr){ (int32_t)n, (const char *)data };
	if (eq != NULL) {
		name.len = (int32_t)(eq - data);
		value.p = (const char *)eq + 1;
		value.len = (int32_t)(n - 1) - name.len;
	}
	check_others(name, value);
	why[0] = '\0';
	if (topic_conf_put(&set, name, value, why, sizeof(why)) == E_OK) {
		topic_conf_init(&t);
		topic_conf_own(&t, &set);
		check_again(&set, &t);
		conf_set_free(&set);
		return 0;
	}
	check_why(why);
	ASSERT(set.n == 0);
	return 0;
}
