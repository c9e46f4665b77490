"""The order of the tests, quick ones first, and a real browser for those that need one."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

E2E = Path(__file__).parent / "e2e"
LONGEST = ("test_chaos.py", "test_faults.py", "test_crashes.py")
"""They wait for minutes: whoever begins with them waits beside everything else."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place(item.path))


def place(path: Path) -> tuple[bool, bool]:
    """What comes first is false first; the sort leaves the rest as it is."""
    return path.is_relative_to(E2E), path.name not in LONGEST


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
