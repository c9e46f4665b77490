"""Which character set a content type names, as the web reads it.

The web's names mean what senders mean: ``iso-8859-1`` is windows-1252, ``gb2312`` is gb18030. The
standard library's mean what they meant when they were registered.

https://encoding.spec.whatwg.org/#names-and-labels
"""

import codecs
import re
from typing import Final

# Python knows more codecs than there are character sets: some give bytes, some take quadratic time
# on hostile input. So only those that the web uses.
_KNOWN: Final = re.compile(
    r"utf-?8|utf-?16(le|be)?|utf-?32(le|be)?|iso-?8859-\d{1,2}|windows-125\d|cp125\d|koi8-[ru]"
    r"|macintosh|euc-jp|iso-2022-jp|gb18030",
    re.ASCII,
)
_READ_AS: Final = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "windows-31j": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "utf-16": "utf-16-le",
}
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def charset(content_type: str) -> str | None:
    """The character set that a content type names.

    Args:
        content_type: The header's value, e.g. ``text/plain; charset=iso-8859-1``.

    Returns:
        A name that Python decodes by, ``utf-8`` where none is named; ``None`` where the named one
        is unknown.
    """
    named = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.IGNORECASE | re.ASCII)
    return codec(named[1]) if named else "utf-8"


def codec(label: str) -> str | None:
    """The name by which Python decodes what is labelled so; ``None`` where it is unknown."""
    name = label.strip().lower()
    if name in _READ_AS:
        return _READ_AS[name]
    try:
        return codecs.lookup(name).name if _KNOWN.fullmatch(name) else None
    except LookupError:
        return None


def decode(content: bytes, name: str | None, *, cut: bool = False, marked: bool = True) -> str:
    """Bytes as text, without the byte order mark, which tells more than any name.

    Args:
        content: The bytes.
        name: What ``charset`` or ``codec`` gave.
        cut: The last character may be cut, and is dropped then.
        marked: A byte order mark counts; in the middle of something, it is a character.

    Raises:
        ValueError: They are not text of this character set.
    """
    for mark, its_name in _MARKS:
        if marked and content.startswith(mark):
            content, name = content[len(mark) :], its_name
            break
    if name is None:
        raise ValueError("is in an unknown character set")
    try:
        text = codecs.getincrementaldecoder(name)().decode(content, final=not cut)
    except UnicodeError:
        if name != "cp1252":
            raise
        # Five bytes that it has no character for are the control characters that they were.
        text = content.decode("latin-1")
    text.encode()
    return text
