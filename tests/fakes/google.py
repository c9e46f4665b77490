"""A stand-in for Google on loopback: its token, authorization and revocation pages, and Sheets.

It keeps real spreadsheets in memory and answers like the Sheets API v4; it knows nothing of the
code that it tests and parses ranges, masks and assertions by itself. Every request is recorded.

    with FakeGoogle() as google:
        book = google.add_book({"Orders": [["Id", "Status"], [1, "open"]]})
        key = google.add_service_account()
        google.fail("values.append", Failure(503))
"""

import ast
import base64
import copy
import hashlib
import json
import operator
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, override
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from google.auth.exceptions import GoogleAuthError

from tests.fakes.serving import Server

SPREADSHEETS = "https://www.googleapis.com/auth/spreadsheets"
EMAIL_SCOPES = {"email": "https://www.googleapis.com/auth/userinfo.email"}
AUDIENCE = "https://oauth2.googleapis.com/token"
ISSUER = "https://accounts.google.com"


# -- What tests say and see ------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """What one answer is to be instead of the right one.

    Attributes:
        status: The HTTP status.
        body: JSON, or text for an HTML page; by default Google's error of this status.
        headers: More headers.
        delay: Seconds to wait before answering.
        done: Whether the request is carried out all the same.
    """

    status: int = 503
    body: dict[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    done: bool = False


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    kind: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path as it was sent, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's parameters, in order."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The JSON body; ``None`` where there is none."""
        return json.loads(self.body) if self.body else None

    @property
    def form(self) -> dict[str, str]:
        """The form's fields."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Styled:
    """A number that the sheet shows as something else: a date, an amount."""

    number: float
    shown: str
    date: bool = False


@dataclass(frozen=True)
class Formula:
    """A formula and its value."""

    source: str
    value: Any


@dataclass
class Tab:
    """One tab; its rows are as long as they are."""

    title: str
    id: int
    rows: list[list[Any]]
    row_count: int = 1000
    column_count: int = 26
    hidden: bool = False

    def cell(self, row: int, column: int) -> Any:
        """What is in a cell; an empty text where nothing is."""
        line = self.rows[row] if row < len(self.rows) else []
        value = line[column] if column < len(line) else ""
        return "" if value is None else value

    def put(self, row: int, column: int, value: Any) -> None:
        """Set a cell."""
        while len(self.rows) <= row:
            self.rows.append([])
        line = self.rows[row]
        line.extend([""] * (column + 1 - len(line)))
        line[column] = value


@dataclass
class Book:
    """One spreadsheet. ``shared`` says who may do what; ``None`` lets everybody write."""

    id: str
    title: str
    tabs: list[Tab]
    locale: str = "en_US"
    time_zone: str = "Etc/GMT"
    shared: dict[str, str] | None = None

    def tab(self, title: str) -> Tab:
        """The tab with this title."""
        return next(tab for tab in self.tabs if tab.title == title)

    def rows(self, title: str) -> list[list[Any]]:
        """A tab's rows, without what is empty at the ends."""
        return _trimmed(
            [[_value(cell) for cell in line] for line in copy.deepcopy(self.tab(title).rows)]
        )


@dataclass
class Consent:
    """How the person at the authorization page decides, next time and from then on."""

    email: str = "ann@example.com"
    subject: str = "1122334455"
    deny: bool = False
    scopes: frozenset[str] | None = None
    refresh_token: bool = True
    issuer: str | None = ISSUER
    access_days: int | None = None


