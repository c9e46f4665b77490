"""The schedules' side of a function."""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from integrations.entry import invocation, metrics, wiring

CHECK_RESERVE = timedelta(seconds=60)
"""With less time than this left, no further connection is checked; the next run goes on."""


def refresh_connections(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Check the connections that are due, oldest first, as many as the time allows."""
    invocation.begin(context)
    metrics.begin(requestId=context.aws_request_id)

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() >= CHECK_RESERVE.total_seconds() * 1000

    counts = wiring.due_checks().run(has_time)
    Logger().info("checked", counts=counts, has_time=has_time())
    return counts


def recover_executions(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Send the executions that nobody took up in time to the runners again."""
    invocation.begin(context)
    metrics.begin(requestId=context.aws_request_id)

    def left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    sent = wiring.runner().recover(left)
    if sent:
        Logger().warning("recovered", sent=sent)
    return {"sent": sent}
