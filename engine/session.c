/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a link's sessions. */
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "session.h"

struct session *
session_ref(struct session *s)
{
	s->refs++;
	return s;
}

void
session_unref(struct session *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	free(s->client_id);
	free(s->host);
	free(s->software);
	free(s->principal);
	free(s);
}

/* Replaces a string by at most max bytes of another, whole characters where
 * it is UTF-8. */
static enum err
set(char **to, struct kstr s, int32_t max)
{
	int32_t n = s.len < 0 ? 0 : s.len;
	char *p;

	if (n > max)
		for (n = max; n > max - 4 && (s.p[n] & 0xc0) == 0x80; n--)
			continue;
	p = strndup(n > 0 ? s.p : "", (size_t)n);
	if (p == NULL)
		return E_NOMEM;
	free(*to);
	*to = p;
	return E_OK;
}

static enum err
set_all(struct session *s, const struct who *w)
{
	char both[2 * CLIENT_SOFTWARE_MAX + 2];
	size_t n = 0;
	enum err e;

	if (w->software_name.len > 0) {
		n = w->software_name.len > CLIENT_SOFTWARE_MAX ?
		    CLIENT_SOFTWARE_MAX : (size_t)w->software_name.len;
		memcpy(both, w->software_name.p, n);
	}
	if (n > 0 && w->software_version.len > 0) {
		size_t k = w->software_version.len > CLIENT_SOFTWARE_MAX ?
		    CLIENT_SOFTWARE_MAX : (size_t)w->software_version.len;

		both[n++] = ' ';
		memcpy(both + n, w->software_version.p, k);
		n += k;
	}
	s->quota_gen = 0;
	e = set(&s->client_id, w->client_id, CLIENT_ID_MAX);
	if (e == E_OK)
		e = set(&s->host, w->host, CLIENT_HOST_MAX);
	if (e == E_OK)
		e = set(&s->software, (struct kstr){ (int32_t)n, both },
		    (int32_t)sizeof both);
	return e;
}

static struct session *
session_new(uint64_t number, const struct who *w)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->number = number;
	if (set_all(s, w) != E_OK ||
	    (s->principal = strdup("ANONYMOUS")) == NULL) {
		session_unref(s);
		return NULL;
	}
	return s;
}

/* Gateways count up: a number is a hash that spreads. */
struct session *
session_find(const struct sessions *ss, uint64_t number)
{
	struct hash_node *x = hash_first(&ss->by_number, number);

	if (number == 0)
		return ss->self;
	return x == NULL ? NULL : HASH_OF(x, struct session, by_number);
}

enum err
session_told(struct sessions *ss, uint64_t number, const struct who *w)
{
	struct session *s = session_find(ss, number);
	enum err e;

	if (number == 0)
		return E_PROTO;
	if (s != NULL)
		return set_all(s, w);
	if (ss->by_number.n >= SESSIONS_MAX)
		return E_BUSY;
	e = hash_room(&ss->by_number);
	if (e == E_OK && (s = session_new(number, w)) == NULL)
		e = E_NOMEM;
	if (e != E_OK)
		return e;
	hash_put(&ss->by_number, &s->by_number, number);
	log_debug("session", LI("session", (int64_t)number),
	    LS("host", s->host), LSN("client_id", s->client_id,
	    (int64_t)strnlen(s->client_id, CLIENT_ID_LOG_MAX)),
	    LS("software", s->software));
	return E_OK;
}

enum err
session_bind(struct session *s, const char *principal, int64_t expires)
{
	enum err e = set(&s->principal, kstr_of(principal), USER_NAME_MAX);

	if (e != E_OK)
		return e;
	s->authenticated = true;
	s->quota_gen = 0;
	s->expires = expires;
	return E_OK;
}

void
session_end(struct sessions *ss, uint64_t number)
{
	struct session *s = number == 0 ? NULL : session_find(ss, number);

	if (s == NULL)
		return;
	hash_drop(&ss->by_number, &s->by_number);
	session_unref(s);
}

enum err
sessions_open(struct sessions *ss, const char *program)
{
	struct who w = { .client_id = kstr_of(program), .host = kstr_of(""),
	    .software_name = kstr_of(NULL), .software_version = kstr_of(NULL) };

	ss->self = session_new(0, &w);
	if (ss->self == NULL)
		return E_NOMEM;
	ss->self->authenticated = true;
	return E_OK;
}

void
sessions_free(struct sessions *ss)
{
	HASH_EACH(x, &ss->by_number)
		session_unref(HASH_OF(x, struct session, by_number));
	hash_free(&ss->by_number);
	session_unref(ss->self);
	*ss = (struct sessions){ 0 };
}
