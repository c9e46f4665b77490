"""How much of inputs, outputs and failures is stored with an execution, and how it is cut."""

import json
from collections.abc import Iterable
from typing import Final, cast

from integrations import secret_headers
from integrations.models import Json

MAX_OUTPUT_BYTES: Final = 10 * 1024 * 1024
MAX_OUTPUTS_BYTES: Final = 50 * 1024 * 1024
"""What one step, or one round, and one execution may give in all."""

SHOWN_OUTPUT_BYTES: Final = 32 * 1024
SHOWN_OUTPUTS_BYTES: Final = 128 * 1024
"""What of it stands in the execution; the rest is stored apart, with a preview in its place."""

SMALL_BYTES: Final = 1024
"""An output that small stands in the execution whatever else does: ten thousand rounds are not ten
thousand objects."""

MAX_INPUT_BYTES: Final = 8 * 1024
MAX_INPUTS_BYTES: Final = 64 * 1024
PREVIEW_BYTES: Final = 2 * 1024
MAX_MESSAGE: Final = 500
MAX_ROUND_FAILURES: Final = 10
MAX_FAILURES_BYTES: Final = 48 * 1024
"""Beyond this, a failure is described in few words: it must not cost more than what failed."""

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


def mark(text: bytes, limit: int = PREVIEW_BYTES) -> Json:
    """What stands in the place of a value that is given as JSON text, and too large."""
    preview = text[: max(0, min(PREVIEW_BYTES, limit - 100))].decode(errors="ignore")
    return {"truncated": True, "bytes": len(text), "preview": preview}


def without_secrets(params: dict[str, Json]) -> dict[str, Json]:
    """A step's parameters as they are stored: headers that hold secrets do not say which."""
    headers = params.get("headers")
    if not isinstance(headers, dict):
        return params
    masked: dict[str, Json] = {
        name: secret_headers.MASK if secret_headers.is_secret(name) else value
        for name, value in headers.items()
    }
    return {**params, "headers": masked}


def limited(value: Json, limit: int) -> Json:
    """``value`` as it is shown: itself, or a mark with its beginning where it is over ``limit``."""
    text = encoded(value)
    return mark(text, limit) if len(text) > max(limit, 0) else cast("Json", json.loads(text))
