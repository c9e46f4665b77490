"""The tests' own browser."""

import asyncio

import pytest

from local.errors import PlatformError


def test_a_chromium_is_looked_for_before_playwright_takes_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from local import chromium  # with Playwright: a second's import
    from tests import browser

    def executable() -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        raise PlatformError("there is none")

    monkeypatch.setattr(chromium, "executable", executable)
    with pytest.raises(PlatformError, match="there is none"), browser.running():
        pass
