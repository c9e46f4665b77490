#!/bin/sh
# Make a virtual environment, or bring it up to date: install.sh PYTHON STAMP LOCKED-REQUIREMENTS
#
# STAMP is a file in the environment that says that it is done. uv fills it, and pip does where uv
# finds no index, for uv reads no pip.conf. Both take only files whose hashes are in
# LOCKED-REQUIREMENTS. pip itself is in .venv alone.
set -eu
python=$1 stamp=$2 locked=$3
venv=$(dirname "$stamp")
log=$venv.log

install() {
    sh requirements/uv.sh "$python" || return
    "$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear --without-pip "$venv"
    UV_HTTP_RETRIES=1 .venv/bin/uv pip install --quiet --python "$venv" --no-deps --require-hashes --requirement "$locked" ||
        .venv/bin/pip --python "$venv" install -q --retries 1 --no-deps --require-hashes --requirement "$locked"
}
echo "Installing $venv from $locked (once)"
if ! install >"$log" 2>&1; then
    echo "The packages of $locked could not be installed: is there a network, and are its files those that were pinned? ($log says more)" >&2
    exit 1
fi
rm "$log"
touch "$stamp"
