"""The vocabulary that every layer shares. Standard library only: the webhook path imports it."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
"""A JSON value."""

type Query = Mapping[str, Json]
"""The parameters of a URL's query, as ``gathered`` makes them of texts."""


def as_object(value: Json) -> dict[str, Json]:
    """``value`` if it is an object, else an empty one: nothing is taken for granted in answers."""
    return value if isinstance(value, dict) else {}


def same_json(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON, whatever the order of names.

    Python alone has ``[1] == [True] == [1.0]``, which are three things in JSON.
    """
    if one is other:
        return True
    if type(one) is not type(other) or one != other:
        return False
    if not isinstance(one, dict | list):
        return True
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def gathered(fields: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    """The fields of a form or a query by their names; a list where a name repeats."""
    found: dict[str, list[Json]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


type ConnectionStatus = Literal["connected", "disconnected", "expired", "needs_reauth", "error"]

DEFAULT_CONNECTION = "default"

MAX_TENANT = 128
"""Characters of a tenant's name."""

SUBJECT_PREFIX = "sub:"
"""What the tenant of a JWT's subject begins with; no other tenant does, so that a person who may
choose a user name cannot choose a tenant."""

MAX_TOKEN_DAYS = 3650
"""How long an API token may be good for."""

_NOT_IN_TENANTS = frozenset('#*/\\"')


def is_tenant(name: object) -> bool:
    """Whether a text can be a tenant's name.

    One to 128 printable characters without blanks, ``#`` (which parts keys), ``*``, ``/``,
    backslashes and quotes. Control characters and half surrogate pairs are not printable.
    """
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_TENANT
        and name.isprintable()
        and not any(each.isspace() or each in _NOT_IN_TENANTS for each in name)
    )


class Account(NamedTuple):
    """Whose credentials these are, as the provider tells it.

    Attributes:
        id: The provider's own id for the account (bot id, Google e-mail, Facebook user id …).
        label: What a person recognises (``@my_bot``, ``ann@example.com``, ``Page A, Page B``).
        details: More public facts for metadata and status, never a secret.
    """

    id: str
    label: str
    details: Mapping[str, Json] = {}


def text_of(query: Query, name: str) -> str:
    """The value of a parameter that is there once; empty where it is missing or repeats."""
    value = query.get(name)
    return value if isinstance(value, str) else ""


class Delivery(NamedTuple):
    """One HTTP request that a provider sent to a webhook, verified.

    Attributes:
        webhook_id: The webhook it came to.
        event_id: Our id of it, the same for each redelivery of the same delivery.
        received_at: When it came.
        headers: Lower-case names; those that carry secrets or signatures are already left out.
        query: The query's parameters; a list where a name repeats.
        body: The raw bytes.
        method: ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        path: What followed the webhook's URL, without slashes around it; mostly empty.
    """

    webhook_id: str
    event_id: str
    received_at: datetime
    headers: Mapping[str, str]
    query: Query
    body: bytes
    method: str = "POST"
    path: str = ""


class Event(NamedTuple):
    """What a delivery means: one thing that happened, in the shape that workflows see.

    Attributes:
        type: The trigger type it fits, e.g. ``facebook.comment``.
        id: The same for each telling of the same thing; unique within its webhook.
        target: Whom it happened to at the provider (page id, bot id, webhook id).
        data: What templates see as ``trigger``: JSON, camelCase.
    """

    type: str
    id: str
    target: str
    data: Mapping[str, Json]


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """``moment`` as RFC 3339 in UTC with milliseconds, e.g. ``2026-11-22T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_epoch(seconds: float) -> datetime:
    """The moment that Unix time ``seconds`` names, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
