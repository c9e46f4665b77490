"""What holds for every function: events are taken, bad requests are refused in one shape."""

import json
from typing import Any

import pytest

from integrations.entry.problem import MAX_BODY_BYTES
from tests.backend import EVENTS, Backend, event, first_event
from tests.integration.guarded_routes import GUARDED, good_call, named, path_of
from tools.template import Route, folder, resources

pytestmark = pytest.mark.usefixtures("built_console")

FUNCTIONS = sorted(map(folder, resources("AWS::Serverless::Function").values()))
WITH_BODY = [
    route
    for route in GUARDED
    if route.function
    in {
        "create_token",
        "create_connect_session",
        "save_secret",
        "test_connection",
        "save_credentials",
        "run_action",
        "start_oauth",
        "create_workflow",
        "replace_workflow",
        "start_workflow",
        "replay_events",
        "retry_executions",
    }
]
CASES = [(path.parent.name, path.stem) for path in sorted(EVENTS.glob("*/*.json"))]


@pytest.mark.parametrize(("function", "case"), CASES)
def test_every_example_event_is_understood(backend: Backend, function: str, case: str) -> None:
    payload = event(function, case)
    if "routeKey" in payload and function != "authorize_request":
        # Nobody plays the providers here: whoever asks them hears that they are down.
        assert backend.send(function, payload).status not in {500, 503}
    else:
        backend.invoke(function, payload)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_an_example_event(function: str) -> None:
    assert first_event(function)


ALL = "read write admin"
ADMIN = {
    "list_tokens",
    "create_token",
    "delete_token",
    "list_audit",
    "export_tenant",
    "erase_tenant",
}


def scope_of(route: Route) -> str:
    if route.function in ADMIN:
        return "admin"
    return "read" if route.method == "GET" else "write"


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if each.function != "get_connect_session"], ids=named
)
def test_a_token_needs_the_scope_of_the_route(backend: Backend, route: Route) -> None:
    needed = scope_of(route)
    others = " ".join(sorted({"read", "write", "admin"} - {needed}))
    for scopes in (others, "", f"{needed}er", f"{needed},other"):
        answer = backend.call(route.method, path_of(route), {}, scopes=scopes)
        assert (answer.status, answer.code) == (403, "insufficient_scope")
        assert needed in answer.json["detail"]
    assert not backend.aws.calls
    assert {each["outcome"] for each in backend.aws.rows("AuditTable")} == {"insufficient_scope"}


@pytest.mark.parametrize("route", GUARDED, ids=named)
@pytest.mark.parametrize(
    ("problem", "words"), [("invalid_token", "not known"), ("token_expired", "expired")]
)
def test_a_token_that_opens_nothing_gets_a_problem_that_a_page_can_read(
    backend: Backend, route: Route, problem: str, words: str
) -> None:
    payload = first_event(route.function)
    payload["requestContext"]["authorizer"] = {"lambda": {"problem": problem}}
    answer = backend.send(route.function, payload)
    assert (answer.status, answer.code) == (401, problem)
    assert words in answer.json["detail"]
    assert (
        'Bearer realm="integrations", error="invalid_token"' in answer.headers["WWW-Authenticate"]
    )
    assert not backend.aws.calls


@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_json_is_stored_nowhere_and_sniffed_by_nobody(backend: Backend, route: Route) -> None:
    for scopes in ("", "read write admin"):
        answer = backend.call(route.method, path_of(route), scopes=scopes)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


CONNECT = {
    "kind": "connect",
    "id": "tok_0123456789abcdef01234567",
    "providers": "telegram sheets_oauth",
    "connection": "shop",
    "redirectUri": "",
    "expiresAt": "1795350600.0",
}
FOR_SESSIONS = {
    "test_connection",
    "save_credentials",
    "get_credentials",
    "start_oauth",
    "get_oauth_status",
    "get_connect_session",
}


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if each.function not in FOR_SESSIONS], ids=named
)
@pytest.mark.parametrize("scopes", ["connect", "connect read write admin"])
def test_a_connect_session_is_good_for_no_other_route(
    backend: Backend, route: Route, scopes: str
) -> None:
    answer = backend.call(
        route.method, path_of(route), {}, scopes=scopes, caller=CONNECT, query="connection=shop"
    )
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert not backend.aws.calls


def test_a_sessions_request_cannot_name_one_connection_in_its_body_and_use_another(
    backend: Backend,
) -> None:
    for method, body, query in (
        ("GET", {"connection": "shop"}, "connection=default"),
        ("GET", None, "connection=shop&connection=default"),
        ("POST", {"connection": "default", "credentials": {}}, "connection=shop"),
    ):
        path = "/api/integrations/telegram/credentials"
        answer = backend.call(method, path, body, scopes="connect", caller=CONNECT, query=query)
        assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert not backend.aws.calls


