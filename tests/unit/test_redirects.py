"""Where a browser may be sent in the end."""

import pytest

from integrations.errors import InvalidRedirect
from integrations.services.redirects import Redirects

HOME = "https://app.example.com"
REDIRECTS = Redirects(HOME, [HOME, "https://other.example.com/back/"])


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("/", f"{HOME}/"),
        ("/done?order=7", f"{HOME}/done?order=7"),
        (f"{HOME}", HOME),
        (f"{HOME}/a%20b/c", f"{HOME}/a%20b/c"),
        ("https://other.example.com/back", "https://other.example.com/back"),
        ("https://other.example.com/back/x", "https://other.example.com/back/x"),
        (f"{HOME}/?statuses=1", f"{HOME}/?statuses=1"),
    ],
)
def test_what_is_below_the_list_is_allowed(given: str, whole: str) -> None:
    assert REDIRECTS.allowed(given) == whole


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example/",
        "//evil.example/",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "http://app.example.com/",
        "https://app.example.com:444/",
        "javascript:alert(1)",
        "https://other.example.com/backwards",
        "https://other.example.com/back/../evil",
        "https://other.example.com/back/..%2fevil",
        "https://other.example.com/back/..%2Fevil",
        "https://other.example.com/back/%2e%2e/evil",
        "https://other.example.com/back/%2e%2e%2fevil",
        "https://other.example.com/back/.%2e/evil",
        "https://other.example.com/back/%252e%252e%252fevil",
        "https://other.example.com/back/%25252525252e%252e/x",
        "https://other.example.com/back/..%5cevil",
        "https://other.example.com/back/%2e%2e%5cevil",
        "https://other.example.com\\back",
        f"{HOME}/#x",
        f"{HOME}/a b",
        f"{HOME}/\x00",
        f"{HOME}/ß",
        f"{HOME}/" + "x" * 2048,
        f"{HOME}/?" + "&".join(f"a{number}=1" for number in range(101)),
        "https://[::1/",
        "",
        "done",
    ],
)
def test_nothing_else_is(given: str) -> None:
    with pytest.raises(InvalidRedirect) as refused:
        REDIRECTS.allowed(given)
    assert [each.field for each in refused.value.errors] == ["redirectUri"]


@pytest.mark.parametrize(
    "query",
    [
        "handshakeId=x&status=completed",
        "status=connected",
        "a=1&status=",
        "%73tatus=completed",
        "handshake%49d=x",
        "provider=telegram",
        "connection=default",
    ],
)
def test_a_parameter_of_ours_cannot_be_forged_in_front_of_ours(query: str) -> None:
    with pytest.raises(InvalidRedirect, match="this backend adds it"):
        REDIRECTS.allowed(f"{HOME}/done?{query}")


def test_the_refusal_says_what_is_allowed() -> None:
    with pytest.raises(
        InvalidRedirect, match=r"app\.example\.com, https://other\.example\.com/back/"
    ):
        REDIRECTS.allowed("https://evil.example/")
