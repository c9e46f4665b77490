"""What workflows can ask for of each kind of update.

https://core.telegram.org/bots/api#update
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictInt

from integrations import comparison
from integrations.providers.base import NoParams, Params
from integrations.providers.telegram.actions.params import ChatId, Text

type ChatType = Literal["private", "group", "supergroup", "channel"]


class FromFilters(Params):
    """Who did it."""

    model_config = ConfigDict(defer_build=True)

    from_id: Annotated[
        StrictInt | list[StrictInt] | None,
        Field(description="Only what this user did, or one of these"),
    ] = None


class ChatFilters(FromFilters):
    """Where it happened."""

    chat_id: Annotated[
        ChatId | list[ChatId] | None, Field(description="Only in this chat, or in one of these")
    ] = None
    chat_type: Annotated[
        ChatType | list[ChatType] | None,
        Field(description="Only in chats of this type, or of one of these"),
    ] = None


def _visible(word: str) -> str:
    if not comparison.comparable(word):
        raise ValueError("must hold something that can be seen")
    return word


class QueryFilters(FromFilters):
    """What was asked for."""

    text: Annotated[
        Annotated[Text, AfterValidator(_visible)] | None,
        Field(description="Only what contains this, in any case"),
    ] = None


class MessageFilters(QueryFilters, ChatFilters):
    """What was said."""

    command: Annotated[
        str | None,
        Field(
            pattern=r"^/?[A-Za-z0-9_]{1,32}(@[A-Za-z0-9_]{1,64})?$",
            description="Only this command, e.g. /start; never one to another bot by name",
        ),
    ] = None


class CallbackFilters(ChatFilters):
    """Which button was pressed."""

    data: Annotated[str | None, Field(description="Only a button with exactly this data")] = None
    data_prefix: Annotated[
        str | None, Field(description="Only buttons whose data begins so, e.g. order:")
    ] = None


FILTERS: Mapping[str, type[Params]] = {
    "none": NoParams,
    "from": FromFilters,
    "chat": ChatFilters,
    "query": QueryFilters,
    "message": MessageFilters,
    "callback": CallbackFilters,
}
"""What ``kinds.Kind.filters`` names."""
