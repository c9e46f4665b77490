"""Models as forms: JSON Schema 2020-12 that a form renderer, and a person, can use as it is.

pydantic's own schema says how Python reads a value: an optional field is ``anyOf [X, null]`` with a
default, titles are names run together, docstrings stand as they are. A form says what a person may
give: what is optional may be left out, titles are words, the fields stand in the order in which one
fills them in. https://json-schema.org/draft/2020-12/json-schema-validation
"""

import re
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from integrations import signatures

LONG_TEXT: Final = 3000
"""A text that may have more characters than this, and is no address, gets several lines."""

_ACRONYMS: Final = {
    "Api": "API",
    "Cid": "Content ID",
    "Html": "HTML",
    "Id": "ID",
    "Ids": "IDs",
    "Ip": "IP",
    "Json": "JSON",
    "Smtp": "SMTP",
    "Tls": "TLS",
    "Url": "URL",
    "Uri": "URI",
    "Urls": "URLs",
}
_SECTION: Final = re.compile(r"\n\s*(?:Args|Attributes|Raises|Returns):\s*\n")


def title_of(name: str) -> str:
    """A field's name in words: ``accessToken`` → ``Access token``, ``chat_id`` → ``Chat ID``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").split()
    words = [_ACRONYMS.get(word.capitalize(), word.lower()) for word in words]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def prose(docstring: str | None) -> str:
    """The first paragraph of a docstring, in one line, its literals as Markdown has them."""
    text = _SECTION.split("\n" + cleandoc(docstring or ""))[0].strip().split("\n\n")[0]
    return _one_line(text)


def _one_line(text: str) -> str:
    """A text in one line; Python's documentation has two backticks where Markdown has one."""
    return re.sub(r"(?<!`)``(?!`)", "`", " ".join(text.split()))


class _Words(GenerateJsonSchema):
    def get_title_from_name(self, name: str) -> str:
        return title_of(name)


def form(model: type[BaseModel], *, title: str, example: Mapping[str, Any] | None = None) -> Any:
    """The form of a model.

    Args:
        model: Of an action's parameters, a trigger's filters or a provider's credentials.
        title: What the form is called.
        example: Values that fit; each becomes its field's example.

    Returns:
        A JSON Schema of an object, without references where none is recursive. ``properties`` are
        in the order of the form. ``writeOnly`` marks what is secret, ``x-control`` says how a field
        is best shown: ``text``, ``multiline``, ``password``, ``number``, ``checkbox``, ``select``,
        ``list`` (one value a line), ``union`` (``oneOf``, distinguished by ``type``) or ``json``.
        ``x-advanced`` marks what few people need.
    """
    schema = model.model_json_schema(schema_generator=_Words)
    made = _Inlined(schema.get("$defs", {})).object(schema)
    own = set(model.__annotations__)
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    fields = made["properties"]
    required = set(made.get("required", ()))
    order = sorted(
        fields,
        key=lambda name: (
            bool(fields[name].get("readOnly")),
            name not in required,
            name not in required and names.get(name, name) not in own,
        ),
    )
    for name, value in (example or {}).items():
        if name in fields and "examples" not in fields[name] and not _secret(fields[name]):
            fields[name]["examples"] = [value]
    described = prose(model.__doc__)
    return {
        "title": title,
        **({"description": described} if _adds_to_the_title(described) else {}),
        "type": "object",
        "properties": {
            name: {**fields[name], "x-control": _control(fields[name])} for name in order
        },
        **({"required": [name for name in order if name in required]} if required else {}),
        "additionalProperties": False,
    }


def _adds_to_the_title(description: str) -> bool:
    return bool(description) and not re.match(r"(?:Parameters|Filters) of `", description)


_VERIFICATION_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "header": {"type": "string", "maxLength": 100, "description": "The header that has it."},
    "prefix": {"type": "string", "maxLength": 100, "description": "What stands before it there."},
    "query": {"type": "string", "maxLength": 100, "description": "The query parameter, instead."},
    "deliveryHeader": {
        "type": "string",
        "maxLength": 100,
        "description": "The header with the sender's own id of a delivery.",
    },
    "algorithm": {"enum": list(signatures.ALGORITHMS), "type": "string"},
    "encoding": {"enum": list(signatures.ENCODINGS), "type": "string"},
    "toleranceSeconds": {
        "type": "integer",
        "minimum": 1,
        "maximum": 3600,
        "description": "How far the signed time may be off.",
    },
    "username": {"type": "string", "maxLength": 100, "description": "The secret is the password."},
    "ranges": {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "maxItems": 100,
        "description": "Where deliveries may come from, e.g. 203.0.113.0/24.",
    },
    "issuer": {"type": "string", "maxLength": 500, "description": "What iss must be."},
    "audience": {"type": "string", "maxLength": 500, "description": "What aud must hold."},
    "jwksUrl": {
        "type": "string",
        "maxLength": 500,
        "description": "Where the issuer's keys are (RS256, ES256); without it the secret signs "
        "(HS256).",
    },
}


