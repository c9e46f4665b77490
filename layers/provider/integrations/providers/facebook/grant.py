"""What Facebook grants with a token, and how the best is made of it.

https://developers.facebook.com/docs/facebook-login/guides/access-tokens
https://developers.facebook.com/docs/graph-api/reference/debug_token

``facebook`` and ``facebook_oauth`` come by their tokens differently; from there on they are alike,
and the actions need no more than what is here.
"""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from integrations.errors import (
    CredentialsRejected,
    FieldError,
    InvalidParams,
    NeedsReauthentication,
    PermissionMissing,
)
from integrations.models import Account, Json, now, rfc3339
from integrations.providers.base import Call, Credentials, OAuthApp, Verified
from integrations.providers.facebook.api import Graph, harmless, identified, nonsense
from integrations.providers.facebook.faults import AppRefused
from integrations.providers.facebook.values import moment, text, texts

MAX_PAGES = 500
"""The most pages that one connection keeps tokens of; its record has a bounded size."""

SHORT_LIVED = timedelta(days=30)
"""A user token with less left than this is exchanged when it is saved; a fresh one has 60 days."""

_NAMED_PAGES = 5


def _sendable(value: SecretStr) -> SecretStr:
    """Let through what can stand in a header: a token that was pasted with a line break cannot."""
    text = value.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        message = "must be one line of plain characters without spaces, as Facebook gives it"
        raise ValueError(message)
    return SecretStr(text)


Secret = Annotated[SecretStr, Field(max_length=4096), AfterValidator(_sendable)]
"""A secret that Facebook gave."""

_DERIVED: dict[str, Json] = {"readOnly": True}
"""Marks what Facebook tells about a token: no form asks for it, and each test replaces it."""


type ObjectId = Annotated[
    str, Field(pattern=r"^[0-9A-Za-z_]{1,128}$", coerce_numbers_to_str=True, examples=["1234_5678"])
]
"""The id of a post, a comment, a photo … : safe in a path."""

type PageId = Annotated[str, Field(pattern=r"^[0-9]{1,32}$", coerce_numbers_to_str=True)]


class PageGrant(Credentials):
    """A page that a connection acts for."""

    id: str
    name: str
    access_token: SecretStr
    tasks: tuple[str, ...] = ()


class Grant(Credentials):
    """What Facebook grants with a token. The actions need this much of either provider."""

    token_type: str | None = Field(default=None, json_schema_extra=_DERIVED)
    user_id: str | None = Field(default=None, json_schema_extra=_DERIVED)
    scopes: tuple[str, ...] = Field(default=(), json_schema_extra=_DERIVED)
    expires_at: datetime | None = Field(default=None, json_schema_extra=_DERIVED)
    data_access_expires_at: datetime | None = Field(default=None, json_schema_extra=_DERIVED)
    pages: tuple[PageGrant, ...] = Field(default=(), json_schema_extra=_DERIVED)

    @property
    def is_page(self) -> bool:
        """Whether the token is a page's own."""
        kind = self.token_type
        return kind == "PAGE"

    @property
    def is_user(self) -> bool:
        """Whether the token is a user's."""
        kind = self.token_type
        return kind == "USER"

    @abstractmethod
    def token(self) -> SecretStr | None:
        """The token that everything else comes from."""

    @abstractmethod
    def app(self, stack: OAuthApp | None) -> OAuthApp:
        """The app that the token belongs to.

        Args:
            stack: The stack's own app, if it has one.

        Raises:
            ProviderNotConfigured: It is the stack's, and the stack has none.
        """


def graph_of(call: Call[Grant]) -> Graph:
    """Graph as this call's app sees it.

    Raises:
        ProviderNotConfigured: The app is the stack's, and the stack has none.
    """
    grant = call.credentials

    def scope_of(token: SecretStr) -> str:
        page = next((page for page in grant.pages if page.access_token == token), None)
        return f"page {page.id}" if page else "user"

    return Graph(grant.app(call.app), call.http, call.addresses, scope_of, call.check_pause)


