"""What packed rows refer to: texts that most of them have, so that a row need not hold them.

They are part of the stored form: a file is never changed, another one is added.
https://docs.python.org/3/library/zlib.html#zlib.compressobj (``zdict``)
"""

from functools import cache
from pathlib import Path
from typing import Final

MEMORY: Final = 6
"""zlib's ``memLevel`` for packing with one: to get the tables of the usual 8 or 9 takes longer than
to pack a short text, and the result is no shorter, nor is a long text's."""

_FOLDER = Path(__file__).parents[1] / "data"


@cache
def dictionary(name: str) -> bytes:
    """A dictionary's bytes, as zlib takes them."""
    return (_FOLDER / f"{name}.dictionary").read_bytes()
