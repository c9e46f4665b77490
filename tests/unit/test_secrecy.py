"""Whatever a provider says, no secret of the call comes back: results, errors, their facts."""

import json
from base64 import b64encode, urlsafe_b64encode
from html import escape
from typing import Any, cast
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from integrations.errors import (
    CredentialsRejected,
    FieldError,
    InvalidParams,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.providers import masking as masking_module
from integrations.providers.base import Addresses, Call, Credentials, OAuthApp
from integrations.providers.masking import Masking
from integrations.secret_headers import MASK
from integrations.services.secrecy import masked, secrets_of

TOKEN = "EAABsbCS1iHgBO7ZC"
PAGE = 'pa"ge/<tok>&en+1'
CLIENT = "GOCSPX-client-secret"


class Page(Credentials):
    page_token: SecretStr


class Grant(Credentials):
    token: SecretStr
    pages: list[Page]
    headers: dict[str, SecretStr]
    name: str = "Ann"


def call() -> Call[Grant]:
    return Call(
        credentials=Grant(
            token=SecretStr(TOKEN),
            pages=[Page(page_token=SecretStr(PAGE))],
            headers={"Authorization": SecretStr("Bearer header-value-9")},
        ),
        http=cast("Any", None),
        addresses=Addresses(),
        app=OAuthApp("client", SecretStr(CLIENT)),
    )


def test_every_secret_of_a_call_is_known_however_deep_it_is() -> None:
    assert set(secrets_of(call())) == {TOKEN, PAGE, "Bearer header-value-9", CLIENT}


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"?access_token={TOKEN}&x=1",
        json.dumps(PAGE),
        "pa%22ge%2F%3Ctok%3E%26en%2B1",
        "pa&quot;ge/&lt;tok&gt;&amp;en+1",
        "the value is header-value-9",
        b64encode(TOKEN.encode()).decode(),
        "".join(f"\\u{ord(each):04x}" for each in TOKEN),
        "".join(f"%{ord(each):02X}" for each in TOKEN),
        "".join(f"%25{ord(each):02x}" for each in TOKEN),
        quote(quote(quote(PAGE, safe=""), safe="")),
        "".join(f"&#{ord(each)};" for each in TOKEN),
        "".join(f"&#0{ord(each)};" for each in TOKEN),
        "".join(f"&#x{ord(each):X};" for each in TOKEN),
        CLIENT,
        TOKEN.upper(),
        TOKEN.encode().hex(),
        b64encode(f"u:{TOKEN}".encode()).decode(),
        b64encode(f"user:{TOKEN}".encode()).decode(),
        b64encode(f"a:{TOKEN};".encode()).decode(),
        urlsafe_b64encode(f">>>???{PAGE}".encode()).decode(),
    ],
)
def test_no_form_of_a_secret_is_seen_in_a_text_or_deep_in_json(text: str) -> None:
    masking = Masking(secrets_of(call()))
    masked_text = masking.text(f"before {text} after")
    assert masked_text.startswith("before ")
    assert masked_text.endswith(" after")
    assert "…" in masked_text
    deep = masking.json({"a": [{"b": f"x{text}", text: 1}], "rest": "stays"})
    assert json.dumps(deep, ensure_ascii=False).count("…") == 2
    assert cast("Any", deep)["rest"] == "stays"


@pytest.mark.parametrize("secret", [r"C:\\share\key-7", "line one\nline two", r"\n" * 5, "\\" * 6])
def test_a_secret_with_backslashes_or_lines_is_seen_in_no_form(secret: str) -> None:
    masking = Masking([secret])
    for text in (secret, json.dumps(secret), repr(secret), quote(secret, safe=""), escape(secret)):
        hidden = masking.text(f"before {text} after")
        assert MASK in hidden, text
        assert secret not in hidden
        assert (hidden[:7], hidden[-6:]) == ("before ", " after")


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("\\" * 40 + "ab", "\\" * 78 + " ab"),
        (r"\n" * 40 + "ab", r"\\n" * 39 + " ab"),
        (r"\u005c" * 20 + "ab", r"\u005c" * 80 + " ab"),
        ("%25" * 40 + "ab", "%25" * 160 + " ab"),
        ("&amp;" * 40 + "ab", "&amp;" * 160 + " ab"),
    ],
    ids=["backslashes", "line breaks", "JSON", "URL", "HTML"],
)
def test_a_secret_that_can_be_read_in_many_ways_is_not_searched_in_all_of_them(
    secret: str, text: str
) -> None:
    assert Masking([secret]).text(text) == text  # it ends, which is the point
    assert secret not in Masking([secret]).text(text + secret)


