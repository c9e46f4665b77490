"""Fifty worlds hold, planted faults are found, a failing world replays and becomes small."""

import subprocess
from typing import Any

import pytest

from tests.simulation.__main__ import LENGTH, ROOT, environment, played, player
from tools.template import functions

FAULTS = {
    "account-not-deleted",
    "ack-before-the-write",
    "checkpoint-after-the-effect",
    "conflict-with-oneself",
    "dead-letters-not-visible",
    "dedup-key-from-a-clock",
    "erased-once-and-no-more",
    "expired-lease-taken-without-revision",
    "finished-without-an-end",
    "lease-without-a-condition",
    "lost-delayed-message",
    "missing-tenant-filter",
    "retry-without-idempotency-id",
    "schedule-without-an-end",
    "secret-in-a-log",
    "token-good-for-ever",
    "two-refreshes-at-once",
    "webhook-outlives-its-connection",
}


def run(*arguments: str) -> list[dict[str, Any]]:
    return list(played([player(*arguments)]))


@pytest.mark.long
def test_fifty_worlds_hold_and_every_function_runs_in_them() -> None:
    seeds = range(1, 51)
    shares = [map(str, seeds[number::2]) for number in range(2)]
    results = list(played([player("seeds", str(LENGTH), *share) for share in shares]))
    assert sorted(each["seed"] for each in results) == list(seeds)
    assert [each["violation"] for each in results if each["violation"]] == []
    assert sum(each["counts"].get("trouble", 0) for each in results) > 1000
    ran = {name for each in results for name in each["counts"]}
    assert [name for name in functions() if name not in ran] == []


@pytest.mark.long
def test_every_planted_fault_is_found() -> None:
    results = run("faults", str(LENGTH), "all", "0", "1")
    assert {each["fault"] for each in results} == FAULTS
    assert [each["fault"] for each in results if not each["seed"]] == []


def test_a_world_is_the_same_to_the_letter_whatever_was_before() -> None:
    alone = run("seeds", str(LENGTH), "7")
    after_others = run("seeds", str(LENGTH), "3", "7")
    assert after_others[1]["digest"] == alone[0]["digest"]
    assert after_others[0]["digest"] != alone[0]["digest"]


def test_a_failing_world_becomes_small() -> None:
    answer = subprocess.run(
        player("seed", str(LENGTH), "1", "secret-in-a-log"),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1, answer.stderr
    assert "\n1 actions:\n" in answer.stdout
    assert "\n0 troubles (and everything in its usual order):\n" in answer.stdout
    assert "no secret outside its place: a log line" in answer.stdout
