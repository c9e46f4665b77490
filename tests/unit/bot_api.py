"""Telegram's methods as aiogram has them: a contract that others keep for what the bot sends."""

from collections.abc import Mapping
from typing import Any

import aiogram.methods
from aiogram import types
from pydantic import BaseModel, TypeAdapter

from tests.fakes.telegram import Called, Uploaded

NESTED: dict[str, type[BaseModel]] = {
    "reply_parameters": types.ReplyParameters,
    "link_preview_options": types.LinkPreviewOptions,
    "suggested_post_parameters": types.SuggestedPostParameters,
    "ephemeral_message_parameters": types.EphemeralMessageParameters,
}
MARKUPS: dict[str, type[BaseModel]] = {
    "inline_keyboard": types.InlineKeyboardMarkup,
    "keyboard": types.ReplyKeyboardMarkup,
    "remove_keyboard": types.ReplyKeyboardRemove,
    "force_reply": types.ForceReply,
}


def method(name: str) -> type[BaseModel]:
    """aiogram's model of a method."""
    model: type[BaseModel] = getattr(aiogram.methods, name[0].upper() + name[1:])
    return model


def fields(name: str) -> set[str]:
    """The fields of a method that are not deprecated."""
    return {each for each, field in method(name).model_fields.items() if not _is_deprecated(field)}


def check(called: Called) -> None:
    """The call fits aiogram's model of the method: names, required ones, nested objects."""
    model = method(called.method)
    files = {
        part: types.BufferedInputFile(file.content, file.name)
        for part, file in called.files.items()
        if not part.startswith("file")
    }
    given = {**with_files(called.params, called.files), **files}
    assert set(given) <= set(model.model_fields), called.method
    assert set(given) <= fields(called.method), called.method
    model.model_validate(given)
    for field, nested in NESTED.items():
        if field in given:
            check_object(nested, given[field])
    if "reply_markup" in given:
        kind = next(kind for kind in MARKUPS if kind in given["reply_markup"])
        check_object(MARKUPS[kind], given["reply_markup"])
    for option in given.get("options", []):
        check_object(types.InputPollOption, option)
    for entity in (*given.get("entities", []), *given.get("caption_entities", [])):
        check_object(types.MessageEntity, entity)
    if called.method == "sendMediaGroup":
        TypeAdapter(list[types.MediaUnion]).validate_python(given["media"])


def with_files(value: Any, files: Mapping[str, Uploaded]) -> Any:
    """``value`` as aiogram has it: a file in the place of what refers to its part."""
    if isinstance(value, dict):
        return {name: with_files(inner, files) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_files(inner, files) for inner in value]
    if isinstance(value, str) and value.startswith("attach://"):
        part = files[value.removeprefix("attach://")]
        return types.BufferedInputFile(part.content, part.name)
    return value


def check_object(model: type[BaseModel], value: dict[str, Any]) -> None:
    assert set(value) <= set(model.model_fields)
    model.model_validate(value)


def _is_deprecated(field: Any) -> bool:
    return bool(isinstance(field.json_schema_extra, dict) and field.json_schema_extra["deprecated"])
