"""Lineage: how many executions led to one another, proven by a header that only we can write.

A step that posts to one of our own webhooks, or starts a workflow by the API, carries the count
with a proof. What a sender makes up is no proof, and counts as nothing.

Nothing heavy may be imported here: the receiver uses it.
"""

import hmac
from collections.abc import Callable

from integrations.errors import CycleDetected

HEADER = "Integrations-Hops"

MAX_HOPS = 8
"""How many executions may lead to one another before it is called a cycle."""

_MAX_LENGTH = 200


class Lineage:
    """Writes and reads the header.

    Args:
        key: The stack's own key; ``None`` where it has none yet, and so has proven nothing.
        make_key: The same, made where there is none.
    """

    def __init__(self, key: Callable[[], bytes | None], make_key: Callable[[], bytes]) -> None:
        self._key = key
        self._make_key = make_key

    def header(self, hops: int, identity: str) -> str:
        """The header's value.

        Args:
            hops: How many executions led to the request that carries it.
            identity: What the request belongs to, so that each one's proof is its own.
        """
        return f"{hops};{identity};{_proof(self._make_key(), hops, identity)}"

    def hops_of(self, header: str) -> int:
        """How many executions led to a request; 0 where nothing is proven."""
        hops, _, rest = header.partition(";")
        identity, _, proof = rest.rpartition(";")
        if not (hops.isascii() and hops.isdigit() and len(hops) <= 3):  # noqa: PLR2004
            return 0
        if not identity or len(header) > _MAX_LENGTH or not header.isascii():
            return 0
        key = self._key()
        if key is None or not hmac.compare_digest(proof, _proof(key, int(hops), identity)):
            return 0
        return int(hops)


def check(hops: int) -> CycleDetected | None:
    """Why an execution must not begin after so many others; ``None`` where it may."""
    if hops <= MAX_HOPS:
        return None
    return CycleDetected(f"{hops} executions led to this one: a workflow triggers itself")


def _proof(key: bytes, hops: int, identity: str) -> str:
    return hmac.digest(key, f"{hops};{identity}".encode(), "sha256").hex()
