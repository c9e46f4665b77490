"""Any request gets a proper answer: every route, action, credential form and definition, spoiled.

Each request begins as a good one, from ``events/`` or a form of the catalogue, and is spoiled in
one or two places. Its seed makes it again. ``FUZZ=10000`` sends so many requests in place of 300.
"""

import base64
import copy
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

from integrations.entry.queue import RECEIVES_BEFORE_A_JOB_IS
from tests.backend import EVENTS, TENANT, Answer, Backend, body_of, event, first_event
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import TelegramServer
from tests.integration import oauth
from tools.template import ROOT

pytestmark = pytest.mark.usefixtures("built_console")

REQUESTS = int(os.environ.get("FUZZ", "300"))
EACH = 100
"""Requests to one set of tables: fresh ones are not over the tenant's quotas."""

PACKAGE = ROOT / "layers" / "provider" / "integrations"
CATALOGUE: list[dict[str, Any]] = json.loads((PACKAGE / "data/catalogue.json").read_bytes())[
    "items"
]
OPENAPI: dict[str, Any] = json.loads((PACKAGE / "data/openapi.json").read_bytes())

DOCUMENTED = {502: {"provider_unavailable"}, 504: {"provider_timeout"}}
"""The only statuses from 500 on: a provider's. What this backend stands on is not down here."""

PAGES = {"complete_oauth", "get_console", "get_deletion"}
"""Who answers a person's browser, and so with a page."""

HTTP = [
    (path.parent.name, path.stem)
    for path in sorted(EVENTS.glob("*/*.json"))
    if "requestContext" in (payload := event(path.parent.name, path.stem))
    and "routeArn" not in payload
]

# -- What is odd -----------------------------------------------------------------------------

LONG_NUMBER = "@number-of-5000-digits@"
ENDLESS = "@1e999@"
"""Stand for what Python's ``json`` does not write."""


def nested(depth: int) -> Any:
    value: Any = "deep"
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


TEXTS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "a\r\nX-Injected: b",
    "\ud800",
    "a\udfffb",
    "{{ trigger.body }}",
    "{{ secrets.SHOP_KEY }}",
    "{{ steps.tell.output }}",
    "{{ 'a' * 99999999 }}",
    "{{ [1][9] }}",
    "{{",
    "}} {{ {{",
    "{{ " + "(" * 300 + " }}",
    "{{ ''.__class__ }}",
    "NaN",
    "-1",
    "9" * 400,
    "1e999",
    "../../etc/passwd",
    "a" * 70_000,
    "é🙂" * 600,
    "=?utf-8?b?4pyT?=",
    "data:;base64,%%%",
    "AAA=A",
    '{"a": ',
    "[" * 2000,
    "0000-00-00T99:99:99Z",
    "9999-12-31T23:59:59.999999999Z",
    "http://[::1",
    "http://169.254.169.254/latest/meta-data",
    "javascript:alert(1)",
    "rate(0 minutes)",
    "cron(* * * * * *)",
    "Europe/Nowhere",
    "@@",
    "a@b",
    "\u202eabc",
]
VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**40,
    1e308,
    5e-324,
    -0.0,
    0.1,
    float("nan"),
    float("inf"),
    LONG_NUMBER,
    ENDLESS,
    [],
    {},
    [[]],
    [None],
    {"": None},
    nested(20),
    nested(90),
    nested(400),
    list(range(1500)),
    {f"k{number}": number for number in range(400)},
]
NAMES = ["", "x", "__proto__", "a.b", "$ref", "\ud800", "\x00", "x" * 3000, "{{ a }}", "0", "id"]
PARTS = ["x", "a" * 300, "\x00", "{{ a }}", "..", "%", "%00", "💥", "a b", "a#b", "'", "-", "*"]
QUERIES = [
    "",
    "-1",
    "0",
    "1e9",
    "NaN",
    "9" * 30,
    "%00",
    "%ED%A0%80",
    "%zz",
    "%",
    "a" * 3000,
    "eyJ",
    "e30",
    "%F0%9F%92%A5",
    "[]",
    "2026-11-22T00:00:00Z",
    "2026-13-99",
    "%0D%0AX:%20y",
    "{{ a }}",
    "+",
]
HEADERS = [
    ("content-type", ""),
    ("content-type", "text/plain; charset=nonsense"),
    ("content-type", "application/json; charset=utf-16"),
    ("content-type", "multipart/form-data"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "ä/é"),
    ("content-length", "-1"),
    ("accept", "\\"),
    ("accept-encoding", "gzip;q=x, *;q=9"),
    ("idempotency-key", ""),
    ("idempotency-key", "k" * 2000),
    ("idempotency-key", "{{ a }} ä"),
    ("if-none-match", '"' * 30),
    ("x-hub-signature-256", "sha256=zz"),
    ("x-telegram-bot-api-secret-token", "ä"),
    ("x-forwarded-for", "nobody, 1.2"),
    ("origin", "null"),
    ("cookie", "a=b; ;=;"),
    ("host", "a b"),
    ("x-odd", "a" * 9000),
]
BODIES: list[bytes | str] = [
    "",
    " ",
    "null",
    "[]",
    '"x"',
    "1",
    "NaN",
    "{",
    '{"a":1,"a":2}',
    '{"a":1}x',
    "[" * 20_000,
    '{"a":' * 5000,
    "\ufeff{}",
    "a=1&b=%zz&c",
    b"\xff\xfe{\x00}\x00",
    b"\xed\xa0\x80",
    b"\x00",
    b"--x\r\nContent-Disposition: form-data\r\n\r\n",
]


