"""What Ctrl-C and SIGTERM end, and how soon."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from local import build, locks, programs, settings, state
from local.errors import PlatformError
from local.report import Report


@pytest.fixture
def not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is ended in here must not end the programs of the tests after it."""
    monkeypatch.setattr(programs, "_ENDED", Event())


@pytest.mark.usefixtures("not_ended")
def test_an_end_does_not_wait_for_the_check_of_the_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Event()

    def check(_beside: Path, report: Report) -> None:
        env = programs.environment()
        runs.set()
        command = ["sh", "-c", "sleep 100; touch to-the-end"]
        programs.run(command, cwd=tmp_path, env=env, log=tmp_path / "log", report=report)

    def console(_report: Report) -> None:
        runs.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "check_template", check)
    monkeypatch.setattr(build.console, "build", console)
    with pytest.raises(KeyboardInterrupt):
        build.build(tmp_path / "build", architecture="host", report=Report(quiet=True))
    assert runs.is_set()
    assert not (tmp_path / "to-the-end").exists()


@pytest.mark.usefixtures("not_ended")
def test_an_end_does_not_wait_for_what_another_process_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.0)
    waits = Event()

    def build() -> str:
        with locks.exclusively(tmp_path / "build"):
            return "built"

    def wait(_seconds: float) -> None:
        waits.set()

    monkeypatch.setattr(locks.time, "sleep", wait)
    with locks.shared(tmp_path / "build"), ThreadPoolExecutor(1) as pool:
        built = pool.submit(build)
        assert waits.wait(10)
        with pytest.raises(KeyboardInterrupt), programs.ending():
            raise KeyboardInterrupt
        with pytest.raises(PlatformError, match="stopped, while another process had"):
            built.result(timeout=10)
    assert capsys.readouterr().err.count("Waiting for another process") == 1
    monkeypatch.setattr(programs, "_ENDED", Event())
    assert build() == "built"


@pytest.mark.parametrize("how", [
    "run()",
    """
    with programs.beside() as pool:
        pool.submit(run)
        raise ValueError("something else has failed meanwhile")
"""],
    ids=["alone", "beside what failed"],
)  # fmt: skip
def test_a_program_goes_with_who_was_asked_to_end(tmp_path: Path, how: str) -> None:
    asked = f"""
import pathlib, sys
from local import programs
from local.report import Report
folder = pathlib.Path({str(tmp_path)!r})
def run():
    command = ["sh", "-c", "echo $$ >pid.part; mv pid.part pid; exec sleep 100"]
    env = programs.environment()
    programs.run(command, cwd=folder, env=env, log=folder / "log", report=Report())
programs.heed_the_end()
try:
    {how}
except KeyboardInterrupt:
    sys.exit("Stopped.")
"""
    with subprocess.Popen(
        [sys.executable, "-c", asked], cwd=settings.ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "pid").exists() and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert said == "Stopped.\n"
    assert not state.is_running((tmp_path / "pid").read_text())