class _Refused(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: int, body: dict[str, Any] | str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, dict(headers or {})


_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGE = {
    401: (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential."
    ),
    403: "The caller does not have permission",
    404: "Requested entity was not found.",
    429: (
        "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute "
        "per user' of service 'sheets.googleapis.com' for consumer 'project_number:1'."
    ),
    500: "Internal error encountered.",
    503: "The service is currently unavailable.",
    504: "Deadline exceeded.",
}


def api_error(status: int, message: str | None = None, **more: Any) -> dict[str, Any]:
    """The body of an error of Google's APIs."""
    error = {
        "code": status,
        "message": message or _MESSAGE.get(status, "Error"),
        "status": _STATUS.get(status, "UNKNOWN"),
    }
    return {"error": error | more}


def _invalid(message: str, **more: Any) -> _Refused:
    return _Refused(400, api_error(400, message, **more))


def _oauth_error(error: str, description: str, status: int = 400) -> _Refused:
    return _Refused(status, {"error": error, "error_description": description})


@cache
def key_pair(name: str) -> tuple[str, str]:
    """A private and a public RSA key as PEM, the same for the same name."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


# -- The server ------------------------------------------------------------------------------


@dataclass
class _Token:
    email: str
    scopes: frozenset[str]
    ends: float
    refresh_token: str | None = None


@dataclass
class _Grant:
    client_id: str
    email: str
    subject: str
    scopes: frozenset[str]


@dataclass
class _Code:
    grant: _Grant
    redirect_uri: str
    challenge: str | None
    refresh_token: bool
    access_days: int | None


class FakeGoogle:
    """The stand-in; a context manager that runs it on a free port of 127.0.0.1."""

    def __init__(self, port: int = 0) -> None:
        self.books: dict[str, Book] = {}
        self.clients = {"client-id.apps.googleusercontent.com": "client-secret"}
        self.consent = Consent()
        self.rotate_refresh_tokens = False
        self.token_lifetime = 3599
        self.requests: list[Seen] = []
        self.access_tokens: dict[str, _Token] = {}
        self.refresh_tokens: dict[str, _Grant] = {}
        self.granted: dict[str, _Grant] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._codes: dict[str, _Code] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._lock = threading.RLock()
        fake = self

        class Handler(_Handler):
            google = fake

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def addresses(self) -> dict[str, str]:
        """The settings that lead here, by their names in ``base.Addresses``."""
        return {
            "sheets_api": self.url,
            "google_auth": f"{self.url}/o/oauth2/v2/auth",
            "google_token": f"{self.url}/token",
            "google_revoke": f"{self.url}/revoke",
        }

    def seen(self, kind: str = "") -> list[Seen]:
        """The requests whose kind begins so: ``token``, ``values.get``, ``spreadsheets`` …."""
        return [request for request in self.requests if request.kind.startswith(kind)]

    @property
    def sheets_requests(self) -> list[Seen]:
        """The requests to Sheets."""
        return [seen for seen in self.requests if seen.kind.startswith(("values", "spreadsheets"))]

    def refreshes(self, subject: str) -> list[Seen]:
        """The requests to refresh what an account has granted, dead or alive."""
        asked = [(seen, seen.form.get("refresh_token", "")) for seen in self.seen("token")]
        return [
            seen
            for seen, token in asked
            if token in self.granted and self.granted[token].subject == subject
        ]

    def add_book(
        self,
        tabs: Mapping[str, Iterable[Iterable[Any]]] | None = None,
        *,
        title: str = "Book",
        book_id: str | None = None,
        shared: Mapping[str, str] | None = None,
    ) -> Book:
        """Make a spreadsheet."""
        contents = {"Sheet1": ()} if tabs is None else tabs
        made = [
            Tab(name, 0 if number == 0 else 1000 + number, [list(row) for row in rows])
            for number, (name, rows) in enumerate(contents.items())
        ]
        for tab in made:
            tab.row_count = max(tab.row_count, len(tab.rows))
        book = Book(
            book_id or secrets.token_urlsafe(33),
            title,
            made,
            shared=None if shared is None else dict(shared),
        )
        self.books[book.id] = book
        return book

    def add_service_account(
        self, email: str = "robot@project.iam.gserviceaccount.com", key: str = "one"
    ) -> dict[str, str]:
        """Make a service account; gives the content of its key file."""
        private, public = key_pair(key)
        key_id = hashlib.sha256(public.encode()).hexdigest()[:40]
        self._keys[email] = key_id, public
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": key_id,
            "private_key": private,
            "client_email": email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email}",
            "universe_domain": "googleapis.com",
        }

    def remove_service_account(self, email: str) -> None:
        """Delete a service account; its tokens stay good until they end, as at Google."""
        del self._keys[email]

    def fail(self, kind: str, *failures: Failure) -> None:
        """Answer the next requests of this kind (its beginning) with these, one after another."""
        self._failures.setdefault(kind, []).extend(failures)

    def forget_failures(self) -> None:
        """Answer rightly from now on."""
        self._failures.clear()

    def end_access_tokens(self) -> None:
        """Make every access token invalid."""
        self.access_tokens.clear()

    def revoke_all(self) -> None:
        """Take every grant back, as its owner can."""
        self.refresh_tokens.clear()
        self.access_tokens.clear()

    # -- routes

    def _answer(self, seen: Seen) -> tuple[int, Any, Mapping[str, str]]:
        with self._lock:
            self.requests.append(seen)
            failure = next(
                (
                    queue.pop(0)
                    for kind, queue in self._failures.items()
                    if queue and seen.kind.startswith(kind)
                ),
                None,
            )
        if failure is not None:
            if failure.done:
                self._carry_out(seen)
            time.sleep(failure.delay)
            body = api_error(failure.status) if failure.body is None else failure.body
            return failure.status, body, failure.headers
        return self._carry_out(seen)

    def _carry_out(self, seen: Seen) -> tuple[int, Any, Mapping[str, str]]:
        try:
            with self._lock:
                match seen.kind:
                    case "token":
                        return 200, self._token(seen.form), {}
                    case "revoke":
                        return 200, self._revoke(seen.form), {}
                    case "authorize":
                        return 302, "", {"Location": self._authorize(dict(seen.query))}
                    case "unknown":
                        return 404, "<html><body>404</body></html>", {}
                    case _:
                        return 200, self._sheets(seen), {}
        except _Refused as refused:
            return refused.status, refused.body, refused.headers

    # -- OAuth

    def _issue(
        self, email: str, scopes: Iterable[str], refresh_token: str | None = None
    ) -> dict[str, Any]:
        token = f"ya29.{secrets.token_urlsafe(60)}"
        granted = frozenset(scopes)
        self.access_tokens[token] = _Token(
            email, granted, time.time() + self.token_lifetime, refresh_token
        )
        return {
            "access_token": token,
            "expires_in": self.token_lifetime,
            "token_type": "Bearer",
            "scope": " ".join(sorted(granted)),
        }

    def _authorize(self, query: Mapping[str, str]) -> str:
        client, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
        if client not in self.clients or not redirect_uri:
            raise _Refused(400, "<html><body>Error 400: redirect_uri_mismatch</body></html>")
        consent = self.consent
        answer = {"state": query.get("state", "")}
        if consent.issuer:
            answer["iss"] = consent.issuer
        if consent.deny:
            return f"{redirect_uri}?{urlencode(answer | {'error': 'access_denied'})}"
        asked = [EMAIL_SCOPES.get(scope, scope) for scope in query.get("scope", "").split()]
        granted = frozenset(
            scope
            for scope in asked
            if consent.scopes is None or scope in consent.scopes or not scope.startswith("http")
        )
        # Google gives a refresh token for offline access alone, and again only where it asks again.
        offline = query.get("access_type") == "offline" and query.get("prompt") == "consent"
        challenge = query.get("code_challenge")
        if challenge is not None and query.get("code_challenge_method") != "S256":
            raise _Refused(400, "<html><body>Error 400: invalid_request</body></html>")
        code = f"4/{secrets.token_urlsafe(40)}"
        self._codes[code] = _Code(
            _Grant(client, consent.email, consent.subject, granted),
            redirect_uri,
            challenge,
            offline and consent.refresh_token,
            consent.access_days,
        )
        answer |= {"code": code, "scope": " ".join(sorted(granted)), "authuser": "0"}
        return f"{redirect_uri}?{urlencode(answer | {'prompt': 'consent'})}"

    def _token(self, form: Mapping[str, str]) -> dict[str, Any]:
        match form.get("grant_type"):
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                return self._by_assertion(form.get("assertion", ""))
            case "authorization_code":
                self._check_client(form)
                return self._by_code(form)
            case "refresh_token":
                self._check_client(form)
                return self._by_refresh_token(form)
            case other:
                raise _oauth_error("unsupported_grant_type", f"Invalid grant_type: {other}")

    def _check_client(self, form: Mapping[str, str]) -> None:
        if self.clients.get(form.get("client_id", "")) != form.get("client_secret"):
            raise _oauth_error("invalid_client", "The provided client secret is invalid.", 401)

    def _by_assertion(self, assertion: str) -> dict[str, Any]:
        decode: Any = jwt.decode
        try:
            payload = decode(assertion, verify=False)
            key_id, public = self._keys[payload["iss"]]
        except (GoogleAuthError, ValueError, KeyError):
            raise _oauth_error("invalid_grant", "Invalid grant: account not found") from None
        try:
            claims = decode(assertion, certs={key_id: public}, audience=AUDIENCE)
        except (GoogleAuthError, ValueError):
            raise _oauth_error("invalid_grant", "Invalid JWT Signature.") from None
        if claims["exp"] - claims["iat"] > 3600:
            raise _oauth_error(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )
        reply = self._issue(claims["iss"], claims["scope"].split())
        del reply["scope"]
        return reply

    def _by_code(self, form: Mapping[str, str]) -> dict[str, Any]:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            raise _oauth_error("invalid_grant", "Bad Request")
        if form.get("redirect_uri") != code.redirect_uri:
            raise _oauth_error("redirect_uri_mismatch", "Bad Request")
        if code.challenge is not None and code.challenge != s256(form.get("code_verifier", "")):
            raise _oauth_error("invalid_grant", "Invalid code verifier.")
        grant = code.grant
        refresh_token = None
        if code.refresh_token:
            refresh_token = f"1//{secrets.token_urlsafe(60)}"
            self.refresh_tokens[refresh_token] = self.granted[refresh_token] = grant
        reply = self._issue(grant.email, grant.scopes, refresh_token)
        if refresh_token:
            reply["refresh_token"] = refresh_token
        if code.access_days is not None:
            reply["refresh_token_expires_in"] = code.access_days * 86400
        if "openid" in grant.scopes:
            reply["id_token"] = self._id_token(grant)
        return reply

    def _id_token(self, grant: _Grant) -> str:
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": grant.client_id,
            "sub": grant.subject,
            "iat": int(time.time()),
            "exp": int(time.time()) + 3600,
        }
        if EMAIL_SCOPES["email"] in grant.scopes:
            claims |= {"email": grant.email, "email_verified": True}
        signer: Any = crypt.RSASigner
        encode: Any = jwt.encode
        token: bytes = encode(signer.from_string(key_pair("google")[0], "google"), claims)
        return token.decode()

    def _by_refresh_token(self, form: Mapping[str, str]) -> dict[str, Any]:
        token = form.get("refresh_token", "")
        grant = self.refresh_tokens.get(token)
        if grant is None or grant.client_id != form["client_id"]:
            raise _oauth_error("invalid_grant", "Token has been expired or revoked.")
        rotated = None
        if self.rotate_refresh_tokens:
            del self.refresh_tokens[token]
            rotated = f"1//{secrets.token_urlsafe(60)}"
            self.refresh_tokens[rotated] = self.granted[rotated] = grant
        reply = self._issue(grant.email, grant.scopes, rotated or token)
        return reply | ({"refresh_token": rotated} if rotated else {})

    def _revoke(self, form: Mapping[str, str]) -> dict[str, Any]:
        token = form.get("token", "")
        if self.refresh_tokens.pop(token, None) is None and token not in self.access_tokens:
            raise _oauth_error("invalid_token", "Token expired or revoked")
        self.access_tokens = {
            name: access
            for name, access in self.access_tokens.items()
            if token not in {name, access.refresh_token}
        }
        return {}

    # -- Sheets

    def _sheets(self, seen: Seen) -> dict[str, Any]:
        bearer = seen.headers.get("authorization", "").removeprefix("Bearer ")
        token = self.access_tokens.get(bearer)
        if token is None or token.ends < time.time():
            raise _Refused(401, api_error(401))
        if SPREADSHEETS not in token.scopes:
            reason = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com",
            }
            message = "Request had insufficient authentication scopes."
            raise _Refused(403, api_error(403, message, details=[reason]))
        query = dict(seen.query)
        if seen.kind == "spreadsheets.create":
            return _masked(self._create(seen.json), query.get("fields"))
        found = _PATH.fullmatch(seen.path)
        book = self.books.get(unquote(found["id"])) if found else None
        if found is None or book is None:
            raise _Refused(404, api_error(404))
        reading = seen.method == "GET"
        if book.shared is not None:
            role = book.shared.get(token.email)
            if role != "writer" and not (role == "reader" and reading):
                raise _Refused(403, api_error(403))
        # All or nothing: what fails has changed nothing.
        trial = copy.deepcopy(book)
        place = unquote(found["range"] or "")
        reply = _METHODS[seen.kind](trial, place, seen.query, seen.json)
        self.books[book.id].__dict__.update(trial.__dict__)
        return _masked(reply, query.get("fields"))

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        properties = body.get("properties", {})
        titles = [sheet["properties"]["title"] for sheet in body.get("sheets", ())] or ["Sheet1"]
        book = self.add_book(dict.fromkeys(titles, ()), title=properties.get("title", ""))
        book.locale = properties.get("locale", book.locale)
        book.time_zone = properties.get("timeZone", book.time_zone)
        return _book_json(book)


def s256(verifier: str) -> str:
    """The PKCE challenge of a verifier: RFC 7636."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


_PATH = re.compile(
    r"/v4/spreadsheets/(?P<id>[^/:]+)(?:/values(?:/(?P<range>[^/:]+))?)?(?::(?P<verb>\w+))?"
)
_KINDS = {
    ("GET", False, False, None): "spreadsheets.get",
    ("POST", False, False, "batchUpdate"): "spreadsheets.batchUpdate",
    ("GET", True, True, None): "values.get",
    ("PUT", True, True, None): "values.update",
    ("POST", True, True, "append"): "values.append",
    ("POST", True, True, "clear"): "values.clear",
    ("GET", True, False, "batchGet"): "values.batchGet",
    ("POST", True, False, "batchUpdate"): "values.batchUpdate",
    ("POST", True, False, "batchClear"): "values.batchClear",
}
_PAGES = {
    ("POST", "/token"): "token",
    ("POST", "/revoke"): "revoke",
    ("GET", "/o/oauth2/v2/auth"): "authorize",
    ("POST", "/v4/spreadsheets"): "spreadsheets.create",
}


def _kind(method: str, path: str) -> str:
    if (method, path) in _PAGES:
        return _PAGES[method, path]
    found = _PATH.fullmatch(path)
    if found is None:
        return "unknown"
    values = "/values" in path
    return _KINDS.get((method, values, found["range"] is not None, found["verb"]), "unknown")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: else each answer waits 40 ms for a delayed acknowledgement.
    wbufsize = -1
    google: FakeGoogle

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        seen = Seen(
            _kind(self.command, urlsplit(self.path).path),
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
        )
        status, body, headers = self.google._answer(seen)
        is_text = isinstance(body, str)
        content = body.encode() if is_text else json.dumps(body).encode()
        try:
            self.send_response(status)
            kind = "text/html" if is_text else "application/json; charset=UTF-8"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            # Whoever asked has stopped waiting.
            self.close_connection = True

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


# -- Ranges ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Area:
    """Cells of one tab; the ends are exclusive, ``None`` for the grid's."""

    tab: Tab
    top: int
    left: int
    bottom: int | None
    right: int | None

    def clipped(self) -> "_Area":
        """The part of it that the grid has."""
        bottom = self.tab.row_count if self.bottom is None else self.bottom
        right = self.tab.column_count if self.right is None else self.right
        return _Area(
            self.tab,
            self.top,
            self.left,
            min(bottom, self.tab.row_count),
            min(right, self.tab.column_count),
        )

    def a1(self) -> str:
        """The range in A1 notation."""
        area = self.clipped()
        first = f"{_letters(area.left)}{area.top + 1}"
        last = f"{_letters((area.right or 1) - 1)}{area.bottom}"
        return f"{_quoted_tab(self.tab.title)}!{first}" + ("" if first == last else f":{last}")


def _quoted_tab(title: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", title) and not _CELLS.fullmatch(title)
    return title if plain else "'" + title.replace("'", "''") + "'"


_CELLS = re.compile(
    r"\$?([A-Z]{1,3})?\$?([0-9]{1,7})?(?::\$?([A-Z]{1,3})?\$?([0-9]{1,7})?)?", re.IGNORECASE
)


def _number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _letters(index: int) -> str:
    first, last = divmod(index, 26)
    return (_letters(first - 1) if first else "") + chr(65 + last)


def _split(book: Book, text: str) -> tuple[Tab | None, str | None]:
    """The tab that a range names, by title or as the first that shows, and its cells."""
    quoted = re.fullmatch(r"'((?:[^']|'')*)'(?:!(.+))?", text)
    title: str | None
    cells: str | None
    if quoted:
        title, cells = quoted[1].replace("''", "'"), quoted[2]
    elif "!" in text:
        title, _, cells = text.partition("!")
        if not re.fullmatch(r"\w+", title):
            return None, cells
    elif _CELLS.fullmatch(text):
        title, cells = None, text
    else:
        title, cells = text, None
    for tab in book.tabs:
        if (not tab.hidden) if title is None else tab.title.lower() == title.lower():
            return tab, cells
    return None, cells


def _area(book: Book, text: str) -> _Area:
    tab, cells = _split(book, text)
    if tab is not None and cells is None:
        return _Area(tab, 0, 0, None, None)
    found = _CELLS.fullmatch(cells or "")
    if tab is None or found is None:
        raise _invalid(f"Unable to parse range: {text}")
    left, top, right, bottom = found.groups()
    if ":" not in found[0]:
        right, bottom = (left, top) if left and top else (None, None)
    if not (right or bottom):
        raise _invalid(f"Unable to parse range: {text}")
    return _Area(
        tab,
        int(top or 1) - 1,
        _number(left or "A") - 1,
        int(bottom) if bottom else None,
        _number(right) if right else None,
    )


def _check_limits(area: _Area, rows: int = 1, columns: int = 1) -> None:
    tab = area.tab
    if area.top + rows > tab.row_count or area.left + columns > tab.column_count:
        first = f"{_letters(area.left)}{area.top + 1}"
        raise _invalid(
            f"Range ({_quoted_tab(tab.title)}!{first}) exceeds grid limits. "
            f"Max rows: {tab.row_count}, max columns: {tab.column_count}"
        )


# -- Values ----------------------------------------------------------------------------------


def _value(cell: Any) -> Any:
    if isinstance(cell, Formula):
        return cell.value
    return cell.number if isinstance(cell, Styled) else "" if cell is None else cell


def _trimmed(lines: list[list[Any]]) -> list[list[Any]]:
    for line in lines:
        while line and line[-1] == "":
            line.pop()
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _rendered(cell: Any, values: str, dates: str) -> Any:
    if values == "FORMULA" and isinstance(cell, Formula):
        return cell.source
    if isinstance(cell, Styled):
        as_text = values == "FORMATTED_VALUE" or (cell.date and dates == "FORMATTED_STRING")
        return cell.shown if as_text else cell.number
    value = _value(cell)
    if values != "FORMATTED_VALUE":
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _computed(source: str) -> Any:
    """A formula's value, for sums as a child writes them."""

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=number):
                return number
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](value(left), value(right))
        raise SyntaxError

    try:
        return value(ast.parse(source[1:], mode="eval"))
    except (SyntaxError, KeyError):
        return "#NAME?"


