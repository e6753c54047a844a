# SPDX-License-Identifier: Apache-2.0
#
# The driver on the official Java client and the command-line tools, of the
# major version $java_major, in the cache.

need java javac mvn

case $java_major in
3)
	client_version=3.9.2
	tools_version=3.9.2
	tools_profile=-Pcore
	producer_class=kafka.tools.ConsoleProducer
	reader_property=--property
	printer_property=--property
	;;
4)
	client_version=4.4.0
	tools_version=4.3.1
	tools_profile=
	producer_class=org.apache.kafka.tools.ConsoleProducer
	reader_property=--reader-property
	printer_property=--formatter-property
	;;
esac

build()
{
	cd java &&
	mvn -B -q "-Dkafka.version=$client_version" compile \
	    dependency:copy-dependencies -DoutputDirectory=lib &&
	mvn -B -q -f tools.xml $tools_profile \
	    "-Dkafka.version=$tools_version" dependency:copy-dependencies \
	    -DoutputDirectory=tools
}

prepare "java-$client_version-$tools_version" java
java_home=$home

jvm()
{
	exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
	    -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$@"
}

driver_java()
{
	jvm "$java_home/java/target/classes:$java_home/java/lib/*" Driver "$@"
}

# tool CLASS ARGUMENT...
tool()
{
	class=$1
	shift
	(jvm "$java_home/java/tools/*" "$class" \
	    --bootstrap-server "$BOOTSTRAP" "$@") 2>"$work/err" || {
		tail -n 20 "$work/err"
		fail "$class $*"
	}
}

topics()
{
	tool org.apache.kafka.tools.TopicCommand "$@"
}

offsets()
{
	tool org.apache.kafka.tools.GetOffsetShell "$@"
}

producer()
{
	tool "$producer_class" "$@"
}

consumer()
{
	tool org.apache.kafka.tools.consumer.ConsoleConsumer "$@"
}
