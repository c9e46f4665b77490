"""Each write is carried out and its answer lost, once: nobody notices, and nothing counts twice."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.errors import VersionConflict
from integrations.storage.aws import Aws, AwsError, ConditionFailed, item
from integrations.storage.aws import client as aws_client
from integrations.storage.aws.transport import Answer
from tests.backend import Backend
from tests.fakes.aws import Direct, FakeAws
from tests.fakes.receiver import Receiver

WRITES = ("PutItem", "UpdateItem", "DeleteItem")
SECRET = "secret-of-the-orders"


class Lossy:
    """A transport that loses the first answer of each write.

    Attributes:
        lost: Whose answers were lost.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost: list[str] = []
        self._seen: set[str] = set()
        self._send = Direct.send
        lossy = self

        def send(transport: Direct, *args: Any, **more: Any) -> Answer:
            return lossy.send(transport, *args, **more)

        monkeypatch.setattr(Direct, "send", send)
        monkeypatch.setattr(aws_client, "PAUSE_SECONDS", 0)

    def send(
        self, transport: Direct, url: str, headers: Any, body: bytes = b"", **more: Any
    ) -> Answer:
        answer = self._send(transport, url, headers, body, **more)
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation in WRITES and b"AuditTable" not in body:
            call = json.loads(body)
            call.pop("ReturnValuesOnConditionCheckFailure", None)
            if (text := json.dumps(call)) not in self._seen:
                self._seen.add(text)
                self.lost.append(operation)
                raise ConnectionResetError("the answer was lost")
        return answer


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lossy]:
    wire = Lossy(monkeypatch)
    yield wire
    assert wire.lost


def flow(**trigger: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "trigger": trigger or {"type": "manual"},
        "steps": [
            {
                "id": "a",
                "action": "webhook.send",
                "connection": "target",
                "params": {"json": {"x": 1}},
            }
        ],
    }


def target(receiver: Receiver) -> tuple[str, dict[str, Any], str]:
    credentials = {"url": "https://example.com/hooks/target", "verifySecret": False}
    return ("webhook", {**credentials, "outboundUrl": receiver.url("/in")}, "target")


def test_what_is_saved_is_no_conflict(backend: Backend, receiver: Receiver, lossy: Lossy) -> None:
    made = backend.save(*target(receiver))
    again = backend.save(*target(receiver))
    assert (made["status"], again["status"]) == ("connected", "connected")
    workflow = backend.create_workflow(flow())
    path = f"/api/workflows/{workflow['workflowId']}"
    for version in (2, 3):
        answer = backend.call("PUT", path, flow() | {"version": version - 1})
        assert (answer.status, answer.json["version"]) == (200, version)
    assert backend.call("PUT", path, flow() | {"version": 1}).status == 409
    assert len(lossy.lost) >= 5


def test_what_is_deleted_was_there(backend: Backend, receiver: Receiver, lossy: Lossy) -> None:
    assert backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": "sixsix"}).status == 200
    assert backend.call("DELETE", "/api/secrets/SHOP_KEY").status in {200, 204}
    assert backend.call("DELETE", "/api/secrets/SHOP_KEY").status == 404
    backend.save(*target(receiver))
    path = "/api/integrations/webhook/credentials"
    query = {"connection": "target"}
    assert backend.call("DELETE", path, query=query).status in {200, 204}
    assert backend.aws.rows("ConnectionsTable") == []


def test_what_is_made_anew_is_made_once(backend: Backend, lossy: Lossy) -> None:
    for path, body in (
        ("/api/tokens", {"name": "x", "scopes": ["read"]}),
        ("/api/connect/sessions", {"providers": ["telegram"], "connection": "shop"}),
    ):
        answer = backend.call("POST", path, body, scopes="read write admin")
        backend.secrets.add(answer.json["token"])
        backend.secrets.discard(answer.json["token"])
        assert answer.status == 200
    assert len(backend.aws.rows("TokensTable")) == 2


def test_a_login_is_begun(backend: Backend, lossy: Lossy) -> None:
    backend.aws.set_secret(googleClientId="client", googleClientSecret="GOCSPX-x")
    answer = backend.call("POST", "/api/integrations/oauth/start/sheets_oauth", {})
    assert answer.status == 200
    assert len(backend.aws.rows("HandshakesTable")) == 1


