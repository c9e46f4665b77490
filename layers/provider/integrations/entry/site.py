"""The console's side of a function: a request for a page or a file in, the built file out.

The files lie compressed in the function's own package, with `files.json` beside them; see
`local/console.py`, which writes both. Nothing here is secret, and nothing is asked of AWS.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integrations.entry import settings

PAGE = "index.html"
DOCS = "docs"
SETTINGS = "settings.json"
"""What the page must know of this stack, made from its environment."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}

PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class Site:
    """Serves the files of one folder.

    Args:
        folder: Holds `files.json` and the files that it names, compressed with gzip.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, event: dict[str, Any], _context: object) -> dict[str, Any]:
        """Answer a request of payload format 2.0.

        Returns:
            `200` with the file, `304` where the browser has it, `404` where there is no such file.
        """
        path = str(event["rawPath"])
        name = _name(path)
        if name == SETTINGS:
            return _answer(
                HTTPStatus.OK, _settings(), "application/json", {"Cache-Control": "no-cache"}
            )
        file = self._files.get(name)
        if file is None:
            text = "<!doctype html><title>Not found</title><p>There is no such file."
            kind = "text/html; charset=utf-8"
            return _answer(HTTPStatus.NOT_FOUND, text, kind, {"Cache-Control": "no-store"})
        asked = {key.lower(): value for key, value in (event.get("headers") or {}).items()}
        headers = {"ETag": file["etag"], "Cache-Control": file["cache"], "Vary": "Accept-Encoding"}
        if name.endswith(".html"):
            headers |= _page_headers(path)
        if file["etag"] in asked.get("if-none-match", ""):
            return {
                "statusCode": int(HTTPStatus.NOT_MODIFIED),
                "headers": {**HEADERS, **headers},
                "body": "",
            }
        content = (self._folder / f"{name}.gz").read_bytes()
        if "gzip" in asked.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
        return _answer(HTTPStatus.OK, content, file["type"], headers)

    @cached_property
    def _files(self) -> Mapping[str, Mapping[str, str]]:
        files: Mapping[str, Mapping[str, str]] = json.loads(
            (self._folder / "files.json").read_text(encoding="utf-8")
        )
        return files


def _name(path: str) -> str:
    """Return the file that a path means.

    The console's page knows the places below it: a path without a dot is one of them. Each page of
    the documentation is a file of its own; one with a dot in its name is a picture.
    """
    place = path.strip("/")
    has_dot = "." in place.rpartition("/")[2]
    if place == DOCS:
        return f"{DOCS}/index.html"
    if place.startswith(f"{DOCS}/"):
        return place if has_dot else f"{place}.html"
    return place.removeprefix("console/") if has_dot and place.startswith("console/") else PAGE


def _answer(
    status: HTTPStatus, content: bytes | str, kind: str, headers: Mapping[str, str]
) -> dict[str, Any]:
    binary = isinstance(content, bytes)
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": kind, **HEADERS, **headers},
        "body": base64.b64encode(content).decode() if isinstance(content, bytes) else content,
        "isBase64Encoded": binary,
    }


def _settings() -> str:
    """Return the page's settings: who logs people in, and whose pages may call the API.

    The origins are no secret: the answer to any preflight request says them.
    """
    login = settings.console_login()
    login_settings: dict[str, Any] = {"issuer": login[0], "clientId": login[1]} if login else {}
    return json.dumps(login_settings | {"origins": settings.frontend_urls()})


def _page_headers(path: str) -> dict[str, str]:
    """Return the headers of a page: nothing but our own files, and the issuer where there is one.

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
    """
    origins = {"'self'", *map(_origin, _login_urls())}
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": " ".join(sorted(origins)),
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": PERMISSIONS,
        "X-Frame-Options": "DENY",
        # The page of a connect session tells the page of another origin that opened it how it went.
        "Cross-Origin-Opener-Policy": "unsafe-none"
        if path == "/connect"
        else "same-origin-allow-popups",
    }


def _login_urls() -> list[str]:
    login = settings.console_login()
    return [url for url in (login[0], settings.console_token_origin()) if url] if login else []


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
