"""Headers as they are written, so that they decode to exactly what was given.

The standard library's folding does not promise that: it encodes single words, loses the spaces
between them or gains some, and breaks ids and links that no receiver decodes. So what is ASCII
stays as it is, folded at its spaces; everything else is encoded whole.

- https://www.rfc-editor.org/rfc/rfc2047 (texts and names beyond ASCII)
- https://www.rfc-editor.org/rfc/rfc2231 (parameters beyond ASCII)
- https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1 (the length of a line)
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from email.headerregistry import Address
from email.policy import Policy
from typing import Final, Self
from urllib.parse import quote

_LINE: Final = 78
_LONGEST_LINE: Final = 998
_ENCODED_LINE: Final = 76
_ENCODED_WORD: Final = 75
_FRAME: Final = len("=?utf-8?b??=")
_LONGEST_NAME: Final = len("Reply-To: ")
"""The longest that stands before a list of mailboxes."""
_SEGMENT: Final = 60
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.+-]+([ ][A-Za-z0-9_.+-]+)*")


class Written(str):
    """A header's value together with its lines.

    ``email.message`` takes a value with a ``name`` for a header object and writes it by its
    ``fold``: https://docs.python.org/3/library/email.policy.html#email.policy.EmailPolicy.fold.

    Args:
        name: The header's name.
        lines: Its lines, without the name; a further line begins with a space.
    """

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, lines: Iterable[str]) -> Self:
        """Join the lines."""
        written = super().__new__(cls, "\r\n".join(lines))
        written.name = name
        return written

    def fold(self, *, policy: Policy) -> str:
        """The whole header, with the line break at its end."""
        return f"{self.name}: {self}{policy.linesep}"


def text(name: str, value: str) -> Written:
    """A header of free text, such as the subject: https://www.rfc-editor.org/rfc/rfc5322#section-3.6.5.

    Args:
        name: The header's name.
        value: Its text, without control characters.
    """
    return Written(name, _text_lines(name, value))


def tokens(name: str, values: Iterable[str]) -> Written:
    """A header of words that nobody may change, such as message ids, folded between them."""
    return Written(name, _folded(name, list(values)))


def mailboxes(name: str, boxes: Iterable[Address]) -> Written:
    """A header of addresses, one a line: https://www.rfc-editor.org/rfc/rfc5322#section-3.4."""
    written = [_mailbox(box) for box in boxes]
    lines = [line for box in written[:-1] for line in (*box[:-1], f"{box[-1]},")]
    lines += written[-1] if written else [""]
    return Written(name, [lines[0], *(f" {line}" for line in lines[1:])])


def disposition(kind: str, file_name: str) -> Written:
    """A ``Content-Disposition`` with a file's name: https://www.rfc-editor.org/rfc/rfc2183."""
    return Written("Content-Disposition", [f"{kind};", *_parameter("filename", file_name)])


# -- Parts -----------------------------------------------------------------------------------


def _text_lines(name: str, value: str) -> list[str]:
    plain = value.isascii() and value == value.strip() and "=?" not in value
    if plain and len(name) + 2 + len(value) <= _LINE:
        return [value]
    if plain and "  " not in value:
        lines = _folded(name, value.split(" "))
        if all(len(line) <= _LONGEST_LINE - len(name) - 2 for line in lines):
            return lines
    return _encoded(value, before=len(name) + 2)


def _folded(name: str, words: list[str]) -> list[str]:
    """Words joined by one space each; a line is broken where it would be longer than it should."""
    lines = [words[0]] if words else [""]
    for word in words[1:]:
        length = len(lines[-1]) + 1 + len(word) + (len(name) + 2 if len(lines) == 1 else 0)
        if length > _LINE:
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def _encoded(value: str, *, before: int) -> list[str]:
    """Encoded words, one a line; what is between two of them does not count when they are read."""
    lines: list[str] = []
    # After a very long name the line gets too long; the value would otherwise begin with a space.
    room = _bytes_of(_ENCODED_LINE - before)
    piece = b""
    for character in value:
        encoded = character.encode()
        if piece and len(piece) + len(encoded) > room:
            lines.append(_encoded_word(piece, first=not lines))
            piece, room = b"", _bytes_of(_ENCODED_WORD)
        piece += encoded
    lines.append(_encoded_word(piece, first=not lines))
    return lines


def _bytes_of(length: int) -> int:
    """How many bytes an encoded word of this length holds."""
    return (length - _FRAME) // 4 * 3


def _encoded_word(piece: bytes, *, first: bool) -> str:
    gap = "" if first else " "
    return f"{gap}=?utf-8?b?{b64encode(piece).decode()}?="


def _mailbox(box: Address) -> list[str]:
    name, address = box.display_name, f"{box.username}@{box.domain}"
    if not name:
        return [address]
    if _ATOMS.fullmatch(name) and "=?" not in name and len(name) <= _LINE:
        return [f"{name} <{address}>"]
    if name.isascii() and "=?" not in name and len(name) <= _LINE:
        quoted = re.sub(r'(["\\])', r"\\\1", name)
        return [f'"{quoted}" <{address}>']
    # A name of its own line: the header's name is not before it, whatever it is.
    words = [word.strip() for word in _encoded(name, before=_LONGEST_NAME)]
    # The header's name, or the space of a folded line, stands before it, and a comma may follow.
    before = _LONGEST_NAME if len(words) == 1 else 1
    if before + len(words[-1]) + len(f" <{address}>,") > _ENCODED_LINE:
        return [*words, f"<{address}>"]
    return [*words[:-1], f"{words[-1]} <{address}>"]


def _parameter(name: str, value: str) -> Iterator[str]:
    if _PLAIN_VALUE.fullmatch(value) and len(value) <= _SEGMENT:
        yield f' {name}="{value}"'
        return
    segments = list(_segments(value))
    if len(segments) == 1:
        yield f" {name}*=utf-8''{segments[0]}"
        return
    for number, segment in enumerate(segments):
        charset = "utf-8''" if number == 0 else ""
        end = "" if number == len(segments) - 1 else ";"
        yield f" {name}*{number}*={charset}{segment}{end}"


def _segments(value: str) -> Iterator[str]:
    segment = ""
    for character in value:
        encoded = quote(character, safe="")
        if segment and len(segment) + len(encoded) > _SEGMENT:
            yield segment
            segment = ""
        segment += encoded
    yield segment
