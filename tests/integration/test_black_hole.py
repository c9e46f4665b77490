"""Somebody accepts and never answers, in the place of each service: every function answers.

All clocks run ten times as fast: what a call may take, and what the template gives each function.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from integrations import memory
from integrations.entry import invocation, queue, schedule, settings, wiring
from integrations.services import dispatch, jobs, runner
from integrations.storage.aws import Aws, boto, client, transport
from tests.backend import Backend, LambdaContext, event, first_event
from tests.fakes.aws import REGION, FakeAws
from tests.integration.guarded_routes import GUARDED, good_call, named
from tools.template import Route, folder, resources, template

FASTER = 10
GLOBAL = template()["Globals"]["Function"]["Timeout"]
SECONDS = {
    folder(resource): resource.get("Timeout", GLOBAL) / FASTER
    for resource in resources("AWS::Serverless::Function").values()
}
SECRET = "secret-of-the-orders"
HOOK = ("webhook", {"url": "https://example.com/hooks/orders", "secret": SECRET}, "default")


@pytest.fixture
def swallow(
    aws: FakeAws, backend: Backend, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Puts the black hole in the place of services."""
    for module, names in {
        client: ("ATTEMPT_SECONDS", "CALL_SECONDS", "RESERVE_SECONDS"),
        boto: ("ATTEMPT_SECONDS", "CONNECT_SECONDS", "RESERVE_SECONDS"),
        transport: ("CONNECT_SECONDS",),
        queue: ("RUN_RESERVE",),
        schedule: ("CHECK_RESERVE",),
        dispatch: ("RESERVE_SECONDS",),
        jobs: ("STEP_RESERVE_SECONDS",),
        runner: ("STEP_RESERVE", "RECOVER_RESERVE"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / FASTER)

    # More than a tenth: a busy machine needs as long to write a log as ever.
    monkeypatch.setattr(client, "RESERVE_SECONDS", 0.4)

    def made(*services: str) -> None:
        def endpoint(service: str, *_: object, **__: object) -> str:
            return black_hole if service in services else aws.url

        clients = Aws(
            region=REGION,
            credentials=settings.credentials,
            endpoint_url=black_hole if "s3" in services else aws.url,
            time_left=invocation.seconds_left,
        )
        _ = clients.s3  # which stays where it is
        clients._endpoint_url = ""
        monkeypatch.setattr(client, "endpoint", endpoint)
        memory.forget()
        monkeypatch.setattr(wiring, "aws", lambda: clients)

    backend.secrets.add(SECRET)
    return made


def in_time(backend: Backend, function: str) -> Callable[..., Any]:
    """Invokes with the function's own time, which must not run out."""

    def invoke(request: Any) -> Any:
        context = LambdaContext(SECONDS[function])
        result = backend.invoke(function, request, context)
        assert context.get_remaining_time_in_millis() > 0
        return result

    return invoke


def test_the_authorizer_says_that_it_cannot_say(
    backend: Backend, swallow: Callable[..., None]
) -> None:
    swallow("dynamodb")
    request = first_event("authorize_request")
    request["headers"] = {"authorization": "Bearer ib_0123456789"}
    answer = in_time(backend, "authorize_request")(request)
    assert answer == {"isAuthorized": True, "context": {"problem": "unavailable"}}


def test_whom_the_authorizer_could_not_look_up_is_asked_to_come_again(backend: Backend) -> None:
    request = first_event("get_status")
    request["requestContext"]["authorizer"] = {"lambda": {"problem": "unavailable"}}
    answer = backend.send("get_status", request)
    assert (answer.status, answer.code) == (503, "unavailable")
    # Until then API Gateway gives the authorizer's answer again.
    (authorizer,) = resources("AWS::Serverless::HttpApi")["HttpApi"]["Auth"]["Authorizers"].values()
    assert answer.headers["Retry-After"] == str(authorizer["Identity"]["ReauthorizeEvery"])
    assert not backend.aws.calls


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if each.function != "get_connect_session"], ids=named
)
def test_a_route_asks_for_another_try(
    backend: Backend, swallow: Callable[..., None], route: Route
) -> None:
    swallow("dynamodb")
    context = LambdaContext(SECONDS[route.function])
    answer = good_call(backend, route, context=context)
    assert context.get_remaining_time_in_millis() > 0
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("service", ["dynamodb", "kms", "sqs", "s3"])
def test_a_sender_is_asked_to_send_again(
    backend: Backend, swallow: Callable[..., None], service: str
) -> None:
    backend.begin_with((HOOK[0], {**HOOK[1], "verifySecret": True}, HOOK[2]))
    swallow(service)
    request = event("receive_webhook", "order")
    body = "x" * 200_000 if service == "s3" else "{}"
    request |= {"body": json.dumps(body), "isBase64Encoded": False}
    request["headers"] = {"x-webhook-secret": SECRET}
    answer = in_time(backend, "receive_webhook")(request)
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"]
    assert backend.aws.sent("EventsQueue") == []


