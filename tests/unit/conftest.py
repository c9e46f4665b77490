"""What several of the unit tests need of this machine."""

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture(params=["127.0.0.1", "::1"])
def served_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port that another program serves, at one of `localhost`'s two addresses."""
    address: str = request.param
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as other:
        try:
            other.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        other.listen()
        port: int = other.getsockname()[1]
        yield port
