"""The one reader of foreign JSON: what it gives can be written, stored and read again."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import strict_json

LARGEST = int(sys.float_info.max)
"""The largest whole number that a double holds."""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "column 2"),
        ('{"n": NaN}', "NaN"),
        ('{"n": -Infinity}', "-Infinity"),
        ("1e999", "too large"),
        ("-1e999", "too large"),
        ("[1" + "0" * 400 + "]", "too large"),
        ("1" * 10_000, "too large"),
        (str(2**1024), "too large"),
        ('{"a": 1, "a": 2}', "twice"),
        ('[{"b": {"\\u0061": 1, "a": 1}}]', "twice"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("[" * 100_000, "deeper than 64"),
        ('{"a":' * 65 + "1" + "}" * 65, "deeper than 64"),
        ("\ufeff{}", "BOM"),
        (b"\xff\xfe\xfd", "UTF-8"),
        (b'{"a": "\xe9"}', "UTF-8"),
    ],
)
def test_what_others_could_not_read_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(strict_json.NotJson, match=reason):
        strict_json.read(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[" * 64 + "]" * 64, None),
        ('["' + "[" * 500 + '"]', ["[" * 500]),
        ('["\\"' + "{" * 500 + '\\\\", []]', ['"' + "{" * 500 + "\\", []]),
        ("[" + "[]," * 1000 + "[]]", [[]] * 1001),
        (str(LARGEST), LARGEST),
        (str(-LARGEST), -LARGEST),
        ("1e308", 1e308),
        (b"\xef\xbb\xbf[1]", [1]),
        ('{"ü": 1}'.encode("utf-16"), {"ü": 1}),
        ('{"ü": 1}'.encode("utf-16-le"), {"ü": 1}),
        ('{"ü": 1}'.encode("utf-32"), {"ü": 1}),
        (r'"\ud83d\ude00"', "😀"),
        (r'"a\ud83d"', "a\ufffd"),
        (r'"\ude00\ud83d\ude00"', "\ufffd😀"),
        (r'"\\ud83d"', r"\ud83d"),
        (r'"\\\ud83d"', "\\\ufffd"),
        ('"a\ud83d"', "a\ufffd"),
        (r'{"\ud800": 1}', {"\ufffd": 1}),
    ],
)
def test_what_they_can_is_read(text: str | bytes, value: Any) -> None:
    read = strict_json.read(text)
    json.dumps(read, ensure_ascii=False, allow_nan=False).encode()
    if value is not None:
        assert read == value


@pytest.mark.parametrize("text", [r'"a\ud83d"', '"a\ud83d"', r'{"\udfff": 1}'])
def test_half_a_character_is_refused_where_the_sender_can_mend_it(text: str) -> None:
    with pytest.raises(strict_json.NotJson, match="half a character"):
        strict_json.read(text, whole_characters=True)
    assert strict_json.read(r'"\ud83d\ude00"', whole_characters=True) == "😀"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
@settings(max_examples=30)
def test_whatever_json_can_hold_comes_back(value: Any, encoding: str) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert strict_json.read(text, whole_characters=True) == value
        assert strict_json.read(text.encode(encoding)) == value


@given(st.text(st.sampled_from('[]{}",:\\u0dD8cC1eE9 nN') | st.characters()))
def test_whatever_is_read_can_be_written_and_read_again(text: str) -> None:
    try:
        value = strict_json.read(text)
    except strict_json.NotJson:
        return
    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    assert strict_json.read(written.encode(), whole_characters=True) == value


@given(values)
@settings(max_examples=30)
def test_the_depth_of_a_value_and_of_its_text_are_judged_alike(value: Any) -> None:
    for _ in range(strict_json.MAX_DEPTH):
        value = [value]
    assert refused(lambda: strict_json.check_depth(value)) == refused(
        lambda: strict_json.read(json.dumps(value))
    )


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except strict_json.NotJson:
        return True
    return False
