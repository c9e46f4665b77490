#!/bin/sh
# Make the first virtual environment, with pip and uv alone, unless it is there: uv.sh PYTHON
#
# uv makes the other environments and fills them all, in a fraction of pip's time.
set -eu
python=$1
if .venv/bin/python -c '' 2>/dev/null && [ -x .venv/bin/uv ]; then exit 0; fi
# What an earlier run was interrupted in may have a Python and no pip, or a part of uv.
.venv/bin/pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
sed -n '/^uv==/,/[^\\]$/p' requirements/run.txt >.venv/uv.txt
.venv/bin/pip install -q --ignore-installed --retries 1 --no-deps --require-hashes --requirement .venv/uv.txt
