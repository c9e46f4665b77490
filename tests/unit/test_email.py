"""The e-mail provider against a mail server on loopback: every login, every refusal, every byte."""

import base64
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations import memory
from integrations.errors import (
    AddressRefused,
    CredentialsRejected,
    InvalidParams,
    ProviderError,
    ProviderNotConfigured,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from integrations.outbound import bounds, guard
from integrations.outbound.client import Outbound
from integrations.outbound.content import Content
from integrations.outbound.conversations import Conversations
from integrations.providers.base import Addresses, Call
from integrations.providers.email import actions, api, provider
from integrations.providers.email.addresses import mailboxes
from integrations.providers.email.credentials import EmailCredentials, from_settings
from integrations.providers.email.message import compose
from integrations.providers.email.params import SendEmail
from integrations.providers.email.provider import PROVIDER
from tests.fakes.certificates import Authority
from tests.fakes.dns import Dns
from tests.fakes.smtp import Mail, MailServer, ScriptedServer

HOST = "mail.example.com"
USER = "shop@example.com"
PASSWORD = "5ecret-pass"
TOKEN = "ya29.5ecret-token"
MAIL = {"to": "Ann <ann@example.com>", "subject": "Hello", "text": "Hi!"}
EHLO = b"250-mail.example.com\r\n250 HELP\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    memory.forget()
    yield
    memory.forget()


@pytest.fixture(autouse=True)
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    names = Dns(monkeypatch)
    names.answer(HOST, "127.0.0.1")
    return names


@pytest.fixture
def server(authority: Authority) -> Iterator[MailServer]:
    context = authority.server_context(HOST)
    with MailServer("starttls", context, users={USER: PASSWORD}, tokens={USER: TOKEN}) as started:
        yield started


@pytest.fixture
def plain() -> Iterator[MailServer]:
    with MailServer("none", users={USER: PASSWORD}) as started:
        yield started


def credentials(**given: Any) -> EmailCredentials:
    return EmailCredentials.model_validate(
        {"host": HOST, "user": USER, "pass": PASSWORD} | given,
    )


def call(
    server: MailServer | ScriptedServer,
    given: dict[str, Any] | None = None,
    *,
    key: str | None = None,
    loopback: bool = True,
    **more: Any,
) -> Call[EmailCredentials]:
    return Call(
        credentials=credentials(port=server.port, **(given or {}), **more),
        http=Outbound(),
        addresses=Addresses(),
        idempotency_key=key,
        allow_loopback=loopback,
    )


def send(caller: Call[EmailCredentials], **params: Any) -> Any:
    return actions.send_email(caller, SendEmail.model_validate(MAIL | params))


def sent(server: MailServer, caller: Call[EmailCredentials], **params: Any) -> Mail:
    send(caller, **params)
    return server.mails[-1]


def open_call(server: MailServer | ScriptedServer, **more: Any) -> Call[EmailCredentials]:
    given = {"user": None, "pass": None, "from": USER, "secure": "none"}
    return call(server, given | more)


def logins(server: MailServer) -> int:
    return len(server.attempts)


# -- Credentials -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "security"),
    [
        ({}, "starttls"),
        ({"port": 587}, "starttls"),
        ({"port": "465"}, "tls"),
        ({"port": 2525}, "starttls"),
        ({"port": 465, "secure": True}, "tls"),
        ({"port": 587, "secure": False}, "starttls"),
        ({"secure": "true"}, "tls"),
        ({"secure": "FALSE"}, "starttls"),
        ({"secure": "ssl"}, "tls"),
        ({"secure": "STARTTLS"}, "starttls"),
        ({"secure": "none"}, "none"),
        ({"secure": "", "port": 465}, "tls"),
        ({"secure": None}, "starttls"),
    ],
)
def test_the_security_follows_the_port_unless_it_is_given(
    given: dict[str, Any],
    security: str,
) -> None:
    assert credentials(**given).security == security


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"host": ""}, "name of a mail server"),
        ({"host": "smtp://mail.example.com"}, "name of a mail server"),
        ({"host": "mail.example.com:587"}, "name of a mail server"),
        ({"host": "a\r\nb"}, "name of a mail server"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"secure": "maybe"}, "starttls"),
        ({"secure": 7}, "starttls"),
        ({"user": None}, "go together"),
        ({"pass": None}, "go together"),
        ({"auth": "xoauth2"}, "accessToken"),
        ({"accessToken": TOKEN, "user": None, "from": USER}, "is required for xoauth2"),
        ({"user": "apikey"}, "from is required"),
        ({"user": None, "pass": None}, "from is required"),
        ({"from": "nobody"}, "not an e-mail address"),
        ({"from": "a@example.com, b@example.com"}, "one e-mail address"),
        ({"from": "a@example.com\r\nBcc: b@example.com"}, "line breaks"),
        ({"ssl": True}, "Extra inputs"),
    ],
)
def test_credentials_that_do_not_fit_say_why(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refusal:
        credentials(**given)
    assert "5ecret" not in str(refusal.value)


def test_the_names_are_those_of_the_api_and_no_secret_shows() -> None:
    saved = credentials(**{"from": "Shop <shop@example.com>", "accessToken": TOKEN})
    assert str(saved.sender) == "Shop <shop@example.com>"
    assert {"host", "port", "user", "pass", "from", "secure"} <= set(
        EmailCredentials.model_json_schema()["properties"]
    )
    assert "5ecret" not in repr(saved)
    assert EmailCredentials.model_validate(saved.model_dump(by_alias=True)) == saved


def test_the_stacks_settings_make_credentials_where_there_are_any() -> None:
    assert from_settings({}, "acme") is None
    assert from_settings({"smtpHost": "", "smtpPort": "587"}, "acme") is None
    made = from_settings(
        {
            "smtpHost": HOST,
            "smtpPort": "465",
            "smtpUser": "apikey",
            "smtpPass": PASSWORD,
            "smtpFrom": "Shop <shop@example.com>",
        },
        "acme",
    )
    assert made is not None
    assert (made.port, made.security, made.user) == (465, "tls", "apikey")
    assert made.password is not None
    assert made.password.get_secret_value() == PASSWORD


@pytest.mark.parametrize(
    "wrong",
    [{"smtpPort": "abc"}, {"smtpFrom": ""}, {"smtpUser": ""}, {"smtpFrom": "nobody"}],
)
def test_wrong_stack_settings_are_the_stacks_mistake(wrong: dict[str, str]) -> None:
    settings = {"smtpHost": HOST, "smtpUser": "apikey", "smtpPass": PASSWORD, "smtpFrom": USER}
    with pytest.raises(ProviderNotConfigured) as refusal:
        from_settings(settings | wrong, "acme")
    assert "5ecret" not in refusal.value.detail


# -- Test ------------------------------------------------------------------------------------


def test_the_test_logs_in_by_starttls_and_sends_nothing(server: MailServer) -> None:
    verified = provider.verify(call(server))
    assert verified.message == f"Connected to {HOST} as {USER}, sending from {USER}"
    assert verified.account.label == USER
    assert server.attempts == [("PLAIN", USER, True)]
    assert not server.mails


def test_implicit_tls_is_verified_and_used(authority: Authority) -> None:
    context = authority.server_context(HOST)
    with MailServer("tls", context, users={USER: PASSWORD}) as secure:
        mail = sent(secure, call(secure, secure=True))
        assert mail.over_tls
        assert mail.user == USER


def test_login_is_used_where_plain_is_not_offered(authority: Authority) -> None:
    context = authority.server_context(HOST)
    with MailServer("starttls", context, users={USER: "pässwörd"}, without=("PLAIN",)) as only:
        provider.verify(call(only, {"pass": "pässwörd"}))
        assert only.attempts == [("LOGIN", USER, True)]


def test_xoauth2_logs_in_by_token(server: MailServer) -> None:
    caller = call(server, {"pass": None}, accessToken=TOKEN)
    assert sent(server, caller).user == USER
    assert server.attempts == [("XOAUTH2", USER, True)]


def test_the_xoauth2_text_is_the_published_one() -> None:
    user, token = "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    expected = (
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhk"
        "SFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )
    challenge = b"334 " + base64.b64encode(b'{"status":"400"}') + b"\r\n"
    answers = (b"250-x\r\n250 AUTH XOAUTH2\r\n", challenge, b"535 5.7.8 Bad token\r\n")
    with ScriptedServer(b"220 x\r\n", *answers) as scripted:
        caller = call(scripted, {"pass": None}, user=user, accessToken=token, secure="none")
        with pytest.raises(CredentialsRejected, match=r"535 5\.7\.8 Bad token"):
            provider.verify(caller)
    assert scripted.lines_received[1:] == [f"AUTH XOAUTH2 {expected}\r\n".encode(), b"\r\n"]


@pytest.mark.parametrize("given", [{"pass": "5ecret-wrong"}, {"accessToken": "5ecret-old"}])
def test_a_wrong_login_is_tried_once_and_rejected(
    given: dict[str, Any], server: MailServer
) -> None:
    with pytest.raises(CredentialsRejected, match="535") as refusal:
        provider.verify(call(server, given))
    assert refusal.value.status == 535
    assert refusal.value.provider_code == "5.7.8"
    assert "5ecret" not in refusal.value.detail
    assert len(server.attempts) == 1


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        ("535 5.7.8 Username and Password not accepted", CredentialsRejected, "5.7.8"),
        ("534 5.7.9 Application-specific password required", CredentialsRejected, "5.7.9"),
        (
            "550 5.7.30 Basic authentication is not supported for Client Submission.",
            CredentialsRejected,
            "5.7.30",
        ),
        ("538 Encryption required", CredentialsRejected, "538"),
        ("454 4.7.0 Temporary authentication failure", ProviderUnavailable, "4.7.0"),
        ("421 4.3.2 Closing", ProviderUnavailable, "4.3.2"),
        ("drop", ProviderUnavailable, None),
    ],
)
def test_each_answer_to_a_login_has_its_meaning(
    reply: str,
    error: type[ProviderError],
    code: str | None,
    server: MailServer,
) -> None:
    server.reply("AUTH", reply)
    with pytest.raises(error) as failure:
        provider.verify(call(server))
    assert failure.value.provider_code == code


