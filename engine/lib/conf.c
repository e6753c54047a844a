/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and topic configs, read and written by the rows of conf.def.  The
 * only code that knows what a value may look like; it knows no option by
 * name but `config`, which names the file that the others are read from.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "conf.h"

enum {
	NAME_MAX_	= 128,	/* of an option, in any of its spellings */
	WHY_MAX		= 256,	/* a sentence about a bad value */
	SHOWN_MAX	= 64	/* bytes of a bad value that it quotes */
};

enum type { T_STR, T_INT, T_BOOL, T_ENUM, T_LIST, T_DOUBLE };

/* The columns of a row that say what a value may be. */
struct kind {
	enum type	 type;
	const char	*choices;	/* of ENUM and LIST: "a|b|c" */
	int64_t		 min, max;	/* of INT and DOUBLE */
};

/* The third and fourth column hold numbers, or choices in the third. */
#define CHOICES(lo)	_Generic((lo), char *: (lo), const char *: (lo), \
			    default: NULL)
#define BOUND(n)	_Generic((n), char *: 0, const char *: 0, \
			    default: (n))

static const struct opt {
	const char	*name;		/* as in a command line: with '-' */
	const char	*def, *help;
	struct kind	 kind;
	int		 where;
	size_t		 off;
} opts[] = {
#define E	CONF_E
#define G	CONF_G
#define S	CONF_S
#define OPT(f, t, d, lo, hi, w, h) \
	{ #f, d, h, { T_##t, CHOICES(lo), BOUND(lo), hi }, w, \
	    offsetof(struct conf, f) },
#include "conf.def"
#undef E
#undef G
#undef S
};

static const struct trow {
	const char	*name, *def, *synonym;
	struct kind	 kind;
	bool		 enforced;
	size_t		 off;
} trows[] = {
#define TOPIC(f, n, t, d, lo, hi, syn, enf) \
	{ n, d, syn, { T_##t, CHOICES(lo), BOUND(lo), hi }, enf, \
	    offsetof(struct topic_conf, f) },
#include "conf.def"
};

enum {
	NOPTS	= sizeof(opts) / sizeof(opts[0]),
	NTROWS	= sizeof(trows) / sizeof(trows[0])
};
_Static_assert(NTROWS <= 64, "topic_conf.set has a bit per row");

/* The strings that options point to: ours until they are set again. */
static char *held[NOPTS];

/* ---- values ------------------------------------------------------------ */

/* A value, whatever its type: i also holds BOOL, ENUM and LIST. */
struct value {
	int64_t	i;
	double	d;
};

static struct kstr
trim(struct kstr s)
{
	while (s.len > 0 && (unsigned char)s.p[0] <= ' ') {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && (unsigned char)s.p[s.len - 1] <= ' ')
		s.len--;
	return s;
}

/* A decimal number that fills s: an optional sign, then digits. */
static bool
parse_int(struct kstr s, int64_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	int64_t n = 0;
	int i = neg || (s.len > 0 && s.p[0] == '+');

	if (i == s.len)
		return false;
	for (; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    (neg ? __builtin_sub_overflow(n, s.p[i] - '0', &n) :
		    __builtin_add_overflow(n, s.p[i] - '0', &n)))
			return false;
	}
	*out = n;
	return true;
}

/* A decimal fraction that fills s; no infinities, no hexadecimal. */
static bool
parse_double(struct kstr s, double *out)
{
	char buf[64], *end;
	int i;

	if (s.len <= 0 || s.len >= (int)sizeof(buf))
		return false;
	for (i = 0; i < s.len; i++)
		if (strchr("+-.0123456789eE", s.p[i]) == NULL ||
		    s.p[i] == '\0')
			return false;
	memcpy(buf, s.p, (size_t)s.len);
	buf[s.len] = '\0';
	*out = strtod(buf, &end);
	return *end == '\0' && isfinite(*out);
}

/* The place of s among choices "a|b|c"; -1: not there. */
static int
choice_find(const char *choices, struct kstr s)
{
	int i;

	for (i = 0; ; i++) {
		size_t n = strcspn(choices, "|");

		if (s.len == (int)n && memcmp(choices, s.p, n) == 0)
			return i;
		if (choices[n] == '\0')
			return -1;
		choices += n + 1;
	}
}

