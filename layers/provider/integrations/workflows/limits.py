"""How much of inputs, outputs and failures is stored with an execution, and how it is cut."""

import json
from collections.abc import Iterable
from typing import Final, cast

from integrations.models import Json

MAX_OUTPUT_BYTES: Final = 32 * 1024
MAX_OUTPUTS_BYTES: Final = 128 * 1024
MAX_INPUT_BYTES: Final = 8 * 1024
MAX_INPUTS_BYTES: Final = 64 * 1024
PREVIEW_BYTES: Final = 2 * 1024
MAX_MESSAGE: Final = 500
MAX_ROUND_FAILURES: Final = 10
MAX_FAILURES_BYTES: Final = 48 * 1024
"""Beyond this, failures are told in few words: all of an execution has to fit a row of 400 KB."""

FEW_WORDS: Final = 60


def cut(message: str, limit: int = MAX_MESSAGE) -> str:
    """``message``, with an ellipsis where it is longer than ``limit`` characters."""
    return message if len(message) <= limit else message[: limit - 1] + "…"


def encoded(value: Json) -> bytes:
    """``value`` as compact JSON; half a surrogate pair becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="replace")


def storable(value: Json) -> Json:
    """``value`` without what is no text: half a surrogate pair becomes a question mark."""
    return cast("Json", json.loads(encoded(value)))


def bytes_of(values: Iterable[Json]) -> int:
    """How many bytes the values take together as JSON; ``None`` takes none."""
    return sum(len(encoded(value)) for value in values if value is not None)


def limited(value: Json, limit: int) -> Json:
    """``value`` as it is kept: itself, or a mark with its beginning where it is over ``limit``."""
    try:
        text = encoded(value)
    except (TypeError, ValueError, RecursionError):
        # The step did its work; that its answer is not JSON must not undo that.
        return {"truncated": True, "bytes": 0, "preview": ""}
    if len(text) > max(limit, 0):
        preview = text[: max(0, min(PREVIEW_BYTES, limit - 100))].decode(errors="ignore")
        return {"truncated": True, "bytes": len(text), "preview": preview}
    return cast("Json", json.loads(text))
