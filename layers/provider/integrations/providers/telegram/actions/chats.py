"""The bot, its chats and its webhook.

https://core.telegram.org/bots/api#getchat
"""

from typing import Annotated

from pydantic import (
    Field,
)

from integrations.providers.telegram.actions.method import CHAT, method_action
from integrations.providers.telegram.actions.params import ChatId, MethodParams, Upload


class NoMethodParams(MethodParams):
    """For a method that takes nothing."""


GET_ME = method_action("getMe", "Show the bot", NoMethodParams, {}, returns="bot", idempotent=True)


GET_WEBHOOK_INFO = method_action(
    "getWebhookInfo",
    "Show the webhook",
    NoMethodParams,
    {},
    returns="webhook",
    idempotent=True,
)


class GetChat(MethodParams):
    """Takes what https://core.telegram.org/bots/api#getchat takes."""

    chat_id: ChatId


GET_CHAT = method_action("getChat", "Show a chat", GetChat, CHAT, returns="chat", idempotent=True)


class GetChatMember(GetChat):
    """Takes what https://core.telegram.org/bots/api#getchatmember takes."""

    user_id: int


GET_CHAT_MEMBER = method_action(
    "getChatMember",
    "Show a member of a chat",
    GetChatMember,
    {**CHAT, "userId": 987654321},
    returns="member",
    idempotent=True,
)


class SetWebhook(MethodParams):
    """Takes what https://core.telegram.org/bots/api#setwebhook takes."""

    url: Annotated[str, Field(description="An https address; empty to remove the webhook")]
    certificate: Upload | None = None
    ip_address: str | None = None
    max_connections: Annotated[int | None, Field(ge=1, le=100)] = None
    allowed_updates: list[str] | None = None
    drop_pending_updates: bool | None = None
    secret_token: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$", repr=False)] = None


SET_WEBHOOK = method_action(
    "setWebhook",
    "Set the webhook",
    SetWebhook,
    {"url": "https://example.com/telegram", "allowedUpdates": ["message"]},
    idempotent=True,
    returns="",
)


class DeleteWebhook(MethodParams):
    """Takes what https://core.telegram.org/bots/api#deletewebhook takes."""

    drop_pending_updates: bool | None = None


DELETE_WEBHOOK = method_action(
    "deleteWebhook", "Remove the webhook", DeleteWebhook, {}, idempotent=True, returns=""
)


ACTIONS = (
    GET_ME,
    GET_WEBHOOK_INFO,
    GET_CHAT,
    GET_CHAT_MEMBER,
    SET_WEBHOOK,
    DELETE_WEBHOOK,
)