def grant_fields(
    graph: Graph,
    token: SecretStr,
    *,
    dead: type[CredentialsRejected],
    needed: Collection[str] = (),
) -> dict[str, Any]:
    """Find out what a token is and may do, and make the best of it that there is.

    https://developers.facebook.com/docs/graph-api/reference/debug_token
    https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived

    Args:
        graph: Graph as the token's app.
        token: A user's, a system user's or a page's token.
        dead: What to raise for a token that Facebook does not take any more.
        needed: The scopes without which it will not do.

    Returns:
        The fields of a ``Grant``, and ``access_token``: a short-lived user token is exchanged, and
        the tokens of its pages come from the long-lived one, for only those do not expire.

    Raises:
        CredentialsRejected: The token is dead, of another app, or of no use here.
        PermissionMissing: Needed scopes were not granted; the detail names them.
    """
    facts = _inspect(graph, token, dead)
    expires_at = moment(facts.get("expires_at"))
    if facts.get("type") == "USER" and expires_at is not None and expires_at - now() < SHORT_LIVED:
        token = exchanged(graph, token)
        facts = _inspect(graph, token, dead)
    scopes = tuple(texts(facts.get("scopes")))
    if missing := [scope for scope in needed if scope not in scopes]:
        detail = f"These permissions were not granted: {', '.join(missing)}; connect again"
        raise PermissionMissing(detail, data={"missing": missing})
    kind = text(facts.get("type"))
    pages = _own_page(graph, token) if kind == "PAGE" else _pages_of(graph, token)
    return {
        "access_token": token,
        "token_type": kind,
        "user_id": text(facts.get("user_id")),
        "scopes": scopes,
        "expires_at": moment(facts.get("expires_at")),
        "data_access_expires_at": moment(facts.get("data_access_expires_at")),
        "pages": pages,
    }


def exchanged(graph: Graph, token: SecretStr) -> SecretStr:
    """A long-lived token for a user token that still lives.

    Raises:
        CredentialsRejected: Facebook does not exchange it, ``NeedsReauthentication`` where it is
            dead already.
    """
    return graph.token({"grant_type": "fb_exchange_token", "fb_exchange_token": token})


def _inspect(graph: Graph, token: SecretStr, dead: type[CredentialsRejected]) -> Mapping[str, Json]:
    """What ``debug_token`` says of a token that lives and belongs to this app."""
    try:
        body = graph.get("debug_token", graph.app_token, {"input_token": token})
    except InvalidParams as refusal:
        # How Facebook says that the token is another app's, or no token at all.
        raise CredentialsRejected(refusal.detail) from None
    match body.get("data"):
        case dict(facts):
            pass
        case _:
            raise nonsense()
    owner = text(facts.get("app_id"))
    if owner is not None and owner != graph.app.client_id:
        name = text(facts.get("application")) or "another app"
        detail = f"The access token belongs to {name} ({owner}), not to app {graph.app.client_id}"
        raise CredentialsRejected(detail)
    if facts.get("is_valid") is not True:
        raise _dead(facts.get("error"), dead)
    if facts.get("type") == "APP":
        detail = (
            "This is an app access token; it acts for no page. Give a user's or a page's token, or"
            " leave it out"
        )
        raise CredentialsRejected(detail)
    return facts


def _dead(error: Json, dead: type[CredentialsRejected]) -> CredentialsRejected:
    facts = harmless(error)
    facts = facts if isinstance(facts, dict) else {}
    reason = text(facts.get("message")) or "it is invalid or expired"
    code = "/".join(str(facts[key]) for key in ("code", "subcode") if facts.get(key) is not None)
    detail = f"Facebook does not take the access token any more: {reason}"
    return dead(detail, provider_code=code or None)


def _own_page(graph: Graph, token: SecretStr) -> tuple[PageGrant, ...]:
    page = identified(graph.get("me", token, {"fields": "id,name"}))
    return (PageGrant(id=str(page["id"]), name=str(page.get("name", "")), access_token=token),)


def _pages_of(graph: Graph, token: SecretStr) -> tuple[PageGrant, ...]:
    """The pages that a user's token may act for, each with its own token.

    https://developers.facebook.com/docs/graph-api/reference/user/accounts
    """
    pages: list[PageGrant] = []
    fields = {"fields": "id,name,access_token,tasks", "limit": 100}
    for page in graph.each("me/accounts", token, fields):
        match page:
            # A page without a token gives this person no task to act with.
            case {"id": str(id_), "access_token": str(own)} if own:
                pages.append(
                    PageGrant(
                        id=id_,
                        name=text(page.get("name")) or id_,
                        access_token=SecretStr(own),
                        tasks=tuple(texts(page.get("tasks"))),
                    )
                )
        if len(pages) == MAX_PAGES:
            break
    return tuple(pages)


