"""POST /api/events/{eventId}/replay: an event once more, as a new one."""

from typing import Annotated

from integrations.entry import wiring
from integrations.entry.http import Api, Body, EventId, IdempotencyKey, WorkflowsChoice
from integrations.errors import Conflict, UnknownEvent
from integrations.services.answers.events import ReplayAnswer

app = Api(refuses=(UnknownEvent, Conflict))


@app.post("/api/events/<eventId>/replay", summary="Replay an event", tags=["Events"])
def replay_event(
    event_id: EventId,
    chosen: Annotated[WorkflowsChoice | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> ReplayAnswer:
    """It goes to whoever waits for it now, or to the workflows named, as a new event."""
    workflow_ids = chosen.workflow_ids if chosen else None
    made = wiring.replay_service().replay(
        app.tenant, event_id, workflow_ids, idempotency_key=idempotency_key
    )
    return ReplayAnswer(event_id=made, replay_of=event_id)


handler = app.handler