/* The i-th of the choices; its length is returned, 0 past the last. */
static size_t
choice_get(const char *choices, int i, const char **out)
{
	size_t n;

	for (; ; i--) {
		n = strcspn(choices, "|");
		if (i == 0) {
			*out = choices;
			return n;
		}
		if (choices[n] == '\0')
			return 0;
		choices += n + 1;
	}
}

/* A comma-separated set as a bit mask; -1 unknown word, -2 said twice. */
static int
parse_list(const char *choices, struct kstr s)
{
	int mask = 0;

	if (trim(s).len == 0)
		return 0;
	for (;;) {
		const char *comma = memchr(s.p, ',', (size_t)s.len);
		struct kstr word = s;
		int i;

		if (comma != NULL)
			word.len = (int32_t)(comma - s.p);
		i = choice_find(choices, trim(word));
		if (i < 0)
			return -1;
		if (mask & 1 << i)
			return -2;
		mask |= 1 << i;
		if (comma == NULL)
			return mask;
		s.len -= word.len + 1;
		s.p = comma + 1;
	}
}

static bool
word_is(struct kstr s, const char *word)
{
	return s.len == (int)strlen(word) &&
	    strncasecmp(s.p, word, (size_t)s.len) == 0;
}

/* "a, b or c" of "a|b|c". */
static void
choices_print(const char *choices, char *buf, size_t size)
{
	const char *word;
	size_t n, at = 0;
	int i;

	buf[0] = '\0';
	for (i = 0; (n = choice_get(choices, i, &word)) > 0; i++) {
		const char *sep = i == 0 ? "" : word[n] == '\0' ? " or " :
		    ", ";

		if (at + n + strlen(sep) >= size)
			return;
		at += (size_t)snprintf(buf + at, size - at, "%s%.*s", sep,
		    (int)n, word);
	}
}

/*
 * Reads a value of this kind, trimmed already.  false: why holds the end of
 * a sentence, "must be ...".
 */
static bool
value_parse(const struct kind *k, struct kstr s, struct value *v,
    char why[WHY_MAX])
{
	char words[WHY_MAX - 64];

	switch (k->type) {
	case T_STR:
		return true;
	case T_INT:
		if (parse_int(s, &v->i) && v->i >= k->min && v->i <= k->max)
			return true;
		snprintf(why, WHY_MAX, "must be a number from %lld to %lld",
		    (long long)k->min, (long long)k->max);
		return false;
	case T_DOUBLE:
		if (parse_double(s, &v->d) && v->d >= (double)k->min &&
		    v->d <= (double)k->max)
			return true;
		snprintf(why, WHY_MAX, "must be a fraction from %lld to %lld",
		    (long long)k->min, (long long)k->max);
		return false;
	case T_BOOL:
		v->i = word_is(s, "true");
		if (v->i == 1 || word_is(s, "false"))
			return true;
		snprintf(why, WHY_MAX, "must be true or false");
		return false;
	case T_ENUM:
		v->i = choice_find(k->choices, s);
		if (v->i >= 0)
			return true;
		choices_print(k->choices, words, sizeof(words));
		snprintf(why, WHY_MAX, "must be %s", words);
		return false;
	case T_LIST:
		v->i = parse_list(k->choices, s);
		if (v->i >= 0)
			return true;
		choices_print(k->choices, words, sizeof(words));
		snprintf(why, WHY_MAX, v->i == -2 ?
		    "must not say a word twice" :
		    "must be a comma-separated list of %s", words);
		return false;
	}
	ASSERT(!"type");
}

/* Stores at the field that starts at p. */
static void
value_store(const struct kind *k, struct value v, void *p)
{
	switch (k->type) {
	case T_STR:
		break;
	case T_INT:
		*(int64_t *)p = v.i;
		break;
	case T_DOUBLE:
		*(double *)p = v.d;
		break;
	case T_BOOL:
		*(bool *)p = v.i != 0;
		break;
	case T_ENUM:
	case T_LIST:
		*(int *)p = (int)v.i;
		break;
	}
}

/* The shortest decimal that reads back as the same number. */
static void
double_print(double d, char *buf, size_t size)
{
	int digits;

	for (digits = 1; digits < 17; digits++) {
		snprintf(buf, size, "%.*g", digits, d);
		if (strtod(buf, NULL) == d)
			break;
	}
	if (digits == 17)
		snprintf(buf, size, "%.17g", d);
	if (strpbrk(buf, ".e") == NULL)
		strncat(buf, ".0", size - strlen(buf) - 1);
}

