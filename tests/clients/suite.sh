# SPDX-License-Identifier: Apache-2.0
#
# What the suites of real clients (T5*.sh) share: finding toolchains, the
# cache of downloads and builds, the broker, and the course that every client
# runs.  It must never write into the source tree, and never name a registry:
# the ordinary clients of each registry know where theirs is.
#
# A driver is a program of one client library, run by the function driver_NAME
# that NAME.sh beside this file defines, with the commands
#
#	create	 make the topic NAME-CODEC for each codec
#	produce	 send `count` records to each and wait until all are acked
#	verify	 read each from its start, and from the timestamp of record
#		 `from`, and compare every byte, key, header and timestamp
#	load	 send records to the one topic until the file `until` exists,
#		 appending the number acked so far to the file `progress`, and
#		 then write how many there were to the file `total`
#	follow	 verify that topic while it grows, to the end in `total`
#	delete	 delete the topics and see them gone
#
# and arguments name=value: bootstrap, topic, codecs (with commas), parts,
# count, seed, t0 (the first record's timestamp), from, mode and the files
# above.  Record i goes to partition i % parts.  mode=exact asks that each
# record is there once and in order, mode=least that each is there.  Where a
# client cannot write something, lacks=nullhdr (headers without a value),
# lacks=nullboth (neither key nor value) or, known to the drivers in C and
# JavaScript alone, lacks=binhdr (headers other than text) says so.  Otherwise
# the records are the same in every driver, so that each can verify what another
# wrote.
#
# CHRONIK_BOOTSTRAP=HOST:PORT runs the suites against a broker that is there
# already.  It is not stopped or hurt then, unless CHRONIK_FAULTS names a file
# with functions that do so.

. "$(dirname "$0")/lib.sh"

clients=$CHRONIK_SRC/tests/clients
cache=${CHRONIK_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chronik-tests}
work=$tmp
jobs_started=

if [ -z "${CHRONIK_BOOTSTRAP:-}" ]; then
	CHRONIK_FAULTS=lib.sh
elif [ -n "${CHRONIK_FAULTS:-}" ]; then
	. "$CHRONIK_FAULTS"
fi

say()
{
	printf '%s\n' "$*"
}

# Skips the suite unless every tool named is there.
need()
{
	for tool in "$@"; do
		command -v "$tool" >/dev/null 2>&1 ||
		    skip "$tool is not installed"
	done
}

# prepare NAME FILE...: makes $home, a directory in the cache where the
# sources FILE... were copied and built by the function build(), once for
# each content.  What cannot be fetched fails in CI and skips elsewhere.
prepare()
{
	name=$1
	shift
	sum=$(cd "$clients" && find "$@" -type f -print0 | sort -z |
	    xargs -0 sha256sum | sha256sum | cut -c1-16)
	home=$cache/$name-$sum
	[ -d "$home" ] && return
	new=$home.$$
	rm -rf "$new"
	mkdir -p "$new" || fail "cannot make $new"
	(cd "$clients" && cp -R "$@" "$new") || fail "cannot copy $*"
	chmod -R u+w "$new"
	if ! (cd "$new" && build) >"$new/build.log" 2>&1; then
		tail -n 20 "$new/build.log"
		rm -rf "$new"
		[ "${CI:-}" = true ] && fail "cannot build $name"
		skip "$name cannot be fetched or built here"
	fi
	mv -T "$new" "$home" 2>/dev/null || rm -rf "$new"
	[ -d "$home" ] || fail "cannot make $home"
}

# prepare_venv NAME: makes $home with what is in NAME, and in $home/venv the
# virtual environment of Python that NAME/requirements.txt asks for.
prepare_venv()
{
	venv_of=$1
	need python3
	python3 -c 'import ensurepip, venv' 2>/dev/null ||
	    skip "python3 cannot make a virtual environment (python3-venv)"
	build()
	{
		python3 -m venv venv &&
		venv/bin/python -m pip install -q --no-input \
		    --disable-pip-version-check --only-binary :all: \
		    -r "$venv_of/requirements.txt"
	}
	prepare "$venv_of" "$venv_of"
}

