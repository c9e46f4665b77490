"""Secrets in steps, on the deployed stack; among them a token by which a workflow starts itself."""

import json
import time
from typing import Any

import pytest

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.secrecy import items, lines
from tests.fakes.receiver import Receiver, Reply

pytestmark = pytest.mark.e2e

KEY = "sk-e2e-4711-of-the-shop"
PIN = "90817263"


def send(**params: Any) -> dict[str, Any]:
    return {
        "id": "send",
        "action": "webhook.send",
        "params": params,
        "retry": {"maxAttempts": 1},
    }


def flow(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": "secrets", "trigger": {"type": "manual"}, "steps": list(steps)}


@pytest.fixture(autouse=True)
def _connected(client: Client) -> None:
    client.save("webhook", {"secret": "the-webhooks-own-secret"})


def save(client: Client, name: str, value: str) -> None:
    assert client.put(f"/api/secrets/{name}", {"value": value}).status_code == 200


def test_a_step_sends_secrets_and_nothing_keeps_them_in_whatever_form_they_come_back(
    client: Client, platform: Platform
) -> None:
    save(client, "KEY", KEY)
    save(client, "PIN", PIN)
    with Receiver() as receiver:
        echo = {"key": KEY, "loud": KEY.upper(), "back": KEY[::-1], "pin": int(PIN), "id": 12}
        receiver.default = Reply(body=json.dumps(echo).encode())
        step = send(
            url=receiver.url("/"),
            headers={"Authorization": "Bearer {{ secrets.KEY }}"},
            json={"pin": "{{ secrets.PIN|int }}", "back": "{{ secrets.KEY|reverse }}"},
        )
        made = client.create_workflow(flow(step))
        client.post(f"/api/workflows/{made['workflowId']}/run", {"input": {}})
        (execution,) = client.finished(workflowId=made["workflowId"])
        assert receiver.last.headers["authorization"] == f"Bearer {KEY}"
        assert receiver.last.json() == {"pin": int(PIN), "back": KEY[::-1]}
    assert execution["status"] == "succeeded", execution["error"]
    shown = execution["steps"][0]["output"]["body"]
    assert shown == {"key": "…", "loud": "…", "back": "…", "pin": "…", "id": 12}
    visible = json.dumps(execution) + "".join(lines(platform)) + json.dumps(items(platform))
    for form in (KEY, KEY.upper(), KEY[::-1], PIN):
        assert form not in visible, "a secret is where it must not be"


def test_a_workflow_that_starts_itself_by_the_api_ends_where_all_can_see_it(
    client: Client, platform: Platform
) -> None:
    save(client, "TOKEN", client.token)
    made = client.create_workflow(flow(send(url="https://example.com/")))
    own = f"/api/workflows/{made['workflowId']}/run"
    again = send(
        url=f"{platform.url}{own}",
        headers={"Authorization": "Bearer {{ secrets.TOKEN }}"},
        json={"input": {}},
    )
    changed = client.put(f"/api/workflows/{made['workflowId']}", flow(again))
    assert changed.status_code == 200, changed.text
    assert client.post(own, {"input": {}}).status_code == 200

    def ended() -> list[dict[str, Any]] | None:
        found = client.executions(workflowId=made["workflowId"])
        return found if any(each["status"] == "failed" for each in found) else None

    eventually(ended)
    time.sleep(3)  # for another round, if there were one
    found = client.executions(workflowId=made["workflowId"])
    assert [each["status"] for each in found] == ["failed"] + ["succeeded"] * (len(found) - 1)
    assert 1 < len(found) < 12
    assert found[0]["error"]["code"] == "cycle_detected"


def test_a_secret_of_another_tenant_is_none(
    client: Client, platform: Platform, stand_ins: StandIns
) -> None:
    save(client, "KEY", KEY)
    token = platform.tokens.create(tenant=f"{client.tenant}-other", name="e2e")
    other = Client(platform, token, f"{client.tenant}-other")
    other.save("webhook", {"secret": "the-webhooks-own-secret"})
    step = send(url=stand_ins.receiver.url("/"), json={"key": "{{ secrets.KEY }}"})
    answer = other.post("/api/workflows", flow(step))
    assert answer.status_code == 422, answer.text
    assert KEY not in answer.text
