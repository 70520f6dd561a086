#!/bin/sh
# Makes the virtual environment: setup.sh PYTHON VENV
# uv comes first, by pip and by hash; it installs the rest by hash and compiles the byte code, without which
# every start of the command takes several times longer.
set -eu
python=$1
venv=$2
for candidate in "$python" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        found=$candidate
        break
    fi
done
if [ -z "${found:-}" ]; then
    echo "planton needs Python 3.11 or later; '$python' is older or missing. Try: make PYTHON=/path/to/python3.12 setup" >&2
    exit 1
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "setup: making $venv with $("$found" --version)" >&2
    if ! "$found" -m venv "$venv"; then
        rm -rf "$venv"
        echo "setup: '$found -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "setup: installing what requirements/ pins" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
VIRTUAL_ENV=$venv "$venv/bin/uv" pip sync --quiet --require-hashes --compile-bytecode requirements/dev.txt
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --compile-bytecode --editable .
# What is installed in place is not compiled by that.
"$venv/bin/python" -m compileall -q planton gen
