"""Everything that is left to chance, by name: the same seed and the same name give the same number.

A simulator that draws its decisions one after the other from one generator draws others as soon as
anything is taken out of a run, and then a failing run cannot be made smaller. Here each decision
has a name that does not depend on what else happens (``a3.1@acme>1#1:7``: the seventh effect of the
first delivery of the first message that action 3 has sent), and its number is a hash of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

_CALM = 0.999_999


@dataclass(slots=True)
class Chance:
    """The decisions of one run.

    Attributes:
        seed: Where they come from.
        allowed: The only names under which something bad may happen; ``None`` for any.
        plain: Everything takes its usual time and comes in the order in which it was sent.
        happened: What bad things happened, in order, by name: what a smaller run can do without.
    """

    seed: int
    allowed: frozenset[str] | None = None
    plain: bool = False
    happened: dict[str, str] = field(default_factory=dict)

    def fraction(self, name: str) -> float:
        """A number from 0 to below 1."""
        digest = blake2b(f"{self.seed}:{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    def one_of[T](self, name: str, choices: Sequence[T]) -> T:
        """One of several, each as likely."""
        return choices[int(self.fraction(name) * len(choices))]

    def between(self, name: str, low: float, high: float) -> float:
        """A number in between."""
        return low + (high - low) * self.fraction(name)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self.fraction(name) * (high - low + 1))

    def bad(self, name: str, rates: Sequence[tuple[str, float]]) -> str:
        """Which bad thing happens now; ``""`` for none.

        Args:
            name: The decision's name.
            rates: What may happen, and how likely each is.
        """
        if self.allowed is not None and name not in self.allowed:
            return ""
        drawn = self.fraction(name)
        for what, rate in rates:
            if drawn < rate:
                self.happened[name] = what
                return what
            drawn -= rate
        return ""

    def seconds(self, name: str) -> float:
        """How long something takes: mostly milliseconds, now and then seconds."""
        if self.plain:
            return 0.002
        drawn = self.fraction(f"{name}:time")
        if drawn < 0.9:
            return 0.001 + drawn / 100
        if drawn < 0.99:
            return (drawn - 0.9) * 5
        return 1 + (drawn - 0.99) * 700
