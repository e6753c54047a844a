/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL PLAIN (RFC 4616) against the SCRAM keys of the catalogue.  The slow
 * derivation runs in the bulk pool, one at a time, and just as long for a user
 * that there is not; passwords are wiped as soon as they have been used.
 *
 * A token: version 1, expiry 8 (wall ms, 0 never), mark of the password 8,
 * length of the name 1, name, HMAC-SHA-256 32.  The mark ends tokens with the
 * password that they were made for.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "engine.h"
#include "lib/log.h"
#include "serve.h"

enum { TOKEN_VERSION = 1, MARK = 8, MAC = 32, TOKEN_FIXED = 1 + 8 + MARK + 1 };
enum {
	QUIET_MS = 1000, QUIET_LINES = 10,
	AUTH_GRACE_MS = 15000,	/* what the gateway let pass may have waited */
};

static const char secret_name[] = "token";

/* A password that is being checked. */
struct auth_job {
	struct job	 job;
	struct auth_job	*next, **prevp;	/* waiting */
	struct engine	*eng;
	struct call	*call;		/* NULL: nobody waits any more */
	char		 name[USER_NAME_MAX + 1];
	char		*password;
	size_t		 len;
	struct cred	 cred;		/* a copy, or a dummy */
	bool		 dummy, same;
};

/* ---- the secret -------------------------------------------------------- */

static void
secret_durable(struct meta_put *put, enum err e)
{
	struct auth *a = (struct auth *)((char *)put -
	    offsetof(struct auth, put));

	if (e != E_OK)
		log_fatal("the catalogue cannot be written", LE(e));
	a->has_secret = true;
}

static struct meta_key
secret_key(void)
{
	return (struct meta_key){ (const uint8_t *)secret_name,
	    sizeof secret_name - 1 };
}

enum err
auth_open(struct engine *eng)
{
	struct auth *a = &eng->auth;
	struct meta_key key = secret_key();
	struct meta_secret rec = { { SECRET_SIZE, a->secret } };

	if (a->has_secret || eng->conf->security_protocol == SECURITY_PLAINTEXT)
		return E_OK;
	if (getrandom(a->secret, SECRET_SIZE, 0) != SECRET_SIZE)
		return E_IO;
	a->put.done = secret_durable;
	return meta_write(&eng->meta, MT_meta_secret, &key, &rec, &a->put);
}

enum err
auth_restore(struct engine *eng, const struct meta_key *key, const void *value)
{
	const struct meta_secret *rec = value;

	if (key->len != sizeof secret_name - 1 ||
	    memcmp(key->p, secret_name, key->len) != 0)
		return E_CORRUPT;
	eng->auth.has_secret = value != NULL;
	if (value == NULL)
		return E_OK;
	if (rec->value.len != SECRET_SIZE)
		return E_CORRUPT;
	memcpy(eng->auth.secret, rec->value.p, SECRET_SIZE);
	return E_OK;
}

void
auth_snapshot(struct engine *eng, void (*put)(void *, enum meta_type,
    const struct meta_key *, const void *), void *arg)
{
	struct meta_secret rec = { { SECRET_SIZE, eng->auth.secret } };
	struct meta_key key = secret_key();

	if (eng->auth.has_secret)
		put(arg, MT_meta_secret, &key, &rec);
}

static void
mac(const struct engine *eng, const void *p, size_t n, uint8_t out[MAC])
{
	ASSERT(HMAC(EVP_sha256(), eng->auth.secret, SECRET_SIZE, p, n, out,
	    NULL) != NULL);
}

/* ---- tokens ------------------------------------------------------------ */

/* Changes with the password. */
static void
mark_of(const struct engine *eng, const struct user *u, uint8_t mark[MARK])
{
	uint8_t all[SCRAMS * SCRAM_KEY_MAX], out[MAC];

	for (int i = 0; i < SCRAMS; i++)
		memcpy(all + i * SCRAM_KEY_MAX, u->cred[i].stored,
		    SCRAM_KEY_MAX);
	mac(eng, all, sizeof all, out);
	memcpy(mark, out, MARK);
	OPENSSL_cleanse(all, sizeof all);
}

/* Returns its length; 0: none can be made yet. */
static int32_t
token_make(const struct engine *eng, const struct user *u, int64_t expires,
    uint8_t *t)
{
	size_t n = strlen(u->name);

	_Static_assert(TOKEN_FIXED + USER_NAME_MAX + MAC <= AUTH_TOKEN_MAX,
	    "a token fits");
	if (!eng->auth.has_secret)
		return 0;
	t[0] = TOKEN_VERSION;
	be64_put(t + 1, (uint64_t)expires);
	mark_of(eng, u, t + 9);
	t[9 + MARK] = (uint8_t)n;
	memcpy(t + TOKEN_FIXED, u->name, n);
	mac(eng, t, TOKEN_FIXED + n, t + TOKEN_FIXED + n);
	return (int32_t)(TOKEN_FIXED + n + MAC);
}