def test_a_login_is_not_used_up_by_its_own_callback(
    aws: FakeAws, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.aws.set_secret(googleClientId="client", googleClientSecret="GOCSPX-x")
    begun = backend.call("POST", "/api/integrations/oauth/start/sheets_oauth", {}).json
    state = begun["authUrl"].partition("state=")[2].partition("&")[0]
    handshakes = wiring.handshakes()
    lossy = Lossy(monkeypatch)
    with aws.called_by("complete_oauth"):
        taken, verifier = handshakes.consume(begun["handshakeId"], "sheets_oauth", state)
        assert (taken.status, bool(verifier)) == ("exchanging", True)
        with pytest.raises(Exception, match="already used"):
            handshakes.consume(begun["handshakeId"], "sheets_oauth", state)
    assert lossy.lost == ["UpdateItem"] * 2  # the second one's was a refusal


def test_an_execution_runs_once_and_to_its_end(
    backend: Backend, receiver: Receiver, lossy: Lossy
) -> None:
    backend.save(*target(receiver))
    workflow = backend.create_workflow(flow())
    started = backend.call("POST", f"/api/workflows/{workflow['workflowId']}/run", {"input": {}})
    assert started.status in {200, 202}, started
    assert backend.run() == []
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded", execution
    assert len(receiver.received) == 1


def test_a_delivery_is_dispatched_once_and_counted_once(
    backend: Backend, receiver: Receiver, lossy: Lossy
) -> None:
    backend.secrets.add(SECRET)
    credentials = {"url": "https://example.com/hooks/orders", "secret": SECRET}
    backend.save("webhook", {**credentials, "verifySecret": True})
    backend.save(*target(receiver))
    backend.create_workflow(flow(type="webhook", webhookId="orders"))
    for number in range(3):
        assert backend.deliver("orders", {"n": number}, {"X-Webhook-Secret": SECRET}).status == 200
    backend.drain()
    assert [each["status"] for each in backend.executions()] == ["succeeded"] * 3
    assert len(receiver.received) == 3
    (row,) = [each for each in backend.aws.rows("WebhooksTable") if each["webhookId"] == "orders"]
    assert row["received"] == 3


def test_a_quota_is_taken_once(backend: Backend, lossy: Lossy) -> None:
    quotas = wiring.quotas()
    with backend.aws.called_by("run_workflow"):
        for _ in range(4):
            quotas.send_mails("acme", 5)
    (row,) = backend.aws.rows("QuotasTable")
    assert row["mails"] == 20


def test_a_job_is_carried_on_to_its_end(backend: Backend, lossy: Lossy) -> None:
    answer = backend.call("POST", "/api/events/replay", {"filter": {}})
    assert answer.status == 200
    backend.run_jobs()
    job = backend.call("GET", f"/api/jobs/{answer.json['jobId']}").json
    assert job["status"] == "succeeded"


# -- What is another's doing stays so --------------------------------------------------------

KEY = item({"tenant": "acme", "workflowId": "wf_1"})


def put(client: Aws, table: str, name: str) -> None:
    client.dynamodb(
        "PutItem",
        {
            "TableName": table,
            "Item": {**KEY, **item({"name": name, "version": 1})},
            "ConditionExpression": "attribute_not_exists(tenant)",
        },
    )


def test_the_same_write_of_somebody_else_is_in_the_way(aws: FakeAws) -> None:
    table = aws.names["WorkflowsTable"]
    put(aws.client, table, "x")
    with pytest.raises(ConditionFailed):
        put(aws.client, table, "x")
    # The first attempt never arrived; the second meets what another has written meanwhile.
    aws.fail("PutItem", "InternalServerError", times=1)
    with pytest.raises(ConditionFailed):
        put(aws.client, table, "x")


def test_who_wrote_in_between_is_in_the_way(
    aws: FakeAws, backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.save(*target(receiver))
    workflow = backend.create_workflow(flow())
    stored = wiring.workflows().get("acme", workflow["workflowId"])
    aws.fail("PutItem", "InternalServerError", times=1, where=stored.workflow_id)
    other = stored._replace(version=2, name="other")
    send = Direct.send

    def between(*args: Any, **more: Any) -> Answer:
        monkeypatch.setattr(Direct, "send", send)
        answer = send(*args, **more)  # which the stand-in refuses, undone
        wiring.workflows().save(other, replaces=1)
        return answer

    monkeypatch.setattr(Direct, "send", between)
    with pytest.raises(VersionConflict):
        wiring.workflows().save(stored._replace(version=2, name="ours"), replaces=1)
    assert wiring.workflows().get("acme", stored.workflow_id).name == "other"


def test_what_was_refused_is_not_asked_about(aws: FakeAws) -> None:
    aws.fail("PutItem", "ThrottlingException", status=400, times=1)
    table = aws.names["WorkflowsTable"]
    put(aws.client, table, "x")
    with pytest.raises(AwsError):
        put(aws.client, table, "y")
    assert [row["name"] for row in aws.rows("WorkflowsTable")] == ["x"]
