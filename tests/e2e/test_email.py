"""E-mail through the deployed stack and a mail server on loopback, its certificates verified."""

import base64
import json
import uuid
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MAIL_USER, Client, StandIns
from tests.fakes.certificates import Authority
from tests.fakes.smtp import Mail, MailServer, ScriptedServer

pytestmark = pytest.mark.e2e

USER = "shop@example.com"
PASSWORD = "5ecret-pass-of-the-shop"
TOKEN = "ya29.5ecret-token-of-the-shop"
MAIL = {"to": "Ann <ann@example.com>", "subject": "Order 42", "text": "Thank you!"}


@pytest.fixture(scope="module")
def starttls(authority: Authority) -> Iterator[MailServer]:
    context = authority.server_context("localhost")
    with MailServer("starttls", context, users={USER: PASSWORD}, tokens={USER: TOKEN}) as server:
        yield server


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Iterator[MailServer]:
    with MailServer("tls", authority.server_context("localhost"), users={USER: PASSWORD}) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[MailServer]:
    with MailServer("none") as server:
        yield server


def account(server: MailServer | ScriptedServer, **more: Any) -> dict[str, Any]:
    return {
        "host": "localhost",
        "port": server.port,
        "user": USER,
        "pass": PASSWORD,
        "from": f"The shop <{USER}>",
        **more,
    }


@pytest.fixture
def shop(client: Client, starttls: MailServer) -> Client:
    client.save("email", account(starttls))
    return client


def send(client: Client, server: MailServer, **params: Any) -> tuple[Any, Mail]:
    result = client.act("email", "sendEmail", MAIL | params)
    return result, server.mails[-1]


# -- Its life --------------------------------------------------------------------------------


def test_an_account_is_tested_saved_shown_used_and_removed_and_its_password_never_shown(
    client: Client, starttls: MailServer
) -> None:
    path, given = "/api/integrations/email", {"credentials": account(starttls)}
    before = len(starttls.mails)

    tested = client.post(f"{path}/test", given)
    saved = client.post(f"{path}/credentials", given)
    shown = client.get(f"{path}/credentials")
    again = client.post(f"{path}/test", {})
    assert len(starttls.mails) == before
    sent = client.post(f"{path}/actions/sendEmail", {"params": MAIL})
    deleted = client.delete(f"{path}/credentials")

    answers = [tested, saved, shown, again, sent, deleted]
    assert [answer.status_code for answer in answers] == [200] * 6, [a.text for a in answers]
    text = "".join(answer.text for answer in answers)
    assert PASSWORD not in text
    assert base64.b64encode(PASSWORD.encode()).decode() not in text
    assert tested.json()["success"] is True
    assert shown.json()["account"]["label"] == USER
    mail = starttls.mails[-1]
    assert mail.over_tls
    assert mail.user == USER
    assert mail.recipients == ["ann@example.com"]
    assert sent.json()["result"]["messageId"] == mail.message["Message-ID"]
    assert sent.json()["result"]["accepted"] == ["ann@example.com"]


def test_implicit_tls_and_an_oauth_token_work_as_well(
    client: Client, starttls: MailServer, tls: MailServer
) -> None:
    by_token = account(starttls, accessToken=TOKEN)
    del by_token["pass"]
    client.save("email", account(tls, secure=True), "implicit")
    client.save("email", by_token, "token")

    for name in ("implicit", "token"):
        client.act("email", "sendEmail", MAIL, name)

    assert (tls.mails[-1].user, tls.mails[-1].over_tls) == (USER, True)
    assert starttls.attempts[-1] == ("XOAUTH2", USER, True)
    assert starttls.mails[-1].over_tls


def test_who_has_no_account_sends_by_the_stacks_and_cannot_choose_the_sender(
    client: Client, stand_ins: StandIns
) -> None:
    result, mail = send(client, stand_ins.mail)

    assert result["accepted"] == ["ann@example.com"]
    assert (mail.user, mail.sender, mail.over_tls) == (MAIL_USER, MAIL_USER, True)
    client.refused_action(
        "email.sendEmail", MAIL | {"from": "boss@example.com"}, 422, "invalid_params"
    )
    assert client.get("/api/integrations/status").json()["email"]["status"] == "disconnected"


