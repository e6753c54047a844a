/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's own records, see kafka_rec.def. */
#ifndef KAFKA_META_H
#define KAFKA_META_H

#include "kafka_dir.h"
#include "lib/schema.h"

#include "lib/rows_struct.h"
#include "kafka_rec.def"

enum kafka_rec {
#define MESSAGE(n, ...)		KR_##n,
#include "kafka_rec.def"
	KR_MAX
};
extern const struct msg kafka_recs[KR_MAX];

#endif
