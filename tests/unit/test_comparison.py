"""A person's text compared with another's."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.comparison import comparable, composed, contains, is_same

SAME = [
    ("café", "cafe\u0301"),
    ("indirim", "İNDİRİM"),
    ("ILIK", "\u0131l\u0131k"),
    ("❤", "❤\ufe0f"),
    ("Straße", "STRASSE"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("ﬁn", "FIN"),
    ("\uff11\uff12", "12"),
    ("soft\u00adware", "Software"),
    ("\u200fשל\u05d5ם", "של\u05d5ם"),
    ("ᾳ", "\u03b1\u03b9"),
    ("Å", "\u212b"),
]
DIFFERENT = [("cafe", "café"), ("👍", "👍🏽"), ("a b", "ab"), ("resume", "résumé"), ("1", "①x")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_reads_the_same_is_the_same(one: str, other: str) -> None:
    assert is_same(one, other)
    assert contains(f"x {other} y", [one])


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_reads_differently_is_different(one: str, other: str) -> None:
    assert not is_same(one, other)


def test_of_the_marks_on_one_letter_thirty_count() -> None:
    many = "a" + "\u0301\u0316" * 50_000 + "b"
    assert len(comparable(many)) == len("ab") + 30 - 1  # one is composed with its letter
    assert contains(many, ["b"])
    assert len(composed(many)) < 40
    assert is_same("e" + "\u0301" * 30, "E" + "\u0301" * 30)
    assert not is_same("e" + "\u0301" * 30, "e" + "\u0301" * 29)


def test_a_character_that_is_made_of_marks_counts_as_one() -> None:
    made = [
        letter
        for letter in map(chr, range(sys.maxunicode + 1))
        if not unicodedata.combining(letter)
        and all(map(unicodedata.combining, unicodedata.normalize("NFKD", letter)))
    ]
    assert len(made) > 1
    for letter in made:
        assert len(composed(letter * 10_000)) <= 2 * 30, hex(ord(letter))
        assert len(comparable(f"a{letter}\u0301" + f"{letter}\u0301" * 5_000)) <= 1 + 2 * 30


def test_a_word_of_nothing_visible_stands_in_no_text() -> None:
    assert not contains("anything", ["", "\ufe0f", "\u200b"])


@given(st.text())
def test_the_form_is_stable(text: str) -> None:
    assert comparable(comparable(text)) == comparable(text)


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_how_a_text_is_normalized_does_not_matter(text: str, form: str) -> None:
    normalized = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    assert comparable(normalized) == comparable(text)


@given(st.text())
def test_neither_does_its_case(text: str) -> None:
    assert comparable(text.casefold()) == comparable(text)


@given(st.text(), st.text(), st.text())
def test_a_text_contains_its_words(before: str, word: str, after: str) -> None:
    if comparable(word):
        assert contains(f"{before} {word} {after}", [word])
