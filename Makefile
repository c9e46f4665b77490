# Everything starts here: `make help` lists what there is. The work itself is in Python, see local/.
.DEFAULT_GOAL := help
.PHONY: help run sam-local stand-ins logs aws-env test unit integration e2e chaos lint format console build audit deploy bench peers simulate smoke restore import token tokens token-revoke lock docs clean

RUNTIME := .venv/.run .venv-sam/.done .venv-ministack/.done
VENVS := $(RUNTIME) .venv/.done
# The environments are installed beside each other.
MAKEFLAGS += -j3
# pyenv's shim, pyenv's versions or a python3.13 on PATH: the first that is really 3.13.
PYTHON = $(shell for p in python3.13 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.13*/bin/python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && command -v "$$p" && break; done)
NEEDS_PYTHON = test -n "$(PYTHON)" || { echo "Python 3.13 is missing: install it with pyenv, or put python3.13 on PATH" >&2; exit 1; }
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Where it is set, each of the tests' processes would compile again all that it imports.
unexport PYTHONDONTWRITEBYTECODE
ARCHITECTURE ?= arm64
STAGE ?= default
QUICK = -n 3 --dist worksteal
E2E = -n 5 --dist worksteal

help:  ## list the targets
	@grep -hE '^[a-z0-9 -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/; s/\$$\$$/$$/g' | expand -t 18

run: $(if $(STANDINS),$(VENVS),$(RUNTIME))  ## run the whole stack on this machine, at http://localhost:3000 [PORT=…] [STANDINS=1|any]
	@$(BIN)/python -m local

sam-local: $(RUNTIME)  ## the functions in Lambda's containers, beside `make run` [FUNCTION=… EVENT=all] [ARGS=…]
	@FUNCTION="$(FUNCTION)" EVENT="$(EVENT)" PORT="$(PORT)" PORTS="$(PORTS)" ARGS="$(ARGS)" $(BIN)/python -m local.sam_local

stand-ins: .venv/.done  ## run the providers' stand-ins, with a page to play their people
	@PYTHONPATH=layers/provider $(BIN)/python -m tests.stand_ins

logs: .venv/.run  ## follow what the functions of `make run` log: [FUNCTION=get-status]
	@$(BIN)/python -m local.logs

aws-env: .venv/.run  ## print what makes the AWS tools talk to `make run`: eval "$$(make -s aws-env)"
	@$(BIN)/python -m local.environment

# The quick tests keep both cores of a small machine busy; the end-to-end ones mostly wait, and each
# of their workers has a platform of its own.
test: $(VENVS)  ## every test: the quick ones, then end-to-end
	@$(BIN)/pytest $(QUICK) --ignore=tests/e2e
	@$(BIN)/pytest $(E2E) tests/e2e

unit integration: $(VENVS)  ## one kind of tests
	@$(BIN)/pytest $(QUICK) tests/$@

e2e: $(VENVS)  ## the tests of the deployed stack
	@$(BIN)/pytest $(E2E) tests/e2e

chaos: $(VENVS)  ## 5,000 webhooks, and as many replays, while functions are killed; providers down for a minute
	@CHAOS_WEBHOOKS=5000 CHAOS_REPLAYS=5000 DOWN_SECONDS=60 $(BIN)/pytest -s tests/e2e/test_chaos.py tests/e2e/test_events.py tests/e2e/test_faults.py

lint: $(VENVS)  ## ruff, mypy, tsc, biome, the API's document and the template's check
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy
	@$(BIN)/python -m local.console run check
	@$(BIN)/python -m local.api_lint
	@$(BIN)/python -m local.sam validate --lint
	@$(BIN)/python -m tools.translated

format: .venv/.done  ## let ruff and biome format and fix the code
	@$(BIN)/ruff format && $(BIN)/ruff check --fix
	@$(BIN)/python -m local.console run format

console: .venv/.run  ## build the console, which `make run` and `make build` do by themselves
	@$(BIN)/python -m local.console

