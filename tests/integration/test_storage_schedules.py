"""Schedules: one per workflow, replaced in place, gone without a trace."""

import json
from datetime import UTC, datetime

import pytest

from integrations.storage.aws import AwsError, AwsUnavailable
from integrations.storage.aws.transport import Answer
from integrations.storage.schedules import Schedules
from tests.fakes.aws import Direct, FakeAws


@pytest.fixture
def schedules(aws: FakeAws) -> Schedules:
    return Schedules(
        aws.client,
        group=aws.names["ScheduleGroup"],
        role_arn=aws.names["ScheduleRole.Arn"],
        target_arn=aws.names["EventsQueue.Arn"],
        dead_letters_arn=aws.names["SchedulesDeadLetterQueue.Arn"],
        clock=lambda: datetime(2026, 11, 26, tzinfo=UTC),
    )


def test_a_schedule_sends_the_workflow_to_the_events_queue(
    aws: FakeAws, schedules: Schedules
) -> None:
    schedules.put("acme", "wf_1", "cron(0 8 ? * MON-FRI *)", "Europe/Berlin")
    (made,) = aws.schedules()
    assert made["ScheduleExpression"] == "cron(0 8 ? * MON-FRI *)"
    assert made["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert made["Target"]["Arn"] == aws.names["EventsQueue.Arn"]
    letters = aws.names["SchedulesDeadLetterQueue.Arn"]
    assert made["Target"]["DeadLetterConfig"] == {"Arn": letters}
    assert json.loads(made["Target"]["Input"])["schedule"] == {
        "tenant": "acme",
        "workflowId": "wf_1",
        "since": 1795651200,
        "expression": "cron(0 8 ? * MON-FRI *)",
        "timezone": "Europe/Berlin",
    }


def test_a_schedule_is_replaced_in_its_place(aws: FakeAws, schedules: Schedules) -> None:
    schedules.put("acme", "wf_1", "rate(5 minutes)", "UTC")
    schedules.put("acme", "wf_1", "rate(6 minutes)", "UTC")
    assert [each["ScheduleExpression"] for each in aws.schedules()] == ["rate(6 minutes)"]


def test_tenants_with_the_same_workflow_id_have_schedules_of_their_own(
    aws: FakeAws, schedules: Schedules
) -> None:
    for tenant in ("acme", "other", "häßlich/with spaces and 🙂" * 9):
        schedules.put(tenant, "wf_0123456789abcdef0123", "rate(5 minutes)", "UTC")
    assert len(aws.schedules()) == 3
    assert all(len(each["Name"]) <= 64 for each in aws.schedules())
    schedules.delete("other", "wf_0123456789abcdef0123")
    assert len(aws.schedules()) == 2


def test_a_schedule_that_is_not_there_is_deleted_all_the_same(schedules: Schedules) -> None:
    schedules.delete("acme", "wf_1")


def refusal(status: int, code: str, message: str) -> Answer:
    """An error as Scheduler gives it: its name in a header, with an address behind it.

    https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    """
    named = f"{code}:http://internal.amazon.com/coral/com.amazonaws.chronos/"
    return Answer(status, json.dumps({"Message": message}).encode(), named)


MISSING = refusal(404, "ResourceNotFoundException", "Schedule wf_1 does not exist.")
THERE = refusal(409, "ConflictException", "Schedule wf_1 already exists.")


class Script:
    """A transport that gives prepared answers and notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
        self.asked: list[tuple[str, str]] = []
        left = list(answers)

        def send(_: Direct, url: str, *__: object, method: str, **___: object) -> Answer:
            self.asked.append((method, url.partition("/schedules/")[2]))
            return left.pop(0)

        monkeypatch.setattr(Direct, "send", send)


def test_who_is_overtaken_while_making_a_schedule_updates_it(
    schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, MISSING, THERE, Answer(200, b"{}"))
    schedules.put("acme", "wf_1", "rate(5 minutes)", "UTC")
    assert [method for method, _ in script.asked] == ["PUT", "POST", "PUT"]


def test_a_schedule_that_others_change_all_the_time_is_for_another_try(
    schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    Script(monkeypatch, MISSING, THERE, MISSING)
    with pytest.raises(AwsUnavailable, match="ResourceNotFoundException: Schedule wf_1 does not"):
        schedules.put("acme", "wf_1", "rate(5 minutes)", "UTC")


def test_what_scheduler_says_of_an_expression_is_told(
    schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    Script(monkeypatch, refusal(400, "ValidationException", "Invalid Schedule Expression at(x)."))
    with pytest.raises(ValueError, match=r"^Invalid Schedule Expression at\(x\)\.$"):
        schedules.put("acme", "wf_1", "at(x)", "UTC")


def test_a_schedule_is_deleted_by_its_group_and_name(
    aws: FakeAws, schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, MISSING)
    schedules.delete("acme", "wf_1")
    [(method, target)] = script.asked
    assert method == "DELETE"
    assert target.startswith("wf_1-")
    assert target.endswith(f"&groupName={aws.names['ScheduleGroup']}")
    assert "?clientToken=" in target


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(402, "ServiceQuotaExceededException", "1,000,000 schedules"), AwsError),
        (refusal(403, "AccessDeniedException", "not authorized"), AwsError),
    ],
)
def test_another_refusal_of_scheduler_is_an_error(
    schedules: Schedules, monkeypatch: pytest.MonkeyPatch, answer: Answer, error: type[AwsError]
) -> None:
    for call in (
        lambda: schedules.put("acme", "wf_1", "rate(5 minutes)", "UTC"),
        lambda: schedules.delete("acme", "wf_1"),
    ):
        Script(monkeypatch, answer)
        with pytest.raises(error, match=answer.error.partition(":")[0]):
            call()
