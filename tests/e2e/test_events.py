"""What was received: seen, and repeated one by one or all together, whatever dies meanwhile."""

import os
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.killing import depth, finished, killing
from tests.e2e.lambdas import impatient

pytestmark = pytest.mark.e2e

REPLAYS = int(os.environ.get("CHAOS_REPLAYS", "96"))
TENANTS = 8
VICTIMS = ("RunJobFunction", "DispatchEventFunction", "RunWorkflowFunction")


def webhook(client: Client, receiver: str) -> dict[str, Any]:
    url = f"https://example.com/{uuid.uuid4().hex}"
    saved = client.save(
        "webhook", {"url": url, "outboundUrl": receiver, "verification": {"type": "none"}}
    )
    made: dict[str, Any] = saved["webhook"]
    return made


def pass_on(client: Client, webhook_id: str) -> dict[str, Any]:
    params = {"json": {"number": "{{ trigger.body.number }}"}}
    return client.create_workflow(
        {
            "name": "pass on",
            "trigger": {"type": "webhook", "webhookId": webhook_id},
            "steps": [{"id": "send", "action": "webhook.send", "params": params}],
        }
    )


def test_a_delivery_that_nobody_waits_for_is_listed_and_replayed_into_a_new_workflow_once(
    client: Client, stand_ins: StandIns
) -> None:
    path = f"/{uuid.uuid4().hex}"
    hook = webhook(client, stand_ins.receiver.url(path))
    answer = requests.post(hook["url"], json={"number": 7}, timeout=30)
    assert answer.json()["received"] is True
    (event,) = eventually(lambda: client.listed("/api/events", webhookId=hook["id"]))
    assert (event["outcome"], event["reason"]) == (
        "unmatched",
        "No enabled workflow waits for it",
    )
    whole = client.get(f"/api/events/{event['eventId']}").json()
    assert whole["body"] == {"number": 7}
    workflow = pass_on(client, hook["id"])
    assert client.executions() == []
    replayed = client.post(f"/api/events/{event['eventId']}/replay").json()
    (execution,) = client.finished()
    assert (execution["status"], execution["workflowId"]) == ("succeeded", workflow["workflowId"])
    sent = [each.json() for each in stand_ins.receiver.received if each.path == path]
    assert sent == [{"number": 7}]
    again = client.get(f"/api/events/{replayed['eventId']}").json()
    assert (again["outcome"], again["replayOf"]) == ("dispatched", event["eventId"])
    assert len(client.executions()) == 1


class Receiving:
    """One tenant with a webhook that nobody waits for, and what came to it."""

    def __init__(self, platform: Platform, receiver: str, numbers: range) -> None:
        tenant = f"tenant-{uuid.uuid4().hex[:12]}"
        self.client = Client(platform, platform.tokens.create(tenant=tenant, name="e2e"), tenant)
        self.numbers = numbers
        self.hook = webhook(self.client, receiver)

    def receive(self) -> None:
        with requests.Session() as session:
            for number in self.numbers:
                answer = session.post(self.hook["url"], json={"number": number}, timeout=60)
                assert answer.status_code == 200, answer.text

    def logged(self) -> bool:
        logged = self.client.listed("/api/events", webhookId=self.hook["id"], limit="100")
        return len(logged) == len(self.numbers)

    def replay(self) -> str:
        pass_on(self.client, self.hook["id"])
        chosen = {"webhookId": self.hook["id"], "outcome": "unmatched"}
        answer = self.client.post("/api/events/replay", {"filter": chosen})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["jobId"])

    def job(self, job_id: str) -> dict[str, Any] | None:
        found: dict[str, Any] = self.client.get(f"/api/jobs/{job_id}").json()
        return found if found["finishedAt"] else None


@pytest.mark.long
def test_events_are_replayed_all_together_exactly_once_while_functions_die(
    platform: Platform, stand_ins: StandIns
) -> None:
    path = f"/{uuid.uuid4().hex}"
    share = REPLAYS // TENANTS
    tenants = [
        Receiving(platform, stand_ins.receiver.url(path), range(at * share, (at + 1) * share))
        for at in range(TENANTS)
    ]
    total = share * TENANTS

    def effects() -> dict[int, set[str]]:
        """The number of a delivery → the ids of the messages that told of it."""
        found: dict[int, set[str]] = defaultdict(set)
        for request in list(stand_ins.receiver.received):
            if request.path == path:
                found[request.json()["number"]].add(request.headers["webhook-id"])
        return found

    with ThreadPoolExecutor(TENANTS) as pool:
        list(pool.map(Receiving.receive, tenants))
    eventually(lambda: all(each.logged() for each in tenants), seconds=600, every=2)
    started = time.monotonic()
    with impatient(platform):
        with killing(platform, VICTIMS) as killed:
            jobs = [each.replay() for each in tenants]
            eventually(lambda: len(effects()) >= total / 2, seconds=1800, every=1)
        ended = [
            eventually(lambda each=each, job=job: each.job(job), seconds=900, every=1)
            for each, job in zip(tenants, jobs, strict=True)
        ]
        eventually(lambda: len(effects()) == total, seconds=1800, every=1)
        executions = [finished(each.client, share) for each in tenants]
    counts = Counter(each["status"] for found in executions for each in found)
    requests_of_effects = sum(each.path == path for each in stand_ins.receiver.received)
    print(  # noqa: T201 - the counts are the point
        f"\n{total} events of {TENANTS} tenants replayed by {len(jobs)} jobs:"
        f" {Counter(each['status'] for each in ended)}, {sum(each['done'] for each in ended)} done"
        f"\nkilled: {killed.total()} processes {dict(killed)}"
        f"\nexecutions: {counts.total()} {dict(counts)}"
        f"\neffects: {len(effects())} events in {requests_of_effects} requests"
        f"\ndone in {time.monotonic() - started:.0f} s"
    )
    assert {(each["status"], each["done"]) for each in ended} == {("succeeded", share)}
    assert set(effects()) == set(range(total))
    assert {len(ids) for ids in effects().values()} == {1}
    assert counts == {"succeeded": total}
    assert killed.total() > 0
    for queue in ("EventsDeadLetterQueue", "JobsDeadLetterQueue", "ExecutionsDeadLetterQueue"):
        assert depth(platform, queue) == 0, queue