def _typed_in(value: Any) -> Any:
    """What a text becomes where it is typed in."""
    if not isinstance(value, str):
        return value
    if value.startswith("'"):
        return value[1:]
    if value.startswith("="):
        return Formula(value, _computed(value))
    if value.upper() in {"TRUE", "FALSE"}:
        return value.upper() == "TRUE"
    try:
        return int(value) if re.fullmatch(r"[+-]?[0-9]+", value) else float(value)
    except ValueError:
        return value


def _put(area: _Area, values: list[list[Any]], option: str, dimension: str) -> dict[str, Any]:
    lines = list(map(list, values))
    if dimension == "COLUMNS":
        height = max(map(len, lines), default=0)
        lines = [[line[at] if at < len(line) else None for line in lines] for at in range(height)]
    width = max(map(len, lines), default=0)
    tab = area.tab
    _check_limits(area, max(len(lines), 1), max(width, 1))
    bottom = area.top + len(lines) if area.bottom is None else area.bottom
    right = area.left + width if area.right is None else area.right
    single = area.bottom == area.top + 1 and area.right == area.left + 1
    if not single and (area.top + len(lines) > bottom or area.left + width > right):
        raise _invalid(f"Requested writing within range [{area.a1()}], but tried writing beyond")
    changed = 0
    for row, line in enumerate(lines, area.top):
        for column, value in enumerate(line, area.left):
            if value is not None:
                if isinstance(value, (dict, list)):
                    raise _invalid("Invalid value at 'data.values'", details=[])
                tab.put(row, column, _typed_in(value) if option == "USER_ENTERED" else value)
                changed += 1
    written = _Area(tab, area.top, area.left, area.top + len(lines), area.left + width)
    return {
        "updatedRange": written.a1(),
        "updatedRows": len(lines),
        "updatedColumns": width,
        "updatedCells": changed,
    }


