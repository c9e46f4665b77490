"""POST /api/executions/retry: many, as a job."""

from typing import Any

import pytest

from integrations.entry import wiring
from integrations.errors import QuotaExceeded
from integrations.services import replay
from integrations.services.quotas import Quotas, Start
from tests.backend import Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, say, started
from tests.integration.logged import job


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def begin(backend: Backend, **chosen: Any) -> Any:
    answer = backend.call("POST", "/api/executions/retry", {"filter": chosen})
    assert answer.status == 200, answer
    return answer.json


def mend(backend: Backend, execution_id: str) -> str:
    """Put a right workflow in the place of one that failed."""
    workflow_id: str = backend.execution(execution_id)["workflowId"]
    right = flow(trigger={"type": "manual"}, steps=[say("right")])
    answer = backend.call("PUT", f"/api/workflows/{workflow_id}", right)
    assert answer.status == 200, answer
    return workflow_id


def test_all_failed_executions_go_on_and_no_others(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "RETRY_PAGE", 2)
    good = started(backend, say("x"))
    bad = [started(backend, say("{{ trigger.no.such }}")) for _ in range(5)]
    backend.drain()
    for each in bad[:4]:
        mend(backend, each)
    begun = begin(backend)
    assert begun["kind"] == "retry_executions"
    backend.run_jobs()
    backend.drain()
    assert job(backend, begun["jobId"])["done"] == 5
    states = [backend.execution(each)["status"] for each in [good, *bad]]
    assert states == ["succeeded"] * 5 + ["failed"]
    assert backend.execution(good)["retryCount"] == 0


def test_what_a_large_file_has_started_goes_on_as_well(backend: Backend) -> None:
    file = {"fileName": "a.bin", "contentType": "a/b", "contentBase64": "AAAA" * 50_000}
    made = backend.create_workflow(
        flow(trigger={"type": "manual"}, steps=[say("{{ trigger.no.such }}")])
    )
    path = f"/api/workflows/{made['workflowId']}/run"
    failed = backend.call("POST", path, {"input": {"file": file}}).json["executionId"]
    backend.drain()
    begun = begin(backend)
    backend.run_jobs()
    assert job(backend, begun["jobId"])["done"] == 1
    assert backend.execution(failed)["retryCount"] == 1


def test_the_filter_is_kept(backend: Backend) -> None:
    one, other = (started(backend, say("{{ trigger.no.such }}")) for _ in range(2))
    backend.drain()
    workflow_id = mend(backend, one)
    mend(backend, other)
    begin(backend, workflowId=workflow_id)
    backend.run_jobs()
    backend.drain()
    assert backend.execution(one)["status"] == "succeeded"
    assert backend.execution(other)["status"] == "failed"
    begin(backend, until="2020-01-01T00:00:00Z")
    backend.run_jobs()
    assert backend.execution(other)["status"] == "failed"


def test_equal_keys_begin_one_job(backend: Backend) -> None:
    bad = started(backend, say("{{ trigger.no.such }}"))
    backend.drain()
    key = {"Idempotency-Key": "k"}
    begun = []
    for _ in range(2):
        answer = backend.call("POST", "/api/executions/retry", {"filter": {}}, headers=key)
        begun.append(answer.json["jobId"])
        backend.run_jobs()
        backend.drain()
    assert begun[0] == begun[1]
    assert backend.execution(bad)["retryCount"] == 1
    # A replay may have the same key: it is another request.
    assert backend.call("POST", "/api/events/replay", {"filter": {}}, headers=key).status == 200


def test_a_step_that_is_done_once_more_retries_nothing_that_failed_since(backend: Backend) -> None:
    bad = started(backend, say("{{ trigger.no.such }}"))
    backend.drain()
    begun = begin(backend)
    row = backend.aws.rows("JobsTable")[0]
    backend.run_jobs()
    backend.drain()
    assert backend.execution(bad)["retryCount"] == 1
    with backend.aws.called_by("run_job"):
        stored = wiring.jobs().get(row["tenant"], begun["jobId"])._replace(cursor={})
        wiring.replay_service().retry_step(stored)
    backend.drain()
    assert (backend.execution(bad)["status"], backend.execution(bad)["retryCount"]) == ("failed", 1)


def test_what_a_full_quota_holds_up_is_counted_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest come first: one cannot go on, one fails again meanwhile, one has to wait."""
    waits, again, gone = (started(backend, say("{{ trigger.no.such }}")) for _ in range(3))
    backend.drain()
    workflow_id = backend.execution(gone)["workflowId"]
    assert backend.call("DELETE", f"/api/workflows/{workflow_id}").status == 200
    room = iter([True, False, False, True])

    def start(*_: str) -> Start:
        if not next(room):
            raise QuotaExceeded("This minute is full", retry_after=1)
        return Start()

    monkeypatch.setattr(Quotas, "start", start)
    begun = begin(backend)
    while messages := backend.aws.take("JobsQueue", 1):
        backend.let_jobs_be_due()
        assert backend.consume("run_job", messages) == []
        backend.drain()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["done"], ended["failed"]) == ("succeeded", 2, 1)
    assert gone in ended["error"]
    assert [backend.execution(each)["retryCount"] for each in (waits, again, gone)] == [1, 1, 0]


def test_what_its_trigger_never_let_in_is_counted_as_failed(backend: Backend) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    trigger = {"type": "webhook", "webhookId": "orders", "filter": "trigger.no.such"}
    backend.create_workflow(flow(trigger=trigger))
    assert backend.deliver("orders", {"id": 1}).status == 200
    backend.drain()
    begun = begin(backend)
    backend.run_jobs()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["done"], ended["failed"]) == ("succeeded", 0, 1)


def test_what_cannot_go_on_is_counted_and_told(backend: Backend) -> None:
    bad = started(backend, say("{{ trigger.no.such }}"))
    backend.drain()
    workflow_id = backend.execution(bad)["workflowId"]
    assert backend.call("DELETE", f"/api/workflows/{workflow_id}").status == 200
    begun = begin(backend)
    backend.run_jobs()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["done"], ended["failed"]) == ("succeeded", 0, 1)
    assert bad in ended["error"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {"workflowId": "wf_00000000000000000000"}},
        {"filter": {"workflowId": "a b"}},
        {"filter": {"status": "succeeded"}},
        {"filter": {"since": 7000000000000000}},
    ],
)
def test_what_is_no_choice_is_refused(backend: Backend, body: Any) -> None:
    assert backend.call("POST", "/api/executions/retry", body).status == 422
    assert backend.aws.rows("JobsTable") == []
