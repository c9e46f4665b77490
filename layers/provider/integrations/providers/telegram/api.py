"""How one Telegram Bot API request goes out, and what its answer means.

https://core.telegram.org/bots/api#making-requests

The token is part of every URL, so no text that leaves this module holds a URL, and what a server
says is searched for the token before it is repeated.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, Self
from urllib.parse import quote

from pydantic import SecretStr

from integrations.errors import (
    CredentialsRejected,
    PermissionMissing,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Json, as_object
from integrations.outbound import retry_after
from integrations.outbound.content import Content, Sink
from integrations.outbound.http import Http, Response
from integrations.providers.base import Call

type Part = tuple[str, bytes | Content, str]
"""A file of a multipart body: its name, its content, its content type."""

_LONGEST_DESCRIPTION = 500
_SHORTEST_SECRET = 8

_UNPARSED = "can't parse entities"
# What a person did, and what no administrator's grant would repair.
_PERSONAL_REFUSALS = (
    "blocked by the user",
    "user is deactivated",
    "can't initiate conversation",
    "can't send messages to",
    "chat was deleted",
)
_RIGHTS_HINTS = ("rights", "administrator", "admin_required", "write_forbidden")

# Refusals that say that the wanted state is already there: what makes a repetition harmless.
_SETTLED = {
    "editmessagetext": "message is not modified",
    "editmessagecaption": "message is not modified",
    "editmessagereplymarkup": "message is not modified",
    "editmessagemedia": "message is not modified",
    "deletemessage": "message to delete not found",
    "pinchatmessage": "chat_not_modified",
    "unpinchatmessage": "chat_not_modified",
}


class Grant(Protocol):
    """What a request needs of a bot's credentials."""

    @property
    def bot_token(self) -> SecretStr:
        """The token that @BotFather gave."""
        ...

    @property
    def api_base(self) -> str | None:
        """The address of a self-hosted Bot API server; ``None`` for Telegram's own."""
        ...


