"""Any other method, and texts made safe.

https://core.telegram.org/bots/api#formatting-options
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
)

from integrations.models import Json
from integrations.providers.base import (
    Action,
    Call,
    Params,
)
from integrations.providers.telegram import api
from integrations.providers.telegram.actions.method import parts_of
from integrations.providers.telegram.actions.params import (
    MethodParams,
    ParseFallback,
    Shape,
    outgoing,
)


class AnyCall(MethodParams):
    """Takes any of https://core.telegram.org/bots/api#available-methods by name."""

    method: Annotated[
        str, Field(pattern=r"^[A-Za-z]{1,64}$", description="E.g. setMyCommands", max_length=64)
    ]
    params: Shape = Field(default_factory=dict, description="In Telegram's own names and shapes")
    parse_fallback: ParseFallback = True


def call_method(call: Call[Any], params: AnyCall) -> Json:
    """Call a method that has no action of its own.

    Returns:
        ``{"result": …}`` as Telegram gives it, and the notes of ``api.Answer``.
    """
    given, files = outgoing(params.params, "params.{}".format)
    parts = parts_of(call, files)
    answer = api.invoke(
        api.Bot.of(call), params.method, given, parts, parse_fallback=params.parse_fallback
    )
    return {"result": answer.result, **answer.notes}


CALL = Action(
    name="call",
    title="Call any other Bot API method",
    params=AnyCall,
    run=call_method,
    example={
        "method": "setMyCommands",
        "params": {"commands": [{"command": "start", "description": "Begin"}]},
    },
)


class Escape(Params):
    """See https://core.telegram.org/bots/api#formatting-options for the modes."""

    model_config = ConfigDict(defer_build=True, coerce_numbers_to_str=True)

    text: str
    parse_mode: Literal["MarkdownV2", "HTML", "Markdown"] = "MarkdownV2"
    within: Annotated[
        Literal["text", "code", "link"],
        Field(description="Where it goes: plain text, `code` or ```pre```, or a link's address"),
    ] = "text"


# The quote too: harmless in a text, and needed in <a href="…">.
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


_ESCAPED = {
    ("MarkdownV2", "text"): r"[\\_*\[\]()~`>#+\-=|{}.!]",
    ("MarkdownV2", "code"): r"[\\`]",
    ("MarkdownV2", "link"): r"[\\)]",
    ("Markdown", "text"): r"[_*`\[]",
}


def escape(_: Call[Any], params: Escape) -> Json:
    """Make a text safe to stand inside formatted text: nothing in it is markup any more.

    Returns:
        ``{"text": …}``.
    """
    if params.parse_mode == "HTML":
        return {"text": params.text.translate(_HTML)}
    pattern = _ESCAPED.get((params.parse_mode, params.within))
    text = re.sub(pattern, r"\\\g<0>", params.text) if pattern else params.text
    return {"text": text}


ESCAPE = Action(
    name="escape",
    title="Make a text safe inside formatted text",
    params=Escape,
    run=escape,
    example={"text": "1 + 1 = 2!", "parseMode": "MarkdownV2"},
    idempotent=True,
)


ACTIONS = (
    CALL,
    ESCAPE,
)
