"""DNS answers of a test's choosing, faked where every library asks: ``socket.getaddrinfo``."""

import socket
from collections.abc import Sequence
from typing import Any

import pytest


class Dns:
    """Answers for the names that it is told; asks nobody for any other name.

    Attributes:
        asked: Every name that was looked up, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[Sequence[str]]] = {}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def answer(self, name: str, *turns: str | Sequence[str]) -> None:
        """Answer ``name`` with these addresses, one turn after the other; the last one stays."""
        self._answers[name] = [[turn] if isinstance(turn, str) else turn for turn in turns]

    def _getaddrinfo(
        self,
        host: Any,
        port: Any,
        *args: Any,
        **kwargs: Any,
    ) -> list[tuple[Any, ...]]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        turns = self._answers.get(name)
        if turns is None:
            # An address in any notation needs no look-up; a name that is not known fails.
            kwargs["flags"] = kwargs.get("flags", 0) | socket.AI_NUMERICHOST
            return self._real(host, port, *args, **kwargs)
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in found
        ]
