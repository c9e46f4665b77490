"""The queue consumers' side of a function: a batch in, the messages that failed out.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from integrations.entry import settings
from integrations.services.dispatch import Received
from integrations.services.executions import ExecutionService

RUN_RESERVE = timedelta(seconds=35)
"""With less time than this left, a runner takes up no further message of its batch."""


def dispatch(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Dispatch a batch of the events queue."""
    batch = [
        Received(
            record["messageId"],
            record["body"],
            first=record.get("attributes", {}).get("ApproximateReceiveCount", "1") == "1",
        )
        for record in event["Records"]
    ]
    failed, reasons = settings.dispatcher().dispatch(batch)
    for message_id, reason in zip(failed, reasons, strict=True):
        Logger().error("not dispatched", message_id=message_id, exc_info=reason)
    return _failures(failed)


def run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run a batch of executions, one after the other."""
    failed = []
    for record in event["Records"]:
        left = timedelta(milliseconds=context.get_remaining_time_in_millis())
        try:
            _run_one(settings.execution_service(), record, left)
        except Exception:  # noqa: BLE001 - one message must not take others along
            Logger().exception("not run", message_id=record["messageId"])
            failed.append(record["messageId"])
    return _failures(failed)


def _run_one(service: ExecutionService, record: dict[str, Any], left: timedelta) -> None:
    message = settings.executions_queue().load(record["body"])
    tenant, execution_id = str(message["tenant"]), str(message["executionId"])
    if left < RUN_RESERVE:
        service.postpone(tenant, execution_id)
    else:
        service.run(tenant, execution_id, left)


def _failures(message_ids: list[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": each} for each in message_ids]}
