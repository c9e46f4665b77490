"""How one Sheets API request goes out, and what its answer means.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, Protocol, Self
from urllib.parse import quote

from integrations.comparison import comparable
from integrations.errors import (
    CredentialsRejected,
    FieldError,
    IntegrationError,
    InvalidParams,
    PermissionMissing,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Json
from integrations.outbound.http import Http, Response
from integrations.outbound.retry_after import retry_after
from integrations.providers.base import Addresses, Call
from integrations.providers.sheets import a1
from integrations.providers.sheets.replies import Cell, has, nonsense, objects, properties_of

DOCS_URL = "https://developers.google.com/workspace/sheets/api/reference/rest"

MAX_ANSWER = 32 * 1024 * 1024
"""The most that is read of one answer: a tab is read whole to find a row in it."""

READ_TIMEOUT = 25.0
"""Seconds without a byte. Sheets can be slow, and an append given up may have happened; more than
this no caller can wait: API Gateway gives up after 30."""

_LONGEST_MESSAGE = 500
_NOWHERE = "connection-test"
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT})

_SPREADSHEET_ID = re.compile(r"[A-Za-z0-9_-]+")
_SPREADSHEET_URL = re.compile(r"/spreadsheets/(?:u/[0-9]+/)?d/([A-Za-z0-9_-]+)(?:[/?#]|$)")

# Google says one thing in an old way (errors[].reason) and in a new one (details[].reason).
_RATE_REASONS = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED"}
)
_SETUP_REASONS = frozenset(
    {"accessNotConfigured", "SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
)
BEYOND_GRID = "exceeds grid limits"
"""What Google says of rows or columns that a tab does not have."""
_RANGE_REFUSALS = ("unable to parse range", BEYOND_GRID)

"""What a cell can hold; on its way in, ``None`` leaves it as it is."""

type Dimension = Literal["ROWS", "COLUMNS"]


class Grant(Protocol):
    """What the actions need of credentials; those of both providers have it."""

    @property
    def default_spreadsheet(self) -> str | None:
        """The spreadsheet that is meant where an action names none."""
        ...

    @property
    def who(self) -> str:
        """Whom a spreadsheet must be shared with."""
        ...

    def bearer(self, http: Http, addresses: Addresses, *, renew: bool = False) -> str | None:
        """An access token; ``None`` where ``renew`` asks for a better one and there is none."""
        ...


def wrong(field: str, message: str) -> InvalidParams:
    """The error for one parameter."""
    return InvalidParams(f"{field}: {message}", [FieldError(field, message)])


def parsed_id(value: object) -> object:
    """A spreadsheet's id, from itself or from its address; ``None`` for an empty text.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    found = _SPREADSHEET_URL.search(text)
    # /spreadsheets/d/e/… is the address of a published copy, which the API does not know.
    if found and found[1] != "e":
        return found[1]
    if found or not _SPREADSHEET_ID.fullmatch(text):
        raise ValueError(
            "is neither a spreadsheet's id nor the address of one "
            "(https://docs.google.com/spreadsheets/d/…/edit)"
        )
    return text


# -- Requests --------------------------------------------------------------------------------


def send(
    call: Call[Any],
    method: str,
    path: str,
    *,
    query: Mapping[str, Json | Sequence[str]] | None = None,
    body: Json = None,
    expects: str | None = None,
    blame: str = "range",
    hint: str | None = None,
) -> dict[str, Any]:
    """Send one request to the API.

    Args:
        call: What the action was given.
        method: The HTTP method.
        path: Behind ``/v4/spreadsheets``, already percent-encoded.
        query: Query parameters; ``None`` leaves one out, a list repeats it.
        body: The JSON body.
        expects: What Google's answer has, whatever else: one without it is nonsense.
        blame: The parameter that is wrong where Google cannot make sense of the range.
        hint: What would help where the permission is missing; to share the sheet by default.

    Returns:
        The reply.

    Raises:
        CredentialsRejected: The token is refused, and so is a new one where there is a new one.
        PermissionMissing: The account may not do this.
        RateLimited: The quota is used up.
        InvalidParams: The range or the body does not make sense to Google.
        RequestRejected: Google refuses for another reason.
        ProviderUnavailable: Google is down, slow, or answers nonsense.
    """
    grant: Grant = call.credentials
    # https://developers.google.com/workspace/sheets/api/limits: reads and writes are counted apart.
    scope = "reads" if method == "GET" else "writes"

    call.check_pause(scope)

    def attempt(token: str | None) -> Response:
        return call.http.request(
            method,
            f"{call.addresses.sheets_api.rstrip('/')}/v4/spreadsheets{path}",
            params=_pairs(query or {}) or None,
            json=body,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            max_bytes=MAX_ANSWER,
            read_timeout=READ_TIMEOUT,
        )

    response = attempt(grant.bearer(call.http, call.addresses))
    if response.status == HTTPStatus.UNAUTHORIZED:
        # Refused means not done, so once more with a new token repeats nothing.
        token = grant.bearer(call.http, call.addresses, renew=True)
        if token is not None:
            response = attempt(token)
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(response, blame, hint or f"share the sheet with {grant.who}", scope)
    try:
        reply = response.json()
    except ProviderUnavailable as failure:
        raise ProviderUnavailable(
            failure.detail, outcome_unknown=method != "GET", status=response.status
        ) from None
    if not isinstance(reply, dict) or (expects is not None and not has(reply, expects)):
        raise nonsense(writes=method != "GET")
    return reply


