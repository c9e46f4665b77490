"""A Bot API server on loopback that behaves like tdlib/telegram-bot-api towards its bots.

https://github.com/tdlib/telegram-bot-api

It keeps chats, messages, files and each bot's webhook, answers in Telegram's envelope and with its
texts, records every call, and fails when told to. It shares no code with the product and knows
nothing of it. ``python -m tests.fakes.telegram 8081`` serves alone and prints its token.
"""

import hashlib
import itertools
import json
import re
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.serving import Server

TOKEN = "123456789:AAFakeTokenOfTheStandInServer_0123456"
"""The token of the bot that every server has from the start."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file as it came in a multipart body."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Called:
    """One call as it came: the method as written, values decoded from JSON where they are JSON."""

    token: str
    method: str
    params: Mapping[str, Any]
    files: Mapping[str, Uploaded]
    content_type: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What to do instead of answering.

    Attributes:
        status: The HTTP status; 0 closes the connection without an answer.
        body: The body; a mapping goes out as JSON.
        headers: More headers.
        delay: Seconds to wait before.
        carried_out: Whether the call has its effect all the same.
        barrier: Whom to wait for before.
    """

    status: int = 200
    body: bytes | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    carried_out: bool = False
    barrier: threading.Barrier | None = None


def refusal(code: int, description: str, **parameters: Any) -> Failure:
    """A failure in Telegram's envelope."""
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Failure(code, body)


def too_many(retry_after: int) -> Failure:
    """Telegram's call for patience."""
    description = f"Too Many Requests: retry after {retry_after}"
    failure = refusal(429, description, retry_after=retry_after)
    return Failure(429, failure.body, {"Retry-After": str(retry_after)})


def bad_gateway(status: int = 502) -> Failure:
    """The page of a proxy whose server is gone."""
    page = f"<html><h1>{status} Bad Gateway</h1><hr>nginx</html>".encode()
    return Failure(status, page, {"Content-Type": "text/html"})


def slow(seconds: float) -> Failure:
    """An answer that takes its time: the call is carried out."""
    return Failure(delay=seconds, carried_out=True)


def together(calls: int) -> list[Failure]:
    """Answers that are given when so many calls have come: all of them at the same moment."""
    barrier = threading.Barrier(calls)
    return [Failure(carried_out=True, barrier=barrier) for _ in range(calls)]


HANG_UP = Failure(0)


class _Refused(Exception):
    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.failure = refusal(code, description, **parameters)


# What each method cannot do without, https://core.telegram.org/bots/api; and what it makes.
_MEDIA = {
    "sendphoto": "photo",
    "senddocument": "document",
    "sendvideo": "video",
    "sendaudio": "audio",
    "sendvoice": "voice",
    "sendanimation": "animation",
    "sendvideonote": "video_note",
    "sendsticker": "sticker",
}
_REQUIRED = {
    "sendmessage": ("chat_id", "text"),
    **{method: ("chat_id", part) for method, part in _MEDIA.items()},
    "sendmediagroup": ("chat_id", "media"),
    "sendlocation": ("chat_id", "latitude", "longitude"),
    "sendvenue": ("chat_id", "latitude", "longitude", "title", "address"),
    "sendcontact": ("chat_id", "phone_number", "first_name"),
    "sendpoll": ("chat_id", "question", "options"),
    "senddice": ("chat_id",),
    "sendchataction": ("chat_id", "action"),
    "forwardmessage": ("chat_id", "from_chat_id", "message_id"),
    "copymessage": ("chat_id", "from_chat_id", "message_id"),
    "deletemessage": ("chat_id", "message_id"),
    "pinchatmessage": ("chat_id", "message_id"),
    "unpinchatmessage": ("chat_id",),
    "answercallbackquery": ("callback_query_id",),
    "getfile": ("file_id",),
    "getchat": ("chat_id",),
    "getchatmember": ("chat_id", "user_id"),
}
_SENDS = {name for name in _REQUIRED if name.startswith("send")} - {"sendchataction"}
_TEXTS = re.compile(r"^(text|caption|title|performer|emoji|url)$|(token|effect_id|connection_id)$")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


