"""Tables that hand-written pages take from the code.

A page holds ``<!-- table: name -->`` and ``<!-- end -->``; what stands between is written here.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.models import Json
from integrations.providers import registry
from integrations.workflows import expressions
from tools import openapi, refusals
from tools.template import ROOT, LogicalIds, Resolver, functions, routes, template

PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# -- The tables ------------------------------------------------------------------------------


def _routes() -> Iterator[str]:
    document = json.loads(openapi.document())
    yield from ("| route | what it does | function |", "| --- | --- | --- |")
    for route in routes():
        operation = document["paths"][route.openapi_path][route.method.lower()]
        description = operation["summary"] + (" (no token)" if route.public else "")
        link = f"[{route.function}](../functions/{route.function}/app.py)"
        yield f"| `{route.method} {route.path}` | {description} | {link} |"


_OTHER_CODES = [
    (400, "malformed_json", "The body is not JSON, or not UTF-8."),
    (
        401,
        "invalid_token",
        "The token is not known here, was revoked, or is a JWT that is refused.",
    ),
    (401, "token_expired", "The token has expired."),
    (401, "unauthorized", "Nobody knows who asks: an API token or a JWT is needed."),
    (
        403,
        "insufficient_scope",
        (
            "The token lacks the scope that the route needs (`read`, `write`, `admin`), or a"
            " connect session asks for more than it is for."
        ),
    ),
    (413, "payload_too_large", "The body is larger than [Lambda takes](#requests)."),
    (500, "internal_error", "A fault of this backend; the log has it under the `requestId`."),
    (503, "not_stored", "A webhook's delivery could not be made durable: send it again."),
]


def _codes() -> Iterator[str]:
    yield from ("| status | code | when |", "| --: | --- | --- |")
    rows = list(_OTHER_CODES)
    for status, found in refusals.answered().items():
        for error in found:
            description = (error.__doc__ or "").split("\n\n")[0].replace("``", "`")
            rows.append((status, error.code, re.sub(r"\s+", " ", description).strip()))
    for status, code, description in sorted(rows):
        yield f"| {status} | `{code}` | {description} |"


def _parameters() -> Iterator[str]:
    yield from ("| parameter | default | |", "| --- | --- | --- |")
    for name, parameter in template()["Parameters"].items():
        default = parameter["Default"]
        shown = f"`{default}`" if default != "" else ""
        description = parameter["Description"]
        if "AllowedValues" in parameter:
            description += (
                f" One of {', '.join(f'`{each}`' for each in parameter['AllowedValues'])}."
            )
        yield f"| `{name}` | {shown} | {description} |"


def _permissions() -> Iterator[str]:
    yield from ("| function | may |", "| --- | --- |")
    plain = Resolver(LogicalIds())
    for function, properties in functions().items():
        may = []
        for policy in properties.get("Policies", ()):
            for statement in policy["Statement"]:
                actions = ", ".join(f"`{action}`" for action in _listed(plain(statement["Action"])))
                resources = _listed(plain(statement["Resource"]))
                may += [f"{actions} on {_without_arn(resource)}" for resource in resources]
        yield f"| `{function}` | {'<br>'.join(may) or 'nothing'} |"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _without_arn(resource: str) -> str:
    return re.sub(r"^arn:.*:schedule/", "", resource)


def _triggers() -> Iterator[str]:
    yield from ("| type | what happened | filters |", "| --- | --- | --- |")
    seen = set()
    for name in registry.PROVIDER_IDS:
        for trigger in registry.get(name).triggers:
            if trigger.type in seen:
                continue
            seen.add(trigger.type)
            fields = trigger.filters.model_json_schema(by_alias=True).get("properties", {})
            filters = ", ".join(f"`{field}`" for field in fields)
            link = f"[`{trigger.type}`](providers/{name}.md#triggers)"
            yield f"| {link} | {trigger.title} | {filters} |"


# -- Expressions -----------------------------------------------------------------------------

DATA: dict[str, Json] = {
    "name": " Zoë O'Hara ",
    "note": "Call back *soon*",
    "total": 1234.5,
    "items": [
        {"id": 2, "title": "Tea", "price": 4},
        {"id": 1, "title": "Cake", "price": 12, "gift": True},
    ],
    "tags": ["new", "Paid", "new"],
    "address": {"city": "Bern", "zip": "3011"},
    "at": "2026-11-22T12:00:00Z",
}
"""What the examples see as ``trigger``."""

FILTERS = {
    "Anything": [
        "trigger.phone|default('unknown')",
        "trigger.items|length",
        "trigger.total|string",
        "trigger.address|tojson",
        "'[1, 2]'|fromjson",
    ],
    "Text": [
        "trigger.note|upper",
        "trigger.note|lower",
        "trigger.name|comparable",
        '"it\'s ready"|title',
        "'tea and cake'|capitalize",
        "trigger.name|trim",
        "trigger.note|replace('soon', 'today')",
        "trigger.note|truncate(12)",
        "'a, b'|split(', ')",
        "trigger.tags|join('/')",
        "trigger.name|trim|urlencode",
        "'<b>'|escapeHtml",
        "trigger.note|escapeMarkdown",
    ],
    "Numbers": [
        "'42'|int",
        "'19.90'|float",
        "-3|abs",
        "3.14159|round(2)",
        "trigger.total|number(2, ',', '.')",
        "2.5|number(0)",
    ],
    "Lists": [
        "trigger.tags|first",
        "trigger.tags|last",
        "'abc'|list",
        "trigger.tags|reverse",
        "trigger.tags|sort",
        "trigger.tags|unique",
        "[3, 9, 5]|max",
        "[3, 9, 5]|min",
        "trigger.items|sum('price')",
        "trigger.items|map(attribute='title')",
        "trigger.tags|map('upper')",
        "[1, 2, 3, 4]|select('even')",
        "[1, 2, 3, 4]|reject('even')",
        "trigger.items|selectattr('gift')|map(attribute='title')",
        "trigger.items|rejectattr('price', '>', 10)|map(attribute='title')",
    ],
    "Objects": [
        "trigger.address|get('street', 'none')",
        "trigger.address|keys",
        "trigger.address|values",
        "trigger.address|items",
        "{'b': 1, 'a': 2}|dictsort",
    ],
    "Times": [
        "trigger.at|date('%-d %B %Y, %H:%M', 'Europe/Zurich')",
        "trigger.at|dateAdd(days=1, hours=2)",
        "trigger.at|dateAdd(months=1, tz='Europe/Zurich')",
        "trigger.at|timestamp",
    ],
}
"""An example of each filter; its first filter is the one that it stands for."""

ALIASES = {"count": "length", "d": "default", "e": "escapeHtml", "escape": "escapeHtml"}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def result(expression: str) -> str:
    """What an expression gives, as JSON."""
    value = expressions.evaluate(expression, {"trigger": DATA}, now=NOW, place="docs")
    return _json(value)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _data() -> Iterator[str]:
    fields = [f"  {_json(name)}: {_json(value)}" for name, value in DATA.items()]
    yield from ("```json", "{", ",\n".join(fields), "}", "```")


def _filters() -> Iterator[str]:
    for title, examples in FILTERS.items():
        yield from (f"### {title}", "", "| example | gives |", "| --- | --- |")
        for example in examples:
            cell = example.replace("|", "\\|")
            yield f"| `{cell}` | `{result(example)}` |"
        yield ""


# -- Pages -----------------------------------------------------------------------------------

TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "routes": _routes,
    "codes": _codes,
    "parameters": _parameters,
    "permissions": _permissions,
    "triggers": _triggers,
    "data": _data,
    "filters": _filters,
}


def files() -> dict[Path, str]:
    """Every page that holds a table, with its tables as they are now."""
    pages = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        filled = PLACE.sub(_fill, text)
        if PLACE.search(text):
            pages[page] = filled
    return pages


def _fill(place: re.Match[str]) -> str:
    lines = "\n".join(TABLES[place[2]]()).rstrip()
    return f"{place[1]}\n{lines}\n\n{place[3]}"
