"""The cookie that ties a log-in to the browser in which it was begun.

https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from integrations.entry import settings
from integrations.entry.headers import cookies_of

SECONDS = 900
"""Longer than a log-in may take."""

_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")


def secret_of(event: Mapping[str, Any]) -> str:
    """The secret that the browser of a request holds; ``""`` for none."""
    cookie = cookies_of(event).get(_name(), "")
    return cookie if _TOKEN_PATTERN.fullmatch(cookie) else ""


def secret_and_cookie(event: Mapping[str, Any]) -> tuple[str, str]:
    """The secret for the browser of a request, and the ``Set-Cookie`` that gives it.

    One that is there is used again: a browser may have several log-ins under way.
    """
    secret = secret_of(event) or secrets.token_urlsafe(32)
    secure = "; Secure" if _is_secure() else ""
    attributes = f"Path=/; Max-Age={SECONDS}; HttpOnly; SameSite=Lax{secure}"
    return secret, f"{_name()}={secret}; {attributes}"


def _name() -> str:
    # Browsers refuse the prefix without TLS, which the local platform has not.
    return "__Host-integrations-login" if _is_secure() else "integrations-login"


def _is_secure() -> bool:
    return settings.public_url().startswith("https://")
