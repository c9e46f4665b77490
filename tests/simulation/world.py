"""The backend as the template wires it: functions, queues, schedules and routes in one process.

The handlers are the real ones. What a Lambda remembers between two invocations is its sandbox's
here: ``remembering`` has ``integrations.memory`` keep it there.
"""

import io
import json
import logging
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.fakes.dynamodb import Tables, Write
from tests.simulation import remembering
from tests.simulation.chance import Chance
from tests.simulation.clock import CLOCK
from tests.simulation.cloud import S3, Cloud, Cut, Throttled, next_firing
from tests.simulation.providers import (
    APP_ID,
    APP_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    OWN_HOST,
    Providers,
    Unavailable,
    Unreachable,
)
from tests.simulation.queues import Message, Queue, Queues
from tests.simulation.scheduler import Process, Scheduler, Threads
from tests.simulation.weather import Weather
from tools.functions import module
from tools.template import ROOT, functions, resources, route_of, template

EVENTS = ROOT / "events"
PUBLIC_URL = f"https://{OWN_HOST}"
MOST_AT_ONCE = 4
"""How many invocations of a consumer run side by side."""

UNTIMELY = frozenset({"killed before", "killed after", "frozen", "timeout"})
DOUBTFUL = frozenset({"late before", "late after", "down"})
"""After these nobody knows whether a step was carried out."""

REFUSALS: Mapping[str, type[Exception]] = {
    "throttled": Throttled,
    "busy": Throttled,
    "down": Unavailable,
    "unreachable": Unreachable,
}
"""What is answered where nothing happens."""

WARM_SECONDS = 900
FREEZES = (15.0, 110.0)
SLOW = (5.0, 21.0)


@dataclass(slots=True, eq=False)
class Sandbox:
    """What one execution environment of Lambda remembers.

    Attributes:
        made: What ``integrations.memory`` keeps.
    """

    function: str
    used_at: float = 0.0
    made: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got; ``status`` 0 for none."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


@dataclass(slots=True)
class Context:
    """Lambda's."""

    deadline: float
    function_name: str
    aws_request_id: str
    function_version: str = "1"
    memory_limit_in_mb: str = "512"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:sim"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.deadline - CLOCK.now) * 1000))


