"""Header names, one way: lower case. Standard library only: every route uses it.

API Gateway writes them so; SAM, and whatever calls a function by hand, keeps the sender's case.
"""

from collections.abc import Mapping
from typing import Any


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """A request's headers, by their names in lower case.

    Args:
        event: A request, or an authorizer's request, of payload format 2.0.

    Returns:
        Those that differ in case alone are joined by commas, as API Gateway does it.
    """
    headers: dict[str, str] = {}
    for name, value in (event.get("headers") or {}).items():
        known = headers.get(name.lower())
        headers[name.lower()] = f"{known},{value}" if known is not None else str(value)
    return headers


def cookies_of(event: Mapping[str, Any]) -> dict[str, str]:
    """A request's cookies; of two with one name the first, which is the most specific."""
    pairs = event.get("cookies") or headers_of(event).get("cookie", "").split(";")
    cookies: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = str(pair).strip().partition("=")
        if equals:
            cookies.setdefault(name, value)
    return cookies