SECRETIVE = [
    "{{ secrets.SHOP_KEY }}",
    "{{ secrets.SHOP_KEY|int(0) }}",
    "{{ secrets['SHOP_KEY']|reverse|upper }}",
    "{% set key = secrets.SHOP_KEY %}{% for each in key|list %}{{ each }}-{% endfor %}",
    "{{ {'a': [secrets.SHOP_KEY|length, secrets.SHOP_KEY[3:]]} }}",
]
"""Templates that make something of a secret."""

VERIFICATIONS: list[dict[str, Any]] = [
    {"type": "none"},
    {"type": "secret", "header": "X-Key", "prefix": "Key "},
    {"type": "hmac", "header": "X-Sig", "prefix": "sha1=", "algorithm": "sha1"},
    {"type": "github"},
    {"type": "standard-webhooks", "toleranceSeconds": 60},
    {"type": "stripe", "toleranceSeconds": 60},
    {"type": "telegram"},
    {"type": "basic", "username": "shop"},
    {"type": "jwt", "issuer": "https://issuer.example.com", "audience": "shop"},
    {"type": "ip", "ranges": ["203.0.113.0/24", "2001:db8::/32"]},
]
"""How deliveries are verified, each kind once."""


# -- Requests --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A good request, before it is spoiled: an event and its body."""

    function: str
    event: Mapping[str, Any]
    body: Any


def posted(function: str, path: str, parameters: Mapping[str, str], body: Any) -> Case:
    """A request to another path of a function that an example has."""
    payload = first_event(function)
    payload |= {"rawPath": path, "pathParameters": dict(parameters)}
    payload["requestContext"]["http"]["path"] = path
    return Case(function, payload, body)


def filled(schema: Mapping[str, Any]) -> Any:
    """A value for a form: its example, its default, or one of its type."""
    for name in ("examples", "enum", "anyOf", "oneOf"):
        if schema.get(name):
            first = schema[name][0]
            return filled(first) if name.endswith("Of") else first
    of_type = {
        "object": {name: filled(each) for name, each in schema.get("properties", {}).items()},
        "array": [],
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1),
        "boolean": True,
    }
    return schema.get("default", of_type.get(schema.get("type", ""), "text"))


@dataclass(frozen=True, slots=True)
class Stage:
    """What requests find: the ids of what there is, the good credentials, addresses."""

    known: Mapping[str, str]
    credentials: Mapping[str, Mapping[str, Any]]
    url: str


