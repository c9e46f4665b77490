"""A failing run made smaller: the fewest actions, then the fewest troubles, that still break it.

Delta debugging (https://www.debuggingbook.org/html/DeltaDebugger.html). Decisions have names, so
that what is left out leaves everything else as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.day import run
from tests.simulation.invariants import Violated
from tests.simulation.story import Action, story
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Case:
    """A run that fails, and all that it takes.

    Attributes:
        troubles: The names of what goes wrong.
        plain: Everything takes its usual time.
    """

    seed: int
    actions: tuple[Action, ...]
    troubles: frozenset[str] | None
    plain: bool = False

    def play(self, *, traced: bool = False) -> tuple[World, Violated | None]:
        """Run it."""
        return run(
            self.seed,
            actions=list(self.actions),
            allowed=self.troubles,
            plain=self.plain,
            traced=traced,
        )


def shrunk(seed: int, length: int, invariant: str, budget: int = 400) -> Case:
    """The smallest case that is found with so many runs in which the same invariant breaks."""
    from tests.simulation.chance import Chance

    left = budget

    def fails(case: Case) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            return False
        found = case.play()[1]
        return found is not None and found.invariant == invariant

    case = Case(seed, tuple(story(Chance(seed), length)), None)
    plain = Case(seed, case.actions, None, plain=True)
    if fails(plain):
        case = plain
    actions = _least(case.actions, lambda some: fails(Case(seed, tuple(some), None, case.plain)))
    case = Case(seed, tuple(actions), None, case.plain)
    happened = list(case.play()[0].chance.happened)
    if fails(Case(seed, case.actions, frozenset(happened), case.plain)):
        troubles = _least(
            happened, lambda some: fails(Case(seed, case.actions, frozenset(some), case.plain))
        )
        case = Case(seed, case.actions, frozenset(troubles), case.plain)
    return case


def _least[T](items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Some of the items, of which none can be left out."""
    needed = list(items)
    if fails([]):
        return []
    size = max(1, len(needed) // 2)
    while True:
        removed = False
        at = 0
        while at < len(needed):
            without = needed[:at] + needed[at + size :]
            if without != needed and fails(without):
                needed = without
                removed = True
            else:
                at += size
        if size == 1 and not removed:
            return needed
        size = max(1, size // 2)
