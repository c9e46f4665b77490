"""What is installed is what was pinned: every package by version and by the hashes of its files."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
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
    for path in ("requirements/uv.sh", "requirements/install.sh", "layers/dependencies/build.py"):
        text = (ROOT / path).read_text(encoding="utf-8")
        installs = len(re.findall(r'pip(?: --python "\$venv")? install|"pip", "install"', text))
        assert text.count("--require-hashes") == installs > 0, path
    assert "--generate-hashes" in (ROOT / "requirements/lock.sh").read_text(encoding="utf-8")


def test_what_ships_has_the_versions_that_were_tested() -> None:
    def versions(path: Path) -> set[str]:
        return {each.split(" ")[0] for each in packages(path)}

    assert versions(SHIPPED) <= versions(ROOT / "requirements" / "dev.txt")


# -- A first start ---------------------------------------------------------------------------


def commands_of_the_first_environment() -> set[str]:
    """The modules that those targets run which install no tests' packages."""
    found: set[str] = set()
    for rule in re.split(r"\n(?=\S)", (ROOT / "Makefile").read_text(encoding="utf-8")):
        needs = re.match(r"[a-z -]+:(?!=)([^#\n]*)", rule)
        if needs and re.search(r"RUNTIME|\.venv/\.run", needs[1]):
            found |= set(re.findall(r"python -m ([\w.]+)", rule))
    return found


def imported(path: Path) -> Iterator[str]:
    """What a file imports when it runs: all but what stands there for the type checker alone."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        match waiting.pop():
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=others):
                waiting += others
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{each.name}" for each in names)
            case node:
                waiting += ast.iter_child_nodes(node)


def file_of(module: str) -> Path | None:
    """A module's file, where it is one of ours."""
    for top in (ROOT, ROOT / "layers" / "provider"):
        whole = top.joinpath(*module.split("."))
        for each in (whole.with_suffix(".py"), whole / "__main__.py", whole / "__init__.py"):
            if each.is_file():
                return each
    return None


def reached(modules: set[str]) -> dict[str, str]:
    """The foreign packages that our modules import, each with the file that does."""
    foreign: dict[str, str] = {}
    seen: set[Path] = set()
    waiting = sorted(modules)
    while waiting:
        path = file_of(waiting.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        for module in imported(path):
            parts = module.split(".")
            if file_of(parts[0]) is None and not (ROOT / parts[0]).is_dir():
                foreign.setdefault(parts[0], path.relative_to(ROOT).as_posix())
            waiting += [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return foreign


def test_the_first_environment_has_all_that_its_commands_import() -> None:
    """Nothing else notices: where tests run, the tests' packages are installed too."""
    commands = commands_of_the_first_environment()
    assert {"local", "local.tokens", "local.restore", "tools.importing", "tools.smoke"} <= commands
    pinned = {each.split("==")[0] for each in packages(ROOT / "requirements" / "run.txt")}
    owners = packages_distributions()
    for package, where in reached(commands).items():
        if package not in sys.stdlib_module_names:
            names = {each.lower().replace("_", "-") for each in owners.get(package, [package])}
            assert names & pinned, f"{where} imports {package}"


@pytest.mark.parametrize("left", ["python without pip", "pip without uv", "nothing"])
def test_an_interrupted_installation_is_taken_up_again(tmp_path: Path, left: str) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("uv.sh", "run.txt"):
        shutil.copy(ROOT / "requirements" / name, tmp_path / "requirements" / name)
    pip = '#!/bin/sh\n[ "$1" = --version ] || { touch .venv/bin/uv && chmod +x .venv/bin/uv; }\n'
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nmkdir -p .venv/bin && cat >.venv/bin/pip <<'EOF'\n{pip}EOF\n"
        'chmod +x .venv/bin/pip; echo "$@" >>made\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    if left != "nothing":
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    if left == "pip without uv":
        (tmp_path / ".venv" / "bin" / "pip").write_text(pip, encoding="utf-8")
        (tmp_path / ".venv" / "bin" / "pip").chmod(0o755)
    command = ["/bin/sh", "requirements/uv.sh", str(python)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / ".venv" / "bin" / "uv").is_file()
    assert (tmp_path / "made").exists() == (left != "pip without uv")
