"""Functions that die at the worst moment, and messages that no function can take."""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.storage.queues import AGAIN
from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.lambdas import impatient, kill
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.telegram import Called, slow

pytestmark = pytest.mark.e2e

RUNNER = "RunWorkflowFunction"


@pytest.mark.long
def test_killed_between_an_effect_and_its_checkpoint(
    client: Client, stand_ins: StandIns, platform: Platform
) -> None:
    """What may be repeated is, with the same key; what may not ends as what it is: unknown."""
    token = f"{uuid.uuid4().int % 10**9}:{uuid.uuid4().hex}"
    stand_ins.telegram.add_bot(token)
    client.save("telegram", {"botToken": token})
    with Receiver() as receiver, Receiver() as late, impatient(platform):
        url = f"https://example.com/crash-{uuid.uuid4().hex[:12]}"
        client.save("webhook", {"url": url, "outboundUrl": receiver.url("/")})
        # The first step is done and over; the second has had its effect when its process dies.
        first = {"id": "first", "action": "webhook.send", "params": {"json": {"step": "first"}}}
        repeatable = {"id": "last", "action": "webhook.send", "params": {"url": late.url("/")}}
        final = {
            "id": "last",
            "action": "telegram.sendMessage",
            "params": {"chatId": 42, "text": "from a process that dies"},
        }
        patient = final | {"retry": {"onUnknownOutcome": "repeat"}}
        ids = {
            name: client.create_workflow(
                {"name": name, "trigger": {"type": "manual"}, "steps": [first, last]}
            )["workflowId"]
            for name, last in {
                "repeatable": repeatable,
                "final": final,
                "patient": patient,
            }.items()
        }
        late.reply(Reply(delay=8))
        stand_ins.telegram.fail(slow(8), slow(8), method="sendMessage")
        for workflow_id in ids.values():
            client.post(f"/api/workflows/{workflow_id}/run", {"input": {}})

        def effects() -> bool:
            return len(late.received) == 1 and len(reminders(stand_ins, token)) == 2

        eventually(effects, every=0.02)
        killed = kill(platform, RUNNER)
        for workflow_id in ids.values():
            (shown,) = client.executions(workflowId=workflow_id)
            assert shown["status"] == "running"
        executions = {
            name: recovered(client, platform, workflow_id) for name, workflow_id in ids.items()
        }

    seen = {name: (each["status"], each["steps"][1]["status"]) for name, each in executions.items()}
    print(f"\n{killed} processes killed; {seen}")  # noqa: T201 - what was seen
    assert seen["repeatable"] == ("succeeded", "succeeded")
    assert seen["patient"] == ("succeeded", "succeeded")
    assert seen["final"] == ("failed", "failed")
    error = executions["final"]["error"]
    assert (error["code"], error["step"]) == ("outcome_unknown", "last")
    assert "may have been carried out" in error["message"]
    # Once each: the first steps before what may not be repeated blindly. Of two that may be,
    # neither was recorded yet, and each is repeated under its own id; where the first one took a
    # busy machine more than ``UNRECORDED_TIME``, it was.
    assert sorted(receiver.deliveries().values()) in ([1, 1, 2], [1, 1, 1])
    assert list(late.deliveries().values()) == [2]
    assert len(reminders(stand_ins, token)) == 3


def reminders(stand_ins: StandIns, token: str) -> list[Called]:
    """The messages that a bot was asked to send."""
    return [call for call in stand_ins.telegram.called("sendMessage") if call.token == token]


def recovered(client: Client, platform: Platform, workflow_id: str) -> dict[str, Any]:
    """The one execution of a workflow, when it is finished; overdue ones are sent again."""
    name = platform.name("RecoverExecutionsFunction")
    functions = platform.client("lambda")

    def look() -> dict[str, Any] | None:
        functions.invoke(FunctionName=name, Payload=b"{}")
        (found,) = client.executions(workflowId=workflow_id)
        return found if found["finishedAt"] else None

    found = eventually(look, seconds=120, every=2)
    whole: dict[str, Any] = client.get(f"/api/executions/{found['executionId']}").json()
    return whole


