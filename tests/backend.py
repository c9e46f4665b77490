"""The functions as Lambda calls them: by their files, with API Gateway's and SQS's own events.

``events/<function>/<case>.json`` holds the events; what a test sends differs from them only where
the test says so.
"""

import base64
import copy
import gzip
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

from integrations.storage.aws import item
from tests.fakes.aws import FakeAws, Sent
from tools import openapi
from tools.functions import module
from tools.template import ROOT, route_of, routes

EVENTS = ROOT / "events"
TENANT = "acme"

JSON_TYPES = ("application/json", "application/problem+json")
PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "requestId"}


@dataclass(slots=True)
class LambdaContext:
    """What Lambda gives a function beside the event."""

    seconds: float = 120.0
    function_name: str = "test"
    function_version: str = "1"
    memory_limit_in_mb: str = "512"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:test"
    aws_request_id: str = "5f9a1c52-9a5e-4d5b-8f5a-0c2b7e8d9a10"
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._until - time.monotonic()) * 1000))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered to an HTTP request."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        """The body as strict JSON."""
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def code(self) -> str:
        """A problem's code."""
        return str(self.json["code"])

    @property
    def fields(self) -> dict[str, str]:
        """A problem's fields and what is wrong with each."""
        return {each["field"]: each["message"] for each in self.json.get("errors", [])}