def test_an_escaped_letter_does_not_have_a_text_searched_for_each_of_many_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    monkeypatch.setattr(masking_module._Secret, "pattern", property(made.append))
    tokens = [f"EAAB{number:04}{'x' * 180}" for number in range(300)]
    masking = Masking(tokens)
    post: Any = {"message": "it&#039;s %41 text", "url": r"\u0041"}
    assert masking.json(post) == post
    assert masking.text("it&#039;s open") == "it&#039;s open"
    assert made == []  # what finds one takes a good part of a second to make


def test_what_holds_no_secret_stays_as_it_is() -> None:
    value = {"a": ["100% sure", "a\\u0042", "&#65;", "pa", "EAAB"], "n": 1.5, "none": None}
    assert Masking(secrets_of(call())).json(value) == value
    assert Masking(["short"]).text("a short text") == "a short text"


def test_a_number_that_is_a_secret_is_hidden_and_others_stay() -> None:
    masking = Masking(["421742", "4711", "12"])
    value: Any = {"a": [421742, 421742.0, 9421742, 4711, "x421742"], "b": [12, 47110, 1.5, True]}
    assert masking.json(value) == {
        "a": ["…", "…", "…", "…", "x…"],
        "b": [12, 47110, 1.5, True],
    }


@pytest.mark.parametrize(
    "failure",
    [
        ProviderError(f"no {TOKEN}", provider_code=TOKEN, data={"trace": [f"a{PAGE}"]}),
        CredentialsRejected(f"{CLIENT} is not a client"),
        RequestRejected(TOKEN),
        RateLimited(f"slow down, {TOKEN}", retry_after=3),
        ProviderUnavailable(f"https://x/{TOKEN} is down", outcome_unknown=True),
        InvalidParams(f"not {TOKEN}", [FieldError(f"params.{PAGE}", f"{TOKEN} is refused")]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_no_error_says_a_secret(failure: ProviderError) -> None:
    with pytest.raises(type(failure)) as raised, masked(call(), ["more-secret"]):
        raise failure
    error = raised.value
    text = [error.detail, str(error), repr(error), *(str(getattr(error, "errors", ())),)]
    text += [str(getattr(error, "data", "")), str(getattr(error, "provider_code", ""))]
    assert not [secret for secret in (TOKEN, PAGE, CLIENT) if any(secret in each for each in text)]
    assert "…" in error.detail
    assert getattr(error, "retry_after", 3) in {3, None}


@pytest.mark.parametrize("step", [1, 7, 64, 100_000])
def test_a_secret_is_masked_wherever_a_piece_ends(step: int) -> None:
    masking = Masking([TOKEN, PAGE])
    secrets = f"{TOKEN} ü {b64encode(PAGE.encode()).decode()} {PAGE} {json.dumps(PAGE)}".encode()
    content = b"\x89PNG\xff" * 9000 + secrets * 3 + b"\x00" * 5000 + secrets
    cut = [content[at : at + step] for at in range(0, len(content), step)]
    masked_pieces = b"".join(masking.pieces(cut))
    assert masking.content(masked_pieces) == masked_pieces
    for form in (TOKEN.encode(), PAGE.encode(), b64encode(PAGE.encode()).rstrip(b"=")[:-1]):
        assert form in content
        assert form not in masked_pieces
    assert masked_pieces.count(b"\x89PNG\xff") == 9000
    assert masked_pieces.count(b"\x00") == 5000
