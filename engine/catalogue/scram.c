/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that hashes passwords; libcrypto does the work. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "scram.h"

static const EVP_MD *
hash_of(int mechanism)
{
	return mechanism == SCRAM_SHA256 ? EVP_sha256() :
	    mechanism == SCRAM_SHA512 ? EVP_sha512() : NULL;
}

size_t
scram_size(int mechanism)
{
	return mechanism == SCRAM_SHA256 ? 32 :
	    mechanism == SCRAM_SHA512 ? 64 : 0;
}

enum err
scram_salt(const struct cred *c, const char *password, size_t len,
    uint8_t salted[SCRAM_KEY_MAX])
{
	const EVP_MD *md = hash_of(c->mechanism);

	if (md == NULL || len > INT32_MAX)
		return E_USAGE;
	return PKCS5_PBKDF2_HMAC(password, (int)len, c->salt, c->salt_len,
	    c->iterations, md, (int)scram_size(c->mechanism), salted) == 1 ?
	    E_OK : E_NOMEM;
}

static bool
hmac(const struct cred *c, const uint8_t *key, const char *text, uint8_t *out)
{
	return HMAC(hash_of(c->mechanism), key,
	    (int)scram_size(c->mechanism), (const uint8_t *)text,
	    strlen(text), out, NULL) != NULL;
}

/* StoredKey is the hash of the client key, which is never kept. */
static bool
stored_key(const struct cred *c, const uint8_t *salted, uint8_t *out)
{
	uint8_t client[SCRAM_KEY_MAX];
	bool ok;

	ok = hmac(c, salted, "Client Key", client) && EVP_Digest(client,
	    scram_size(c->mechanism), out, NULL, hash_of(c->mechanism),
	    NULL) == 1;
	OPENSSL_cleanse(client, sizeof client);
	return ok;
}

enum err
scram_keys(struct cred *c, const uint8_t *salted)
{
	return stored_key(c, salted, c->stored) &&
	    hmac(c, salted, "Server Key", c->server) ? E_OK : E_NOMEM;
}

bool
scram_same(const struct cred *c, const uint8_t *salted)
{
	uint8_t key[SCRAM_KEY_MAX];
	bool ok;

	ok = stored_key(c, salted, key) && CRYPTO_memcmp(key, c->stored,
	    scram_size(c->mechanism)) == 0;
	OPENSSL_cleanse(key, sizeof key);
	return ok;
}