void
auth_token(struct engine *eng, struct session *s, struct kbytes t)
{
	uint8_t want[MAC], mark[MARK];
	struct user *u;
	size_t n;

	if (s->authenticated || t.len < TOKEN_FIXED + MAC ||
	    !eng->auth.has_secret || t.p[0] != TOKEN_VERSION)
		return;
	n = t.p[9 + MARK];
	if ((size_t)t.len != TOKEN_FIXED + n + MAC)
		return;
	mac(eng, t.p, TOKEN_FIXED + n, want);
	if (CRYPTO_memcmp(want, t.p + TOKEN_FIXED + n, MAC) != 0)
		return;
	u = user_find(&eng->users, (struct kstr){ (int32_t)n,
	    (const char *)t.p + TOKEN_FIXED });
	if (u == NULL)
		return;
	mark_of(eng, u, mark);
	if (CRYPTO_memcmp(mark, t.p + 9, MARK) != 0)
		return;
	/* Without memory the session has to authenticate again. */
	(void)!session_bind(s, u->name, (int64_t)be64(t.p + 1));
}

bool
auth_allows(const struct engine *eng, const struct session *s)
{
	return eng->conf->security_protocol == SECURITY_PLAINTEXT ||
	    (s->authenticated && (s->expires == 0 ||
	    wall_ms() < s->expires + AUTH_GRACE_MS));
}

/* ---- passwords --------------------------------------------------------- */

/* The parts of a PLAIN message; false: it is none. */
static bool
plain_split(struct kbytes b, struct kstr *authz, struct kstr *name,
    struct kstr *password)
{
	const char *p = (const char *)b.p, *z1, *z2;
	const char *end;

	if (b.len < 4 || b.len > AUTH_BYTES_MAX)
		return false;
	end = p + b.len;
	z1 = memchr(p, '\0', (size_t)(end - p));
	z2 = z1 == NULL ? NULL : memchr(z1 + 1, '\0', (size_t)(end - z1 - 1));
	if (z2 == NULL || memchr(z2 + 1, '\0', (size_t)(end - z2 - 1)) != NULL)
		return false;
	*authz = (struct kstr){ (int32_t)(z1 - p), p };
	*name = (struct kstr){ (int32_t)(z2 - z1 - 1), z1 + 1 };
	*password = (struct kstr){ (int32_t)(end - z2 - 1), z2 + 1 };
	return true;
}

/* What to check against; for a user that there is not, something that takes
 * as long and is the same each time. */
static void
job_cred(struct engine *eng, struct auth_job *j)
{
	const struct user *u = user_find(&eng->users, kstr_of(j->name));
	uint8_t salt[MAC];

	for (int i = 0; u != NULL && i < SCRAMS; i++)
		if (u->cred[i].mechanism != SCRAM_NONE) {
			j->cred = u->cred[i];
			return;
		}
	j->dummy = true;
	mac(eng, j->name, strlen(j->name), salt);
	j->cred = (struct cred){ .mechanism = SCRAM_SHA256,
	    .iterations = SCRAM_ITERATIONS, .salt_len = SCRAM_SALT };
	memcpy(j->cred.salt, salt, SCRAM_SALT);
}

static void
job_free(struct auth_job *j)
{
	OPENSSL_cleanse(j->password, j->len);
	OPENSSL_cleanse(&j->cred, sizeof j->cred);
	free(j->password);
	free(j);
}

static struct auth_job *
job_new(struct call *c, struct kstr name, struct kstr password)
{
	struct auth_job *j = calloc(1, sizeof *j);

	if (j == NULL || (j->password = malloc((size_t)password.len + 1)) ==
	    NULL) {
		free(j);
		return NULL;
	}
	memcpy(j->name, name.p, (size_t)name.len);
	memcpy(j->password, password.p, (size_t)password.len);
	j->len = (size_t)password.len;
	j->eng = c->eng;
	j->call = c;
	return j;
}

static void
fail(struct call *c, enum err e, const char *why)
{
	struct auth_res s = { .error = (int16_t)e, .message = kstr_of(why),
	    .bytes = { -1, NULL }, .token = { -1, NULL } };

	call_reply(c, &s);
}

/* Never tells what was wrong. */
static void
fail_login(struct call *c, const char *name)
{
	static int64_t since;
	static int lines;
	int64_t now = mono_ms();

	if (now - since >= QUIET_MS) {
		since = now;
		lines = 0;
	}
	if (lines++ < QUIET_LINES)
		log_warn("authentication failed", LS("user", name),
		    LS("host", c->session->host));
	fail(c, E_SASL_FAILED, "authentication failed: user name or password "
	    "is wrong");
}

