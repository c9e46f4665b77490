"""What happens to a page: Meta's webhook batches as events.

https://developers.facebook.com/docs/graph-api/webhooks/reference/page
https://developers.facebook.com/docs/messenger-platform/reference/webhook-events

Standard library only: the dispatcher imports it, and none of the provider's models.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, get_args

from integrations import comparison, strict_json
from integrations.errors import InvalidInput
from integrations.models import Delivery, Event, Json, rfc3339
from integrations.providers.facebook.values import moment, text

type Verb = Literal[
    "add", "block", "delete", "edit", "edited", "follow", "hide", "mute", "remove", "unblock",
    "unhide", "update",
]  # fmt: skip

VERBS = frozenset(get_args(Verb.__value__))
"""Every way in which the feed changes."""

# -- From batches to events -------------------------------------------------------------------


def normalize(delivery: Delivery) -> list[Event]:
    """What Meta's batch tells: one event for each thing, in order, none of them twice.

    https://developers.facebook.com/docs/graph-api/webhooks/reference/page/#feed
    https://developers.facebook.com/docs/messenger-platform/reference/webhook-events

    Raises:
        InvalidInput: The body is not a notification of Meta's.
    """
    try:
        body = strict_json.read(delivery.body)
    except strict_json.NotJson as reason:
        raise InvalidInput(f"The body of the Facebook webhook is not JSON: {reason}") from None
    match body:
        case {"object": str(kind), "entry": list(entries)}:
            pass
        case _:
            raise InvalidInput("The body is not a notification of Facebook's: no object or entry")
    if kind != "page":
        return []
    events: dict[str, Event] = {}
    for entry in _dicts(entries):
        for event in _events_of(entry):
            events.setdefault(event.id, event)
    return list(events.values())


def _events_of(entry: Mapping[str, Any]) -> Iterator[Event]:
    """The events of one entry: its changes of the feed, and its messages."""
    page_id = text(entry.get("id"))
    if page_id is None:
        return
    for change in _dicts(entry.get("changes")):
        value = change.get("value")
        if (
            change.get("field") == "feed"
            and isinstance(value, dict)
            and text(value.get("verb")) in VERBS
        ):
            read = _FEED.get(str(value.get("item")), _nothing)
            if event := read(page_id, value):
                yield _dated(event, value, entry)
    for message_event in _dicts(entry.get("messaging")):
        for kind, read in _MESSAGING.items():
            if isinstance(message_event.get(kind), dict) and (
                event := read(page_id, message_event)
            ):
                yield event


def _dated(event: Event, value: Mapping[str, Json], entry: Mapping[str, Json]) -> Event:
    """An event with the hour of its notification in its id, where it can happen again as it was.

    A comment that is hidden, shown and hidden again, or edited there and back, comes with the same
    times of its own. Facebook repeats a notification at once where it was not taken, and may date
    it anew: within an hour it is the same.
    """
    if value.get("verb") in _ONCE:
        return event
    sent = moment(entry.get("time"))
    hour = int(sent.timestamp() // _HOUR) if sent else ""
    return event._replace(id=f"{event.id}:{hour}")


_ONCE = frozenset({"add", "delete", "remove"})
"""What happens to a thing once; whatever else happens to it can happen again."""
_HOUR = 3600


def _nothing(page_id: str, value: dict[str, Json]) -> None:
    """An item that nobody asked for."""


def _comment(page_id: str, value: dict[str, Json]) -> Event | None:
    comment_id = text(value.get("comment_id"))
    if comment_id is None:
        return None
    post_id, parent_id = text(value.get("post_id")), text(value.get("parent_id"))
    on_post = {None, post_id, (post_id or "").partition("_")[2]}
    id_ = _event_id("comment", page_id, comment_id, value)
    data = _feed(page_id, value) | {
        "commentId": comment_id,
        "parentId": parent_id,
        "isTopLevel": parent_id in on_post,
        "message": text(value.get("message")),
        "permalink": _permalink(value),
        "attachmentUrl": text(value.get("photo")) or text(value.get("video")),
    }
    return Event("facebook.comment", id_, page_id, data)


def _post(page_id: str, value: dict[str, Json]) -> Event | None:
    post_id = text(value.get("post_id"))
    if post_id is None:
        return None
    id_ = _event_id("post", page_id, post_id, value)
    data = _feed(page_id, value) | {
        "message": text(value.get("message")),
        "link": text(value.get("link")),
        "isPublished": value.get("published") not in (0, "0"),
        "permalink": _permalink(value),
        "attachmentUrl": text(value.get("photo")) or text(value.get("video")),
    }
    return Event("facebook.post", id_, page_id, data)


def _reaction(page_id: str, value: dict[str, Json]) -> Event | None:
    on = text(value.get("comment_id")) or text(value.get("post_id"))
    data = _feed(page_id, value)
    author, at = data["from"], value.get("created_time")
    who = author.get("id") if isinstance(author, dict) else None
    if on is None or (who is None and at is None):
        # Nobody did it to nothing, or nobody knows when: it could not be told from the next one.
        return None
    kind = text(value.get("reaction_type")) or "like"
    parts = ("reaction", page_id, on, who, kind, value.get("verb"), at)
    data |= {"commentId": text(value.get("comment_id")), "reactionType": kind}
    return Event("facebook.reaction", ":".join(map(str, parts)), page_id, data)


def _message(page_id: str, message_event: dict[str, Json]) -> Event | None:
    message = message_event["message"]
    mid = text(message.get("mid")) if isinstance(message, dict) else None
    if not isinstance(message, dict) or mid is None:
        return None
    data = _messaging(page_id, message_event) | {
        "mid": mid,
        "text": text(message.get("text")),
        "attachments": [
            {"type": one.get("type"), "url": _inner(one, "payload", "url")}
            for one in _dicts(message.get("attachments"))
        ],
        "quickReplyPayload": _inner(message, "quick_reply", "payload"),
        "replyToMid": _inner(message, "reply_to", "mid"),
        "isEcho": message.get("is_echo") is True,
    }
    return Event("facebook.message", f"message:{page_id}:{mid}", page_id, data)


def _postback(page_id: str, message_event: dict[str, Json]) -> Event | None:
    postback = message_event["postback"]
    data = _messaging(page_id, message_event)
    if not isinstance(postback, dict) or data["senderId"] is None:
        return None
    mid, payload = text(postback.get("mid")), text(postback.get("payload"))
    # Older subscriptions send no mid; nobody presses one button twice in a millisecond.
    same = mid or f"{data['senderId']}:{message_event.get('timestamp')}:{payload}"
    data |= {
        "mid": mid,
        "title": text(postback.get("title")),
        "payload": payload,
        "referral": postback.get("referral"),
    }
    return Event("facebook.postback", f"postback:{page_id}:{same}", page_id, data)


_FEED: Mapping[str, Callable[[str, dict[str, Json]], Event | None]] = {
    "comment": _comment,
    "reaction": _reaction,
    "like": _reaction,
    **dict.fromkeys(("post", "status", "photo", "video", "share", "link", "album", "event"), _post),
}
"""A feed change's item → what it is to us. Items that are not here are left out."""

