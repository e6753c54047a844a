# SPDX-License-Identifier: Apache-2.0
#
# The driver on kafkajs, whose modules are installed in the cache.

need node npm

build()
{
	cd kafkajs && npm ci --ignore-scripts --no-audit --no-fund
}

prepare kafkajs kafkajs
kafkajs_home=$home

driver_kafkajs()
{
	exec node "$kafkajs_home/kafkajs/driver.js" "$@"
}
