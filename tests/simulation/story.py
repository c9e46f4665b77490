"""What happens in a world: a list of actions, made of its seed; a smaller story is some of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.chance import Chance
from tests.simulation.morning import TENANTS


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that somebody does.

    Attributes:
        number: Names it, and all that follows from it.
        wait: Seconds since the action before.
    """

    number: int
    kind: str
    tenant: str
    wait: float

    def __str__(self) -> str:
        return f"a{self.number} {self.kind} of {self.tenant} after {self.wait:.1f} s"


WEIGHTS: Mapping[str, int] = {
    "deliver": 40, "deliver again": 8, "start": 10, "start twice": 3, "start many": 3, "forge": 2,
    "retry": 5, "cancel": 3, "rerun": 3, "replay": 3, "replay many": 4, "retry many": 3,
    "change": 3, "switch off": 1, "switch on": 2, "look": 6, "pry": 6, "hours": 4, "export": 1,
    "save again": 1, "check": 1, "expire": 1,
    "make workflow": 3, "delete workflow": 3, "try workflow": 1, "connect spare": 3,
    "disconnect spare": 3, "deliver to spare": 2, "challenge": 1, "act": 1, "log in": 2,
    "remove app": 1, "forget account": 1, "save secret": 1, "delete secret": 1, "make token": 2,
    "end token": 2, "share": 1, "stop job": 2, "erase": 1,
}  # fmt: skip
_CHOICES = tuple(kind for kind, weight in WEIGHTS.items() for _ in range(weight))


def story(chance: Chance, length: int) -> list[Action]:
    """The actions of a seed."""
    return [
        Action(
            number,
            chance.one_of(f"action:{number}:kind", _CHOICES),
            chance.one_of(f"action:{number}:tenant", TENANTS),
            _wait(chance, number),
        )
        for number in range(length)
    ]


def _wait(chance: Chance, number: int) -> float:
    drawn = chance.fraction(f"action:{number}:wait")
    return drawn * 2 if drawn < 0.6 else (drawn - 0.6) * 200 if drawn < 0.95 else 600.0
