"""E-mail: sends by any SMTP server, with TLS, a login or an OAuth token, and a stable Message-ID.

- https://www.rfc-editor.org/rfc/rfc5321 (SMTP), rfc4954 (AUTH), rfc3207 (STARTTLS), rfc8314 (TLS)
- https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
- https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission
"""

import hashlib
import io
import re
import secrets
import smtplib
import socket
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import EmailPolicy
from email.utils import formatdate, getaddresses
from mimetypes import guess_type
from typing import Annotated, ClassVar, Literal, Self, override

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from integrations.errors import (
    AddressRefused,
    CredentialsRejected,
    FieldError,
    InvalidParams,
    ProviderError,
    ProviderNotConfigured,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from integrations.models import Account, Json
from integrations.outbound import bounds, guard
from integrations.providers.base import Action, Call, Credentials, Params, Provider, Verified

# -- Addresses -------------------------------------------------------------------------------

_LOCAL = re.compile(r"[^\s\x00-\x20\x7f()<>@,;:\\\"\[\]]{1,64}")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.IGNORECASE,
)
# Whatever Python or a mail program might take for the end of a line, and half characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _mailboxes(given: str | list[str] | None) -> list[Address]:
    """Addresses as people write them: ``ann@example.com``, ``Ann <ann@example.com>, …``.

    Raises:
        ValueError: One of them is none.
    """
    found: list[Address] = []
    for text in ([given] if given else []) if isinstance(given, str) else given or []:
        if _CONTROL.search(text):
            raise ValueError("must not hold line breaks or other control characters")
        for name, spec in getaddresses([text], strict=True):
            local, _, domain = spec.rpartition("@")
            # A domain beyond ASCII has an ASCII form that every server takes.
            with suppress(UnicodeError):
                domain = domain.encode("idna").decode()
            if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
                raise ValueError(f"holds what is not an e-mail address: {text[:100]!r}")
            found.append(Address(name, local, domain))
    return found


def _are_mailboxes(value: str | list[str]) -> str | list[str]:
    _mailboxes(value)
    return value


def _is_mailbox(value: str | None) -> str | None:
    if value is not None and len(_mailboxes(value)) != 1:
        raise ValueError("must be one e-mail address")
    return value


# -- Credentials -----------------------------------------------------------------------------

PORTS = frozenset({25, 465, 587, 2465, 2525, 2587})
"""The ports of mail servers. The local platform alone may use others (MailHog's 1025, say)."""

_TLS_PORTS = frozenset({465, 2465})

type Security = Literal["tls", "starttls", "none"]


def _security(value: object) -> object:
    """``true`` and ``false`` mean what they mean elsewhere: TLS from the start, or by STARTTLS."""
    text = str(value).strip().lower() if isinstance(value, str | bool) else value
    names = {"true": "tls", "ssl": "tls", "false": "starttls", "": None}
    return names.get(text, text) if isinstance(text, str) else value


def _is_host(value: str) -> str:
    # One colon parts a port off; an IPv6 address has more.
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f/@\\?#]+", value) or value.count(":") == 1:
        raise ValueError("must be the name of a mail server, without scheme, port or path")
    return value