def test_a_reply_that_repeats_the_secret_does_not_give_it_away(server: MailServer) -> None:
    encoded = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    server.reply("AUTH", f"535 5.7.8 no {PASSWORD} and no {encoded} \x07here")
    with pytest.raises(CredentialsRejected) as refusal:
        provider.verify(call(server))
    assert refusal.value.detail == f"{HOST} answered 535 5.7.8 no … and no … here"


def test_a_server_that_offers_no_login_says_so(plain: MailServer) -> None:
    with MailServer("none") as anonymous, pytest.raises(RequestRejected, match="no log-in"):
        provider.verify(call(anonymous, secure="none"))
    with pytest.raises(RequestRejected, match="XOAUTH2 is needed"):
        provider.verify(call(plain, secure="none", accessToken=TOKEN))


def test_a_server_that_wants_a_login_says_so(authority: Authority) -> None:
    context = authority.server_context(HOST)
    with MailServer("starttls", context, users={USER: PASSWORD}, login_required=True) as strict:
        given = {"user": None, "pass": None, "from": USER}
        with pytest.raises(CredentialsRejected, match="530"):
            send(call(strict, given))


# -- TLS -------------------------------------------------------------------------------------


def test_nothing_goes_on_without_tls_where_starttls_is_not_offered(plain: MailServer) -> None:
    with pytest.raises(RequestRejected, match="offers no STARTTLS") as refusal:
        provider.verify(call(plain))
    assert refusal.value.provider_code == "no_starttls"
    assert not plain.attempts


