"""What services tell of what they did; who listens makes log lines and metrics of it.

Nothing heavy may be imported here: the receiver uses it.
"""

from typing import Literal, Protocol

type Fact = str | float | list[str] | None
type Kind = Literal[
    "delivery", "event", "execution", "step", "call", "connection", "retry", "message"
]


class Observe(Protocol):
    """Takes what happened; it never fails, and never waits for anybody."""

    def __call__(self, kind: Kind, /, **facts: Fact) -> None:
        """Take one happening.

        Args:
            kind: What it is about.
            facts: What is known of it, no secret and nothing that a stranger wrote at length.
        """


def nobody(_kind: Kind, /, **_facts: Fact) -> None:
    """Where nobody listens."""
