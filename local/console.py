"""Build the console: TypeScript in console/, files for `functions/get_console` out.

`python -m local.console` builds it, and with arguments runs npm with them.
"""

import argparse
import gzip
import hashlib
import json
import mimetypes
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local import digest, node, programs
from local.errors import PlatformError
from local.locks import exclusively
from local.paths import ROOT, STATE
from local.report import Report

SITE = ROOT / "functions" / "get_console" / "site"
DIST = ROOT / "console" / "dist"
# What only one process at a time installs packages for, and builds.
CONSOLE = STATE / "console"
# Where Vite puts what has a digest in its name.
HASHED = "assets"
PACKAGES = (
    "package.json",
    "package-lock.json",
    "console/package.json",
    "clients/typescript/package.json",
)
SOURCES = (
    *PACKAGES, ".npmrc", "tsconfig.base.json", "console/index.html", "console/vite.config.ts",
    "console/tsconfig.json", "console/src", "console/public", "clients/typescript/src",
    "console/docs.html", "console/docs.mjs", "docs", "README.md", "CONTRIBUTING.md", "SECURITY.md",
    "CHANGELOG.md", "clients/typescript/README.md", "local/console.py",
)  # fmt: skip
GENERATED = {"schema.ts"}
# Python's own kinds of files: what a machine has of its own (/etc/mime.types) differs.
KINDS = mimetypes.MimeTypes()


def build(report: Report) -> None:
    """Build the console into the function that serves it, unless it is there as the sources say.

    Raises:
        PlatformError: Node or the packages cannot be installed, or the console does not build.
    """
    with exclusively(CONSOLE):
        wanted = digest.of_files((ROOT / source for source in SOURCES), without=GENERATED)
        stamp = SITE / ".digest"
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return
        env = node.environment(report)
        install(env, report)
        with report.step("Building the console"):
            _npm(["run", "build"], env, report)
            pack(DIST, SITE)
        stamp.write_text(wanted, encoding="utf-8")


def install(
    env: Mapping[str, str],
    report: Report,
    *,
    folder: Path = ROOT,
    packages: Sequence[str] = PACKAGES,
) -> None:
    """Install the packages of a folder's lock file, unless they are there.

    Raises:
        PlatformError: npm cannot; its log is named.
    """
    wanted = digest.of_files(folder / name for name in packages)
    stamp = folder / "node_modules" / ".digest"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    owner = "the console" if folder == ROOT else folder.name
    with report.step(f"Installing npm's packages of {owner}"):
        _npm(["ci", "--no-progress"], env, report, folder)
    stamp.write_text(wanted, encoding="utf-8")


def pack(dist: Path, site: Path) -> None:
    """Compress what was built into `site`, beside a list of the files and their headers.

    Args:
        dist: What Vite built.
        site: Is replaced; `files.json` maps a path below `/console/` to its headers.
    """
    shutil.rmtree(site, ignore_errors=True)
    files: dict[str, dict[str, str]] = {}
    for path in sorted(path for path in dist.rglob("*") if path.is_file()):
        name = path.relative_to(dist).as_posix()
        content = path.read_bytes()
        target = site / f"{name}.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
        kind = KINDS.guess_type(name)[0] or "application/octet-stream"
        text = kind.startswith("text/") or kind in {"application/json", "image/svg+xml"}
        hashed = name.startswith(f"{HASHED}/")
        files[name] = {
            "type": f"{kind}; charset=utf-8" if text else kind,
            "etag": f'"{hashlib.sha256(content).hexdigest()[:20]}"',
            "cache": "public, max-age=31536000, immutable" if hashed else "no-cache",
        }
    (site / "files.json").write_text(json.dumps(files, sort_keys=True), encoding="utf-8")


def _npm(arguments: list[str], env: Mapping[str, str], report: Report, folder: Path = ROOT) -> None:
    log = STATE / "console.log"
    try:
        programs.run(["npm", *arguments], cwd=folder, env=env, log=log, report=report)
    except programs.ProgramError as error:
        output = " ".join(error.output.split())[-600:]
        raise PlatformError(f"npm {arguments[0]}: {output} (see {log})") from None


def main() -> None:
    """Build; or become npm, with the packages installed."""
    parser = argparse.ArgumentParser(description="Build the console, or run npm.")
    parser.add_argument("npm", nargs=argparse.REMAINDER, help="arguments for npm")
    arguments = parser.parse_args()
    report = Report()
    programs.heed_the_end()
    try:
        if not arguments.npm:
            build(report)
            return
        env = node.environment(report)
        with exclusively(CONSOLE):
            install(env, report)
    except PlatformError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    os.chdir(ROOT)
    os.execvpe("npm", ["npm", *arguments.npm], dict(env))  # noqa: S606


if __name__ == "__main__":
    main()
