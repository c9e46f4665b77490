"""What goes wrong for a while, and what must not happen because of it."""

import os
import time
import uuid
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Client, StandIns, eventually
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.telegram import too_many

pytestmark = pytest.mark.e2e

DOWN_SECONDS = float(os.environ.get("DOWN_SECONDS", "20"))
"""How long the provider is down; ``make chaos`` makes it a full minute."""

RUNS = 20


def connect(client: Client, url: str) -> str:
    """A webhook that anybody may call, and that sends to ``url``; its id."""
    saved = client.save(
        "webhook",
        {
            "url": f"https://example.com/faults-{uuid.uuid4().hex[:12]}",
            "outboundUrl": url,
            "verification": {"type": "none"},
        },
    )
    return str(saved["webhook"]["id"])


def call(webhook: str, body: dict[str, Any]) -> None:
    answer = requests.post(webhook, json=body, timeout=30)
    assert answer.status_code == 200, answer.text


@pytest.mark.long
def test_a_provider_that_was_down_for_a_while_gets_everything_once_it_is_back(
    client: Client, stand_ins: StandIns
) -> None:
    with Receiver() as good, Receiver() as down:
        webhook_id = connect(client, good.url("/first"))
        workflow = client.create_workflow(
            {
                "name": "two receivers",
                "trigger": {"type": "webhook", "webhookId": webhook_id},
                "steps": [
                    {
                        "id": "first",
                        "action": "webhook.send",
                        "params": {"json": {"order": "{{ trigger.body.order }}"}},
                    },
                    {
                        "id": "second",
                        "action": "webhook.send",
                        "params": {
                            "url": down.url("/second"),
                            "json": {"order": "{{ trigger.body.order }}"},
                        },
                    },
                ],
            }
        )
        down.default = Reply(503)
        for order in range(RUNS):
            call(workflow["webhookUrl"], {"order": order})
        eventually(lambda: down.received)
        time.sleep(DOWN_SECONDS)
        down.default = Reply()
        # Who failed at the third attempt too, 35 s after the first, waits for five minutes.
        executions = client.finished(RUNS, seconds=500, workflowId=workflow["workflowId"])

    states = [each["status"] for each in executions]
    attempts = [each["steps"][1]["attempts"] for each in executions]
    print(f"down for {DOWN_SECONDS:.0f} s: {len(states)} executions, attempts {sorted(attempts)}")  # noqa: T201 - the figures are the point
    assert states == ["succeeded"] * RUNS
    assert max(attempts) > 1
    assert sorted(got.json()["order"] for got in good.received) == list(range(RUNS))
    assert set(good.deliveries().values()) == {1}
    assert len(down.deliveries()) == RUNS


def test_a_bot_that_must_wait_holds_up_nobody_else(client: Client, stand_ins: StandIns) -> None:
    tokens = {name: f"{uuid.uuid4().int % 10**9}:{uuid.uuid4().hex}" for name in ("eager", "quiet")}
    for name, token in tokens.items():
        stand_ins.telegram.add_bot(token)
        client.save("telegram", {"botToken": token}, name)
    workflows = {
        name: client.create_workflow(
            {
                "name": name,
                "trigger": {"type": "manual"},
                "steps": [
                    {
                        "id": "tell",
                        "action": "telegram.sendMessage",
                        "connection": name,
                        "params": {"chatId": 42, "text": f"{name} {{{{ trigger.number }}}}"},
                    }
                ],
            }
        )["workflowId"]
        for name in tokens
    }
    stand_ins.telegram.fail(too_many(12), method="sendMessage")
    client.post(f"/api/workflows/{workflows['eager']}/run", {"input": {"number": 0}})

    def waiting() -> bool:
        found = client.executions(workflowId=workflows["eager"])
        return bool(found) and found[0]["status"] == "retrying"

    eventually(waiting)
    for number in range(1, 4):
        client.post(f"/api/workflows/{workflows['eager']}/run", {"input": {"number": number}})
        client.post(f"/api/workflows/{workflows['quiet']}/run", {"input": {"number": number}})

    quiet = client.finished(3, workflowId=workflows["quiet"])
    still = [each["status"] for each in client.executions(workflowId=workflows["eager"])]
    eager = client.finished(4, workflowId=workflows["eager"])

    assert [each["status"] for each in quiet] == ["succeeded"] * 3
    assert "succeeded" not in still
    assert [each["status"] for each in eager] == ["succeeded"] * 4
    assert all(each["steps"][0]["attempts"] <= 2 for each in eager)
