"""Facebook Pages: posts, comments and Messenger of the pages that a token may act for.

https://developers.facebook.com/docs/pages-api
https://developers.facebook.com/docs/graph-api/webhooks/getting-started

Here an app's id and secret are the user's own, with a token pasted beside them; ``facebook_oauth``
does the same with the stack's app and a log-in. What both share stands in ``api`` (how a request
goes out), ``grant`` (what a token may do), ``actions`` and ``events``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, override

from pydantic import BeforeValidator, Field, SecretStr

from integrations.errors import (
    CredentialsRejected,
    InvalidParams,
    NeedsReauthentication,
    RequestRejected,
)
from integrations.models import Account
from integrations.providers.base import (
    Call,
    Endpoint,
    Inbound,
    OAuthApp,
    Provider,
    Subscription,
    Verified,
)
from integrations.providers.facebook.actions import MODULES
from integrations.providers.facebook.api import Graph, identified, listing
from integrations.providers.facebook.events import normalize
from integrations.providers.facebook.grant import (
    Grant,
    PageGrant,
    Secret,
    can_refresh,
    expires_at,
    grant_fields,
    graph_of,
    page_of,
    refresh,
    verified,
)
from integrations.providers.facebook.triggers import TRIGGERS
from integrations.providers.facebook.values import text, texts

# -- Credentials -----------------------------------------------------------------------------


def _none_if_blank(value: object) -> object:
    """A form that was left empty sends an empty text."""
    return None if isinstance(value, str) and not value.strip() else value


class FacebookCredentials(Grant):
    """An app of https://developers.facebook.com/apps and a token for it.

    Give the app's id and secret and, to act for pages, a user's, a system user's or a page's token.
    A test finds out the rest; ``Verified.credentials`` holds it.
    """

    app_id: str = Field(
        title="App ID",
        description="The app's id: App settings, Basic.",
        pattern=r"^[0-9]{1,32}$",
    )
    app_secret: Secret = Field(
        title="App secret", description="The app's secret: App settings, Basic."
    )
    access_token: Annotated[Secret | None, BeforeValidator(_none_if_blank)] = Field(
        default=None,
        title="Access token",
        description=(
            "A user, system user or page access token of this app. A short-lived user token is"
            " exchanged for a long-lived one. Empty to receive webhooks only."
        ),
    )

    @override
    def token(self) -> SecretStr | None:
        return self.access_token

    @override
    def app(self, stack: OAuthApp | None) -> OAuthApp:
        return OAuthApp(self.app_id, self.app_secret)


def verify(call: Call[FacebookCredentials]) -> Verified[FacebookCredentials]:
    """Test the app and the token, and make the token long-lived.

    Raises:
        CredentialsRejected: The app's secret is wrong, or the token is dead, of another app, or an
            app's own; ``NeedsReauthentication`` for a token that was good at an earlier test.
        ProviderError: Facebook does not answer, or not now.
    """
    given = call.credentials
    graph = graph_of(call)
    blank = {name: field.default for name, field in Grant.model_fields.items()}
    if given.access_token is None:
        app = identified(graph.get(given.app_id, graph.app_token, {"fields": "id,name"}))
        name = text(app.get("name")) or given.app_id
        return Verified(
            account=Account(given.app_id, name, {"appId": given.app_id, "pages": []}),
            message=f"The app {name} is good; add an access token to act for its pages",
            credentials=given.model_copy(update=blank),
        )
    dead = NeedsReauthentication if given.token_type else CredentialsRejected
    grant = given.model_copy(update=grant_fields(graph, given.access_token, dead=dead))
    return verified(grant, graph.app)


# -- Webhooks --------------------------------------------------------------------------------

_FIELDS = {
    "facebook.comment": ("feed",),
    "facebook.post": ("feed",),
    "facebook.reaction": ("feed",),
    "facebook.message": ("messages", "message_echoes"),
    "facebook.postback": ("messaging_postbacks",),
}
"""Trigger type → the fields of a page's webhook that tell of it."""


def endpoint(credentials: FacebookCredentials) -> Endpoint:
    """The webhook of the user's own app: Meta signs with the app's secret.

    https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
    """
    return Endpoint(verification={"type": "meta"}, secret=credentials.app_secret)


def targets(account: Account) -> Mapping[str, str]:
    """The pages of a connection by their ids, from its metadata alone."""
    pages = account.details.get("pages")
    return {
        str(page["id"]): str(page.get("name") or page["id"])
        for page in (pages if isinstance(pages, list) else [])
        if isinstance(page, dict) and "id" in page
    }


def subscribe(call: Call[Grant], subscription: Subscription) -> None:
    """Let Meta send a page's events to our webhook.

    The app gets one callback for all its pages, with every field that a trigger needs; the page
    gets those that its workflows wait for, as more would need permissions that nobody uses, beside
    those that it has. An app has one callback only: of two connections with the same app of one's
    own, the one that subscribed last receives.

    https://developers.facebook.com/docs/graph-api/reference/application/subscriptions
    https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps

    Raises:
        RequestRejected: Meta could not verify the webhook's URL.
        PermissionMissing: The token may not subscribe the page.
        InvalidParams: The connection does not act for the page.
    """
    graph = graph_of(call)
    if subscription.target:
        page_of(call.credentials, subscription.target)
    every = sorted({field for fields in _FIELDS.values() for field in fields})
    graph.post(
        f"{graph.app.client_id}/subscriptions",
        graph.app_token,
        {
            "object": "page",
            "callback_url": subscription.url,
            "verify_token": subscription.verify_token,
            "fields": ",".join(every),
            "include_values": True,
        },
    )
    wanted = {field for type_ in subscription.events for field in _FIELDS.get(type_, ())}
    for page in _subscribed(call.credentials, subscription.target):
        # The fields replace those of before, which another connection of this app may need.
        fields = sorted((wanted or set(every)) | _present(graph, page))
        sending = {"subscribed_fields": ",".join(fields)}
        graph.post(f"{page.id}/subscribed_apps", page.access_token, sending)


def unsubscribe(call: Call[Grant], subscription: Subscription) -> None:
    """Stop a page's events; the app's callback stays, as other pages may use it."""
    graph = graph_of(call)
    for page in _subscribed(call.credentials, subscription.target):
        try:
            graph.delete(f"{page.id}/subscribed_apps", page.access_token)
        except (CredentialsRejected, InvalidParams, RequestRejected):
            # The page is gone, or has thrown the app out: then nothing comes of it any more.
            continue


def _present(graph: Graph, page: PageGrant) -> set[str]:
    """The fields that the page sends to this app already."""
    fields = {"fields": "id,subscribed_fields"}
    apps, _ = listing(graph.get(f"{page.id}/subscribed_apps", page.access_token, fields))
    return {
        field
        for app in apps
        if isinstance(app, dict) and app.get("id") == graph.app.client_id
        for field in texts(app.get("subscribed_fields"))
    }


def _subscribed(grant: Grant, target: str) -> tuple[PageGrant, ...]:
    return tuple(page for page in grant.pages if target in {"", page.id})


INBOUND: Inbound[Any] = Inbound(
    endpoint=endpoint,
    normalize=normalize,
    targets=targets,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
)

PROVIDER = Provider(
    id="facebook",
    title="Facebook Pages",
    docs_url="https://developers.facebook.com/docs/pages-api",
    credentials=FacebookCredentials,
    verify=verify,
    actions_in=MODULES,
    triggers=TRIGGERS,
    inbound=INBOUND,
    expires_at=expires_at,
    refresh=refresh,
    can_refresh=can_refresh,
)
