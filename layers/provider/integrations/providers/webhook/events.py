"""What a delivery to a webhook means: one event, whatever its body is."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    Field,
)

from integrations.models import Delivery, Event, Json, rfc3339
from integrations.providers.base import (
    Params,
)
from integrations.providers.webhook.bodies import media_type, read_body, unpacked


class WebhookFilters(Params):
    """Which deliveries start a workflow."""

    content_type: Annotated[
        str | None,
        Field(description="Only bodies of this media type, e.g. application/json."),
    ] = None


def matches(data: Mapping[str, Json], filters: WebhookFilters) -> bool:
    """Whether a delivery passes the filters."""
    wanted = filters.content_type
    return not wanted or media_type(str(data.get("contentType") or "")) == wanted.strip().lower()


def normalize(delivery: Delivery) -> list[Event]:
    """A delivery as one event, its body in the plainest shape that it has.

    JSON becomes its value, a form an object of its fields (a list where a name repeats, a file as
    ``{fileName, contentType, contentBase64}``), text a string, and everything else
    ``{"base64": …}``. A body that is not what its content type says is not lost for it.

    Raises:
        InvalidInput: The body is packed, and unpacks to more than is taken.
    """
    content_type = delivery.headers.get("content-type", "")
    body = unpacked(delivery.body, delivery.headers.get("content-encoding", ""))
    data: dict[str, Json] = {
        "body": read_body(body, content_type),
        "contentType": content_type or None,
        "headers": dict(delivery.headers),
        "query": dict(delivery.query),
        "method": delivery.method,
        "path": delivery.path,
        "receivedAt": rfc3339(delivery.received_at),
        "eventId": delivery.event_id,
        "webhookId": delivery.webhook_id,
    }
    event = Event(type="webhook", id=delivery.event_id, target=delivery.webhook_id, data=data)
    return [event]
