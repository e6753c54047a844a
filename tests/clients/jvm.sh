# SPDX-License-Identifier: Apache-2.0
#
# What of Kafka runs in a JVM, of the major version $java_major: Admin and
# groups, the command-line tools and Streams, with our programs that drive
# them.  To save starts, the tools all run in one JVM, Tools.java.

need java javac mvn

case $java_major in
3)
	jvm_version=3.9.2
	;;
4)
	jvm_version=4.4.0
	;;
esac

build()
{
	cd jvm &&
	mvn -B -q "-Dkafka.version=$jvm_version" \
	    dependency:copy-dependencies -DoutputDirectory=lib &&
	mkdir classes &&
	javac -nowarn --release 17 -encoding UTF-8 -cp "lib/*" -d classes \
	    src/common/*.java "src/v$java_major"/*.java
}

prepare "jvm-$jvm_version" jvm
jvm_home=$home/jvm

# jvm CLASS ARGUMENT...: $jvm_options go to the JVM.
jvm()
{
	exec java -Xmx${jvm_heap:-384m} -XX:+UseSerialGC \
	    -XX:TieredStopAtLevel=1 -Xshare:auto \
	    -Dorg.slf4j.simpleLogger.defaultLogLevel=${jvm_log:-error} \
	    ${jvm_options:-} -cp "$jvm_home/classes:$jvm_home/lib/*" "$@"
}

# tools_start: starts the JVM in which tools run.
tools_start()
{
	rm -f "$work/ask" "$work/answer"
	mkfifo "$work/ask" "$work/answer" || fail mkfifo
	(jvm Tools) <"$work/ask" >"$work/answer" \
	    2>"$work/tools.log" &
	jobs_started="$jobs_started $!"
	exec 8>"$work/ask" 9<"$work/answer"
}

tools_stop()
{
	exec 8>&- 9<&-
}

# kt_rc CLASS ARGUMENT...: runs a tool on the file $kt_in; its output is in
# $work/out and $work/err, its exit status in $kt_rc.
kt_rc()
{
	{
		printf '%s\t%s\t%s' "${kt_in:-/dev/null}" "$work/out" \
		    "$work/err"
		for word in "$@"; do
			printf '\t%s' "$word"
		done
		printf '\n'
	} >&8
	kt_rc=
	read -r kt_rc <&9
	[ -n "$kt_rc" ] || {
		tail -n 20 "$work/tools.log"
		fail "$*: the JVM has ended"
	}
}

# kt CLASS ARGUMENT...: the tool must end well.
kt()
{
	kt_rc "$@"
	[ "$kt_rc" = 0 ] || {
		tail -n 30 "$work/out" "$work/err"
		fail "$*: status $kt_rc"
	}
}

# kt_bad PATTERN CLASS ARGUMENT...: the tool must say so and fail.
kt_bad()
{
	kt_want=$1
	shift
	kt_rc "$@"
	[ "$kt_rc" != 0 ] || fail "$*: it succeeds: $(cat "$work/out")"
	cat "$work/err" >>"$work/out"
	check_grep "$kt_want" "$work/out" "$*"
}

# has PATTERN...: each is found in the last tool's output.
has()
{
	for word in "$@"; do
		check_grep "$word" "$work/out" "the output"
	done
}
