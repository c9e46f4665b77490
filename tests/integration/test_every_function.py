"""What holds for every function: events are taken, bad requests are refused in one shape."""

import json
from typing import Any

import pytest

from tests.backend import EVENTS, Backend, event, first_event
from tools.template import Route, folder, resources, routes

FUNCTIONS = sorted(map(folder, resources("AWS::Serverless::Function").values()))
GUARDED = [route for route in routes() if not route.public and route.function != "get_openapi"]
WITH_BODY = [
    route
    for route in GUARDED
    if route.function
    in {
        "test_connection",
        "save_credentials",
        "run_action",
        "start_oauth",
        "create_workflow",
        "replace_workflow",
        "start_workflow",
    }
]
CASES = [
    (path.parent.name, path.stem)
    for path in sorted(EVENTS.glob("*/*.json"))
    # The bodies of deliveries, which providers send: their own tests take them in.
    if not (path.parent.name == "dispatch_event" and not path.stem.startswith("sqs"))
]


def named(route: Route) -> str:
    return route.function


def path_of(route: Route, **parameters: str) -> str:
    known = {
        "providerId": "telegram",
        "action": "sendMessage",
        "workflowId": "wf_0123456789abcdef0123",
        "executionId": "exe_9f86d081884c7d659a2feaa0c55ad015",
        "stepId": "rows",
        "handshakeId": "b3Nq0Y4mVxkq2w7J5c8zGQ",
    }
    return route.path.format(**{**known, **parameters})


@pytest.mark.parametrize(("function", "case"), CASES)
def test_every_example_event_is_understood(backend: Backend, function: str, case: str) -> None:
    held = event(function, case)
    if "routeKey" in held and function != "authorize_request":
        # Nobody plays the providers here: whoever asks them hears that they are down.
        assert backend.send(function, held).status not in {500, 503}
    else:
        backend.invoke(function, held)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_an_example_event(function: str) -> None:
    assert first_event(function)


@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_a_token_needs_the_scope_of_the_method(backend: Backend, route: Route) -> None:
    wrong, needed = ("write", "read") if route.method == "GET" else ("read", "write")
    for scopes in (wrong, "", f"{needed}er", "admin"):
        answer = backend.call(route.method, path_of(route), {}, scopes=scopes)
        assert (answer.status, answer.code) == (403, "insufficient_scope")
        assert needed in answer.json["detail"]
    assert not backend.aws.calls


@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_without_an_authorizer_nobody_comes_in(backend: Backend, route: Route) -> None:
    held = first_event(route.function)
    for authorizer in (None, {}, {"lambda": {}}, {"lambda": {"scopes": "read write"}}):
        held["requestContext"]["authorizer"] = authorizer
        answer = backend.send(route.function, held)
        assert (answer.status, answer.code) == (401, "unauthorized")
    assert not backend.aws.calls


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"params": NaN}',
        '{"params": {"n": Infinity}}',
        '{"params": {"n": -Infinity}}',
        '{"params": {"n": 1e999}}',
        '{"params": {"text": "\\ud800"}}',
        '{"\\udfff": 1}',
        "[" * 100_000,
        '{"a":' * 20_000,
        "1" * 10_000,
        "{'a': 1}",
        '{"a": 1,}',
        "\ufeff{}",
        "<xml/>",
        "a=1&b=2",
    ],
    ids=range(15),
)
def test_what_is_no_json_is_called_so(backend: Backend, route: Route, text: str) -> None:
    answer = backend.call(route.method, path_of(route), raw=text)
    assert (answer.status, answer.code) == (400, "malformed_json")
    assert not backend.aws.calls


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
def test_what_is_no_text_is_called_so(backend: Backend, route: Route) -> None:
    answer = backend.call(route.method, path_of(route), raw=b'{"a": "\xff\xfe"}')
    assert (answer.status, answer.code) == (400, "malformed_json")


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
@pytest.mark.parametrize("body", [[], "text", 1, True, [{"params": {}}]], ids=repr)
def test_a_body_that_is_no_object_is_refused(backend: Backend, route: Route, body: Any) -> None:
    answer = backend.call(route.method, path_of(route), body)
    assert answer.status == 422
    assert answer.fields
    assert not backend.aws.calls


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
@pytest.mark.parametrize("binary", [False, True])
def test_a_body_over_the_limit_is_too_large(
    backend: Backend, route: Route, *, binary: bool
) -> None:
    text = json.dumps({"params": "x" * 6_000_000})
    raw = text.encode() if binary else text
    answer = backend.call(route.method, path_of(route), raw=raw)
    assert (answer.status, answer.code) == (413, "payload_too_large")
    assert not backend.aws.calls


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if "{providerId}" in each.path], ids=named
)
@pytest.mark.parametrize("provider", ["slack", "Telegram", "__class__", "..", "ß", "x" * 3000])
def test_an_unknown_provider_is_named(backend: Backend, route: Route, provider: str) -> None:
    body = {"credentials": {}} if route.function == "save_credentials" else {}
    answer = backend.call(route.method, path_of(route, providerId=provider), body)
    assert (answer.status, answer.code) == (404, "unknown_provider")
    assert len(answer.json["detail"]) < 500


@pytest.mark.parametrize("function", ["get_credentials", "delete_credentials"])
@pytest.mark.parametrize("name", ["", "a b", "../x", "-", "x" * 65, "ß", "a#b", "a/b", "a\x00"])
def test_a_connections_name_is_plain(backend: Backend, function: str, name: str) -> None:
    method = "GET" if function == "get_credentials" else "DELETE"
    answer = backend.call(
        method, "/api/integrations/telegram/credentials", query={"connection": name}
    )
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert "connection" in answer.fields
    assert not backend.aws.calls


@pytest.mark.parametrize(
    "route",
    [each for each in GUARDED if "workflowId" in each.path or "executionId" in each.path],
    ids=named,
)
@pytest.mark.parametrize("ident", ["x" * 3000, "a b", "ß", "#", "wf_1\x00", "*"])
def test_an_id_that_we_never_gave_is_refused_without_asking_the_table(
    backend: Backend, route: Route, ident: str
) -> None:
    path = path_of(route, workflowId=ident, executionId=ident)
    answer = backend.call(route.method, path, {"name": "x"})
    assert answer.status in {404, 422}
    assert len(answer.json["detail"]) < 500
    assert not backend.aws.calls


@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_a_table_that_does_not_answer_is_a_failure_of_ours_without_details(
    backend: Backend, route: Route
) -> None:
    backend.aws.fail("", "AccessDeniedException", status=400)
    bodies: dict[str, Any] = {
        "run_action": {"params": {"chatId": 1, "text": "x"}},
        "save_credentials": {
            "credentials": {"url": "https://example.com/h/orders", "verifySecret": False}
        },
        "create_workflow": flow(),
        "replace_workflow": flow(),
    }
    provider = "webhook" if route.function == "save_credentials" else "telegram"
    if route.function == "start_oauth":
        provider = "sheets_oauth"
    answer = backend.call(
        route.method, path_of(route, providerId=provider), bodies.get(route.function)
    )
    if route.function == "list_integrations":
        assert answer.status == 200
        return
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "AccessDenied" not in answer.body


def flow() -> dict[str, Any]:
    return {
        "name": "x",
        "trigger": {"type": "manual"},
        "steps": [
            {"id": "a", "action": "telegram.sendMessage", "params": {"chatId": 1, "text": "x"}}
        ],
    }