@dataclass(frozen=True, slots=True)
class Bot:
    """Whom a request is made for, and by which way.

    Attributes:
        token: The bot's token; a part of every URL.
        server: The Bot API server's address, without a slash at its end.
        http: The way out.
        check_pause: As ``Call.check_pause``.
    """

    token: str = field(repr=False)
    server: str
    http: Http = field(repr=False)
    check_pause: Callable[[str], None] = field(repr=False)

    @classmethod
    def of(cls, call: Call[Any]) -> Self:
        """The bot whose credentials a call has."""
        grant: Grant = call.credentials
        server = grant.api_base or call.addresses.telegram_api
        return cls(
            grant.bot_token.get_secret_value(), server.rstrip("/"), call.http, call.check_pause
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What Telegram answered, and what it took to get there.

    Attributes:
        result: The method's result as Telegram gives it.
        notes: What the caller should know: ``migratedToChatId``, ``parseFallback`` with
            ``parseError``, ``unchanged``.
    """

    result: Json
    notes: Mapping[str, Json] = field(default_factory=dict)


def invoke(
    bot: Bot,
    method: str,
    params: Mapping[str, Json],
    files: Mapping[str, Part] | None = None,
    *,
    parse_fallback: bool = False,
) -> Answer:
    """Call a Bot API method, and repair at most once each what can be repaired without a person.

    A group that became a supergroup is written to under its new id. With ``parse_fallback`` a text
    whose markup does not parse is sent again as plain text. An edit that changes nothing, or the
    deletion of what is gone, counts as done.

    Args:
        bot: The bot.
        method: The method's name, e.g. ``sendMessage``.
        params: Its parameters in Telegram's own names and shapes.
        files: Uploads by the name that ``params`` refer to, or by their parameter's own name.
        parse_fallback: Whether plain text is better than nothing.

    Raises:
        CredentialsRejected: The token is wrong or revoked.
        PermissionMissing: The bot lacks a right in the chat, or is not in it.
        RequestRejected: Telegram said no for good.
        RateLimited: Telegram asks for patience.
        ProviderUnavailable: The server is down or answers what is not the Bot API's.
        AddressRefused: The outbound guard refuses a self-hosted server's address.
    """
    notes: dict[str, Json] = {}
    while True:
        try:
            return Answer(_request(bot, method, params, files or {}), notes)
        except RequestRejected as refusal:
            words = refusal.detail.casefold()
            new_id = refusal.data.get("migrateToChatId")
            if isinstance(new_id, int) and "chat_id" in params and "migratedToChatId" not in notes:
                notes["migratedToChatId"] = new_id
                params = {**params, "chat_id": new_id}
            elif parse_fallback and _UNPARSED in words and "parseFallback" not in notes:
                notes["parseFallback"] = True
                notes["parseError"] = refusal.detail
                params = {name: _unmarked(value) for name, value in _without_modes(params)}
            elif _SETTLED.get(method.casefold(), "\0") in words:
                return Answer(result=True, notes={**notes, "unchanged": True})
            else:
                raise


def download(bot: Bot, path: str, limit: int, sink: Sink | None) -> Response:
    """The content of a file, by the ``file_path`` that getFile gave; into ``sink``, where given.

    https://core.telegram.org/bots/api#file

    Raises:
        RequestRejected: The path does not lead to a file of the server (a self-hosted server in
            ``--local`` mode names paths of its own disk), the link is no longer valid, or the file
            has more than ``limit`` bytes.
        ProviderUnavailable: The server is down.
    """
    if path.startswith("/") or ".." in path.split("/"):
        detail = "The Bot API server keeps files on its own disk (--local) and serves none"
        raise RequestRejected(detail)
    url = f"{bot.server}/file/bot{bot.token}/{quote(path)}"
    try:
        response = bot.http.request("GET", url, max_bytes=limit, sink=lambda _: sink)
    except ProviderUnavailable as failure:
        if failure.provider_code != "answer_too_large":
            raise
        raise RequestRejected(too_large(limit)) from None
    if response.status == HTTPStatus.NOT_FOUND:
        detail = (
            "Telegram has no such file any more: a link is valid for an hour, ask getFile again"
        )
        raise RequestRejected(detail, status=404, provider_code="404")
    if response.status != HTTPStatus.OK:
        raise _stranger("the download", response)
    return response


def too_large(limit: int, size: int | None = None) -> str:
    """What to say about a file that is over ``limit`` bytes."""
    actual = "" if size is None else f" of {size / 2**20:.1f} MB"
    return f"The file{actual} is larger than the {limit // 2**20} MB that can be handed on"


def _request(bot: Bot, method: str, params: Mapping[str, Json], files: Mapping[str, Part]) -> Json:
    """One request and its result."""
    scope = _scope(method, params)
    bot.check_pause(scope)
    url = f"{bot.server}/bot{bot.token}/{method}"
    if files:
        form = {name: _form_value(value) for name, value in params.items()}
        response = bot.http.request("POST", url, data=form, files=files)
    else:
        response = bot.http.request("POST", url, json=dict(params))
    return _result(bot, method, response, scope)


def _scope(method: str, params: Mapping[str, Json]) -> str:
    """What Telegram limits: what goes to one chat, or else one method.

    https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
    """
    chat = params.get("chat_id")
    return f"method {method}" if chat is None else f"chat {chat}"


def _form_value(value: Json) -> str:
    """A parameter as a form carries it: whatever is not text as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _without_modes(params: Mapping[str, Json]) -> list[tuple[str, Json]]:
    return [(name, value) for name, value in params.items() if not name.endswith("parse_mode")]


def _unmarked(value: Json) -> Json:
    """``value`` without any ``…parse_mode`` inside: an album's captions, a poll's options."""
    if isinstance(value, dict):
        return {name: _unmarked(inner) for name, inner in _without_modes(value)}
    if isinstance(value, list):
        return [_unmarked(inner) for inner in value]
    return value


def _result(bot: Bot, method: str, response: Response, scope: str) -> Json:
    """The result in the envelope, or the error that it means."""
    try:
        body = response.json()
    except ProviderUnavailable:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("ok"), bool):
        raise _stranger(method, response, scope)
    if body["ok"]:
        if body.get("result") is None:
            raise nonsense(method)
        result: Json = body["result"]
        return result
    raise _refusal(bot, method, response, body, scope)