# -- What it sends ---------------------------------------------------------------------------


def test_a_message_has_all_its_parts_and_bcc_is_in_the_envelope_alone(
    shop: Client, starttls: MailServer
) -> None:
    image, file = b"\x89PNG image", b"%PDF file"
    _, mail = send(
        shop,
        starttls,
        to=["Ann <ann@example.com>", "ben@example.com"],
        cc="cc@example.com",
        bcc="hidden@example.com",
        replyTo="answers@example.com",
        subject="Grüße ✓",
        text="Plain",
        html='<p>Rich <img src="cid:logo"></p>',
        attachments=[
            {
                "fileName": "logo.png",
                "contentBase64": base64.b64encode(image).decode(),
                "cid": "logo",
            },
            {"fileName": "invoice.pdf", "contentBase64": base64.b64encode(file).decode()},
        ],
        headers={"List-Unsubscribe": "<https://example.com/unsubscribe>"},
        inReplyTo="<first@example.com>",
    )

    message = mail.message
    assert mail.recipients == [
        "ann@example.com",
        "ben@example.com",
        "cc@example.com",
        "hidden@example.com",
    ]
    assert b"hidden@example.com" not in mail.raw
    assert message["Subject"] == "Grüße ✓"
    assert message["Reply-To"] == "answers@example.com"
    assert message["References"] == message["In-Reply-To"] == "<first@example.com>"
    assert message["List-Unsubscribe"] == "<https://example.com/unsubscribe>"
    parts = {part.get_content_type(): part for part in message.walk()}
    assert parts["text/plain"].get_content().strip() == "Plain"
    assert parts["image/png"]["Content-ID"] == "<logo>"
    assert parts["image/png"].get_payload(decode=True) == image
    (attached,) = message.iter_attachments()
    assert isinstance(attached, EmailMessage)
    assert (attached.get_filename(), attached.get_content()) == ("invoice.pdf", file)


def test_recipients_that_are_refused_are_told_one_by_one(
    shop: Client, starttls: MailServer
) -> None:
    starttls.refused["gone@example.com"] = "550 5.1.1 No such user"

    result, mail = send(shop, starttls, to="ann@example.com, gone@example.com")
    refused = shop.refused_action(
        "email.sendEmail", MAIL | {"to": "gone@example.com"}, 422, "request_rejected"
    )

    assert result["accepted"] == mail.recipients == ["ann@example.com"]
    (one,) = result["refused"]
    assert (one["address"], one["status"], one["code"]) == ("gone@example.com", 550, "5.1.1")
    assert "No such user" in refused["detail"]


@pytest.mark.parametrize(
    "params",
    [
        {"subject": "Hello\r\nBcc: victim@example.com"},
        {"to": "ann@example.com\r\nBcc: victim@example.com"},
        {"from": "boss@example.com\nX: y"},
        {"headers": {"X-Ok": "a\r\nBcc: victim@example.com"}},
        {"headers": {"X-Bad\r\nBcc": "victim@example.com"}},
        {"headers": {"Bcc": "victim@example.com"}},
        {"to": "no address"},
        {"to": ""},
        {"text": None},
        {"attachments": [{"fileName": "a", "contentBase64": "!"}]},
        {"surplus": 1},
    ],
    ids=str,
)
def test_what_is_no_mail_or_would_smuggle_a_header_is_refused_and_nothing_sent(
    shop: Client, starttls: MailServer, params: dict[str, Any]
) -> None:
    before = len(starttls.mails)

    shop.refused_action("email.sendEmail", MAIL | params, 422, "invalid_params")

    assert len(starttls.mails) == before


# -- What goes wrong -------------------------------------------------------------------------


