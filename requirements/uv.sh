#!/bin/sh
# Make the first virtual environment, with pip and uv alone, unless it is there: uv.sh PYTHON
#
# uv makes the other environments and fills them all, in a fraction of pip's time.
set -eu
python=$1
.venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
[ ! -x .venv/bin/uv ] || exit 0
sed -n '/^uv==/,/[^\\]$/p' requirements/run.txt >.venv/uv.txt
.venv/bin/pip install -q --retries 1 --no-deps --require-hashes --requirement .venv/uv.txt
