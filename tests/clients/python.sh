# SPDX-License-Identifier: Apache-2.0
#
# The Python drivers, and their virtual environment in the cache.

prepare_venv python
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
