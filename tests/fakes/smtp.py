"""A mail server on loopback (aiosmtpd): TLS in both ways, three ways to log in, scripted failures.

``python -m tests.fakes.smtp 1025`` serves alone, in the clear, and prints what it takes.
"""

import asyncio
import logging
import socket
import ssl
import sys
import threading
from base64 import b64decode, b64encode
from collections import deque
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, auth_mechanism

logging.getLogger("mail.log").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message that was taken in."""

    sender: str
    recipients: list[str]
    options: list[str]
    raw: bytes
    user: str | None
    over_tls: bool

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        return message_from_bytes(self.raw, policy=policy.default)


class MailServer:
    """The server. Use it as a context manager; port 0 takes a free one.

    Args:
        security: ``tls`` from the start, by ``starttls``, or ``none``.
        context: The TLS settings, where there is TLS.
        users: User → password, for PLAIN and LOGIN.
        tokens: User → OAuth token, for XOAUTH2.
        without: Mechanisms that are not offered.
        login_required: Whether mail is taken without a login.
        size: The largest message that is taken.
        utf8: Whether SMTPUTF8 is offered.

    Attributes:
        mails: Every message, in order.
        attempts: Every login, as (mechanism, user, whether it was let in).
        refused: Address → the reply to its RCPT.
    """

    def __init__(
        self,
        security: Literal["tls", "starttls", "none"] = "none",
        context: ssl.SSLContext | None = None,
        *,
        port: int = 0,
        users: dict[str, str] | None = None,
        tokens: dict[str, str] | None = None,
        without: tuple[str, ...] = (),
        login_required: bool = False,
        size: int = 32 * 1024 * 1024,
        utf8: bool = True,
    ) -> None:
        self.mails: list[Mail] = []
        self.attempts: list[tuple[str, str, bool]] = []
        self.refused: dict[str, str] = {}
        self._replies: dict[str, deque[str]] = {}
        self._security = security
        self._context = context
        self._users = users or {}
        self._tokens = tokens or {}
        self._without = (*without, *(() if users else ("PLAIN", "LOGIN")))
        if not tokens:
            self._without += ("XOAUTH2",)
        self._login_required = login_required
        self._size = size
        self._utf8 = utf8
        self._socket = socket.create_server(("127.0.0.1", port))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._socket.getsockname()[1])

    def reply(
        self, command: Literal["NOOP", "RSET", "AUTH", "MAIL", "DATA"], *replies: str
    ) -> None:
        """Answer the next commands of this kind so; ``drop`` breaks the connection off.

        ``DATA`` is answered after the final dot.
        """
        self._replies.setdefault(command, deque()).extend(replies)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # -- what aiosmtpd calls -----------------------------------------------------------------

    async def handle_NOOP(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, arg: str
    ) -> str:
        return self._scripted(server, "NOOP") or "250 OK"

    async def handle_RSET(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return self._scripted(server, "RSET") or "250 OK"

    async def handle_AUTH(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, args: list[str]
    ) -> Any:
        from aiosmtpd.smtp import MISSING

        return self._scripted(server, "AUTH") or MISSING

    async def handle_MAIL(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        scripted = self._scripted(server, "MAIL")
        if scripted:
            return scripted
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.original_content or b""
        scripted = self._scripted(server, "DATA")
        if scripted and scripted[0] in "45":
            return scripted
        data: Any = session.auth_data
        self.mails.append(
            Mail(
                sender=envelope.mail_from or "",
                recipients=list(envelope.rcpt_tos),
                options=list(envelope.mail_options),
                raw=content,
                user=data.login.decode() if isinstance(data, LoginPassword) else data,
                over_tls=self._security == "tls" or bool(session.ssl),
            )
        )
        return scripted or f"250 2.0.0 queued as {len(self.mails)}"

    @auth_mechanism("XOAUTH2")
    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        fields = dict(
            part.split("=", 1) for part in b64decode(args[1]).decode().split("\x01") if part
        )
        user = fields["user"]
        good = fields["auth"] == f"Bearer {self._tokens.get(user)}"
        self.attempts.append(("XOAUTH2", user, good))
        if good:
            return AuthResult(success=True, auth_data=user)
        reason = b'{"status":"401","schemes":"bearer","scope":"https://mail.example.com/"}'
        answer = await server.challenge_auth(b64encode(reason).decode(), encode_to_b64=False)
        assert answer == b""
        return AuthResult(success=False, handled=False)

    def _let_in(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        mechanism: str,
        login: LoginPassword,
    ) -> AuthResult:
        user = login.login.decode()
        good = self._users.get(user) == login.password.decode()
        self.attempts.append((mechanism, user, good))
        return AuthResult(success=good, auth_data=login, handled=False)

    # -- within ------------------------------------------------------------------------------

    def _scripted(self, server: SMTP, command: str) -> str | None:
        replies = self._replies.get(command)
        reply = replies.popleft() if replies else None
        if reply == "drop":
            assert server.transport is not None
            server.transport.abort()  # type: ignore[attr-defined]
            return "250 nobody hears this"
        return reply

    def _factory(self) -> SMTP:
        return SMTP(
            self,
            data_size_limit=self._size,
            enable_SMTPUTF8=self._utf8,
            hostname="mail.example.com",
            ident="fake",
            tls_context=self._context if self._security == "starttls" else None,
            require_starttls=self._security == "starttls",
            auth_required=self._login_required,
            auth_require_tls=self._security == "starttls",
            auth_exclude_mechanism=self._without,
            authenticator=self._let_in,
            loop=self._loop,
        )

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        tls = self._context if self._security == "tls" else None
        serving = self._loop.create_server(self._factory, sock=self._socket, ssl=tls)
        server = self._loop.run_until_complete(serving)
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class ScriptedServer:
    """A server that sends fixed bytes to whoever connects, whatever it is told, and then hangs up.

    Args:
        greeting: What it sends at once.
        answers: What it sends after each line that it gets; after the last one it hangs up.
        silent: Whether it stays connected and silent in the end.
    """

    def __init__(self, greeting: bytes, *answers: bytes, silent: bool = False) -> None:
        self.lines_received: list[bytes] = []
        self._greeting = greeting
        self._answers = answers
        self._silent = silent
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(self._greeting)
                for answer in self._answers:
                    self.lines_received.append(lines.readline())
                    connection.sendall(answer)
                if self._silent:
                    self._over.wait()
        except OSError:
            return


if __name__ == "__main__":
    with MailServer(port=int(sys.argv[1])) as alone:
        shown = 0
        while True:
            threading.Event().wait(0.2)
            for mail in alone.mails[shown:]:
                print(mail.sender, "->", ", ".join(mail.recipients))  # noqa: T201
                print(mail.raw.decode(errors="replace"))  # noqa: T201
                shown += 1
