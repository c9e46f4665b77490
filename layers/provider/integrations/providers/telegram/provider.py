"""Telegram: whatever a bot sends and manages, and whatever Telegram tells it.

https://core.telegram.org/bots/api

The requests are in ``api``, what a bot does in ``actions``, the updates in ``events``; here is what
they add up to.
"""

import re
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from integrations.errors import ProviderUnavailable
from integrations.models import Account, Json, as_object
from integrations.providers.base import (
    Call,
    Credentials,
    Endpoint,
    Inbound,
    Provider,
    Subscription,
    Trigger,
    Verified,
)
from integrations.providers.telegram import api
from integrations.providers.telegram.actions import MODULES
from integrations.providers.telegram.events import OWN_ID, OWN_NAME, describe, matches, normalize
from integrations.providers.telegram.kinds import KINDS
from integrations.providers.telegram.triggers import FILTERS

# -- Credentials -----------------------------------------------------------------------------


def _token(value: SecretStr) -> SecretStr:
    """Let through what has a token's shape: nothing that would change the URL it is part of."""
    if not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", value.get_secret_value()):
        message = "must look like 123456789:AAE…, as @BotFather gives it"
        raise ValueError(message)
    return value


def _server(value: str | None) -> str | None:
    """Let through an http or https address without user, query or fragment; cut the slash."""
    if not value:
        return None
    parts = urlsplit(value)
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or re.search(r"\s", value))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        message = "must be an http or https address without user, query or fragment"
        raise ValueError(message)
    return value.rstrip("/")


class TelegramCredentials(Credentials):
    """A bot's token from https://t.me/BotFather, and where its Bot API server is."""

    bot_token: Annotated[
        SecretStr,
        Field(
            title="Bot token",
            description="What @BotFather gave for the bot, e.g. 123456789:AAE…",
            max_length=256,
        ),
        AfterValidator(_token),
    ]
    api_base: Annotated[
        str | None,
        Field(
            title="Bot API server",
            description="The address of a self-hosted Bot API server; empty for Telegram's own.",
            max_length=2048,
        ),
        AfterValidator(_server),
    ] = None


def verify(call: Call[TelegramCredentials]) -> Verified[TelegramCredentials]:
    """Ask Telegram who the bot is: https://core.telegram.org/bots/api#getme.

    Raises:
        CredentialsRejected: No bot has this token.
        ProviderUnavailable: The server is down, or is no Bot API server.
    """
    me = api.invoke(api.Bot.of(call), "getMe", {}).result
    if not isinstance(me, dict) or not isinstance(me.get("id"), int):
        raise ProviderUnavailable("The server did not answer getMe as a Bot API server does")
    label = f"@{me['username']}" if me.get("username") else str(me.get("first_name", me["id"]))
    details: dict[str, Json] = {
        "username": me.get("username"),
        "firstName": me.get("first_name"),
        "canJoinGroups": me.get("can_join_groups"),
        "canReadAllGroupMessages": me.get("can_read_all_group_messages"),
        "supportsInlineQueries": me.get("supports_inline_queries"),
    }
    account = Account(id=str(me["id"]), label=label, details=details)
    return Verified(account=account, message=f"Connected as {label}")


# -- Triggers and webhooks -------------------------------------------------------------------

TRIGGERS = tuple(
    Trigger(
        type=f"telegram.{name}",
        title=kind.title,
        filters=FILTERS[kind.filters],
        matches=matches,
        example=describe(name, {"update_id": 700000001, name: kind.example}),
    )
    for name, kind in KINDS.items()
)


def subscribe(call: Call[TelegramCredentials], subscription: Subscription) -> None:
    """Have Telegram send what workflows wait for: https://core.telegram.org/bots/api#setwebhook.

    The kinds are named one by one: by default Telegram leaves some out. The address says who the
    bot is, so that a command to another bot in the same group is known for what it is.

    Raises:
        RequestRejected: Telegram does not take the address (not https, an odd port).
        ProviderError: As for every call.
    """
    kinds = {event.removeprefix("telegram.") for event in subscription.events}
    params: dict[str, Json] = {
        "url": f"{subscription.url}?{_own(subscription.account)}",
        "secret_token": subscription.secret.get_secret_value(),
        "allowed_updates": [name for name in KINDS if name in kinds],
    }
    api.invoke(api.Bot.of(call), "setWebhook", params)


def _own(account: Account) -> str:
    return urlencode({OWN_NAME: account.details.get("username") or "", OWN_ID: account.id})


def unsubscribe(call: Call[TelegramCredentials], subscription: Subscription) -> None:
    """Have Telegram send nothing more to us: https://core.telegram.org/bots/api#deletewebhook.

    A webhook that somebody has pointed elsewhere in the meantime is not ours to remove.

    Raises:
        ProviderError: As for every call.
    """
    bot = api.Bot.of(call)
    present = as_object(api.invoke(bot, "getWebhookInfo", {}).result).get("url")
    if str(present).partition("?")[0] == subscription.url:
        api.invoke(bot, "deleteWebhook", {})


PROVIDER = Provider(
    id="telegram",
    title="Telegram",
    docs_url="https://core.telegram.org/bots/api",
    credentials=TelegramCredentials,
    verify=verify,
    actions_in=MODULES,
    triggers=TRIGGERS,
    inbound=Inbound(
        endpoint=lambda _: Endpoint(verification={"type": "telegram"}),
        normalize=normalize,
        targets=lambda account: {account.id: account.label},
        subscribe=subscribe,
        unsubscribe=unsubscribe,
    ),
)
