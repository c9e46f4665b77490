"""What an execution has done so far, as entries that are written once and packed small.

The engine changes one document in place. Writing it whole at each checkpoint would cost the square
of its length, so that only what changed since the last write becomes an entry. An execution's head
holds the newest entries; when they outgrow it they go into a page of their own, named by its
content, which the head then names. Reading is the other way round: the pages' entries and the
head's, applied in order, give the document.

An entry is one of:

- ``{"all": document}``, the first one;
- ``{"order": [index or step, …], "set": {field: value}, "steps": {index: {field: value}}, "rounds":
  {index: [result, …]}}``, all parts optional and in this order: where the steps are others, which
  each one was, or itself where it is new (what thousands of rounds gave would not fit a page once
  more); fields of the document, fields of steps, further results of a ``forEach``.
"""

import base64
import copy
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any, NamedTuple

from integrations.models import Json, same_json
from integrations.storage.dictionaries import MEMORY, dictionary

_TEXT, _PACKED = b"\x00", b"\x01"


def pack(document: Json) -> bytes:
    """A document in few bytes; half a surrogate pair becomes a question mark."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return pack_text(text.encode(errors="replace"))


def pack_text(data: bytes) -> bytes:
    """JSON text in few bytes; ``unpack`` gives the document."""
    packer = zlib.compressobj(6, wbits=-15, memLevel=MEMORY, zdict=dictionary("journal"))
    packed = packer.compress(data) + packer.flush()
    return _PACKED + packed if len(packed) < len(data) else _TEXT + data


def unpack(packed: bytes) -> Any:
    """The document of ``pack``."""
    if packed[:1] == _TEXT:
        return json.loads(packed[1:])
    return json.loads(
        zlib.decompressobj(wbits=-15, zdict=dictionary("journal")).decompress(packed[1:])
    )


def name_of(content: bytes) -> str:
    """The name of a page or value: by its content, so that writing it twice writes it once."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:9]).decode()


class Journal(NamedTuple):
    """How a document is stored.

    Attributes:
        pages: The names of the pages, oldest first.
        tail: The entries after those.
        known: What pages and tail give; ``None`` before the first entry.
    """

    pages: tuple[str, ...] = ()
    tail: tuple[Json, ...] = ()
    known: Mapping[str, Any] | None = None

    def packed(self) -> bytes:
        """What the head holds."""
        return pack({"pages": list(self.pages), "tail": list(self.tail)})


def followed_by(journal: Journal, document: Mapping[str, Any]) -> Journal:
    """The journal with one more entry, after which it gives ``document``."""
    known = journal.known
    if known is None or known.keys() - document.keys():
        entry: dict[str, Any] = {"all": dict(document)}
        seen = _seen(document)
    else:
        entry = {}
        if not _has_same_steps(known, document):
            entry["order"] = _order(known, document)
            known = {**known, "steps": _ordered(_steps(known), entry["order"], _seen_step)}
        touched = _touched(known, document)
        entry |= _difference(known, document, touched)
        seen = _seen_again(known, document, touched)
    # A copy: what the engine changes later is a later entry's.
    tail = (*journal.tail, json.loads(json.dumps(entry))) if entry else journal.tail
    return Journal(journal.pages, tail, seen)


def read(entries: Iterable[Any]) -> dict[str, Any]:
    """The document that entries give."""
    document: dict[str, Any] = {}
    for entry in entries:
        if "all" in entry:
            document = copy.deepcopy(entry["all"])
            continue
        if "order" in entry:
            steps = _ordered(document["steps"], entry["order"], copy.deepcopy)
            document["steps"] = steps
        document |= entry.get("set", {})
        for index, fields in entry.get("steps", {}).items():
            _change(document["steps"][int(index)], fields)
        for index, results in entry.get("rounds", {}).items():
            document["steps"][int(index)]["output"] += results
    return document