static void
value_print(const struct kind *k, const void *p, char *buf, size_t size)
{
	const char *word = "";
	size_t n, at = 0;
	int i;

	buf[0] = '\0';
	switch (k->type) {
	case T_STR:
		snprintf(buf, size, "%s", *(const char *const *)p);
		break;
	case T_INT:
		snprintf(buf, size, "%lld", (long long)*(const int64_t *)p);
		break;
	case T_DOUBLE:
		double_print(*(const double *)p, buf, size);
		break;
	case T_BOOL:
		snprintf(buf, size, "%s", *(const bool *)p ? "true" : "false");
		break;
	case T_ENUM:
		n = choice_get(k->choices, *(const int *)p, &word);
		snprintf(buf, size, "%.*s", (int)n, word);
		break;
	case T_LIST:
		for (i = 0; (n = choice_get(k->choices, i, &word)) > 0; i++)
			if (*(const int *)p & 1 << i && at < size)
				at += (size_t)snprintf(buf + at, size - at,
				    "%s%.*s", at == 0 ? "" : ",", (int)n,
				    word);
		break;
	}
}

/* Foreign bytes for a sentence: cut, and nothing that is not printable. */
static void
show(struct kstr s, char out[SHOWN_MAX + 4])
{
	int i, n = s.len < SHOWN_MAX ? s.len : SHOWN_MAX;

	for (i = 0; i < n; i++)
		out[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
	if (n < 0)
		n = 0;
	strcpy(out + n, s.len > n ? "..." : "");
}

/* ---- options ----------------------------------------------------------- */

/* '_' and '.' are '-', and case does not matter in an environment. */
static void
name_fold(const char *s, size_t n, char out[NAME_MAX_])
{
	size_t i;

	if (n >= NAME_MAX_)
		n = NAME_MAX_ - 1;
	for (i = 0; i < n; i++)
		out[i] = s[i] == '_' || s[i] == '.' ? '-' : s[i];
	out[n] = '\0';
}

static const struct opt *
opt_find(const char *name, size_t n)
{
	char a[NAME_MAX_], b[NAME_MAX_];
	int i;

	name_fold(name, n, a);
	for (i = 0; i < NOPTS; i++) {
		name_fold(opts[i].name, strlen(opts[i].name), b);
		if (strcmp(a, b) == 0)
			return &opts[i];
	}
	return NULL;
}

/* 64MiB, 1GiB, 8192KiB: for the options that count bytes. */
static bool
parse_size(struct kstr *s, int64_t *unit)
{
	static const char *const units[] = { "KiB", "MiB", "GiB" };
	int i;

	*unit = 1;
	for (i = 0; i < 3 && s->len > 3; i++)
		if (memcmp(s->p + s->len - 3, units[i], 3) == 0) {
			s->len -= 3;
			*unit = (int64_t)1 << 10 * (i + 1);
			return true;
		}
	return false;
}

/* Sets one option.  false: why holds the end of a sentence. */
static bool
opt_set(struct conf *c, const struct opt *o, const char *text,
    char why[WHY_MAX])
{
	struct kstr s = trim(kstr_of(text));
	struct value v = { 0 };
	char num[24];
	int64_t unit;

	if (o->kind.type == T_STR) {
		size_t i = (size_t)(o - opts);

		free(held[i]);
		held[i] = strndup(s.p, (size_t)s.len);
		if (held[i] == NULL) {
			snprintf(why, WHY_MAX, "needs more memory");
			return false;
		}
		*(const char **)((char *)c + o->off) = held[i];
		return true;
	}
	if (o->kind.type == T_INT && strstr(o->name, "bytes") != NULL &&
	    parse_size(&s, &unit)) {
		/* An overflow becomes a word that is no number. */
		if (!parse_int(s, &v.i) ||
		    __builtin_mul_overflow(v.i, unit, &v.i))
			snprintf(num, sizeof(num), "?");
		else
			snprintf(num, sizeof(num), "%lld", (long long)v.i);
		s = kstr_of(num);
	}
	if (!value_parse(&o->kind, s, &v, why))
		return false;
	value_store(&o->kind, v, (char *)c + o->off);
	return true;
}

/* The option's name as it is written on a command line. */
static const char *
opt_name(const struct opt *o, char out[NAME_MAX_])
{
	name_fold(o->name, strlen(o->name), out);
	return out;
}

static _Noreturn void
usage_fail(const char *program, const char *what, const char *why)
{
	fprintf(stderr, "%s: %s %s\nhint: %s --help shows the options\n",
	    program, what, why, program);
	exit(2);
}

/* from: where the value was found, as the reader knows it. */
static void
opt_take(struct conf *c, const char *program, const struct opt *o,
    const char *from, const char *text)
{
	char why[WHY_MAX], all[2 * WHY_MAX], shown[SHOWN_MAX + 4];

	if (opt_set(c, o, text, why))
		return;
	show(kstr_of(text), shown);
	snprintf(all, sizeof(all), "%s, not \"%s\"", why, shown);
	usage_fail(program, from, all);
}

static void
take_line(struct conf *c, enum conf_where where, const char *program,
    const char *from, char *line)
{
	const struct opt *o;
	struct kstr name;
	char *eq;

	if (trim(kstr_of(line)).len == 0 || trim(kstr_of(line)).p[0] == '#')
		return;
	eq = strchr(line, '=');
	if (eq == NULL)
		usage_fail(program, from, "must read name = value");
	name = trim((struct kstr){ (int32_t)(eq - line), line });
	o = opt_find(name.p, (size_t)name.len);
	if (o == NULL || strcmp(o->name, "config") == 0)
		usage_fail(program, from, o == NULL ? "names no option" :
		    "names another file, which it must not");
	if (o->where & where)
		opt_take(c, program, o, from, eq + 1);
}

static void
take_file(struct conf *c, enum conf_where where, const char *program,
    const char *path)
{
	char from[PATH_MAX + 128], *line = NULL;
	size_t cap = 0;
	ssize_t len;
	FILE *f = fopen(path, "re");
	int n;

	if (f == NULL) {
		fprintf(stderr, "%s: %s: %s\n", program, path,
		    strerror(errno));
		exit(2);
	}
	for (n = 1; (len = getline(&line, &cap, f)) != -1; n++) {
		snprintf(from, sizeof(from), "%s: line %d: \"%.*s\"", path, n,
		    (int)strcspn(line, "=\n") > 40 ? 40 :
		    (int)strcspn(line, "=\n"), line);
		if (strlen(line) != (size_t)len)
			usage_fail(program, from, "holds a NUL byte");
		take_line(c, where, program, from, line);
	}
	if (ferror(f)) {
		fprintf(stderr, "%s: %s: %s\n", program, path,
		    strerror(errno));
		exit(2);
	}
	free(line);
	fclose(f);
}

/* The value of an option in the environment; NULL when not set or empty. */
static const char *
env_get(const struct opt *o, char name[NAME_MAX_ + 8])
{
	const char *s;
	int i;

	snprintf(name, NAME_MAX_ + 8, "CHRONIK_%s", o->name);
	for (i = 0; name[i] != '\0'; i++)
		name[i] = (char)toupper((unsigned char)name[i]);
	s = getenv(name);
	return s == NULL || s[0] == '\0' ? NULL : s;
}

static void
print_help(enum conf_where where, const char *usage)
{
	char name[NAME_MAX_];
	int i;

	printf("usage: %s\n\nOptions, also as CHRONIK_NAME in the "
	    "environment%s:\n", usage, where & CONF_S ?
	    " or as name = value in a file" : "");
	for (i = 0; i < NOPTS; i++) {
		const struct opt *o = &opts[i];

		if (!(o->where & where))
			continue;
		printf("  --%s ", opt_name(o, name));
		if (o->kind.type == T_ENUM)
			printf("%s", o->kind.choices);
		else
			printf("%s", o->kind.type == T_INT ? "N" :
			    o->kind.type == T_BOOL ? "true|false" : "VALUE");
		printf("\n        %s", o->help);
		if (o->def[0] != '\0')
			printf(" (default: %s)", o->def);
		putchar('\n');
	}
}

/*
 * The next option of a command line: its row, with *value set and *i moved
 * past it.  NULL for an operand.  A wrong one does not return.
 */
static const struct opt *
next_option(enum conf_where where, const char *program, char **argv, int *i,
    const char **value)
{
	const char *arg = argv[*i], *eq;
	const struct opt *o;
	char shown[SHOWN_MAX + 4];

	if (arg[0] != '-' || arg[1] == '\0')
		return NULL;
	show(kstr_of(arg), shown);
	if (arg[1] != '-')
		usage_fail(program, shown, "is no option");
	arg += 2;
	eq = strchr(arg, '=');
	o = opt_find(arg, eq == NULL ? strlen(arg) : (size_t)(eq - arg));
	if (o == NULL)
		usage_fail(program, shown, "is no option");
	if (!(o->where & where))
		usage_fail(program, shown, "is an option of another program");
	*value = eq == NULL ? argv[*i + 1] : eq + 1;
	if (*value == NULL)
		usage_fail(program, shown, "needs a value");
	*i += eq == NULL ? 2 : 1;
	return o;
}

/* The words of a usage line before its arguments: what messages start with. */
static const char *
usage_program(const char *usage)
{
	static char program[64];
	const char *end = strpbrk(usage, "[-");

	/* The '-' of a program's name is followed by a letter. */
	while (end != NULL && *end == '-' && end > usage && end[-1] != ' ')
		end = strpbrk(end + 1, "[-");
	snprintf(program, sizeof(program), "%.*s", end == NULL ?
	    (int)strlen(usage) : (int)(end - usage), usage);
	for (size_t n = strlen(program); n > 0 && program[n - 1] == ' '; n--)
		program[n - 1] = '\0';
	return program;
}

int
conf_load(struct conf *c, enum conf_where where, const char *usage, int argc,
    char **argv)
{
	const char *program = usage_program(usage), *value, *file = NULL;
	char from[NAME_MAX_ + 8], why[WHY_MAX];
	const struct opt *o;
	int i, end;

	for (i = 0; i < NOPTS; i++)
		ASSERT(opt_set(c, &opts[i], opts[i].def, why));
	if (where & CONF_S)
		file = env_get(opt_find("config", 6), from);
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; ) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(where, usage);
			exit(0);
		}
		o = next_option(where, program, argv, &i, &value);
		if (o == NULL)
			break;
		if (strcmp(o->name, "config") == 0)
			file = value;
	}
	end = i < argc && strcmp(argv[i], "--") == 0 ? i + 1 : i;

	if (file != NULL && file[0] != '\0')
		take_file(c, where, program, file);
	for (o = opts; o < opts + NOPTS; o++)
		if (o->where & where && (value = env_get(o, from)) != NULL)
			opt_take(c, program, o, from, value);
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; ) {
		char name[NAME_MAX_ + 2] = "--";

		o = next_option(where, program, argv, &i, &value);
		if (o == NULL)
			break;
		opt_name(o, name + 2);
		opt_take(c, program, o, name, value);
	}
	return end;
}

