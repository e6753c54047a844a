/* SPDX-License-Identifier: Apache-2.0 */
/* The tables that kafka.def's rows expand to, and the look-up by API key. */
#include "kafka.h"

#include "rows_table.h"
#include "kafka.def"

const struct msg kafka_msgs[KM_MAX] = {
#define MESSAGE(n, k, lo, hi, fx) \
	[KM_##n] = { #n, n##_rows, sizeof(struct n), k, lo, hi, fx },
#include "kafka.def"
};

static const struct msg *
find(int key, int nth)
{
	for (int i = 0; i < KM_MAX; i++)
		if (kafka_msgs[i].key == key && nth-- == 0)
			return &kafka_msgs[i];
	return NULL;
}

/* A request's rows stand just before its response's. */
const struct msg *
kafka_req(int key)
{
	return key < 0 ? NULL : find(key, 0);
}

const struct msg *
kafka_res(int key)
{
	return key < 0 ? NULL : find(key, 1);
}

int
kafka_req_header(const struct msg *req, int v)
{
	return v >= req->flex ? 2 : 1;
}

/* ApiVersions answers with header v0 always, so that a client that spoke too
 * new a version can read it (KIP-511). */
int
kafka_res_header(const struct msg *res, int v)
{
	return res->key != API_VERSIONS && v >= res->flex ? 1 : 0;
}
