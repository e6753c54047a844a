/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic configs and addresses from strangers: "name=value" as a topic config,
 * and the whole as HOST:PORT.  What is taken prints as a value that is taken
 * again and means the same; what is refused changes nothing and says why in
 * printable words.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/conf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_again(const struct topic_conf *t)
{
	struct topic_conf_row r, again;
	struct topic_conf u;
	char why[256];
	int i;

	topic_conf_init(&u);
	for (i = 0; topic_conf_row(t, i, &r); i++) {
		ASSERT(strlen(r.value) < sizeof(r.value) - 1);
		ASSERT(topic_conf_set(&u, kstr_of(r.name), kstr_of(r.value),
		    why, sizeof(why)) == E_OK);
		ASSERT(topic_conf_row(&u, i, &again));
		ASSERT(strcmp(again.value, r.value) == 0);
	}
	u.set = t->set;
	ASSERT(memcmp(&u, t, sizeof(u)) == 0);
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *eq = n == 0 ? NULL : memchr(data, '=', n);
	struct kstr name, value = { -1, NULL };
	struct topic_conf t, was;
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
	topic_conf_init(&t);
	was = t;
	why[0] = '\0';
	if (topic_conf_set(&t, name, value, why, sizeof(why)) == E_OK) {
		check_again(&t);
		return 0;
	}
	check_why(why);
	ASSERT(memcmp(&t, &was, sizeof(t)) == 0);
	return 0;
}
