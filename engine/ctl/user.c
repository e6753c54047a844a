/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chronik user: ls, add, passwd, rm.  A password is read from a terminal
 * without echo or from standard input, never from the command line, and only
 * what it is checked against leaves this process.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "catalogue/scram.h"
#include "ctl.h"

enum { PASSWORD_MAX = 1024, ANSWER_MAX = 64 * MIB };

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static const char *const mechanisms[] = { "", "SCRAM-SHA-256",
    "SCRAM-SHA-512" };

/* ---- ls ---------------------------------------------------------------- */

typedef struct describe_user_scram_credentials_res_result user_row;

static json_t *
ls_item(const user_row *u)
{
	json_t *item = json_object(), *creds = json_array();
	char words[128] = "";
	int32_t least = 0;

	for (int32_t i = 0; i < u->credential_infos.n; i++) {
		int m = u->credential_infos.v[i].mechanism;
		int32_t n = u->credential_infos.v[i].iterations;
		json_t *c = json_object();

		if (m < 1 || m >= COUNT(mechanisms))
			m = 0;
		snprintf(words + strlen(words), sizeof(words) - strlen(words),
		    "%s%s", i > 0 ? "," : "", mechanisms[m]);
		json_object_set_new(c, "mechanism",
		    json_string(mechanisms[m]));
		json_object_set_new(c, "iterations", json_integer(n));
		json_array_append_new(creds, c);
		least = i == 0 || n < least ? n : least;
	}
	json_object_set_new(item, "name", out_str(u->user));
	json_object_set_new(item, "mechanisms", json_string(words));
	json_object_set_new(item, "iterations", json_integer(least));
	json_object_set_new(item, "credentials", creds);
	return item;
}

static int
by_name(const void *x, const void *y)
{
	const user_row *a = x, *b = y;
	int32_t n = a->user.len < b->user.len ? a->user.len : b->user.len;
	int c = n > 0 ? memcmp(a->user.p, b->user.p, (size_t)n) : 0;

	return c != 0 ? c : a->user.len - b->user.len;
}

int
cmd_user_ls(struct args *a)
{
	static const struct column cols[] = {
		{ "name", "NAME", false },
		{ "mechanisms", "MECHANISMS", false },
		{ "iterations", "ITERATIONS", true },
	};
	struct describe_user_scram_credentials_req req = { .users = { -1,
	    NULL } };
	struct describe_user_scram_credentials_res res;
	json_t *items = json_array();
	struct arena arena;
	struct eng *g;

	arena_init(&arena, ANSWER_MAX);
	g = args_connect(a);
	args_call(a, g, API_DESCRIBE_USER_SCRAM, 0, &req, &res, &arena);
	if (res.results.n > 1)
		qsort(res.results.v, (size_t)res.results.n, sizeof(user_row),
		    by_name);
	for (int32_t i = 0; i < res.results.n; i++)
		json_array_append_new(items, ls_item(&res.results.v[i]));
	out_items(a, "chronik.user.ls/1", items, cols, COUNT(cols));
	arena_reset(&arena);
	eng_close(g);
	return EXIT_OK;
}

/* ---- passwords --------------------------------------------------------- */

/* One line of standard input, unbuffered, so that no copy stays behind.
 * False: it is too long, or there is none. */
static bool
read_line(char buf[PASSWORD_MAX + 1])
{
	size_t n = 0;
	ssize_t k;
	char c;

	for (;;) {
		k = read(STDIN_FILENO, &c, 1);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0 || c == '\n')
			break;
		if (n == PASSWORD_MAX)
			return false;
		buf[n++] = c;
	}
	buf[n] = '\0';
	return n > 0 && strlen(buf) == n;
}

static struct termios terminal;		/* as it was before a prompt */

/* Leaves a terminal that shows what is typed. */
static void
interrupted(int sig)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal);
	_exit(128 + sig);
}

static bool
prompt(const char *words, char buf[PASSWORD_MAX + 1])
{
	struct termios quiet;
	bool ok;

	if (tcgetattr(STDIN_FILENO, &terminal) != 0)
		return false;
	signal(SIGINT, interrupted);
	signal(SIGTERM, interrupted);
	quiet = terminal;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fputs(words, stderr);
	ok = read_line(buf);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	fputc('\n', stderr);
	return ok;
}

/* Exits when there is no usable one. */
static void
read_password(const struct args *a, char buf[PASSWORD_MAX + 1])
{
	char again[PASSWORD_MAX + 1];
	bool ok, same = true;

	if (!isatty(STDIN_FILENO))
		ok = read_line(buf);
	else {
		ok = prompt("Password: ", buf);
		if (ok) {
			same = prompt("Again: ", again) &&
			    strcmp(buf, again) == 0;
			explicit_bzero(again, sizeof(again));
		}
	}
	if (ok && same)
		return;
	fprintf(stderr, "%s: %s\n", args_command(a), same ? "a password is a "
	    "line of 1 to 1024 bytes of standard input" :
	    "the two passwords are not the same");
	exit(EXIT_USAGE);
}

