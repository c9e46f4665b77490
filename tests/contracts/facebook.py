"""Checks requests against facebook-business, Meta's own SDK, by reading its source.

The SDK is generated from Graph's schema: every edge is a method whose ``param_types`` and ``enums``
say what may be sent. It is read as text, as to import it takes seconds.
https://github.com/facebook/facebook-python-business-sdk
"""

import ast
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# What every edge takes. https://developers.facebook.com/docs/graph-api/results
EVERYWHERE = {
    "fields": "string",
    "limit": "unsigned int",
    "after": "string",
    "appsecret_proof": "string",
}


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    package = find_spec("facebook_business")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "adobjects" / f"{module}.py"
    tree = ast.parse(source.read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _constants(node: ast.ClassDef) -> set[str]:
    return {
        value.value
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(value := statement.value, ast.Constant)
        and isinstance(value.value, str)
    }


@cache
def fields(module: str) -> set[str]:
    """The fields that can be read of an object."""
    return _constants(_classes(module)["Field"])


class Edge:
    """One method of the SDK: ``Edge("page", "create_feed")``."""

    def __init__(self, module: str, method: str) -> None:
        classes = _classes(module)
        (function,) = {
            node.name: node
            for outer in classes.values()
            for node in outer.body
            if isinstance(node, ast.FunctionDef) and node.name == method
        }.values()
        self.params: dict[str, str] = {}
        self.enums: dict[str, set[str]] = {}
        self.http_method = self.endpoint = ""
        for node in ast.walk(function):
            match node:
                case ast.Assign(targets=[ast.Name(id="param_types")], value=ast.Dict() as types):
                    self.params = ast.literal_eval(types)
                case ast.Assign(targets=[ast.Name(id="enums")], value=ast.Dict(keys, values)):
                    for key, value in zip(keys, values, strict=True):
                        assert key is not None
                        # Page.MessagingType.__dict__.values(), or a list written out
                        name = re.match(r"(\w+)\.(\w+)\.__dict__", ast.unparse(value))
                        self.enums[ast.literal_eval(key)] = (
                            _constants(_classes(name[1].lower())[name[2]])
                            if name
                            else set(ast.literal_eval(value))
                        )
                case ast.keyword(arg="method", value=ast.Constant(value=str(verb))):
                    self.http_method = verb
                case ast.keyword(arg="endpoint", value=ast.Constant(value=str(path))):
                    self.endpoint = path.rstrip("/")

    def mistakes(
        self, method: str, path: str, params: Mapping[str, str], files: Mapping[str, Any] = {}
    ) -> list[str]:
        """What is wrong with a request; empty for nothing.

        Args:
            method: Its HTTP method.
            path: Its path below the version, e.g. ``123/feed``.
            params: Its parameters as text, as they came over the wire.
            files: Its uploads by parameter.
        """
        node, _, edge = path.partition("/")
        found = []
        if (method, edge) != (self.http_method, self.endpoint.lstrip("/")):
            found.append(f"{method} /{edge} is not {self.http_method} {self.endpoint}")
        if not node:
            found.append("names no object")
        types = EVERYWHERE | self.params
        for name, text in params.items():
            if name not in types:
                found.append(f"{name} is no parameter")
            elif not self._fits(types[name], text):
                found.append(f"{name}={text!r} is not {types[name]}")
        # The SDK adds files apart from the parameters; the reference page names this one.
        found += [f"{name} is no file" for name in files if name != "source"]
        return found

    def _fits(self, kind: str, text: str) -> bool:
        listed = re.fullmatch(r"list<(.+)>", kind)
        if listed:
            value = _json(text)
            items = value if isinstance(value, list) else text.split(",")
            return all(self._fits(listed[1], _again(item)) for item in items)
        if kind in self.enums:
            return text in self.enums[kind]
        value = _json(text)
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        checks = {
            "string": True,
            "bool": isinstance(value, bool),
            "int": is_integer,
            "datetime": is_integer,
            "unsigned int": is_integer and not text.startswith("-"),
            # "Object" is whatever the SDK does not type further.
            "Object": True,
            "map": isinstance(value, dict),
        }
        return checks.get(kind, False)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _again(item: object) -> str:
    return item if isinstance(item, str) else json.dumps(item)
