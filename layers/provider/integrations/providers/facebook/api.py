"""How one Graph API request goes out, and what its answer means.

https://developers.facebook.com/docs/graph-api/overview
https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/guides/secure-requests

Tokens travel in the ``Authorization`` header, not in the URL; each call carries the proof of its
own token. Facebook repeats tokens in what it says ("Malformed access token …") and puts them into
the URLs of its paging, so both are cleaned before they leave this module.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, cast

from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from integrations import strict_json
from integrations.errors import (
    CredentialsRejected,
    IntegrationError,
    InvalidParams,
    NeedsReauthentication,
    PermissionMissing,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Json, from_epoch
from integrations.providers.base import Addresses, Http, OAuthApp, Response

type Fields = Mapping[str, Any]
"""A request's parameters: JSON values and ``SecretStr``; ``None`` leaves one out."""

_THROTTLED = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
_SESSION_LOST = frozenset({102, 190})
_WRONG_APP = frozenset({101})
_DOWN = frozenset({1, 2})
_FORBIDDEN = frozenset({3, 10, *range(200, 300)})
_INVALID = 100
_BLOCKED = 368
_BLOCKED_FOR = 3600.0
"""Seconds. Facebook does not say how long a policy block lasts; to press on makes it longer."""

# They come with code 10, 100 or 200, though no permission and no other parameter would help: the
# 24 hours are over (2018278, 2018065), the person does not take messages (2018108, 1545041), is
# unknown (2018001), or the object is gone or not visible (33).
_FOR_GOOD = frozenset({33, 1545041, 2018001, 2018065, 2018108, 2018278})

_ANSWERED_BY_NOBODY = 503
_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_TOO_MANY = 429
_LONGEST_REASON = 500
_SHORTEST_SECRET = 6
"""What is shorter than any secret of Facebook's would only blot out letters."""

_MILLISECONDS_FROM = 10**11

_TOKEN = re.compile(r"\bEAA[0-9A-Za-z]{20,}")
_TOKEN_PARAMETER = re.compile(r"\b(access_token|appsecret_proof|client_secret)=[^&\s\"']+")
# Names that are data, an id or a date, stay as they are.
_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_SECRET_FIELDS = frozenset({"page_token", "appsecret_proof", "client_secret", "app_secret"})


class AppRefused(CredentialsRejected):
    """Facebook refuses the app itself, its id or its secret: no person's log-in would mend it."""


# -- Requests --------------------------------------------------------------------------------


def appsecret_proof(app_secret: SecretStr, token: SecretStr) -> str:
    """What shows Facebook that the caller of this very token also knows the app's secret.

    https://developers.facebook.com/docs/graph-api/guides/secure-requests#appsecret_proof
    """
    key, message = app_secret.get_secret_value(), token.get_secret_value()
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Graph:
    """The Graph API as one app sees it.

    Every method raises the errors of ``fault``, and what ``Http.request`` raises.

    Attributes:
        app: The app's id and secret.
        http: The one way out.
        addresses: Where Graph is, and its version.
    """

    app: OAuthApp
    http: Http
    addresses: Addresses

    @property
    def app_token(self) -> SecretStr:
        """The app's own access token.

        https://developers.facebook.com/docs/facebook-login/guides/access-tokens#apptokens
        """
        return SecretStr(f"{self.app.client_id}|{self.app.client_secret.get_secret_value()}")

    def get(self, path: str, token: SecretStr, fields: Fields | None = None) -> dict[str, Json]:
        """Read a node or an edge."""
        return self.request("GET", path, token, fields)

    def post(
        self,
        path: str,
        token: SecretStr,
        fields: Fields | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
    ) -> dict[str, Json]:
        """Create or change."""
        return self.request("POST", path, token, fields, files)

    def delete(self, path: str, token: SecretStr, fields: Fields | None = None) -> dict[str, Json]:
        """Delete."""
        return self.request("DELETE", path, token, fields)

    def request(
        self,
        method: str,
        path: str,
        token: SecretStr,
        fields: Fields | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
    ) -> dict[str, Json]:
        """Send one request with its token and its proof.

        Args:
            method: GET, POST or DELETE.
            path: Below the version, without a leading slash; already safe for a URL.
            token: The token of this call: a page's, a user's or the app's.
            fields: The parameters in Graph's own names.
            files: Multipart parts.

        Returns:
            Graph's answer, still as Graph gave it; see ``harmless``.
        """
        sending = _wire(fields or {})
        sending["appsecret_proof"] = appsecret_proof(self.app.client_secret, token)
        in_body = method == "POST"
        response = self.http.request(
            method,
            f"{self.addresses.facebook_graph}/{self.addresses.graph_version}/{path}",
            params=None if in_body else sending,
            data=sending if in_body else None,
            files=files,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
        )
        return _read(
            response,
            writes=method != "GET",
            as_app=token == self.app_token,
            secrets=(token, self.app.client_secret, *_secrets(fields or {})),
        )

    def token(self, fields: Fields) -> SecretStr:
        """Ask the token endpoint for a token.

        https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#exchangecode
        https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived

        Args:
            fields: The grant; the app's id and secret are added.

        Raises:
            CredentialsRejected: The code, the token or the app's secret is refused.
        """
        sending = {
            "client_id": self.app.client_id,
            "client_secret": self.app.client_secret,
            **fields,
        }
        # By POST, so that neither the secret nor the code stands in a URL.
        response = self.http.request(
            "POST",
            f"{self.addresses.facebook_graph}/{self.addresses.graph_version}/oauth/access_token",
            data=_wire(sending),
        )
        try:
            body = _read(response, writes=True, as_app=False, secrets=_secrets(sending))
        except (InvalidParams, RequestRejected) as refusal:
            raise CredentialsRejected(refusal.detail) from None
        except ProviderUnavailable as refusal:
            # "Error validating client secret." comes with the code of a server that is down.
            if "client secret" in refusal.detail.casefold():
                raise AppRefused(refusal.detail, data=refusal.data) from None
            raise
        match body:
            case {"access_token": str(token)} if token:
                return SecretStr(token)
        detail = "Facebook answered the request for a token without a token"
        raise ProviderUnavailable(detail, status=response.status)

    def each(self, path: str, token: SecretStr, fields: Fields) -> Iterator[dict[str, Json]]:
        """Every item of an edge, page by page, by cursor: the URLs in ``paging`` hold the token."""
        after: str | None = None
        while True:
            items, following = listing(self.get(path, token, {**fields, "after": after}))
            yield from (item for item in items if isinstance(item, dict))
            if following is None or following == after:
                return
            after = following