def test_none_goes_without_tls_because_the_credentials_say_so(plain: MailServer) -> None:
    assert not sent(plain, call(plain, secure="none")).over_tls


def test_tls_on_a_plain_port_says_so(server: MailServer) -> None:
    with pytest.raises(RequestRejected, match="try secure: starttls"):
        provider.verify(call(server, secure="tls"))


def test_plain_on_a_tls_port_says_so(
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "REPLY_SECONDS", 0.3)
    with (
        MailServer("tls", authority.server_context(HOST)) as secure,
        pytest.raises(ProviderTimeout, match="secure: tls") as timeout,
    ):
        provider.verify(call(secure, secure="starttls"))
    assert not timeout.value.outcome_unknown


@pytest.mark.parametrize("secure", ["tls", "starttls"])
def test_a_certificate_for_another_name_is_refused(secure: Any, authority: Authority) -> None:
    context = authority.server_context("other.example.com")
    with MailServer(secure, context, users={USER: PASSWORD}) as other:
        with pytest.raises(RequestRejected, match="does not verify"):
            provider.verify(call(other, secure=secure))
        assert not other.attempts


@pytest.mark.parametrize("secure", ["tls", "starttls"])
def test_a_certificate_of_an_unknown_authority_is_refused(
    secure: Any,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    memory.forget()
    with MailServer(secure, authority.server_context(HOST), users={USER: PASSWORD}) as unknown:
        with pytest.raises(RequestRejected, match="does not verify"):
            provider.verify(call(unknown, secure=secure))
        assert not unknown.attempts


def test_what_was_said_before_starttls_does_not_count_after_it(authority: Authority) -> None:
    # A man in the middle could put answers before the handshake, to be read after it.
    answers = (b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n")
    with ScriptedServer(b"220 x\r\n", *answers) as injecting, pytest.raises(ProviderError):
        provider.verify(call(injecting))
    assert not any(line.startswith(b"AUTH") for line in injecting.lines_received)


# -- The introduction ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "example.com"),
        ({"from": "Shop <shop@bücher.example>"}, "xn--bcher-kva.example"),
        ({"heloName": "mail.example.net"}, "mail.example.net"),
    ],
)
def test_we_introduce_ourselves_by_the_senders_domain_or_a_setting(
    given: dict[str, Any], name: str
) -> None:
    with ScriptedServer(b"220 x\r\n", b"250 x\r\n", b"250 x\r\n") as scripted:
        provider.verify(open_call(scripted, **given))
    assert scripted.lines_received[0] == f"ehlo {name}\r\n".encode()


@pytest.mark.parametrize(
    ("answers", "error", "reason"),
    [
        ([b"421 4.7.0 too many from you (EHLO)\r\n"], ProviderUnavailable, "421 4.7.0 too many"),
        ([b"550 5.7.1 your name is bad\r\n"], RequestRejected, "550 5.7.1 your name is bad"),
        ([b"502 no EHLO\r\n", b"554 nor HELO\r\n"], RequestRejected, "502 no EHLO"),
        ([b"250-x\r\n250 STARTTLS\r\n", b"454 4.7.0 no TLS\r\n"], ProviderUnavailable, "454"),
    ],
)
def test_the_servers_own_reason_is_told(
    answers: list[bytes], error: type[ProviderError], reason: str
) -> None:
    secure = "starttls" if len(answers) > 1 and b"STARTTLS" in answers[0] else "none"
    with ScriptedServer(b"220 x\r\n", *answers) as scripted, pytest.raises(error) as failure:
        provider.verify(open_call(scripted, secure=secure))
    assert reason in failure.value.detail


def test_an_old_server_without_ehlo_is_asked_by_helo() -> None:
    answers = (b"500 what?\r\n", b"250 x\r\n", b"250 x\r\n")
    with ScriptedServer(b"220 x\r\n", *answers) as old:
        provider.verify(open_call(old))
    assert [line[:4] for line in old.lines_received] == [b"ehlo", b"helo", b"NOOP"]