class EmailCredentials(Credentials):
    """A mail server and an account there."""

    sender_is_fixed: ClassVar[bool] = False

    host: Annotated[
        str,
        Field(title="Server", description="E.g. smtp.gmail.com", max_length=253),
        AfterValidator(_is_host),
    ]
    port: Annotated[
        int,
        Field(title="Port", description="465 is TLS from the start, 587 STARTTLS.", ge=1, le=65535),
    ] = 587
    user: Annotated[str | None, Field(title="User", max_length=320)] = None
    password: Annotated[
        SecretStr | None,
        Field(
            alias="pass",
            title="Password",
            description="Often an app password: Gmail takes no other.",
            max_length=1024,
        ),
    ] = None
    access_token: Annotated[
        SecretStr | None,
        Field(
            title="Access token",
            description="An OAuth 2.0 token in the place of a password (XOAUTH2).",
            max_length=8192,
        ),
    ] = None
    auth: Annotated[
        Literal["login", "xoauth2"] | None,
        Field(title="Login", description="Empty: xoauth2 where there is an access token."),
    ] = None
    from_: Annotated[
        str | None,
        Field(
            alias="from",
            title="Sender",
            description="E.g. Shop <shop@example.com>; empty for the user.",
            max_length=320,
        ),
        BeforeValidator(lambda value: value or None),
        AfterValidator(_is_mailbox),
    ] = None
    secure: Annotated[
        Security | None,
        Field(
            title="Security",
            description="tls: from the start (true). starttls: required after the greeting "
            "(false). none: in the clear. Empty: tls on port 465, else starttls.",
        ),
        BeforeValidator(_security),
    ] = None

    @property
    def security(self) -> Security:
        """How the connection is secured."""
        return self.secure or ("tls" if self.port in _TLS_PORTS else "starttls")

    @property
    def mechanism(self) -> Literal["login", "xoauth2"]:
        """How to log in."""
        return self.auth or ("xoauth2" if self.access_token else "login")

    @property
    def sender(self) -> Address:
        """Who sends unless told otherwise."""
        return _mailboxes(self.from_ or self.user)[0]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mechanism == "xoauth2" and not (self.user and self.access_token):
            raise ValueError("xoauth2 needs user and accessToken")
        if self.mechanism == "login" and bool(self.user) != bool(self.password):
            raise ValueError("user and pass go together; leave both out where no login is needed")
        if not self.from_:
            try:
                _is_mailbox(self.user or "")
            except ValueError:
                raise ValueError("from is required where user is not an e-mail address") from None
        return self


class StackEmailCredentials(EmailCredentials):
    """The stack's own mail server, which tenants share: none of them chooses the sender."""

    sender_is_fixed: ClassVar[bool] = True


def from_settings(settings: Mapping[str, str]) -> StackEmailCredentials | None:
    """The stack's default SMTP settings, for tenants that have none of their own.

    Args:
        settings: ``smtpHost``, ``smtpPort``, ``smtpUser``, ``smtpPass``, ``smtpFrom`` and
            ``smtpSecure``; an empty one counts as missing.

    Returns:
        ``None`` where the stack has no ``smtpHost``.

    Raises:
        ProviderNotConfigured: They do not fit; the detail says which.
    """
    names = ("host", "port", "user", "pass", "from", "secure")
    given = {name: str(settings.get(f"smtp{name.title()}") or "").strip() for name in names}
    if not given["host"]:
        return None
    try:
        return StackEmailCredentials.model_validate({k: v for k, v in given.items() if v})
    except ValidationError as mistakes:
        first = mistakes.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        detail = f"The stack's SMTP settings do not fit: {place} {first['msg']}".replace("  ", " ")
        raise ProviderNotConfigured(detail) from None


# -- The conversation ------------------------------------------------------------------------

TOTAL_SECONDS = 60.0
"""For one conversation altogether."""

REPLY_SECONDS = 20.0
"""Between the bytes of a reply."""

_MAX_REPLIES = 256 * 1024
_GREYLISTED = re.compile(r"gr[ae]y.?list", re.IGNORECASE)
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TRY_LATER = 60.0
_GREYLIST_WAIT = 300.0


@dataclass(slots=True)
class _Progress:
    """How far a conversation has come: what an error means depends on it."""

    stage: Literal["connect", "login", "mail"] = "connect"
    handed_over: bool = False
    masked: list[str] = field(default_factory=list)

    def clean(self, reply: bytes | str) -> str:
        """A server's words on one line, cut, and without the secrets that it was sent."""
        text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
        for secret in filter(None, self.masked):
            text = text.replace(secret, "…")
        return " ".join(_CONTROL.sub(" ", text).split())[:300]


class _Smtp(smtplib.SMTP):
    """A conversation over a socket that the guard has opened, bounded in time and size."""

    def __init__(self, host: str, sock: socket.socket) -> None:
        # Our own name is none of the server's business, and looking it up costs a DNS query.
        super().__init__(local_hostname="[127.0.0.1]")
        self._host = host
        self.sock = sock
        self.flight = bounds.Flight(
            allow_loopback=False,
            deadline=time.monotonic() + TOTAL_SECONDS,
            read_timeout=REPLY_SECONDS,
            wire_budget=_MAX_REPLIES,
            host=host,
        )

    @override
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(bounds.BoundedReader(self.sock, self.flight))
        return super().getreply()

    def transmit(self, content: bytes) -> None:
        """Send bytes; that takes as long as it takes, up to the deadline."""
        if self.sock is not None:
            self.sock.settimeout(self.flight.remaining())
        self.send(content)

    def command(self, command: str, argument: str = "") -> tuple[int, bytes]:
        """Send a command and read the reply; a reply of 400 and above is an error."""
        code, reply = self.docmd(command, argument)
        if not 200 <= code < 400:  # noqa: PLR2004
            raise smtplib.SMTPResponseException(code, reply)
        return code, reply


