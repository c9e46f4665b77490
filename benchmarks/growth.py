"""What a delivery writes, by the size of what was sent and by the steps that it starts."""

import random
import string
from collections.abc import Callable
from http import HTTPStatus

from benchmarks.calls import CaseFailed
from benchmarks.reads import Reads
from benchmarks.wire import Wire
from benchmarks.world import TENANT, World, variables
from integrations.entry import wiring
from tests.backend import Backend
from tools.template import resources

BYTES = (200, 2_000, 20_000)
STEPS = (0, 1, 3, 10)
"""0 is a delivery that matches no workflow."""
SECRET = "secret-of-the-sender"

type Units = dict[str, dict[str, dict[str, float]]]


def measure(world: World, tick: Callable[[], None]) -> Units:
    """Deliver each case to a webhook in use and run it to its end.

    Returns:
        `writes` and `reads`: steps → bytes → units, all tables and indexes together.

    Raises:
        CaseFailed: An execution did not succeed.
    """
    reads = Reads()
    found: Units = {"writes": {}, "reads": {}}
    wire = Wire(world.aws.url, reads=reads)
    with wire, variables(world.environment | wire.environment):
        wiring.forget()
        backend = Backend(world.aws)
        wire.record("growth")
        for steps in STEPS:
            for length in BYTES:
                webhook = _prepare(backend, steps, length)
                # The first one tells the webhook that it is in use, for a minute and a process.
                _deliver(backend, webhook, length, 1)
                before, reads.units = _written(world), 0.0
                _deliver(backend, webhook, length, 2)
                for kind, spent in (("writes", _written(world) - before), ("reads", reads.units)):
                    found[kind].setdefault(str(steps), {})[str(length)] = spent
                _check(backend, webhook, steps)
                tick()
    wiring.forget()
    return found


def _written(world: World) -> float:
    return float(sum(map(world.aws.units, resources("AWS::DynamoDB::Table"))))


def _prepare(backend: Backend, steps: int, length: int) -> str:
    webhook = f"growth-{steps}-{length}"
    credentials = {
        "url": f"https://example.com/hooks/{webhook}",
        "secret": SECRET,
        "verifySecret": True,
    }
    backend.save("webhook", credentials, webhook, tenant=TENANT)
    if steps:
        tell = {"action": "telegram.sendMessage"}
        params = {"chatId": 987654321, "text": "Order {{ trigger.body.id }}"}
        definition = {
            "name": webhook,
            "trigger": {"type": "webhook", "webhookId": webhook},
            "steps": [{"id": f"s{number}", **tell, "params": params} for number in range(steps)],
        }
        backend.create_workflow(definition, tenant=TENANT)
    return webhook


def _deliver(backend: Backend, webhook: str, length: int, number: int) -> None:
    # Letters at random: what people send is compressed less well than one letter many times.
    letters = random.Random(length * number)  # noqa: S311 - the same in each run
    text = "".join(letters.choices(string.ascii_letters + string.digits, k=length - 24))
    body = {"id": 42, "text": text}
    answer = backend.deliver(webhook, body, {"X-Webhook-Secret": SECRET})
    if answer.status != HTTPStatus.OK:
        raise CaseFailed(f"{webhook}: {answer}")
    backend.drain()


def _check(backend: Backend, webhook: str, steps: int) -> None:
    found = backend.call("GET", "/api/executions", tenant=TENANT).json["items"]
    states = [each["status"] for each in found if each["workflowName"] == webhook]
    if states != ["succeeded"] * 2 * bool(steps):
        raise CaseFailed(f"{webhook}: {states}")
