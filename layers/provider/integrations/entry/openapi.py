"""The API's own description, as ``make docs`` wrote it from the routes' code."""

from functools import cache
from pathlib import Path
from typing import Any


@cache
def _document() -> str:
    return (Path(__file__).parent / "openapi.json").read_text(encoding="utf-8")


def answer(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """``200`` with the OpenAPI document."""
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "Cache-Control": "max-age=300"},
        "body": _document(),
    }