_MESSAGING: Mapping[str, Callable[[str, dict[str, Json]], Event | None]] = {
    "message": _message,
    "postback": _postback,
}


def _feed(page_id: str, value: Mapping[str, Json]) -> dict[str, Json]:
    """What all changes of the feed have."""
    author: Json = None
    if isinstance(by := value.get("from"), dict):
        author = {"id": text(by.get("id")), "name": text(by.get("name"))}
    return {
        "pageId": page_id,
        "postId": text(value.get("post_id")),
        "item": text(value.get("item")),
        "verb": text(value.get("verb")),
        "from": author,
        "isOwn": isinstance(author, dict) and author["id"] == page_id,
        "createdTime": _time(value.get("created_time")),
        "raw": dict(value),
    }


def _messaging(page_id: str, message_event: Mapping[str, Json]) -> dict[str, Json]:
    """What all of Messenger's events have."""
    sender, recipient = (
        _inner(message_event, "sender", "id"),
        _inner(message_event, "recipient", "id"),
    )
    return {
        "pageId": page_id,
        "senderId": sender,
        "recipientId": recipient,
        "from": {"id": sender, "name": None},
        "isOwn": sender == page_id,
        "createdTime": _time(message_event.get("timestamp")),
        "raw": dict(message_event),
    }