# Called by lib.sh at every end.
suite_cleanup()
{
	for job in $jobs_started; do
		kill "$job" 2>/dev/null
	done
}

# Topics of a broker that stays get names of their own.
prefix=$(basename "$0" .sh)-$$
# Timestamps of one hour ago: no retention reaches them.
t0=$(($(date +%s) * 1000 - 3600000))

# drive DRIVER COMMAND [name=value...]
drive()
{
	# shellcheck disable=SC2086
	("driver_$@" bootstrap="$BOOTSTRAP" t0="$t0" ${driver_args:-}) ||
	    fail "$* (see above)"
}

# drive_bg LOG DRIVER COMMAND [name=value...]: the same in the background;
# $job is the process.
drive_bg()
{
	log=$1
	shift
	# shellcheck disable=SC2086
	("driver_$@" bootstrap="$BOOTSTRAP" t0="$t0" ${driver_args:-}) \
	    >"$log" 2>&1 &
	job=$!
	jobs_started="$jobs_started $job"
}

# join JOB LOG WHAT: fails with the log unless the job ends well.
join()
{
	wait "$1" && return
	tail -n 30 "$2"
	fail "$3"
}

# How many records of the load were acked so far.
acked()
{
	tail -n 1 "$work/progress"
}

# Waits until the load has 2000 more acks than it has now.
await_acks()
{
	goal=$(($(acked) + 2000))
	tries=0
	while [ "$(acked)" -lt $goal ]; do
		kill -0 "$load" 2>/dev/null || {
			tail -n 30 "$work/load.log"
			fail "the producer ended early"
		}
		kill -0 "$follow" 2>/dev/null || {
			tail -n 30 "$work/follow.log"
			fail "the consumer ended early"
		}
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || fail "no acks for two minutes"
		sleep 0.1
	done
}

# A restart and a kill -9 of the engine and of the gateways, with records acked
# before, between and after them.  The first gateway is another one each time.
all_faults()
{
	for fault in engine_restart gateway_restart gateway_restart \
	    engine_kill9 gateway_kill9 gateway_kill9; do
		await_acks
		say "under load: $fault"
		$fault || fail "$fault"
		wait_ready || fail "not ready after $fault"
	done
	await_acks
}

# under_faults DRIVER FOLLOWER CODEC MODE: the driver produces and the
# follower, a driver too, consumes through all faults.  $verifier, if set, is
# the driver that verifies in the end.
under_faults()
{
	topic="topic=$prefix-f codecs=$3 seed=99 mode=$4"
	files="until=$work/until total=$work/total progress=$work/progress"
	rm -f "$work/until" "$work/total"
	echo 0 >"$work/progress"
	# shellcheck disable=SC2086
	{
		drive "$1" create $topic
		drive_bg "$work/load.log" "$1" load $topic $files \
		    count=2000000
		load=$job
		drive_bg "$work/follow.log" "$2" follow $topic $files \
		    count=2000000
		follow=$job
	}
	all_faults
	: >"$work/until"
	join "$load" "$work/load.log" "the producer under faults"
	join "$follow" "$work/follow.log" "the consumer under faults"
	n=$(cat "$work/total")
	say "under load: $1 had $n records acked"
	# shellcheck disable=SC2086
	{
		drive "${verifier:-$1}" verify $topic "count=$n" \
		    "from=$((n / 2))"
		drive "$1" delete $topic
	}
}

# client_suite DRIVER CODECS: the whole course.  Under faults another driver
# reads when $follower names one, and verifies when $verifier does.
client_suite()
{
	args="topic=$prefix codecs=$2 seed=7 count=10000"
	# shellcheck disable=SC2086
	{
		drive "$1" create $args
		drive "$1" produce $args
		drive "${verifier:-$1}" verify $args from=6000
		say "produced and verified: $2"
		if [ -n "${CHRONIK_FAULTS:-}" ]; then
			under_faults "$1" "${follower:-$1}" "${2##*,}" exact
			drive "${verifier:-$1}" verify $args from=2000
			say "verified after the faults: $2"
		fi
		drive "$1" delete $args
	}
}