class Backend:
    """All functions on a stand-in of AWS.

    Attributes:
        aws: The stand-in.
        secrets: What must never be seen in an answer, a log line, a message or a row.
    """

    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws
        self.secrets: set[str] = set()

    # -- Lambda ------------------------------------------------------------------------------

    def invoke(
        self, function: str, event: Mapping[str, Any], context: LambdaContext | None = None
    ) -> Any:
        """Call a function's handler, with its role; what goes in and out passes through JSON."""
        event = json.loads(json.dumps(event))
        handler = module(function).handler
        with self.aws.called_by(function):
            result = handler(event, context or LambdaContext())
        text = json.dumps(result, allow_nan=False)
        self.check_secrets(text, f"the answer of {function}")
        return json.loads(text)

    def check_secrets(self, text: str, where: str) -> None:
        """Fail where a secret is in a text."""
        found = [secret for secret in self.secrets if secret in text]
        assert not found, f"{where} holds the secrets {found}"

    # -- API Gateway -------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: str = TENANT,
        scopes: str = "read write",
        caller: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | Sequence[tuple[str, str]] | str = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | str | None = None,
        context: LambdaContext | None = None,
        written: Callable[[str], str] = str.lower,
    ) -> Answer:
        """Send a request by the route that the template declares.

        Args:
            method, path: Of the request.
            body: A JSON value.
            tenant, scopes: What the authorizer said.
            caller: What else it said.
            query: Parameters, or the raw query string.
            headers: More headers.
            raw: A body as it is, in place of ``body``; bytes arrive in base64.
            context: Lambda's, where it matters.
            written: How header names arrive: API Gateway lowers them, SAM leaves them as they are.
        """
        route, parameters = route_of(method, path)
        event = first_event(route.function)
        event.pop("queryStringParameters", None)
        event.pop("body", None)
        event |= {
            "routeKey": route.key,
            "rawPath": path,
            "pathParameters": parameters,
            "isBase64Encoded": isinstance(raw, bytes),
            **_query(query),
        }
        if raw is not None:
            event["body"] = base64.b64encode(raw).decode() if isinstance(raw, bytes) else raw
        elif body is not None:
            event["body"] = json.dumps(body)
        event["headers"] = {
            written(name): value
            for name, value in {
                "accept": "*/*",
                "content-type": "application/json",
                "host": event["requestContext"]["domainName"],
                **{name.lower(): value for name, value in (headers or {}).items()},
            }.items()
        }
        event["requestContext"] |= {"routeKey": route.key}
        event["requestContext"]["http"] |= {"method": method, "path": path}
        if not route.public:
            holder = {"tenant": tenant, "scopes": scopes, "name": "test", **(caller or {})}
            event["requestContext"]["authorizer"] = {"lambda": holder}
        return self.send(route.function, event, context)

    def send(
        self, function: str, event: Mapping[str, Any], context: LambdaContext | None = None
    ) -> Answer:
        """Send a whole event of API Gateway; every problem must have its shape."""
        result = self.invoke(function, event, context)
        answer = Answer(result["statusCode"], result.get("headers", {}), _body(result))
        kind = answer.headers.get("Content-Type", "")
        if kind in JSON_TYPES:
            assert isinstance(answer.json, dict | list)
        if answer.status >= 400 and not kind.startswith("text/html"):
            assert kind == "application/problem+json", answer
            problem = answer.json
            assert problem.keys() >= PROBLEM_FIELDS, problem
            assert problem["status"] == answer.status
            assert problem["requestId"] == event["requestContext"]["requestId"]
            assert len(answer.body) < 20_000, "a problem must not repeat what was sent"
            refused = (problem["status"], problem["code"])
            assert refused in documented()[function], f"{function}: {refused} is not documented"
        return answer

    def deliver(
        self,
        webhook_id: str,
        body: bytes | str | Any,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | str = "",
    ) -> Answer:
        """Post to a webhook: bytes and text as they are, anything else as JSON."""
        path = f"/api/webhooks/{webhook_id}"
        raw = body if isinstance(body, bytes | str) else json.dumps(body)
        return self.call("POST", path, raw=raw, headers=headers, query=query)

    # -- SQS ---------------------------------------------------------------------------------

    def consume(
        self,
        function: str,
        messages: Sequence[Sent | Any],
        *,
        receives: int = 1,
        context: LambdaContext | None = None,
    ) -> list[str]:
        """Give a batch to a consumer; returns the ids of the messages that it reports as failed."""
        shape = first_event(function, "sqs")["Records"][0]
        records = []
        for number, message in enumerate(messages):
            record = copy.deepcopy(shape)
            record["messageId"] = message.id if isinstance(message, Sent) else f"message-{number}"
            record["body"] = message.body if isinstance(message, Sent) else _text(message)
            record["attributes"]["ApproximateReceiveCount"] = str(receives)
            records.append(record)
        answer = self.invoke(function, {"Records": records}, context)
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    def dispatch(self) -> list[str]:
        """Dispatch what waits in the events queue, up to one batch."""
        return self.consume("dispatch_event", self.aws.take("EventsQueue"))

    def run(self, most: int = 1, *, context: LambdaContext | None = None) -> list[str]:
        """Run what waits in the executions queue, whatever its delay."""
        return self.consume("run_workflow", self.aws.take("ExecutionsQueue", most), context=context)

    def run_jobs(
        self, rounds: int = 1000, *, context: LambdaContext | None = None, receives: int = 1
    ) -> None:
        """Carry jobs on until none waits, whatever their delay."""
        consumers = {"JobsQueue": "run_job", "ErasuresQueue": "run_erasure"}
        for _ in range(rounds):
            taken = {queue: self.aws.take(queue, 1) for queue in consumers}
            if not any(taken.values()):
                return
            self.let_jobs_be_due()
            for queue, messages in taken.items():
                if messages:
                    consumer = consumers[queue]
                    failed = self.consume(consumer, messages, context=context, receives=receives)
                    assert failed == []
        raise AssertionError("the jobs do not end")

    def let_jobs_be_due(self) -> None:
        """Have the time come for which jobs wait."""
        for row in self.aws.rows("JobsTable"):
            if row.get("dueAt"):
                self.aws.put("JobsTable", item(row | {"dueAt": 0}))

    def webhooks(self) -> list[dict[str, Any]]:
        """The rows of webhooks, without those that the stack has for itself in the same table."""
        rows = self.aws.rows("WebhooksTable")
        return [row for row in rows if not row["webhookId"].startswith("*")]

    def drain(self, rounds: int = 100, pace: float = 0.0) -> None:
        """Let the consumers work until both queues are empty."""
        for _ in range(rounds):
            if self.aws.sent("EventsQueue"):
                assert not self.dispatch()
            if self.aws.sent("ExecutionsQueue"):
                assert not self.run()
            if not self.aws.sent("EventsQueue") and not self.aws.sent("ExecutionsQueue"):
                return
            time.sleep(pace)
        raise AssertionError("the queues do not become empty")

    # -- what many tests begin with ----------------------------------------------------------

    def begin_with(self, *connections: tuple[str, Mapping[str, Any], str]) -> None:
        """Save connections that must be good; the first test does it, others find the rows so.

        Args:
            connections: Provider, credentials and name of each.
        """
        name = repr(connections)
        if self.aws.recall(name):
            return
        for provider, credentials, connection in connections:
            self.save(provider, credentials, connection)
        self.aws.remember(name)

    def save(
        self,
        provider: str,
        credentials: Mapping[str, Any],
        connection: str = "default",
        *,
        tenant: str = TENANT,
    ) -> Any:
        """Save credentials that must be good; returns the metadata."""
        answer = self.call(
            "POST",
            f"/api/integrations/{provider}/credentials",
            {"credentials": dict(credentials), "connection": connection},
            tenant=tenant,
        )
        assert answer.status == 200, answer
        return answer.json

    def create_workflow(self, definition: Mapping[str, Any], *, tenant: str = TENANT) -> Any:
        """Save a workflow that must be good; returns it."""
        answer = self.call("POST", "/api/workflows", dict(definition), tenant=tenant)
        assert answer.status == 200, answer
        return answer.json

    def executions(self, *, tenant: str = TENANT) -> list[Any]:
        """The tenant's executions whole, newest first."""
        found = self.call("GET", "/api/executions", tenant=tenant).json["items"]
        return [self.execution(each["executionId"], tenant=tenant) for each in found]

    def execution(self, execution_id: str, *, tenant: str = TENANT) -> Any:
        """One execution, whole."""
        answer = self.call("GET", f"/api/executions/{execution_id}", tenant=tenant)
        assert answer.status == 200, answer
        return answer.json