SESSION_ROUTES = [
    each for each in GUARDED if each.function in FOR_SESSIONS and "{providerId}" in each.path
]


@pytest.mark.parametrize("route", SESSION_ROUTES, ids=named)
@pytest.mark.parametrize(
    ("provider", "named_connection"),
    [("email", "shop"), ("telegram", "default"), ("telegram", None), ("telegram", 7)],
)
def test_a_connect_session_is_good_for_its_providers_and_its_name_alone(
    backend: Backend, route: Route, provider: str, named_connection: Any
) -> None:
    body, query = None, ""
    if route.method == "GET":
        query = f"connection={named_connection}" if named_connection else ""
    else:
        body = {"connection": named_connection} if named_connection else {}
    answer = backend.call(
        route.method,
        path_of(route, providerId=provider),
        body,
        scopes="connect",
        caller=CONNECT,
        query=query,
    )
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert not backend.aws.calls


@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_without_an_authorizer_nobody_comes_in(backend: Backend, route: Route) -> None:
    payload = first_event(route.function)
    nobody = [
        {"tenant": name, "scopes": "read write admin"}
        for name in ("", "*", "a#b", "a\x00", "\ud800", "x" * 129)
    ]
    for authorizer in (None, {}, {"lambda": {}}, *({"lambda": each} for each in nobody)):
        payload["requestContext"]["authorizer"] = authorizer
        answer = backend.send(route.function, payload)
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
    answer = backend.call(route.method, path_of(route), raw=text, scopes=ALL)
    assert (answer.status, answer.code) == (400, "malformed_json")
    assert not backend.aws.calls


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
def test_what_is_no_text_is_called_so(backend: Backend, route: Route) -> None:
    answer = backend.call(route.method, path_of(route), raw=b'{"a": "\xff\xfe"}', scopes=ALL)
    assert (answer.status, answer.code) == (400, "malformed_json")


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
@pytest.mark.parametrize("body", [[], "text", 1, True, [{"params": {}}]], ids=repr)
def test_a_body_that_is_no_object_is_refused(backend: Backend, route: Route, body: Any) -> None:
    answer = backend.call(route.method, path_of(route), body, scopes=ALL)
    assert answer.status == 422
    assert answer.fields
    assert not backend.aws.calls


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
@pytest.mark.parametrize("binary", [False, True])
def test_a_body_over_the_limit_is_too_large(
    backend: Backend, route: Route, *, binary: bool
) -> None:
    text = json.dumps({"params": "x" * MAX_BODY_BYTES})
    raw = text.encode() if binary else text
    answer = backend.call(route.method, path_of(route), raw=raw, scopes=ALL)
    assert (answer.status, answer.code) == (413, "payload_too_large")
    assert not backend.aws.calls


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if "{providerId}" in each.path], ids=named
)
@pytest.mark.parametrize("provider", ["no_such", "Telegram", "__class__", "..", "ß", "x" * 3000])
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


IDS = ("workflowId", "executionId", "eventId", "jobId", "tokenId", "stepId")
WITH_IDS = [each for each in GUARDED if any(f"{{{name}}}" in each.path for name in IDS)]


@pytest.mark.parametrize("route", WITH_IDS, ids=named)
@pytest.mark.parametrize("ident", ["x" * 3000, "a b", "ß", "#", "wf_1\x00", "*"])
def test_an_id_that_we_never_gave_is_refused_without_asking_the_table(
    backend: Backend, route: Route, ident: str
) -> None:
    path = path_of(route, **dict.fromkeys(IDS, ident))
    answer = backend.call(route.method, path, {"name": "x"}, scopes=ALL)
    assert answer.status in {404, 422}
    assert len(answer.json["detail"]) < 500
    assert not backend.aws.calls


WITH_TABLES = [each for each in GUARDED if each.function != "get_connect_session"]


@pytest.mark.parametrize("route", WITH_TABLES, ids=named)
def test_a_table_that_does_not_answer_is_a_failure_of_ours_without_details(
    backend: Backend, route: Route
) -> None:
    backend.aws.fail("", "AccessDeniedException", status=400)
    answer = good_call(backend, route)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "AccessDenied" not in answer.body


@pytest.mark.parametrize("route", WITH_TABLES, ids=named)
@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("ServiceUnavailable", 503)]
)
def test_a_table_that_is_busy_asks_for_another_try(
    backend: Backend, route: Route, code: str, status: int
) -> None:
    backend.aws.fail("", code, status=status)
    answer = good_call(backend, route)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert code not in answer.body