/* "--name=value" of the option's present value, allocated. */
static char *
opt_arg(const struct conf *c, const struct opt *o)
{
	const void *p = (const char *)c + o->off;
	char name[NAME_MAX_], num[64], *arg;
	const char *value = num;
	size_t size;

	if (o->kind.type == T_STR)
		value = *(const char *const *)p;
	else
		value_print(&o->kind, p, num, sizeof(num));
	opt_name(o, name);
	size = strlen(name) + strlen(value) + sizeof("--=");
	arg = malloc(size);
	ASSERT(arg != NULL);
	snprintf(arg, size, "--%s=%s", name, value);
	return arg;
}

char **
conf_argv(const struct conf *c, enum conf_where where, const char *program,
    int extra)
{
	char **argv, name[NAME_MAX_ + 8];
	int i, n = 0;

	argv = calloc((size_t)(NOPTS + extra + 2), sizeof(*argv));
	ASSERT(argv != NULL);
	argv[n++] = strdup(program);
	for (i = 0; i < NOPTS; i++) {
		const struct opt *o = &opts[i];
		char *arg;

		if (!(o->where & where))
			continue;
		arg = opt_arg(c, o);
		/* The program would read the environment: overrule it. */
		if (strcmp(strchr(arg, '=') + 1, o->def) == 0 &&
		    env_get(o, name) == NULL)
			free(arg);
		else
			argv[n++] = arg;
	}
	return argv;
}

