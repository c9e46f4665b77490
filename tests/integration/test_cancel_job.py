"""POST /api/jobs/{jobId}/cancel."""

import pytest

from integrations.services import replay
from tests.backend import Backend, LambdaContext
from tests.fakes.telegram import TelegramServer
from tests.integration.logged import begin, job, receive


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    backend.begin_with(("webhook", hook, "default"))


def test_a_job_stops_after_the_step_that_it_is_in(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PAGE", 2)
    receive(backend, 6)
    begun = begin(backend, perMinute=12)
    for _ in range(2):
        messages = backend.aws.take("JobsQueue")
        assert backend.consume("run_job", messages, context=LambdaContext(seconds=60)) == []
    done = job(backend, begun["jobId"])["done"]
    assert 0 < done < 6
    answer = backend.call("POST", f"/api/jobs/{begun['jobId']}/cancel")
    assert (answer.json["status"], answer.json["done"]) == ("cancelled", done)
    backend.run_jobs()
    ended = job(backend, begun["jobId"])
    assert (ended["status"], ended["done"]) == ("cancelled", done)
    assert len(backend.aws.sent("EventsQueue")) == done


def test_what_is_finished_cannot_be_stopped(backend: Backend) -> None:
    begun = begin(backend)
    backend.run_jobs()
    answer = backend.call("POST", f"/api/jobs/{begun['jobId']}/cancel")
    assert (answer.status, answer.code) == (409, "conflict")


def test_another_tenants_job_is_unknown(backend: Backend) -> None:
    begun = begin(backend)
    answer = backend.call("POST", f"/api/jobs/{begun['jobId']}/cancel", tenant="other")
    assert (answer.status, answer.code) == (404, "unknown_job")
    assert job(backend, begun["jobId"])["status"] == "queued"