def test_what_a_server_says_while_a_message_is_still_sent_is_its_reason() -> None:
    answers = (b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n552 5.3.4 too big\r\n")
    with (
        ScriptedServer(b"220 x\r\n", *answers) as small,
        pytest.raises(RequestRejected, match=r"552 5\.3\.4 too big"),
    ):
        send(open_call(small), text="x" * 4_000_000)


@pytest.mark.parametrize("name", ["a b.example", "x\r\ny", "-", "[127.0.0.1]"])
def test_a_name_that_no_server_has_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        credentials(heloName=name)


# -- The guard -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1"])
def test_a_mail_server_inside_is_refused(address: str, dns: Dns) -> None:
    dns.answer("inside.example.com", address)
    caller = Call(
        credentials=credentials(host="inside.example.com"), http=Outbound(), addresses=Addresses()
    )
    with pytest.raises(AddressRefused, match="not public"):
        provider.verify(caller)


def test_only_the_ports_of_mail_servers_are_connected_to(server: MailServer) -> None:
    with pytest.raises(AddressRefused, match="is not for mail"):
        provider.verify(call(server, loopback=False))


def test_a_server_that_does_not_exist_is_unavailable() -> None:
    caller = Call(
        credentials=credentials(host="nowhere.example.com"), http=Outbound(), addresses=Addresses()
    )
    with pytest.raises(ProviderUnavailable, match="not found"):
        provider.verify(caller)


@pytest.mark.parametrize(
    ("greeting", "error", "reason"),
    [
        (b"554 5.7.1 go away\r\n", RequestRejected, "554 5.7.1 go away"),
        (b"421 4.3.2 busy\r\n", ProviderUnavailable, "421"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProviderUnavailable, "as a mail server"),
        (b"\xff\xfe\r\n", ProviderUnavailable, "as a mail server"),
        (b"220-" + b"x" * 9000 + b"\r\n", ProviderError, ""),
        (b"", ProviderUnavailable, "closed the connection"),
    ],
)
def test_a_strange_greeting_is_understood_as_what_it_is(
    greeting: bytes,
    error: type[ProviderError],
    reason: str,
) -> None:
    with ScriptedServer(greeting) as strange, pytest.raises(error) as failure:
        provider.verify(open_call(strange))
    assert reason in failure.value.detail


def test_an_endless_reply_ends_at_the_budget() -> None:
    with (
        ScriptedServer(b"220-more\r\n" * 60_000) as endless,
        pytest.raises(ProviderUnavailable, match="too large"),
    ):
        provider.verify(open_call(endless))


def test_a_conversation_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "TOTAL_SECONDS", 0.3)
    with ScriptedServer(b"220 x\r\n", silent=True) as slow, pytest.raises(ProviderTimeout):
        provider.verify(open_call(slow))


def test_the_deadline_of_a_conversation_counts_from_before_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "TOTAL_SECONDS", 0.3)
    given: list[float] = []

    def refuse(*_: Any, seconds: float, **__: Any) -> None:
        given.append(seconds)
        raise ProviderTimeout("nobody there")

    monkeypatch.setattr(guard, "connect", refuse)
    with ScriptedServer(b"220 x\r\n") as any_server, pytest.raises(ProviderTimeout):
        provider.verify(open_call(any_server))
    assert 0 < given[0] <= 0.3


def test_a_conversation_has_no_more_time_than_whoever_asks() -> None:
    with ScriptedServer(b"220 x\r\n", silent=True) as slow, pytest.raises(ProviderTimeout):
        provider.verify(replace(open_call(slow), time_left=lambda: 0.3))


def test_where_no_time_is_left_no_conversation_begins() -> None:
    with ScriptedServer(b"220 x\r\n") as any_server, pytest.raises(ProviderTimeout) as late:
        provider.verify(replace(open_call(any_server), time_left=lambda: -1.0))
    assert not late.value.outcome_unknown
    assert not any_server.lines_received


def test_after_its_deadline_a_conversation_says_nothing_more() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        over = bounds.Flight(allow_loopback=False, deadline=0, read_timeout=1)
        conversation = api._Smtp(ours, "shop.example.com", over)
        with pytest.raises(TimeoutError):
            conversation.putcmd("NOOP")
        theirs.setblocking(False)  # noqa: FBT003
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        conversation.close()


# -- Sending ---------------------------------------------------------------------------------


def test_a_message_arrives_as_it_was_meant(server: MailServer) -> None:
    result = send(
        call(server, {"from": "Café Shop <shop@example.com>"}, key="exec-1/mail"),
        to=["Ann <ann@example.com>", '"Doe, Jörg" <joerg@dömäin.example>'],
        cc="bob@example.com, carl@example.com",
        bcc="secret@example.com",
        replyTo="Help <help@example.com>",
        subject="Bestellung 42 für dich 🌵 " + "und mehr " * 20,
        text="Grüß Gott\n.\n.dot\nend",
        html="<p>Grüß <b>Gott</b></p>",
        headers={"X-Order": "42", "List-Unsubscribe": f"<https://example.com/{'u' * 120}>"},
    )
    mail = server.mails[-1]
    message = mail.message
    assert mail.sender == "shop@example.com"
    assert mail.recipients == [
        "ann@example.com",
        "joerg@xn--dmin-moa0i.example",
        "bob@example.com",
        "carl@example.com",
        "secret@example.com",
    ]
    assert result["accepted"] == mail.recipients
    assert result["refused"] == []
    assert result["response"].startswith("2.0.0 queued")
    assert result["messageId"] == message["Message-ID"]
    assert message["From"] == "Café Shop <shop@example.com>"
    assert '"Doe, Jörg" <joerg@xn--dmin-moa0i.example>' in message["To"]
    assert message["Cc"] == "bob@example.com, carl@example.com"
    assert message["Reply-To"] == "Help <help@example.com>"
    assert message["Subject"].startswith("Bestellung 42 für dich 🌵 und mehr")
    assert message["X-Order"] == "42"
    assert f"https://example.com/{'u' * 120}".encode() in mail.raw
    # "GMT" in its place is what https://www.rfc-editor.org/rfc/rfc5322#section-4.3 gave up.
    assert message["Date"].endswith(" +0000")
    assert b"secret@example.com" not in mail.raw
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == "Grüß Gott\n.\n.dot\nend\n"
    assert "<b>Gott</b>" in html.get_content()
    assert mail.raw.isascii()
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 998
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")


