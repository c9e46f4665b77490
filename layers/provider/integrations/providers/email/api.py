"""The conversation with a mail server, bounded in time and size, and what its refusals mean.

- https://www.rfc-editor.org/rfc/rfc5321 (SMTP), rfc4954 (AUTH), rfc3207 (STARTTLS), rfc8314 (TLS)
- https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
"""

import io
import re
import smtplib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, cast, override

from integrations.errors import (
    AddressRefused,
    CredentialsRejected,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from integrations.models import Json
from integrations.outbound import bounds, guard
from integrations.outbound.content import Content
from integrations.outbound.domains import to_ascii
from integrations.providers.base import Call
from integrations.providers.email.addresses import CONTROL
from integrations.providers.email.credentials import EmailCredentials

PORTS = frozenset({25, 465, 587, 2465, 2525, 2587})
"""The ports of mail servers. The local platform alone may use others (MailHog's 1025, say)."""
TOTAL_SECONDS = 60.0
"""For one conversation altogether, from the look-up of the host on."""
REPLY_SECONDS = 20.0
"""Between the bytes of a reply."""
_MAX_REPLIES = 256 * 1024
_SIZE_DIGITS = 20
"""As https://www.rfc-editor.org/rfc/rfc1870#section-3 has it."""
RESUME_SECONDS = 5.0
"""For a server to say that it still listens."""
MAX_MAILS = 100
"""In one conversation: servers have limits of their own, and few say which."""
LAST_WORDS_SECONDS = 2.0
"""For the reply that a server may have sent before it closed the connection."""

# https://www.rfc-editor.org/rfc/rfc5321#section-4.2
_DONE = 200
_ACCEPTED = 250
_GO_ON = 300
_CHALLENGE = 334
_SEND_IT = 354
_REFUSED = 400
_CLOSING = 421
_REFUSED_FOR_GOOD = 500
_NO_CODE = 600
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
        return " ".join(CONTROL.sub(" ", text).split())[:300]


class _Smtp(smtplib.SMTP):
    """A conversation over a socket that the guard has opened, bounded in time and size.

    Attributes:
        flight: What bounds the exchange under way.
        masked: The secrets that the server was sent.
        mails: How many exchanges it has had after the log-in.
    """

    def __init__(self, sock: socket.socket, helo_name: str, flight: bounds.Flight) -> None:
        super().__init__(local_hostname=helo_name)
        self._host = flight.host
        self.sock = sock
        self.flight = flight
        self.masked: list[str] = []
        self.mails = 0

    def refill(self, seconds: float) -> None:
        """Bound what is said next as a conversation of its own."""
        self.flight.deadline = time.monotonic() + seconds
        self.flight.wire_budget = _MAX_REPLIES

    def end(self) -> None:
        """Say good-bye and hang up; nothing that goes wrong with it matters any more."""
        with suppress(smtplib.SMTPException, OSError, ProviderError):
            self.flight.deadline = min(self.flight.deadline, time.monotonic() + 2)
            self.quit()
        self.close()

    @override
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(bounds.BoundedReader(self.sock, self.flight))
        return super().getreply()

    @override
    def send(self, s: Any) -> None:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected
        try:
            content = s.encode(self.command_encoding) if isinstance(s, str) else s
        except UnicodeEncodeError:  # smtplib asks for SMTPUTF8 only where EHLO is known
            raise smtplib.SMTPNotSupportedError from None
        bounds.send_all(self.sock, content, self.flight)

    def transmit(self, content: bytes) -> None:
        """Send bytes; that takes as long as it takes, up to the deadline."""
        try:
            self.send(content)
        except TimeoutError:
            raise
        except OSError as broken:
            raise self._last_words() or broken from None

    def _last_words(self) -> smtplib.SMTPResponseException | None:
        """What a server said before it closed the connection, while we were still sending."""
        self.flight.deadline = min(self.flight.deadline, time.monotonic() + LAST_WORDS_SECONDS)
        with suppress(smtplib.SMTPException, OSError, ProviderError):
            code, reply = self.getreply()
            if code >= _REFUSED:
                return smtplib.SMTPResponseException(code, reply)
        return None

    def introduce(self) -> None:
        """Say who we are; a server that knows no EHLO, the older command, is asked by HELO.

        Raises:
            SMTPResponseException: It refuses; what it said to the first command counts.
        """
        code, reply = self.ehlo()
        if _is_done(code):
            return
        refusal = smtplib.SMTPResponseException(code, reply)
        if code < _REFUSED_FOR_GOOD:
            raise refusal
        try:
            code, _ = self.helo()
        except (smtplib.SMTPException, OSError):
            raise refusal from None
        if not _is_done(code):
            raise refusal

    def command(self, command: str, argument: str = "") -> tuple[int, bytes]:
        """Send a command and read the reply; a reply of 400 and above is an error."""
        code, reply = self.docmd(command, argument)
        if not _DONE <= code < _REFUSED:
            raise smtplib.SMTPResponseException(code, reply)
        return code, reply


@contextmanager
def conversation(call: Call[EmailCredentials]) -> Iterator[tuple[_Smtp, _Progress]]:
    """Connect, secure the connection, log in; at the end say good-bye.

    Where the call has ``conversations``, one that is open goes on, and this one stays open.
    """
    credentials = call.credentials
    if credentials.port not in PORTS and not call.allow_loopback:
        ports = ", ".join(map(str, sorted(PORTS)))
        raise AddressRefused(f"Port {credentials.port} is not for mail; there are: {ports}")
    progress = _Progress()
    smtp = _resumed(call, progress) or _opened(call, progress)
    try:
        with _translated(credentials, progress):
            yield smtp, progress
    except BaseException:
        smtp.close()
        raise
    smtp.mails += 1
    if call.conversations and smtp.mails < MAX_MAILS:
        call.conversations.give_back(credentials, smtp, smtp.end)
    else:
        smtp.end()


def _opened(call: Call[EmailCredentials], progress: _Progress) -> _Smtp:
    """A new conversation, ready for a mail."""
    credentials = call.credentials
    host = to_ascii(credentials.host)
    flight = bounds.Flight(
        allow_loopback=call.allow_loopback,
        deadline=time.monotonic() + min(TOTAL_SECONDS, call.time_left()),
        read_timeout=REPLY_SECONDS,
        wire_budget=_MAX_REPLIES,
        host=host,
    )
    with _translated(credentials, progress):
        sock = guard.connect(
            host, credentials.port, allow_loopback=call.allow_loopback, seconds=flight.remaining()
        )
    try:
        with _translated(credentials, progress):
            if credentials.security == "tls":
                sock = guard.Tls(flight).wrap_socket(sock, server_hostname=host)
            smtp = _Smtp(sock, credentials.introduction, flight)
            try:
                _greet(smtp, credentials)
                progress.stage = "login"
                _log_in(smtp, credentials, progress)
            except BaseException:
                smtp.close()
                raise
    except BaseException:
        sock.close()
        raise
    progress.stage = "mail"
    smtp.masked = progress.masked
    return smtp


def _resumed(call: Call[EmailCredentials], progress: _Progress) -> _Smtp | None:
    """A conversation that an earlier call of this run left open, where the server still listens."""
    if call.conversations is None:
        return None
    smtp: _Smtp | None = call.conversations.take(call.credentials)
    if smtp is None:
        return None
    progress.masked = smtp.masked
    try:
        smtp.refill(RESUME_SECONDS)
        smtp.command("RSET")
    except (smtplib.SMTPException, OSError, ProviderError):
        smtp.close()  # nothing of this mail was said: a new conversation can say it all
        return None
    smtp.refill(min(TOTAL_SECONDS, call.time_left()))
    progress.stage = "mail"
    return smtp


def _greet(smtp: _Smtp, credentials: EmailCredentials) -> None:
    code, reply = smtp.getreply()
    if not _is_done(code):
        raise smtplib.SMTPResponseException(code, reply)
    smtp.introduce()
    if credentials.security != "starttls":
        return
    if not smtp.has_extn("starttls"):
        raise RequestRejected(
            f"{credentials.host} offers no STARTTLS on port {credentials.port}, and nothing is "
            "sent without TLS; set secure to tls for port 465, to none to go without",
            provider_code="no_starttls",
        )
    smtp.starttls(context=cast("ssl.SSLContext", guard.Tls(smtp.flight)))
    smtp.introduce()


def _log_in(smtp: _Smtp, credentials: EmailCredentials, progress: _Progress) -> None:
    """Log in once, by one mechanism: servers lock accounts after a few failures."""
    if not credentials.user:
        return
    user = credentials.user
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    if credentials.mechanism == "xoauth2":
        wanted, proof = ["XOAUTH2"], credentials.access_token
    else:
        wanted, proof = ["PLAIN", "LOGIN"], credentials.password
    secret = proof.get_secret_value() if proof else ""
    mechanism = next((name for name in wanted if name in offered), None)
    if mechanism is None:
        what = f"only {', '.join(offered)}" if offered else "no log-in"
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
            if code == _CHALLENGE:
                # The challenge holds the reason as JSON; an empty answer makes it a refusal.
                smtp.command("")


def _is_done(code: int) -> bool:
    """Whether a reply is 2yz: https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1."""
    return _DONE <= code < _GO_ON


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
    detail = f"{host} closed the connection"
    if unknown:
        detail += " after the message was handed over; it may have been accepted"
    return ProviderUnavailable(detail, outcome_unknown=unknown)


def _refusal(host: str, code: int, reply: bytes | str, progress: _Progress) -> ProviderError:
    """What a reply of 4yz or 5yz means: https://www.rfc-editor.org/rfc/rfc5321#section-4.2."""
    text = progress.clean(reply)
    if not _DONE <= code < _NO_CODE:
        detail = f"{host} does not answer as a mail server does"
        return ProviderUnavailable(detail, provider_code="no_smtp")
    detail = f"{host} answered {code} {text}".rstrip()
    enhanced = _ENHANCED.match(text)
    provider_code = enhanced[0] if enhanced else str(code)
    if code < _REFUSED_FOR_GOOD:
        wait = _GREYLIST_WAIT if _GREYLISTED.search(text) else _TRY_LATER
        return ProviderUnavailable(
            detail, status=code, provider_code=provider_code, retry_after=wait
        )
    # 530: it wants a log-in first. 534, 535, 538: it does not want this one.
    if progress.stage == "login" or code in {530, 534, 535, 538}:
        return CredentialsRejected(detail, status=code, provider_code=provider_code)
    return RequestRejected(detail, status=code, provider_code=provider_code)


def deliver(
    smtp: _Smtp,
    progress: _Progress,
    sender: str,
    recipients: list[str],
    content: Sequence[bytes | Content],
) -> tuple[list[str], list[Json], str]:
    """One mail transaction: https://www.rfc-editor.org/rfc/rfc5321#section-3.3.

    Of ``content``, what is read piece by piece is base64; each part begins a line.
    """
    host = smtp.flight.host
    size = sum(map(len, content))
    written = [part for part in content if isinstance(part, bytes)]
    is_ascii = all(map(bytes.isascii, written))
    limit = smtp.esmtp_features.get("size", "")
    # A server may write anything here: "²" is a digit to Python, and no number.
    if limit.isascii() and limit.isdecimal() and 0 < int(limit[:_SIZE_DIGITS]) < size:
        raise RequestRejected(
            f"{host} takes messages up to {limit} bytes; this one has {size}",
            provider_code="too_large",
        )
    options = [f"SIZE={size}"] if smtp.has_extn("size") else []
    if not is_ascii:
        options.append("BODY=8BITMIME")
    if not is_ascii or not all(map(str.isascii, (sender, *recipients))):
        options.append("SMTPUTF8")
    _expect(smtp.mail(sender, options))
    accepted: list[str] = []
    refusals: dict[str, ProviderError] = {}
    for recipient in recipients:
        code, reply = smtp.rcpt(recipient)
        if _is_done(code):
            accepted.append(recipient)
        else:
            refusals[recipient] = _refusal(host, code, reply, progress)
        if code == _CLOSING:
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
    _expect(smtp.docmd("DATA"), _SEND_IT)
    for part in content:
        for piece in [part] if isinstance(part, bytes) else part:
            smtp.transmit(re.sub(rb"(?m)^\.", b"..", piece))
    # From its final dot on the message may be delivered, whatever answer we get.
    progress.handed_over = True
    smtp.transmit(b".\r\n" if written[-1].endswith(b"\r\n") else b"\r\n.\r\n")
    _, reply = _expect(smtp.getreply())
    progress.handed_over = False
    return accepted, refused, progress.clean(reply)


def _expect(answer: tuple[int, bytes], wanted: int = _ACCEPTED) -> tuple[int, bytes]:
    code, reply = answer
    if code != wanted and not (wanted == _ACCEPTED and _is_done(code)):
        raise smtplib.SMTPResponseException(code, reply)
    return answer
