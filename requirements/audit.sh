#!/bin/sh
# Ask for known vulnerabilities of all that is pinned: audit.sh PYTHON
#
# Python's packages at https://osv.dev, npm's at its registry. Where one cannot be reached, nothing
# is known of those packages: that is said, and is no failure.
set -eu
python=$1 bad=0

unknown() { echo "No advisories could be read: nothing is known of $1" >&2; }

if .venv-audit/bin/python -c 'import requests; requests.get("https://api.osv.dev", timeout=10)' 2>/dev/null; then
    for locked in layers/dependencies/requirements.txt requirements/*.txt; do
        echo "$locked"
        .venv-audit/bin/pip-audit --vulnerability-service osv --disable-pip --require-hashes --requirement "$locked" || bad=1
    done
else
    unknown "Python's packages"
fi

report=$("$python" -m local.console audit --json) || true
case $report in
*auditReportVersion*) "$python" -m local.console audit || bad=1 ;;
*) unknown "npm's packages" ;;
esac
exit $bad
