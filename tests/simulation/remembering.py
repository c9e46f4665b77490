"""What a process remembers, each sandbox its own: takes the place of ``integrations.memory``.

It must be installed before anything that remembers is imported.
"""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

type Memory = dict[Any, Any]

_outside: Memory = {}
"""What whoever runs outside of any sandbox remembers."""

_present: list[Callable[[], Memory | None]] = [lambda: None]


def install() -> None:
    """Let ``integrations.memory`` keep what it keeps in the present sandbox, for good."""
    from integrations import memory

    memory.once = _once
    memory.mapping = _Mapping  # type: ignore[assignment]


def lives_in(sandbox: Callable[[], Memory | None]) -> None:
    """Say where the present memory is; ``None`` is outside of any sandbox."""
    _present[:] = [sandbox]


def forget_outside() -> None:
    """Forget what was remembered outside of sandboxes."""
    _outside.clear()


def _memory() -> Memory:
    found = _present[0]()
    return _outside if found is None else found


def _once[T](make: Callable[[], T]) -> Callable[[], T]:
    name = f"{make.__module__}.{make.__qualname__}"

    def made() -> T:
        memory = _memory()
        if name not in memory:
            memory[name] = make()
        result: T = memory[name]
        return result

    return made


class _Mapping(MutableMapping[Any, Any]):
    """A mapping that is another one in each sandbox."""

    def _own(self) -> dict[Any, Any]:
        own: dict[Any, Any] = _memory().setdefault(self, {})
        return own

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __getitem__(self, name: Any) -> Any:
        return self._own()[name]

    def __setitem__(self, name: Any, value: Any) -> None:
        self._own()[name] = value

    def __delitem__(self, name: Any) -> None:
        del self._own()[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def __ror__(self, other: dict[Any, Any]) -> dict[Any, Any]:
        return {**other, **self._own()}
