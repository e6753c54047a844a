# SPDX-License-Identifier: Apache-2.0
#
# The virtual environment that T530 and T531 share, made in the cache.

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
