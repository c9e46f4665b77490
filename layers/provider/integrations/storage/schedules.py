"""Schedules: EventBridge Scheduler puts a message on the events queue when a workflow is due.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime

from integrations.models import now
from integrations.storage.aws import Aws, AwsError, AwsUnavailable

_AS_IT_STANDS = frozenset({"ConflictException", "ResourceNotFoundException"})
"""What Scheduler says where there is such a schedule already, or none."""


class Schedules:
    """One schedule group, with a schedule per scheduled workflow.

    Args:
        aws: The way to Scheduler.
        group: The schedule group's name.
        role_arn: The role that Scheduler takes on to send.
        target_arn: The queue that it sends to.
        dead_letters_arn: The queue for what it could not send in a day.
        clock: The present moment.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        group: str,
        role_arn: str,
        target_arn: str,
        dead_letters_arn: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._aws = aws
        self._group = group
        self._role_arn = role_arn
        self._target_arn = target_arn
        self._dead_letters_arn = dead_letters_arn
        self._clock = clock

    def put(self, tenant: str, workflow_id: str, expression: str, timezone: str) -> None:
        """Create or replace a workflow's schedule; idempotent.

        Its messages say which schedule they are of: another one may have been put in its place.

        Raises:
            ValueError: Scheduler does not take the expression; the text says why.
        """
        message = {
            "schedule": {
                "tenant": tenant,
                "workflowId": workflow_id,
                "since": int(self._clock().timestamp()),
                "expression": expression,
                "timezone": timezone,
            },
            "scheduledTime": "<aws.scheduler.scheduled-time>",
        }
        schedule = {
            "GroupName": self._group,
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            # A schedule for one moment goes with it; the others have no end.
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": self._target_arn,
                "RoleArn": self._role_arn,
                "Input": json.dumps(message),
                "DeadLetterConfig": {"Arn": self._dead_letters_arn},
                "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400},
            },
        }
        code = reason = ""
        # Whoever comes between an update that finds none and the making has made one to update.
        for operation in ("UpdateSchedule", "CreateSchedule", "UpdateSchedule"):
            try:
                self._aws.scheduler(operation, _name(tenant, workflow_id), schedule)
            except AwsError as refusal:
                code, reason = refusal.aws_code, refusal.aws_message
                if code == "ValidationException":
                    raise ValueError(reason) from None
                if code not in _AS_IT_STANDS:
                    raise
            else:
                return
        raise AwsUnavailable("PutSchedule", code, reason)

    def delete(self, tenant: str, workflow_id: str) -> None:
        """Remove a workflow's schedule; nothing happens where there is none."""
        name = _name(tenant, workflow_id)
        try:
            self._aws.scheduler("DeleteSchedule", name, {"GroupName": self._group})
        except AwsError as refusal:
            if refusal.aws_code != "ResourceNotFoundException":
                raise


def _name(tenant: str, workflow_id: str) -> str:
    # Scheduler takes 64 characters of a small alphabet; a tenant's id may have more and others.
    return f"{workflow_id}-{hashlib.sha256(tenant.encode()).hexdigest()[:24]}"