class Cases:
    """Every kind of request once, each made anew for whoever spoils it."""

    def __init__(self, stage: Stage, secrets: set[str]) -> None:
        self._stage = stage
        self._secrets = secrets
        self._made: list[Callable[[], Case]] = [partial(self._example, *each) for each in HTTP]
        for provider in CATALOGUE:
            self._made += self._of(provider)
        kinds: list[dict[str, Any]] = [
            {"forEach": "{{ trigger.body.items }}"},
            {"retry": {"attempts": 3}},
            {"when": "{{ trigger.body.a > 1 }}"},
        ]
        for kind in kinds:
            step = {"id": "a", "action": "telegram.getMe", "params": {}, **kind}
            self._made.append(partial(self._define, "replace_workflow", step))
        for template in SECRETIVE:
            step = {"id": "a", "action": "webhook.send", "params": {"json": {"key": template}}}
            self._made.append(partial(self._define, "replace_workflow", step))
            self._made.append(partial(self._define, "preview_workflow", step))
        for rule in VERIFICATIONS:
            given = {
                "url": "https://example.com/hooks/second",
                "secret": "a-secret-of-32-characters-or-more",
                "verification": rule,
            }
            self._made.append(partial(self._save, "save_credentials", "webhook", given))
        defining = itertools.cycle(["create_workflow", "check_workflow"])
        for trigger, function in zip(triggers(), defining, strict=False):
            self._made.append(partial(self._trigger, function, trigger))

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, number: int) -> Case:
        return self._made[number]()

    def _of(self, provider: Mapping[str, Any]) -> Iterator[Callable[[], Case]]:
        identity = provider["id"]
        defining = itertools.cycle(["create_workflow", "check_workflow", "preview_workflow"])
        for action, function in zip(provider["actions"], defining, strict=False):
            yield partial(self._act, identity, action)
            name, params = f"{identity}.{action['name']}", action["example"]
            yield partial(self._define, function, {"id": "a", "action": name, "params": params})
        for function in ("save_credentials", "test_connection"):
            yield partial(self._save, function, identity, self._stage.credentials.get(identity, {}))
            yield partial(self._save, function, identity, provider["credentials"] or {}, form=True)

    def _secret(self) -> str:
        made = f"planted-secret-{len(self._secrets):06d}-of-the-fuzz"
        self._secrets.add(made)
        return made

    def _example(self, function: str, name: str) -> Case:
        payload = event(function, name)
        body = payload.get("body")
        if body is not None and payload.get("isBase64Encoded"):
            body = base64.b64decode(body).decode(errors="replace")
        with suppress(TypeError, ValueError):
            body = json.loads(body)
        if function == "save_secret":
            body["value"] = self._secret()
        return Case(function, payload, body)

    def _act(self, provider: str, action: Mapping[str, Any]) -> Case:
        path = f"/api/integrations/{provider}/actions/{action['name']}"
        parameters = {"providerId": provider, "action": action["name"]}
        return posted("run_action", path, parameters, {"params": action["example"]})

    def _save(
        self, function: str, provider: str, given: Mapping[str, Any], *, form: bool = False
    ) -> Case:
        """Good credentials, or a form filled with secrets where it hides what is typed."""
        credentials = given
        if form:
            credentials = {
                name: self._secret() if hidden(each) else filled(each)
                for name, each in given.get("properties", {}).items()
            }
        words = "test" if function == "test_connection" else "credentials"
        path = f"/api/integrations/{provider}/{words}"
        body = {"credentials": credentials, "connection": "second"}
        return posted(function, path, {"providerId": provider}, body)

    def _trigger(self, function: str, trigger: Mapping[str, Any]) -> Case:
        step = {"id": "a", "action": "telegram.getMe", "params": {}}
        body = {"name": "Triggered", "trigger": trigger, "steps": [step]}
        return Case(function, first_event(function), body)

    def _define(self, function: str, step: Mapping[str, Any]) -> Case:
        body = body_of("create_workflow", "orders") | {"steps": [step]}
        if function == "preview_workflow":
            body = {"definition": body, "event": {"data": {"body": {"a": 1}}}}
        if function != "replace_workflow":
            return Case(function, first_event(function), body)
        identity = self._stage.known["workflowId"]
        return posted(function, f"/api/workflows/{identity}", {"workflowId": identity}, body)


def triggers() -> Iterator[dict[str, Any]]:
    """Each kind of trigger with all that it may ask for."""
    for provider in CATALOGUE:
        for each in provider["triggers"]:
            fields = each["filters"].get("properties", {})
            asked = {name: filled(field) for name, field in fields.items()}
            yield {"type": each["type"], "filter": "trigger.a > 1", "oncePer": "trigger.a", **asked}
    yield {"type": "manual"}
    for expression in ("rate(5 minutes)", "cron(0 9 * * ? *)", "at(2030-01-01T09:00:00)"):
        yield {"type": "schedule", "expression": expression, "timezone": "Europe/Berlin"}


def hidden(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("writeOnly")) or schema.get("x-control") == "password"


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as the container and the key in it."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places(value[key])


def spoil(value: Any, random: Random) -> Any:
    """A JSON value with one thing wrong."""
    root = {"value": copy.deepcopy(value)}
    container, key = random.choice(list(places(root)))
    if isinstance(container[key], dict) and random.random() < 0.3:
        container[key][random.choice(NAMES)] = random.choice([*TEXTS, *VALUES])
    elif container is not root and isinstance(container, dict) and random.random() < 0.2:
        payload = container.pop(key)
        if random.random() < 0.5:
            container[random.choice([key.upper(), f"{key}s", f" {key}", *NAMES])] = payload
    elif random.random() < 0.1:
        container[key] = [container[key]] * random.choice([1, 2, 300])
    else:
        container[key] = random.choice(random.choice([TEXTS, VALUES]))
    return root["value"]


