"""The queue consumers' side of a function: a batch in, the messages that failed out.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from integrations.entry import invocation, metrics, wiring, wiring_tenants
from integrations.errors import UnknownJob
from integrations.services.batches import Received
from integrations.storage.aws import AwsError, AwsUnavailable
from integrations.storage.queues import Queue

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from integrations.services.jobs import JobService
    from integrations.services.runner import Runner

RUN_RESERVE = timedelta(seconds=35)
"""With less time than this left, a runner takes up no further message of its batch."""


RECEIVES_BEFORE_A_JOB_IS = 5
"""How often a message may come, over half a minute, before its job's row."""

LONGEST_BACKOFF = 300
"""Seconds until a message that failed often comes back."""


def dispatch(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Dispatch a batch of the events queue."""
    invocation.begin(context)
    metrics.begin(requestId=context.aws_request_id)
    batch = [
        Received(
            record["messageId"],
            record["body"],
            record.get("attributes", {}).get("MessageGroupId", ""),
            first=record.get("attributes", {}).get("ApproximateReceiveCount", "1") == "1",
        )
        for record in event["Records"]
    ]
    dispatcher = wiring.dispatcher()
    from integrations.services.dispatch import NoTimeLeft

    failed, reasons = dispatcher.dispatch(batch, invocation.seconds_left)
    for message_id, reason in zip(failed, reasons, strict=True):
        if isinstance(reason, NoTimeLeft):
            _log().info("put back", messageId=message_id)
        else:
            _log().error("not dispatched", messageId=message_id, exc_info=reason)
            metrics.observe("message", queue="events", messageId=message_id)
    _back_off(wiring.events_queue(), event, failed)
    return _failures(failed)


def run(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Run a batch of executions, one after the other."""
    invocation.begin(context)
    failed = []
    for record in event["Records"]:
        metrics.begin(requestId=context.aws_request_id)
        left = timedelta(seconds=invocation.seconds_left())
        try:
            _run_one(wiring.runner(), record, left)
        except Exception:  # noqa: BLE001 - one message must not take others along
            _log().exception("not run", messageId=record["messageId"])
            metrics.observe("message", queue="executions", messageId=record["messageId"])
            failed.append(record["messageId"])
    _back_off(wiring.executions_queue(), event, failed)
    return _failures(failed)


def run_job(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Carry jobs on, one after the other."""
    return _carry_on(event, context, "jobs", wiring.jobs_queue(), wiring.job_service())


def run_erasure(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Carry erasures of tenants on, one after the other."""
    queue, jobs = wiring_tenants.erasures_queue(), wiring_tenants.erasure_service()
    return _carry_on(event, context, "erasures", queue, jobs)


def _carry_on(
    event: dict[str, Any], context: "LambdaContext", name: str, queue: Queue, jobs: "JobService"
) -> dict[str, Any]:
    invocation.begin(context)
    metrics.begin(requestId=context.aws_request_id)
    failed = []
    for record in event["Records"]:
        try:
            message = queue.load(record["body"])
            jobs.run(str(message["tenant"]), str(message["jobId"]), invocation.seconds_left)
        except UnknownJob:
            # Its row is written after its message: in a moment, or whoever did it died between.
            if int(record["attributes"]["ApproximateReceiveCount"]) < RECEIVES_BEFORE_A_JOB_IS:
                failed.append(record["messageId"])
        except Exception:  # noqa: BLE001 - one message must not take others along
            _log().exception("not carried on", messageId=record["messageId"])
            metrics.observe("message", queue=name, messageId=record["messageId"])
            failed.append(record["messageId"])
    _back_off(queue, event, failed)
    return _failures(failed)


def _log() -> "Logger":
    """Powertools' logger, which costs a tenth of a cold start: for what fails alone."""
    from aws_lambda_powertools import Logger

    return Logger()


def _run_one(runner: "Runner", record: dict[str, Any], left: timedelta) -> None:
    message = wiring.executions_queue().load(record["body"])
    if left < RUN_RESERVE:
        runner.hand_over(message)
    else:
        runner.run(message, left)


def _back_off(queue: Queue, event: dict[str, Any], failed: list[str]) -> None:
    """Have what failed come back in seconds at first, then ever later.

    Left alone it would come back after the queue's visibility, which is made for crashes: minutes
    for a table that did not answer once.
    """
    for record in event["Records"]:
        if record["messageId"] in failed:
            receives = int(record["attributes"]["ApproximateReceiveCount"])
            seconds = min(2 ** min(receives, 10), LONGEST_BACKOFF)
            jittered = random.uniform(0.5, 1) * seconds
            try:
                queue.postpone(record["receiptHandle"], jittered)
            except AwsError as failure:
                # Then it comes back after the visibility. Who does not answer is not asked on; a
                # refusal is about this message alone.
                _log().warning("not postponed", messageId=record["messageId"], exc_info=failure)
                if isinstance(failure, AwsUnavailable):
                    return


def _failures(message_ids: list[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": each} for each in message_ids]}
