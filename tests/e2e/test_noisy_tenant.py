"""The noisy tenant: while it floods the heaviest that it may save, another's events come through.

``pytest -s`` prints how long the other's events take from webhook to action, idle and meanwhile.
"""

import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually
from tests.fakes.receiver import Receiver, Reply

pytestmark = pytest.mark.e2e

TARPIT_SECONDS = 8.0
SAMPLES = 8
TERM = "(trigger.body.rows|selectattr('a', 'equalto', -1)|list|length > {number})"
HEAVY = " or ".join(TERM.format(number=number) for number in range(30))
"""A filter that would take minutes over the rows below; the event's budget ends it."""

ROWS = json.dumps({"rows": [{"a": number, "text": "x" * 80} for number in range(50_000)]}).encode()


class Sender:
    """A tenant with one webhook, and where its workflows send to."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.tenant = f"{name}-{uuid.uuid4().hex[:12]}"
        token = platform.tokens.create(tenant=self.tenant, name="e2e")
        self.client = Client(platform, token, self.tenant)
        saved = self.client.save("webhook", {"url": f"https://example.com/{self.tenant}"})
        self.url = str(saved["webhook"]["url"])
        self.hook = self.url.rpartition("/")[2]

    def listens(self, target: str, **trigger: Any) -> None:
        self.client.create_workflow(
            {
                "name": "send",
                "trigger": {"type": "webhook", "webhookId": self.hook, **trigger},
                "steps": [
                    {
                        "id": "send",
                        "action": "webhook.send",
                        "params": {"url": target, "json": {"n": "{{ trigger.body.n }}"}},
                        "retry": {"maxAttempts": 1},
                    }
                ],
            }
        )

    def deliver(self, body: bytes) -> None:
        """Send until it is accepted: a busy machine's stand-in of AWS may need too long for it."""
        headers = {"Content-Type": "application/json"}

        def accepted() -> bool:
            answer = requests.post(self.url, data=body, headers=headers, timeout=120)
            assert answer.status_code in {200, 503}, answer.text
            return answer.status_code == 200

        eventually(accepted, every=1)


def arrival(receiver: Receiver, path: str) -> Callable[[], bool]:
    return lambda: any(each.path == path for each in list(receiver.received))


def time_to_action(quiet: Sender, receiver: Receiver, number: int) -> tuple[float, float]:
    """Seconds from the webhook to its answer, and to the action that it leads to."""
    already = sum(each.path == f"/{quiet.tenant}" for each in list(receiver.received))
    began = time.monotonic()
    quiet.deliver(json.dumps({"n": number}).encode())
    answered = time.monotonic()
    eventually(
        lambda: sum(each.path == f"/{quiet.tenant}" for each in list(receiver.received)) > already,
        seconds=120,
        every=0.01,
    )
    return answered - began, time.monotonic() - began


def stages(quiet: Sender) -> str:
    """Of the newest executions: how long until they were made, until they ran, and to their end."""
    found = quiet.client.executions()[:SAMPLES]
    whole = [quiet.client.get(f"/api/executions/{each['executionId']}").json() for each in found]
    parts: list[list[float]] = [[], [], []]
    for each in whole:
        event_id = each["trigger"]["eventId"].rpartition(":")[2]
        event = quiet.client.get(f"/api/events/{event_id}").json()
        moments = [event["receivedAt"], each["createdAt"], each["startedAt"], each["finishedAt"]]
        times = [datetime.fromisoformat(moment) for moment in moments]
        for part, (begin, end) in zip(parts, pairwise(times), strict=True):
            part.append((end - begin).total_seconds())
    words = ("dispatched", "begun", "run")
    return ", ".join(
        f"{word} in {median(part):.2f} s (at most {max(part):.2f} s)"
        for word, part in zip(words, parts, strict=True)
    )


def shown(name: str, times: list[tuple[float, float]]) -> str:
    answered, acted = zip(*times, strict=True)
    return (
        f"{name}: answered in {median(answered):.2f} s, at most {max(answered):.2f} s; "
        f"acted in {median(acted):.2f} s, at most {max(acted):.2f} s"
    )


def test_another_tenant_s_events_come_through_while_one_floods(
    platform: Platform, stand_ins: StandIns
) -> None:
    quiet, noisy = Sender(platform, "quiet"), Sender(platform, "noisy")
    quiet.listens(stand_ins.receiver.url(f"/{quiet.tenant}"))
    with Receiver() as tarpit:
        tarpit.default = Reply(delay=TARPIT_SECONDS)
        noisy.listens(tarpit.url("/slow"), filter="trigger.body.n is defined")
        for _ in range(10):
            noisy.listens(tarpit.url("/slow"), filter=HEAVY)
        time_to_action(quiet, stand_ins.receiver, 0)
        idle = [time_to_action(quiet, stand_ins.receiver, number) for number in range(SAMPLES)]
        print(shown("idle", idle), stages(quiet), sep="\n  ")  # noqa: T201 - what is measured

        for number in range(24):
            noisy.deliver(json.dumps({"n": number}).encode())
        eventually(arrival(tarpit, "/slow"), every=0.05)
        tarred = [time_to_action(quiet, stand_ins.receiver, number) for number in range(SAMPLES)]
        stuck = len(tarpit.received)
        name = f"beside 24 slow executions, {stuck} of them begun"
        print(shown(name, tarred), stages(quiet), sep="\n  ")  # noqa: T201
        assert stuck < 24, "they are over: nothing was measured beside them"

        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(noisy.deliver, ROWS) for _ in range(12)]
            time.sleep(2)
            flooded = [time_to_action(quiet, stand_ins.receiver, n) for n in range(SAMPLES)]
            for each in sent:
                each.result()
        name = "beside 12 of the heaviest events as well"
        print(shown(name, flooded), stages(quiet), sep="\n  ")  # noqa: T201
        tarpit.default = Reply()
