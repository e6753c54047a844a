/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ApiVersions: what the table holds, in the layout that any client can read.
 * KIP-35, KIP-511; the features of KIP-584 are fixed by the release.
 */
#include <ctype.h>

#include "api.h"
#include "conn.h"
#include "lib/features.h"

enum err
versions_too_new(struct req *r)
{
	struct api_versions_res_api_key k = { API_VERSIONS, r->api->min,
	    r->api->max };
	struct api_versions_res s;
	enum err e;

	msg_init(r->api->res, &s);
	s.error_code = err_code(E_UNSUPPORTED_VERSION);
	s.api_keys.n = 1;
	s.api_keys.v = &k;
	e = req_encode(r, r->api->res, 0, &s);
	if (e == E_OK)
		req_reply(r);
	return e;
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool
software_name(struct kstr s)
{
	unsigned char c = 0;

	for (int32_t i = 0; i < s.len; i++) {
		c = (unsigned char)s.p[i];
		if (c >= 0x80 || (!isalnum(c) &&
		    (i == 0 || (c != '-' && c != '.'))))
			return false;
	}
	return s.len > 0 && isalnum(c);
}

/* v3 could not show a feature whose least level is 0 (KAFKA-17492): there is
 * none here. */
static void
features_put(struct api_versions_res *s,
    struct api_versions_res_supported_feature *can,
    struct api_versions_res_finalized_feature *is)
{
	int32_t n = 0;

	for (int i = 0; i < FEATURES_N; i++) {
		const struct feature *f = &features[i];

		if (f->api >= 0 && api_find(f->api) == NULL)
			continue;
		can[n] = (struct api_versions_res_supported_feature){
		    kstr_of(f->name), f->level, f->level };
		is[n++] = (struct api_versions_res_finalized_feature){
		    kstr_of(f->name), f->level, f->level };
	}
	s->supported_features.n = s->finalized_features.n = n;
	s->supported_features.v = can;
	s->finalized_features.v = is;
	s->finalized_features_epoch = 0;
}

enum err
versions_answer(struct req *r)
{
	struct api_versions_res_supported_feature can[FEATURES_N];
	struct api_versions_res_finalized_feature is[FEATURES_N];
	struct api_versions_res_api_key keys[API_KEY_MAX];
	struct api_versions_req q;
	struct api_versions_res s;
	const struct api *api;
	struct arena a;
	int n = 0;
	enum err e;

	arena_for_frame(&a, r->frame_len);
	e = req_decode(r, &a, &q);
	msg_init(r->api->res, &s);
	if (e == E_OK && r->version >= 3 &&
	    (!software_name(q.client_software_name) ||
	    !software_name(q.client_software_version)))
		s.error_code = err_code(E_INVALID_REQUEST);
	if (e == E_OK && r->version >= 3 && s.error_code == 0)
		session_software(r->conn, q.client_software_name,
		    q.client_software_version);
	for (int key = 0; s.error_code == 0 &&
	    (api = api_next(&key)) != NULL; key++)
		keys[n++] = (struct api_versions_res_api_key){ (int16_t)key,
		    api->min, api->max };
	s.api_keys.n = n;
	s.api_keys.v = keys;
	if (s.error_code == 0)
		features_put(&s, can, is);
	if (e == E_OK)
		e = req_encode(r, r->api->res, r->version, &s);
	arena_reset(&a);
	if (e == E_OK)
		req_reply(r);
	return e;
}