/* ---- add, passwd, rm --------------------------------------------------- */

static const struct column done_cols[] = {
	{ "name", "NAME", false },
	{ "status", "STATUS", false },
	{ "error", "ERROR", false },
	{ "message", "MESSAGE", false },
};

/* Makes a call for one user; true when it failed, which is also said. */
static bool
change(const struct args *a, struct eng *g, struct user_req *req,
    const char *status, json_t *items)
{
	json_t *item = json_object();
	struct user_res res;
	struct arena arena;
	const char *s;
	enum err e;

	arena_init(&arena, 1 * MIB);
	args_call(a, g, IPC_USER, 0, req, &res, &arena);
	e = res.error >= 0 && res.error < E_MAX ? (enum err)res.error :
	    E_UNKNOWN;
	json_object_set_new(item, "name", out_str(req->name));
	if (e == E_RESOURCE_NOT_FOUND && a->opt[OPT_if_exists] != NULL) {
		e = E_OK;
		status = "absent";
	}
	json_object_set_new(item, "status", json_string(e == E_OK ? status :
	    "failed"));
	out_verdict(item, e, e == E_OK ? kstr_of(NULL) : res.message);
	json_array_append_new(items, item);
	s = json_string_value(json_object_get(item, "name"));
	if (e != E_OK)
		out_error(a, s == NULL ? "?" : s, e, res.message);
	arena_reset(&arena);
	return e != E_OK;
}

/* The password for both mechanisms, each with a salt of its own. */
static void
derive(const struct args *a, const char *password, struct cred cred[SCRAMS],
    uint8_t salted[SCRAMS][SCRAM_KEY_MAX], struct user_req_cred v[SCRAMS])
{
	int n = args_number(a, OPT_iterations, SCRAM_ITERATIONS_MIN,
	    SCRAM_ITERATIONS_MAX, SCRAM_ITERATIONS);

	for (int i = 0; i < SCRAMS; i++) {
		struct cred *c = &cred[i];
		enum err e = E_IO;

		*c = (struct cred){ .mechanism = (uint8_t)(i + 1),
		    .iterations = n, .salt_len = SCRAM_SALT };
		if (getrandom(c->salt, SCRAM_SALT, 0) == SCRAM_SALT)
			e = scram_salt(c, password, strlen(password),
			    salted[i]);
		if (e != E_OK) {
			fprintf(stderr, "%s: %s\n", args_command(a),
			    err_text(e));
			exit(EXIT_ITEM);
		}
		v[i] = (struct user_req_cred){ (int8_t)c->mechanism, n,
		    { SCRAM_SALT, c->salt },
		    { (int32_t)scram_size(c->mechanism), salted[i] } };
	}
}

static int
set_password(struct args *a, enum user_verb verb, const char *status,
    const char *schema)
{
	char password[PASSWORD_MAX + 1];
	uint8_t salted[SCRAMS][SCRAM_KEY_MAX];
	struct user_req_cred v[SCRAMS];
	struct user_req req = { .name = kstr_of(a->operands[0]),
	    .verb = (int8_t)verb, .creds = { SCRAMS, v } };
	json_t *items = json_array();
	struct cred cred[SCRAMS];
	struct eng *g;
	bool failed;

	g = args_connect(a);
	read_password(a, password);
	derive(a, password, cred, salted, v);
	explicit_bzero(password, sizeof(password));
	failed = change(a, g, &req, status, items);
	explicit_bzero(salted, sizeof(salted));
	out_items(a, schema, items, done_cols, COUNT(done_cols));
	eng_close(g);
	return failed ? EXIT_ITEM : EXIT_OK;
}

int
cmd_user_add(struct args *a)
{
	return set_password(a, USER_ADD, "added", "chronik.user.add/1");
}

int
cmd_user_passwd(struct args *a)
{
	return set_password(a, USER_PASSWD, "changed",
	    "chronik.user.passwd/1");
}

int
cmd_user_rm(struct args *a)
{
	json_t *items = json_array();
	struct user_req req = { .verb = USER_REMOVE };
	struct eng *g = args_connect(a);
	int failed = 0;

	for (int i = 0; i < a->noperands; i++) {
		req.name = kstr_of(a->operands[i]);
		failed += change(a, g, &req, "removed", items);
	}
	out_items(a, "chronik.user.rm/1", items, done_cols, COUNT(done_cols));
	eng_close(g);
	return failed > 0 ? EXIT_ITEM : EXIT_OK;
}
