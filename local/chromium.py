"""Find a Chromium for the tests that need a real browser, or install one.

The first that there is: one on PATH, Playwright's own, one of the system's packages. `python -m
local.chromium` prints where it is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from local import locks
from local.errors import PlatformError
from local.paths import STATE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DOWNLOAD_SECONDS = 300
INSTALL_SECONDS = 600


def executable() -> Path:
    """Return a Chromium's path; it is installed where there is none.

    Raises:
        PlatformError: There is none, and none can be installed.
    """
    with locks.exclusively(STATE / "chromium"):
        found = on_path() or playwrights()
        if found:
            return found
        tried = [downloaded(), installed()]
        found = on_path() or playwrights()
    if found is None:
        raise PlatformError(
            "there is no Chromium on this machine, and none could be installed "
            f"({'; '.join(tried)}): put one on PATH"
        )
    return found


def on_path() -> Path | None:
    """Return the system's Chromium, or Chrome."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def playwrights() -> Path | None:
    """Return the Chromium that Playwright has downloaded."""
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


def downloaded() -> str:
    """Let Playwright download its Chromium; returns how that went."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    return f"Playwright's own download: {attempt(command, DOWNLOAD_SECONDS)}"


def installed() -> str:
    """Let Debian's or Ubuntu's packages install theirs; returns how that went."""
    if shutil.which("apt-get") is None:
        return "no apt-get"
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    attempt([*sudo, "apt-get", "update", "-qq"], INSTALL_SECONDS)
    command = [*sudo, "apt-get", "install", "-y", "-qq", "chromium"]
    return f"apt-get: {attempt(command, INSTALL_SECONDS)}"


def attempt(command: list[str], seconds: float) -> str:
    """Run a command; returns `done`, or the last line of what it said."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return "done"
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"


def main() -> None:
    """Print where it is."""
    try:
        print(executable())
    except PlatformError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
