"""The world outside: receivers of webhooks, Telegram, Google, Facebook, and a ledger of all of it.

They stand at the seam of ``outbound/http.py``. What they do is one effect each: before or after
it the connection breaks, the process dies, the answer is late.
"""

import copy
import json as jsonlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack
from urllib.parse import parse_qsl, urlencode, urlsplit

from requests.structures import CaseInsensitiveDict

from integrations.errors import ProviderTimeout, ProviderUnavailable
from integrations.outbound.client import Answer
from integrations.outbound.http import Options
from tests.fakes.dynamodb_expressions import NotUnderstood
from tests.fakes.facebook import Facebook, Recorded
from tests.simulation.clock import CLOCK
from tests.simulation.cloud import Cut, Throttled

MARK = "5ecret"
"""What every secret of the simulated world has in it, and nothing else has."""

OWN_HOST = "api.example.com"
CLIENT_ID, CLIENT_SECRET = "sim-client.apps.googleusercontent.com", f"GOCSPX-{MARK}-client"
APP_ID, APP_SECRET = "123456789012345", f"{MARK}0123456789abcdef"
TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a provider did because it was told to.

    Attributes:
        text: Which step of which execution asked for it: ``<execution>|<step>|<round>|<tenant>``.
        key: The idempotency key that came along; ``""`` for none.
        process: Who asked for it.
    """

    kind: str
    place: str
    text: str
    key: str
    process: str
    at: float


@dataclass
class Grant:
    """What somebody granted to this stack at Google; its refresh token changes with each use."""

    tenant: str
    uses: int = 0
    access: str = ""
    ends: float = 0.0
    sent_by: tuple[str, float] = ("", 0.0)

    @property
    def refresh(self) -> str:
        """The one refresh token that is good."""
        return f"1//{MARK}-refresh-{self.tenant}-{self.uses}"


@dataclass
class Providers:
    """Everybody outside.

    Args:
        around: Runs an effect.
        process: The name of whoever asks.
        alive: Whether a process of this name still runs.
        deliver: Takes what is posted to our own webhooks.
    """

    around: Callable[[str, str, Callable[[], Any]], Any]
    process: Callable[[], str]
    alive: Callable[[str], bool]
    deliver: Callable[[str, Mapping[str, str], bytes], None]
    effects: list[Effect] = field(default_factory=list)
    on_effect: Callable[[Effect], None] = lambda _: None
    on_request: Callable[[str, str], None] = lambda *_: None
    grants: dict[str, Grant] = field(default_factory=dict)
    twice_refreshed: list[str] = field(default_factory=list)
    bots: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    consented: dict[str, float] = field(default_factory=dict)
    facebook: Facebook = field(default_factory=lambda: Facebook(APP_ID, APP_SECRET))

    def __post_init__(self) -> None:
        self.facebook.token_end = MARK

    def like(self, other: "Providers") -> None:
        """Know whom and what another world's know."""
        self.bots, self.people = dict(other.bots), dict(other.people)
        self.consented = dict(other.consented)
        self.grants = {name: copy.copy(each) for name, each in other.grants.items()}
        for name in ("tokens", "codes", "users", "pages", "_count"):
            setattr(self.facebook, name, copy.deepcopy(getattr(other.facebook, name)))

    # -- people ------------------------------------------------------------------------------

    def add_person(self, tenant: str) -> None:
        """Somebody of a tenant has an account at Facebook, with a page."""
        page = self.facebook.add_page(f"Bakery of {tenant}")
        self.people[tenant] = self.facebook.add_user(f"Ann of {tenant}", pages=[page])

    def consent(self, url: str, tenant: str, code: str) -> tuple[str, dict[str, str]]:
        """Somebody of a tenant agrees at a provider's dialog.

        Args:
            url: The dialog's.
            tenant: Whose person.
            code: What Google calls the consent.

        Returns:
            Where the browser goes then: path and query.
        """
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        if "google" in str(parts.hostname):
            back = {"state": query["state"], "code": code}
            return "/api/integrations/oauth/callback/sheets_oauth", back
        self.facebook.login_user = self.people[tenant]
        self.consented[self.people[tenant]] = CLOCK.now
        reply = self.facebook.serve(Recorded("GET", parts.path, query, {}, {}))
        goal = urlsplit(reply.headers["Location"])
        return goal.path, dict(parse_qsl(goal.query))

    def revoke_app(self, tenant: str) -> None:
        """A person takes the app out of the account: its tokens are dead."""
        for text, token in self.facebook.tokens.items():
            if token.user_id == self.people[tenant]:
                self.facebook.kill(text, subcode=458)

    # -- requests ----------------------------------------------------------------------------

    def request(self, method: str, url: str, **options: Unpack[Options]) -> Answer:
        """One request, as ``outbound/http.py`` has it."""
        if options.get("files") or options.keys() - Options.__annotations__.keys():
            raise NotUnderstood(f"a request with {sorted(options)}")
        params, json, data, headers, sink = (
            options.get(name) for name in ("params", "json", "data", "headers", "sink")
        )
        parts = urlsplit(url)
        host = parts.hostname or ""
        body = _body(data, json)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        query = dict(parse_qsl(parts.query)) | dict(params or {})

        def serve() -> Answer:
            self.on_request(host, f"{url} {sent} {body.decode(errors='replace')}")
            if host == "graph.facebook.com":
                return self._graph(method, url, query, sent, body)
            status, answer, more = self._serve(method, host, parts.path, query, sent, body)
            text = jsonlib.dumps(answer).encode()
            kind = {"content-type": "application/json", "content-length": str(len(text))}
            answer_headers = CaseInsensitiveDict(kind | more)
            if sink and status < 300 and sink(answer_headers):  # type: ignore[operator]
                raise NotUnderstood("an answer that is a file")
            return Answer(status, answer_headers, text, host)

        def refused(status: int, more: Mapping[str, str]) -> Answer:
            return Answer(status, CaseInsensitiveDict(more), b"", host)

        try:
            return self.around("provider", f"{method} {host}{parts.path[:24]}", serve)  # type: ignore[no-any-return]
        except Throttled:
            return refused(429, {"retry-after": "7"})
        except Unavailable:
            return refused(503, {})
        except Unreachable:
            raise ProviderUnavailable(f"{host} could not be reached") from None
        except Cut:
            self._give_up()
            raise ProviderTimeout(f"{host} did not answer in time", outcome_unknown=True) from None

    def tell(self, kind: str, place: str, text: str, key: str = "") -> None:
        """Write into the ledger."""
        effect = Effect(kind, place, text, key, self.process(), CLOCK.now)
        self.effects.append(effect)
        self.on_effect(effect)

    def _serve(
        self,
        method: str,
        host: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Any, dict[str, str]]:
        if host == OWN_HOST:
            self.deliver(path, headers, body)
            return 200, {"received": True}, {}
        if host.endswith(".sink.example.com"):
            return self._sink(host, headers, body)
        match host:
            case "api.telegram.org":
                return self._telegram(path, body)
            case "oauth2.googleapis.com":
                return self._google_token(path, dict(parse_qsl(body.decode())))
            case "sheets.googleapis.com":
                return self._sheets(path, headers)
        raise NotUnderstood(f"{method} {host}{path}")

    def _sink(
        self, host: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        document = jsonlib.loads(body) if body else {}
        self.tell("sink", host, document.get("text", ""), headers.get("webhook-id", ""))
        # A receiver may repeat what it was sent, the secret in a header included.
        return 200, {"taken": document.get("text"), "with": headers.get("x-api-key", "")}, {}

    def _telegram(self, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        _, token, method = path.split("/", 2)
        tenant = self.bots.get(token.removeprefix("bot"))
        if tenant is None:
            return 401, {"ok": False, "error_code": 401, "description": "Unauthorized"}, {}
        asked = jsonlib.loads(body) if body else {}
        result: Any = True
        match method:
            case "getMe":
                result = {"id": 7, "is_bot": True, "first_name": "Bot", "username": "sim_bot"}
            case "getWebhookInfo":
                result = {"url": "", "has_custom_certificate": False, "pending_update_count": 0}
            case "sendMessage":
                self.tell("telegram", tenant, asked["text"])
                chat = {"id": asked["chat_id"], "type": "private", "first_name": "A"}
                result = {"message_id": len(self.effects), "date": int(CLOCK.now), "chat": chat}
        return 200, {"ok": True, "result": result}, {}

    def _graph(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any],
        headers: dict[str, str],
        body: bytes,
    ) -> Answer:
        parts = urlsplit(url)
        form = dict(parse_qsl(body.decode())) if body[:1] != b"{" else jsonlib.loads(body)
        texts = {name: str(value) for name, value in query.items() if value is not None}
        reply = self.facebook.serve(Recorded(method, parts.path, texts, form, headers))
        host = str(parts.hostname)
        return Answer(reply.status, CaseInsensitiveDict(reply.headers), reply.body, host)

    # -- Google ------------------------------------------------------------------------------

    def _google_token(self, path: str, form: Mapping[str, str]) -> tuple[int, Any, dict[str, str]]:
        if path == "/revoke":
            return 200, {}, {}
        if form.get("client_secret") != CLIENT_SECRET:
            return 401, {"error": "invalid_client"}, {}
        if form["grant_type"] == "authorization_code":
            grant = self.grants.setdefault(form["code"], Grant(form["code"]))
            grant.uses += 1
        else:
            found = [each for each in self.grants.values() if each.refresh == form["refresh_token"]]
            self._watch_refresh(form["refresh_token"])
            if not found:
                return 400, {"error": "invalid_grant", "error_description": "Token is gone"}, {}
            grant = found[0]
            grant.sent_by = self.process(), CLOCK.now
            grant.uses += 1
        grant.access = f"ya29.{MARK}-access-{grant.tenant}-{grant.uses}"
        grant.ends = CLOCK.now + TOKEN_SECONDS
        reply = {
            "access_token": grant.access,
            "refresh_token": grant.refresh,
            "expires_in": TOKEN_SECONDS,
            "scope": "https://www.googleapis.com/auth/spreadsheets openid email",
            "token_type": "Bearer",
        }
        return 200, reply, {}

    def _watch_refresh(self, token: str) -> None:
        """Two processes must not send one refresh token side by side: the grant would end."""
        for grant in self.grants.values():
            used = f"1//{MARK}-refresh-{grant.tenant}-{grant.uses - 1}"
            sender, at = grant.sent_by
            side_by_side = sender != self.process() and self.alive(sender) and CLOCK.now - at < 60
            if token == used and side_by_side:
                self.twice_refreshed.append(grant.tenant)

    def _give_up(self) -> None:
        """Whoever waits no longer for an answer lets another ask in its turn."""
        for grant in self.grants.values():
            if grant.sent_by[0] == self.process():
                grant.sent_by = ("", 0.0)

    def _sheets(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any, dict[str, str]]:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        grant = next((each for each in self.grants.values() if each.access == token), None)
        if grant is None or grant.ends <= CLOCK.now:
            return 401, {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "no"}}, {}
        if "/values/" not in path:
            return 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "none"}}, {}
        self.tell("sheets", grant.tenant, "")
        return 200, {"range": "Sheet1!A1:B1", "majorDimension": "ROWS", "values": [["a", "b"]]}, {}


def _body(data: Any, json: Any) -> bytes:
    match data:
        case bytes():
            return data
        case Mapping():
            return urlencode(data).encode()
        case None:
            return jsonlib.dumps(json).encode() if json is not None else b""
        case _:
            return b"".join(data)


class Unavailable(Exception):
    """The provider answers that it is down; nothing happened."""


class Unreachable(Exception):
    """No connection came about: nothing happened."""