def test_files_and_inline_images_are_where_they_belong(server: MailServer) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\xff").decode()
    mail = sent(
        server,
        call(server),
        text="see",
        html='<img src="cid:logo">',
        attachments=[
            {"fileName": "logo.png", "contentBase64": png, "cid": "logo"},
            {"fileName": "Rechnung für März.pdf", "contentBase64": png},
            {"fileName": "note.txt", "contentBase64": "Z3LDvMOf", "contentType": "text/plain"},
            {"fileName": "old.eml", "contentBase64": "RnJvbTogYUBi"},
        ],
    )
    message = mail.message
    assert message.get_content_type() == "multipart/mixed"
    content, *files = message.iter_parts()
    assert content.get_content_type() == "multipart/alternative"
    related = list(content.iter_parts())[-1]
    assert related.get_content_type() == "multipart/related"
    image = list(related.iter_parts())[-1]
    assert image["Content-ID"] == "<logo>"
    assert image.get_content() == b"\x89PNG\r\n\xff"
    assert image.get_content_disposition() == "inline"
    assert [part.get_filename() for part in files] == [
        "Rechnung für März.pdf",
        "note.txt",
        "old.eml",
    ]
    assert [part.get_content_type() for part in files] == [
        "application/pdf",
        "text/plain",
        "application/octet-stream",
    ]
    assert files[0].get_content() == b"\x89PNG\r\n\xff"


def test_html_alone_is_html_and_a_file_alone_is_a_file(server: MailServer) -> None:
    html = sent(server, call(server), text=None, html="<p>x</p>").message
    assert html.get_content_type() == "text/html"
    png = {"fileName": "a.png", "contentBase64": "iVBORw0KGgo="}
    alone = sent(server, call(server), text=None, attachments=[png]).message
    assert [part.get_content_type() for part in alone.iter_attachments()] == ["image/png"]


def test_a_thread_is_kept_together_by_ids_of_any_length(server: MailServer) -> None:
    long = f"<{'x' * 150}@prod.exchange.example.com>"
    mail = sent(server, call(server), inReplyTo=long, references=f"<a@example.com> {long}")
    assert f"In-Reply-To: {long}\r\n".encode() in mail.raw
    assert f"References: <a@example.com>\r\n {long}\r\n".encode() in mail.raw
    answered = sent(server, call(server), inReplyTo="b@example.com").message
    assert answered["In-Reply-To"] == answered["References"] == "<b@example.com>"


