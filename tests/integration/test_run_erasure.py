"""The consumer of the erasures queue; what it removes, test_erase_tenant.py shows."""

from tests.backend import Backend


def test_a_message_before_its_job_comes_again_and_one_without_is_dropped(backend: Backend) -> None:
    message = {"tenant": "acme", "jobId": "job_of_nobody"}
    assert backend.consume("run_erasure", [message], receives=1) == ["message-0"]
    assert backend.consume("run_erasure", [message], receives=5) == []


def test_another_kind_of_job_is_none_of_its_own(backend: Backend) -> None:
    assert backend.call("POST", "/api/events/replay", {"filter": {}}).status == 200
    (message,) = backend.aws.take("JobsQueue")
    assert len(backend.consume("run_erasure", [message])) == 1
    (job,) = backend.aws.rows("JobsTable")
    assert job["status"] == "queued"


def test_an_erasure_is_no_job_of_the_others_function(backend: Backend) -> None:
    assert backend.call("DELETE", "/api/tenant", scopes="admin").status == 200
    assert backend.aws.sent("JobsQueue") == []
    (message,) = backend.aws.take("ErasuresQueue")
    assert len(backend.consume("run_job", [message])) == 1
    assert backend.consume("run_erasure", [message]) == []
    backend.run_jobs()
    assert backend.aws.rows("JobsTable") == []
