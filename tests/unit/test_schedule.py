"""The daily check's run: its budget, its cursor, and one failure that stops nobody."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.entry import schedule, wiring
from integrations.errors import UnknownConnection
from integrations.models import now
from integrations.services.connections.due import PAGE, DueChecks
from integrations.storage.aws import AwsError
from integrations.storage.aws.client import AwsUnavailable
from integrations.storage.connections import DUE_SHARDS

type Key = tuple[str, str, str]


class Context:
    """A Lambda's context: so much time is left, and less with each look where a test wants it."""

    aws_request_id = "5f9a1c52-9a5e-4d5b-8f5a-0c2b7e8d9a10"

    def __init__(self, milliseconds: float = 900_000, each: float = 0) -> None:
        self.milliseconds = milliseconds
        self.each = each

    def get_remaining_time_in_millis(self) -> float:
        self.milliseconds -= self.each
        return self.milliseconds


class Due:
    """The index of what is due; a connection that was checked leaves it, if the test wants so."""

    def __init__(self, count: int) -> None:
        self.rows: dict[Key, datetime] = {
            ("acme", "sheets_oauth", f"c{number}"): now() - timedelta(hours=count - number)
            for number in range(count)
        }
        self.checked: list[Key] = []
        self.act: Callable[[str], str] = lambda _: "connected"
        self.stuck: set[str] = set()
        self.lock = threading.Lock()

    # -- as storage

    def due(self, shard: int, before: datetime, limit: int) -> list[Key]:
        with self.lock:
            rows = sorted(
                (due_at, key)
                for key, due_at in self.rows.items()
                if due_at <= before and int(key[2][1:]) % DUE_SHARDS == shard
            )
        return [key for _, key in rows[:limit]]

    def get(self, *key: str) -> Any:
        if key[2] == "c1":
            raise UnknownConnection("removed in between")
        if key[2] == "c2":
            raise AwsError("GetItem", "ThrottlingException", "slow down")
        return key

    def check_at(self, key: Key, due_at: datetime) -> bool:
        self.rows[key] = due_at
        return True

    # -- as service

    def check(self, *key: str) -> str:
        tenant, provider, name = key
        with self.lock:
            self.checked.append((tenant, provider, name))
        state = self.act(name)
        if name not in self.stuck:
            self.rows[tenant, provider, name] = now() + timedelta(days=1)
        return state

    def next_check(self) -> datetime:
        return now() + timedelta(days=1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Due, dict[str, int]]]:
    def act(due: Due, context: Context | None = None) -> tuple[Due, dict[str, int]]:
        table: Any = due
        checks = DueChecks(table, table, table)
        monkeypatch.setattr(wiring, "due_checks", lambda: checks)
        rows: Any = context or Context()
        return due, schedule.refresh_connections({}, rows)

    return act


def test_all_that_is_due_is_checked_once_page_by_page(run: Any) -> None:
    count = DUE_SHARDS * PAGE * 2 + 3
    due, counts = run(Due(count))
    assert counts == {"connected": count}
    assert len(set(due.checked)) == len(due.checked) == count


def test_a_run_without_time_leaves_the_rest_to_the_next(run: Any) -> None:
    # Each look at the clock costs 100 ms, and 60 s are kept in reserve.
    due = Due(400)

    def act(_: str) -> str:
        time.sleep(0.002)  # the other shards' turn
        return "connected"

    due.act = act
    due, counts = run(due, Context(90_000, each=100))
    done = counts["connected"]
    assert 100 < done < 400
    # The oldest of each shard came first.
    oldest = {("acme", "sheets_oauth", f"c{number}") for number in range(DUE_SHARDS)}
    assert oldest <= set(due.checked)

    first = list(due.checked)
    due, counts = run(due)
    assert counts == {"connected": 400 - done}
    assert not set(first) & set(due.checked[done:])


def test_a_run_that_has_no_time_at_all_checks_nothing(run: Any) -> None:
    due, counts = run(Due(10), Context(59_000))
    assert (due.checked, counts) == ([], {})


def test_one_that_fails_stops_no_other(run: Any) -> None:
    due = Due(60)

    def act(name: str) -> str:
        match name:
            case "c0" | "c1" | "c2":
                raise RuntimeError("unforeseen")
            case "c3":
                raise UnknownConnection("removed")
            case "c4":
                return "needs_reauth"
        return "connected"

    due.act = act
    due, counts = run(due)
    assert counts == {"failed": 3, "gone": 1, "needs_reauth": 1, "connected": 55}
    # What failed is not tried again before tomorrow.
    assert due.rows["acme", "sheets_oauth", "c0"] > now() + timedelta(hours=23)


def test_one_whose_check_aws_did_not_answer_is_checked_again_in_a_minute(run: Any) -> None:
    due = Due(1)

    def act(_: str) -> str:
        raise AwsUnavailable("UpdateItem", "RequestTimeout", "no answer")

    due.act = act
    due, counts = run(due)
    assert counts == {"failed": 1}
    (again,) = due.rows.values()
    assert now() < again <= now() + timedelta(minutes=1)


def test_what_stays_due_is_checked_once_a_run(run: Any) -> None:
    due = Due(DUE_SHARDS * PAGE)
    due.stuck = {f"c{number}" for number in range(DUE_SHARDS * PAGE)}
    due, counts = run(due)
    assert counts == {"connected": DUE_SHARDS * PAGE}


def test_a_slow_provider_holds_up_only_its_own_shard(run: Any) -> None:
    due = Due(80)
    done: list[float] = []
    started = time.monotonic()

    def act(name: str) -> str:
        if name == "c0":
            time.sleep(0.5)
        else:
            done.append(time.monotonic() - started)
        return "connected"

    due.act = act
    _, counts = run(due)
    assert counts == {"connected": 80}
    assert sum(moment < 0.5 for moment in done) == 70
