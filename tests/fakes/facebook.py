"""A stand-in of Facebook on 127.0.0.1: Graph, its token endpoint, the log-in dialog, webhooks.

It is written from Meta's documentation and recorded traffic, not from our code, of which it imports
nothing: https://developers.facebook.com/docs/graph-api. Unit and end-to-end tests use it alike::

    with FacebookStandIn() as facebook:
        ann = facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
        token = facebook.user_token(ann)
        ...  # point facebook_graph and facebook_dialog at facebook.url
        body, headers = facebook.delivery(payload)
"""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, override
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fakes.serving import Server

SHORT = 2 * 3600
LONG = 60 * 86400
DATA_ACCESS = 90 * 86400

PAGE_SCOPES = (
    "pages_show_list",
    "pages_read_engagement",
    "pages_read_user_content",
    "pages_manage_posts",
    "pages_manage_engagement",
    "pages_manage_metadata",
    "pages_messaging",
)
TASKS = ("ANALYZE", "ADVERTISE", "MESSAGING", "MODERATE", "CREATE_CONTENT", "MANAGE")


@dataclass
class Recorded:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    token: str | None = None
    files: dict[str, tuple[str, bytes, str]] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, str]:
        return {**self.query, **self.form}

    @property
    def url(self) -> str:
        return f"{self.path}?{urlencode(self.query)}"


@dataclass
class Token:
    kind: str
    owner: str
    app_id: str
    scopes: tuple[str, ...]
    expires_at: int
    data_access_expires_at: int
    user_id: str = ""
    dead: dict[str, Any] | None = None


@dataclass
class Page:
    id: str
    name: str
    tasks: tuple[str, ...] = TASKS
    subscribed_fields: list[str] | None = None


@dataclass
class User:
    id: str
    name: str
    pages: list[str] = field(default_factory=list)