def test_a_repetition_has_the_same_message_id_and_other_steps_have_not(server: MailServer) -> None:
    ids = [
        send(call(server, key=key))["messageId"]
        for key in ("exec-1:mail", "exec-1:mail", "exec-2:mail", None, None)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert all(message_id.endswith("@example.com>") for message_id in ids)


def test_numbers_and_empty_texts_of_templates_fit(server: MailServer) -> None:
    mail = sent(server, call(server), subject=42, text=19.9, headers={"X-Order": 7}, cc="", html="")
    assert mail.message["Subject"] == "42"
    assert mail.message["X-Order"] == "7"


def test_the_sender_can_be_chosen_on_a_connection_of_ones_own(server: MailServer) -> None:
    mail = sent(server, call(server), **{"from": "Sales <sales@example.com>"})
    assert mail.sender == "sales@example.com"
    assert mail.message["From"] == "Sales <sales@example.com>"


def test_nobody_chooses_the_sender_of_the_stacks_mail_server(plain: MailServer) -> None:
    sender = f"The stack <{USER}>"
    settings = {"smtpHost": HOST, "smtpPort": str(plain.port), "smtpFrom": sender}
    made = from_settings(settings | {"smtpSecure": "none"}, "acme")
    assert made is not None
    caller = Call(credentials=made, http=Outbound(), addresses=Addresses(), allow_loopback=True)
    with pytest.raises(InvalidParams, match="alone"):
        send(caller, **{"from": "boss@example.com"})
    for chosen in ({"from": f"Other name <{USER}>"}, {"from": USER}, {}):
        mail = sent(plain, caller, **chosen)
        assert mail.sender == USER
        assert mail.message["From"] == sender


@pytest.mark.parametrize(
    ("named", "tenant", "may"),
    [
        ("", "acme", True),
        ("acme", "acme", True),
        (" beta , acme,", "acme", True),
        ("beta", "acme", False),
        ("acme2, ACME", "acme", False),
        (" , ", "acme", True),
    ],
)
def test_the_stack_may_name_the_tenants_of_its_mail_server(
    named: str, tenant: str, *, may: bool
) -> None:
    settings = {"smtpHost": HOST, "smtpFrom": USER, "smtpTenants": named}
    assert (from_settings(settings, tenant) is not None) == may


def test_international_addresses_go_by_smtputf8(server: MailServer) -> None:
    mail = sent(server, call(server), to="Jörg <jörg@example.com>")
    assert mail.recipients == ["jörg@example.com"]
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(mail.options)
    assert "<jörg@example.com>".encode() in mail.raw
    assert mail.message["To"] == "Jörg <jörg@example.com>"
    hidden = sent(server, call(server), bcc="jörg@example.com")
    assert hidden.recipients == ["ann@example.com", "jörg@example.com"]
    assert hidden.raw.isascii()


def test_international_addresses_need_a_server_that_takes_them() -> None:
    with MailServer("none", utf8=False) as old:
        with pytest.raises(RequestRejected, match="SMTPUTF8"):
            send(open_call(old), to="jörg@example.com")
        assert not old.mails
    answers = (b"500 what?\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n")
    with (
        ScriptedServer(b"220 x\r\n", *answers) as without_ehlo,
        pytest.raises(RequestRejected, match="SMTPUTF8"),
    ):
        send(open_call(without_ehlo), to="jörg@example.com")


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("faß.de", "xn--fa-hia.de"),
        ("FAß.DE", "xn--fa-hia.de"),
        ("βόλος.com", "xn--nxasmm1c.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("Example.COM", "Example.COM"),
        ("r3---sn.example.com", "r3---sn.example.com"),
    ],
)
def test_mail_goes_to_the_domain_that_was_typed(typed: str, written: str) -> None:
    params = SendEmail.model_validate(MAIL | {"to": f"ann@{typed}"})
    assert params.recipients == [f"ann@{written}"]
    if not typed.isascii():
        assert idna.decode(written) == unicodedata.normalize("NFC", typed.lower())


@pytest.mark.parametrize("name", ["👩\u200d💻 Ann", "\u0645\u06cc\u200c\u062e"])
def test_joiners_belong_to_names(name: str) -> None:
    SendEmail.model_validate(MAIL | {"to": f"{name} <ann@example.com>"})


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"to": ""}, "recipients"),
        ({"to": []}, "recipients"),
        ({"to": "nobody"}, "not an e-mail address"),
        ({"to": "a@b@c"}, "not an e-mail address"),
        ({"to": "Ann <>"}, "not an e-mail address"),
        ({"to": "a b@example.com"}, "not an e-mail address"),
        ({"to": "a@-example.com"}, "not an e-mail address"),
        ({"to": "\ufeffann@example.com"}, "invisible character"),
        ({"to": "an\u200bn@example.com"}, "invisible character"),
        ({"to": "\u202eAnn <ann@example.com>"}, "invisible character"),
        ({"to": "ann@exam\u00adple.com"}, "not an e-mail address"),
        ({"to": "ann@\uff45xample.com"}, "not an e-mail address"),
        ({"to": "ann@example\u3002com"}, "not an e-mail address"),
        ({"to": "ann@xn--a.example"}, "not an e-mail address"),
        ({"cc": "ann@\u2100.example"}, "not an e-mail address"),
        ({"to": "a@example.com\r\nBcc: b@example.com"}, "line breaks"),
        ({"to": "Ann\n <a@example.com>"}, "line breaks"),
        ({"cc": ["a@example.com", "b\r\n@example.com"]}, "line breaks"),
        ({"bcc": [f"a{i}@example.com" for i in range(101)]}, "1 to 100"),
        ({"replyTo": "x"}, "not an e-mail address"),
        ({"from": "a@example.com, b@example.com"}, "one e-mail address"),
        ({"subject": "Hi\r\nBcc: b@example.com"}, "line breaks"),
        ({"subject": "Hi\nthere"}, "line breaks"),
        ({"subject": "x" * 1000}, "900"),
        ({"text": None}, "text or html"),
        ({"text": "\ud800"}, "(?s)."),
        ({"text": "a\x00b"}, "characters"),
        ({"headers": {"X-A": "1\r\nBcc: b@example.com"}}, "line breaks"),
        ({"headers": {"X-A\r\nBcc": "b@example.com"}}, "not the name"),
        ({"headers": {"X A": "1"}}, "not the name"),
        ({"headers": {"Bcc": "b@example.com"}}, "set by us"),
        ({"headers": {"Content-Type": "text/html"}}, "set by us"),
        ({"headers": {"from": "b@example.com"}}, "set by us"),
        ({"inReplyTo": "<a@b>\r\nBcc: x@y.z"}, "message ids"),
        ({"references": ["nothing"]}, "message ids"),
        ({"attachments": [{"fileName": "a\r\nb", "contentBase64": ""}]}, "line breaks"),
        ({"attachments": [{"fileName": "a", "contentBase64": "!!"}]}, "base64"),
        (
            {"attachments": [{"fileName": "a", "contentBase64": "", "contentType": "x\r\ny/z"}]},
            "media type",
        ),
        (
            {"attachments": [{"fileName": "a", "contentBase64": "", "cid": "logo"}]},
            "where an attachment has a cid",
        ),
        (
            {"html": "x", "attachments": [{"fileName": "a", "contentBase64": "", "cid": "<x>"}]},
            "pattern",
        ),
        ({"attachments": [{"fileName": "a", "contentBase64": "AAAA" * 18_000_000}]}, "bytes"),
        ({"body": "x"}, "Extra inputs"),
    ],
)
def test_a_message_that_does_not_fit_says_why(params: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SendEmail.model_validate(MAIL | params)


names = st.text(max_size=60)


@given(name=names, subject=names, value=names, file_name=names)
def test_no_text_whatever_becomes_a_header_of_its_own(
    name: str,
    subject: str,
    value: str,
    file_name: str,
) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    try:
        params = SendEmail.model_validate(
            {
                "to": f'"{quoted}" <ann@example.com>',
                "subject": subject,
                "text": value,
                "headers": {"X-Value": value},
                "attachments": [{"fileName": file_name, "contentBase64": "QQ=="}],
            }
        )
    except ValidationError:
        return
    sender = credentials().sender
    raw = b"".join(Content.joined(compose(params, sender, "<id@example.com>", bytes)))
    head, _, _ = raw.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if line[:1] not in {b" ", b"\t"}]
    assert {line.partition(b":")[0] for line in lines} <= {
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"X-Value", b"MIME-Version",
        b"Content-Type", b"Content-Transfer-Encoding",
    }  # fmt: skip
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")