def _option(value: str | None) -> str:
    if value not in {"RAW", "USER_ENTERED"}:
        raise _invalid("'valueInputOption' is required but not specified")
    return value


type _Query = list[tuple[str, str]]


def _read(book: Book, place: str, query: _Query) -> dict[str, Any]:
    options = dict(query)
    asked = _area(book, place)
    _check_limits(asked)
    area = asked.clipped()
    dimension = options.get("majorDimension", "ROWS")
    lines = [
        [
            _rendered(
                area.tab.cell(row, column),
                options.get("valueRenderOption", "FORMATTED_VALUE"),
                options.get("dateTimeRenderOption", "SERIAL_NUMBER"),
            )
            for column in range(area.left, area.right or 0)
        ]
        for row in range(area.top, min(area.bottom or 0, len(area.tab.rows)))
    ]
    if dimension == "COLUMNS":
        lines = [list(line) for line in zip(*lines, strict=True)]
    values = _trimmed(lines)
    found = {"range": area.a1(), "majorDimension": dimension}
    return found | ({"values": values} if values else {})


def _get_values(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    return _read(book, place, query)


def _batch_get(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    ranges = [value for name, value in query if name == "ranges"]
    found = [_read(book, one, query) for one in ranges]
    return {"spreadsheetId": book.id, "valueRanges": found}


def _update_values(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    option = _option(dict(query).get("valueInputOption"))
    dimension = body.get("majorDimension", "ROWS")
    done = _put(_area(book, place), body.get("values", []), option, dimension)
    return {"spreadsheetId": book.id, **done}


def _batch_update_values(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    option = _option(body.get("valueInputOption"))
    responses = [
        {
            "spreadsheetId": book.id,
            **_put(
                _area(book, one["range"]),
                one.get("values", []),
                option,
                one.get("majorDimension", "ROWS"),
            ),
        }
        for one in body.get("data", ())
    ]
    return {
        "spreadsheetId": book.id,
        "totalUpdatedRows": sum(one["updatedRows"] for one in responses),
        "totalUpdatedColumns": sum(one["updatedColumns"] for one in responses),
        "totalUpdatedCells": sum(one["updatedCells"] for one in responses),
        "totalUpdatedSheets": len({one["updatedRange"].partition("!")[0] for one in responses}),
        "responses": responses,
    }


def _clear(book: Book, place: str) -> str:
    area = _area(book, place).clipped()
    _check_limits(area)
    for row in range(area.top, min(area.bottom or 0, len(area.tab.rows))):
        for column in range(area.left, min(area.right or 0, len(area.tab.rows[row]))):
            area.tab.put(row, column, "")
    return area.a1()


def _clear_values(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    return {"spreadsheetId": book.id, "clearedRange": _clear(book, place)}


def _batch_clear(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    cleared = [_clear(book, one) for one in body.get("ranges", ())]
    return {"spreadsheetId": book.id, "clearedRanges": cleared}


def _regions(tab: Tab) -> Iterator[set[tuple[int, int]]]:
    """The tables of a tab: groups of cells that touch, corners included."""
    filled = {
        (row, column)
        for row, line in enumerate(tab.rows)
        for column in range(len(line))
        if tab.cell(row, column) != ""
    }
    while filled:
        group: set[tuple[int, int]] = set()
        edge = [filled.pop()]
        while edge:
            row, column = edge.pop()
            group.add((row, column))
            near = {(row + down, column + on) for down in (-1, 0, 1) for on in (-1, 0, 1)}
            edge.extend(near & filled)
            filled -= near
        yield group


def _append_values(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    options = dict(query)
    option = _option(options.get("valueInputOption"))
    area = _area(book, place)
    tab = area.tab
    clipped = area.clipped()
    inside = [
        region
        for region in _regions(tab)
        if any(
            area.top <= row < (clipped.bottom or 0) and area.left <= column < (clipped.right or 0)
            for row, column in region
        )
    ]
    reply: dict[str, Any] = {"spreadsheetId": book.id}
    top, left = area.top, area.left
    if inside:
        table = max(inside, key=max)
        rows, columns = [row for row, _ in table], [column for _, column in table]
        found = _Area(tab, min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        reply["tableRange"] = found.a1()
        top, left = max(rows) + 1, min(columns)
    values = body.get("values", [])
    if options.get("insertDataOption") == "INSERT_ROWS" and top < len(tab.rows):
        tab.rows[top:top] = [[] for _ in values]
        tab.row_count += len(values)
    tab.row_count = max(tab.row_count, top + len(values))
    tab.column_count = max(tab.column_count, left + max(map(len, values), default=0))
    done = _put(_Area(tab, top, left, None, None), values, option, "ROWS")
    return reply | {"updates": {"spreadsheetId": book.id, **done}}


# -- Spreadsheets ----------------------------------------------------------------------------


def _tab_json(tab: Tab, index: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "sheetId": tab.id,
        "title": tab.title,
        "index": index,
        "sheetType": "GRID",
        "gridProperties": {"rowCount": tab.row_count, "columnCount": tab.column_count},
    }
    return properties | ({"hidden": True} if tab.hidden else {})


def _book_json(book: Book) -> dict[str, Any]:
    return {
        "spreadsheetId": book.id,
        "properties": {
            "title": book.title,
            "locale": book.locale,
            "autoRecalc": "ON_CHANGE",
            "timeZone": book.time_zone,
            "defaultFormat": {"padding": {"top": 2}},
        },
        "sheets": [{"properties": _tab_json(tab, index)} for index, tab in enumerate(book.tabs)],
        "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{book.id}/edit",
    }


def _get_book(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    found = _book_json(book)
    areas = [_area(book, value) for name, value in query if name == "ranges"]
    if dict(query).get("includeGridData") == "true":
        for sheet, tab in zip(found["sheets"], book.tabs, strict=True):
            sheet["data"] = [
                {
                    "rowData": [
                        {"values": [{"formattedValue": str(_value(cell))} for cell in line]}
                        for line in tab.rows
                    ]
                }
            ]
    if areas:
        named = {area.tab.id for area in areas}
        found["sheets"] = [
            sheet for sheet in found["sheets"] if sheet["properties"]["sheetId"] in named
        ]
    return found


def _by_id(book: Book, sheet_id: int | None, number: int, name: str) -> Tab:
    for tab in book.tabs:
        if tab.id == sheet_id:
            return tab
    raise _invalid(f"Invalid requests[{number}].{name}: No grid with id: {sheet_id}")


def _add_sheet(book: Book, number: int, wanted: Any) -> dict[str, Any]:
    properties = wanted.get("properties", {})
    title = properties.get("title", f"Sheet{len(book.tabs) + 1}")
    _check_title(book, number, "addSheet", title)
    grid = properties.get("gridProperties", {})
    tab = Tab(title, properties.get("sheetId", secrets.randbelow(2**31)), [])
    tab.row_count = grid.get("rowCount", tab.row_count)
    tab.column_count = grid.get("columnCount", tab.column_count)
    index = properties.get("index", len(book.tabs))
    book.tabs.insert(index, tab)
    return {"addSheet": {"properties": _tab_json(tab, index)}}


def _check_title(book: Book, number: int, name: str, title: str) -> None:
    if any(tab.title.lower() == title.lower() for tab in book.tabs):
        raise _invalid(
            f'Invalid requests[{number}].{name}: A sheet with the name "{title}" already exists. '
            "Please enter another name."
        )


def _delete_sheet(book: Book, number: int, wanted: Any) -> dict[str, Any]:
    tab = _by_id(book, wanted.get("sheetId", 0), number, "deleteSheet")
    if len(book.tabs) == 1:
        raise _invalid(
            f"Invalid requests[{number}].deleteSheet: "
            "You can't remove all the sheets in a document."
        )
    book.tabs.remove(tab)
    return {}


def _update_sheet(book: Book, number: int, wanted: Any) -> dict[str, Any]:
    properties = wanted["properties"]
    tab = _by_id(book, properties.get("sheetId", 0), number, "updateSheetProperties")
    if wanted.get("fields") != "title":
        raise _invalid(f"Invalid requests[{number}].updateSheetProperties: fields is required")
    if tab.title != properties["title"]:
        _check_title(book, number, "updateSheetProperties", properties["title"])
    tab.title = properties["title"]
    return {}


def _delete_dimension(book: Book, number: int, wanted: Any) -> dict[str, Any]:
    area = wanted["range"]
    tab = _by_id(book, area.get("sheetId", 0), number, "deleteDimension")
    first, last = area["startIndex"], area["endIndex"]
    if first >= tab.row_count:
        raise _invalid(
            f"Invalid requests[{number}].deleteDimension: Cannot delete a row that doesn't exist. "
            f"Tried to delete row index {first} but there are only {tab.row_count} rows."
        )
    if first == 0 and last >= tab.row_count:
        raise _invalid(
            f"Invalid requests[{number}].deleteDimension: You can't delete all the rows on the "
            "sheet."
        )
    del tab.rows[first:last]
    tab.row_count -= min(last, tab.row_count) - first
    return {}


def _append_dimension(book: Book, number: int, wanted: Any) -> dict[str, Any]:
    tab = _by_id(book, wanted.get("sheetId", 0), number, "appendDimension")
    if wanted["dimension"] == "COLUMNS":
        tab.column_count += wanted["length"]
    else:
        tab.row_count += wanted["length"]
    return {}


def _find_replace(book: Book, number: int, wanted: Any) -> dict[str, Any]:
    changed = 0
    for tab in book.tabs:
        for line in tab.rows:
            for at, cell in enumerate(line):
                if isinstance(cell, str) and wanted["find"] in cell:
                    line[at] = cell.replace(wanted["find"], wanted.get("replacement", ""))
                    changed += 1
    return {"findReplace": {"occurrencesChanged": changed, "valuesChanged": changed}}


_REQUESTS: dict[str, Callable[[Book, int, Any], dict[str, Any]]] = {
    "addSheet": _add_sheet,
    "deleteSheet": _delete_sheet,
    "updateSheetProperties": _update_sheet,
    "deleteDimension": _delete_dimension,
    "appendDimension": _append_dimension,
    "findReplace": _find_replace,
}


def _batch_update_book(book: Book, place: str, query: _Query, body: Any) -> dict[str, Any]:
    requests = body.get("requests", [])
    if not requests:
        raise _invalid("Must specify at least one request.")
    replies = []
    for number, request in enumerate(requests):
        ((name, wanted),) = request.items()
        if name not in _REQUESTS:
            where = f"requests[{number}]"
            description = (
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': "
                "Cannot find field."
            )
            raise _invalid(
                description,
                details=[
                    {
                        "@type": "type.googleapis.com/google.rpc.BadRequest",
                        "fieldViolations": [{"field": where, "description": description}],
                    }
                ],
            )
        replies.append(_REQUESTS[name](book, number, wanted))
    return {"spreadsheetId": book.id, "replies": replies}


_METHODS: dict[str, Callable[[Book, str, _Query, Any], dict[str, Any]]] = {
    "spreadsheets.get": _get_book,
    "spreadsheets.batchUpdate": _batch_update_book,
    "values.get": _get_values,
    "values.update": _update_values,
    "values.append": _append_values,
    "values.clear": _clear_values,
    "values.batchGet": _batch_get,
    "values.batchUpdate": _batch_update_values,
    "values.batchClear": _batch_clear,
}


# -- Field masks -----------------------------------------------------------------------------


def parsed_mask(text: str) -> dict[str, Any]:
    """A field mask as a tree: ``a,b(c,d/e)`` is ``{a: {}, b: {c: {}, d: {e: {}}}}``."""
    at = 0

    def level() -> dict[str, Any]:
        nonlocal at
        found: dict[str, Any] = {}
        while at < len(text) and text[at] != ")":
            name = re.compile(r"[A-Za-z0-9_*]+").match(text, at)
            if name is None:
                raise _invalid(f"Request contains an invalid argument: fields at {at}")
            at = name.end()
            here = found.setdefault(name[0], {})
            while at < len(text) and text[at] in "./":
                name = re.compile(r"[A-Za-z0-9_*]+").match(text, at + 1)
                if name is None:
                    raise _invalid(f"Request contains an invalid argument: fields at {at}")
                at = name.end()
                here = here.setdefault(name[0], {})
            if at < len(text) and text[at] == "(":
                at += 1
                here.update(level())
                at += 1
            if at < len(text) and text[at] == ",":
                at += 1
        return found

    return level()


def _masked(reply: dict[str, Any], mask: str | None) -> dict[str, Any]:
    return reply if mask is None else _selected(reply, parsed_mask(mask))


def _selected(value: Any, tree: Mapping[str, Any]) -> Any:
    if not tree:
        return value
    if isinstance(value, list):
        return [_selected(item, tree) for item in value]
    if isinstance(value, dict):
        return {
            name: _selected(item, tree.get(name, tree.get("*", {})))
            for name, item in value.items()
            if name in tree or "*" in tree
        }
    return value