def test_a_failed_execution_goes_on_from_the_step_whose_outcome_was_unknown(
    client: Client, stand_ins: StandIns
) -> None:
    """The person who looked may decide that it is to be done, or done again."""
    with Receiver() as receiver:
        url = f"https://example.com/crash-{uuid.uuid4().hex[:12]}"
        client.save("webhook", {"url": url, "outboundUrl": receiver.url("/")})
        workflow = client.create_workflow(
            {
                "name": "two",
                "trigger": {"type": "manual"},
                "steps": [
                    {"id": "a", "action": "webhook.send", "params": {"json": 1}},
                    {
                        "id": "b",
                        "action": "webhook.send",
                        "params": {"json": 2},
                        "retry": {"maxAttempts": 1},
                    },
                ],
            }
        )
        receiver.reply(Reply(), Reply(503))
        path = f"/api/workflows/{workflow['workflowId']}/run"
        run = client.post(path, {"input": {}}).json()
        (failed,) = client.finished(workflowId=workflow["workflowId"])
        assert (failed["status"], failed["error"]["step"]) == ("failed", "b")

        again = client.post(f"/api/executions/{run['executionId']}/retry")
        assert again.status_code == 200, again.text
        (done,) = client.finished(workflowId=workflow["workflowId"])

    assert done["status"] == "succeeded"
    assert done["retryCount"] == 1
    assert [each.json() for each in receiver.received] == [1, 2, 2]
    assert sorted(receiver.deliveries().values()) == [1, 2]
    refused = client.post(f"/api/executions/{run['executionId']}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def as_sent(body: str) -> str:
    """A message's body without the mark of one that waited for its tenant's turn."""
    try:
        message = json.loads(body)
    except ValueError:
        return body
    return json.dumps(
        {name: each for name, each in message.items() if name != AGAIN}
        if isinstance(message, dict)
        else message
    )


@pytest.mark.parametrize("queue", ["EventsQueue", "ExecutionsQueue"])
def test_a_poisoned_message_ends_in_the_dead_letter_queue_and_harms_no_other(
    client: Client, stand_ins: StandIns, platform: Platform, queue: str
) -> None:
    sqs = platform.client("sqs")
    url, dead = platform.name(queue), platform.name(queue.replace("Queue", "DeadLetterQueue"))
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])[
        "Attributes"
    ]
    policy = json.loads(attributes["RedrivePolicy"])
    # Production is patient for most of an hour.
    impatient_policy = json.dumps({**policy, "maxReceiveCount": 3})
    poisons = {
        "no JSON": "not JSON",
        "a list": "[]",
        "no fields": "{}",
        "a payload that is gone": json.dumps({"payload": f"events/{uuid.uuid4().hex}"}),
    }
    with Receiver() as receiver:
        credentials = {
            "url": f"https://example.com/poison-{uuid.uuid4().hex[:12]}",
            "outboundUrl": receiver.url("/"),
            "verification": {"type": "none"},
        }
        hook = client.save("webhook", credentials)["webhook"]["id"]
        workflow = client.create_workflow(
            {
                "name": "innocent",
                "trigger": {"type": "webhook", "webhookId": hook},
                "steps": [{"id": "a", "action": "webhook.send", "params": {"json": 1}}],
            }
        )
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": impatient_policy})
        try:
            for number, text in enumerate(poisons.values()):
                sqs.send_message(QueueUrl=url, MessageBody=text, MessageGroupId="poison")
                assert client.post(f"/api/webhooks/{hook}", {"n": number}).status_code == 200
            found: set[str] = set()

            def all_dead() -> bool:
                answer = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)
                for message in answer.get("Messages", []):
                    if (body := as_sent(message["Body"])) in poisons.values():
                        found.add(body)
                        sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                return found == set(poisons.values())

            eventually(all_dead, seconds=300, every=1)
        finally:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        executions = client.finished(len(poisons), workflowId=workflow["workflowId"])

    print(f"\n{queue}: {len(found)} poisoned messages dead, {len(executions)} executions succeeded")  # noqa: T201 - what was seen
    assert [each["status"] for each in executions] == ["succeeded"] * len(poisons)
    assert set(receiver.deliveries().values()) == {1}


def test_a_workflow_that_triggers_itself_ends_where_all_can_see_it(client: Client) -> None:
    credentials = {
        "url": f"https://example.com/cycle-{uuid.uuid4().hex[:12]}",
        "verification": {"type": "none"},
    }
    webhook = client.save("webhook", credentials)["webhook"]
    hook = webhook["id"]
    client.save("webhook", credentials | {"outboundUrl": webhook["url"]})
    workflow = client.create_workflow(
        {
            "name": "ouroboros",
            "trigger": {"type": "webhook", "webhookId": hook},
            "steps": [{"id": "again", "action": "webhook.send", "params": {"json": {}}}],
        }
    )
    started = datetime.now(UTC)
    assert client.post(f"/api/webhooks/{hook}", {}).status_code == 200

    def ended() -> list[dict[str, Any]] | None:
        found = client.executions(workflowId=workflow["workflowId"])
        return found if any(each["status"] == "failed" for each in found) else None

    eventually(ended)
    time.sleep(3)  # for another round, if there were one
    found = client.executions(workflowId=workflow["workflowId"], since=started.isoformat())
    assert [each["status"] for each in found] == ["failed"] + ["succeeded"] * (len(found) - 1)
    assert 1 < len(found) < 12
    assert found[0]["error"]["code"] == "cycle_detected"
