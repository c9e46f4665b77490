"""What is installed is what was pinned: every package by version and by the hashes of its files."""

import re
from pathlib import Path

import pytest

from tools.template import ROOT

SHIPPED = ROOT / "layers" / "dependencies" / "requirements.txt"
LOCKED = sorted([*(ROOT / "requirements").glob("*.txt"), SHIPPED])
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def packages(path: Path) -> list[str]:
    """What a file asks for, an entry with its hashes each."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_package_is_pinned_with_its_hashes(path: Path) -> None:
    found = packages(path)
    assert found
    for each in found:
        assert re.match(r"[a-z0-9._-]+==[^ ]+ ", each), each
        assert HASH.search(each), each


def test_each_list_of_names_is_pinned() -> None:
    names = {path.stem for path in (ROOT / "requirements").glob("*.in")}
    assert names == {path.stem for path in LOCKED if path != SHIPPED}


def test_what_installs_takes_nothing_else() -> None:
    for path in ("requirements/install.sh", "layers/dependencies/build.py"):
        text = (ROOT / path).read_text(encoding="utf-8")
        installs = len(re.findall(r'pip"? install|"pip", "install"', text))
        assert text.count("--require-hashes") == installs > 0, path
    assert "--generate-hashes" in (ROOT / "requirements/lock.sh").read_text(encoding="utf-8")


def test_what_ships_has_the_versions_that_were_tested() -> None:
    def versions(path: Path) -> set[str]:
        return {each.split(" ")[0] for each in packages(path)}

    assert versions(SHIPPED) <= versions(ROOT / "requirements" / "dev.txt")
