"""The schedule of checks, as tests run it."""

import time

from integrations.storage.aws import item
from tests.backend import Backend, LambdaContext, event


def check(backend: Backend, seconds: float = 900) -> dict[str, int]:
    """Run the schedule's function. Returns how many connections came to which state."""
    counts: dict[str, int] = backend.invoke(
        "refresh_connections", event("refresh_connections", "schedule"), LambdaContext(seconds)
    )
    return counts


def make_due(backend: Backend) -> None:
    """Let the check of every connection be due."""
    for row in backend.aws.rows("ConnectionsTable"):
        backend.aws.put("ConnectionsTable", item(row | {"dueAt": int(time.time()) - 1}))


def minute_later(backend: Backend) -> None:
    """Let what is due within a minute be due now, and the pauses be over."""
    for row in backend.aws.rows("ConnectionsTable"):
        left = {name: value for name, value in row.items() if not name.startswith("pause")}
        if left.get("dueAt"):
            left["dueAt"] -= 61
        backend.aws.put("ConnectionsTable", item(left))