def _wire(fields: Fields) -> dict[str, str]:
    """Parameters as text: strings as they are, all else as JSON, as facebook-business sends it."""
    return {name: _text(value) for name, value in fields.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _secrets(fields: Fields) -> tuple[SecretStr, ...]:
    return tuple(value for value in fields.values() if isinstance(value, SecretStr))


# -- Answers ---------------------------------------------------------------------------------


def listing(body: Mapping[str, Json]) -> tuple[list[Json], str | None]:
    """An edge's items, and the cursor of those that follow; ``None`` at the end.

    https://developers.facebook.com/docs/graph-api/results
    """
    data = body.get("data")
    items = data if isinstance(data, list) else []
    match body.get("paging"):
        # The last page has a cursor too, but no ``next``.
        case {"next": str(), "cursors": {"after": str(after)}}:
            return items, after
    return items, None


def harmless(value: Json) -> Json:
    """What may leave: Graph's answer without access tokens and without the URLs of its paging.

    ``paging`` keeps its cursors, and ``hasNext`` tells whether there is more.
    """
    match value:
        case dict():
            return {
                name: _cursors(item) if name == "paging" else harmless(item)
                for name, item in value.items()
                if name not in _SECRET_FIELDS and not name.endswith("access_token")
            }
        case list():
            return [harmless(item) for item in value]
        case str():
            return _without_tokens(value)
        case _:
            return value


def camel(value: Json) -> Json:
    """The same with each name in camelCase, as everything of this API is."""
    match value:
        case dict():
            return {
                to_camel(name) if _SNAKE.fullmatch(name) else name: camel(item)
                for name, item in value.items()
            }
        case list():
            return [camel(item) for item in value]
        case _:
            return value


def _cursors(paging: Json) -> Json:
    if not isinstance(paging, dict):
        return None
    return {"cursors": harmless(paging.get("cursors")), "hasNext": "next" in paging}


def _without_tokens(text: str) -> str:
    return _TOKEN.sub("…", _TOKEN_PARAMETER.sub(r"\1=…", text))


def _read(
    response: Response, *, writes: bool, as_app: bool, secrets: tuple[SecretStr, ...]
) -> dict[str, Json]:
    """Graph's answer as an object, or the error that it is."""
    try:
        body = response.json()
    except ProviderUnavailable:
        body = None
    match body:
        case {"error": dict(error)}:
            raise fault(error, response.status, response.headers, as_app=as_app, secrets=secrets)
        case {"success": False}:
            raise RequestRejected("Facebook answered that it was not done", status=response.status)
        case dict() if response.status < _CLIENT_ERROR:
            return body
        case True if response.status < _CLIENT_ERROR:
            # Some edges still answer with the bare word of the early versions.
            return {"success": True}
    detail = f"Facebook answered with status {response.status} and not as the Graph API does"
    wait = _seconds(_lower(response.headers).get("retry-after"))
    if response.status == _TOO_MANY:
        raise RateLimited(detail, status=response.status, retry_after=wait)
    raise ProviderUnavailable(
        detail,
        status=response.status,
        retry_after=wait,
        # A proxy's 503 means that nobody took the request; any other page may hide a done deed.
        outcome_unknown=writes and response.status != _ANSWERED_BY_NOBODY,
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of the rate limits is used up.

    Attributes:
        percent: The highest of all the counters; 100 is throttled.
        regain_after: Seconds until a throttled caller may go on, where Facebook estimates it.
    """

    percent: float
    regain_after: float | None = None


def usage(headers: Mapping[str, str]) -> Usage | None:
    """Read the usage headers of an answer; ``None`` where there are none that make sense.

    A full counter on an answer without an error is no error: the deed is done, and the next call
    will be told. So only ``fault`` uses this.

    https://developers.facebook.com/docs/graph-api/overview/rate-limiting
    """
    lower = _lower(headers)
    counters: list[Mapping[str, object]] = []
    for name in ("x-app-usage", "x-page-usage"):
        counters += _objects([_json(lower.get(name))])
    for by_business in _objects([_json(lower.get("x-business-use-case-usage"))]):
        for cases in by_business.values():
            counters += _objects(cases if isinstance(cases, list) else [])
    names = ("call_count", "total_time", "total_cputime")
    percents = [
        n for one in counters for name in names if (n := _number(one.get(name))) is not None
    ]
    if not percents:
        return None
    waits = [_number(one.get("estimated_time_to_regain_access")) or 0.0 for one in counters]
    return Usage(max(percents), max(waits) * 60 or None)


def fault(
    error: Mapping[str, Json],
    status: int,
    headers: Mapping[str, str],
    *,
    as_app: bool = False,
    secrets: tuple[SecretStr, ...] = (),
) -> IntegrationError:
    """The error that Graph's error object stands for; by code and subcode, as ``type`` misleads.

    Args:
        error: What stands under ``error`` in the answer.
        status: The HTTP status.
        headers: The answer's headers, for the usage counters.
        as_app: Whether the call was the app's own: then no person's log-in would mend it.
        secrets: What must not stand in the detail, whatever Facebook says.

    Returns:
        ``RateLimited``, ``NeedsReauthentication``, ``AppRefused``, ``PermissionMissing``,
        ``InvalidParams``, ``RequestRejected`` or ``ProviderUnavailable``.
    """
    code, subcode = _integer(error.get("code")), _integer(error.get("error_subcode"))
    reason = _reason(error, secrets)
    detail = f"Facebook: {reason}"
    used = usage(headers)
    facts: dict[str, object] = {
        "code": code,
        "subcode": subcode,
        "fbtraceId": error.get("fbtrace_id"),
        "usagePercent": used and used.percent,
    }
    about: dict[str, Any] = {
        "status": status,
        "provider_code": "/".join(str(part) for part in (code, subcode) if part is not None),
        "data": {name: value for name, value in facts.items() if value is not None},
    }
    wait = (used and used.regain_after) or _seconds(_lower(headers).get("retry-after"))
    found: IntegrationError
    if code in _THROTTLED or (code is None and status == _TOO_MANY):
        found = RateLimited(detail, retry_after=wait, **about)
    elif code in _SESSION_LOST:
        found = (AppRefused if as_app else NeedsReauthentication)(detail, **about)
    elif code in _WRONG_APP or (code == _INVALID and "appsecret_proof" in reason):
        found = AppRefused(detail, **about)
    elif code == _BLOCKED:
        found = RateLimited(detail, retry_after=wait or _BLOCKED_FOR, **about)
    elif code in _DOWN or error.get("is_transient") is True:
        found = ProviderUnavailable(detail, retry_after=wait, **about)
    elif subcode in _FOR_GOOD:
        found = RequestRejected(detail, **about)
    elif code in _FORBIDDEN:
        found = PermissionMissing(detail, **about)
    elif code == _INVALID:
        # This error has no place for the trace but the text.
        trace = error.get("fbtrace_id")
        found = InvalidParams(f"{detail} (fbtrace_id {trace})" if trace else detail)
    elif status >= _SERVER_ERROR:
        found = ProviderUnavailable(detail, retry_after=wait, **about)
    else:
        found = RequestRejected(detail, **about)
    return found


def _reason(error: Mapping[str, Json], secrets: tuple[SecretStr, ...]) -> str:
    said = [error.get("message"), error.get("error_user_msg")]
    # Both often say the same.
    reason = " ".join(dict.fromkeys(text for text in said if isinstance(text, str) and text))
    for secret in secrets:
        value = secret.get_secret_value()
        if len(value) >= _SHORTEST_SECRET:
            reason = reason.replace(value, "…")
    return _without_tokens(reason)[:_LONGEST_REASON] or "an error without a message"


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _json(text: str | None) -> object:
    try:
        return strict_json.read(text or "null")
    except strict_json.NotJson:
        return None


def _objects(values: list[Any]) -> list[Mapping[str, object]]:
    return [cast("Mapping[str, object]", value) for value in values if isinstance(value, dict)]


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    return None


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


# -- Values of Facebook's --------------------------------------------------------------------


def text(value: object) -> str | None:
    """Text, or a number as text: ids come as either."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def texts(value: object) -> list[str]:
    """The texts of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def moment(value: object) -> datetime | None:
    """A Unix time, in seconds or milliseconds; Facebook's 0 means never."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    try:
        return from_epoch(value / 1000 if value >= _MILLISECONDS_FROM else value)
    except (OverflowError, ValueError, OSError):
        return None