class TelegramServer:
    """The server. Use it as a context manager; port 0 takes a free one.

    Attributes:
        token: The bot that is there from the start.
        calls: Every call, in order.
        bots: Token → the user that the bot is.
        messages: (chat id, message id) → message.
        files: file_id → (path, content).
        webhooks: Token → what setWebhook was given.
        refusing: Chat id → (code, description) for chats that refuse, as who has blocked the bot.
        migrated: Old group id → supergroup id.
        answered: The callback queries that were answered.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1", token: str = TOKEN) -> None:
        self.token = token
        self.calls: list[Called] = []
        self.bots: dict[str, dict[str, Any]] = {}
        self.messages: dict[tuple[int | str, int], dict[str, Any]] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.webhooks: dict[str, dict[str, Any]] = {}
        self.refusing: dict[int | str, tuple[int, str]] = {}
        self.migrated: dict[int, int] = {}
        self.answered: list[str] = []
        self.closing = threading.Event()
        self._failures: deque[tuple[str | None, Failure]] = deque()
        self._ids = itertools.count(1)
        self._updates = itertools.count(700_000_001)
        self._lock = threading.RLock()
        self._server = _Server((host, port), _Handler)
        self._server.telegram = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.add_bot(token)

    # -- For tests ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its address: what stands in the place of https://api.telegram.org."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def last(self) -> Called:
        """The newest call."""
        return self.calls[-1]

    def called(self, method: str) -> list[Called]:
        """The calls of one method."""
        return [call for call in self.calls if call.method.lower() == method.lower()]

    def add_bot(self, token: str, username: str = "stand_in_bot") -> None:
        """Let this token be a bot's."""
        self.bots[token] = {
            "id": int(token.partition(":")[0]),
            "is_bot": True,
            "first_name": "Stand-in",
            "username": username,
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
        }

    def revoke(self, token: str) -> None:
        """As @BotFather's /revoke."""
        self.bots.pop(token, None)

    def fail(self, *failures: Failure, method: str | None = None) -> None:
        """Queue failures for the next calls, of one method or of any."""
        with self._lock:
            self._failures.extend((method and method.lower(), failure) for failure in failures)

    def add_file(self, content: bytes, path: str = "documents/file_1.txt") -> str:
        """Keep a file as if a user had sent it; returns its file_id."""
        file_id = "BQAC" + hashlib.sha256(path.encode() + content).hexdigest()[:20]
        self.files[file_id] = (path, content)
        return file_id

    def tell(self, update: Mapping[str, Any], token: str | None = None) -> int:
        """Send an update to the bot's webhook, as Telegram does; returns the status of the answer.

        ``update_id`` is given out where it is missing; kinds that the webhook does not want are
        kept back (status 0).
        """
        hook = self.webhooks[token or self.token]
        kind = next(name for name in update if name != "update_id")
        if hook.get("allowed_updates") and kind not in hook["allowed_updates"]:
            return 0
        body = json.dumps({"update_id": next(self._updates), **update}).encode()
        headers = {"Content-Type": "application/json"}
        if hook.get("secret_token"):
            headers["X-Telegram-Bot-Api-Secret-Token"] = hook["secret_token"]
        request = urllib.request.Request(hook["url"], body, headers)  # noqa: S310 - our own URL
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def start(self) -> Self:
        """Serve in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- What it does ------------------------------------------------------------------------

    def answer(self, call: Called) -> Failure:
        """The answer to a call, which is recorded."""
        with self._lock:
            self.calls.append(call)
            failure = self._next_failure(call.method.lower())
            if failure is not None and not failure.carried_out:
                return failure
            try:
                answer = Failure(200, {"ok": True, **self._carry_out(call)})
            except _Refused as refused:
                answer = refused.failure
        if failure is not None and failure.status == 200 and not failure.body:
            return replace(answer, delay=failure.delay, barrier=failure.barrier)
        return failure or answer

    def _next_failure(self, method: str) -> Failure | None:
        for planned in self._failures:
            if planned[0] in {None, method}:
                self._failures.remove(planned)
                return planned[1]
        return None

    def _carry_out(self, call: Called) -> dict[str, Any]:
        if not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]{10,}", call.token):
            raise _Refused(404, "Not Found")
        if call.token not in self.bots:
            raise _Refused(401, "Unauthorized")
        method = call.method.lower()
        for name in _REQUIRED.get(method, ()):
            if call.params.get(name) in (None, "") and name not in call.files:
                raise _Refused(400, f"Bad Request: {_missing(name)}")
        chat_id = call.params.get("chat_id")
        if chat_id is not None:
            self._check_chat(chat_id)
        for name, value in call.params.items():
            if name.endswith("parse_mode"):
                _parse(_text_of(call, name), value)
        if method in _SENDS:
            return {"result": self._send(call, method)}
        action: Callable[[Called], Any] | None = getattr(self, f"_do_{method}", None)
        if action is None:
            raise _Refused(404, "Not Found: method not found")
        result = action(call)
        return result if isinstance(result, dict) and "result" in result else {"result": result}

    def _check_chat(self, chat_id: int | str) -> None:
        number = int(chat_id) if re.fullmatch(r"-?\d+", str(chat_id)) else chat_id
        if number in self.refusing:
            raise _Refused(*self.refusing[number])
        if isinstance(number, int) and number in self.migrated:
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            raise _Refused(400, description, migrate_to_chat_id=self.migrated[number])
        if number == 0 or (isinstance(number, str) and not number.startswith("@")):
            raise _Refused(400, "Bad Request: chat not found")

    def _send(self, call: Called, method: str) -> Any:
        if method == "sendmediagroup":
            media = call.params["media"]
            if not 2 <= len(media) <= 10:
                raise _Refused(400, "Bad Request: group must include from 2 to 10 media")
            return [self._album_item(call, item) for item in media]
        message = self._message(call.params["chat_id"])
        match method:
            case "sendmessage":
                message["text"] = call.params["text"]
            case "sendlocation" | "sendvenue":
                place = {name: call.params[name] for name in ("latitude", "longitude")}
                message["location"] = place
            case "sendcontact":
                names = ("phone_number", "first_name")
                message["contact"] = {name: call.params[name] for name in names}
            case "sendpoll":
                message["poll"] = self._poll(call.params)
            case "senddice":
                message["dice"] = {"emoji": call.params.get("emoji", "🎲"), "value": 4}
            case _:
                part = _MEDIA[method]
                message[part] = self._content(call, part, call.params.get(part))
                message["caption"] = call.params.get("caption")
        return self._keep(message, call)

    def _album_item(self, call: Called, item: Mapping[str, Any]) -> Any:
        _parse(item.get("caption") or "", item.get("parse_mode") or "")
        message = self._message(call.params["chat_id"])
        message["media_group_id"] = "13570000000"
        message[item["type"]] = self._content(call, "media", item.get("media"))
        message["caption"] = item.get("caption")
        return self._keep(message, call)

    def _poll(self, params: Mapping[str, Any]) -> Any:
        options = params["options"]
        texts = [option["text"] if isinstance(option, dict) else option for option in options]
        return {
            "id": "5",
            "question": params["question"],
            "options": [{"text": text, "voter_count": 0} for text in texts],
        }

    def _content(self, call: Called, part: str, value: Any) -> Any:
        """A file by its part, by URL or by file_id; as what it then is in a message."""
        name = value.removeprefix("attach://") if str(value).startswith("attach://") else part
        if name in call.files:
            uploaded = call.files[name]
            path = f"{part}/{uploaded.name}"
            file_id = self.add_file(uploaded.content, path)
            size = len(uploaded.content)
        elif isinstance(value, str) and re.match(r"https?://|[A-Za-z0-9_-]+$", value):
            file_id, size = value if "/" not in value else self.add_file(value.encode()), 5
        else:
            raise _Refused(400, "Bad Request: wrong file identifier/HTTP URL specified")
        file = {"file_id": file_id, "file_unique_id": file_id[-8:], "file_size": size}
        return [{**file, "width": 90, "height": 90}] if part == "photo" else file

    def _message(self, chat_id: int | str) -> dict[str, Any]:
        by_name = isinstance(chat_id, str) and chat_id.startswith("@")
        number = -1001 if by_name else int(chat_id)
        kind = "private" if number > 0 else "supergroup"
        return {
            "message_id": next(self._ids),
            "date": 1_795_348_800,
            "chat": {"id": number, "type": kind},
        }

    def _keep(self, message: dict[str, Any], call: Called) -> dict[str, Any]:
        stored = {name: value for name, value in message.items() if value is not None}
        stored["from"] = {**self.bots[call.token]}
        if isinstance(call.params.get("reply_markup"), dict):
            stored["reply_markup"] = call.params["reply_markup"]
        self.messages[stored["chat"]["id"], stored["message_id"]] = stored
        return stored

    def _find(self, call: Called, purpose: str, chat: str = "chat_id") -> dict[str, Any]:
        number = self._message(call.params[chat])["chat"]["id"]
        found = self.messages.get((number, int(call.params.get("message_id", 0))))
        if found is None:
            raise _Refused(400, f"Bad Request: message to {purpose} not found")
        return found

    def _do_getme(self, call: Called) -> Any:
        return self.bots[call.token]

    def _do_sendchataction(self, call: Called) -> Any:
        return True

    def _do_forwardmessage(self, call: Called) -> Any:
        original = self._find(call, "forward", "from_chat_id")
        return self._keep({**original, **self._message(call.params["chat_id"])}, call)

    def _do_copymessage(self, call: Called) -> Any:
        copied = self._do_forwardmessage(call)
        return {"message_id": copied["message_id"]}

    def _edit(self, call: Called, **changes: Any) -> Any:
        if call.params.get("inline_message_id"):
            return True
        message = self._find(call, "edit")
        if "reply_markup" in call.params:
            changes["reply_markup"] = call.params["reply_markup"]
        if all(message.get(name) == value for name, value in changes.items()):
            description = (
                "Bad Request: message is not modified: specified new message content and reply "
                "markup are exactly the same as a current content and reply markup of the message"
            )
            raise _Refused(400, description)
        message.update(changes)
        return message

    def _do_editmessagetext(self, call: Called) -> Any:
        if not call.params.get("text") and not call.params.get("rich_message"):
            raise _Refused(400, "Bad Request: message text is empty")
        return self._edit(call, text=call.params.get("text"))

    def _do_editmessagecaption(self, call: Called) -> Any:
        return self._edit(call, caption=call.params.get("caption"))

    def _do_editmessagereplymarkup(self, call: Called) -> Any:
        return self._edit(call)

    def _do_deletemessage(self, call: Called) -> Any:
        message = self._find(call, "delete")
        del self.messages[message["chat"]["id"], message["message_id"]]
        return True

    def _do_pinchatmessage(self, call: Called) -> Any:
        self._find(call, "pin")["pinned"] = True
        return True

    def _do_unpinchatmessage(self, call: Called) -> Any:
        if call.params.get("message_id"):
            self._find(call, "unpin").pop("pinned", None)
        return True

    def _do_answercallbackquery(self, call: Called) -> Any:
        if call.params["callback_query_id"] == "old":
            description = "query is too old and response timeout expired or query ID is invalid"
            raise _Refused(400, f"Bad Request: {description}")
        self.answered.append(call.params["callback_query_id"])
        return True

    def _do_getfile(self, call: Called) -> Any:
        file_id = call.params["file_id"]
        if file_id not in self.files:
            raise _Refused(400, "Bad Request: invalid file_id")
        path, content = self.files[file_id]
        if len(content) > 20 * 1024 * 1024:
            raise _Refused(400, "Bad Request: file is too big")
        return {
            "file_id": file_id,
            "file_unique_id": file_id[-8:],
            "file_size": len(content),
            "file_path": path,
        }

    def _do_getchat(self, call: Called) -> Any:
        chat = self._message(call.params["chat_id"])["chat"]
        return {**chat, "accent_color_id": 0, "max_reaction_count": 11}

    def _do_getchatmember(self, call: Called) -> Any:
        user = {"id": call.params["user_id"], "is_bot": False, "first_name": "Ann"}
        return {"status": "member", "user": user}

    def _do_setmycommands(self, call: Called) -> Any:
        return True

    def _do_setwebhook(self, call: Called) -> Any:
        secret = str(call.params.get("secret_token", ""))
        if len(secret) > 256:
            raise _Refused(400, "Bad Request: secret token is too long")
        if secret and not _SECRET.fullmatch(secret):
            raise _Refused(400, "Bad Request: secret token contains unallowed characters")
        url = call.params.get("url", "")
        if not url:
            return self._do_deletewebhook(call)
        local = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
        if not url.startswith("https://") and not local:
            text = "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"
            raise _Refused(400, text)
        wanted = {"url": url, "max_connections": 40, **call.params}
        same = self.webhooks.get(call.token) == wanted
        self.webhooks[call.token] = wanted
        description = "Webhook is already set" if same else "Webhook was set"
        return {"result": True, "description": description}

    def _do_deletewebhook(self, call: Called) -> Any:
        gone = self.webhooks.pop(call.token, None)
        description = "Webhook was deleted" if gone else "Webhook is already deleted"
        return {"result": True, "description": description}

    def _do_getwebhookinfo(self, call: Called) -> Any:
        hook = self.webhooks.get(call.token, {})
        shown = {
            name: hook[name]
            for name in ("url", "ip_address", "max_connections", "allowed_updates")
            if name in hook
        }
        return {"url": "", "has_custom_certificate": False, "pending_update_count": 0, **shown}


def _missing(name: str) -> str:
    if name == "text":
        return "message text is empty"
    if name in _MEDIA.values():
        return f"there is no {name.replace('_', ' ')} in the request"
    return f"{name} is empty" if name == "chat_id" else f'parameter "{name}" is required'


def _text_of(call: Called, mode: str) -> str:
    """The text that a parse mode is for."""
    names = ("text", "caption") if mode == "parse_mode" else (mode.removesuffix("_parse_mode"),)
    return next((call.params[name] for name in names if call.params.get(name)), "")


def _parse(text: str, mode: str) -> None:
    """Refuse what Telegram cannot parse; a rough cut of td's MessageEntity.cpp."""
    match mode.lower():
        case "html":
            _parse_html(text)
        case "markdownv2":
            plain = re.sub(r"\\[\x01-\x7e]", "", text)
            plain = re.sub(r"\*[^*]+\*|_[^_]+_|`[^`]+`|\[[^\]]*\]\([^)]*\)", "", plain)
            if reserved := re.search(r"[_*\[\]()~`>#+\-=|{}.!]", plain):
                raise _Refused(
                    400,
                    f"Bad Request: can't parse entities: Character '{reserved[0]}' is reserved and "
                    "must be escaped with the preceding '\\'",
                )
        case "markdown":
            _parse_markdown(text)
        case "":
            pass
        case _:
            raise _Refused(400, "Bad Request: unsupported parse_mode")


