#!/bin/sh
# Make a virtual environment, or bring it up to date: install.sh PYTHON STAMP LOCKED-REQUIREMENTS
#
# STAMP is a file in the environment that says that it is done. uv does it in a fraction of pip's
# time; pip does where uv finds no index, for it reads no pip.conf. Both take only files whose hashes
# are in LOCKED-REQUIREMENTS.
set -eu
python=$1 stamp=$2 locked=$3
venv=$(dirname "$stamp")
log=$venv.log

echo "Installing $venv from $locked (once)"
"$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$venv"
install() {
    uv=.venv/bin/uv
    if [ ! -x $uv ]; then
        sed -n '/^uv==/,/[^\\]$/p' requirements/run.txt >"$venv.uv.txt"
        .venv/bin/pip install -q --retries 1 --no-deps --require-hashes --requirement "$venv.uv.txt" || true
        rm "$venv.uv.txt"
    fi
    UV_HTTP_RETRIES=1 $uv pip install --quiet --python "$venv" --no-deps --require-hashes --requirement "$locked" ||
        "$venv/bin/pip" install -q --retries 1 --no-deps --require-hashes --requirement "$locked"
}
if ! install >"$log" 2>&1; then
    echo "The packages of $locked could not be installed: is there a network, and are its files those that were pinned? ($log says more)" >&2
    exit 1
fi
rm "$log"
touch "$stamp"
