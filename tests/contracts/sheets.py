"""What Google's own description of the Sheets API says about a request.

The description is the discovery document that google-api-python-client brings along. It does not
say that ``valueInputOption`` is required; the service does, so that is checked beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

_INT32 = range(-(2**31), 2**31)
_SEGMENT = r"([^/:?]+)"


@cache
def document() -> dict[str, Any]:
    """The discovery document."""
    spec = find_spec("googleapiclient")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    text = (folder / "discovery_cache/documents/sheets.v4.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _methods() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    def walk(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield from resource.get("methods", {}).values()
        for inner in resource.get("resources", {}).values():
            yield from walk(inner)

    found = []
    for method in walk(document()):
        parts = re.split(r"\{[^}]+\}", "/" + method["path"])
        found.append((re.compile(_SEGMENT.join(map(re.escape, parts))), method))
    # Fixed words before parameters: values:batchGet is no range.
    return sorted(found, key=lambda pair: pair[0].pattern.count(_SEGMENT))


def method_of(verb: str, path: str) -> dict[str, Any] | None:
    """The method that a request is for; ``None`` where there is none."""
    for pattern, method in _methods():
        if method["httpMethod"] == verb and pattern.fullmatch(path):
            return method
    return None


def violations(verb: str, target: str, body: bytes) -> list[str]:
    """Everything in a request that the API does not describe.

    Args:
        verb: The HTTP method.
        target: Path and query, as they were sent.
        body: The body.
    """
    path, _, query = target.partition("?")
    method = method_of(verb, path)
    if method is None:
        return [f"no method is {verb} {path}"]
    found = [*_query(method, parse_qsl(query, keep_blank_values=True))]
    if "request" not in method:
        return [*found, *(["a body where none belongs"] if body else [])]
    try:
        content = json.loads(body)
    except ValueError:
        return [*found, "the body is not JSON"]
    return [*found, *_against(method["request"], content, "body")]


def _query(method: Mapping[str, Any], pairs: list[tuple[str, str]]) -> Iterator[str]:
    known = document()["parameters"] | {
        name: schema_
        for name, schema_ in method["parameters"].items()
        if schema_["location"] == "query"
    }
    names = [name for name, _ in pairs]
    for name, value in pairs:
        schema_ = known.get(name)
        if schema_ is None:
            yield f"{method['id']} has no parameter {name}"
            continue
        if not schema_.get("repeated") and names.count(name) > 1:
            yield f"{name} may not be repeated"
        if "enum" in schema_ and (value not in schema_["enum"] or "UNSPECIFIED" in value):
            yield f"{name} cannot be {value!r}"
        if schema_["type"] == "boolean" and value not in {"true", "false"}:
            yield f"{name} is a boolean, not {value!r}"
        if name == "fields":
            yield from _mask(method["response"], _tree(value), "fields")
    if "valueInputOption" in known and "valueInputOption" not in names:
        yield "valueInputOption is missing"


def _tree(mask: str) -> dict[str, Any]:
    """A field mask as a tree; an own reading of it, for masks without wildcards."""
    tokens = re.findall(r"[A-Za-z0-9]+|[(),./]", mask)
    root: dict[str, Any] = {}
    stack, here = [root], root
    for token in tokens:
        match token:
            case ",":
                here = stack[-1]
            case "(":
                stack.append(here)
            case ")":
                here = stack.pop()
            case "." | "/":
                pass
            case _:
                here = here.setdefault(token, {})
    return root


def _mask(schema: Mapping[str, Any], tree: Mapping[str, Any], where: str) -> Iterator[str]:
    schema_ = document()["schemas"][schema["$ref"]] if "$ref" in schema else schema
    if schema_.get("type") == "array":
        yield from _mask(schema_["items"], tree, where)
        return
    for name, inner in tree.items():
        found = schema_.get("properties", {}).get(name)
        if found is None:
            yield f"{where} has no field {name}"
        else:
            yield from _mask(found, inner, f"{where}.{name}")


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def _against(schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    schema_ = document()["schemas"][schema["$ref"]] if "$ref" in schema else schema
    kind = schema_["type"]
    if kind == "any":
        # What "any" leaves open, its description says: a cell is a bool, a string or a number.
        if ".values." in where and isinstance(value, (dict, list)):
            yield f"{where} is no cell"
        return
    is_number = kind in {"integer", "number"}
    if not isinstance(value, _TYPES[kind]) or (is_number and isinstance(value, bool)):
        yield f"{where} is a {kind}, not {value!r}"
        return
    yield from _single(schema_, value, where)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _against(schema_["items"], item, f"{where}.{index}")
    elif isinstance(value, dict):
        for name, item in value.items():
            inner = schema_.get("properties", {}).get(name, schema_.get("additionalProperties"))
            if inner is None:
                yield f"{where} has no field {name}"
            else:
                yield from _against(inner, item, f"{where}.{name}")


def _single(schema_: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    if "enum" in schema_ and (value not in schema_["enum"] or "UNSPECIFIED" in value):
        yield f"{where} cannot be {value!r}"
    if schema_.get("format") == "int32" and value not in _INT32:
        yield f"{where} is too large: {value}"
    if schema_.get("readOnly"):
        yield f"{where} is for answers only"


def path_parameters(verb: str, path: str) -> list[str]:
    """The parts of a path that are parameters, decoded."""
    for pattern, method in _methods():
        found = pattern.fullmatch(path)
        if method["httpMethod"] == verb and found:
            return [unquote(part) for part in found.groups()]
    return []
