"""The lines that CloudWatch reads metrics from: what handlers print of what happened."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from integrations.entry import metrics
from tests.backend import Backend
from tests.fakes.telegram import TelegramServer, too_many
from tests.integration.checks import check, make_due
from tests.integration.flows import flow, step

SECRET = "the-secret-of-the-orders"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

type Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def lines(backend: Backend, capsys: pytest.CaptureFixture[str]) -> Lines:
    """The lines of one kind that were written since the last look; whatever the kind, no secret."""
    written: list[dict[str, Any]] = []

    def look(kind: str, **facts: Any) -> list[dict[str, Any]]:
        printed = capsys.readouterr()
        backend.check_secrets(printed.out + printed.err, "the log")
        written.extend(json.loads(line) for line in printed.out.splitlines() if '"_aws"' in line)
        return [
            line for line in written if line["message"] == kind and facts.items() <= line.items()
        ]

    return look


def numbers(line: dict[str, Any]) -> dict[str, tuple[float, list[list[str]]]]:
    """What CloudWatch takes from a line: metric → its value and its dimensions."""
    found = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == metrics.NAMESPACE
        for metric in directive["Metrics"]:
            assert isinstance(line[metric["Name"]], (int, float))
            found[metric["Name"]] = (line[metric["Name"]], directive["Dimensions"])
        assert directive["Dimensions"]
        for dimensions in directive["Dimensions"]:
            assert all(isinstance(line[name], str) and line[name] for name in dimensions)
    return found


def hook(backend: Backend) -> None:
    backend.secrets.add(SECRET)
    credentials = {
        "url": "https://example.com/hooks/orders",
        "secret": SECRET,
        "verification": {"type": "github"},
    }
    backend.begin_with(("webhook", credentials, "default"))


def signed(body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": "d-1"}


# -- Webhooks --------------------------------------------------------------------------------


def test_a_delivery_that_is_accepted_is_one_line(backend: Backend, lines: Lines) -> None:
    hook(backend)
    answer = backend.deliver("orders", b"{}", signed(b"{}"))
    (line,) = lines("delivery")
    assert line["outcome"] == "accepted"
    assert (line["tenant"], line["webhookId"], line["provider"]) == ("acme", "orders", "webhook")
    assert line["eventId"] == answer.json["eventId"]
    assert line["requestId"]
    assert numbers(line) == {"Deliveries": (1, [["stack", "outcome"]])}
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 3600


@pytest.mark.parametrize(
    ("webhook_id", "headers", "reason"),
    [
        ("orders", {}, "missing"),
        ("orders", {"X-Hub-Signature-256": "sha256=" + "0" * 64}, "signature"),
        ("nobodys", {}, "unknown_webhook"),
    ],
)
def test_a_refusal_is_one_line_with_its_reason(
    backend: Backend, lines: Lines, webhook_id: str, headers: dict[str, str], reason: str
) -> None:
    hook(backend)
    assert backend.deliver(webhook_id, b"{}", headers).status == 401
    (line,) = lines("delivery")
    assert (line["outcome"], line["reason"]) == ("refused", reason)
    assert numbers(line)["Deliveries"] == (
        1,
        [["stack", "outcome"], ["stack", "outcome", "reason"]],
    )


def test_what_is_not_durable_is_a_line_and_so_is_each_repetition(
    backend: Backend, lines: Lines
) -> None:
    hook(backend)
    backend.aws.fail("SendMessage", "ThrottlingException", status=400)
    assert backend.deliver("orders", b"{}", signed(b"{}")).status == 503
    (line,) = lines("delivery")
    assert line["outcome"] == "failed"
    retries = lines("retry")
    assert {(each["service"], each["code"]) for each in retries} == {("sqs", "ThrottlingException")}
    assert numbers(retries[0]) == {"AwsRetries": (1, [["stack", "service", "code"]])}


def test_whose_issuer_is_down_is_told_as_refused_and_not_as_the_stacks_failure(
    backend: Backend, lines: Lines
) -> None:
    verification = {"type": "jwt", "jwksUrl": "https://issuer.invalid/keys"}
    url = "https://example.com/hooks/signed"
    backend.save("webhook", {"url": url, "verification": verification}, "signed")
    token = jwt.encode({}, "k" * 32, headers={"kid": "one"})
    assert backend.deliver("signed", b"{}", {"Authorization": f"Bearer {token}"}).status == 503
    (line,) = lines("delivery")
    assert (line["outcome"], line["reason"], line["webhookId"]) == ("refused", "issuer", "signed")


def test_a_challenge_that_is_refused_is_a_line(backend: Backend, lines: Lines) -> None:
    hook(backend)
    query = "mode=subscribe&token=wrong&challenge=1"
    assert backend.call("GET", "/api/webhooks/orders/verify", query=query).status == 403
    (line,) = lines("delivery")
    assert (line["outcome"], line["reason"]) == ("refused", "challenge")


def test_tenants_are_told_apart_where_that_is_asked_for(
    backend: Backend, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(backend)
    monkeypatch.setenv("METRICS_BY_TENANT", "on")
    backend.deliver("orders", b"{}", signed(b"{}"))
    (line,) = lines("delivery")
    assert numbers(line)["Deliveries"][1] == [["stack", "outcome"], ["stack", "tenant", "outcome"]]


# -- Events, executions, steps ---------------------------------------------------------------


@pytest.fixture
def bot(backend: Backend, telegram: TelegramServer) -> TelegramServer:
    hook(backend)
    backend.save("telegram", {"botToken": telegram.token})
    telegram.calls.clear()
    return telegram


def order_flow(backend: Backend, chat: int = 42) -> Any:
    say = step(params={"chatId": chat, "text": "an order"})
    trigger = {"type": "webhook", "webhookId": "orders"}
    return backend.create_workflow(flow(trigger=trigger, steps=[say]))


def test_an_event_that_nobody_waits_for(backend: Backend, lines: Lines) -> None:
    hook(backend)
    event_id = backend.deliver("orders", b"{}", signed(b"{}")).json["eventId"]
    backend.drain()
    (line,) = lines("event")
    assert (line["outcome"], line["eventId"]) == ("unmatched", event_id)
    found = numbers(line)
    assert found["Events"] == (1, [["stack", "outcome"]])
    assert found["LateEvents"] == (0, [["stack"]])
    assert found["EventDelay"][0] >= 0


def test_one_event_can_be_followed_from_its_delivery_to_its_end(
    backend: Backend, bot: TelegramServer, lines: Lines
) -> None:
    workflow = order_flow(backend)
    event_id = backend.deliver("orders", b"{}", signed(b"{}")).json["eventId"]
    backend.drain()
    (execution,) = backend.executions()
    execution_id = execution["executionId"]
    (event,) = lines("event", eventId=event_id)
    assert event["outcome"] == "dispatched"
    assert event["executionIds"] == [execution_id]
    assert event["workflowIds"] == [workflow["workflowId"]]
    (did,) = lines("step", executionId=execution_id)
    assert (did["action"], did["provider"]) == ("telegram.sendMessage", "telegram")
    assert (did["outcome"], did["attempts"], did["tenant"]) == ("succeeded", 1, "acme")
    assert numbers(did) == {"Steps": (1, [["stack", "provider", "outcome"]])}
    (call,) = lines("call", key=f"{execution_id}.{did['step']}")
    assert numbers(call)["ProviderCalls"] == (1, [["stack", "provider", "outcome"]])
    assert numbers(call)["ProviderTime"][1] == [["stack", "provider", "outcome"]]
    (end,) = lines("execution")
    assert (end["executionId"], end["outcome"]) == (execution_id, "succeeded")
    assert end["workflowId"] == workflow["workflowId"]
    assert end["tenant"] == "acme"
    assert numbers(end)["Executions"] == (1, [["stack", "outcome"]])
    assert numbers(end)["ExecutionTime"][0] >= event["EventDelay"], "from the delivery on"
    assert {line["requestId"] for line in (event, did, end)}


def test_a_step_that_must_wait_is_told_and_its_execution_has_not_ended(
    backend: Backend, bot: TelegramServer, lines: Lines
) -> None:
    order_flow(backend)
    bot.fail(too_many(60))
    backend.deliver("orders", b"{}", signed(b"{}"))
    backend.dispatch()
    backend.run()
    (did,) = lines("step")
    assert (did["outcome"], did["code"]) == ("retrying", "rate_limited")
    (call,) = lines("call", outcome="rate_limited")
    assert call["provider"] == "telegram"
    assert lines("execution") == []


def test_a_step_that_fails_names_its_code_and_so_does_its_execution(
    backend: Backend, bot: TelegramServer, lines: Lines
) -> None:
    bot.refusing[7] = (403, "Forbidden: bot was blocked by the user")
    order_flow(backend, chat=7)
    backend.deliver("orders", b"{}", signed(b"{}"))
    backend.drain()
    (did,) = lines("step")
    (end,) = lines("execution")
    assert did["outcome"] == end["outcome"] == "failed"
    assert did["code"] == end["code"]


def test_what_is_cancelled_ends_too(backend: Backend, bot: TelegramServer, lines: Lines) -> None:
    order_flow(backend)
    backend.deliver("orders", b"{}", signed(b"{}"))
    backend.dispatch()
    (execution,) = backend.executions()
    path = f"/api/executions/{execution['executionId']}/cancel"
    assert backend.call("POST", path).status == 200
    (end,) = lines("execution")
    assert end["outcome"] == "cancelled"


def test_a_message_that_fails_is_counted(backend: Backend, lines: Lines) -> None:
    assert backend.consume("dispatch_event", ["no JSON"])
    assert backend.consume("run_workflow", ["no JSON"])
    found = [numbers(line) | {"queue": line["queue"]} for line in lines("message")]
    assert [each["queue"] for each in found] == ["events", "executions"]
    assert found[0]["FailedMessages"] == (1, [["stack", "queue"]])


# -- Connections -----------------------------------------------------------------------------


def test_the_daily_check_tells_each_connections_state(
    backend: Backend, telegram: TelegramServer, lines: Lines
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    make_due(backend)
    check(backend)
    (line,) = lines("connection")
    assert line["state"] == "connected"
    assert numbers(line) == {"ConnectionsChecked": (1, [["stack", "state"]])}


def test_a_connection_that_breaks_is_told_once(
    backend: Backend, telegram: TelegramServer, lines: Lines
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.revoke(telegram.token)
    for _ in range(2):
        make_due(backend)
        check(backend)
    (broken,) = [line for line in lines("connection") if "ConnectionsBroken" in line]
    assert (broken["tenant"], broken["provider"]) == ("acme", "telegram")
    assert broken["state"] == "needs_reauth"
    assert numbers(broken) == {"ConnectionsBroken": (1, [["stack"]])}
    assert len(lines("connection", state="needs_reauth")) == 3


# -- Traces ----------------------------------------------------------------------------------


def test_x_rays_trace_goes_on_behind_the_queues(
    backend: Backend, bot: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_flow(backend)
    backend.deliver("orders", b"{}", signed(b"{}"))
    (untraced,) = backend.aws.take("EventsQueue")
    assert untraced.trace == ""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)
    backend.deliver("orders", b"{}", signed(b"{}"))
    (delivery,) = backend.aws.take("EventsQueue")
    assert delivery.trace == TRACE
    assert backend.consume("dispatch_event", [delivery]) == []
    (start,) = backend.aws.sent("ExecutionsQueue")
    assert start.trace == TRACE
