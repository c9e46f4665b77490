"""A real browser for tests: Chromium, driven by Playwright.

The fixtures are the root conftest's: ``chromium`` is the browser, ``page`` a page in a profile of
its own. https://playwright.dev/python/docs/api/class-page
"""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from local import chromium


@contextmanager
def running() -> Iterator[Browser]:
    """Start a Chromium, and end it."""
    # Before: it asks Playwright, too, and of that there is one at a time in a thread.
    executable = chromium.executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=[
                # A container gives no user namespaces; the pages are the tests' own.
                "--no-sandbox",
                # What this project itself refuses is the point, not what Chromium refuses for it.
                "--disable-features=LocalNetworkAccessChecks",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()
