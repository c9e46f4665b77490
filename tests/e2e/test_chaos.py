"""Many senders, a fifth of it twice, and functions that die all the time: nothing lost or doubled.

``make chaos`` sends the full 5,000; ``CHAOS_WEBHOOKS`` says another number.
"""

import hashlib
import hmac
import json
import os
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from random import SystemRandom

import pytest
import requests

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.killing import depth, finished, killing
from tests.e2e.lambdas import impatient

pytestmark = pytest.mark.e2e

WEBHOOKS = int(os.environ.get("CHAOS_WEBHOOKS", "320"))
SENDERS = 16
TWICE = 0.2
SECRET = "the-secret-of-every-sender"
RANDOM = SystemRandom()


class Sender:
    """One tenant with a webhook, a workflow that passes its deliveries on, and what it sent."""

    def __init__(self, platform: Platform, receiver: str) -> None:
        tenant = f"tenant-{uuid.uuid4().hex[:12]}"
        self.client = Client(platform, platform.tokens.create(tenant=tenant, name="e2e"), tenant)
        self.accepted: Counter[str] = Counter()
        self.refused = 0
        saved = self.client.save(
            "webhook",
            {
                "url": f"https://example.com/chaos-{uuid.uuid4().hex[:12]}",
                "outboundUrl": receiver,
                "secret": SECRET,
                "verification": {"type": "github"},
            },
        )
        self.id, self._url = saved["webhook"]["id"], saved["webhook"]["url"]
        self.workflow = self.client.create_workflow(
            {
                "name": "pass on",
                "trigger": {"type": "webhook", "webhookId": self.id},
                "steps": [
                    {
                        "id": "send",
                        "action": "webhook.send",
                        "params": {"json": {"delivery": "{{ trigger.body.delivery }}"}},
                    }
                ],
            }
        )

    def send(self, count: int) -> None:
        """Send so many deliveries, some of them twice; each until it is accepted, as senders do."""
        deliveries = [str(uuid.uuid4()) for _ in range(count)]
        doubled = RANDOM.sample(deliveries, round(count * TWICE))
        queue = [*deliveries, *doubled]
        RANDOM.shuffle(queue)
        with requests.Session() as session:
            for delivery in queue:
                self._deliver(session, delivery)

    def _deliver(self, session: requests.Session, delivery: str) -> None:
        body = json.dumps({"delivery": delivery}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": "sha256="
            + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        }
        for attempt in range(20):
            try:
                answer = session.post(self._url, data=body, headers=headers, timeout=30)
            except requests.RequestException:
                self.refused += 1
                continue
            if answer.status_code == 200:
                self.accepted[delivery] += 1
                return
            assert answer.status_code >= 500, answer.text
            self.refused += 1
            time.sleep(0.1 * 2 ** min(attempt, 5))
        raise AssertionError(f"{delivery} was never accepted")


@pytest.mark.long
def test_every_accepted_webhook_is_executed_exactly_once(
    platform: Platform, stand_ins: StandIns
) -> None:
    path = f"/{uuid.uuid4().hex}"
    senders = [Sender(platform, stand_ins.receiver.url(path)) for _ in range(SENDERS)]
    shares = [WEBHOOKS // SENDERS + (number < WEBHOOKS % SENDERS) for number in range(SENDERS)]

    def effects() -> dict[str, set[str]]:
        """Delivery → the ids of the messages that told of it."""
        found: dict[str, set[str]] = defaultdict(set)
        for request in list(stand_ins.receiver.received):
            if request.path == path:
                found[request.json()["delivery"]].add(request.headers["webhook-id"])
        return found

    started = time.monotonic()
    with impatient(platform):
        with killing(platform) as killed, ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(Sender.send, senders, shares))
            sent = time.monotonic()
            expected = {delivery for sender in senders for delivery in sender.accepted}
            # Half of what is left is executed under fire; the end has to come by itself.
            left = len(expected) - len(effects())
            eventually(lambda: len(expected) - len(effects()) <= left / 2, seconds=1800, every=1)
        eventually(lambda: len(effects()) >= len(expected) or None, seconds=600, every=1)
        executions = [
            finished(sender.client, share) for sender, share in zip(senders, shares, strict=True)
        ]
    done = time.monotonic()

    counts = Counter(each["status"] for found in executions for each in found)
    requests_of_effects = sum(request.path == path for request in stand_ins.receiver.received)
    deliveries = sum(sender.accepted.total() for sender in senders)
    print(  # noqa: T201 - the counts are the point
        f"\n{SENDERS} senders: {len(expected)} webhooks in {deliveries} accepted deliveries"
        f" ({sum(sender.refused for sender in senders)} answered with an error and sent again)"
        f"\nkilled: {killed.total()} processes {dict(killed)}"
        f"\nexecutions: {counts.total()} {dict(counts)}"
        f"\neffects: {len(effects())} deliveries in {requests_of_effects} requests"
        f"\nsent in {sent - started:.0f} s, done in {done - started:.0f} s:"
        f" {len(expected) / (done - started):.1f} executions/s"
    )
    assert len(expected) == WEBHOOKS
    assert set(effects()) == expected
    assert {len(ids) for ids in effects().values()} == {1}
    assert counts == {"succeeded": len(expected)}
    for queue in ("EventsDeadLetterQueue", "ExecutionsDeadLetterQueue"):
        assert depth(platform, queue) == 0, queue
    assert killed.total() > 0