def _parse_html(text: str) -> None:
    open_tags: list[str] = []
    for slash, tag in re.findall(r"<(/?)([a-zA-Z-]*)[^>]*>?", text):
        if not slash and tag.lower() not in {"b", "i", "u", "s", "a", "code", "pre"}:
            raise _Refused(
                400,
                f"Bad Request: can't parse entities: Unsupported start tag {tag!r} "
                f"at byte offset {len(text.encode())}",
            )
        if slash and (not open_tags or open_tags.pop() != tag):
            raise _Refused(400, "Bad Request: can't parse entities: Unexpected end tag")
        if not slash:
            open_tags.append(tag)
    if open_tags:
        description = "Can't find end tag corresponding to start tag"
        raise _Refused(400, f"Bad Request: can't parse entities: {description} {open_tags[-1]}")


def _parse_markdown(text: str) -> None:
    """The same for the older markup."""
    plain = re.sub(r"\\[_*`\[]", "", text)
    plain = re.sub(r"\*[^*]+\*|_[^_]+_|`[^`]+`|\[[^\]]*\]\([^)]*\)", "", plain)
    if opened := re.search(r"[_*`]", plain):
        raise _Refused(
            400,
            "Bad Request: can't parse entities: Can't find end of the entity starting at "
            f"byte offset {len(plain[: opened.start()].encode())}",
        )