def nonsense(method: str) -> ProviderUnavailable:
    """What an "ok" without the method's result means: that nobody knows what was done."""
    detail = f"The Bot API server answered {method} with ok, but not with its result"
    return ProviderUnavailable(detail, outcome_unknown=True)


def _stranger(method: str, response: Response, scope: str = "") -> ProviderError:
    """What an answer means that no Bot API server gave: a proxy's page, or quite another server."""
    status = response.status
    detail = f"The Bot API server answered {method} with HTTP {status} and not with its JSON"
    match status:
        case 413:
            return RequestRejected(f"{detail}: the upload is too large for it", status=status)
        case 429:
            pause = _retry_after(response, None)
            return RateLimited(detail, scope=scope, retry_after=pause, status=status)
        case _:
            # A 502 or 503 comes from a front that did not reach the server; after a time-out, or
            # a success that cannot be read, the message may well have been sent.
            unknown = status == HTTPStatus.GATEWAY_TIMEOUT or status < HTTPStatus.MULTIPLE_CHOICES
            return ProviderUnavailable(detail, status=status, outcome_unknown=unknown)


def _refusal(
    bot: Bot, method: str, response: Response, body: Mapping[str, Json], scope: str
) -> ProviderError:
    """What Telegram's own refusal means. Status and parameters decide, the text is but a hint."""
    code = body.get("error_code")
    status = code if isinstance(code, int) else response.status
    parameters = as_object(body.get("parameters"))
    description = _presentable(body.get("description"), bot.token)
    kind = _kind(status, description.casefold())
    detail = f"Telegram refused {method}: {description}"
    if kind is RateLimited:
        pause = _retry_after(response, parameters.get("retry_after"))
        return RateLimited(
            detail, scope=scope, retry_after=pause, status=status, provider_code=str(status)
        )
    new_id = parameters.get("migrate_to_chat_id")
    data = {"migrateToChatId": new_id} if isinstance(new_id, int) else {}
    return kind(detail, status=status, provider_code=str(status), data=data)


_KINDS: tuple[tuple[Callable[[int, str], bool], type[ProviderError]], ...] = (
    (lambda status, _: status == HTTPStatus.TOO_MANY_REQUESTS, RateLimited),
    (lambda status, _: status == HTTPStatus.UNAUTHORIZED, CredentialsRejected),
    # What has not even a token's shape is an unknown path to Telegram.
    (
        lambda status, words: status == HTTPStatus.NOT_FOUND and "method not found" not in words,
        CredentialsRejected,
    ),
    (
        lambda status, words: (
            status == HTTPStatus.BAD_REQUEST and any(hint in words for hint in _RIGHTS_HINTS)
        ),
        PermissionMissing,
    ),
    (
        lambda status, words: (
            status == HTTPStatus.FORBIDDEN and not any(hint in words for hint in _PERSONAL_REFUSALS)
        ),
        PermissionMissing,
    ),
    (lambda status, _: status >= HTTPStatus.INTERNAL_SERVER_ERROR, ProviderUnavailable),
    (lambda *_: True, RequestRejected),
)
"""What a refusal means, by its status and Telegram's words in lower case: the first that fits."""


def _kind(status: int, words: str) -> type[ProviderError]:
    """The error that a refusal means."""
    return next(kind for fits, kind in _KINDS if fits(status, words))


def _presentable(description: Json, token: str) -> str:
    """Telegram's words on one line of bounded length, without the token whoever put it there."""
    text = description if isinstance(description, str) else "no reason given"
    secret = token.partition(":")[2]
    text = text.replace(token, "***")
    if len(secret) >= _SHORTEST_SECRET:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:_LONGEST_DESCRIPTION]


def _retry_after(response: Response, parameter: Json) -> float | None:
    """The wanted pause in seconds: the envelope's word, else the header's."""
    if isinstance(parameter, int | float) and not isinstance(parameter, bool):
        return retry_after.bounded(float(parameter))
    return retry_after.retry_after(response.headers)
