"""What a delivery to a webhook means: one event, whatever its body is.

Standard library only: the dispatcher imports it, and none of the provider's models.
"""

from collections.abc import Mapping

from integrations.models import Delivery, Event, Json, rfc3339
from integrations.providers.webhook.bodies import media_type, read_body, unpacked


def matches(data: Mapping[str, Json], filters: Mapping[str, Json]) -> bool:
    """Whether a delivery passes the filters."""
    wanted = str(filters.get("contentType") or "").strip().lower()
    return not wanted or media_type(str(data.get("contentType") or "")) == wanted


def normalize(delivery: Delivery) -> list[Event]:
    """A delivery as one event, its body in the plainest shape that it has.

    JSON becomes its value, a form an object of its fields (a list where a name repeats, a file as
    ``{fileName, contentType, contentBase64}``), text a string, and everything else
    ``{"base64": …}``. A body that is not what its content type says is not lost for it. A parameter
    of the query is a list, too, where it repeats.

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
