"""What a delivery writes, calls and logs, by its size and the steps that it starts."""

import contextlib
import copy
import io
import random
import string
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from benchmarks.calls import CaseFailed
from benchmarks.reads import Reads
from benchmarks.wire import Wire
from benchmarks.world import TENANT, World, variables
from integrations import memory
from tests.backend import Backend, LambdaContext
from tests.fakes.aws import FakeAws
from tools.template import resources

BYTES = (200, 2_000, 20_000)
STEPS = (0, 1, 3, 10)
"""0 is a delivery that matches no workflow."""
SECRET = "secret-of-the-sender"

type Units = dict[str, dict[str, dict[str, Any]]]


class Watched(Backend):  # type: ignore[misc]  # what it is, is checked with the tests
    """The functions, with what each does counted.

    Args:
        aws: The stand-in.
        wire: Knows what is called.

    Attributes:
        done: Function → how `times` it was called, what it `calls` of AWS, its `log_bytes`.
    """

    def __init__(self, aws: FakeAws, wire: Wire) -> None:
        super().__init__(aws)
        self._wire = wire
        self.done: dict[str, dict[str, Any]] = {}

    def invoke(
        self, function: str, event: Mapping[str, Any], context: LambdaContext | None = None
    ) -> Any:
        """Call a function's handler, and count."""
        before = len(self._wire.calls)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            answer = super().invoke(function, event, context)
        done = self.done.setdefault(function, {"times": 0, "calls": Counter(), "log_bytes": 0})
        done["times"] += 1
        done["calls"].update(self._wire.calls[before:])
        done["log_bytes"] += len(printed.getvalue().encode())
        return answer


def measure(world: World, tick: Callable[[], None]) -> Units:
    """Deliver each case to a webhook in use and run it to its end.

    Returns:
        `writes` and `reads`: steps → bytes → units, all tables and indexes together; likewise
        `functions`: what each function did, see `Watched.done`.

    Raises:
        CaseFailed: An execution did not succeed.
    """
    reads = Reads()
    found: Units = {"writes": {}, "reads": {}, "functions": {}}
    wire = Wire(world.aws.url, reads=reads)
    with wire, variables(world.environment | wire.environment):
        memory.forget()
        backend = Watched(world.aws, wire)
        wire.record("growth")
        for steps in STEPS:
            for length in BYTES:
                webhook = _prepare(backend, steps, length)
                # The first one tells the webhook that it is in use, for a minute and a process.
                _deliver(backend, webhook, length, 1)
                before, reads.units, backend.done = _written(world), 0.0, {}
                _deliver(backend, webhook, length, 2)
                counted = {
                    "writes": _written(world) - before,
                    "reads": reads.units,
                    "functions": copy.deepcopy(backend.done),
                }
                for kind, spent in counted.items():
                    found[kind].setdefault(str(steps), {})[str(length)] = spent
                _check(backend, webhook, steps)
                tick()
    memory.forget()
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
    letters = random.Random(length * number)
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
