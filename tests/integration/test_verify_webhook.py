"""GET /api/webhooks/{webhookId} and GET /api/webhooks/{webhookId}/verify."""

from typing import Any

import pytest

from tests.backend import Answer, Backend, event
from tests.integration.conftest import VERIFY_TOKEN

TOKEN = "the-verify-token-of-this-webhook"
PATHS = ["/api/webhooks/orders", "/api/webhooks/orders/verify"]


@pytest.fixture(autouse=True)
def _hook(backend: Backend) -> None:
    backend.secrets.add(TOKEN)
    hook = {"url": "https://example.com/hooks/orders", "verifyToken": TOKEN}
    backend.begin_with(("webhook", hook, "default"))


def ask(backend: Backend, query: Any, path: str = PATHS[0]) -> Answer:
    return backend.call("GET", path, query=query)


def plain(**more: str) -> dict[str, str]:
    return {"mode": "subscribe", "token": TOKEN, "challenge": "1158201444", **more}


def metas(**more: str) -> dict[str, str]:
    names = {"mode": "hub.mode", "token": "hub.verify_token", "challenge": "hub.challenge"}
    return {names[name]: value for name, value in plain(**more).items()}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", [plain(), metas()], ids=["plain", "meta"])
def test_a_right_token_gets_the_challenge_and_nothing_else(
    backend: Backend, path: str, query: dict[str, str]
) -> None:
    answer = ask(backend, query, path)
    assert (answer.status, answer.body) == (200, "1158201444")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_example_of_the_events_folder_is_answered_for_the_stacks_own_webhook(
    backend: Backend,
) -> None:
    answer = backend.send("verify_webhook", event("verify_webhook", "meta"))
    assert (answer.status, answer.body) == (200, "1158201444")
    query = metas(token=VERIFY_TOKEN)
    assert ask(backend, query, "/api/webhooks/facebook/verify").status == 200


@pytest.mark.parametrize(
    "query",
    [
        plain(token="wrong"),
        plain(token=""),
        plain(token=TOKEN + " "),
        plain(token="ß🙂"),
        plain(mode="unsubscribe"),
        plain(mode=""),
        metas(token="wrong"),
        {"challenge": "x"},
        f"mode=subscribe&token={TOKEN}&token=wrong&challenge=1",
        "mode=subscribe&token=%ff%fe&challenge=1",
    ],
    ids=repr,
)
def test_anything_else_is_refused(backend: Backend, query: Any) -> None:
    answer = ask(backend, query)
    assert (answer.status, answer.code) == (403, "challenge_refused")
    assert "1158201444" not in answer.body


def test_a_challenge_is_no_way_to_put_a_page_under_our_name(backend: Backend) -> None:
    script = "<script>alert(1)</script>"
    answer = ask(backend, plain(challenge=script))
    assert answer.body == script
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("webhook_id", ["unknown", "x" * 4000, "ß"])
def test_nobody_is_told_whether_there_is_a_webhook(backend: Backend, webhook_id: str) -> None:
    answer = ask(backend, plain(), f"/api/webhooks/{webhook_id}/verify")
    known = ask(backend, plain(token="wrong"))
    assert (answer.status, answer.code) == (403, "challenge_refused")
    assert answer.json["detail"] == known.json["detail"]


def test_a_webhook_without_a_token_of_its_own_has_an_unguessable_one(backend: Backend) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/invoices"}, "invoices")
    for token in ("", "None", "null", "undefined"):
        answer = ask(backend, plain(token=token), "/api/webhooks/invoices")
        assert answer.status == 403


def test_a_stack_without_a_verify_token_verifies_nothing(backend: Backend) -> None:
    backend.aws.set_secret(facebookAppSecret="x" * 32, facebookVerifyToken="")
    assert ask(backend, metas(token=""), "/api/webhooks/facebook").status == 403


@pytest.mark.parametrize("webhook_id", ["orders", "unknown"])
def test_who_only_looks_is_told_that_somebody_is_there_and_no_more(
    backend: Backend, webhook_id: str
) -> None:
    backend.aws.calls.clear()
    answer = ask(backend, {}, f"/api/webhooks/{webhook_id}")
    assert (answer.status, answer.body) == (200, "")
    assert not backend.aws.calls
    assert ask(backend, {}, "/api/webhooks/orders/verify").status == 403


@pytest.mark.parametrize("path", ["", "/", "/a/b"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_of_any_kind_is_answered_and_runs_nothing(
    backend: Backend, method: str, path: str
) -> None:
    backend.aws.calls.clear()
    answer = backend.call(method, f"/api/webhooks/orders{path}")
    assert (answer.status, answer.body) == (200, "")
    assert not backend.aws.calls
