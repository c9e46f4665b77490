"""What packed rows refer to: texts that most of them have, so that a row need not hold them.

They are part of the stored form: a file is never changed, another one is added.
https://docs.python.org/3/library/zlib.html#zlib.compressobj (``zdict``)
"""

from functools import cache
from typing import Final

MEMORY: Final = 6
"""zlib's ``memLevel`` for packing with one: to get the tables of the usual 8 or 9 takes longer than
to pack a short text, and the result is no shorter, nor is a long text's."""

_FOLDER = f"{__file__.rsplit('/', 2)[0]}/data"


@cache
def dictionary(name: str) -> bytes:
    """A dictionary's bytes, as zlib takes them."""
    with open(f"{_FOLDER}/{name}.dictionary", "rb") as file:  # noqa: PTH123 - as in aws/endpoints.py
        return file.read()