@contextmanager
def _conversation(call: Call[EmailCredentials]) -> Iterator[tuple[_Smtp, _Progress]]:
    """Connect, secure the connection, log in; at the end say good-bye."""
    credentials = call.credentials
    if credentials.port not in PORTS and not call.allow_loopback:
        ports = ", ".join(map(str, sorted(PORTS)))
        raise AddressRefused(f"Port {credentials.port} is not for mail; there are: {ports}")
    progress = _Progress()
    sock = guard.connect(credentials.host, credentials.port, allow_loopback=call.allow_loopback)
    try:
        with _translated(credentials, progress):
            if credentials.security == "tls":
                sock = guard.tls_context().wrap_socket(sock, server_hostname=credentials.host)
            smtp = _Smtp(credentials.host, sock)
            try:
                _greet(smtp, credentials)
                progress.stage = "login"
                _log_in(smtp, credentials, progress)
                progress.stage = "mail"
                yield smtp, progress
                with suppress(smtplib.SMTPException, OSError, ProviderError):
                    smtp.flight.deadline = min(smtp.flight.deadline, time.monotonic() + 2)
                    smtp.quit()
            finally:
                smtp.close()
    finally:
        sock.close()


def _greet(smtp: _Smtp, credentials: EmailCredentials) -> None:
    code, reply = smtp.getreply()
    if code != 220:  # noqa: PLR2004
        raise smtplib.SMTPResponseException(code, reply)
    smtp.ehlo_or_helo_if_needed()
    if credentials.security != "starttls":
        return
    if not smtp.has_extn("starttls"):
        raise RequestRejected(
            f"{credentials.host} offers no STARTTLS on port {credentials.port}, and nothing is "
            "sent without TLS; set secure to tls for port 465, to none to go without",
            provider_code="no_starttls",
        )
    smtp.starttls(context=guard.tls_context())
    smtp.ehlo_or_helo_if_needed()


def _log_in(smtp: _Smtp, credentials: EmailCredentials, progress: _Progress) -> None:
    """Log in once, by one mechanism: servers lock accounts after a few failures."""
    if not credentials.user:
        return
    user = credentials.user
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    if credentials.mechanism == "xoauth2":
        wanted, held = ["XOAUTH2"], credentials.access_token
    else:
        wanted, held = ["PLAIN", "LOGIN"], credentials.password
    secret = held.get_secret_value() if held else ""
    mechanism = next((name for name in wanted if name in offered), None)
    if mechanism is None:
        what = f"only {', '.join(offered)}" if offered else "no login"
        raise RequestRejected(
            f"{credentials.host} offers {what} on port {credentials.port}; "
            f"{' or '.join(wanted)} is needed",
            provider_code="no_auth",
        )
    plain = _base64(f"\0{user}\0{secret}")
    bearer = _base64(f"user={user}\x01auth=Bearer {secret}\x01\x01")
    progress.masked += [plain, bearer, _base64(secret), secret]
    match mechanism:
        case "PLAIN":
            smtp.command("AUTH", f"PLAIN {plain}")
        case "LOGIN":
            smtp.command("AUTH", "LOGIN")
            smtp.command(_base64(user))
            smtp.command(_base64(secret))
        case _:
            code, _ = smtp.command("AUTH", f"XOAUTH2 {bearer}")
            if code == 334:  # noqa: PLR2004
                # The challenge holds the reason as JSON; an empty answer makes it a refusal.
                smtp.command("")


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


