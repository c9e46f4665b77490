"""The drill of `make restore`: rows are lost in MiniStack, come back, and nothing is sent twice.

MiniStack restores the rows of the present, so that the moment is taken before the loss.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.paths import ROOT
from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually
from tests.fakes.receiver import Reply


def restore(platform: Platform, table: str, at: str, tenant: str, **more: str) -> str:
    """Run `make restore`'s program and return what it printed; it must end well."""
    variables = {"TABLE": table, "AT": at, "TENANT": tenant, "STACK": platform.stack, **more}
    done = subprocess.run(
        [sys.executable, "-m", "local.restore"],
        cwd=ROOT,
        env={**os.environ, **platform.aws, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def received(stand_ins: StandIns, path: str) -> int:
    """How many requests came at a path."""
    return sum(each.path == path for each in stand_ins.receiver.received)


def lose(platform: Platform, table: str, keys: tuple[str, str], tenant: str) -> int:
    """Delete a tenant's rows; how many there were."""
    dynamodb, name = platform.client("dynamodb"), platform.name(table)
    found = dynamodb.query(
        TableName=name,
        KeyConditionExpression="tenant = :tenant",
        ExpressionAttributeValues={":tenant": {"S": tenant}},
    )["Items"]
    for row in found:
        dynamodb.delete_item(TableName=name, Key={key: row[key] for key in keys})
    return len(found)


@pytest.fixture
def at(platform: Platform) -> Iterator[str]:
    """The moment; the tables of it go in the end."""
    moment = datetime.now(UTC).replace(microsecond=0)
    yield moment.isoformat()
    dynamodb = platform.client("dynamodb")
    for table in dynamodb.list_tables()["TableNames"]:
        if table.endswith(f"-at-{moment:%Y%m%dT%H%M%SZ}"):
            dynamodb.delete_table(TableName=table)


def test_what_was_lost_comes_back_and_is_not_done_again(
    platform: Platform, client: Client, tenant: str, stand_ins: StandIns, at: str
) -> None:
    path = f"/{tenant}"
    client.save("webhook", {"outboundUrl": stand_ins.receiver.url(path)})
    send: dict[str, Any] = {
        "id": "send",
        "action": "webhook.send",
        "params": {"json": {"n": "{{ trigger.n }}"}},
        "retry": {"maxAttempts": 2, "backoffSeconds": 3600, "maxBackoffSeconds": 3600},
    }
    flow = {"name": "Drill", "trigger": {"type": "manual"}, "steps": [send]}
    workflow = client.create_workflow(flow)["workflowId"]
    run = f"/api/workflows/{workflow}/run"

    done = client.post(run, {"input": {"n": 1}}).json()["executionId"]
    client.finished()
    stand_ins.receiver.reply(Reply(status=503))
    waiting = client.post(run, {"input": {"n": 2}}).json()["executionId"]
    eventually(lambda: received(stand_ins, path) == 2)
    eventually(lambda: client.get(f"/api/executions/{waiting}").json()["steps"][0]["error"])

    tried = restore(platform, "ExecutionsTable", at, tenant, DRY_RUN="1")
    assert f"1 executions were unfinished and come back cancelled: {waiting}" in tried
    assert "would be restored: 2 newer, and left" in tried or "the same" in tried
    restore(platform, "WorkflowsTable", at, tenant, DRY_RUN="1")
    assert lose(platform, "ExecutionsTable", ("tenant", "executionId"), tenant) >= 2
    assert lose(platform, "WorkflowsTable", ("tenant", "workflowId"), tenant) == 1
    assert client.get("/api/executions").json()["items"] == []

    assert re.search(r"are restored: \d missing", restore(platform, "ExecutionsTable", at, tenant))
    assert "are restored: 1 missing" in restore(platform, "WorkflowsTable", at, tenant)
    assert "are restored: 1 the same" in restore(platform, "WorkflowsTable", at, tenant)

    assert client.get(f"/api/executions/{done}").json()["status"] == "succeeded"
    assert client.get(f"/api/executions/{waiting}").json()["status"] == "cancelled"
    assert client.get(f"/api/workflows/{workflow}").json()["name"] == "Drill"
    recover = platform.name("RecoverExecutionsFunction")
    answer = platform.client("lambda").invoke(FunctionName=recover, Payload=b"{}")
    assert "FunctionError" not in answer
    third = client.post(run, {"input": {"n": 3}}).json()["executionId"]
    eventually(lambda: client.get(f"/api/executions/{third}").json()["status"] == "succeeded")
    assert received(stand_ins, path) == 3
