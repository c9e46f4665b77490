#!/bin/sh
# Write what ships as CycloneDX documents (https://cyclonedx.org): sbom.sh PYTHON FOLDER
set -eu
python=$1 folder=$2
mkdir -p "$folder"
.venv-audit/bin/cyclonedx-py requirements layers/dependencies/requirements.txt \
    --output-reproducible --output-format JSON --output-file "$folder/functions.cdx.json"
"$python" -m local.console version >/dev/null  # npm's packages are installed with the first call
"$python" -m local.console sbom --sbom-format cyclonedx --omit dev >"$folder/console.cdx.json"
