"""What the actions share: a page's parameters, and how Graph's answer is handed on.

https://developers.facebook.com/docs/pages-api

What Facebook answers is handed on whole, its names in camelCase, without tokens.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from integrations.models import Json
from integrations.providers.base import Call, Params
from integrations.providers.facebook.api import camel, harmless, identified, listing, nonsense
from integrations.providers.facebook.grant import (
    Grant,
    PageGrant,
    PageId,
    graph_of,
    page_of,
)
from integrations.providers.facebook.values import text

type GraphField = Annotated[str, Field(pattern=r"^[a-z][0-9A-Za-z_.(){},]*$", max_length=500)]
"""One of the fields to read, e.g. ``message`` or ``reactions.limit(5){type}``."""


class PageParams(Params):
    """What acts for a page."""

    page_id: PageId | None = Field(
        default=None,
        description="The page to act for; may be left out where the connection has one page.",
    )


class ListParams(PageParams):
    """What reads a list."""

    limit: int = Field(default=25, ge=1, le=100, description="The most items to answer.")
    after: str | None = Field(
        default=None, max_length=1000, description="The ``after`` of the answer before."
    )


type FieldList = Annotated[
    tuple[GraphField, ...] | None,
    Field(description="The fields to read, in Graph's own names; empty for the usual ones."),
]


def answer(body: Mapping[str, Json]) -> Json:
    """What an action answers with: Graph's answer without tokens, its names in camelCase."""
    found = harmless(dict(body))
    if isinstance(found, dict) and found.get("success") == "true":
        found["success"] = True
    return camel(found)


_IDS = ("id", "post_id", "message_id", "recipient_id")


def done(body: Mapping[str, Json], *, makes: bool = False) -> Json:
    """What a write answers with: the id of what was made, or that it was done.

    Args:
        body: Graph's answer.
        makes: Whether it makes something, so that there is an id.

    Raises:
        ProviderUnavailable: Facebook says neither; the outcome is unknown.
    """
    is_done = body.get("success") in (True, "true") and not makes
    if not is_done and not any(text(body.get(name)) for name in _IDS):
        raise nonsense(writes=True)
    return answer(body)


def listed(body: Mapping[str, Json]) -> Json:
    """A list's answer: ``{items, after?}``."""
    items, after = listing(body)
    found: dict[str, Json] = {"items": camel(harmless(items))}
    return found | {"after": after} if after is not None else found


def read_list(
    call: Call[Grant],
    page: PageGrant,
    edge: str,
    params: ListParams,
    fields: Iterable[str],
    chosen: Mapping[str, Any] | None = None,
) -> Json:
    """One page of a list, read as the page: ``{items, after?}``."""
    paging = {"fields": ",".join(fields), "limit": params.limit, "after": params.after}
    return listed(graph_of(call).get(edge, page.access_token, {**(chosen or {}), **paging}))


def read(call: Call[Grant], page_id: str | None, object_id: str, fields: Iterable[str]) -> Json:
    """One node, read as the page."""
    token = page_of(call.credentials, page_id, object_id).access_token
    body = graph_of(call).get(object_id, token, {"fields": ",".join(fields)})
    return answer(identified(body))


def write(
    call: Call[Grant],
    page_id: str | None,
    object_id: str,
    edge: str,
    fields: Mapping[str, Any],
    *,
    makes: bool = False,
) -> Json:
    """One change to an object, made as the page; ``makes`` as of ``done``."""
    token = page_of(call.credentials, page_id, object_id).access_token
    return done(graph_of(call).post(f"{object_id}{edge}", token, fields), makes=makes)


def remove(call: Call[Grant], page_id: str | None, object_id: str) -> Json:
    """Delete an object, as the page."""
    token = page_of(call.credentials, page_id, object_id).access_token
    return done(graph_of(call).delete(object_id, token))


COMMENT: dict[str, Json] = {"commentId": "122100000000000001_987654321"}


POST: dict[str, Json] = {"postId": "110000000000001_122100000000000001"}