def account_of(grant: Grant, app: OAuthApp) -> Account:
    """Who a connection is: its pages by name, with what a status page may show."""
    only = grant.pages[0].id if grant.is_page and grant.pages else None
    return Account(
        id=only or grant.user_id or app.client_id,
        label=_named(grant.pages) or f"Facebook user {grant.user_id}",
        details={
            "appId": app.client_id,
            "tokenType": grant.token_type,
            "scopes": list(grant.scopes),
            "tokenExpiresAt": _written(grant.expires_at),
            "dataAccessExpiresAt": _written(grant.data_access_expires_at),
            "pages": [
                {"id": page.id, "name": page.name, "tasks": list(page.tasks)}
                for page in grant.pages
            ],
        },
    )


def verified[G: Grant](grant: G, app: OAuthApp) -> Verified[G]:
    """The outcome of a test that went well."""
    count = len(grant.pages)
    if count:
        message = f"Connected to {count} page{'s' if count > 1 else ''}: {_named(grant.pages)}"
    else:
        message = "The token is good, but it may act for no page: grant pages_show_list and a page"
    return Verified(
        account=account_of(grant, app),
        message=message,
        credentials=grant,
        expires_at=expires_at(grant),
    )


def expires_at(grant: Grant) -> datetime | None:
    """When the token, or Facebook's permission to read the data, ends; the earlier of the two.

    A page's own token reads the page's data, which no user's leave covers: only its end counts.

    https://developers.facebook.com/docs/facebook-login/auth-vs-data
    """
    ends = [grant.expires_at]
    if grant.is_user:
        ends.append(grant.data_access_expires_at)
    return min((end for end in ends if end is not None), default=None)


def can_refresh(grant: Grant) -> bool:
    """Whether the token can be exchanged for a new one: a user's; a page's own stays what it is."""
    return grant.is_user


def refresh[G: Grant](call: Call[G]) -> G:
    """Exchange a user's token for a new long-lived one while it lives, and renew its pages.

    Raises:
        NeedsReauthentication: The token is dead, or the 90 days of data access are over.
        AppRefused: Facebook does not take the app's secret; the token may be good.
        ProviderUnavailable: Facebook does not answer now.
    """
    old = call.credentials
    token = old.token()
    if token is None or (old.expires_at is None and old.data_access_expires_at is None):
        return old
    if not old.is_user:
        if old.expires_at is None or old.expires_at > now():
            # Nothing can be had for it, and it still works.
            return old
        detail = "The access token has expired and is not of a kind that can be renewed"
        raise NeedsReauthentication(detail)
    graph = graph_of(call)
    try:
        fields = grant_fields(graph, exchanged(graph, token), dead=NeedsReauthentication)
    except (NeedsReauthentication, AppRefused):
        raise
    except CredentialsRejected as refusal:
        raise NeedsReauthentication(
            refusal.detail,
            status=refusal.status,
            provider_code=refusal.provider_code,
            data=refusal.data,
        ) from None
    fresh = old.model_copy(update=fields)
    ends = fresh.data_access_expires_at
    if ends is not None and ends <= now():
        detail = (
            "Facebook's permission to read the account's data ended; its owner must log in again"
        )
        raise NeedsReauthentication(detail)
    return fresh


def _written(end: datetime | None) -> str | None:
    return None if end is None else rfc3339(end)


def _named(pages: tuple[PageGrant, ...]) -> str:
    names = ", ".join(page.name for page in pages[:_NAMED_PAGES])
    more = len(pages) - _NAMED_PAGES
    return f"{names} and {more} more" if more > 0 else names


def page_of(grant: Grant, page_id: str | None, object_id: str = "") -> PageGrant:
    """The page to act for.

    Args:
        grant: The connection's credentials.
        page_id: The page that was asked for.
        object_id: What is acted on: a post's id begins with its page's.

    Raises:
        PermissionMissing: The connection may act for no page at all.
        InvalidParams: It is not clear which page is meant, or the page is none of the connection's.
    """
    pages = {page.id: page for page in grant.pages}
    if not pages:
        detail = "The connection may act for no page: give an access token that manages one"
        raise PermissionMissing(detail)
    if page_id is None and len(pages) == 1:
        return grant.pages[0]
    page = pages.get(page_id or object_id.partition("_")[0])
    if page is None:
        known = ", ".join(f"{page.name} ({page.id})" for page in grant.pages[:20])
        wrong = "is none of the connection's" if page_id else "is needed"
        detail = f"The page {wrong}; pageId is one of: {known}"
        raise InvalidParams(detail, [FieldError("pageId", f"{wrong}; one of: {known}")])
    return page


def user_token(grant: Grant) -> SecretStr:
    """The connection's own token.

    Raises:
        PermissionMissing: It has none.
    """
    token = grant.token()
    if token is None:
        raise PermissionMissing("The connection has no access token")
    return token