# -- Refusals --------------------------------------------------------------------------------


def test_a_partial_refusal_is_told_per_recipient(server: MailServer) -> None:
    server.refused = {
        "bob@example.com": "550 5.1.1 No such user",
        "carl@example.com": "450 4.2.1 Mailbox busy",
    }
    result = send(call(server), cc="bob@example.com, carl@example.com")
    assert result["accepted"] == server.mails[0].recipients == ["ann@example.com"]
    assert result["refused"] == [
        {
            "address": "bob@example.com",
            "status": 550,
            "code": "5.1.1",
            "message": f"{HOST} answered 550 5.1.1 No such user",
        },
        {
            "address": "carl@example.com",
            "status": 450,
            "code": "4.2.1",
            "message": f"{HOST} answered 450 4.2.1 Mailbox busy",
        },
    ]


def test_a_message_that_no_recipient_takes_is_rejected(server: MailServer) -> None:
    server.refused = {"ann@example.com": "550 5.1.1 No such user"}
    with pytest.raises(RequestRejected, match="No such user") as refusal:
        send(call(server))
    assert refusal.value.status == 550
    assert refusal.value.data["refused"]
    assert not server.mails


def test_a_message_that_somebody_may_take_later_is_worth_another_try(server: MailServer) -> None:
    server.refused = {
        "ann@example.com": "550 5.1.1 No such user",
        "bob@example.com": "450 4.7.1 Greylisted, come back",
    }
    with pytest.raises(ProviderUnavailable, match="Greylisted") as failure:
        send(call(server), cc="bob@example.com")
    assert failure.value.retry_after == 300
    assert not failure.value.outcome_unknown


@pytest.mark.parametrize("command", ["MAIL", "DATA"])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("550 5.7.1 Sender refused", RequestRejected),
        ("552 5.3.4 Too big", RequestRejected),
        ("554 5.6.0 Looks like spam", RequestRejected),
        ("530 5.7.0 Must issue a STARTTLS command first", CredentialsRejected),
        ("451 4.3.0 Try later", ProviderUnavailable),
        ("452 4.3.1 No space", ProviderUnavailable),
        ("421 4.3.2 Closing", ProviderUnavailable),
    ],
)
def test_each_refusal_of_a_message_has_its_meaning(
    command: Any,
    reply: str,
    error: type[ProviderError],
    server: MailServer,
) -> None:
    server.reply(command, reply)
    with pytest.raises(error, match=reply[:3]) as failure:
        send(call(server))
    assert failure.value.status == int(reply[:3])
    assert not getattr(failure.value, "outcome_unknown", False)
    assert not server.mails


def test_a_server_that_dies_after_the_message_leaves_the_outcome_unknown(
    server: MailServer,
) -> None:
    server.reply("DATA", "drop")
    with pytest.raises(ProviderUnavailable, match="may have been accepted") as failure:
        send(call(server))
    assert failure.value.outcome_unknown


def test_a_server_that_dies_before_the_message_has_surely_not_got_it(server: MailServer) -> None:
    server.reply("MAIL", "drop")
    with pytest.raises(ProviderUnavailable) as failure:
        send(call(server))
    assert not failure.value.outcome_unknown