def written(body: Any) -> str:
    text = json.dumps(body)
    return text.replace(f'"{LONG_NUMBER}"', "9" * 5000).replace(f'"{ENDLESS}"', "1e999")


@cache
def query_names(function: str) -> tuple[str, ...]:
    """The parameters that the OpenAPI document gives to the routes of a function."""
    names = [
        each["name"]
        for methods in OPENAPI["paths"].values()
        for operation in methods.values()
        if snake(operation.get("operationId", "")) == function
        for each in operation.get("parameters", [])
        if each.get("in") == "query"
    ]
    return tuple(dict.fromkeys([*names, "x"]))


def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def generate(made: Cases, stage: Stage, number: int) -> tuple[str, Any, Any]:
    """The request of a seed: its function, its event, and the JSON that was sent."""
    order = list(range(len(made)))
    Random(number // len(made)).shuffle(order)
    random = Random(number)
    case = made[order[number % len(made)]]
    payload, body = copy.deepcopy(dict(case.event)), case.body
    parameters = {**payload.get("pathParameters", {})}
    # What there is, rather than what the example names.
    for name, value in stage.known.items():
        if name in parameters and random.random() < 0.8:
            parameters[name] = value
    for _ in range(random.choice([1, 1, 1, 2])):
        if body is not None and random.random() < 0.75:
            body = spoil(body, random)
        else:
            spoil_around(payload, parameters, case.function, stage, random)
    if body is not None:
        payload |= carried(body, stage, random)
    path = payload["requestContext"]["routeKey"].split(" ", 1)[-1]
    if parameters and "{" in path:
        path = re.sub(r"\{(\w+)\+?\}", lambda found: parameters.get(found[1], "x"), path)
        payload |= {"rawPath": path, "pathParameters": parameters}
        payload["requestContext"]["http"]["path"] = path
    if "authorizer" in payload["requestContext"]:
        # What is erased must not be what everything else needs.
        tenant = "erased" if case.function == "erase_tenant" else TENANT
        holder = {"tenant": tenant, "scopes": "read write admin", "name": "fuzz"}
        payload["requestContext"]["authorizer"] = {"lambda": holder}
    return case.function, payload, body


def spoil_around(
    payload: dict[str, Any], parameters: dict[str, str], function: str, stage: Stage, random: Random
) -> None:
    """Make a part of the path, a parameter of the query or a header odd."""
    chance = random.random()
    if parameters and chance < 0.3:
        name = random.choice(sorted(parameters))
        parameters[name] = random.choice([*PARTS, *stage.known.values()])
    elif chance < 0.7:
        name = random.choice(query_names(function))
        value = random.choice([*QUERIES, *map(quote, stage.known.values())])
        given = [payload.get("rawQueryString", ""), f"{name}={value}"]
        raw = "&".join(filter(None, given))
        payload |= {"rawQueryString": raw, "queryStringParameters": dict(parse_qsl(raw))}
    else:
        name, value = random.choice(HEADERS)
        payload["headers"] = {**payload["headers"], name: value}


def carried(body: Any, stage: Stage, random: Random) -> dict[str, Any]:
    """The fields of an event that carry a body, which at times is no JSON at all."""
    sent: bytes | str = written(body)
    chance = random.random()
    if chance < 0.02:
        return {"isBase64Encoded": True, "body": "%%%=broken base64"}
    if chance < 0.08:
        sent = random.choice([*BODIES, written(body)[: random.randrange(50)]])
    if isinstance(sent, bytes):
        return {"isBase64Encoded": True, "body": base64.b64encode(sent).decode()}
    # No request leaves this machine.
    sent = re.sub(r"https?://(?:[\w-]+\.)+[a-z]+", stage.url, sent)
    sent = re.sub(r"\b[a-z]{1,20}\.example\.com", "127.0.0.1", sent)
    return {"isBase64Encoded": False, "body": sent}


# -- What must hold --------------------------------------------------------------------------


@cache
def known_names() -> frozenset[str]:
    """Every name that the documents give to a field or a parameter."""
    names = {"cron", "expression", "timezone"}  # of a schedule: documented in prose alone

    for container, key in places([OPENAPI, CATALOGUE]):
        if key == "properties" and isinstance(container[key], dict):
            names.update(container[key])
        if key == "name" and isinstance(container[key], str):
            names.add(container[key])
    return frozenset(names)


def check(function: str, answer: Answer, sent: Any) -> None:
    """What every answer must be; its shape is checked as it comes."""
    if answer.status < 400:
        return
    if answer.status >= 500:
        assert answer.status in DOCUMENTED, answer
        assert answer.code in DOCUMENTED[answer.status], answer
    if answer.headers["Content-Type"].startswith("text/html"):
        assert function in PAGES, answer
        return
    assert re.fullmatch(r"[a-z_]+", answer.code)
    assert answer.json["requestId"]
    keys = {str(key) for _, key in places([sent])}
    for field, message in answer.fields.items():
        assert message.strip(), answer
        for part in re.findall(r"[A-Za-z_][\w-]*", field):
            as_sent = part in known_names() or any(part in key for key in keys)
            assert as_sent, f"{field} is no field of what was sent: {answer}"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer("none", users={"shop@example.com": "password-of-the-mail-server"}) as running:
        yield running


@pytest.fixture
def stage(
    backend: Backend,
    telegram: TelegramServer,
    google_server: FakeGoogle,
    facebook: FacebookStandIn,
    receiver: Receiver,
    mail: MailServer,
) -> Stage:
    """A tenant with a connection at every provider, a secret, a workflow, and an event of it."""
    user = facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
    google_server.add_book({"Orders": [["Id", "Status"], [1, "open"]]})
    credentials: dict[str, dict[str, Any]] = {
        "telegram": {"botToken": telegram.token},
        "sheets": {"serviceAccount": google_server.add_service_account()},
        "facebook": {
            "appId": facebook.app_id,
            "appSecret": facebook.app_secret,
            "accessToken": facebook.user_token(user),
        },
        "email": {
            "host": "127.0.0.1",
            "port": mail.port,
            "user": "shop@example.com",
            "pass": "password-of-the-mail-server",
            "secure": "none",
        },
        "webhook": {"url": receiver.url("/hooks/orders")},
    }
    private = str(credentials["sheets"]["serviceAccount"]["private_key"])
    backend.secrets |= {
        "password-of-the-mail-server",
        "value-of-the-shops-key",
        private.splitlines()[3],
    }
    for provider, given in credentials.items():
        backend.save(provider, given)
    for provider in ("sheets_oauth", "facebook_oauth"):
        oauth.connect(backend, provider)
    saved = backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": "value-of-the-shops-key"})
    assert saved.status == 200, saved
    workflow = backend.create_workflow(body_of("create_workflow", "orders"))
    answer = backend.deliver("orders", {"order": {"id": 1, "total": 2}})
    backend.drain()
    known = {
        "workflowId": workflow["workflowId"],
        "executionId": backend.executions()[0]["executionId"],
        "eventId": answer.json["eventId"],
        "stepId": "tell",
        "webhookId": "orders",
        "name": "SHOP_KEY",
    }
    return Stage(known, credentials, receiver.url("").rstrip("/"))


COUNTS: Counter[str] = Counter()


@pytest.mark.parametrize("first", range(0, REQUESTS, EACH))
def test_whatever_comes_gets_a_proper_answer(
    backend: Backend, stage: Stage, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    made = Cases(stage, backend.secrets)
    failed: list[str] = []
    for number in range(first, min(first + EACH, REQUESTS)):
        function, sent, body = generate(made, stage, number)
        try:
            parameters = sent.get("queryStringParameters")
            check(function, answer := backend.send(function, sent), [body, parameters])
        except Exception as problem:  # noqa: BLE001 - whatever it is, with what brought it
            request = json.dumps(sent)[:6000]
            failed.append(f"seed {number}, {function}: {problem!r:.3000}\n{request}")
            continue
        code = f" {answer.code}" if answer.status >= 400 and answer.body[:1] == "{" else ""
        COUNTS[f"{answer.status}{code}"] += 1
    # Shown with -s.
    print(f"{sum(COUNTS.values())} requests: {dict(COUNTS.most_common())}")  # noqa: T201
    assert not failed, "\n\n".join(failed)
    # What was taken does no harm when it is worked on.
    for _ in range(5):
        assert not backend.dispatch()
        if backend.aws.sent("ExecutionsQueue"):
            assert not backend.run()
    # An erasure takes the rows of other jobs along; their messages come a few times more.
    backend.run_jobs(receives=RECEIVES_BEFORE_A_JOB_IS)


def test_whatever_is_sent_as_a_token_opens_nothing(backend: Backend) -> None:
    payload = event("authorize_request", "api_token")
    for text in (*TEXTS, *PARTS, "Bearer", "Bearer  ", "Basic YTpi"):
        for header in (text, f"Bearer {text}", f"Bearer ib_{text}", f"Bearer e30.{text}.e30"):
            payload["headers"]["authorization"] = header
            answer = backend.invoke("authorize_request", payload)
            opened = answer["isAuthorized"] and set(answer["context"]) != {"problem"}
            assert not opened, header
