"""Something that happens in the very moment that a race needs."""

from collections.abc import Callable
from typing import Any

import pytest


def before(
    monkeypatch: pytest.MonkeyPatch, asked: Any, method: str, act: Callable[[], object]
) -> None:
    """Let something happen right before a table or a service is first asked for something."""
    _in_between(monkeypatch, asked, method, act, lambda: None)


def after(
    monkeypatch: pytest.MonkeyPatch, asked: Any, method: str, act: Callable[[], object]
) -> None:
    """Let something happen right after its first answer, which may be a failure."""
    _in_between(monkeypatch, asked, method, lambda: None, act)


def _in_between(
    monkeypatch: pytest.MonkeyPatch,
    asked: Any,
    method: str,
    earlier: Callable[[], object],
    later: Callable[[], object],
) -> None:
    answer = getattr(asked, method)
    left = [(earlier, later)]

    def late(*given: Any, **more: Any) -> Any:
        if not left:
            return answer(*given, **more)
        first, last = left.pop()
        first()
        try:
            return answer(*given, **more)
        finally:
            last()

    monkeypatch.setattr(asked, method, late)