enum err
conf_hostport(const char *s, char *host, size_t size, int *port)
{
	const char *colon = strrchr(s, ':');
	size_t n;
	int64_t p;
	char *q;

	if (colon == NULL || !isdigit((unsigned char)colon[1]) ||
	    !parse_int(kstr_of(colon + 1), &p) || p > 65535)
		return E_USAGE;
	n = (size_t)(colon - s);
	if (n >= 2 && s[0] == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
		/* An address in brackets has colons, anything else none. */
		if (memchr(s, ':', n) == NULL)
			return E_USAGE;
	} else if (memchr(s, ':', n) != NULL)
		return E_USAGE;
	if (n == 0 || n >= size)
		return E_USAGE;
	memcpy(host, s, n);
	host[n] = '\0';
	for (q = host; *q != '\0'; q++)
		if (*q <= ' ' || *q > '~' || strchr("[]/,\"\\", *q) != NULL)
			return E_USAGE;
	*port = (int)p;
	return E_OK;
}

/* ---- topic configs ----------------------------------------------------- */

void
topic_conf_init(struct topic_conf *t)
{
	char why[WHY_MAX];
	struct value v;
	int i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < NTROWS; i++) {
		const struct trow *r = &trows[i];

		ASSERT(value_parse(&r->kind, kstr_of(r->def), &v, why));
		value_store(&r->kind, v, (char *)t + r->off);
	}
}

