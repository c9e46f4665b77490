"""The API as a Postman collection, made from the OpenAPI document.

The format is Postman's Collection v2.1, which Insomnia, Bruno and Hoppscotch import too:
https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools import openapi
from tools.template import ROOT, Route, routes

FILE = ROOT / "docs" / "postman_collection.json"
SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"


def collection() -> str:
    """The collection: a folder for each tag, a request for each example of each operation."""
    document = json.loads(openapi.document())
    folders: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            requests = _requests(method.upper(), path, operation)
            folders[operation["tags"][0]] += requests
    made = {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [_entry("token", "{{token}}", type="string")]},
        "variable": [
            _entry("baseUrl", "http://localhost:3000", type="string"),
            _entry("token", "", type="string"),
        ],
        "item": [
            {"name": tag["name"], "description": tag["description"], "item": folders[tag["name"]]}
            for tag in document["tags"]
        ],
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _requests(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    examples = (content or {}).get("examples") or {"": {"value": {} if content else None}}
    for case, example in examples.items():
        request: dict[str, Any] = {
            "method": method,
            "description": operation.get("description", ""),
            "header": list(_parameters(operation, "header")),
            "url": _url(method, path, operation, case),
        }
        if example["value"] is not None:
            request["body"] = {
                "mode": "raw",
                "raw": json.dumps(example["value"], indent=2, ensure_ascii=False),
                "options": {"raw": {"language": "json"}},
            }
        if operation.get("security") == []:
            request["auth"] = {"type": "noauth"}
        name = f"{operation['summary']}: {case.replace('_', ' ')}" if case else operation["summary"]
        yield {"name": name, "request": request}


def _url(method: str, path: str, operation: Mapping[str, Any], case: str) -> dict[str, Any]:
    given = _path_parameters(method, path, case)
    return {
        "raw": "{{baseUrl}}" + re.sub(r"\{(\w+)\}", r":\1", path),
        "host": ["{{baseUrl}}"],
        "path": re.sub(r"\{(\w+)\}", r":\1", path).strip("/").split("/"),
        "query": list(_parameters(operation, "query")),
        "variable": [
            _entry(name, given.get(name, name), description=described)
            for name, described in _described(operation, "path")
        ],
    }


def _parameters(operation: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """What may be given, switched off until it is."""
    for name, described in _described(operation, where):
        yield _entry(name, "", description=described, disabled=True)


def _described(operation: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == where:
            yield parameter["name"], parameter.get("description", "")


def _path_parameters(method: str, path: str, case: str) -> Mapping[str, str]:
    """What the path's parameters are in the events of the route's function."""
    (route, *_) = (each for each in routes() if _is(each, method, path))
    folder = ROOT / "events" / route.function
    files = [folder / f"{case}.json"] if case else sorted(folder.glob("*.json"))
    for file in files:
        parameters = json.loads(file.read_text(encoding="utf-8")).get("pathParameters")
        if parameters:
            found: Mapping[str, str] = parameters
            return found
    return {}


def _is(route: Route, method: str, path: str) -> bool:
    return (route.method, route.openapi_path) == (method, path)


def _entry(key: str, value: str, **others: Any) -> dict[str, Any]:
    return {"key": key, "value": value, **others}
