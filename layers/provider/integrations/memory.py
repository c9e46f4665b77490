"""What a process remembers from one invocation to the next: one way to keep it, one to drop it.

It is for what depends on the environment, on credentials or on what came before. What only the
code decides (a file that is shipped, a provider's module) needs ``functools.cache`` alone.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

_DROPS: Final[list[Callable[[], object]]] = []


def once[T](make: Callable[[], T]) -> Callable[[], T]:
    """Decorate a function so that it is called once in a process's life, on first use."""
    cached = cache(make)
    _DROPS.append(cached.cache_clear)
    return cached


def mapping() -> dict[Any, Any]:
    """A mapping that lives as long as the process; whoever fills it bounds it."""
    made: dict[Any, Any] = {}
    _DROPS.append(made.clear)
    return made


def forget() -> None:
    """Drop all of it, so that everything is made anew on next use.

    For whoever changes the environment of a running process: tests, and nothing in a Lambda.
    """
    for drop in _DROPS:
        drop()