@contextmanager
def _translated(credentials: EmailCredentials, progress: _Progress) -> Iterator[None]:
    """Our errors for those of smtplib, ssl and the socket."""
    host, port = credentials.host, credentials.port
    try:
        yield
    except smtplib.SMTPResponseException as refusal:
        raise _refusal(host, refusal.smtp_code, refusal.smtp_error, progress) from None
    except smtplib.SMTPNotSupportedError:
        detail = f"{host} does not take addresses beyond ASCII (SMTPUTF8)"
        raise RequestRejected(detail, provider_code="no_smtputf8") from None
    except ssl.SSLCertVerificationError as failure:
        detail = f"The certificate of {host} does not verify: {failure.verify_message}"
        raise RequestRejected(detail, provider_code="tls_failed") from None
    except ssl.SSLError as failure:
        if progress.stage == "connect" and credentials.security == "tls":
            detail = (
                f"{host} does not speak TLS from the start on port {port}; try secure: starttls"
            )
            raise RequestRejected(detail, provider_code="tls_failed") from None
        detail = f"TLS with {host} failed: {failure.reason or 'broken off'}"
        raise ProviderUnavailable(
            detail, outcome_unknown=progress.handed_over, provider_code="tls_failed"
        ) from None
    except (smtplib.SMTPServerDisconnected, OSError) as failure:
        raise _lost(credentials, failure, progress) from None


def _lost(
    credentials: EmailCredentials, failure: Exception, progress: _Progress
) -> ProviderUnavailable:
    host, unknown = credentials.host, progress.handed_over
    # smtplib keeps the time-out as the context of its own error.
    if isinstance(failure, TimeoutError) or isinstance(failure.__context__, TimeoutError):
        detail = f"{host} did not answer in time"
        if progress.stage == "connect" and credentials.security != "tls":
            detail += f" on port {credentials.port}; if it expects TLS from the start: secure: tls"
        return ProviderTimeout(detail, outcome_unknown=unknown)
    detail = f"{host} broke the connection off"
    if unknown:
        detail += " after the message was handed over; it may have been accepted"
    return ProviderUnavailable(detail, outcome_unknown=unknown)


def _refusal(host: str, code: int, reply: bytes | str, progress: _Progress) -> ProviderError:
    """What a reply of 4yz or 5yz means: https://www.rfc-editor.org/rfc/rfc5321#section-4.2."""
    text = progress.clean(reply)
    if not 200 <= code < 600:  # noqa: PLR2004
        detail = f"{host} does not answer as a mail server does"
        return ProviderUnavailable(detail, provider_code="no_smtp")
    detail = f"{host} answered {code} {text}".rstrip()
    enhanced = _ENHANCED.match(text)
    provider_code = enhanced[0] if enhanced else str(code)
    if code < 500:  # noqa: PLR2004
        wait = _GREYLIST_WAIT if _GREYLISTED.search(text) else _TRY_LATER
        return ProviderUnavailable(
            detail, status=code, provider_code=provider_code, retry_after=wait
        )
    # 530: it wants a login first. 534, 535, 538: it does not want this one.
    if progress.stage == "login" or code in {530, 534, 535, 538}:
        return CredentialsRejected(detail, status=code, provider_code=provider_code)
    return RequestRejected(detail, status=code, provider_code=provider_code)


# -- Test ------------------------------------------------------------------------------------


def verify(call: Call[EmailCredentials]) -> Verified[EmailCredentials]:
    """Connect, secure, log in and hang up; no mail is sent.

    Raises:
        AddressRefused: The guard refuses the host or the port.
        CredentialsRejected: The server refuses the login.
        RequestRejected: It cannot be used as the credentials say (no TLS, no login, certificate).
        ProviderUnavailable: It cannot be reached, or asks to come back later.
    """
    credentials = call.credentials
    with _conversation(call) as (smtp, _):
        smtp.command("NOOP")
    sender = credentials.sender
    details: dict[str, Json] = {
        "host": credentials.host,
        "port": credentials.port,
        "secure": credentials.security,
        "from": str(sender),
    }
    account = Account(
        id=f"{credentials.user or sender.addr_spec}@{credentials.host}",
        label=sender.addr_spec,
        details=details,
    )
    who = f" as {credentials.user}" if credentials.user else " without a login"
    message = f"Connected to {credentials.host}{who}, sending from {sender.addr_spec}"
    return Verified(account=account, message=message)


# -- Actions ---------------------------------------------------------------------------------