def incompressible(size: int) -> bytes:
    """Bytes that no packing makes fewer, the same each time."""
    return Random(1).randbytes(size)


def noise(length: int) -> str:
    """Twice as many hexadecimal digits, the same each time, that pack to half at best."""
    return incompressible(length).hex()


def eventually[T](look: Callable[[], T], seconds: float = 60.0) -> T:
    """What ``look`` gives, as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(LookupError):
            if found := look():
                return found
        time.sleep(0.01)
    return look()


# -- Events and modules ----------------------------------------------------------------------


def event(function: str, case: str) -> dict[str, Any]:
    """An event from ``events/<function>/<case>.json``."""
    payload: dict[str, Any] = json.loads(_read(function, case))
    return payload


@cache
def _read(function: str, case: str) -> str:
    return (EVENTS / function / f"{case}.json").read_text(encoding="utf-8")


def body_of(function: str, case: str) -> Any:
    """The JSON body of an HTTP event."""
    return json.loads(event(function, case)["body"])


@cache
def _first_case(function: str, beginning: str) -> str:
    return min(EVENTS.joinpath(function).glob(f"{beginning}*.json")).stem


def first_event(function: str, beginning: str = "") -> dict[str, Any]:
    """The first of a function's events: the shape of them all."""
    return event(function, _first_case(function, beginning))


@cache
def documented() -> Mapping[str, set[tuple[int, str]]]:
    """Function → each status and code that the OpenAPI document says its routes refuse with."""
    document = json.loads(openapi.FILE.read_bytes())
    shared = document["components"]["responses"]
    found: dict[str, set[tuple[int, str]]] = {}
    for route in routes():
        operation = document["paths"][route.openapi_path][route.method.lower()]
        codes = found.setdefault(route.function, set())
        for status, response in operation["responses"].items():
            name = response.get("$ref", "").rpartition("/")[2]
            listed = (shared[name] if name else response).get("x-codes", ())
            codes |= {(int(status), code) for code in listed}
    return found


def _query(query: Mapping[str, Any] | Sequence[tuple[str, str]] | str) -> dict[str, Any]:
    raw = query if isinstance(query, str) else urlencode(query, doseq=True)
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return {"rawQueryString": raw} | ({"queryStringParameters": parameters} if parameters else {})


def _body(result: Mapping[str, Any]) -> str:
    """A body as a browser shows it."""
    body: str = result.get("body", "")
    if not result.get("isBase64Encoded"):
        return body
    content = base64.b64decode(body)
    if result["headers"].get("Content-Encoding") == "gzip":
        content = gzip.decompress(content)
    return content.decode()


def _text(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