@pytest.mark.parametrize(
    ("case", "service"), [("subscribe", "dynamodb"), ("meta", "secretsmanager")]
)
def test_a_challenge_is_not_waited_for(
    backend: Backend, swallow: Callable[..., None], case: str, service: str
) -> None:
    swallow(service)
    request = event("verify_webhook", case)
    answer = in_time(backend, "verify_webhook")(request)
    assert answer["statusCode"] == 503


def test_a_browser_that_comes_back_gets_a_page(
    backend: Backend, swallow: Callable[..., None]
) -> None:
    swallow("dynamodb")
    answer = in_time(backend, "complete_oauth")(first_event("complete_oauth"))
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"] == "5"
    assert "text/html" in answer["headers"]["Content-Type"]


@pytest.mark.parametrize("services", [("dynamodb",), ("dynamodb", "sqs", "kms")])
@pytest.mark.parametrize("function", ["dispatch_event", "run_workflow", "run_job"])
def test_a_consumer_leaves_its_messages_for_later(
    backend: Backend, swallow: Callable[..., None], function: str, services: tuple[str, ...]
) -> None:
    swallow(*services)
    shape = event(function, "sqs_webhook" if function == "dispatch_event" else "sqs")["Records"][0]
    records = [{**shape, "messageId": f"message-{number}"} for number in range(4)]
    answer = in_time(backend, function)({"Records": records})
    failed = answer["batchItemFailures"]
    put_back = backend.aws.sent("EventsQueue") + backend.aws.sent("ExecutionsQueue")
    assert len(failed) + len(put_back) == len(records)


@pytest.mark.parametrize("function", ["refresh_connections", "recover_executions"])
def test_a_schedule_ends(backend: Backend, swallow: Callable[..., None], function: str) -> None:
    swallow("dynamodb")
    with pytest.raises(Exception, match="gave no whole answer"):  # for Lambda's own metric
        in_time(backend, function)(first_event(function))


@pytest.mark.parametrize(
    ("path", "body", "service"),
    [
        ("/api/secrets/SHOP_KEY", {"value": "sixsix"}, "kms"),
        ("/api/integrations/webhook/credentials", {"credentials": HOOK[1]}, "kms"),
        ("/api/integrations/oauth/start/sheets_oauth", {}, "secretsmanager"),
        ("/api/integrations/oauth/start/sheets_oauth", {}, "kms"),
    ],
)
def test_a_key_that_does_not_come_is_not_waited_for(
    backend: Backend, swallow: Callable[..., None], path: str, body: Any, service: str
) -> None:
    swallow(service)
    method = "PUT" if "secrets" in path else "POST"
    context = LambdaContext(GLOBAL / FASTER)
    answer = backend.call(method, path, body, context=context)
    assert context.get_remaining_time_in_millis() > 0
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"


ASKS_NOTHING = {"get_console", "get_openapi", "list_integrations", "get_integration"}
"""What asks nothing of AWS, and waits for nothing."""


@pytest.mark.parametrize("function", sorted(SECONDS.keys() - ASKS_NOTHING))
def test_every_function_that_asks_aws_knows_its_time(
    backend: Backend, swallow: Callable[..., None], function: str
) -> None:
    swallow()
    with contextlib.suppress(Exception):  # whatever comes of it
        backend.invoke(function, first_event(function), LambdaContext(SECONDS[function]))
    assert invocation.seconds_left() < SECONDS[function]
