"""What the API answers about events and jobs, typed for OpenAPI."""

import base64
import json
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import Field

from integrations import strict_json
from integrations.services.answers.base import Answer
from integrations.services.events import events_of
from integrations.storage.events import LoggedEvent, Outcome, Payload
from integrations.storage.jobs import Job, JobStatus

MAX_PREVIEW = 64 * 1024
"""Bytes of a body that are shown."""

MAX_SHOWN = 256 * 1024
"""Bytes of all events' data that are shown together; what is beyond it shows none."""


class VerificationAnswer(Answer):
    """How a delivery proved whose it is."""

    type: str
    verified: bool
    reason: str | None = None


class EventSummary(Answer):
    """An event in a list."""

    event_id: str
    webhook_id: str | None = Field(None, description="Null for a manual start or a schedule.")
    provider: str
    connection: str | None = None
    received_at: datetime
    outcome: Outcome
    reason: str | None = None
    types: list[str]
    size: int
    executions: int
    replay_of: str | None = None


class EventPartAnswer(Answer):
    """One thing that happened, as workflows see it; ``data`` is what templates see as trigger."""

    type: str
    target: str
    data: Any = None
    data_truncated: bool = False


class WorkflowOutcomeAnswer(Answer):
    """What came of an event at one workflow."""

    workflow_id: str
    workflow_name: str
    outcome: Literal["dispatched", "filtered", "failed", "refused"]
    reason: str | None = None
    execution_id: str | None = None


class EventAnswer(EventSummary):
    """An event, whole."""

    verification: VerificationAnswer
    method: str = Field(description="How it came.")
    path: str = Field(description="What followed the webhook's URL; mostly nothing.")
    headers: dict[str, str]
    query: dict[str, str | list[str]]
    body: Any = Field(None, description="JSON or text; other bytes as `{base64}`. A preview.")
    body_truncated: bool = False
    events: list[EventPartAnswer]
    workflows: list[WorkflowOutcomeAnswer]


class EventPage(Answer):
    """One page of events, newest first."""

    items: list[EventSummary]
    next_token: str | None = None


class ReplayAnswer(Answer):
    """The new event that repeats an earlier one."""

    event_id: str
    replay_of: str


class JobAnswer(Answer):
    """Something long that runs in the background."""

    job_id: str
    kind: str
    status: JobStatus
    total: int | None = Field(None, description="How many it is about; null until that is known.")
    done: int
    failed: int
    error: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


class JobPage(Answer):
    """One page of jobs, newest first."""

    items: list[JobAnswer]
    next_token: str | None = None


def event_page(found: list[LoggedEvent], next_token: str | None) -> EventPage:
    """A page of events as the API shows it."""
    items = [EventSummary(**_summary(each)) for each in found]
    return EventPage(items=items, next_token=next_token)


def event_answer(event: LoggedEvent) -> EventAnswer:
    """An event as the API shows it."""
    payload = event.payload or Payload()
    body, truncated = _preview(payload.body or b"")
    return EventAnswer(
        **_summary(event),
        verification=VerificationAnswer.model_validate(event.verification),
        method=payload.method,
        path=payload.path,
        headers=dict(payload.headers),
        query=cast("dict[str, str | list[str]]", dict(payload.query)),
        body=body,
        body_truncated=truncated or payload.body_truncated,
        events=_parts(event),
        workflows=[
            WorkflowOutcomeAnswer(
                workflow_id=each.workflow_id,
                workflow_name=each.workflow_name,
                outcome=each.outcome,
                reason=each.reason,
                execution_id=each.execution_id,
            )
            for each in event.workflows
        ],
    )


def job_answer(job: Job) -> JobAnswer:
    """A job as the API shows it."""
    return JobAnswer(
        job_id=job.job_id,
        kind=job.kind,
        status=job.status,
        total=job.total,
        done=job.done,
        failed=job.failed,
        error=job.error,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )


def _summary(event: LoggedEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "webhook_id": event.webhook_id or None,
        "provider": event.provider,
        "connection": event.connection_name or None,
        "received_at": event.received_at,
        "outcome": event.outcome,
        "reason": event.reason,
        "types": list(event.types),
        "size": event.size,
        "executions": event.executions,
        "replay_of": event.replay_of,
    }


def _preview(body: bytes) -> tuple[Any, bool]:
    """What is shown of a body, and whether that is not all of it."""
    if not body:
        return None, False
    if len(body) <= MAX_PREVIEW:
        try:
            return strict_json.read(body), False
        except strict_json.NotJson:
            pass  # then it is shown as what it is
    cut = body[:MAX_PREVIEW]
    # A character of UTF-8 has up to four bytes: the last one may have been cut.
    for end in range(len(cut), max(0, len(cut) - 4), -1):
        try:
            return cut[:end].decode(), len(body) > end
        except UnicodeDecodeError:
            if len(body) == len(cut):
                break
    return {"base64": base64.b64encode(cut).decode()}, len(body) > len(cut)


def _parts(event: LoggedEvent) -> list[EventPartAnswer]:
    left = MAX_SHOWN
    parts = []
    for each in events_of(event):
        left -= len(json.dumps(each.data))
        shown = left >= 0
        parts.append(
            EventPartAnswer(
                type=each.type,
                target=each.target,
                data=each.data if shown else None,
                data_truncated=not shown,
            )
        )
    return parts