def verification() -> dict[str, Any]:
    """How a webhook's deliveries prove themselves: a union, distinguished by ``type``."""
    variants = []
    for kind in signatures.TYPES:
        fields = {"type": {"title": "Type", "type": "string", "const": kind}}
        for name in sorted(signatures.fields_of(kind)):
            fields[name] = {"title": title_of(name), **_VERIFICATION_FIELDS[name]}
            fields[name]["x-control"] = _control(fields[name])
        variants.append({
            "title": kind,
            "type": "object",
            "properties": fields,
            "required": ["type", *sorted(signatures.REQUIRED.get(kind, ()))],
            "additionalProperties": False,
        })  # fmt: skip
    return {"oneOf": variants, "discriminator": {"propertyName": "type"}, "x-control": "union"}


class _Inlined:
    """A schema whose named parts stand where they are used."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """An object's schema: each of its fields as a person gives it."""
        required = set(schema.get("required", ()))
        fields = {
            name: self._field(name, field, required=name in required)
            for name, field in schema.get("properties", {}).items()
        }
        made: dict[str, Any] = {"type": "object", "properties": fields}
        if required:
            made["required"] = [name for name in fields if name in required]
        if schema.get("additionalProperties") is False:
            made["additionalProperties"] = False
        return made

    def _field(self, name: str, field: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
        optional = not required and field.get("default") is None
        made: dict[str, Any] = self.value({k: v for k, v in field.items() if k != "default"})
        if optional:
            made = without_null(made)
        made.setdefault("title", title_of(name))
        if "description" in made:
            made["description"] = _one_line(str(made["description"]))
        if field.get("default") is not None:
            made["default"] = field["default"]
        return {key: made[key] for key in ("title", "description") if key in made} | made

    def value(self, node: Any) -> Any:
        """Any schema, its references replaced by what they stand for."""
        match node:
            case {"$ref": str(reference), **others}:
                name = reference.rpartition("/")[2]
                if self._recursive(name):
                    return others  # any JSON
                return {**self.value(self._definitions[name]), **self.value(others)}
            case {"properties": dict()}:
                described = prose(node.get("description"))
                description = {"description": described} if described else {}
                return {**description, **self.object(node)}
            case dict():
                return {key: self.value(inner) for key, inner in node.items()}
            case list():
                return [self.value(inner) for inner in node]
        return node

    def _recursive(self, name: str) -> bool:
        """Whether what a name stands for refers to itself; only JSON as such does."""
        return f"'#/$defs/{name}'" in str(self._definitions[name])


def without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that does not name ``null``: what is optional is left out."""
    choices = schema.get("anyOf")
    if not choices or {"type": "null"} not in choices:
        return dict(schema)
    others = [choice for choice in choices if choice != {"type": "null"}]
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(others) == 1:
        (only,) = others
        return without_null({**only, **beside})
    return {**beside, "anyOf": others}


def _choices(field: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for choice in field.get("anyOf", (field,)):
        yield from _choices(choice) if "anyOf" in choice else (choice,)


def _secret(field: Mapping[str, Any]) -> bool:
    return any(choice.get("writeOnly") for choice in _choices(field))


def _control(field: Mapping[str, Any]) -> str:
    choices = list(_choices(field))
    types = {str(choice.get("type", "any")) for choice in choices}
    line = "string" in types and types <= {"string", "integer", "number", "boolean"}
    longest = max(choice.get("maxLength", 0) for choice in choices)
    controls = (
        (field.get("x-control"), isinstance(field.get("x-control"), str)),
        ("select", all("enum" in choice or "const" in choice for choice in choices)),
        ("number", types <= {"integer", "number"}),
        ("checkbox", types == {"boolean"}),
        ("password", line and _secret(field)),
        ("multiline", line and longest > LONG_TEXT),
        ("text", line),
        ("list", types <= {"array", "string", "integer"} and _flat_items(choices)),
    )
    return next((str(control) for control, fits in controls if fits), "json")


def _flat_items(choices: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the items of every list among the choices are one line each."""
    return all(
        inner.get("type") in ("string", "integer")
        for choice in choices
        if choice.get("type") == "array"
        for inner in _choices(choice.get("items", {}))
    )
