"""What an error of the Graph API means, and what its usage headers say.

https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/overview/rate-limiting

Facebook repeats tokens in what it says ("Malformed access token …"): its words are cleaned before
they leave this module.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from math import isfinite
from typing import Any, NamedTuple, cast

from pydantic import SecretStr

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
from integrations.models import Json
from integrations.outbound.retry_after import retry_after

_THROTTLED = frozenset({4, 17, 32, 341, 613, *range(80000, 80015)})
_APP_THROTTLED = frozenset({4, 341})
"""Limits of the whole app; all others are those of the page or the user that a token is of."""
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

_LONGEST_REASON = 500
_SHORTEST_SECRET = 6
"""What is shorter than any secret of Facebook's would only blot out letters."""


_TOKEN = re.compile(r"\bEAA[0-9A-Za-z]{20,}")
_TOKEN_PARAMETER = re.compile(r"\b(access_token|appsecret_proof|client_secret)=[^&\s\"']+")


class AppRefused(CredentialsRejected):
    """Facebook refuses the app itself, its id or its secret: no person's log-in would repair it."""

    login_helps = False


def without_tokens(text: str) -> str:
    """A text of Facebook's without the tokens that it repeats."""
    return _TOKEN.sub("…", _TOKEN_PARAMETER.sub(r"\1=…", text))


class Usage(NamedTuple):
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
    will be shown. So only ``fault`` uses this.

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


class _Fault(NamedTuple):
    """What decides what an error means."""

    code: int | None
    subcode: int | None
    status: int
    as_app: bool
    is_transient: bool
    reason: str


_MEANINGS: tuple[tuple[Callable[[_Fault], bool], type[IntegrationError]], ...] = (
    (lambda it: it.code in _THROTTLED, RateLimited),
    (lambda it: it.code is None and it.status == HTTPStatus.TOO_MANY_REQUESTS, RateLimited),
    (lambda it: it.code in _SESSION_LOST and it.as_app, AppRefused),
    (lambda it: it.code in _SESSION_LOST, NeedsReauthentication),
    (lambda it: it.code in _WRONG_APP, AppRefused),
    (lambda it: it.code == _INVALID and "appsecret_proof" in it.reason, AppRefused),
    (lambda it: it.code == _BLOCKED, RateLimited),
    (lambda it: it.code in _DOWN or it.is_transient, ProviderUnavailable),
    (lambda it: it.subcode in _FOR_GOOD, RequestRejected),
    (lambda it: it.code in _FORBIDDEN, PermissionMissing),
    (lambda it: it.code == _INVALID, InvalidParams),
    (lambda it: it.status >= HTTPStatus.INTERNAL_SERVER_ERROR, ProviderUnavailable),
    (lambda _: True, RequestRejected),
)
"""What an error means: the first line that fits, by code and subcode, as ``type`` misleads."""


def fault(
    error: Mapping[str, Json],
    status: int,
    headers: Mapping[str, str],
    *,
    as_app: bool = False,
    scope: str = "",
    secrets: tuple[SecretStr, ...] = (),
) -> IntegrationError:
    """The error that Graph's error object stands for.

    Args:
        error: What stands under ``error`` in the answer.
        status: The HTTP status.
        headers: The answer's headers, for the usage counters.
        as_app: Whether the call was the app's own: then no person's log-in would repair it.
        scope: Whose limit the call counts against; see ``RateLimited``.
        secrets: What must not stand in the detail, whatever Facebook says.

    Returns:
        ``RateLimited``, ``NeedsReauthentication``, ``AppRefused``, ``PermissionMissing``,
        ``InvalidParams``, ``RequestRejected`` or ``ProviderUnavailable``.
    """
    code, subcode = _integer(error.get("code")), _integer(error.get("error_subcode"))
    reason = _reason(error, secrets)
    is_transient = error.get("is_transient") is True
    it = _Fault(code, subcode, status, as_app, is_transient, reason)
    meaning = next(kind for fits, kind in _MEANINGS if fits(it))
    detail = f"Facebook: {reason}"
    if meaning is InvalidParams:
        # This error has no place for the trace but the text.
        trace = error.get("fbtrace_id")
        return InvalidParams(f"{detail} (fbtrace_id {trace})" if trace else detail)
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
    if issubclass(meaning, RateLimited | ProviderUnavailable):
        wait = (used and used.regain_after) or retry_after(headers)
        about["retry_after"] = wait or (_BLOCKED_FOR if code == _BLOCKED else None)
    if issubclass(meaning, RateLimited):
        about["scope"] = "" if code in _APP_THROTTLED else scope
    return meaning(detail, **about)


def _reason(error: Mapping[str, Json], secrets: tuple[SecretStr, ...]) -> str:
    messages = [error.get("message"), error.get("error_user_msg")]
    # Both often say the same.
    reason = " ".join(dict.fromkeys(text for text in messages if isinstance(text, str) and text))
    for secret in secrets:
        value = secret.get_secret_value()
        if len(value) >= _SHORTEST_SECRET:
            reason = reason.replace(value, "…")
    return without_tokens(reason)[:_LONGEST_REASON] or "an error without a message"


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
