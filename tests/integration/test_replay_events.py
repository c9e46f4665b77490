"""POST /api/events/replay: many, as a job."""

from typing import Any

import pytest

from integrations.services import replay
from tests.backend import Backend, LambdaContext
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow
from tests.integration.logged import begin, job, listed, receive


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", hook, "default"))


def test_all_that_a_filter_finds_is_replayed_once_each(backend: Backend) -> None:
    receive(backend, 7)
    backend.create_workflow(flow())
    begun = begin(backend, filter={"outcome": "unmatched", "webhookId": "orders"})
    assert (begun["kind"], begun["status"]) == ("replay_events", "queued")
    assert (begun["total"], begun["done"]) == (None, 0)
    backend.run_jobs()
    backend.drain()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["total"], ended["done"]) == ("succeeded", 7, 7)
    assert ended["finishedAt"]
    bodies = sorted(each["trigger"]["data"]["body"]["id"] for each in backend.executions())
    assert bodies == list(range(7))
    assert len(listed(backend, outcome="dispatched")) == 7


def test_a_second_run_leaves_the_replays_of_the_first_alone(backend: Backend) -> None:
    receive(backend, 3)
    backend.create_workflow(flow())
    for _ in range(2):
        begin(backend)
        backend.run_jobs()
        backend.drain()
    assert len(backend.executions()) == 6


@pytest.mark.parametrize("operation", ["SendMessageBatch", "UpdateItem"])
@pytest.mark.parametrize("died", ["before", "after"])
def test_killed_anywhere_each_is_replayed_exactly_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, operation: str, died: str
) -> None:
    monkeypatch.setattr(replay, "PAGE", 2)
    receive(backend, 7)
    backend.create_workflow(flow())
    begun = begin(backend)
    messages = backend.aws.take("JobsQueue")
    for attempt in range(30):
        where = "" if operation == "SendMessageBatch" else begun["jobId"]
        backend.aws.fail(
            operation, "InternalError", status=500, times=4, done=died == "after", where=where
        )
        failed = backend.consume("run_job", messages, receives=attempt + 1)
        backend.aws.recover()
        if not failed:
            break
        # It was let live for one step more each time.
        alive = backend.consume("run_job", messages, context=LambdaContext(seconds=20.5))
        assert alive == []
        messages = backend.aws.take("JobsQueue") or messages
    backend.run_jobs()
    backend.drain()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["total"], ended["done"]) == ("succeeded", 7, 7)
    bodies = sorted(each["trigger"]["data"]["body"]["id"] for each in backend.executions())
    assert bodies == list(range(7))


@pytest.mark.parametrize(
    ("rate", "waits"),
    [
        pytest.param(12, [10, 10], id="two in ten seconds"),
        pytest.param(1, [60, 60, 60, 60], id="one, and no more in a sixth of the time"),
        pytest.param(10, [6, 6, 6, 6], id="one, sooner than in ten seconds"),
        pytest.param(24, [10], id="four, which are more than a page"),
    ],
)
def test_a_rate_is_kept_by_waiting(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, rate: int, waits: list[int]
) -> None:
    monkeypatch.setattr(replay, "PAGE", 3)
    receive(backend, 5)
    begin(backend, perMinute=rate)
    found = []
    while messages := backend.aws.take("JobsQueue", 1):
        found.append(messages[0].delay)
        backend.let_jobs_be_due()
        assert backend.consume("run_job", messages) == []
    assert found == [1, *waits]
    assert len(backend.aws.sent("EventsQueue")) == 5


def test_a_message_that_comes_twice_or_too_early_does_not_shorten_the_wait(
    backend: Backend,
) -> None:
    receive(backend, 5)
    begin(backend, perMinute=12)
    (first,) = backend.aws.take("JobsQueue")
    for _ in range(3):
        assert backend.consume("run_job", [first]) == []
    assert len(backend.aws.sent("EventsQueue")) == 2
    assert [each.delay for each in backend.aws.sent("JobsQueue")] == [10]


def test_too_many_are_refused_before_the_first(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_REPLAYED", 3)
    receive(backend, 4)
    begun = begin(backend)
    backend.run_jobs()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["done"]) == ("failed", 0)
    assert "more than 3" in ended["error"]
    assert backend.aws.sent("EventsQueue") == []


def test_nothing_found_is_done_at_once(backend: Backend) -> None:
    begun = begin(backend)
    backend.run_jobs()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["total"]) == ("succeeded", 0)


@pytest.mark.parametrize("until", [{}, {"until": "2100-01-01T00:00:00Z"}])
def test_what_comes_later_is_not_replayed(backend: Backend, until: dict[str, str]) -> None:
    receive(backend, 1)
    begun = begin(backend, filter={"webhookId": "orders", **until})
    receive(backend, 2)
    backend.run_jobs()
    assert job(backend, begun["jobId"])["done"] == 1


def test_equal_keys_begin_one_job(backend: Backend) -> None:
    receive(backend, 3)
    backend.create_workflow(flow())
    body, key = {"filter": {"webhookId": "orders"}}, {"Idempotency-Key": "k"}
    first, second = (
        backend.call("POST", "/api/events/replay", body, headers=key).json for _ in range(2)
    )
    backend.run_jobs()
    backend.drain()
    third = backend.call("POST", "/api/events/replay", body, headers=key).json
    assert first["jobId"] == second["jobId"] == third["jobId"]
    assert third["status"] == "succeeded"
    assert len(backend.executions()) == 3
    other = backend.call("POST", "/api/events/replay", {"filter": {}}, headers=key)
    assert (other.status, other.code) == (422, "idempotency_key_reused")


def test_a_key_whose_first_request_died_before_its_job_was_written_begins_it(
    backend: Backend,
) -> None:
    receive(backend, 1)
    backend.create_workflow(flow())
    body, key = {"filter": {}}, {"Idempotency-Key": "k"}
    backend.aws.fail("PutItem", "InternalServerError", status=500, times=9)
    assert backend.call("POST", "/api/events/replay", body, headers=key).status == 503
    backend.aws.fail("PutItem", "InternalServerError", status=500, times=0)
    assert backend.call("POST", "/api/events/replay", body, headers=key).status == 200
    backend.run_jobs()
    backend.drain()
    assert len(backend.executions()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"outcome": "refused"}},
        {"filter": {"outcome": "lost"}},
        {"filter": {"since": "yesterday"}},
        {"filter": None},
        {},
        {"filter": {}, "perMinute": 0},
        {"filter": {}, "workflowIds": ["wf_00000000000000000000"]},
        {"filter": {}, "more": 1},
    ],
)
def test_what_is_no_replay_is_refused(backend: Backend, body: Any) -> None:
    answer = backend.call("POST", "/api/events/replay", body)
    assert answer.status == 422
    assert backend.aws.rows("JobsTable") == []
    assert backend.aws.sent("JobsQueue") == []
