"""What packed rows refer to: texts that most of them have, so that a row need not hold them.

They are part of the stored form: a file is never changed, another one is added.
https://docs.python.org/3/library/zlib.html#zlib.compressobj (``zdict``)
"""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "data"


@cache
def dictionary(name: str) -> bytes:
    """A dictionary's bytes, as zlib takes them."""
    return (_FOLDER / f"{name}.dictionary").read_bytes()
