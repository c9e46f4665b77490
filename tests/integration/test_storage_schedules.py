"""Schedules: one per workflow, replaced in place, gone without a trace."""

import json
from datetime import UTC, datetime

import pytest

from integrations.storage.schedules import Schedules
from tests.fakes.aws import FakeAws


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