class GraphError(Exception):
    """Graph's own error."""

    def __init__(
        self,
        message: str,
        code: int,
        *,
        subcode: int | None = None,
        status: int = 400,
        kind: str = "OAuthException",
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.error = {"message": message, "type": kind, "code": code, **more}
        if subcode is not None:
            self.error["error_subcode"] = subcode
        self.error["fbtrace_id"] = "AbCdEfGhIjKlMn"


@dataclass
class _Script:
    """Something that shall go wrong."""

    act: Callable[[], "_Reply"]
    times: int
    path: re.Pattern[str]


@dataclass
class _Reply:
    status: int
    body: bytes
    headers: dict[str, str]


class Facebook:
    """Facebook for one app (``app_id``, ``app_secret``), by itself: ``serve`` answers.

    Attributes:
        requests: Every request, in order.
        posts, comments, messages, people: What there is, by id; ``messages`` is a list.
        app_subscriptions: The app's webhooks by object.
        usage: Headers that go with each answer of Graph.
        declined: The scopes that the next log-in declines; ``denied``: whether it is refused whole.
        checks_callbacks: Whether a new app subscription is verified by a GET, as Meta does.
        token_end: What each token ends with.
    """

    def __init__(
        self,
        app_id: str = "123456789012345",
        app_secret: str = "0123456789abcdef0123456789abcdef",
        *,
        app_name: str = "Example App",
        version: str = "v26.0",
    ) -> None:
        self.app_id, self.app_secret, self.app_name = app_id, app_secret, app_name
        self.version = version
        self.requests: list[Recorded] = []
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.users: dict[str, User] = {}
        self.pages: dict[str, Page] = {}
        self.posts: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, dict[str, Any]] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []
        self.replied: set[str] = set()
        self.app_subscriptions: dict[str, dict[str, Any]] = {}
        self.usage: dict[str, str] = {}
        self.declined: set[str] = set()
        self.denied = False
        self.login_user: str | None = None
        self.checks_callbacks = False
        self.other_nodes: dict[str, dict[str, Any]] = {}
        self._scripts: list[_Script] = []
        self._count = 0
        self._lock = threading.RLock()
        self.token_end = "Zz9" * 8

    # -- who and what there is ------------------------------------------------------------

    def _next(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def add_page(self, name: str, *, tasks: tuple[str, ...] = TASKS, id_: str = "") -> str:
        id_ = id_ or f"11{self._next():013d}"
        self.pages[id_] = Page(id_, name, tasks)
        return id_

    def add_user(self, name: str, *, pages: list[str] | None = None) -> str:
        id_ = f"10{self._next():013d}"
        self.users[id_] = User(id_, name, list(pages or []))
        self.login_user = self.login_user or id_
        return id_

    def add_person(self, first: str, last: str, *, id_: str = "") -> str:
        """Somebody who writes to pages (a PSID)."""
        id_ = id_ or f"70{self._next():014d}"
        self.people[id_] = {
            "id": id_,
            "name": f"{first} {last}",
            "first_name": first,
            "last_name": last,
            "profile_pic": "https://example.com/p.jpg",
        }
        return id_

    def add_post(self, page_id: str, message: str, *, id_: str = "", **more: object) -> str:
        id_ = id_ or f"{page_id}_1221{self._next():014d}"
        self.posts[id_] = {
            "id": id_,
            "message": message,
            "from": {"id": page_id, "name": self.pages[page_id].name},
            "created_time": "2026-11-22T12:00:00+0000",
            "permalink_url": f"https://www.facebook.com/{id_}",
            "is_published": True,
            **more,
        }
        return id_

    def add_comment(
        self, parent_id: str, message: str, author: Mapping[str, str], *, id_: str = ""
    ) -> str:
        """A comment on a post, or a reply to a comment."""
        post_id = self.comments.get(parent_id, {}).get("_post", parent_id)
        id_ = id_ or f"{post_id.partition('_')[2] or post_id}_{self._next():012d}"
        self.comments[id_] = {
            "id": id_,
            "message": message,
            "from": dict(author),
            "created_time": "2026-11-22T12:01:00+0000",
            "is_hidden": False,
            "can_reply_privately": True,
            "permalink_url": f"https://www.facebook.com/{post_id}?comment_id={id_}",
            "_post": post_id,
            "_parent": parent_id,
        }
        if parent_id in self.comments:
            self.comments[id_]["parent"] = {"id": parent_id}
        return id_

    # -- tokens ---------------------------------------------------------------------------

    @property
    def app_token(self) -> str:
        return f"{self.app_id}|{self.app_secret}"

    def user_token(
        self,
        user_id: str,
        *,
        scopes: tuple[str, ...] = PAGE_SCOPES,
        lifetime: int | None = SHORT,
        kind: str = "USER",
        app_id: str = "",
    ) -> str:
        return self._issue(kind, user_id, scopes, lifetime, user_id=user_id, app_id=app_id)

    def page_token(self, page_id: str, user_id: str, *, lifetime: int | None = None) -> str:
        return self._issue("PAGE", page_id, PAGE_SCOPES, lifetime, user_id=user_id)

    def kill(self, token: str, *, code: int = 190, subcode: int = 460, message: str = "") -> None:
        """Makes a token invalid: 458 app removed, 460 password changed, 463 expired."""
        reason = message or "Error validating access token: The session has been invalidated."
        self.tokens[token].dead = {"code": code, "message": reason, "subcode": subcode}

    def expire(self, token: str) -> None:
        self.tokens[token].expires_at = int(time.time()) - 60

    def _issue(
        self,
        kind: str,
        owner: str,
        scopes: tuple[str, ...],
        lifetime: int | None,
        *,
        user_id: str,
        app_id: str = "",
    ) -> str:
        text = f"EAA{kind.title().replace('_', '')}{self._next():08d}{self.token_end}"
        at = int(time.time())
        self.tokens[text] = Token(
            kind=kind,
            owner=owner,
            app_id=app_id or self.app_id,
            scopes=scopes,
            expires_at=0 if lifetime is None else at + lifetime,
            data_access_expires_at=0 if kind == "SYSTEM_USER" else at + DATA_ACCESS,
            user_id=user_id,
        )
        return text

    # -- what shall go wrong --------------------------------------------------------------

    def fail(
        self,
        code: int,
        message: str = "",
        *,
        times: int = 1,
        path: str = "",
        **more: Any,
    ) -> None:
        """The next calls (of a path that matches) answer this error; ``more`` as ``GraphError``."""

        def act() -> _Reply:
            raise GraphError(message or f"(#{code}) Something went wrong", code, **more)

        self._scripts.append(_Script(act, times, re.compile(path)))

    def answer(
        self,
        body: bytes | str,
        *,
        status: int = 200,
        content_type: str = "text/html",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        path: str = "",
    ) -> None:
        """The next calls answer this, whatever they ask: a proxy's HTML page, say."""
        raw = body.encode() if isinstance(body, str) else body
        reply = _Reply(status, raw, {"Content-Type": content_type, **(headers or {})})
        self._scripts.append(_Script(lambda: reply, times, re.compile(path)))

    def be_slow(self, seconds: float, *, times: int = 1, path: str = "") -> None:
        def act() -> _Reply:
            time.sleep(seconds)
            return _Reply(200, b'{"success":true}', {"Content-Type": "application/json"})

        self._scripts.append(_Script(act, times, re.compile(path)))

    # -- webhooks -------------------------------------------------------------------------

    def delivery(self, payload: object) -> tuple[bytes, dict[str, str]]:
        """A webhook delivery as Meta sends it: escaped in lower case, then signed."""
        return sign(payload, self.app_secret)

    def deliver(self, payload: object, url: str = "") -> int:
        """Sends a delivery to ``url``, else to the app's callback; answers the HTTP status."""
        body, headers = self.delivery(payload)
        target = url or self.app_subscriptions["page"]["callback_url"]
        request = urllib.request.Request(target, body, headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return int(response.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def comment_payload(
        self, comment_id: str, *, verb: str = "add", **changes: object
    ) -> dict[str, Any]:
        """What Meta sends when this comment was made."""
        comment = self.comments[comment_id]
        page_id = comment["_post"].partition("_")[0]
        value = {
            "from": comment["from"],
            "post": {"permalink_url": f"https://www.facebook.com/{comment['_post']}"},
            "message": comment["message"],
            "post_id": comment["_post"],
            "comment_id": comment_id,
            "created_time": 1795348860,
            "item": "comment",
            "parent_id": comment["_parent"],
            "verb": verb,
            **changes,
        }
        return batch(page_id, changes=[{"field": "feed", "value": value}])

    # -- serving --------------------------------------------------------------------------

    def serve(self, request: Recorded) -> _Reply:
        with self._lock:
            self.requests.append(request)
            scripted = next((s for s in self._scripts if s.path.search(request.path)), None)
            if scripted is not None:
                scripted.times -= 1
                if scripted.times <= 0:
                    self._scripts.remove(scripted)
        try:
            if scripted is not None:
                return scripted.act()
            with self._lock:
                return self._route(request)
        except GraphError as fault:
            headers = {"Content-Type": "application/json; charset=UTF-8", **fault.headers}
            return _Reply(fault.status, json.dumps({"error": fault.error}).encode(), headers)

    def _route(self, request: Recorded) -> _Reply:
        parts = request.path.strip("/").split("/")
        if re.fullmatch(r"v\d+\.\d+", parts[0]):
            if parts[0] != self.version:
                raise GraphError(f"(#2635) Unknown version {parts[0]}", 2635)
            parts = parts[1:]
        if parts == ["dialog", "oauth"]:
            return self._dialog(request)
        if parts == ["oauth", "access_token"]:
            return self._json(self._access_token(request.params))
        request.token = self._token_of(request)
        token = self._checked(request)
        if parts == ["debug_token"]:
            return self._json(self._debug(request, token))
        return self._json(self._graph(request, token, parts))

    def _json(self, body: object) -> _Reply:
        headers = {"Content-Type": "application/json; charset=UTF-8", **self.usage}
        return _Reply(200, json.dumps(body).encode(), headers)

    def _token_of(self, request: Recorded) -> str:
        bearer = request.headers.get("authorization", "")
        token = bearer[7:] if bearer.startswith("Bearer ") else request.params.get("access_token")
        if not token:
            raise GraphError(
                "An access token is required to request this resource.", 104, status=400
            )
        return token

    def _checked(self, request: Recorded) -> Token:
        text = request.token or ""
        proof = request.params.get("appsecret_proof")
        if "|" in text:
            app_id, _, secret = text.partition("|")
            if app_id != self.app_id:
                raise GraphError(
                    "Error validating application. Cannot get application info due to a system"
                    " error.",
                    101,
                )
            if secret != self.app_secret:
                raise GraphError("Invalid OAuth access token signature.", 190)
            token = Token("APP", self.app_id, self.app_id, (), 0, 0)
        elif text not in self.tokens:
            raise GraphError(f"Malformed access token {text}", 190)
        else:
            token = self.tokens[text]
        if not proof:
            raise GraphError(
                "API calls from the server require an appsecret_proof argument",
                100,
                kind="GraphMethodException",
            )
        expected = hmac.new(self.app_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if proof != expected:
            raise GraphError(
                "Invalid appsecret_proof provided in the API argument",
                100,
                kind="GraphMethodException",
            )
        if token.dead:
            raise GraphError(
                token.dead["message"], token.dead["code"], subcode=token.dead["subcode"]
            )
        if _is_over(token.expires_at):
            raise GraphError(
                "Error validating access token: Session has expired.", 190, subcode=463
            )
        return token

    def _debug(self, request: Recorded, asker: Token) -> dict[str, Any]:
        if asker.kind != "APP":
            raise GraphError("(#100) You must provide an app access token", 100)
        text = request.params.get("input_token", "")
        if text == self.app_token:
            known = {"app_id": self.app_id, "type": "APP", "application": self.app_name}
            return {"data": {**known, "is_valid": True, "scopes": []}}
        token = self.tokens.get(text)
        if token is None:
            reason = {"code": 190, "message": "Malformed access token"}
            return {"data": {"error": reason, "is_valid": False, "scopes": []}}
        if token.app_id != self.app_id:
            raise GraphError(
                "(#100) The App_id in the input_token did not match the Viewing App", 100
            )
        data: dict[str, Any] = {
            "app_id": token.app_id,
            "type": token.kind,
            "application": self.app_name,
            "data_access_expires_at": token.data_access_expires_at,
            "expires_at": token.expires_at,
            "is_valid": True,
            "scopes": list(token.scopes),
            "granular_scopes": [{"scope": scope} for scope in token.scopes],
            "user_id": token.user_id,
        }
        if token.kind == "PAGE":
            data["profile_id"] = token.owner
        dead = token.dead
        if dead is None and _is_over(token.expires_at):
            dead = {
                "code": 190,
                "message": "Error validating access token: Session has expired on Saturday.",
                "subcode": 463,
            }
        if dead:
            data |= {"error": dead, "is_valid": False}
        return {"data": data}

    def _access_token(self, asked: Mapping[str, str]) -> dict[str, Any]:
        if asked.get("client_id") != self.app_id:
            raise GraphError("Error validating application. Invalid application ID.", 101)
        if asked.get("client_secret") != self.app_secret:
            raise GraphError("Error validating client secret.", 1)
        if asked.get("grant_type") == "fb_exchange_token":
            old = self.tokens.get(asked.get("fb_exchange_token", ""))
            if old is None:
                reason = asked.get("fb_exchange_token", "")
                raise GraphError(f"Malformed access token {reason}", 190)
            if old.dead:
                raise GraphError(old.dead["message"], old.dead["code"], subcode=old.dead["subcode"])
            if _is_over(old.expires_at):
                raise GraphError(
                    "Error validating access token: Session has expired.", 190, subcode=463
                )
            token = self._issue("USER", old.owner, old.scopes, LONG, user_id=old.user_id)
            # Only the person, by logging in, extends the data access.
            self.tokens[token].data_access_expires_at = old.data_access_expires_at
            return {"access_token": token, "token_type": "bearer", "expires_in": LONG - 16056}
        code = self.codes.pop(asked.get("code", ""), None)
        if code is None:
            raise GraphError("This authorization code has been used.", 100, subcode=36009)
        if code["redirect_uri"] != asked.get("redirect_uri"):
            raise GraphError(
                "Error validating verification code. Please make sure your redirect_uri is"
                " identical to the one you used in the OAuth dialog request",
                100,
                subcode=36008,
            )
        verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if code["code_challenge"] and code["code_challenge"] != challenge:
            raise GraphError("Invalid code_verifier parameter.", 100)
        scopes = tuple(scope for scope in code["scope"].split(",") if scope)
        token = self.user_token(code["user"], scopes=scopes)
        return {"access_token": token, "token_type": "bearer", "expires_in": SHORT}

    def _dialog(self, request: Recorded) -> _Reply:
        """The log-in dialog; its person presses the button at once."""
        asked = request.query
        if asked.get("client_id") != self.app_id or "redirect_uri" not in asked:
            return _Reply(400, b"<html>Invalid App ID</html>", {"Content-Type": "text/html"})
        back = {"state": asked.get("state", "")}
        if self.denied:
            back |= {
                "error": "access_denied",
                "error_code": "200",
                "error_description": "Permissions error",
                "error_reason": "user_denied",
            }
        else:
            code = f"AQ{self._next():06d}code"
            granted = [s for s in asked.get("scope", "").split(",") if s not in self.declined]
            self.codes[code] = {
                "redirect_uri": asked["redirect_uri"],
                "scope": ",".join(granted),
                "user": self.login_user or "",
                "code_challenge": asked.get("code_challenge", ""),
            }
            back["code"] = code
        # Facebook really ends its redirects so.
        return _Reply(302, b"", {"Location": f"{asked['redirect_uri']}?{urlencode(back)}#_=_"})

    # -- nodes and edges ------------------------------------------------------------------

    def _graph(self, request: Recorded, token: Token, parts: list[str]) -> dict[str, Any]:
        node, edge = parts[0], "/".join(parts[1:])
        if node == "me":
            node = token.owner
        for known, serve in (
            (self.users, self._user),
            (self.pages, self._page),
            (self.posts, self._object),
            (self.comments, self._object),
        ):
            if node in known:
                return serve(request, token, node, edge)
        if node == self.app_id:
            return self._app(request, token, edge)
        if node in self.people and request.method == "GET":
            self._needs_page(token)
            return _fields(self.people[node], request)
        if "/".join(parts) in self.other_nodes:
            return self.other_nodes["/".join(parts)]
        raise GraphError(
            f"Unsupported {request.method.lower()} request. Object with ID '{node}' does not exist,"
            " cannot be loaded due to missing permissions, or does not support this operation.",
            100,
            subcode=33,
            kind="GraphMethodException",
        )

    def _user(self, request: Recorded, token: Token, node: str, edge: str) -> dict[str, Any]:
        user = self.users[node]
        match request.method, edge:
            case "GET", "":
                return _fields({"id": user.id, "name": user.name}, request)
            case "GET", "accounts":
                if "pages_show_list" not in token.scopes:
                    return {"data": []}
                # The tokens of a page live as long as the user's, or for ever of a long-lived one.
                short = 0 < token.expires_at < time.time() + SHORT
                items = [
                    _fields(
                        {
                            "id": page.id,
                            "name": page.name,
                            "category": "Bakery",
                            "tasks": list(page.tasks),
                            "access_token": self.page_token(
                                page.id, user.id, lifetime=SHORT if short else None
                            ),
                        },
                        request,
                        ("access_token", "category", "name", "id", "tasks"),
                    )
                    for page in (self.pages[id_] for id_ in user.pages)
                ]
                return self._paged(items, request)
            case "DELETE", "permissions":
                for one in self.tokens.values():
                    if one.user_id == user.id and not one.dead:
                        one.dead = {
                            "code": 190,
                            "message": "Error validating access token: The user has not"
                            " authorized application.",
                            "subcode": 458,
                        }
                return {"success": True}
        raise _unknown(edge)

    def _page(  # noqa: C901, PLR0911 - a case for each edge
        self, request: Recorded, token: Token, node: str, edge: str
    ) -> dict[str, Any]:
        page, asked = self.pages[node], request.params
        self._needs_page(token, node)
        match request.method, edge:
            case "GET", "":
                facts = {
                    "id": page.id,
                    "name": page.name,
                    "category": "Bakery",
                    "fan_count": 42,
                    "access_token": request.token,
                }
                return _fields(facts, request, ("id", "name"))
            case "GET", "feed" | "posts" | "published_posts" | "visitor_posts" | "tagged":
                items = [p for id_, p in self.posts.items() if id_.startswith(f"{node}_")]
                return self._paged([_fields(p, request) for p in reversed(items)], request)
            case "POST", "feed":
                if not {"message", "link", "attached_media"} & set(asked):
                    raise GraphError("(#100) Requires one of the params: message, link", 100)
                return {"id": self.add_post(node, asked.get("message", ""))}
            case "POST", "photos":
                if not asked.get("url") and "source" not in request.files:
                    raise GraphError("(#324) Requires upload file", 324)
                post = self.add_post(node, asked.get("caption", ""))
                return {"id": f"1220{self._next():014d}", "post_id": post}
            case "POST", "messages":
                return self._send(asked, page)
            case "GET", "subscribed_apps":
                app = {"link": "https://example.com", "name": self.app_name, "id": self.app_id}
                on = page.subscribed_fields is not None
                subscribed = {**app, "subscribed_fields": page.subscribed_fields}
                return {"data": [_fields(subscribed, request)] if on else []}
            case "POST", "subscribed_apps":
                if not asked.get("subscribed_fields"):
                    raise GraphError("(#100) The parameter subscribed_fields is required.", 100)
                page.subscribed_fields = asked["subscribed_fields"].split(",")
                return {"success": True}
            case "DELETE", "subscribed_apps":
                page.subscribed_fields = None
                return {"success": True}
        if f"{node}/{edge}" in self.other_nodes:
            return self.other_nodes[f"{node}/{edge}"]
        raise _unknown(edge)

    def _send(self, asked: Mapping[str, str], page: Page) -> dict[str, Any]:
        try:
            recipient = json.loads(asked["recipient"])
            message = json.loads(asked["message"])
        except (KeyError, ValueError):
            raise GraphError("(#100) param recipient must be an object.", 100) from None
        if not (message.get("text") or message.get("attachment")):
            raise GraphError("(#100) Message cannot be empty, must provide valid text", 100)
        if comment_id := recipient.get("comment_id"):
            if comment_id not in self.comments:
                raise GraphError("(#100) No matching comment found", 100, subcode=33)
            if comment_id in self.replied:
                raise GraphError("(#10900) Activity already replied to", 10900)
            self.replied.add(comment_id)
            person = self.comments[comment_id]["from"]["id"]
        else:
            person = recipient.get("id", "")
            if person not in self.people:
                raise GraphError("(#100) No matching user found", 100, subcode=2018001)
        mid = f"m_{self._next():06d}"
        self.messages.append({**asked, "page": page.id, "mid": mid})
        self.messages[-1] |= {"recipient": recipient, "message": message}
        return {"recipient_id": person, "message_id": mid}

    def _object(self, request: Recorded, token: Token, node: str, edge: str) -> dict[str, Any]:
        """A post or a comment."""
        where = self.posts if node in self.posts else self.comments
        asked = request.params
        self._needs_page(token)
        match request.method, edge:
            case "GET", "":
                return _fields(where[node], request)
            case "POST", "":
                where[node] |= {k: _loads(v) for k, v in asked.items() if k == "is_hidden"}
                return {"success": True}
            case "DELETE", "":
                del where[node]
                return {"success": True}
            case "GET", "comments":
                deep = asked.get("filter") == "stream"
                items = [
                    _fields(one, request)
                    for one in self.comments.values()
                    if one["_parent"] == node or (deep and one["_post"] == node)
                ]
                if asked.get("order") == "reverse_chronological":
                    items.reverse()
                return self._paged(items, request)
            case "POST", "comments":
                page = self.pages[token.owner]
                author = {"id": page.id, "name": page.name}
                return {"id": self.add_comment(node, asked.get("message", ""), author)}
            case "POST", "likes":
                where[node]["_liked"] = True
                return {"success": True}
        raise _unknown(edge)

    def _app(self, request: Recorded, token: Token, edge: str) -> dict[str, Any]:
        if token.kind != "APP":
            raise GraphError("(#15) This method must be called with an app access_token.", 15)
        asked = request.params
        match request.method, edge:
            case "GET", "":
                return _fields({"id": self.app_id, "name": self.app_name}, request)
            case "GET", "subscriptions":
                return {"data": list(self.app_subscriptions.values())}
            case "POST", "subscriptions":
                if self.checks_callbacks:
                    self._challenge(asked["callback_url"], asked["verify_token"])
                self.app_subscriptions[asked["object"]] = {
                    "object": asked["object"],
                    "callback_url": asked["callback_url"],
                    "active": True,
                    "fields": [
                        {"name": name, "version": self.version}
                        for name in asked["fields"].split(",")
                    ],
                }
                return {"success": True}
            case "DELETE", "subscriptions":
                self.app_subscriptions.pop(asked.get("object", ""), None)
                return {"success": True}
        raise _unknown(edge)

    def _challenge(self, url: str, verify_token: str) -> None:
        """https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification."""
        challenge = str(1158201444 + self._next())
        query = urlencode(
            {
                "hub.mode": "subscribe",
                "hub.challenge": challenge,
                "hub.verify_token": verify_token,
            }
        )
        try:
            with urllib.request.urlopen(f"{url}?{query}", timeout=20) as response:  # noqa: S310
                reason = response.read().decode()
        except OSError as failure:
            reason = str(failure)
        if reason != challenge:
            raise GraphError(
                "(#2200) Callback verification failed with the following errors: The challenge was"
                " not returned.",
                2200,
            )

    @staticmethod
    def _needs_page(token: Token, page_id: str = "") -> None:
        if token.kind != "PAGE" or page_id not in {"", token.owner}:
            raise GraphError(
                "(#210) A page access token is required to request this resource.", 210, status=403
            )

    def _paged(self, items: list[dict[str, Any]], request: Recorded) -> dict[str, Any]:
        asked = request.params
        size = int(asked.get("limit", 25))
        start = int(base64.urlsafe_b64decode(asked["after"])) if asked.get("after") else 0
        some = items[start : start + size]
        if not some:
            return {"data": []}
        after = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        before = base64.urlsafe_b64encode(str(start).encode()).decode()
        paging: dict[str, Any] = {"cursors": {"before": before, "after": after}}
        if start + size < len(items):
            query = urlencode({"access_token": request.token, "limit": size, "after": after})
            paging["next"] = f"{self.url}{request.path}?{query}"
        return {"data": some, "paging": paging}


def _is_over(expires_at: int) -> bool:
    return bool(expires_at) and expires_at <= time.time()


def _unknown(edge: str) -> GraphError:
    message = f"(#2500) Unknown path components: /{edge}"
    return GraphError(message, 2500)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _fields(
    node: Mapping[str, Any], request: Recorded, default: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields that were asked for, and always the id; without ``fields`` those of default."""
    asked = request.params.get("fields")
    names = re.split(r",(?![^({]*[)}])", asked) if asked else (default or tuple(node))
    wanted = {re.split(r"[.{(]", name)[0] for name in names} | {"id"}
    return {k: v for k, v in node.items() if k in wanted and not k.startswith("_")}


# -- Webhook bodies ------------------------------------------------------------------------


def batch(page_id: str, **changes: list[Any]) -> dict[str, Any]:
    """One entry of one page: ``changes=[…]`` or ``messaging=[…]``."""
    return {"entry": [{"id": page_id, "time": 1795348861, **changes}], "object": "page"}


def sign(payload: object, app_secret: str) -> tuple[bytes, dict[str, str]]:
    """A body as Meta writes it, and the headers that go with it.

    Not-ASCII is escaped in lower case and slashes are escaped too; the signature is over that.
    https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
    """
    # json writes its escapes in lower case already, like PHP's json_encode.
    body = json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()
    digest = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    legacy = hmac.new(app_secret.encode(), body, hashlib.sha1).hexdigest()
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "facebookexternalua",
        "X-Hub-Signature": f"sha1={legacy}",
        "X-Hub-Signature-256": f"sha256={digest}",
    }


# -- HTTP ----------------------------------------------------------------------------------


class FacebookStandIn(Facebook):
    """The same at an address on 127.0.0.1."""

    def __init__(self, *app: str, port: int = 0, **more: str) -> None:
        super().__init__(*app, **more)
        self._server = Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _handler(stand_in: Facebook) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits for an acknowledgement

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_DELETE(self) -> None:
            self._serve()

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # no request: its sender gave up
                self.close_connection = True
                return
            form, files = _form(self.headers.get("Content-Type") or "", body)
            request = Recorded(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                form=form,
                headers={name.lower(): value for name, value in self.headers.items()},
                files=files,
            )
            reply = stand_in.serve(request)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except ConnectionError:
                # The caller did not wait for a slow answer.
                self.close_connection = True

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler


def _form(
    content_type: str, body: bytes
) -> tuple[dict[str, str], dict[str, tuple[str, bytes, str]]]:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True)), {}
    if content_type.startswith("application/json"):
        reason = json.loads(body or b"{}")
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in reason.items()}, {}
    if not content_type.startswith("multipart/form-data"):
        return {}, {}
    form: dict[str, str] = {}
    files: dict[str, tuple[str, bytes, str]] = {}
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        raw = payload if isinstance(payload, bytes) else b""
        file_name = part.get_filename()
        if file_name:
            files[str(name)] = (file_name, raw, part.get_content_type())
        else:
            form[str(name)] = raw.decode()
    return form, files


def signed_request(user_id: object, app_secret: str, **more: object) -> str:
    """What Meta posts where somebody removes the app, or wants their data deleted.

    https://developers.facebook.com/docs/games/gamesonfacebook/login#parsingsr
    """
    signed = {"algorithm": "HMAC-SHA256", "issued_at": int(time.time()), "user_id": user_id, **more}
    payload = _base64url(json.dumps(signed).encode())
    digest = hmac.new(app_secret.encode(), payload.encode(), hashlib.sha256).digest()
    return f"{_base64url(digest)}.{payload}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
