"""What evaluations may spend, alone and together. Spending more raises ``ExpressionError``.

Nothing in this package grows without a budget being asked first, so neither time nor memory depends
on what a template wants. A budget may be part of a larger one: each filter of an event has its own,
all of them that of the event, all events that of the batch.
"""

import time
from typing import Any, Final

from integrations.errors import ExpressionError

MAX_CHARACTERS: Final = 256 * 1024
"""The most that one value may hold, each character and each item counted; a budget may say more."""

MAX_DEPTH: Final = 64
MAX_STEPS: Final = 200_000
MAX_ALLOCATED: Final = 8 * 1024 * 1024
MAX_SECONDS: Final = 5.0

_STEPS_BETWEEN_CLOCK_READS: Final = 64
_CHARACTERS_IN_A_STEP: Final = 256
_CHARACTERS_PARSED_IN_A_STEP: Final = 4


class Budget:
    """What one evaluation, or many together, may spend.

    Args:
        steps: Operations, rounds, items looked at.
        seconds: Of the clock, from now on.
        characters: Of all values that are made.
        largest: Of any one of them.
        within: The larger budget that all of it is taken from as well.
    """

    __slots__ = (
        "_allocated",
        "_characters",
        "_ends",
        "_largest",
        "_max_steps",
        "_next_look",
        "_seconds",
        "_steps",
        "_within",
    )

    def __init__(
        self,
        *,
        steps: int = MAX_STEPS,
        seconds: float = MAX_SECONDS,
        characters: int = MAX_ALLOCATED,
        largest: int = MAX_CHARACTERS,
        within: "Budget | None" = None,
    ) -> None:
        self._max_steps = steps
        self._seconds = seconds
        self._characters = characters
        self._largest = largest
        self._within = within
        self._steps = 0
        self._allocated = 0
        self._next_look = _STEPS_BETWEEN_CLOCK_READS
        self._ends = time.monotonic() + seconds

    def step(self, count: int = 1) -> None:
        """Pay for work: an operation, a round of a loop, an item that is looked at."""
        self._steps += count
        if self._within is not None:
            self._within.step(count)
        if self._steps < self._next_look:
            return
        if self._steps > self._max_steps:
            raise ExpressionError(f"takes more than {self._max_steps} steps")
        self.look_at_the_clock()

    def look_at_the_clock(self) -> None:
        """Fail where the time is over: beside ``step``, after what may have taken long."""
        self._next_look = self._steps + _STEPS_BETWEEN_CLOCK_READS
        if time.monotonic() > self._ends:
            raise ExpressionError(f"takes longer than {self._seconds:g} seconds")
        if self._within is not None:
            self._within.look_at_the_clock()

    def excuse(self, seconds: float) -> None:
        """Let time have passed that is nobody's: what a process loads once, say."""
        self._ends += seconds
        if self._within is not None:
            self._within.excuse(seconds)

    def parse(self, source: str) -> None:
        """Pay for understanding a template, which costs more than running it."""
        self.step(1 + len(source) // _CHARACTERS_PARSED_IN_A_STEP)
        self.look_at_the_clock()

    def allocate(self, characters: int) -> None:
        """Pay for a value of this size before it is made."""
        if characters > self._largest:
            raise ExpressionError(f"gives a value of more than {self._largest} characters")
        self._allocated += characters
        if self._allocated > self._characters:
            raise ExpressionError(f"needs more than {self._characters} characters of memory")
        if self._within is not None:
            self._within.allocate(characters)

    def read(self, value: Any) -> None:
        """Pay for reading a text through: a step for each 256 characters."""
        if isinstance(value, str):
            self.step(1 + len(value) // _CHARACTERS_IN_A_STEP)

    def weigh(self, value: Any) -> int:
        """Pay for looking at a value through and through.

        Returns:
            Its size in characters and items, at most what one value may hold.

        Raises:
            ExpressionError: It is larger than that, or nested too deeply. The same list taken into
                another one twice, and so on, is found out here before anything walks through it.
        """
        size = 0
        pending: list[tuple[Any, int]] = [(value, 1)]
        while pending:
            self.step()
            node, depth = pending.pop()
            if depth > MAX_DEPTH:
                raise ExpressionError(f"gives a value nested more than {MAX_DEPTH} levels deep")
            if isinstance(node, str):
                size += len(node)
            elif isinstance(node, list):
                size += len(node)
                if size <= self._largest:
                    pending.extend((item, depth + 1) for item in node)
            elif isinstance(node, dict):
                size += sum(map(len, node)) + len(node)
                if size <= self._largest:
                    pending.extend((item, depth + 1) for item in node.values())
            size += 1
            if size > self._largest:
                raise ExpressionError(f"gives a value of more than {self._largest} characters")
        return size

    def built[T: (list[Any], dict[str, Any])](self, value: T) -> T:
        """Pay for a list or an object that has just been put together of values that were there."""
        self.allocate(self.weigh(value))
        return value

    def text(self, value: str) -> str:
        """Pay for a text that has just been made; its size was bounded by what it was made of."""
        self.allocate(len(value))
        return value
