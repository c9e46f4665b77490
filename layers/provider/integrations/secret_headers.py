"""Which headers hold secrets, by their names. Standard library only."""

import re
from typing import Final

MASK: Final = "…"
"""What stands in the place of a secret."""

_NAME: Final = re.compile(r"auth|cookie|key|pass|secret|sign|token", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a header of this name is taken for a secret: ``Authorization``, ``X-Api-Key``, …."""
    return _NAME.search(name) is not None
