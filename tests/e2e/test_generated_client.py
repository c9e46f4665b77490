"""A Python client, generated from the served document by openapi-python-client."""

import importlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns
from tools.template import ROOT

pytestmark = pytest.mark.e2e

TYPED = """
from stack_client import AuthenticatedClient
from stack_client.api.workflows import create_workflow
from stack_client.models import Problem, Step, Trigger, TriggerType, Workflow, WorkflowAnswer
from stack_client.models.action_id import ActionId

def create(client: AuthenticatedClient) -> str:
    step = Step(id="tell", action=ActionId.WEBHOOK_SEND)
    flow = Workflow(name="Orders", trigger=Trigger(type_=TriggerType.MANUAL), steps=[step])
    answer = create_workflow.sync(client=client, body=flow)
    match answer:
        case WorkflowAnswer():
            return answer.workflow_id
        case Problem():
            return answer.detail
        case None:
            return "nothing"
"""
PACKAGE = "stack_client"


@pytest.fixture(scope="module")
def folder(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client was generated, without a complaint, from the document that is served."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_text(
        requests.get(f"{platform.url}/api/openapi.json", timeout=60).text, encoding="utf-8"
    )
    config = folder / "config.json"
    config.write_text(json.dumps({"post_hooks": []}), encoding="utf-8")
    command = ["generate", f"--path={document}", f"--output-path={folder / PACKAGE}",
               f"--config={config}", "--meta=none", "--fail-on-warning"]  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return folder


@pytest.fixture(scope="module")
def stack_client(folder: Path) -> Iterator[ModuleType]:
    """The generated package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module(PACKAGE)


def api(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.api.{name}")


def test_a_program_that_uses_it_has_the_right_types(folder: Path) -> None:
    (folder / "program.py").write_text(TYPED, encoding="utf-8")
    command = ["--strict", "--follow-imports=silent", "--config-file=", "program.py"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *command],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout


def test_it_reads_the_catalogue_and_the_document_without_a_token(
    stack_client: ModuleType, client: Client
) -> None:
    anybody = stack_client.Client(base_url=client.platform.url)
    catalogue = api("integrations.list_integrations").sync(client=anybody)
    assert {"telegram", "sheets"} <= {form.id.value for form in catalogue.items}
    document = api("description.get_openapi").sync(client=anybody)
    assert document["openapi"].startswith("3.1")


def test_it_says_that_a_token_is_wrong(stack_client: ModuleType, client: Client) -> None:
    stranger = stack_client.AuthenticatedClient(base_url=client.platform.url, token="ib_wrong")
    answer = api("workflows.list_workflows").sync_detailed(client=stranger)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert answer.parsed.code.value == "invalid_token"


@pytest.mark.parametrize(
    "file", sorted((ROOT / "docs" / "flows").glob("*.json")), ids=lambda f: f.stem
)
def test_it_knows_every_documented_flow(stack_client: ModuleType, file: Path) -> None:
    flow = json.loads(file.read_text(encoding="utf-8"))
    models = importlib.import_module(f"{PACKAGE}.models")
    assert models.Workflow.from_dict(flow).to_dict() == flow


def test_what_it_reads_of_a_workflow_it_may_send_back(
    stack_client: ModuleType, client: Client, stand_ins: StandIns
) -> None:
    models = importlib.import_module(f"{PACKAGE}.models")
    owner = stack_client.AuthenticatedClient(base_url=client.platform.url, token=client.token)
    bot = f"{uuid.uuid4().int % 10**9 + 10**9}:AA{uuid.uuid4().hex}"
    stand_ins.telegram.add_bot(bot)
    client.save("telegram", {"botToken": bot})
    params = {"chatId": 42, "text": "Hi"}
    step = {"id": "tell", "action": "telegram.sendMessage", "params": params}
    flow = {"name": "Orders", "trigger": {"type": "manual"}, "steps": [step]}
    created = api("workflows.create_workflow").sync(
        client=owner, body=models.Workflow.from_dict(flow)
    )
    read = api("workflows.get_workflow").sync(created.workflow_id, client=owner)
    read.name = "Later orders"
    replaced = api("workflows.replace_workflow").sync(
        created.workflow_id, client=owner, body=models.Workflow.from_dict(read.to_dict())
    )
    assert (replaced.name, replaced.workflow_id) == ("Later orders", created.workflow_id)
    listed = api("executions.list_executions").sync(client=owner, limit=10)
    assert listed.items == []


def test_a_mistake_comes_back_with_its_place(stack_client: ModuleType, client: Client) -> None:
    models = importlib.import_module(f"{PACKAGE}.models")
    owner = stack_client.AuthenticatedClient(base_url=client.platform.url, token=client.token)
    flow = {"name": "", "trigger": {"type": "manual"}, "steps": []}
    refused = api("workflows.create_workflow").sync(
        client=owner, body=models.Workflow.from_dict(flow)
    )
    assert refused.code.value == "invalid_workflow"
    assert "name" in {mistake.field for mistake in refused.errors}