def opened(journal: Journal, document: Mapping[str, Any]) -> Journal:
    """The journal that was read to give ``document``."""
    return Journal(journal.pages, journal.tail, _seen(document))


# -- What changed ----------------------------------------------------------------------------

_MERGED = ("rounds", "stored")
"""Fields of a step that are objects which grow; the rest is replaced."""


def _has_same_steps(known: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    before, after = _steps(known), _steps(document)
    return len(before) == len(after) and all(map(_is_same_step, before, after))


def _is_same_step(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one["id"], one["action"]) == (other["id"], other["action"])


def _order(known: Mapping[str, Any], document: Mapping[str, Any]) -> list[Any]:
    """Of each step the index that it had, or itself where it is new."""
    places = {(step["id"], step["action"]): index for index, step in enumerate(_steps(known))}
    return [places.get((step["id"], step["action"]), step) for step in _steps(document)]


def _ordered[T](steps: Sequence[T], order: Iterable[Any], made: Callable[[Any], T]) -> list[T]:
    return [steps[each] if isinstance(each, int) else made(each) for each in order]


def _touched(known: Mapping[str, Any], document: Mapping[str, Any]) -> list[int]:
    """The indices of the steps that changed.

    Each checkpoint looks at every step, and most hold the very values that were seen.
    """
    before = _steps(known)
    return [
        index
        for index, step in enumerate(_steps(document))
        if not all(map(is_, step.values(), before[index].values()))
    ]


def _difference(
    known: Mapping[str, Any], document: Mapping[str, Any], touched: Iterable[int]
) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    fields = {
        name: value
        for name, value in document.items()
        if name != "steps" and not same_json(known.get(name), value)
    }
    if fields:
        entry["set"] = fields
    before, after = _steps(known), _steps(document)
    for index in touched:
        changed, results = _step_difference(before[index], after[index])
        if changed:
            entry.setdefault("steps", {})[str(index)] = changed
        if results:
            entry.setdefault("rounds", {})[str(index)] = results
    return entry


def _step_difference(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Json]]:
    changed: dict[str, Any] = {}
    results: list[Json] = []
    for name, value in after.items():
        was = before.get(name)
        if name == "output" and before["rounds"] is not None and after["rounds"] is not None:
            results = value[was:]
        elif name == "output" and after["rounds"] is not None:
            changed[name] = value
        elif name in _MERGED and isinstance(was, dict) and isinstance(value, dict):
            more = {key: part for key, part in value.items() if not same_json(was.get(key), part)}
            if more:
                changed[name] = more
        elif not same_json(was, value):
            changed[name] = value
    return changed, results


def _change(step: dict[str, Any], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in _MERGED and isinstance(step[name], dict) and isinstance(value, dict):
            step[name] = step[name] | value
        else:
            step[name] = copy.deepcopy(value)


def _steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = document.get("steps", [])
    return steps


def _seen(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of a document tells a later change.

    The engine changes steps in place, and what ``_seen_step`` copies; any other value that changes
    has to be replaced by another.
    """
    return {**document, "steps": [_seen_step(step) for step in _steps(document)]}


def _seen_again(
    known: Mapping[str, Any], document: Mapping[str, Any], touched: Iterable[int]
) -> dict[str, Any]:
    """The same, where most steps were seen before."""
    seen, steps = _steps(known).copy(), _steps(document)
    for index in touched:
        seen[index] = _seen_step(steps[index])
    return {**document, "steps": seen}


def _seen_step(step: Mapping[str, Any]) -> dict[str, Any]:
    """Of a ``forEach`` only the number of its results: they are added to and never changed."""
    seen = dict(step)
    for name in _MERGED:
        if isinstance(seen[name], dict):
            seen[name] = {
                key: list(part) if isinstance(part, list) else part
                for key, part in seen[name].items()
            }
    if seen["rounds"] is not None:
        seen["output"] = len(step["output"])
    return seen
