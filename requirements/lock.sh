#!/bin/sh
# Pin the newest versions that fit together, for every Linux and macOS machine, with the hashes of
# their files: what the index gives later under the same version is not installed.
# The functions' layer takes its versions from the tests' environment: what is tested is what ships.
set -eu
lock() { uv pip compile --quiet --upgrade --generate-hashes --no-config --universal --no-header --no-emit-index-url --no-emit-find-links --python-version 3.13 "$@"; }
PATH=.venv/bin:$PATH
lock requirements/dev.in --output-file requirements/dev.txt
lock requirements/run.in --constraint requirements/dev.txt --output-file requirements/run.txt
# requests works without its library that guesses charsets, and the functions ask for no guess.
lock layers/dependencies/requirements.in --no-emit-package charset-normalizer --constraint requirements/dev.txt --output-file layers/dependencies/requirements.txt
lock requirements/sam.in --output-file requirements/sam.txt
lock requirements/ministack.in --output-file requirements/ministack.txt
lock requirements/node.in --output-file requirements/node.txt
lock requirements/audit.in --output-file requirements/audit.txt