/* The password is right. */
static void
succeed(struct call *c, const struct user *u)
{
	struct engine *eng = c->eng;
	int64_t life = eng->conf->connections_max_reauth_ms;
	int64_t expires = life == 0 ? 0 : wall_ms() + life;
	uint8_t token[AUTH_TOKEN_MAX];
	struct auth_res s = { .message = { -1, NULL }, .bytes = { 0, token },
	    .lifetime_ms = life };

	if (c->session->authenticated &&
	    strcmp(c->session->principal, u->name) != 0) {
		fail(c, E_SASL_FAILED, "authentication failed: a connection "
		    "keeps its principal");
		return;
	}
	if (session_bind(c->session, u->name, expires) != E_OK) {
		fail(c, E_NOMEM, "out of memory");
		return;
	}
	s.token = (struct kbytes){ token_make(eng, u, expires, token), token };
	log_debug("authenticated", LS("user", u->name),
	    LS("host", c->session->host));
	call_reply(c, &s);
}

static void	 job_next(struct engine *);

static void
job_run(struct job *job)
{
	struct auth_job *j = (struct auth_job *)job;
	uint8_t salted[SCRAM_KEY_MAX];

	j->same = scram_salt(&j->cred, j->password, j->len, salted) == E_OK &&
	    scram_same(&j->cred, salted) && !j->dummy;
	OPENSSL_cleanse(salted, sizeof salted);
}

static void
job_done(struct job *job)
{
	struct auth_job *j = (struct auth_job *)job;
	struct call *c = j->call;
	struct engine *eng = j->eng;
	struct user *u = user_find(&eng->users, kstr_of(j->name));
	bool same = j->same && u != NULL;

	eng->auth.busy = false;
	/* It may have been changed meanwhile. */
	same = same && CRYPTO_memcmp(u->cred[j->cred.mechanism - 1].stored,
	    j->cred.stored, SCRAM_KEY_MAX) == 0;
	if (c != NULL && same)
		succeed(c, u);
	else if (c != NULL)
		fail_login(c, j->name);
	job_free(j);
	job_next(eng);
}

static void
job_unlink(struct auth_job *j)
{
	struct auth *a = &j->eng->auth;

	*j->prevp = j->next;
	if (j->next != NULL)
		j->next->prevp = j->prevp;
	else
		a->waiting_tail = j->prevp;
	j->prevp = NULL;
	a->nwaiting--;
}

static void
job_next(struct engine *eng)
{
	struct auth *a = &eng->auth;
	struct auth_job *j = a->waiting;

	if (a->busy || j == NULL)
		return;
	job_unlink(j);
	job_cred(eng, j);
	j->job.run = job_run;
	j->job.done = job_done;
	a->busy = true;
	pool_submit(eng->bulk, &j->job);
}

/* The connection has ended. */
static void
auth_cancel(struct call *c)
{
	struct auth_job *j = c->state;

	c->cancel = NULL;
	j->call = NULL;
	if (j->prevp != NULL) {
		job_unlink(j);
		job_free(j);
	}
	call_drop(c);
}

void
auth_free(struct engine *eng)
{
	struct auth_job *j;

	while ((j = eng->auth.waiting) != NULL) {
		job_unlink(j);
		job_free(j);
	}
	OPENSSL_cleanse(eng->auth.secret, SECRET_SIZE);
}

/* What is wrong with a request, and the words for it; the job if nothing. */
static enum err
auth_check(struct call *c, struct auth_job **j, const char **why)
{
	struct auth_req *q = c->req;
	struct kstr authz, name, password;

	if (c->eng->conf->security_protocol == SECURITY_PLAINTEXT ||
	    c->session->number == 0) {
		*why = "nothing is asked to authenticate here";
		return E_SASL_STATE;
	}
	if (!kstr_eq(q->mechanism, kstr_of("PLAIN"))) {
		*why = "unknown mechanism";
		return E_UNSUPPORTED_SASL;
	}
	if (!plain_split(q->bytes, &authz, &name, &password) ||
	    name.len == 0 || name.len > USER_NAME_MAX || password.len == 0) {
		*why = "authentication failed: not a message of SASL PLAIN";
		return E_SASL_FAILED;
	}
	if (authz.len > 0 && !kstr_eq(authz, name)) {
		*why = "authentication failed: nobody may act for another";
		return E_SASL_FAILED;
	}
	*why = "too many clients authenticate";
	if (c->eng->auth.nwaiting >= AUTH_WAIT_MAX)
		return E_BUSY;
	*j = job_new(c, name, password);
	return *j == NULL ? E_NOMEM : E_OK;
}

void
handle_auth(struct call *c)
{
	struct auth_req *q = c->req;
	struct auth *a = &c->eng->auth;
	struct auth_job *j = NULL;
	const char *why = NULL;
	enum err e = auth_check(c, &j, &why);

	if (q->bytes.len > 0)
		OPENSSL_cleanse((void *)(uintptr_t)q->bytes.p,
		    (size_t)q->bytes.len);
	if (e != E_OK) {
		fail(c, e, why);
		return;
	}
	c->state = j;
	c->cancel = auth_cancel;
	if (a->waiting == NULL)
		a->waiting_tail = &a->waiting;
	j->prevp = a->waiting_tail;
	*a->waiting_tail = j;
	a->waiting_tail = &j->next;
	a->nwaiting++;
	job_next(c->eng);
}