def test_tls_from_the_start_on_a_port_that_speaks_plainly_says_what_to_try(
    client: Client, starttls: MailServer
) -> None:
    refused = client.refused_save("email", account(starttls, secure=True), 422, "request_rejected")

    assert "starttls" in refused["detail"]
    assert refused["provider"]["code"] == "tls_failed"


def test_nothing_goes_out_without_tls_unless_the_credentials_say_so(
    client: Client, plain: MailServer
) -> None:
    without_login = {"host": "localhost", "port": plain.port, "from": USER}

    refused = client.refused_save("email", without_login, 422, "request_rejected")
    client.save("email", without_login | {"secure": "none"})
    _, mail = send(client, plain)

    assert "offers no STARTTLS" in refused["detail"]
    assert mail.over_tls is False


def test_a_certificate_for_another_name_or_of_another_authority_is_refused(
    client: Client, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    contexts = [
        authority.server_context("mail.example.com"),
        Authority(tmp_path / "other").server_context("localhost"),
    ]
    for context in contexts:
        with MailServer("starttls", context, users={USER: PASSWORD}) as server:
            refused = client.refused_save("email", account(server), 422, "request_rejected")
            assert "certificate of localhost does not verify" in refused["detail"]
            assert server.attempts == []


def test_a_login_that_is_refused_is_tried_once_and_told_without_the_password(
    client: Client, starttls: MailServer
) -> None:
    wrong = f"wrong-{uuid.uuid4().hex}"
    before = len(starttls.attempts)

    refused = client.refused_save(
        "email", account(starttls, **{"pass": wrong}), 422, "credentials_rejected"
    )

    assert refused["provider"]["status"] == 535
    assert wrong not in json.dumps(refused)
    assert base64.b64encode(wrong.encode()).decode() not in json.dumps(refused)
    assert len(starttls.attempts) == before + 1


def test_a_server_that_dies_after_the_message_leaves_the_outcome_open(
    shop: Client, starttls: MailServer
) -> None:
    starttls.reply("DATA", "drop")

    refused = shop.refused_action("email.sendEmail", MAIL, 502, "provider_unavailable")

    assert "it may have been accepted" in refused["detail"]


def test_a_server_that_asks_to_come_back_later_is_worth_another_try(
    shop: Client, starttls: MailServer
) -> None:
    starttls.reply("MAIL", "451 4.7.1 Greylisted, come back later")

    answer = shop.post("/api/integrations/email/actions/sendEmail", {"params": MAIL})

    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    assert answer.headers["Retry-After"] == "300"


def test_what_is_no_mail_server_is_told(client: Client, stand_ins: StandIns) -> None:
    with ScriptedServer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        refused = client.refused_save("email", account(server), 502, "provider_unavailable")
        assert "does not answer as a mail server does" in refused["detail"]
    nobody = account(stand_ins.mail, port=1)
    client.refused_save("email", nobody, 502, "provider_unavailable")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "192.168.1.1", "fd00::1", "0.0.0.0", "::ffff:10.0.0.1"]
)
def test_a_mail_server_in_a_private_network_is_refused_here_too(
    client: Client, starttls: MailServer, host: str
) -> None:
    client.refused_save("email", account(starttls, host=host), 422, "address_refused")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host": "https://mail.example.com"}, "credentials.host"),
        ({"host": "mail.example.com:587"}, "credentials.host"),
        ({"port": 0}, "credentials.port"),
        ({"port": "many"}, "credentials.port"),
        ({"from": "no address"}, "credentials.from"),
        ({"secure": "perhaps"}, "credentials.secure"),
        ({"pass": None}, "credentials.pass"),
        ({"surplus": 1}, "credentials.surplus"),
    ],
    ids=str,
)
def test_what_is_no_account_is_refused_with_its_place(
    client: Client, starttls: MailServer, change: dict[str, Any], field: str
) -> None:
    refused = client.refused_save("email", account(starttls) | change, 422, "invalid_input")

    assert field in {error["field"] for error in refused["errors"]}
