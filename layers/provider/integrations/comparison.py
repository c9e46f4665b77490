"""The one way in which a text that one person wrote is compared with another's.

Two texts that a reader takes for the same are the same here: composed or not (``é`` and ``e`` with
an accent after it), in any case, wide or narrow, with or without the invisible marks that a
keyboard adds (``❤`` with a variation selector). That is Unicode's compatibility caseless match, and
one step more for Turkish, whose i with and without a dot other languages' keyboards and programs do
not keep apart.

Not for what a program wrote: ids, payloads of buttons, keys and addresses are compared exactly.

https://www.unicode.org/versions/latest/core-spec/chapter-3/#G53253 (D146)
https://www.unicode.org/reports/tr44/#NFKC_Casefold
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""Default ignorable code points: variation selectors, joiners, direction marks, soft hyphens."""

_MOST_MARKS: Final = 30
"""How many combining marks follow one letter at most. Putting them in order takes the square of
their number: https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format."""

_PERHAPS_MARKS: Final = re.compile(f"[\u0300-\U0010ffff]{{{_MOST_MARKS + 1},}}")

_MADE_OF_MARKS: Final = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""What Unicode calls no marks, and takes apart into nothing else: vowels of Tibetan, and Japanese's
halfwidth sound marks."""

_DOT: Final = "\u0307"
_DOTLESS: Final = "\u0131"


def comparable(text: str) -> str:
    """A text in the form in which two texts that mean the same are equal."""
    folded = unicodedata.normalize("NFD", _with_few_marks(_INVISIBLE.sub("", text))).casefold()
    folded = unicodedata.normalize("NFKC", folded).casefold()
    folded = unicodedata.normalize("NFKD", _INVISIBLE.sub("", folded))
    # "İ" folds to an "i" with a dot above it, which is how "i" looks anyway.
    folded = folded.replace(f"i{_DOT}", "i").replace(_DOTLESS, "i")
    return unicodedata.normalize("NFKC", folded)


def is_same(one: str, other: str) -> bool:
    """Whether a reader takes two texts for the same."""
    return one == other or comparable(one) == comparable(other)


def is_composed_same(one: str, other: str) -> bool:
    """Whether two texts have the same characters, composed or not: for keys, which keep cases."""
    return one == other or composed(one) == composed(other)


def composed(text: str) -> str:
    """A text in Unicode's composed form, without the marks that no writing has."""
    return unicodedata.normalize("NFC", _with_few_marks(text))


def contains(text: str, words: Iterable[str]) -> bool:
    """Whether one of the words stands in a text; a word of invisible marks alone stands in none."""
    whole = comparable(text)
    return any(part in whole for word in words if (part := comparable(word)))


def _with_few_marks(text: str) -> str:
    return _PERHAPS_MARKS.sub(lambda found: _shortened(found[0]), text)


def _shortened(text: str) -> str:
    """A text without the marks of a letter that are beyond ``_MOST_MARKS``."""
    kept: list[str] = []
    marks = 0
    for character in text:
        is_mark = unicodedata.combining(character) or character in _MADE_OF_MARKS
        marks = marks + 1 if is_mark else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)