enum err
topic_conf_set(struct topic_conf *t, struct kstr name, struct kstr text,
    char *why, size_t size)
{
	char shown[SHOWN_MAX + 4], sentence[WHY_MAX];
	const struct trow *r;
	struct value v = { 0 }, def = { 0 };

	for (r = trows; r < trows + NTROWS; r++)
		if (kstr_eq(name, kstr_of(r->name)))
			break;
	if (r == trows + NTROWS) {
		show(name, shown);
		snprintf(why, size, "Unknown topic config name: %s", shown);
		return E_INVALID_CONFIG;
	}
	if (text.len < 0) {
		snprintf(why, size, "%s must not be null", r->name);
		return E_INVALID_CONFIG;
	}
	if (!value_parse(&r->kind, trim(text), &v, sentence)) {
		show(text, shown);
		snprintf(why, size,
		    "Invalid value %s for configuration %s: it %s", shown,
		    r->name, sentence);
		return E_INVALID_CONFIG;
	}
	if (r->off == offsetof(struct topic_conf, compression_gzip_level) &&
	    v.i == 0) {
		snprintf(why, size, "Invalid value 0 for configuration %s: it "
		    "must be between 1 and 9 or equal to -1", r->name);
		return E_INVALID_CONFIG;
	}
	ASSERT(value_parse(&r->kind, kstr_of(r->def), &def, sentence));
	if (!r->enforced && (v.i != def.i || v.d != def.d)) {
		snprintf(why, size, "%s is not supported yet: it takes only "
		    "its default, %s", r->name, r->def);
		return E_INVALID_CONFIG;
	}
	value_store(&r->kind, v, (char *)t + r->off);
	t->set |= (uint64_t)1 << (r - trows);
	return E_OK;
}

int
topic_conf_codec(const struct topic_conf *t, int32_t *level)
{
	int64_t n = INT32_MIN;
	int codec = t->compression_type - 1;

	_Static_assert(COMPRESS_PRODUCER == 0, "before the codecs");
	switch (codec) {
	case CODEC_GZIP:
		n = t->compression_gzip_level;
		break;
	case CODEC_LZ4:
		/* As in Kafka: 9 is the fast compressor, any other number a
		 * level of the thorough one. */
		if (t->compression_lz4_level != 9)
			n = t->compression_lz4_level;
		break;
	case CODEC_ZSTD:
		n = t->compression_zstd_level;
		break;
	}
	*level = (int32_t)n;
	return codec;
}

bool
topic_conf_row(const struct topic_conf *t, int i, struct topic_conf_row *out)
{
	const struct trow *r;

	if (i < 0 || i >= NTROWS)
		return false;
	r = &trows[i];
	out->name = r->name;
	out->synonym = r->synonym;
	out->set = t->set >> i & 1;
	out->enforced = r->enforced;
	switch (r->kind.type) {
	case T_STR:
	case T_ENUM:
		out->type = CT_STRING;
		break;
	case T_INT:
		out->type = r->kind.max > INT32_MAX ? CT_LONG : CT_INT;
		break;
	case T_DOUBLE:
		out->type = CT_DOUBLE;
		break;
	case T_BOOL:
		out->type = CT_BOOLEAN;
		break;
	case T_LIST:
		out->type = CT_LIST;
		break;
	}
	value_print(&r->kind, (const char *)t + r->off, out->value,
	    sizeof(out->value));
	return true;
}
