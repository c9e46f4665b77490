"""Let Redocly and Spectral, which the field judges OpenAPI by, judge the API's document.

`python -m local.api_lint` prints what they find and ends with 1 where that is anything.
"""

import subprocess
import sys

from local import node
from local.console import CONSOLE, install
from local.errors import PlatformError
from local.locks import exclusively
from local.paths import ROOT
from local.report import Report

FOLDER = ROOT / "tools" / "api_lint"
PACKAGES = ("package.json", "package-lock.json")
DOCUMENT = ROOT / "layers" / "provider" / "integrations" / "data" / "openapi.json"
JUDGES = (
    ("redocly", "lint", "--config=redocly.yaml", "--format=stylish"),
    ("spectral", "lint", "--ruleset=.spectral.yaml", "--fail-severity=warn", "--quiet"),
)


def main() -> None:
    """Install the two, once, and run them."""
    report = Report()
    try:
        env = {**node.environment(report), "REDOCLY_TELEMETRY": "off"}
        with exclusively(CONSOLE):
            install(env, report, folder=FOLDER, packages=PACKAGES)
    except PlatformError as error:
        sys.exit(str(error))
    for program, *arguments in JUDGES:
        command = [str(FOLDER / "node_modules" / ".bin" / program), *arguments, str(DOCUMENT)]
        ran = subprocess.run(
            command, cwd=FOLDER, env=env, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            sys.exit(f"{ran.stdout}\n{ran.stderr}".strip())


if __name__ == "__main__":
    main()
