"""`make restore`: what was lost comes back; nothing that was done is done again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from integrations.storage.aws import Aws
from local.errors import PlatformError
from local.restore import THERE, Restore, moment_of
from tests.backend import Backend
from tests.fakes.telegram import TelegramServer

AT = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)
HELLO = {
    "id": "say",
    "action": "telegram.sendMessage",
    "params": {"chatId": 1, "text": "hello"},
}


@pytest.fixture
def aws_client(_client: Aws) -> Aws:
    return _client


class Restores:
    """Restores of the functions' tables, with what each said."""

    def __init__(self, backend: Backend, client: Aws) -> None:
        self._backend = backend
        self._client = client
        self.lines: list[str] = []

    def __call__(self, name: str, **more: Any) -> dict[str, int]:
        self.lines = []
        names = self._backend.aws.names
        table = names[name]
        restore = Restore(
            self._client,
            name,
            table,
            names["AuditTable"],
            more.pop("at", AT),
            say=self.lines.append,
            wait=more.pop("wait", lambda _: None),
            **more,
        )
        return dict(restore.run())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def lose(self, name: str) -> None:
        """Somebody deletes every row."""
        table = self._backend.aws.names[name]
        described = self._client.dynamodb("DescribeTable", {"TableName": table})["Table"]
        keys = [each["AttributeName"] for each in described["KeySchema"]]
        for row in self._client.dynamodb("Scan", {"TableName": table})["Items"]:
            key = {each: row[each] for each in keys}
            self._client.dynamodb("DeleteItem", {"TableName": table, "Key": key})


@pytest.fixture
def restore(backend: Backend, aws_client: Aws) -> Any:
    return Restores(backend, aws_client)


def test_a_workflow_that_was_lost_comes_back_once(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    made = backend.create_workflow({"name": "A", "trigger": {"type": "manual"}, "steps": [HELLO]})
    rows = backend.aws.rows("WorkflowsTable")
    assert restore("WorkflowsTable", dry_run=True) == {"the same": 1}
    # It is there, and it costs, though nothing was written.
    assert restore.lines[-1].startswith("Unless it is restored now: aws dynamodb delete-table")
    restore.lose("WorkflowsTable")

    assert restore("WorkflowsTable", dry_run=True) == {"missing": 1}
    assert backend.aws.rows("WorkflowsTable") == []
    assert restore("WorkflowsTable", tenant="another") == {}
    assert restore("WorkflowsTable") == {"missing": 1}
    assert restore("WorkflowsTable") == {"the same": 1}
    (back,) = backend.aws.rows("WorkflowsTable")
    (lost,) = rows
    assert back | {"writeId": b""} == lost | {"writeId": b""}
    assert backend.call("GET", f"/api/workflows/{made['workflowId']}").status == 200


class Interrupted(Exception):
    """Somebody presses Ctrl-C."""


def interrupted(_: float) -> None:
    raise Interrupted


def test_a_restore_that_is_still_under_way_is_waited_for_when_the_command_runs_again(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    with pytest.raises(Interrupted):
        restore("ConnectionsTable", wait=interrupted)
    assert restore("ConnectionsTable") == {"the same": 1}
    assert "takes from minutes to hours" in restore.output
    assert restore("ConnectionsTable") == {"the same": 1}
    assert "takes from minutes to hours" not in restore.output


def test_a_restore_whose_answer_was_lost_is_begun_once(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.aws.fail("RestoreTableToPointInTime", done=True, times=1)
    assert restore("ConnectionsTable") == {"the same": 1}
    assert "takes from minutes to hours" in restore.output


def test_what_says_that_a_restore_has_begun_is_something_that_dynamodb_says() -> None:
    dynamodb = botocore.session.Session().get_service_model("dynamodb")
    errors = dynamodb.operation_model("RestoreTableToPointInTime").error_shapes
    assert {each.name for each in errors} >= THERE


def test_credentials_that_were_lost_open_again(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    restore("ConnectionsTable", dry_run=True)
    restore.lose("ConnectionsTable")
    assert restore("ConnectionsTable") == {"missing": 1}
    tested = backend.call("POST", "/api/integrations/telegram/test", {}).json
    assert tested["success"] is True, tested


def test_what_is_newer_stays_unless_it_is_to_be_replaced(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    flow = {"name": "good", "trigger": {"type": "manual"}, "steps": [HELLO]}
    made = backend.create_workflow(flow)
    restore("WorkflowsTable", dry_run=True)
    path = f"/api/workflows/{made['workflowId']}"
    assert backend.call("PUT", path, {**flow, "name": "spoiled"}).status == 200

    assert restore("WorkflowsTable") == {"newer, and left": 1}
    assert backend.call("GET", path).json["name"] == "spoiled"
    assert restore("WorkflowsTable", overwrite=True) == {"replaced": 1}
    assert backend.call("GET", path).json["name"] == "good"


def test_an_execution_that_was_unfinished_comes_back_closed_and_is_not_run_again(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    made = backend.create_workflow({"name": "A", "trigger": {"type": "manual"}, "steps": [HELLO]})
    path = f"/api/workflows/{made['workflowId']}/run"
    finished = backend.call("POST", path, {"input": {}}).json["executionId"]
    backend.drain()
    waiting = backend.call("POST", path, {"input": {}}).json["executionId"]
    restore("ExecutionsTable", dry_run=True)  # the moment: one finished, one not begun
    assert f"1 executions were unfinished and come back cancelled: {waiting}" in restore.output
    backend.drain()  # and then it ran
    assert len(telegram.called("sendMessage")) == 2
    restore.lose("ExecutionsTable")

    restore("ExecutionsTable")
    assert backend.execution(finished)["status"] == "succeeded"
    assert backend.execution(waiting)["status"] == "cancelled"
    assert not any("dueShard" in row for row in backend.aws.rows("ExecutionsTable"))
    backend.invoke("recover_executions", {})
    backend.drain()
    assert len(telegram.called("sendMessage")) == 2


def test_a_tenant_that_was_erased_since_does_not_come_back(
    backend: Backend, telegram: TelegramServer, restore: Restores
) -> None:
    at = datetime.now(UTC) - timedelta(minutes=1)
    backend.save("telegram", {"botToken": telegram.token})
    restore("ConnectionsTable", dry_run=True, at=at)
    backend.call("DELETE", "/api/tenant", scopes="admin")
    restore.lose("ConnectionsTable")
    assert restore("ConnectionsTable", at=at) == {"of erased tenants left out": 1}
    assert backend.aws.rows("ConnectionsTable") == []


@pytest.mark.parametrize("table", ["TokensTable", "HandshakesTable", "QuotasTable"])
def test_what_must_not_come_back_is_refused(restore: Restores, table: str) -> None:
    with pytest.raises(PlatformError, match="is not restored"):
        restore(table)


def test_what_happened_is_never_replaced(restore: Restores) -> None:
    with pytest.raises(PlatformError, match="what happened"):
        restore("ExecutionsTable", overwrite=True)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-26T05:00:00", "2999-01-01T00:00:00Z"])
def test_what_is_no_moment_of_the_past_is_refused(text: str) -> None:
    with pytest.raises(PlatformError, match="AT="):
        moment_of(text)
