#!/usr/bin/env bash
# Makes a virtual environment unless it is there: tools/make_venv.sh FOLDER
# Takes the first Python >= 3.11 of $PYTHON, python3, python3.11 ... python3.13, python.
set -euo pipefail

venv=$1
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
for python in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "making $venv with $("$python" --version)"
        "$python" -m venv "$venv" && exit 0
        echo "error: $python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
done
echo "error: no Python >= 3.11 found (looked for python3, python3.11, python3.12, python3.13);" \
    "install one or name it: make setup PYTHON=/path/to/python3.11" >&2
exit 1
