"""A method of the Bot API as an action.

https://core.telegram.org/bots/api#making-requests
"""

from collections.abc import Mapping
from typing import Any

from integrations.models import Json, as_object
from integrations.providers.base import (
    Action,
    Call,
)
from integrations.providers.files import opened
from integrations.providers.telegram import api
from integrations.providers.telegram.actions.params import MethodParams, Part


def _output(noun: str, answer: api.Answer) -> Json:
    """What a step sees: the ids at hand, the whole result under its noun, and the notes.

    A message gives ``{"messageId", "chatId", "message"}``, an album ``{"messageIds", "chatId",
    "messages"}``, a plain yes ``{"ok": true}``.
    """
    result = answer.result
    if isinstance(result, bool):
        return {"ok": result, **answer.notes}
    ids: dict[str, Json] = {}
    if noun == "message":
        message = as_object(result)
        ids = {
            "messageId": message.get("message_id"),
            "chatId": as_object(message.get("chat")).get("id"),
        }
    elif noun == "messages":
        messages = [as_object(message) for message in result] if isinstance(result, list) else []
        ids = {
            "messageIds": [message.get("message_id") for message in messages],
            "chatId": as_object(messages[0].get("chat")).get("id") if messages else None,
        }
    return {**ids, noun: result, **answer.notes}


_YES_TO_INLINE = frozenset({"editMessageText", "editMessageCaption", "editMessageReplyMarkup"})
"""Methods that answer with a message, or a yes where it was sent by way of an inline query."""


def _is_result(noun: str, answer: api.Answer, *, may_be_yes: bool) -> bool:
    """Whether a result is what the method answers with: a yes, a message, an album, an object."""
    result = answer.result
    if result is True:
        return not noun or may_be_yes or "unchanged" in answer.notes
    match noun:
        case "":
            return False
        case "message":
            return _is_message(result)
        case "messages":
            return isinstance(result, list) and bool(result) and all(map(_is_message, result))
        case _:
            return isinstance(result, dict)


def parts_of(call: Call[Any], files: Mapping[str, Part]) -> dict[str, api.Part]:
    """The files of a request with what is sent of each.

    Raises:
        UnknownFile: One of them is no longer there.
    """
    return {
        place: (name, opened(call, content), kind) for place, (name, content, kind) in files.items()
    }


def _is_message(result: Json) -> bool:
    return isinstance(as_object(result).get("message_id"), int)


def method_action(
    name: str,
    title: str,
    params: type[MethodParams],
    example: Mapping[str, Json],
    *,
    returns: str = "message",
    idempotent: bool = False,
) -> Action:
    """The action for a Bot API method: its name is the method's.

    Args:
        name: The method's name.
        title: What it does, in a few words.
        params: The model of its parameters.
        example: Parameters that fit.
        returns: What a result is called in the output; empty for a method that answers with a yes.
        idempotent: Whether a repetition does no harm.
    """

    def run(call: Call[Any], given: MethodParams) -> Json:
        request, files = given.request()
        fallback = bool(getattr(given, "parse_fallback", False))
        parts = parts_of(call, files)
        answer = api.invoke(api.Bot.of(call), name, request, parts, parse_fallback=fallback)
        if not _is_result(returns, answer, may_be_yes=name in _YES_TO_INLINE):
            raise api.nonsense(name)
        return _output(returns, answer)

    return Action(
        name=name, title=title, params=params, run=run, example=example, idempotent=idempotent
    )


CHAT: Mapping[str, Json] = {"chatId": 123456789}


MESSAGE: Mapping[str, Json] = {"chatId": 123456789, "messageId": 42}


IMAGE = "https://example.com/cat.jpg"


MARKUP: Json = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}