def _event_id(kind: str, page_id: str, object_id: str, value: Mapping[str, Json]) -> str:
    """The same for each delivery of one change, and another for each other change.

    A thing is added and removed once, but for the photos and videos of one post, and a draft that
    is published later. All else can happen again, so its times count; the time of the notification
    does not: a redelivery has another.
    """
    verb = str(value.get("verb"))
    parts = [kind, page_id, object_id, verb]
    distinguishing = ("photo_id", "video_id", "published")
    parts += [f"{name}={value[name]}" for name in distinguishing if value.get(name, 1) != 1]
    if verb not in _ONCE:
        parts += [str(value.get("created_time")), str(value.get("edited_time") or "")]
    if verb in {"edit", "edited", "update"}:
        # Facebook repeats the comment's own time here: only what it says tells two edits apart. The
        # addresses of its pictures are signed anew each time.
        pictures = (str(value.get(name)).partition("?")[0] for name in ("photo", "video"))
        content = "\n".join((str(value.get("message")), *pictures))
        parts.append(sha256(content.encode()).hexdigest()[:16])
    return ":".join(parts)


def _permalink(value: Mapping[str, Json]) -> str | None:
    return text(value.get("permalink_url")) or _inner(value, "post", "permalink_url")


# -- Values of Facebook's --------------------------------------------------------------------


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _inner(value: Mapping[str, Any], name: str, inner: str) -> str | None:
    within = value.get(name)
    return text(within.get(inner)) if isinstance(within, dict) else None


def _time(value: object) -> str | None:
    """A Unix time or a text of Facebook's (``2026-11-22T12:00:00+0000``) as RFC 3339."""
    when = moment(value)
    try:
        if when is None and isinstance(value, str):
            when = datetime.fromisoformat(value)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return None if when is None else rfc3339(when)
    except (ValueError, OverflowError):  # no moment, or none of the years that there are in UTC
        return None


# -- Filters ---------------------------------------------------------------------------------


def matches(data: Mapping[str, Json], filters: Mapping[str, Any]) -> bool:
    """Whether an event's data passes all of the filters that are set, of what the trigger has."""
    words = [*(filters.get("keywords") or ()), filters.get("keyword"), filters.get("text")]
    written = data.get("text" if "text" in filters else "message")
    return all(
        _FILTERS[name](data, wanted)
        for name, wanted in filters.items()
        if wanted is not None and name not in _WORDS
    ) and _contains(written, [each for each in words if each])


def _contains(written: Json, words: list[str]) -> bool:
    """Whether one of the words is in the text; none asked for is in every text."""
    return not words or (isinstance(written, str) and comparison.contains(written, words))


def _on_post(data: Mapping[str, Json], wanted: str) -> bool:
    post_id = data.get("postId")
    return isinstance(post_id, str) and wanted in {post_id, post_id.partition("_")[2]}


_WORDS = frozenset({"keyword", "keywords", "text"})
"""The filters that are asked together: one of the words must be there."""

_FILTERS: Mapping[str, Callable[[Mapping[str, Json], Any], bool]] = {
    "pageId": lambda data, wanted: data.get("pageId") == wanted,
    "includeOwn": lambda data, wanted: wanted or data.get("isOwn") is not True,
    "postId": _on_post,
    "verbs": lambda data, wanted: data.get("verb") in wanted,
    "includeUnpublished": lambda data, wanted: wanted or data.get("isPublished") is not False,
    "topLevelOnly": lambda data, wanted: not wanted or data.get("isTopLevel") is True,
    "reactions": lambda data, wanted: not wanted or data.get("reactionType") in wanted,
    "payload": lambda data, wanted: data.get("payload") == wanted,
}