class World:
    """One simulated world.

    Attributes:
        trace: What happened, line by line, where somebody wants to read it.
        counts: How often each function ran, and each trouble came.
    """

    def __init__(self, chance: Chance, *, traced: bool = False) -> None:
        self.chance = chance
        self.weather = Weather(chance, fine=True)
        self.scheduler = Scheduler(chance)
        self.counts: Counter[str] = Counter()
        self.trace: list[str] | None = [] if traced else None
        self.digest = 0
        self.living: dict[str, Process] = {}
        self.requests = 0
        self.looking = False
        self.sent_by: Counter[str] = Counter()
        self.on_write: Callable[[Write], None] = lambda _: None
        self.on_message: Callable[[str, Message], None] = lambda *_: None
        self.on_deleted: Callable[[Queue, Message], None] = lambda *_: None
        self.on_died: Callable[[Process, str], None] = lambda *_: None
        self.on_answer: Callable[[str, Answer], None] = lambda *_: None
        self.on_log: Callable[[str], None] = lambda _: None
        tables = Tables(lambda: CLOCK.now, self._lag, self._written)
        queues = Queues(lambda: CLOCK.now, self._name_message, self._twice, self._message_seen)
        self.cloud = Cloud(self.around, tables, queues, "")
        self.cloud.create(
            GoogleClientId=CLIENT_ID,
            GoogleClientSecret=CLIENT_SECRET,
            FacebookAppId=APP_ID,
            FacebookAppSecret=APP_SECRET,
        )
        self.cloud.secret = json.dumps(
            {
                "googleClientId": CLIENT_ID,
                "googleClientSecret": CLIENT_SECRET,
                "facebookAppId": APP_ID,
                "facebookAppSecret": APP_SECRET,
            }
        )
        self.cloud.on_schedule = self._schedule
        self.providers = Providers(
            self.around,
            lambda: self.scheduler.process.name,
            lambda name: name in self.living,
            self._deliver_to_ourselves,
        )
        self._idle: dict[str, list[Sandbox]] = {}
        self._authorized: dict[str, tuple[float, Any]] = {}
        self._writes = 0
        self._consumers: list[_Consumer] = []
        INSTALLED.append(self)
        self._wire()

    # -- effects -----------------------------------------------------------------------------

    def around(
        self, service: str, what: str, serve: Callable[[], Any], patience: float = 10.0
    ) -> Any:
        """One effect of whoever runs, and what goes wrong with it."""
        if self.looking or not self.scheduler.in_process:
            return serve()
        process = self.scheduler.process
        process.effects += 1
        name = f"{process.name}:{process.effects}"
        self.scheduler.pause(self.chance.seconds(name))
        trouble = self.weather.of_effect(service, name, CLOCK.now)
        if trouble:
            self.trouble(trouble, at_aws=service != "provider" or trouble in UNTIMELY)
        self.note(name, service, what, trouble)
        if trouble in REFUSALS:
            raise REFUSALS[trouble]
        self._before(process, name, trouble, patience)
        result = serve()
        if trouble == "killed after":
            self.scheduler.kill(process, "killed")
        if service == "provider":
            self.scheduler.pause(self.chance.seconds(f"{name}:back"))
        if trouble in {"cut after", "late after"}:
            self.scheduler.pause(self.chance.between(f"{name}:cut", 0.01, patience))
            raise Cut
        return result

    def _before(self, process: Process, name: str, trouble: str, patience: float) -> None:
        """What may happen before an effect."""
        match trouble:
            case "killed before":
                self.scheduler.kill(process, "killed")
            case "cut before" | "late before":
                self.scheduler.pause(self.chance.between(f"{name}:cut", 0.01, patience))
                raise Cut
            case "frozen":
                process.frozen_until = CLOCK.now + self.chance.between(f"{name}:freeze", *FREEZES)
                self.scheduler.pause(0.0)
            case "slow":
                self.scheduler.pause(self.chance.between(f"{name}:slow", *SLOW))

    def trouble(self, kind: str, *, at_aws: bool = True) -> None:
        """Count something that goes wrong."""
        self.counts[kind] += 1
        self.counts["trouble"] += 1
        self.counts["trouble at AWS"] += at_aws
        self.counts["doubt"] += kind in UNTIMELY or kind in DOUBTFUL

    def note(self, *words: object) -> None:
        """Write down what happens: in the trace where there is one, in its sum always."""
        line = f"{CLOCK.now - 1_795_348_800:.3f} " + " ".join(map(str, words))
        self.digest = zlib.crc32(line.encode(), self.digest)
        if self.trace is not None:
            self.trace.append(line)

    def _lag(self) -> float:
        self._writes += 1
        if self.chance.plain:
            return 0.0
        drawn = self.chance.fraction(f"lag:{self._writes}")
        return drawn / 50 if drawn < 0.95 else (drawn - 0.95) * 40

    def _written(self, write: Write) -> None:
        self.on_write(write)

    def _name_message(self) -> str:
        sender = self.scheduler.process.name if self.scheduler.in_process else "world"
        self.sent_by[sender] += 1
        return f"{sender}>{self.sent_by[sender]}"

    def _twice(self, name: str) -> bool:
        if happens := self.weather.happens("twice", name):
            self.trouble("twice")
        return happens

    def _message_seen(self, queue: str, message: Message) -> None:
        self.note("message", message.name, queue)
        self.on_message(queue, message)

    # -- Lambda ------------------------------------------------------------------------------

    def invoke(
        self,
        function: str,
        name: str,
        event: Mapping[str, Any],
        done: Callable[[Any, str], None],
    ) -> None:
        """Run a function; ``done`` gets its answer, or why there is none."""
        self.counts[function] += 1
        event = json.loads(json.dumps(event))
        timeout = functions()[function].get("Timeout") or _default_timeout()
        sandbox = self._sandbox(function, name)
        process = Process(name, CLOCK.now + timeout, sandbox)
        process.context["began"] = CLOCK.now
        context = Context(process.deadline, function, name)
        self.living[name] = process
        self.note("invoke", function, name)

        def work() -> Any:
            answer = module(function).handler(event, context)
            return json.loads(json.dumps(answer, allow_nan=False))

        def finished(result: Any, why: str) -> None:
            self.living.pop(name, None)
            self.note("end", name, why)
            if why:
                self.trouble(why.partition(":")[0])
                self.on_died(process, why)
            else:
                sandbox.used_at = CLOCK.now
                self._idle.setdefault(function, []).append(sandbox)
            done(result, why)

        self.scheduler.start(process, work, finished)

    def _sandbox(self, function: str, name: str) -> Sandbox:
        idle = self._idle.setdefault(function, [])
        while idle:
            sandbox = idle.pop()
            if CLOCK.now - sandbox.used_at < WARM_SECONDS and (
                self.chance.plain or self.chance.fraction(f"{name}:cold") > 0.1
            ):
                return sandbox
        return Sandbox(function)

    # -- what calls functions ----------------------------------------------------------------

    def _wire(self) -> None:
        by_logical = {
            logical: Path(each["CodeUri"]).name
            for logical, each in resources("AWS::Serverless::Function").items()
        }
        for each in resources("AWS::Lambda::EventSourceMapping").values():
            function = by_logical[each["FunctionName"]["Ref"]]
            queue = self.cloud.queue(each["EventSourceArn"]["Fn::GetAtt"][0])
            self._consumers.append(_Consumer(self, function, queue, each["BatchSize"]))
        for function, properties in functions().items():
            for event in properties.get("Events", {}).values():
                if event["Type"] in {"Schedule", "ScheduleV2"}:
                    assert event["Properties"]["ScheduleExpression"] == "rate(1 minute)"
                    self._each_minute(function, 1)

    def _each_minute(self, function: str, number: int) -> None:
        def tick() -> None:
            self._each_minute(function, number + 1)
            if self._is_due(function):
                event = _event(function, "")
                self.invoke(function, f"{function}@{number}", event, lambda *_: None)

        self.scheduler.after(60, tick)

    def _is_due(self, function: str) -> bool:
        """Whether a schedule's function would find anything: else it need not run."""
        table = {"recover_executions": "ExecutionsTable", "refresh_connections": "ConnectionsTable"}
        if function not in table:
            return True
        view = self.cloud.tables.tables[table[function]].indexes["due"]
        view.settle(CLOCK.now)
        return any(float(each["dueAt"]["N"]) <= CLOCK.now for each in view.items.values())

    def _schedule(self, name: str) -> None:
        made = self.cloud.schedules[name]
        moment = next_firing(made, CLOCK.now)
        if moment is None:
            return

        def fire() -> None:
            if self.cloud.schedules.get(name) is not made:
                return
            stamp = CLOCK.now
            from datetime import UTC, datetime

            time = datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            body = made.message.replace("<aws.scheduler.scheduled-time>", time)
            for _ in range(1 + self.weather.happens("twice", f"schedule:{name[:8]}:{time}")):
                self.cloud.queues.send(made.queue, {"MessageBody": body})
            if made.expression.startswith("at("):
                self.cloud.schedules.pop(name, None)
            else:
                self._schedule(name)

        self.scheduler.at(moment, fire)

    # -- API Gateway -------------------------------------------------------------------------

    def call(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        done: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        """Send a request; ``done`` gets the answer."""
        route, parameters = route_of(method, path)
        event = _event(route.function, "")
        for absent in ("queryStringParameters", "body", "cookies"):
            event.pop(absent, None)
        self.requests += 1
        raw = urlencode(query or {})
        event |= {
            "routeKey": route.key,
            "rawPath": path,
            "pathParameters": parameters,
            "isBase64Encoded": False,
            "rawQueryString": raw,
            **({"queryStringParameters": dict(query)} if query else {}),
        }
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        event["headers"] = {
            "content-type": "application/json",
            "host": OWN_HOST,
            **({"authorization": f"Bearer {token}"} if token else {}),
            **{each.lower(): value for each, value in (headers or {}).items()},
        }
        context = event["requestContext"]
        context |= {"routeKey": route.key, "requestId": f"request-{self.requests}"}
        context["http"] |= {"method": method, "path": path}
        context.pop("authorizer", None)

        def answered(result: Any, why: str) -> None:
            answer = (
                Answer(503 if why == "timeout" else 500, json.dumps({"message": why}))
                if why
                else Answer(int(result["statusCode"]), _body(result))
            )
            self.on_answer(name, answer)
            done(answer)

        def authorized(result: Any, why: str) -> None:
            if why or not result["isAuthorized"]:
                done(Answer(500 if why else 403, "{}"))
                return
            self._authorized.setdefault(token, (CLOCK.now, result))
            context["authorizer"] = {"lambda": result.get("context", {})}
            self.invoke(route.function, name, event, answered)

        at, before = self._authorized.get(token, (0.0, None))
        if route.public:
            self.invoke(route.function, name, event, answered)
        elif before and CLOCK.now - at < reauthorized_every():
            authorized(before, "")
        else:
            self._authorized.pop(token, None)
            asked = _event("authorize_request", "") | {
                "identitySource": [f"Bearer {token}"],
                "headers": event["headers"],
                "routeKey": route.key,
                "rawPath": path,
            }
            self.invoke("authorize_request", f"{name}/auth", asked, authorized)

    def ask(self, name: str, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Send a request and let the world go on until it is answered."""
        answers: list[Answer] = []
        self.call(name, method, path, body, done=answers.append, **more)
        self.scheduler.run(CLOCK.now + 120, idle=lambda: bool(answers))
        return answers[0]

    def _deliver_to_ourselves(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        sender = self.scheduler.process
        name = f"{sender.name}:{sender.effects}/hook"
        self.scheduler.after(
            0, lambda: self.call(name, "POST", path, body.decode(), headers=headers)
        )

    # -- the end -----------------------------------------------------------------------------

    @property
    def waiting_messages(self) -> int:
        """How many messages are in the consumers' queues."""
        return sum(len(each.queue.messages) for each in self._consumers)


class _Consumer:
    """An event source mapping: takes batches from a queue, and deletes what was worked on."""

    def __init__(self, world: World, function: str, queue: Queue, batch: int) -> None:
        self.world, self.function, self.queue, self.batch = world, function, queue, batch
        self.running = 0
        queue.on_message = lambda message: self._look_at(message.visible_at, message.name)

    def _look_at(self, moment: float, name: str) -> None:
        wait = self.world.chance.seconds(f"{name}:poll")
        self.world.scheduler.at(moment + wait, self._poll)

    def _poll(self) -> None:
        world = self.world
        if self.running >= MOST_AT_ONCE:
            return  # whoever ends looks again
        found = self.queue.visible(CLOCK.now)
        if not world.chance.plain:
            found.sort(key=lambda each: world.chance.fraction(f"{each.name}:{each.receives}:order"))
        taken: list[Message] = []
        for message in found[: self.batch]:
            if self.queue.receive(message, CLOCK.now):
                taken.append(message)
                self._look_at(message.visible_at, message.name)
            else:
                world.note("dead letter", message.name)
                world.trouble("dead letter")
        if not taken:
            return
        name = f"{taken[0].name}#{taken[0].receives}"
        if world.weather.happens("refused by Lambda", name):
            world.trouble("refused by Lambda")
            return  # throttled: the messages come again after their visibility
        self.running += 1
        receipts = [(message, message.receipt) for message in taken]
        event = {"Records": [self._record(message) for message in taken]}
        world.invoke(
            self.function, name, event, lambda result, why: self._done(receipts, result, why)
        )
        if len(found) > len(taken):
            self._look_at(CLOCK.now, name)

    def _record(self, message: Message) -> dict[str, Any]:
        shape: dict[str, Any] = _event(self.function, "sqs")["Records"][0]
        shape |= {"messageId": message.id, "receiptHandle": message.receipt, "body": message.body}
        shape["attributes"] |= {
            "ApproximateReceiveCount": str(message.receives),
            "MessageGroupId": message.group,
        }
        return shape

    def _done(self, receipts: list[tuple[Message, str]], result: Any, why: str) -> None:
        self.running -= 1
        failed = {each["itemIdentifier"] for each in (result or {}).get("batchItemFailures", ())}
        for message, receipt in receipts:
            if why or message.id in failed:
                continue
            if self.world.weather.happens("not deleted", receipt):
                self.world.trouble("not deleted")
                continue
            self.queue.delete(receipt)
            self.world.note("deleted", message.name)
            self.world.on_deleted(self.queue, message)
        self.world.scheduler.after(0, self._poll)


# -- the process under simulation ------------------------------------------------------------

INSTALLED: list[World] = []
"""The present world, last."""


def install() -> None:
    """Let the modules under test live in the present world, for good."""
    import os
    import traceback

    from aws_lambda_powertools import Logger

    from integrations.entry import wiring
    from integrations.services import dispatch, runner
    from integrations.services.connections import due
    from integrations.storage.aws import Aws, AwsCredentials, client
    from integrations.workflows.expressions import parser

    threads = Threads(lambda: INSTALLED[-1].scheduler)
    runner.threading = threads  # type: ignore[assignment]
    dispatch.ThreadPoolExecutor = threads.ThreadPoolExecutor  # type: ignore[assignment,misc]
    due.ThreadPoolExecutor = threads.ThreadPoolExecutor  # type: ignore[assignment,misc]

    def aws() -> Aws:
        cloud = INSTALLED[-1].cloud
        made = Aws(region="us-east-1", credentials=lambda: AwsCredentials("AKIASIM", "x", None))
        made._transport = cloud  # type: ignore[assignment]
        made.__dict__ |= {"s3": S3(cloud)}
        return made

    wiring.aws = remembering._once(aws)
    wiring.http = remembering._once(lambda: INSTALLED[-1].providers)  # type: ignore[return-value]
    remembering.lives_in(_present_memory)
    # What a text means never changes: to read it once saves a tenth of a simulation. Signatures,
    # which nobody checks here, and the marks in a traceback's lines took another.
    parser._understood = {}
    client.signed = lambda headers, *_, **__: headers
    traceback.StackSummary._should_show_carets = lambda *_: False  # type: ignore[attr-defined]
    os.environ |= {
        "POWERTOOLS_LOG_LEVEL": "WARNING",
        "POWERTOOLS_SERVICE_NAME": "simulation",
        "AWS_REGION": "us-east-1",
    }
    _listen(Logger, logging)


def _present_memory() -> dict[Any, Any] | None:
    world = INSTALLED[-1] if INSTALLED else None
    if world is None or not world.scheduler.in_process:
        return None
    memory: dict[Any, Any] = world.scheduler.process.sandbox.made
    return memory


def enter(world: World) -> None:
    """Give the process the environment of a world's functions, and forget the world before."""
    import os

    from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

    for name in [each for each in os.environ if each.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= world.cloud.environment | {
        "PUBLIC_BASE_URL": PUBLIC_URL,
        "AWS_REGION": "us-east-1",
        "POWERTOOLS_LOG_LEVEL": "WARNING",
        "POWERTOOLS_SERVICE_NAME": "simulation",
    }
    remembering.forget_outside()
    base: Any = BaseRouter

    def switched() -> Callable[[], None]:
        # Powertools remembers the present request for the whole process; each Lambda has one.
        before = base.__dict__.get("current_event"), base.__dict__.get("lambda_context")

        def back() -> None:
            base.current_event, base.lambda_context = before

        return back

    world.scheduler.switched = switched


class _Log(io.TextIOBase):
    """Where everything is logged to."""

    def write(self, text: str) -> int:
        if INSTALLED and text.strip():
            INSTALLED[-1].on_log(text)
        return len(text)


def _listen(logger: Any, logs: Any) -> None:
    stream = _Log()
    logger(service="simulation", stream=stream, level="WARNING")
    root = logs.getLogger()
    root.handlers = [logs.StreamHandler(stream)]
    root.setLevel("WARNING")
    sys.stdout = _Tee(sys.stdout, stream)  # type: ignore[assignment]


class _Tee(io.TextIOBase):
    """Prints of a simulated process are its log; those of the simulator go to the terminal."""

    def __init__(self, terminal: Any, log: _Log) -> None:
        self._terminal, self._log = terminal, log

    def write(self, text: str) -> int:
        if INSTALLED and INSTALLED[-1].scheduler.in_process:
            return self._log.write(text)
        return int(self._terminal.write(text))

    def flush(self) -> None:
        self._terminal.flush()


def _event(function: str, beginning: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_event_text(function, beginning))
    return loaded


@cache
def _event_text(function: str, beginning: str) -> str:
    found = min(EVENTS.joinpath(function).glob(f"{beginning}*.json"))
    return found.read_text(encoding="utf-8")


@cache
def reauthorized_every() -> int:
    """Seconds for which API Gateway gives an authorizer's last answer again."""
    auth = template()["Resources"]["HttpApi"]["Properties"]["Auth"]["Authorizers"]
    (authorizer,) = auth.values()
    return int(authorizer["Identity"]["ReauthorizeEvery"])


@cache
def _default_timeout() -> int:
    return int(template()["Globals"]["Function"]["Timeout"])


def _body(result: Mapping[str, Any]) -> str:
    import base64
    import gzip

    body: str = result.get("body", "")
    if not result.get("isBase64Encoded"):
        return body
    content = base64.b64decode(body)
    if result["headers"].get("Content-Encoding") == "gzip":
        content = gzip.decompress(content)
    return content.decode()
