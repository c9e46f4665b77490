"""A1 notation: how Google Sheets names a range of cells, as text in and out.

https://developers.google.com/workspace/sheets/api/guides/concepts#cell
"""

import re
import unicodedata

from integrations.comparison import is_same

_PLAIN_TAB = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_START = re.compile(r"\$?([A-Za-z]{0,3})\$?([0-9]*)")


def clean(text: str) -> str:
    """The text itself, where a tab's title or a range can hold it.

    Raises:
        ValueError: It holds a control character or half of a surrogate pair.
    """
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise ValueError("control characters and halves of characters cannot be in it")
    return text


def quoted(title: str) -> str:
    """A tab's title as a range names it: always in quotes, which is always right.

    Without them a tab called ``Q1`` would be a cell.
    """
    return "'" + title.replace("'", "''") + "'"


def normalized(text: str) -> str:
    """A range that a person wrote, with its tab in quotes where it needs them.

    Args:
        text: e.g. ``A1:B2``, ``Orders!A:C``, ``My Tab!A1``, ``'My Tab'!A1`` or a named range.

    Raises:
        ValueError: It is empty or holds what no range can hold.
    """
    text = text.strip()
    if not text:
        raise ValueError("a range in A1 notation is expected, e.g. Orders!A1:C10")
    text = clean(text)
    if not text.strip("."):
        # A tab named with dots alone, which as a segment of a URL would mean a folder.
        return quoted(text)
    tab, mark, cells = text.rpartition("!")
    if not mark or tab.startswith("'") or _PLAIN_TAB.fullmatch(tab):
        return text
    return f"{quoted(tab)}!{cells}"


def column(index: int) -> str:
    """The letters of the column with this index: 0 is ``A``, 26 is ``AA``."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def start(text: str) -> tuple[str, int, int]:
    """Where a range of Google's begins: its tab as written, its column's index, its row's number.

    ``'My Tab'!B3:F10`` gives ``("'My Tab'", 1, 3)``; what is not said is the first.
    """
    tab, _, cells = text.rpartition("!")
    found = _START.match(cells)
    letters, row = (found[1].upper(), found[2]) if found else ("", "")
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - ord("A") + 1
    return tab, max(index - 1, 0), int(row or 1)


def agree(cells: str | None, sheet: str | None) -> bool:
    """Whether a range and a tab's title mean the same tab, as far as both name one."""
    tab, mark, _ = (cells or "").rpartition("!")
    return not mark or sheet is None or is_same(unquoted(tab), sheet)


def unquoted(tab: str) -> str:
    """A tab's title, from the way a range writes it."""
    if tab.startswith("'") and tab.endswith("'") and len(tab) > 1:
        return tab[1:-1].replace("''", "'")
    return tab
