"""Where a browser may be sent in the end: the stack's allow-list, read as browsers read URLs."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

from integrations.errors import FieldError, InvalidRedirect

MAX_REDIRECT = 2048

RESERVED = frozenset({"handshakeId", "status", "provider", "connection"})
"""The parameters that we add: one that is there already could pass for ours."""


class Redirects:
    """The allow-list of this stack.

    Args:
        frontend_url: What a relative URL is relative to.
        allowed: Where a redirect may lead: these URLs, and what is below them.
    """

    def __init__(self, frontend_url: str, allowed: Sequence[str]) -> None:
        self._frontend_url = frontend_url
        self._allowed = tuple(allowed)

    def allowed(self, redirect_uri: str) -> str:
        """The redirect, whole.

        Raises:
            InvalidRedirect: It is not on the allow-list, browsers disagree about what it is, or it
                holds a parameter of ours.
        """
        suspicious = any(ch in "\\#" or ch.isspace() or not ch.isprintable() for ch in redirect_uri)
        if suspicious or not redirect_uri.isascii() or len(redirect_uri) > MAX_REDIRECT:
            raise _refused("redirectUri holds characters that a plain URL has not")
        uri = redirect_uri
        if uri.startswith("/") and not uri.startswith("//"):
            uri = f"{self._frontend_url}{uri}"
        try:
            parts = urlsplit(uri)
            origin = (parts.scheme, parts.hostname, parts.port)
            query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise _refused("redirectUri is not a URL") from None
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            raise _refused("redirectUri must be a plain http or https URL")
        if _leads_up(parts.path):
            raise _refused("redirectUri must not contain '..'")
        if taken := RESERVED.intersection(name for name, _ in query):
            names = ", ".join(sorted(taken))
            raise _refused(f"redirectUri must not hold {names}: this backend adds it")
        for allowed in self._allowed:
            known = urlsplit(allowed)
            base = known.path.rstrip("/")
            below = parts.path == base or parts.path.startswith(f"{base}/")
            if origin == (known.scheme, known.hostname, known.port) and below:
                return uri
        listed = ", ".join(self._allowed) or "nothing"
        raise _refused(f"redirectUri is not below what this stack allows: {listed}")


def _leads_up(path: str) -> bool:
    """Whether a path has a ``..``, however it is escaped, for whichever server may read it."""
    for _ in range(3):
        plain = unquote(path).replace("\\", "/")
        if ".." in plain.split("/"):
            return True
        if plain == path:
            return False
        path = plain
    return True  # nobody escapes a plain path so often


def _refused(detail: str) -> InvalidRedirect:
    return InvalidRedirect(detail, [FieldError("redirectUri", detail)])
