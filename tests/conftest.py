"""The order of the tests, quick ones first, and a real browser for those that need one."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

E2E = Path(__file__).parent / "e2e"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = [item for item in items if item.path.is_relative_to(E2E)]
    quick = [item for item in items if not item.path.is_relative_to(E2E)]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [*dealt(quick, workers), *dealt(slow, workers)]


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in an order in which each worker begins with its share of the long ones.

    Whoever begins with them works or waits beside everything else; at the end, the others would
    have nothing left to do beside them. xdist gives each worker a part of the list, all of one
    length; who is done takes from the others.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    others = iter([item for item in items if not item.get_closest_marker("long")])
    order: list[pytest.Item] = []
    for worker in range(workers):
        length = (len(items) - len(order)) // (workers - worker)
        own = long[worker::workers]
        order += [*own, *islice(others, max(0, length - len(own)))]
    return [*order, *others]


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A real browser; where the machine has none, it is installed.

    It ends with its module: while it runs, this thread has an event loop, and no other test's fits.
    """
    from tests import browser

    with browser.running() as running:
        yield running


@pytest.fixture
def page(chromium: "Browser") -> Iterator["Page"]:
    """A page of that browser, in a profile that is this test's alone."""
    with chromium.new_context() as context:
        yield context.new_page()
