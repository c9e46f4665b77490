"""Pages and what they send to the app.

https://developers.facebook.com/docs/graph-api/reference/page
"""

from typing import Annotated

from pydantic import Field

from integrations.models import Json
from integrations.providers.base import Action, Call, Params
from integrations.providers.facebook.actions.params import (
    FieldList,
    PageParams,
    answer,
    done,
    listed,
    read,
    write,
)
from integrations.providers.facebook.api import identified
from integrations.providers.facebook.grant import (
    Grant,
    graph_of,
    page_of,
    user_token,
)


class ListPagesParams(Params):
    """Parameters of ``listPages``."""

    limit: int = Field(default=25, ge=1, le=100, description="The most items to answer.")
    after: str | None = Field(
        default=None, max_length=1000, description="The ``after`` of the answer before."
    )


def list_pages(call: Call[Grant], params: ListPagesParams) -> Json:
    """The pages that the connection's user manages now, as Facebook tells it.

    https://developers.facebook.com/docs/graph-api/reference/user/accounts
    """
    grant = call.credentials
    graph = graph_of(call)
    if grant.is_page:
        page = page_of(grant, None)
        body = graph.get(page.id, page.access_token, {"fields": "id,name,category"})
        return {"items": [answer(identified(body))]}
    # "fields" also keeps Facebook from sending the pages' tokens.
    fields = {"fields": "id,name,category,tasks", "limit": params.limit, "after": params.after}
    return listed(graph.get("me/accounts", user_token(grant), fields))


LIST_PAGES = Action(
    name="listPages",
    title="List the pages",
    params=ListPagesParams,
    run=list_pages,
    example={"limit": 25},
    idempotent=True,
)


_PAGE_FIELDS = (
    *("id", "name", "category", "about", "link", "username", "website", "phone"),
    *("fan_count", "followers_count", "is_published"),
)


class GetPageParams(PageParams):
    """Parameters of ``getPage``."""

    fields: FieldList = None


def get_page(call: Call[Grant], params: GetPageParams) -> Json:
    """A page's own facts. https://developers.facebook.com/docs/graph-api/reference/page."""
    page = page_of(call.credentials, params.page_id)
    return read(call, page.id, page.id, params.fields or _PAGE_FIELDS)


GET_PAGE = Action(
    name="getPage",
    title="Get a page",
    params=GetPageParams,
    run=get_page,
    example={"fields": ["id", "name", "fan_count"]},
    idempotent=True,
)


class SubscribePageParams(PageParams):
    """Parameters of ``subscribePage``."""

    fields: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")], ...] = Field(
        default=("feed", "messages", "messaging_postbacks"),
        min_length=1,
        description="What Facebook shall send of this page to the app's webhook.",
    )


def subscribe_page(call: Call[Grant], params: SubscribePageParams) -> Json:
    """Let the app receive a page's webhooks; the fields replace those of before.

    https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps
    """
    page = page_of(call.credentials, params.page_id)
    fields = {"subscribed_fields": ",".join(params.fields)}
    return write(call, page.id, page.id, "/subscribed_apps", fields)


SUBSCRIBE_PAGE = Action(
    name="subscribePage",
    title="Subscribe the app to a page",
    params=SubscribePageParams,
    run=subscribe_page,
    example={"fields": ["feed", "messages"]},
    idempotent=True,
)


def unsubscribe_page(call: Call[Grant], params: PageParams) -> Json:
    """Stop a page's webhooks to the app."""
    page = page_of(call.credentials, params.page_id)
    return done(graph_of(call).delete(f"{page.id}/subscribed_apps", page.access_token))


UNSUBSCRIBE_PAGE = Action(
    name="unsubscribePage",
    title="Unsubscribe the app from a page",
    params=PageParams,
    run=unsubscribe_page,
    example={},
    idempotent=True,
)


def get_subscriptions(call: Call[Grant], params: PageParams) -> Json:
    """Which apps receive a page's webhooks, and which fields of them."""
    page = page_of(call.credentials, params.page_id)
    fields = {"fields": "id,name,subscribed_fields"}
    return listed(graph_of(call).get(f"{page.id}/subscribed_apps", page.access_token, fields))


GET_SUBSCRIPTIONS = Action(
    name="getSubscriptions",
    title="List a page's subscribed apps",
    params=PageParams,
    run=get_subscriptions,
    example={},
    idempotent=True,
)


ACTIONS = (
    LIST_PAGES,
    GET_PAGE,
    SUBSCRIBE_PAGE,
    UNSUBSCRIBE_PAGE,
    GET_SUBSCRIPTIONS,
)
