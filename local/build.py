"""Build what is deployed: `sam build`, the functions' bytecode, and a check that none is missing.

The layers compile themselves (`layers/*/Makefile`), so plain `sam build && sam deploy` ships their
bytecode too; here the functions' one file each is compiled as well.
"""

import argparse
import compileall
import json
import py_compile
import sys
from pathlib import Path
from typing import Any

from local import console, digest, programs, sam
from local.errors import PlatformError
from local.locks import exclusively
from local.paths import ROOT, TEMPLATE
from local.report import Report
from local.zips import zipped
from tools.template import read

TAG = "cpython-313"
DEFAULT = "arm64"
"""The architecture of a stack that says nothing else, as the template has it."""
LAYERS = ("DependenciesLayer", "ProviderLayer")
PACKED = "template.json"
"""The built template whose layers are archives: see `pack`."""


def build(build_dir: Path, *, architecture: str, report: Report) -> str:
    """Build the stack, unless what was built before is still what the sources say.

    Args:
        build_dir: Gets the built template, functions and layers.
        architecture: `arm64` or `x86_64` for AWS, `host` for processes of this machine.
        report: Hears how it goes.

    Returns:
        A digest of what was built.

    Raises:
        PlatformError: Something does not build, or a module has no bytecode.
    """
    with programs.beside() as pool:
        # It is the longest, and keeps one core busy alone.
        check = pool.submit(check_template, build_dir.with_name("template"), report)
        try:
            console.build(report)
            wanted = digest.of_values(digest.of_sources(), architecture)
            # In the folder that `sam build` empties, so whoever else builds there takes it away.
            stamp = build_dir / ".digest"
            fresh = stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted
            if not fresh:
                build_with_sam(build_dir, architecture=architecture, report=report)
        except PlatformError:
            # What is wrong with the template says more than what failed because of it.
            check.result()
            raise
        check.result()
    if fresh:
        return wanted
    if missing := without_bytecode(build_dir):
        raise PlatformError(f"no bytecode was built for {missing[0].relative_to(build_dir)}")
    for layer in LAYERS:
        report.say(f"  {layer}: {size(build_dir / layer) / 1e6:.1f} MB unpacked")
    stamp.write_text(wanted, encoding="utf-8")
    return wanted


def build_with_sam(build_dir: Path, *, architecture: str, report: Report) -> None:
    """Build the functions and layers, with the functions' bytecode."""
    cache = build_dir.with_name(f"{build_dir.name}-cache-{architecture}")
    log = build_dir.with_name(f"{build_dir.name}.log")
    with report.step("Building the functions and layers"):
        sam.build(build_dir, cache, architecture=architecture, log=log, report=report)
        compile_functions(build_dir)


def pack(build_dir: Path) -> None:
    """Write what was built as `sam deploy` takes it in half the time.

    It reads a template five times, JSON in no time and YAML in a second, and zips a layer's
    thousands of files for each stack; here that is done once. `sam build` takes it away.
    """
    target = build_dir / PACKED
    if target.is_file():
        return
    built: dict[str, Any] = {**read((build_dir / "template.yaml").read_text(encoding="utf-8"))}
    for layer in LAYERS:
        archive = build_dir / f"{layer}.zip"
        archive.write_bytes(zipped(build_dir / layer))
        built["Resources"][layer]["Properties"]["ContentUri"] = archive.name
    half_done = target.with_suffix(".part")
    half_done.write_text(json.dumps(built), encoding="utf-8")
    half_done.rename(target)


def check_template(beside: Path, report: Report) -> None:
    """Check the template, unless it is the one that was good before; raises PlatformError."""
    stamp = beside.with_suffix(".digest")
    wanted = digest.of_values(TEMPLATE.read_text(encoding="utf-8"))
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    with report.step("Checking the template"):
        sam.validate(log=beside.with_suffix(".log"), report=report)
    stamp.write_text(wanted, encoding="utf-8")


def compile_functions(build_dir: Path) -> None:
    """Compile each function's own code; Lambda cannot write what it compiles."""
    for folder in build_dir.iterdir():
        if folder.is_dir() and folder.name not in LAYERS:
            compileall.compile_dir(
                folder,
                quiet=1,
                stripdir=str(folder),
                prependdir="/var/task",
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


def without_bytecode(build_dir: Path) -> list[Path]:
    """List the modules that Lambda would have to compile at every cold start."""
    return [
        source
        for source in sorted(build_dir.rglob("*.py"))
        if not (source.parent / "__pycache__" / f"{source.stem}.{TAG}.pyc").is_file()
    ]


def size(folder: Path) -> int:
    """Return how many bytes a folder's files hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Build for AWS into .aws-sam/build, where `sam deploy` looks."""
    parser = argparse.ArgumentParser(description="Build what AWS gets.")
    parser.add_argument("--architecture", choices=["arm64", "x86_64"], default=DEFAULT)
    arguments = parser.parse_args()
    target = ROOT / ".aws-sam" / "build"
    programs.heed_the_end()
    try:
        with exclusively(target):
            build(target, architecture=arguments.architecture, report=Report())
    except PlatformError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped.")


if __name__ == "__main__":
    main()