build: $(RUNTIME) .venv-audit/.done  ## build what AWS gets, and say what is in it: .aws-sam/sbom (ARCHITECTURE=arm64|x86_64)
	@$(BIN)/python -m local.build --architecture $(ARCHITECTURE)
	@sh requirements/sbom.sh $(BIN)/python .aws-sam/sbom

audit: .venv/.run .venv-audit/.done  ## ask for known vulnerabilities of all that is pinned
	@sh requirements/audit.sh $(BIN)/python

deploy: build  ## build and deploy to AWS (STAGE=prod, ARCHITECTURE=…, ARGS=…; stages: samconfig.toml)
	@STAGE="$(STAGE)" ARCHITECTURE="$(ARCHITECTURE)" ARGS="$(ARGS)" $(BIN)/python -m local.deploy

bench: $(VENVS)  ## measure cold starts, CPU, AWS calls, write units and throughput [ARGS=--full]
	@$(BIN)/python -m benchmarks $(ARGS)

peers: $(VENVS)  ## measure a delivery's CPU beside n8n's, which npm installs into .local/peers [ARGS=…]
	@PYTHONPATH=layers/provider $(BIN)/python -m benchmarks.peers $(ARGS)

simulate: .venv/.done  ## run the whole backend in simulated worlds: [SEEDS=100] [SEED=…] [FAULTS=all]
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(FAULTS),--faults $(FAULTS),--seeds $(or $(SEEDS),100)))

smoke: .venv/.run  ## let a deployed stack show that it works: URL=https://… TOKEN=ib_… [WAIT=0]
	@$(BIN)/python -m tools.smoke

restore: .venv/.run  ## bring a table back to a moment: TABLE=WorkflowsTable AT=2026-11-26T05:00:00Z [TENANT=…] [OVERWRITE=1] [DRY_RUN=1] [STACK=…]
	@$(BIN)/python -m local.restore

import: .venv/.run  ## take over the Node backend's files: FILES=server/data/*.json [TENANT=…] [DRY_RUN=1] [URL=… TOKEN=…]
	@PYTHONPATH=layers/provider $(BIN)/python -m tools.importing

token: .venv/.run  ## make an API token: NAME=… [TENANT=…] [SCOPES=read,write] [DAYS=…] [STACK=…]
	@$(BIN)/python -m local.tokens create

tokens: .venv/.run  ## list the API tokens of a tenant: [TENANT=…] [STACK=…]
	@$(BIN)/python -m local.tokens list

token-revoke: .venv/.run  ## revoke an API token: NAME=… [TENANT=…] [STACK=…]
	@$(BIN)/python -m local.tokens revoke

lock: .venv/.done  ## pin the newest versions of everything
	@sh requirements/lock.sh

docs: .venv/.done  ## write openapi.json and what docs/ takes from the code
	@$(BIN)/python -m tools docs

clean:  ## remove everything that make made, the local stack's data included
	rm -rf .venv* node_modules tools/api_lint/node_modules console/dist console/tsconfig.tsbuildinfo clients/typescript/dist clients/typescript/src/schema.ts functions/get_console/site .aws-sam .local .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.run: requirements/run.txt | .venv/bin/uv
.venv/.done: requirements/dev.txt | .venv/.run
.venv-sam/.done: requirements/sam.txt | .venv/bin/uv
.venv-ministack/.done: requirements/ministack.txt | .venv/bin/uv
.venv-audit/.done: requirements/audit.txt | .venv/bin/uv
$(VENVS) .venv-audit/.done:
	@$(NEEDS_PYTHON)
	@sh requirements/install.sh "$(PYTHON)" $@ $<

# What installs all the others; they are installed beside each other then.
.venv/bin/uv:
	@$(NEEDS_PYTHON)
	@sh requirements/uv.sh "$(PYTHON)" >.venv.log 2>&1 || { echo "uv could not be installed into .venv: is there a network? (.venv.log says more)" >&2; exit 1; }
