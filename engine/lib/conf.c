/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and topic configs, read and written by the rows of conf.def.  The
 * only code that knows what a value may look like; it knows no option by
 * name but `config`, which names the file that the others are read from.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "opts.h"

enum {
	NAME_MAX_	= 128	/* of an option, in any of its spellings */
};

static const struct opt {
	const char	*name;		/* as in a command line: with '-' */
	const char	*def, *help;
	struct conf_kind kind;
	int		 where;
	size_t		 off;
	int		 topic;		/* row of TOPIC, -1 none */
} opts[] = {
#define E	CONF_E
#define G	CONF_G
#define S	CONF_S
#define O	CONF_O
#define D	CONF_D
#define I	CONF_I
#define Q	CONF_Q
#define OPT(f, t, d, lo, hi, w, h) \
	{ #f, d, h, { T_##t, CONF_CHOICES(lo), CONF_BOUND(lo), hi }, w, \
	    offsetof(struct conf, f), -1 },
#include "conf.def"
#define TOPIC(f, n, t, d, lo, hi, syn, st, doc) \
	{ syn, d, doc, { T_##t, CONF_CHOICES(lo), CONF_BOUND(lo), hi }, S|E, \
	    offsetof(struct conf, topic) + CONF_TOPIC_##f * sizeof(char *), \
	    CONF_TOPIC_##f },
#include "conf.def"
#undef E
#undef G
#undef S
#undef O
#undef D
#undef I
#undef Q
};
enum { NOPTS = sizeof(opts) / sizeof(opts[0]) };

/* The strings that options point to: ours until they are set again. */
static char *held[NOPTS];

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
	for (i = 0; i < NOPTS && n > 0; i++) {
		name_fold(opts[i].name, strlen(opts[i].name), b);
		if (strcmp(a, b) == 0)
			return &opts[i];
	}
	return NULL;
}

/* Keeps a string for the option.  NULL: without memory, and why says so. */
static const char *
opt_hold(const struct opt *o, char *s, char why[CONF_WHY_MAX])
{
	size_t i = (size_t)(o - opts);

	if (s == NULL) {
		snprintf(why, CONF_WHY_MAX, "needs more memory");
		return NULL;
	}
	free(held[i]);
	held[i] = s;
	return s;
}

/* Sets one option.  false: why holds the end of a sentence. */
static bool
opt_set(struct conf *c, const struct opt *o, const char *text,
    char why[CONF_WHY_MAX])
{
	struct kstr s = kstr_trim(kstr_of(text));
	struct conf_value v = { 0 };
	char num[24];

	if (o->kind.type == T_STR || o->kind.type == T_CAPS) {
		const char **p = (const char **)((char *)c + o->off);

		if (!conf_value_parse(&o->kind, s, &v, why))
			return false;
		*p = opt_hold(o, conf_value_text(&o->kind, s), why);
		return *p != NULL;
	}
	if (o->kind.type == T_INT && strstr(o->name, "bytes") != NULL &&
	    conf_parse_size(s, &v.i)) {
		snprintf(num, sizeof(num), "%lld", (long long)v.i);
		s = kstr_of(num);
	}
	if (o->topic >= 0) {
		if (!topic_row_judge(topic_row(o->topic), s, why))
			return false;
		c->topic[o->topic] = opt_hold(o, conf_value_text(&o->kind, s),
		    why);
		return c->topic[o->topic] != NULL;
	}
	if (!conf_value_parse(&o->kind, s, &v, why))
		return false;
	conf_value_store(&o->kind, v, (char *)c + o->off);
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
	char why[CONF_WHY_MAX], all[2 * CONF_WHY_MAX], shown[CONF_SHOWN_SIZE];

	if (opt_set(c, o, text, why)) {
		if (o->topic < 0)
			c->given[o - opts] = true;
		return;
	}
	conf_show(kstr_of(text), shown);
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

	if (kstr_trim(kstr_of(line)).len == 0 ||
	    kstr_trim(kstr_of(line)).p[0] == '#')
		return;
	eq = strchr(line, '=');
	if (eq == NULL)
		usage_fail(program, from, "must read name = value");
	name = kstr_trim((struct kstr){ (int32_t)(eq - line), line });
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
		name[i] = name[i] == '.' ? '_' :
		    (char)toupper((unsigned char)name[i]);
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

		if (!(o->where & where) || o->name[0] == '\0')
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

/* ---- command lines ----------------------------------------------------- */

enum { ASK_HELP = NOPTS, ASK_VERSION };

struct given { const struct opt *o; const char *value; };

/*
 * Reads the options up to the first word, of which there are *n.  The index of
 * that word.  A wrong option does not return.
 */
static int
take_args(enum conf_where where, const char *usage, const char *program,
    struct opts *args, struct given *given, int *n)
{
	char shown[CONF_SHOWN_SIZE];
	int id;

	while ((id = opts_next(args)) != OPTS_END && id != OPTS_WORD) {
		conf_show(kstr_of(args->arg), shown);
		if (id == OPTS_BAD)
			usage_fail(program, shown, args->why);
		if (id == ASK_HELP) {
			print_help(where, usage);
			exit(0);
		}
		if (id == ASK_VERSION) {
			printf("%s %s\n", program, PACKAGE_VERSION);
			exit(0);
		}
		if (!(opts[id].where & where))
			usage_fail(program, shown,
			    "is an option of another program");
		given[(*n)++] = (struct given){ &opts[id], args->value };
	}
	return args->at;
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

/* Defaults, then the file, then the environment. */
static void
take_surroundings(struct conf *c, enum conf_where where, const char *program,
    const char *file)
{
	char from[NAME_MAX_ + 8], why[CONF_WHY_MAX];
	const char *value;

	memset(c->given, 0, sizeof(c->given));
	memset(c->topic, 0, sizeof(c->topic));
	for (int i = 0; i < CONF_OPTS; i++)
		ASSERT(opt_set(c, &opts[i], opts[i].def, why));
	if (file == NULL && where & CONF_S)
		file = env_get(opt_find("config", 6), from);
	if (file != NULL && file[0] != '\0')
		take_file(c, where, program, file);
	for (const struct opt *o = opts; o < opts + NOPTS; o++)
		if (o->where & where && o->name[0] != '\0' &&
		    (value = env_get(o, from)) != NULL)
			opt_take(c, program, o, from, value);
}

int
conf_load(struct conf *c, enum conf_where where, const char *usage, int argc,
    char **argv)
{
	static struct given *given;	/* a wrong option ends the program */
	const char *program = usage_program(usage), *file = NULL;
	char name[NAME_MAX_ + 2] = "--";
	struct opts args;
	int end, n = 0;

	given = calloc((size_t)argc + 1, sizeof *given);
	ASSERT(given != NULL);
	opts_init(&args, argc, argv);
	for (int i = 0; i < NOPTS; i++)
		if (opts[i].name[0] != '\0')
			opts_add(&args, i, opts[i].name, 0, true);
	opts_add(&args, ASK_HELP, "help", 0, false);
	opts_add(&args, ASK_VERSION, "version", 0, false);
	end = take_args(where, usage, program, &args, given, &n);
	opts_free(&args);
	for (int i = 0; i < n; i++)
		if (strcmp(given[i].o->name, "config") == 0)
			file = given[i].value;
	take_surroundings(c, where, program, file);
	for (int i = 0; i < n; i++) {
		opt_name(given[i].o, name + 2);
		opt_take(c, program, given[i].o, name, given[i].value);
	}
	free(given);
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

	if (o->kind.type == T_STR || o->kind.type == T_CAPS || o->topic >= 0)
		value = *(const char *const *)p;
	else
		conf_value_print(&o->kind, p, num, sizeof(num));
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

		if (!(o->where & where) || (o->topic >= 0 &&
		    c->topic[o->topic] == NULL))
			continue;
		arg = opt_arg(c, o);
		/* The program would read the environment: overrule it. */
		if (strcmp(strchr(arg, '=') + 1, o->def) == 0 &&
		    o->topic < 0 && !c->given[i] && env_get(o, name) == NULL)
			free(arg);
		else
			argv[n++] = arg;
	}
	return argv;
}

static void
dotted(const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s", name);
	for (; *out != '\0'; out++)
		if (*out == '_')
			*out = '.';
}

bool
conf_row(const struct conf *c, int i, struct conf_row *out)
{
	const struct opt *o;

	if (i < 0 || i >= CONF_OPTS)
		return false;
	o = &opts[i];
	*out = (struct conf_row){ .def = o->def, .help = o->help,
	    .where = o->where, .given = c->given[i],
	    .type = o->kind.type == T_BOOL ? CT_BOOLEAN :
	    o->kind.type != T_INT ? CT_STRING :
	    o->kind.max > INT32_MAX ? CT_LONG : CT_INT };
	dotted(o->name, out->name, sizeof(out->name));
	conf_value_print(&o->kind, (const char *)c + o->off, out->value,
	    sizeof(out->value));
	return true;
}

const struct conf_kind *
conf_dynamic(struct kstr name, const char **own, bool *known)
{
	static char names[CONF_OPTS][NAME_MAX_];

	for (int i = 0; i < CONF_OPTS && name.len > 0; i++) {
		if (opts[i].where & CONF_O)
			continue;
		dotted(opts[i].name, names[i], sizeof(names[i]));
		if (!kstr_eq(name, kstr_of(names[i])))
			continue;
		*known = true;
		*own = names[i];
		return opts[i].where & CONF_D ? &opts[i].kind : NULL;
	}
	return NULL;
}

bool
conf_change(struct conf *c, struct kstr name, struct kstr value)
{
	char why[CONF_WHY_MAX];
	struct conf_value v;
	const char *own;
	bool known;
	const struct conf_kind *k = conf_dynamic(name, &own, &known);
	const struct opt *o;

	if (k == NULL || value.len < 0 ||
	    !conf_value_parse(k, kstr_trim(value), &v, why))
		return false;
	o = (const struct opt *)((const char *)k - offsetof(struct opt, kind));
	if (k->type == T_STR || k->type == T_CAPS) {
		const char *s = opt_hold(o, conf_value_text(k, value), why);

		if (s == NULL)
			return false;
		*(const char **)((char *)c + o->off) = s;
	} else
		conf_value_store(k, v, (char *)c + o->off);
	return true;
}

enum err
conf_hostport(const char *s, char *host, size_t size, int *port)
{
	const char *colon = strrchr(s, ':');
	size_t n;
	int64_t p;
	char *q;

	if (colon == NULL || !isdigit((unsigned char)colon[1]) ||
	    !conf_parse_int(kstr_of(colon + 1), &p) || p > 65535)
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
