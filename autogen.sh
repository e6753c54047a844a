#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# autogen.sh [--install-deps] [argument of configure ...]
#
# Makes configure and runs it in the current directory.  With --install-deps
# it first installs what the build and the quick tests need (Debian, as
# root); without, it names what is missing and stops.
set -eu

packages="autoconf automake bash gcc libc6-dev make pkg-config
	libuv1-dev libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev
	libpcre2-dev libssl-dev libjansson-dev libfuse3-dev fuse3 check mandoc kcat
	librdkafka-dev python3 g++ libxapian-dev libunistring-dev
	libmicrohttpd-dev"

top=$(cd "$(dirname "$0")" && pwd)

fail()
{
	echo "autogen.sh: $*" >&2
	exit 1
}

# Prints the packages of the list that are not installed.
missing()
{
	for p in $packages; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
		    grep -q '^install ok installed$' || printf ' %s' "$p"
	done
}

install_deps()
{
	command -v apt-get >/dev/null ||
		fail "--install-deps knows Debian only; install:" $packages
	list=$(missing)
	[ -n "$list" ] || return 0
	[ "$(id -u)" = 0 ] || fail "--install-deps needs root to install$list"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update </dev/null
	apt-get -q install -y --no-install-recommends $list </dev/null
}

# What one cannot do without; configure itself looks for the libraries.
check_deps()
{
	list=
	if command -v dpkg-query >/dev/null; then
		list=$(missing)
		hint="install:$list (or run as root: autogen.sh --install-deps)"
	else
		for p in autoreconf automake pkg-config make; do
			command -v $p >/dev/null || list="$list $p"
		done
		hint="these programs are missing:$list"
	fi
	[ -z "$list" ] || fail "$hint"
}

if [ "${1-}" = --install-deps ]; then
	shift
	install_deps
else
	check_deps
fi

(cd "$top" && autoreconf -fi)
exec "$top/configure" "$@"
