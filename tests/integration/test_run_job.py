"""The consumer of the jobs queue; what jobs do, their own tests say."""

from tests.backend import Backend
from tests.integration.logged import begin, job


def test_a_message_before_its_row_comes_again_and_without_one_is_dropped(
    backend: Backend,
) -> None:
    message = {"tenant": "acme", "jobId": "job_unknown"}
    assert backend.consume("run_job", [message], receives=1) == ["message-0"]
    assert backend.consume("run_job", [message], receives=4) == ["message-0"]
    assert backend.consume("run_job", [message], receives=5) == []


def test_poison_fails_alone(backend: Backend) -> None:
    assert backend.consume("run_job", ["nonsense", {"tenant": "acme"}]) == [
        "message-0",
        "message-1",
    ]


def test_a_row_that_could_not_be_written_leaves_no_job(backend: Backend) -> None:
    backend.aws.fail("PutItem", "InternalServerError")
    assert backend.call("POST", "/api/events/replay", {"filter": {}}).status >= 500
    backend.aws.recover()
    (message,) = backend.aws.take("JobsQueue")
    assert backend.consume("run_job", [message], receives=5) == []
    assert backend.aws.rows("JobsTable") == []


def test_a_job_that_is_told_twice_is_done_once(backend: Backend) -> None:
    begun = begin(backend)
    (message,) = backend.aws.take("JobsQueue")
    assert backend.consume("run_job", [message, message]) == []
    assert job(backend, begun["jobId"])["status"] == "succeeded"
    assert backend.aws.sent("JobsQueue") == []


def test_a_job_goes_on_where_the_answer_to_its_checkpoint_is_lost(backend: Backend) -> None:
    begun = begin(backend)
    backend.aws.fail("UpdateItem", times=1, done=True, where="JobsTable")
    backend.run_jobs()
    assert job(backend, begun["jobId"])["status"] == "succeeded"