MAX_RECIPIENTS = 100
MAX_ATTACHMENTS = 15 * 1024 * 1024
"""Bytes of all attachments together; base64 makes them a third more on the way."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,76}")
_OURS = frozenset({
    "bcc",
    "cc",
    "date",
    "dkim-signature",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "received",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
})  # fmt: skip
_MESSAGE_ID = re.compile(r"<[^\s<>@]{1,250}@[^\s<>@]{1,250}>")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}")


def _is_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not hold line breaks or other control characters")
    return value


def _is_text(value: str | None) -> str | None:
    if value is not None and re.search(r"[\x00\ud800-\udfff]", value):
        raise ValueError("holds characters that no text has")
    return value


def _message_ids(value: str | list[str] | None) -> list[str]:
    texts = value.split() if isinstance(value, str) else value or []
    ids = [text if text.startswith("<") else f"<{text}>" for text in texts]
    for message_id in ids:
        if not _MESSAGE_ID.fullmatch(message_id) or not message_id.isascii():
            raise ValueError("must hold message ids: <id@example.com>")
    return ids


def _are_message_ids(value: str | list[str] | None) -> str | list[str] | None:
    _message_ids(value)
    return value


class Attachment(BaseModel):
    """A file of a message; with ``cid`` an image inside the HTML (``<img src="cid:logo">``)."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    file_name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_is_line)]
    content_type: Annotated[
        str | None, Field(description="Empty: what the file's name says.", max_length=200)
    ] = None
    content_base64: str
    cid: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._@-]{1,100}$")] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.content_type and not _MEDIA_TYPE.fullmatch(self.content_type):
            raise ValueError("contentType must be a media type such as image/png")
        try:
            b64decode(self.content_base64, validate=True)
        except ValueError:
            raise ValueError("contentBase64 must be base64") from None
        return self

    @property
    def media_type(self) -> tuple[str, str]:
        """The media type's two parts; what would have to be a message in itself is plain bytes."""
        given = self.content_type or guess_type(self.file_name)[0] or "application/octet-stream"
        main, _, sub = given.lower().partition("/")
        return ("application", "octet-stream") if main in {"message", "multipart"} else (main, sub)


type _Mailboxes = Annotated[
    str | list[str],
    Field(description="One address, several with commas, or a list: Ann <ann@example.com>."),
    AfterValidator(_are_mailboxes),
]
type _Text = Annotated[str | None, Field(max_length=5_000_000), AfterValidator(_is_text)]