class _Server(Server):
    telegram: TelegramServer

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet, and no waiting for the client's acknowledgement between them.
    wbufsize = 65536
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # no request: its sender gave up
            self.close_connection = True
            return
        if file := re.fullmatch(r"/file/bot([^/]+)/(.+)", split.path):
            self._serve(unquote(file[1]), unquote(file[2]))
            return
        path = re.fullmatch(r"/bot([^/]+)/([^/]+)", split.path)
        telegram = self.server.telegram
        if path is None:
            self._write(refusal(404, "Not Found"))
            return
        try:
            call = self._call(unquote(path[1]), path[2], dict(parse_qsl(split.query)), body)
        except ValueError:
            self._write(refusal(400, "Bad Request: object expected as request body"))
            return
        answer = telegram.answer(call)
        if answer.barrier is not None:
            answer.barrier.wait(30)
        telegram.closing.wait(answer.delay)
        self._write(answer)

    do_GET = do_POST = _handle  # noqa: N815

    def _call(self, token: str, method: str, params: dict[str, Any], body: bytes) -> Called:
        kind = self.headers.get_content_type()
        files: dict[str, Uploaded] = {}
        if kind == "application/json" and body:
            params.update(json.loads(body))
        elif kind == "application/x-www-form-urlencoded":
            params.update(parse_qsl(body.decode(), keep_blank_values=True))
        elif kind == "multipart/form-data":
            head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
            for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
                name = str(part.get_param("name", header="content-disposition"))
                content = part.get_payload(decode=True)
                content = content if isinstance(content, bytes) else b""
                filename = part.get_filename()
                if filename is None:
                    params[name] = content.decode()
                else:
                    files[name] = Uploaded(filename, part.get_content_type(), content)
        if kind != "application/json":
            params = {name: _decoded(name, value) for name, value in params.items()}
        return Called(token, method, params, files, kind)

    def _serve(self, token: str, path: str) -> None:
        telegram = self.server.telegram
        found = next((data for name, data in telegram.files.values() if name == path), None)
        if token not in telegram.bots:
            self._write(refusal(401, "Unauthorized"))
        elif found is None:
            self._write(refusal(404, "Not Found"))
        else:
            self._write(Failure(200, found, {"Content-Type": "application/octet-stream"}))

    def _write(self, answer: Failure) -> None:
        if answer.status == 0:
            self.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet, and the path holds the token."""


def _decoded(name: str, value: str) -> Any:
    """A form's value: the nested ones are JSON, as are numbers and truth values."""
    if _TEXTS.search(name) or not re.match(r"-?\d+(\.\d+)?$|(true|false)$|[\[{]", value):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


if __name__ == "__main__":
    with TelegramServer(int(sys.argv[1])) as alone:
        print(alone.url, alone.token)  # noqa: T201 - for whoever started it
        alone.closing.wait()