def _pairs(query: Mapping[str, Json | Sequence[str]]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if isinstance(value, (list, tuple)):
            pairs.extend((name, str(item)) for item in value)
        elif value is not None:
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs


class _Refusal(NamedTuple):
    """What decides what an answer means that is none."""

    status: int
    reasons: frozenset[str]
    message: str
    violations: Sequence[FieldError]

    @property
    def is_about_the_range(self) -> bool:
        """Whether Google cannot make sense of the range."""
        return any(text in self.message.lower() for text in _RANGE_REFUSALS)


_MEANINGS: tuple[tuple[Callable[[_Refusal], bool], type[IntegrationError]], ...] = (
    (lambda it: it.status == HTTPStatus.TOO_MANY_REQUESTS, RateLimited),
    (
        lambda it: it.status == HTTPStatus.FORBIDDEN and it.reasons & _RATE_REASONS != set(),
        RateLimited,
    ),
    (lambda it: it.status == HTTPStatus.UNAUTHORIZED, CredentialsRejected),
    (lambda it: it.status == HTTPStatus.FORBIDDEN, PermissionMissing),
    (lambda it: it.status == HTTPStatus.BAD_REQUEST and it.is_about_the_range, InvalidParams),
    (lambda it: it.status == HTTPStatus.BAD_REQUEST and bool(it.violations), InvalidParams),
    (lambda it: it.status in _TRANSIENT, ProviderUnavailable),
    (
        lambda it: HTTPStatus.BAD_REQUEST <= it.status < HTTPStatus.INTERNAL_SERVER_ERROR,
        RequestRejected,
    ),
    (lambda _: True, ProviderUnavailable),
)
"""What an answer means that is none: the first line that fits."""


def _refusal(response: Response, blame: str, hint: str, scope: str) -> IntegrationError:
    """The error for an answer that is none: https://cloud.google.com/apis/design/errors."""
    error = _error(response)
    status = response.status
    message = str(error.get("message") or f"it answered with status {status}")[:_LONGEST_MESSAGE]
    items = _details(error)
    reasons = frozenset(str(item.get("reason")) for item in items)
    it = _Refusal(status, reasons, message, _violations(items))
    meaning = next(kind for fits, kind in _MEANINGS if fits(it))
    detail = f"Google Sheets: {message}"
    if meaning is InvalidParams:
        return (
            wrong(blame, message) if it.is_about_the_range else InvalidParams(detail, it.violations)
        )
    about: dict[str, Any] = {"status": status, "provider_code": error.get("status")}
    if meaning is PermissionMissing and not it.reasons & _SETUP_REASONS:
        detail = f"{detail.rstrip('.')}: {hint}"
    if meaning in {RateLimited, ProviderUnavailable}:
        about["retry_after"] = retry_after(response.headers)
    if meaning is RateLimited:
        about["scope"] = scope
    if meaning is ProviderUnavailable:
        # A gateway that gave up waiting does not know what became of the request.
        about["outcome_unknown"] = status == HTTPStatus.GATEWAY_TIMEOUT
    return meaning(detail, **about)


def _error(response: Response) -> Mapping[str, Any]:
    """What stands under ``error`` in an answer; nothing where it has another shape."""
    try:
        reply = response.json()
    except ProviderUnavailable:
        return {}
    error = reply.get("error") if isinstance(reply, dict) else None
    return error if isinstance(error, dict) else {}


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The single facts of an error, in the old way of saying them and in the new one."""
    return [
        item
        for part in (error.get("errors"), error.get("details"))
        for item in (part if isinstance(part, list) else ())
        if isinstance(item, dict)
    ]


def _violations(details: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """What Google says about single fields of the body."""
    return [
        FieldError(str(found.get("field", "")), str(found.get("description", "")))
        for item in details
        for found in item.get("fieldViolations") or ()
        if isinstance(found, dict)
    ]


def check_token(call: Call[Any]) -> None:
    """Find out whether Sheets takes the token, by asking for a spreadsheet that there is not.

    Sheets has no request that needs no spreadsheet and changes nothing. Only to a good token does
    it say that the spreadsheet is not found.

    Raises:
        CredentialsRejected: The token is refused.
        PermissionMissing: The scope is missing, or the API is not enabled in the client's project.
        RateLimited: The quota is used up.
        ProviderUnavailable: Google is down, slow, or answers nonsense.
    """
    with suppress(RequestRejected):
        send(call, "GET", f"/{_NOWHERE}", query={"fields": "spreadsheetId"})


# -- One spreadsheet -------------------------------------------------------------------------


class Spreadsheet(NamedTuple):
    """One spreadsheet, and what the API does with it.

    Attributes:
        call: What the action was given.
        id: The spreadsheet's id.
    """

    call: Call[Any]
    id: str

    @classmethod
    def of(cls, call: Call[Any], named: str | None) -> Self:
        """The spreadsheet with the id ``named``, else the credentials' own.

        Raises:
            InvalidParams: There is neither.
        """
        grant: Grant = call.credentials
        found = named or grant.default_spreadsheet
        if found is None:
            raise wrong("spreadsheetId", "is missing, and the credentials name no spreadsheet")
        return cls(call, found)

    def send(
        self,
        method: str,
        path: str = "",
        *,
        query: Mapping[str, Json | Sequence[str]] | None = None,
        body: Json = None,
        expects: str | None = None,
        blame: str = "range",
    ) -> dict[str, Any]:
        """Send a request whose path begins with this spreadsheet; see ``send``."""
        whole = f"/{quote(self.id, safe='')}{path}"
        return send(self.call, method, whole, query=query, body=body, expects=expects, blame=blame)

    def read(self, place: str, query: Mapping[str, Json], blame: str = "range") -> dict[str, Any]:
        """The value range of a range."""
        return self.send("GET", _values(place), query=query, expects="range", blame=blame)

    def write(
        self,
        place: str,
        values: Sequence[Sequence[Cell]],
        *,
        value_input: str,
        dimension: Dimension = "ROWS",
        blame: str = "range",
    ) -> dict[str, Any]:
        """Write cells: ``{updatedRange, updatedRows, updatedColumns, updatedCells}``."""
        return self.send(
            "PUT",
            _values(place),
            query={"valueInputOption": value_input},
            body={"majorDimension": dimension, "values": [list(line) for line in values]},
            expects="updatedRange",
            blame=blame,
        )

    def append(
        self,
        place: str,
        rows: Sequence[Sequence[Cell]],
        *,
        value_input: str,
        insert_data: str,
        blame: str = "range",
    ) -> dict[str, Any]:
        """Append rows to the table at ``place``: ``{rowNumber, updatedRange, …, tableRange}``."""
        reply = self.send(
            "POST",
            f"{_values(place)}:append",
            query={"valueInputOption": value_input, "insertDataOption": insert_data},
            body={"majorDimension": "ROWS", "values": [list(row) for row in rows]},
            expects="updates",
            blame=blame,
        )
        done = dict(reply.get("updates") or {})
        if "tableRange" in reply:
            done["tableRange"] = reply["tableRange"]
        if "updatedRange" in done:
            done["rowNumber"] = a1.start(str(done["updatedRange"]))[2]
        return done

    def clear(self, place: str) -> dict[str, Any]:
        """Empty the cells of a range."""
        return self.send("POST", f"{_values(place)}:clear", body={}, expects="clearedRange")

    def tabs(self) -> list[dict[str, Any]]:
        """The properties of each tab, in their order."""
        query = {"fields": "sheets.properties"}
        reply = self.send("GET", query=query, expects="sheets", blame="spreadsheetId")
        return [properties_of(sheet) for sheet in objects(reply["sheets"])]

    def tab(self, title: str | None) -> dict[str, Any]:
        """The properties of the tab with this title (Google minds no case), or of the first shown.

        Raises:
            InvalidParams: There is no such tab.
        """
        found = self.tabs()
        shown = [tab for tab in found if not tab.get("hidden")]
        if title is None and shown:
            return shown[0]
        for alike in (str, comparable):
            for tab in found:
                if alike(str(tab.get("title"))) == alike(str(title)):
                    return tab
        there = ", ".join(str(tab.get("title")) for tab in found)
        raise wrong("sheet", f"there is no tab {title!r}; there are: {there}")

    def change(self, *requests: Json) -> list[dict[str, Any]]:
        """Carry out structural changes, all of them or none; give each one's reply."""
        body: Json = {"requests": list(requests)}
        reply = self.send(
            "POST", ":batchUpdate", body=body, expects="spreadsheetId", blame="requests"
        )
        replies = objects(reply.get("replies"), writes=True)
        if len(replies) != len(requests):  # one for each, empty where there is nothing to say
            raise nonsense(writes=True)
        return replies


def _values(place: str) -> str:
    """The path of a range's values: the range is one segment, whatever it holds."""
    return f"/values/{quote(place, safe='')}"
