"""The programs that use a deployed stack over HTTP, as somebody at a terminal runs them."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from local.paths import ROOT
from local.platform import Platform
from tests.e2e.conftest import Client
from tests.fakes.telegram import TOKEN

CHECKS = 11


def run(module: str, **variables: str) -> str:
    """Run ``python -m module`` and return what it printed; it must end well."""
    path = os.pathsep.join([str(ROOT / "layers/provider"), str(ROOT)])
    environment = {**os.environ, **variables, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left(client: Client) -> list[Any]:
    """The connections and workflows of a tenant."""
    status = client.get("/api/integrations/status").json().values()
    workflows = client.get("/api/workflows").json()["items"]
    return [each for provider in status for each in provider["connections"]] + workflows


@pytest.mark.long
def test_smoke_passes_on_a_stack_that_works_and_leaves_nothing(client: Client) -> None:
    output = run("tools.smoke", URL=client.platform.url, TOKEN=client.token)
    lines = output.splitlines()
    assert len(lines) == CHECKS + 1, output
    assert all(re.match(r"(ok|skipped) ", line) for line in lines[:-1]), output
    assert lines[-1].startswith(f"all is well at {client.platform.url}")
    assert left(client) == []


def test_the_example_files_are_imported_once_and_no_secret_is_told(
    platform: Platform, tenant: str, client: Client
) -> None:
    files = str(ROOT / "examples/import/*.json")
    variables = {"FILES": files, "URL": platform.url, "TOKEN": client.token}

    dry = run("tools.importing", DRY_RUN="1", **variables)
    assert "4 would keep, 0 there already, 4 not taken" in dry
    assert left(client) == []

    first = run("tools.importing", **variables)
    assert "4 kept, 0 there already, 4 not taken" in first
    before = left(client)

    second = run("tools.importing", **variables)
    assert "0 kept, 4 there already, 4 not taken" in second
    assert left(client) == before
    for secret in (TOKEN, "an example secret of the shop", client.token):
        assert secret not in dry + first + second
