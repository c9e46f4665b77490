"""What may go wrong in a run, and how often: each seed has weather of its own.

A run in which everything goes wrong at once finds little, because nothing gets far. So each seed
turns most kinds of trouble off, and some of the others up (swarm testing,
https://users.cs.utah.edu/~regehr/papers/swarm12.pdf).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.chance import Chance

KINDS: Mapping[str, tuple[float, float, float]] = {
    # An effect of AWS's.
    "killed before": (0.0, 0.004, 0.02),
    "killed after": (0.0, 0.004, 0.02),
    "throttled": (0.0, 0.01, 0.05),
    "cut before": (0.0, 0.01, 0.04),
    "cut after": (0.0, 0.01, 0.05),
    "frozen": (0.0, 0.001, 0.006),
    # A provider.
    "busy": (0.0, 0.05, 0.2),
    "down": (0.0, 0.05, 0.2),
    "unreachable": (0.0, 0.05, 0.1),
    "late before": (0.0, 0.03, 0.1),
    "late after": (0.0, 0.03, 0.1),
    "slow": (0.0, 0.05, 0.2),
    # A queue, and Lambda.
    "twice": (0.0, 0.05, 0.3),
    "not deleted": (0.0, 0.05, 0.3),
    "refused by Lambda": (0.0, 0.02, 0.1),
    # For minutes.
    "outage of AWS": (0.0, 0.06, 0.15),
    "outage of providers": (0.0, 0.06, 0.15),
}
"""Each kind of trouble, and its rates on a fine, an ordinary and a bad day."""

FORCED: dict[str, float] = {}
"""The weather of every world, in place of its own."""

OUTSIDE = frozenset({
    "busy", "down", "unreachable", "late before", "late after", "slow", "outage of providers",
})  # fmt: skip
"""What goes wrong at providers alone."""

OUTAGE_SECONDS = 150
AWS = ("dynamodb", "sqs", "kms", "s3")


@dataclass
class Weather:
    """The weather of one run.

    Attributes:
        fine: Nothing goes wrong (any more).
    """

    chance: Chance
    fine: bool = False

    def __post_init__(self) -> None:
        # A quarter of the seeds has trouble outside alone: there everything must be punctual.
        outside = self.chance.fraction("weather") < 0.25
        self._rates = {
            kind: rates[0 if outside and kind not in OUTSIDE else self._day(kind)]
            for kind, rates in KINDS.items()
        }
        if FORCED:
            self._rates = dict.fromkeys(KINDS, 0.0) | FORCED
        self._of = {
            "aws": self._chosen("killed before", "killed after", "throttled", "cut before",
                                "cut after", "frozen"),
            "provider": self._chosen("killed before", "killed after", "frozen", "busy", "down",
                                     "unreachable", "late before", "late after", "slow"),
        }  # fmt: skip

    def _day(self, kind: str) -> int:
        drawn = self.chance.fraction(f"weather:{kind}")
        return 0 if drawn < 0.55 else 1 if drawn < 0.85 else 2

    def _chosen(self, *kinds: str) -> list[tuple[str, float]]:
        return [(kind, self._rates[kind]) for kind in kinds if self._rates[kind]]

    def of_effect(self, service: str, name: str, moment: float) -> str:
        """What goes wrong with an effect; ``""`` where it has its way."""
        if self.fine:
            return ""
        if service in AWS and self._outage("outage of AWS", service, moment):
            return "throttled"
        if service == "provider":
            if self._outage("outage of providers", service, moment):
                return "down"
            return self.chance.bad(name, self._of["provider"])
        return self.chance.bad(name, self._of["aws"])

    def happens(self, kind: str, name: str) -> bool:
        """Whether something of another kind goes wrong."""
        if self.fine or not self._rates[kind]:
            return False
        return bool(self.chance.bad(f"{name}:{kind}", [(kind, self._rates[kind])]))

    def _outage(self, kind: str, service: str, moment: float) -> bool:
        rate = self._rates[kind]
        if not rate:
            return False
        window = int(moment // OUTAGE_SECONDS)
        return bool(self.chance.bad(f"outage:{service}:{window}", [(kind, rate)]))
