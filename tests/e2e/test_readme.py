"""The README's tour: its own commands, run; its own answers, compared."""

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PLATFORM_TENANT, Client, StandIns
from tests.fakes.telegram import TOKEN
from tools.template import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the tour needs curl"),
]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\b(?:wf|exe|evt)_[0-9a-f]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
HOST = "localhost:3000"
VARYING = {"durationMs", "requestId", "messageId", "message_id", "id", "url"}
"""Names whose values differ from run to run; their types do not."""


def blocks() -> list[tuple[str, str]]:
    """The tour's code blocks, in order: the language and the text."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, tour = text.partition("\n## A tour\n")
    tour, _, _ = tour.partition("\n## ")
    return [(match[1], match[2]) for match in BLOCK.finditer(tour)]


def answer(text: str) -> Any:
    """An answer as the README has it: ``…`` stands for what was left out."""
    return json.loads(re.sub(r",\s*…", "", text))


@dataclass
class Tour:
    """A walk through the tour, at the platform's address, as the tenant that runs the stack."""

    client: Client
    home: Path
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> Any:
        """Run a command as a reader would, and return what came back."""
        for promised, real in self.ids.items():
            command = command.replace(promised, real)
        address = self.client.platform.url.removeprefix("http://")
        done = subprocess.run(  # noqa: S602 - a reader's shell
            command.replace(HOST, address),
            shell=True,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env={"CURL_HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
        shown = done.stdout.replace(address, HOST)
        for promised, real in self.ids.items():
            shown = shown.replace(real, promised)
        return json.loads(shown)

    def compare(self, promised: Any, real: Any, place: str = "") -> None:
        """Hold what the README tells against what came: nothing is told that is not so."""
        assert type(real) is type(promised), f"{place}: {real!r} instead of {promised!r}"
        if isinstance(promised, dict):
            for name, inner in promised.items():
                assert name in real, f"{place} has no {name}: {real}"
                self.compare(inner, real[name], f"{place}.{name}")
        elif isinstance(promised, list):
            assert len(real) == len(promised), f"{place}: {real}"
            for index, inner in enumerate(promised):
                self.compare(inner, real[index], f"{place}[{index}]")
        elif isinstance(promised, str) and ID.fullmatch(promised):
            assert ID.fullmatch(real), f"{place}: {real}"
            self.ids.setdefault(promised, real)
        elif isinstance(promised, str) and TIME.fullmatch(promised):
            assert TIME.fullmatch(real), f"{place}: {real}"
        elif place.rpartition(".")[2] not in VARYING:
            assert real == promised, f"{place}: {real!r} instead of {promised!r}"


@pytest.fixture
def tenant() -> str:
    """Who runs the stack, as the reader does: short webhook ids are theirs."""
    return PLATFORM_TENANT


def test_the_tour_goes_as_the_readme_says(
    client: Client, stand_ins: StandIns, tmp_path: Path
) -> None:
    (tmp_path / ".curlrc").write_text(
        f'silent\nshow-error\nheader = "Authorization: Bearer {client.token}"\n', encoding="utf-8"
    )
    tour = Tour(client, tmp_path)
    found = [(lang, text) for lang, text in blocks() if "make run" not in text]
    found = [each for each in found if "tests.fakes" not in each[1]]
    assert [lang for lang, _ in found] == ["sh", "json"] * (len(found) // 2)
    assert len(found) > 20
    for (_, command), (_, promised) in zip(found[::2], found[1::2], strict=True):
        end = time.monotonic() + 150
        while True:
            try:
                tour.compare(answer(promised), tour.run(command))
                break
            except AssertionError:
                # An execution comes a moment after its event; nothing else may be late.
                if "/executions" not in command or time.monotonic() > end:
                    raise
                time.sleep(0.25)
    texts = [call.params["text"] for call in stand_ins.telegram.called("sendMessage")]
    assert texts.count("Order 1001: 19.90 EUR") == 1


def test_the_readme_has_the_stand_in_s_token() -> None:
    assert TOKEN in (ROOT / "README.md").read_text(encoding="utf-8")
