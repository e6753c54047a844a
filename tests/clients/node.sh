# SPDX-License-Identifier: Apache-2.0
#
# The drivers in JavaScript, whose modules are installed in the cache.  The
# caller names those that it wants in $node_drivers, kafkajs if none.

need node npm

# One has a library in C, which is compiled here, ahead of its own makefile,
# which has no room for two jobs; and with the headers of the node that will
# run it.
build()
{
	npm ci --ignore-scripts --no-audit --no-fund || return
	[ -d node_modules/node-rdkafka ] || return 0
	(cd node_modules/node-rdkafka/deps && node ../util/configure &&
	    make -j2 -C librdkafka libs) &&
	npm_config_nodedir=$node_prefix npm rebuild --no-audit --no-fund &&
	node -e 'require("node-rdkafka")'
}

node_prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
for driver in ${node_drivers:-kafkajs}; do
	if [ "$driver" = node-rdkafka ]; then
		need make g++
		[ -e "$node_prefix/include/node/node.h" ] ||
		    skip "node has no headers in $node_prefix/include/node"
	fi
	prepare "$driver" "$driver/package.json" "$driver/package-lock.json"
	case $driver in
	kafkajs) kafkajs_home=$home ;;
	*) node_rdkafka_home=$home ;;
	esac
done

driver_kafkajs()
{
	NODE_PATH=$kafkajs_home/node_modules \
	    exec node "$clients/kafkajs/driver.js" "$@"
}

driver_node_rdkafka()
{
	NODE_PATH=$node_rdkafka_home/node_modules \
	    exec node "$clients/node-rdkafka/driver.js" "$@"
}