class SendEmail(Params):
    """A message."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    to: _Mailboxes = ""
    cc: _Mailboxes = ""
    bcc: _Mailboxes = ""
    from_: Annotated[
        str | None,
        Field(alias="from", description="Empty for the connection's sender.", max_length=320),
        AfterValidator(_is_mailbox),
    ] = None
    reply_to: _Mailboxes = ""
    subject: Annotated[str, Field(max_length=900), AfterValidator(_is_line)] = ""
    text: _Text = None
    html: _Text = None
    attachments: list[Attachment] = Field(default_factory=list, max_length=50)
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="More headers, e.g. List-Unsubscribe.",
        max_length=50,
    )
    in_reply_to: Annotated[
        str | None,
        Field(description="The Message-ID of the message that this one answers.", max_length=600),
        AfterValidator(_are_message_ids),
    ] = None
    references: Annotated[
        str | list[str] | None,
        Field(description="The Message-IDs of the thread; empty for inReplyTo."),
        AfterValidator(_are_message_ids),
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        count = len(self.recipients)
        if not 1 <= count <= MAX_RECIPIENTS:
            raise ValueError(f"to, cc and bcc must name 1 to {MAX_RECIPIENTS} recipients")
        if self.text is None and self.html is None and not self.attachments:
            raise ValueError("text or html is required")
        if self.html is None and any(attachment.cid for attachment in self.attachments):
            raise ValueError("an attachment with a cid needs html that shows it")
        if sum(len(one.content_base64) for one in self.attachments) * 3 // 4 > MAX_ATTACHMENTS:
            raise ValueError(
                f"attachments must not have more than {MAX_ATTACHMENTS} bytes together"
            )
        for name, value in self.headers.items():
            lower = name.lower()
            if not _HEADER.fullmatch(name):
                raise ValueError("headers holds a name that is not the name of a header")
            if lower in _OURS or lower.startswith(("content-", "resent-")):
                raise ValueError(f"headers.{name} has a parameter of its own, or is set by us")
            if _CONTROL.search(value) or len(value) > 2000:  # noqa: PLR2004
                raise ValueError(f"headers.{name} holds line breaks or is too long")
        return self

    @property
    def recipients(self) -> list[str]:
        """Whom it goes to, each once."""
        boxes = [*_mailboxes(self.to), *_mailboxes(self.cc), *_mailboxes(self.bcc)]
        return list(dict.fromkeys(box.addr_spec for box in boxes))


class _Policy(EmailPolicy):
    """Headers as they are: the standard library would encode every word over 78 characters.

    That breaks message ids (Exchange's are long) and links in List-Unsubscribe, which receivers
    do not decode. ASCII needs no encoding: it is folded at its spaces.
    """

    @override
    def fold_binary(self, name: str, value: str) -> bytes:
        text = str(value)
        if not text.isascii() or name.lower().startswith("content-"):
            return super().fold_binary(name, value)
        lines = [f"{name}:"]
        for word in text.split(" "):
            if len(lines[-1]) + len(word) < 78 or lines[-1] == f"{name}:":  # noqa: PLR2004
                lines[-1] += f" {word}"
            else:
                lines.append(f" {word}")
        return "\r\n".join([*lines, ""]).encode()


_POLICY = _Policy(linesep="\r\n", raise_on_defect=True, cte_type="7bit")
_POLICY_UTF8 = _POLICY.clone(utf8=True)


def compose(params: SendEmail, sender: Address, message_id: str) -> EmailMessage:
    """The message as it will be sent; whom ``bcc`` names stands in the envelope alone.

    Args:
        params: What to send.
        sender: The From address.
        message_id: Its id, with angle brackets.
    """
    visible = [*_mailboxes(params.to), *_mailboxes(params.cc), *_mailboxes(params.reply_to), sender]
    international = not all(box.username.isascii() for box in visible)
    message = EmailMessage(policy=_POLICY_UTF8 if international else _POLICY)
    message["From"] = sender
    for name, boxes in (("To", params.to), ("Cc", params.cc), ("Reply-To", params.reply_to)):
        if boxes:
            message[name] = _mailboxes(boxes)
    message["Subject"] = params.subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = message_id
    answered = _message_ids(params.in_reply_to)
    if answered:
        message["In-Reply-To"] = " ".join(answered)
    thread = _message_ids(params.references) or answered
    if thread:
        message["References"] = " ".join(thread)
    for name, value in params.headers.items():
        message[name] = value
    _add_content(message, params)
    return message


def _add_content(message: EmailMessage, params: SendEmail) -> None:
    inline = [attachment for attachment in params.attachments if attachment.cid]
    files = [attachment for attachment in params.attachments if not attachment.cid]
    if params.text is not None or params.html is None:
        message.set_content(params.text or "")
    if params.html is not None:
        body: MIMEPart = message
        if params.text is None:
            message.set_content(params.html, subtype="html")
        else:
            message.add_alternative(params.html, subtype="html")
            body = list(message.iter_parts())[-1]
        for image in inline:
            main, sub = image.media_type
            body.add_related(
                b64decode(image.content_base64),
                main,
                sub,
                cid=f"<{image.cid}>",
                filename=image.file_name,
                disposition="inline",
            )
    for attached in files:
        main, sub = attached.media_type
        message.add_attachment(
            b64decode(attached.content_base64), main, sub, filename=attached.file_name
        )


def send_email(call: Call[EmailCredentials], params: SendEmail) -> Json:
    """Send one message; a repetition carries the same Message-ID.

    Returns:
        ``{"messageId", "accepted": [address], "refused": [{"address", "status", "code",
        "message"}], "response"}``: some recipients may be refused while the others get it.

    Raises:
        InvalidParams: The sender may not be chosen on the stack's own mail server.
        CredentialsRejected: The server refuses the login.
        RequestRejected: It refuses the sender, every recipient or the message for good.
        ProviderUnavailable: It asks to come back later, or broke off; ``outcome_unknown`` where
            that was after the message was handed over.
    """
    credentials = call.credentials
    sender = _mailboxes(params.from_)[0] if params.from_ else credentials.sender
    if credentials.sender_is_fixed and sender.addr_spec != credentials.sender.addr_spec:
        detail = f"This connection sends from {credentials.sender.addr_spec} alone"
        raise InvalidParams(detail, [FieldError("from", detail)])
    message_id = _new_message_id(call.idempotency_key, sender)
    try:
        content = compose(params, sender, message_id).as_bytes()
    except (ValueError, MessageError) as mistake:
        raise InvalidParams("The message cannot be written as e-mail") from mistake
    with _conversation(call) as (smtp, progress):
        accepted, refused, response = _deliver(
            smtp, progress, sender.addr_spec, params.recipients, content
        )
    return {
        "messageId": message_id,
        "accepted": list(accepted),
        "refused": refused,
        "response": response,
    }


def _new_message_id(key: str | None, sender: Address) -> str:
    """The same for each repetition of a step, and unguessable where there is no step."""
    unique = hashlib.sha256(key.encode()).hexdigest()[:40] if key else secrets.token_hex(20)
    return f"<{unique}@{sender.domain}>"


def _deliver(
    smtp: _Smtp, progress: _Progress, sender: str, recipients: list[str], content: bytes
) -> tuple[list[str], list[Json], str]:
    """One mail transaction: https://www.rfc-editor.org/rfc/rfc5321#section-3.3."""
    host = smtp.flight.host
    limit = smtp.esmtp_features.get("size", "")
    if limit.isdigit() and 0 < int(limit) < len(content):
        raise RequestRejected(
            f"{host} takes messages up to {limit} bytes; this one has {len(content)}",
            provider_code="too_large",
        )
    options = [f"SIZE={len(content)}"] if smtp.has_extn("size") else []
    if not content.isascii():
        options.append("BODY=8BITMIME")
    if not content.isascii() or not all(map(str.isascii, (sender, *recipients))):
        options.append("SMTPUTF8")
    _expect(smtp.mail(sender, options))
    accepted: list[str] = []
    refusals: dict[str, ProviderError] = {}
    for recipient in recipients:
        code, reply = smtp.rcpt(recipient)
        if 200 <= code < 300:  # noqa: PLR2004
            accepted.append(recipient)
        else:
            refusals[recipient] = _refusal(host, code, reply, progress)
        if code == 421:  # noqa: PLR2004 - the server is closing the connection
            raise refusals[recipient]
    refused: list[Json] = [
        {
            "address": address,
            "status": refusal.status,
            "code": refusal.provider_code,
            "message": refusal.detail,
        }
        for address, refusal in refusals.items()
    ]
    if not accepted:
        # One that may work later makes another try worth it; else the first says why.
        reasons = sorted(refusals.values(), key=lambda one: isinstance(one, RequestRejected))
        reasons[0].data["refused"] = refused
        raise reasons[0]
    _expect(smtp.docmd("DATA"), 354)
    smtp.transmit(re.sub(rb"(?m)^\.", b"..", content))
    # From its final dot on the message may be delivered, whatever we get to hear of it.
    progress.handed_over = True
    smtp.transmit(b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
    _, reply = _expect(smtp.getreply())
    progress.handed_over = False
    return accepted, refused, progress.clean(reply)


def _expect(answer: tuple[int, bytes], wanted: int = 250) -> tuple[int, bytes]:
    code, reply = answer
    if code != wanted and not (wanted == 250 and 200 <= code < 300):  # noqa: PLR2004
        raise smtplib.SMTPResponseException(code, reply)
    return answer


PROVIDER = Provider(
    id="email",
    title="E-mail (SMTP)",
    docs_url="https://www.rfc-editor.org/rfc/rfc5321",
    credentials=EmailCredentials,
    verify=verify,
    actions=(
        Action(
            name="sendEmail",
            title="Send an e-mail",
            params=SendEmail,
            run=send_email,
            example={
                "to": "Ann <ann@example.com>",
                "subject": "Order 42 is paid",
                "text": "Thank you! Your order 42 is paid.",
                "html": "<p>Thank you! Your order <b>42</b> is paid.</p>",
            },
        ),
    ),
    stack_credentials=from_settings,
)
