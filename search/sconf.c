/* SPDX-License-Identifier: Apache-2.0 */
/* The search.* configs of a topic, as text and as answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sconf.h"

/* Of terms and documents: a shard of another one is as good as none. */
#define FORMAT	"6"

enum err
sconf_set(struct sconf *c, struct kstr text, struct kstr numeric, bool ids,
    bool positions, bool stem)
{
	*c = (struct sconf){ .ids = ids, .positions = positions,
	    .stem = stem };
	c->text = strndup(text.p, (size_t)text.len);
	c->numeric = strndup(numeric.p, (size_t)numeric.len);
	if (c->text != NULL && c->numeric != NULL)
		return E_OK;
	sconf_free(c);
	return E_NOMEM;
}

void
sconf_free(struct sconf *c)
{
	free(c->text);
	free(c->numeric);
	*c = (struct sconf){ 0 };
}

bool
sconf_eq(const struct sconf *a, const struct sconf *b)
{
	return a->ids == b->ids && a->positions == b->positions &&
	    a->stem == b->stem && strcmp(a->text, b->text) == 0 &&
	    strcmp(a->numeric, b->numeric) == 0;
}

char *
sconf_print(const struct sconf *c)
{
	char *s;

	if (asprintf(&s, "format=" FORMAT "\nids=%d\npositions=%d\nstem=%d\n"
	    "text=%s\nnumeric=%s\n", c->ids, c->positions, c->stem, c->text,
	    c->numeric) == -1)
		return NULL;
	return s;
}

/* The rest of the line that begins with name=. */
static bool
line(const char *s, const char *name, struct kstr *out)
{
	size_t n = strlen(name);

	for (; s != NULL; s = strchr(s, '\n')) {
		s += *s == '\n';
		if (strncmp(s, name, n) == 0 && s[n] == '=') {
			out->p = s + n + 1;
			out->len = (int32_t)strcspn(out->p, "\n");
			return true;
		}
	}
	return false;
}

enum err
sconf_parse(struct sconf *c, const char *s)
{
	struct kstr format, ids, positions, stem, text, numeric;

	if (!line(s, "format", &format) || !kstr_eq(format, kstr_of(FORMAT))
	    || !line(s, "ids", &ids) || !line(s, "positions", &positions) ||
	    !line(s, "stem", &stem) || !line(s, "text", &text) ||
	    !line(s, "numeric", &numeric))
		return E_CORRUPT;
	return sconf_set(c, text, numeric, *ids.p == '1',
	    *positions.p == '1', *stem.p == '1');
}

/* The place of a path among fields and its weight. */
static int
find(const char *fields, const char *path, int *weight)
{
	struct kstr s = kstr_of(fields), one;
	size_t n = strlen(path);

	for (int i = 0; conf_field_next(&s, &one, weight); i++)
		if ((size_t)one.len == n && memcmp(one.p, path, n) == 0)
			return i;
	return -1;
}

int
sconf_weight(const struct sconf *c, const char *path)
{
	int weight;

	return path == NULL || c->text[0] == '\0' ||
	    find(c->text, path, &weight) < 0 ? 0 : weight;
}

int
sconf_slot(const struct sconf *c, const char *path)
{
	int weight;

	return path == NULL || c->numeric[0] == '\0' ? -1 :
	    find(c->numeric, path, &weight);
}
