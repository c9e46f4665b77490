#!/bin/sh
# Make a virtual environment, or bring it up to date: install.sh PYTHON VENV LOCKED-REQUIREMENTS
#
# uv does it in a fraction of pip's time; pip does where uv finds no index, for it reads no pip.conf.
set -eu
python=$1 venv=$2 locked=$3

echo "Installing $venv from $locked (once)"
"$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$venv"
uv=.venv/bin/uv
[ -x $uv ] || .venv/bin/pip install -qq --no-deps "$(grep '^uv==' requirements/dev.txt)" || true
UV_HTTP_RETRIES=1 $uv pip install --quiet --python "$venv" --no-deps --requirement "$locked" 2>/dev/null ||
    "$venv/bin/pip" install -qq --no-deps --requirement "$locked"
touch "$venv/.done"
