"""GET /api/events: what was received, newest first."""

from typing import Annotated

from integrations.entry import wiring
from integrations.entry.http import Api, Limit, Moment, NextToken, Query
from integrations.services.answers.events import EventPage, event_page
from integrations.services.events import EventFilter, Outcome

app = Api()


@app.get("/api/events", summary="List events", tags=["Events"])
def list_events(
    webhook_id: Annotated[str | None, Query(alias="webhookId", max_length=128)] = None,
    provider: Annotated[str | None, Query(max_length=64)] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    since: Annotated[Moment | None, Query(description="Received at or after.")] = None,
    until: Annotated[Moment | None, Query(description="Received at or before.")] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> EventPage:
    """One page of events; `nextToken` is there while more follow, even where a page is short."""
    chosen = EventFilter(
        webhook_id=webhook_id, provider=provider, outcome=outcome, since=since, until=until
    )
    return event_page(*wiring.event_log().page(app.tenant, chosen, limit, next_token))


handler = app.handler
