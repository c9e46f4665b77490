"""The inputs in `events/`: the order in which each does something, and the ids that they stand for.

An input names things that others make: a workflow, an execution, a token. Their ids are random, so
each input holds an example; in its place goes what the last answer called a thing of that kind.
`events/README.md` has the order.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.errors import PlatformError
from local.paths import ROOT

EVENTS = ROOT / "events"
ORDER = EVENTS / "README.md"
LINE = re.compile(r"^\| `(?P<function>\w+)/(?P<case>\w+)` \| (?P<answers>[^|]*) \|", re.MULTILINE)
STAND_FOR = {
    "workflowId": "wf_0123456789abcdef0123",
    "executionId": "exe_9f86d081884c7d659a2feaa0c55ad015",
    "eventId": "evt_0a4d55a8d778e5022fab701977c5d840",
    "jobId": "job_3f2c1d0e9b8a47c6a5b4c3d2e1f0a9b8",
    "tokenId": "tok_1b4f0e9851971998e7320785",
    # Before the handshake's id, with which it begins.
    "state": "b3Nq0Y4mVxkq2w7J5c8zGQ.c3RhdGU",
    "handshakeId": "b3Nq0Y4mVxkq2w7J5c8zGQ",
    "telegram": "Yk3m9xQe7ZrVtW2pLs8aNd4f",
}
"""What an answer calls the id of a thing, and the example in its place in `events/`.

Of the addresses of logins, it is the `state`; of the bot's connection, the id of its webhook.
"""
KINDS = {"workflowId", "executionId", "eventId", "jobId", "tokenId", "handshakeId"}


@dataclass(frozen=True)
class Example:
    """One file of `events/`.

    Attributes:
        function: The function that takes it; its folder's name.
        case: The file's name, without its ending.
        answers: What README.md says comes back: a status, or `-` where nothing is answered.
            Another one after it comes where a consumer of `make run` was faster.
    """

    function: str
    case: str
    answers: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where it is."""
        return EVENTS / self.function / f"{self.case}.json"

    @property
    def name(self) -> str:
        """As README.md has it."""
        return f"{self.function}/{self.case}"

    def event(self, known: Mapping[str, str]) -> dict[str, Any]:
        """Return the input, with the ids that are `known` in place of the examples."""
        text = self.path.read_text(encoding="utf-8")
        for name, example in STAND_FOR.items():
            text = text.replace(example, known.get(name, example))
        loaded: dict[str, Any] = json.loads(text)
        return loaded


def in_order() -> list[Example]:
    """List every example in the order in which each does something."""
    return [
        Example(found["function"], found["case"], tuple(found["answers"].split(" or ")))
        for found in LINE.finditer(ORDER.read_text(encoding="utf-8"))
    ]


def chosen(function: str, case: str) -> list[Example]:
    """List the examples of a function: the `case` alone, or `all` of them.

    Raises:
        PlatformError: There is none.
    """
    order = in_order()
    if function == "all":
        return order
    function = function.replace("-", "_")
    of_function = [each for each in order if each.function == function]
    if not of_function:
        raise PlatformError(f"no function {function}: they are the folders of functions/")
    found = [each for each in of_function if case in {"all", each.case}]
    if not found:
        cases = ", ".join(each.case for each in of_function)
        raise PlatformError(f"{function} has no event {case}: it has {cases}")
    return found


def ids_in(answer: Any) -> dict[str, str]:
    """Return what an answer calls things, by the names of STAND_FOR; the first of a kind counts."""
    found: dict[str, str] = {}
    for each in _objects(answer):
        for name in KINDS & each.keys():
            value, kind = str(each[name]), STAND_FOR[name].partition("_")[0]
            # A start by hand has an event's id of another form, which names no event; a replay's
            # event is nowhere before it is dispatched.
            named = name == "handshakeId" or value.startswith(f"{kind}_")
            if named and not (name == "eventId" and each.get("replayOf")):
                found.setdefault(name, value)
        if "state" in (query := dict(parse_qsl(urlsplit(str(each.get("authUrl"))).query))):
            found.setdefault("state", query["state"])
        if each.get("provider") == "telegram" and isinstance(each.get("webhook"), dict):
            found.setdefault("telegram", each["webhook"]["id"])
    return found


def answer_of(result: Any) -> str:
    """Return what a function answered, as README.md writes it: a status, or `-` for none."""
    return str(result.get("statusCode", "-")) if isinstance(result, dict) else "-"


def body_of(result: Any) -> Any:
    """Return the JSON that a function answered to an HTTP request; None where it is none."""
    if not isinstance(result, dict) or result.get("isBase64Encoded"):
        return None
    try:
        return json.loads(result.get("body") or "null")
    except ValueError:
        return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for name, each in value.items():
            # A list is of whatever there is, in an order of its own.
            if name != "items":
                yield from _objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from _objects(each)
