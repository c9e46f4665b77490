"""What is written into a header is read from it again, by another reader, exactly."""

import random
import re
from collections.abc import Iterator
from email import message_from_bytes, message_from_string, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.outbound.content import Content
from integrations.providers.email import headers
from integrations.providers.email.message import compose
from integrations.providers.email.params import Attachment, SendEmail

SENDER = Address("", "shop", "example.com")
LONG = (
    "Re: [SOS-1495488] Commande et livraison - Demande de retour - bibijolie - 251210-AABBCC - "
    "Abo actualités digitales 20 semaines d\u2019abonnement à 24 heures, Bilan, Tribune de Genève "
    "et tous les titres"
)
HOSTILE = (
    "=?utf-8?q?a?=", "a =?x?= b", "=?utf-8?b?4pyT?= =?utf-8?b?4pyT?=", "  two  spaces  ", " ", "",
    '"quoted"', "back\\slash", "a, b; c: d <e@f>", "(comment)", "ä" * 900, "🌵" * 300,
    "x" * 900, "x" * 70 + " " + "y" * 700, "e\u0301 \u200d", "%41 'utf-8'' *0*=", "a\u00a0b",
)  # fmt: skip

line = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from(' =?"\\<>,;:()@'),
    max_size=300,
)
writes = settings(max_examples=100, deadline=None)


def reading(**params: Any) -> EmailMessage:
    """A message, written and read again by the standard library's parser."""
    mail = SendEmail.model_validate({"to": "ann@example.com", "text": "x"} | params)
    parts = compose(mail, SENDER, "<id@example.com>", bytes)
    raw = b"".join(Content.joined(parts))
    head = raw.partition(b"\r\n\r\n")[0]
    for written in head.split(b"\r\n"):
        assert len(written) <= 998
        assert written.strip()
        assert b"=?" not in written or len(written) <= 76 or written.startswith(b"X" * 70)
    assert not re.search(rb"[^\x20-\x7e\r\n]", head)
    return message_from_bytes(raw, policy=policy.default)


def each_hostile(test: Any) -> Any:
    for value in HOSTILE:
        test = example(value)(test)
    return test


@given(line)
@each_hostile
@example(LONG)
@writes
def test_every_subject_is_read_as_it_was_given(value: str) -> None:
    message = reading(subject=value, headers={"X-Note": value, "X" * 70: value})
    assert message["Subject"] == value
    assert message["X-Note"] == value
    assert message["X" * 70] == value


def test_thousands_of_ordinary_subjects_are_read_as_they_were_given() -> None:
    chance = random.Random(7)
    words = LONG.split() + HOSTILE[-1].split() + ["für", "Größe", "…", "250 €", "x", "[A-1]", "🌵"]
    for _ in range(6000):
        subject = " ".join(chance.choices(words, k=chance.randint(1, 60)))[:900].strip()
        written = headers.text("Subject", subject).fold(policy=policy.SMTP)
        raw = message_from_string(written + "\r\n", policy=policy.compat32)["Subject"]
        assert str(make_header(decode_header(raw.replace("\r\n", "")))) == subject


@given(st.lists(line.map(str.strip), min_size=1, max_size=4))
@example(list(map(str.strip, HOSTILE)))
@example(["00" + "\xa0" * 12 + "¡"])  # with the header's name, too long for one line
@writes
def test_every_name_is_read_as_it_was_given(names: list[str]) -> None:
    quoted = [re.sub(r'(["\\])', r"\\\1", name) for name in names]
    boxes = [f'"{name}" <a{number}@example.com>' for number, name in enumerate(quoted)]
    try:
        message = reading(to=boxes, replyTo=boxes[0])
    except ValidationError:
        return  # a character that nobody sees
    read = [box for header in ("To", "Reply-To") for box in addresses(message, header)]
    assert read == [
        *((name, f"a{number}@example.com") for number, name in enumerate(names)),
        (names[0], "a0@example.com"),
    ]


def addresses(message: EmailMessage, header: str) -> list[tuple[str, str]]:
    """What a header names; the newer parser of Python 3.13.0 puts spaces between encoded words."""
    raw = message_from_bytes(message.as_bytes(), policy=policy.compat32)[header]
    return [
        (str(make_header(decode_header(name))), address) for name, address in getaddresses([raw])
    ]


@given(line.filter(bool).map(lambda name: name[:255]))
@each_hostile
@writes
def test_every_file_name_is_read_as_it_was_given(name: str) -> None:
    name = name[:255] or "x"
    files = [{"fileName": name, "contentBase64": "AA==", "contentType": "image/png"}]
    (part,) = reading(attachments=files).iter_attachments()
    assert part["Content-Disposition"].params["filename"] == name
    assert part.get_content_disposition() == "attachment"
    inline = [files[0] | {"cid": "logo"}]
    message = reading(html="<img src='cid:logo'>", text=None, attachments=inline)
    image = list(message.iter_parts())[-1]
    assert image["Content-Disposition"].params["filename"] == name
    assert image["Content-ID"] == "<logo>"


@given(
    st.lists(
        st.from_regex(r"[A-Za-z0-9._=+$/-]{1,250}@[A-Za-z0-9.-]{1,250}", fullmatch=True),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=50, deadline=None)
def test_every_message_id_stays_whole(ids: list[str]) -> None:
    message = reading(inReplyTo=ids[0], references=ids)
    assert str(message["In-Reply-To"]) == f"<{ids[0]}>"
    assert str(message["References"]).split() == [f"<{each}>" for each in ids]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.txt.xz", "application/x-xz"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.ics", "text/calendar"),
        ("a.js", "text/javascript"),
        ("data:text/html,x.png", "image/png"),
        ("a.eml", "application/octet-stream"),
        ("noname", "application/octet-stream"),
    ],
)
def test_a_files_name_says_what_it_is(name: str, media_type: str) -> None:
    file = Attachment.model_validate({"fileName": name, "contentBase64": ""})
    assert "/".join(file.media_type) == media_type


@writes
@given(st.binary(max_size=400), st.lists(st.integers(1, 80), max_size=9))
def test_an_attachment_is_the_base64_that_the_standard_library_writes(
    content: bytes, cuts: list[int]
) -> None:
    attachment = {"fileName": "a.bin", "contentBase64": "stored:0:file"}
    mail = SendEmail.model_validate({"to": "ann@example.com", "attachments": [attachment] * 2})

    def pieces() -> Iterator[bytes]:
        left = content
        for cut in cuts:
            yield left[:cut]
            left = left[cut:]
        yield left

    parts = compose(mail, SENDER, "<id@example.com>", lambda _: Content(len(content), pieces))
    raw = b"".join(Content.joined(parts))
    assert len(raw) == sum(map(len, parts))
    message = message_from_bytes(raw, policy=policy.SMTP)
    assert isinstance(message, EmailMessage)
    attached = list(message.iter_attachments())
    assert [each.get_content() for each in attached] == [content] * 2
    reference = EmailMessage(policy=policy.SMTP)
    reference.set_content(content, "application", "octet-stream")
    assert attached[0].get_payload().rstrip() == reference.get_payload().rstrip()  # type: ignore[union-attr]
