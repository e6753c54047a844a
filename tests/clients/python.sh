# SPDX-License-Identifier: Apache-2.0
#
# The virtual environment of the Python drivers, made in the cache.

need python3
python3 -c 'import ensurepip, venv' 2>/dev/null ||
    skip "python3 cannot make a virtual environment (python3-venv)"

build()
{
	python3 -m venv venv &&
	venv/bin/python -m pip install -q --no-input \
	    --disable-pip-version-check --only-binary :all: \
	    -r python/requirements.txt
}

prepare python python
python_home=$home

driver_kafka_python()
{
	exec "$python_home/venv/bin/python" \
	    "$python_home/python/kafka_python.py" "$@"
}

driver_confluent()
{
	exec "$python_home/venv/bin/python" \
	    "$python_home/python/confluent.py" "$@"
}

driver_aiokafka()
{
	exec "$python_home/venv/bin/python" "$python_home/python/aio.py" "$@"
}
