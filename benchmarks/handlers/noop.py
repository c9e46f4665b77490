"""A function that does nothing: what Lambda's own runtime costs."""

from typing import Any


def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer."""
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}
