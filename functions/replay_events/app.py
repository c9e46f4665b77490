"""POST /api/events/replay: all events that a filter finds once more, in the background."""

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import Api, IdempotencyKey, Moment, Request, WorkflowsChoice
from integrations.errors import IdempotencyKeyReused
from integrations.services.answers.events import JobAnswer, job_answer
from integrations.services.events import EventFilter, Outcome

app = Api(refuses=(IdempotencyKeyReused,))


class EventChoice(Request):
    """Which events."""

    webhook_id: str | None = Field(None, max_length=128)
    provider: str | None = Field(None, max_length=64)
    outcome: Outcome | None = None
    since: Moment | None = None
    until: Moment | None = None


class ReplayRequest(WorkflowsChoice):
    """What to replay, to whom, how fast."""

    filter: EventChoice
    per_minute: int | None = Field(None, ge=1, le=60_000)


@app.post("/api/events/replay", summary="Replay events", tags=["Events"])
def replay_events(request: ReplayRequest, idempotency_key: IdempotencyKey = None) -> JobAnswer:
    """At most 10,000 events, the oldest first; the job shows how far it is, and can be stopped."""
    chosen = EventFilter(**request.filter.model_dump())
    job = wiring.replay_service().replay_all(
        app.tenant,
        chosen,
        request.workflow_ids,
        request.per_minute,
        idempotency_key=idempotency_key,
    )
    return job_answer(job)


handler = app.handler
