"""GET /api/events/{eventId}: one event whole, and what came of it."""

from integrations.entry import wiring
from integrations.entry.http import Api, EventId
from integrations.errors import UnknownEvent
from integrations.services.answers.events import EventAnswer, event_answer

app = Api(refuses=(UnknownEvent,))


@app.get("/api/events/<eventId>", summary="Get an event", tags=["Events"])
def get_event(event_id: EventId) -> EventAnswer:
    """What was sent, without its secrets, and what came of it at each workflow."""
    return event_answer(wiring.event_log().get(app.tenant, event_id))


handler = app.handler
