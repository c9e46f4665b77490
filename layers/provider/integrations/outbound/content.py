"""Bytes that go out or come in piece by piece, so that a large file never stands in memory.

https://requests.readthedocs.io/en/latest/user/advanced/#streaming-uploads

Standard library only: functions that send nothing import it with the providers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Self

MAX_STORED = 50 * 1024 * 1024
"""The most bytes of one answer that are handed on piece by piece."""

PIECE = 64 * 1024


class Content:
    """A body of known length that is read from its beginning each time that it is sent.

    Args:
        size: Its bytes.
        pieces: Reads it.
    """

    __slots__ = ("pieces", "size")

    def __init__(self, size: int, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.size = size
        self.pieces = pieces

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces()

    @classmethod
    def joined(cls, parts: "Sequence[bytes | Content]") -> Self:
        """Several contents, one after the other."""

        def pieces() -> Iterator[bytes]:
            for part in parts:
                if isinstance(part, bytes):
                    yield part
                else:
                    yield from part

        return cls(sum(map(len, parts)), pieces)


class StoredFile(NamedTuple):
    """Where the body of an answer was put.

    Attributes:
        file_id: What it is found by.
        size: Its bytes.
    """

    file_id: str
    size: int


type Sink = Callable[[Iterable[bytes]], StoredFile | bytes]
"""Takes the pieces of a body: puts them somewhere, or gives the whole body back. What it raises
ends the request."""