def test_a_server_that_is_silent_after_the_message_leaves_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "REPLY_SECONDS", 0.3)
    answers = (EHLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")
    with (
        ScriptedServer(b"220 x\r\n", *answers, silent=True) as silent,
        pytest.raises(ProviderTimeout) as timeout,
    ):
        send(open_call(silent))
    assert timeout.value.outcome_unknown


def test_a_failing_good_bye_does_not_spoil_a_message_that_was_taken() -> None:
    answers = (EHLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")
    with ScriptedServer(b"220 x\r\n", *answers, b"250 taken\r\n") as dying:
        assert send(open_call(dying))["response"] == "taken"


# -- One conversation for many mails ---------------------------------------------------------


def test_the_mails_of_one_run_share_a_conversation(server: MailServer) -> None:
    with closing(Conversations()) as conversations:
        caller = replace(call(server), conversations=conversations)
        for number in range(3):
            send(caller, subject=f"Letter {number}")
    assert [mail.message["Subject"] for mail in server.mails] == [
        "Letter 0",
        "Letter 1",
        "Letter 2",
    ]
    assert logins(server) == 1
    send(call(server))
    assert logins(server) == 2, "a call of its own has a conversation of its own"


@pytest.mark.parametrize("reply", ["drop", "421 4.7.0 Too many messages, try again"])
def test_a_server_that_hung_up_between_two_mails_gets_the_next_one_anew(
    server: MailServer, reply: str
) -> None:
    with closing(Conversations()) as conversations:
        caller = replace(call(server), conversations=conversations)
        send(caller)
        server.reply("RSET", reply)
        send(caller)
    assert (len(server.mails), logins(server)) == (2, 2)


def test_a_mail_that_fails_leaves_no_conversation_behind(server: MailServer) -> None:
    with closing(Conversations()) as conversations:
        caller = replace(call(server), conversations=conversations)
        send(caller)
        server.reply("DATA", "550 5.7.1 Spam")
        with pytest.raises(RequestRejected, match="Spam"):
            send(caller)
        send(caller)
    assert (len(server.mails), logins(server)) == (2, 2)


def test_other_credentials_are_another_conversation(authority: Authority) -> None:
    users = {USER: PASSWORD, "other@example.com": "0ther-pass"}
    with (
        MailServer("starttls", authority.server_context(HOST), users=users) as server,
        closing(Conversations()) as conversations,
    ):
        for user, password in users.items():
            caller = call(server, {"user": user, "pass": password})
            send(replace(caller, conversations=conversations))
        assert [mail.user for mail in server.mails] == list(users)


def test_a_conversation_ends_after_so_many_mails_and_after_so_long(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_MAILS", 2)
    with closing(Conversations()) as some:
        for _ in range(3):
            send(replace(call(server), conversations=some))
    assert logins(server) == 2
    monkeypatch.setattr("integrations.outbound.conversations.IDLE_TIMEOUT", 0.0)
    with closing(Conversations()) as late:
        for _ in range(2):
            send(replace(call(server), conversations=late))
    assert logins(server) == 4


def test_a_message_over_the_servers_limit_is_not_even_begun() -> None:
    with MailServer("none", size=1000) as small:
        with pytest.raises(RequestRejected, match="up to 1000 bytes"):
            send(open_call(small), text="x" * 2000)
        assert not small.mails


@pytest.mark.parametrize("size", ["²", "٣", "1000x", "", "9" * 400])
def test_a_limit_that_is_no_number_is_none(size: str) -> None:
    offer = f"250-x\r\n250 SIZE {size}\r\n".encode()
    answers = (offer, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 taken\r\n")
    with ScriptedServer(b"220 x\r\n", *answers) as odd:
        assert send(open_call(odd))["response"] == "taken"


# -- The whole -------------------------------------------------------------------------------


def test_the_provider_is_complete_and_its_examples_fit() -> None:
    assert PROVIDER.id == "email"
    for action in PROVIDER.actions:
        action.params.model_validate(dict(action.example))
    # A repetition carries the same Message-ID, but few receivers drop it for that.
    assert not PROVIDER.action("sendEmail").idempotent
    assert PROVIDER.stack_credentials is from_settings


@pytest.mark.parametrize(
    "text", ["a:" * 1000, "(" * 500 + ")" * 500, "a@b:" * 1000, "ann@example.com," * 4000]
)
def test_what_is_nested_or_long_beyond_reason_is_no_address(text: str) -> None:
    for field, wrong in {"to": text, "cc": [text], "from": text[:300]}.items():
        with pytest.raises(ValidationError):
            SendEmail.model_validate({"to": "ann@example.com", "text": "x", field: wrong})
    with pytest.raises(ValueError, match=r"nested too deeply|at most"):
        mailboxes(text)


@pytest.mark.parametrize("wrong", ["s3cret" * 20, "s3\u202ecret" * 20 + "@example.com"])
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("{}", r"(address|character)"),
        ("ann@example.com, {}", r"\(number 2\)"),
        (["ann@example.com", "ben@example.com", "{}"], r"\(number 3\)"),
    ],
)
def test_a_wrong_address_is_told_by_its_place_and_never_repeated(
    given: str | list[str], place: str, wrong: str
) -> None:
    # Cut, it would hold half of a secret, which nothing masks.
    texts = given.format(wrong) if isinstance(given, str) else [e.format(wrong) for e in given]
    with pytest.raises(ValueError, match=f"{place}$") as refusal:
        mailboxes(texts)
    assert "s3" not in str(refusal.value)


def test_an_item_of_a_list_is_one_mailbox_whatever_commas_it_holds() -> None:
    for to in (["ann@example.com, eve@example.com"], ["ann@example.com", "a@b.de,c@d.de"]):
        with pytest.raises(ValidationError, match="not one e-mail address"):
            SendEmail.model_validate({"to": to, "text": "x"})
    made = SendEmail.model_validate({"to": [["ann@example.com", ""], None, "b@c.de"], "text": "x"})
    assert made.recipients == ["ann@example.com", "b@c.de"]
