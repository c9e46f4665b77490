"""What is measured: what `sam build` built, laid out as Lambda lays it out, all of it compiled.

The floor and Lambda's own runtime are copied out of the virtual environment and compiled the same
way: where they had no bytecode, every ratio would be too good.
"""

import compileall
import py_compile
import shutil
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

from benchmarks.handlers import HANDLERS
from local import build, digest, locks
from local.errors import PlatformError
from local.paths import ROOT
from local.report import Report
from tools.template import folder, resources

HOME = ROOT / ".aws-sam" / "benchmarks"
FLOOR = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")
RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


class Artifacts:
    """The built functions, and the layers unpacked into one folder, as Lambda's /opt/python.

    Args:
        report: Hears how the build goes.

    Raises:
        PlatformError: Something is not built, or has no bytecode.
    """

    def __init__(self, report: Report) -> None:
        self._built = HOME / "build"
        self._opt = HOME / "opt" / "python"
        with locks.exclusively(self._built):
            build.build(self._built, architecture="host", report=report)
            shutil.rmtree(self._opt, ignore_errors=True)
            for layer in build.LAYERS:
                shutil.copytree(self._built / layer / "python", self._opt, dirs_exist_ok=True)
        self.floor = copied("floor", FLOOR)
        self.runtime = copied("runtime", RUNTIME)
        self.handlers = HOME / "handlers"
        shutil.rmtree(self.handlers, ignore_errors=True)
        shutil.copytree(HANDLERS, self.handlers, ignore=shutil.ignore_patterns("__*__*"))
        compiled(self.handlers)
        for each in (self._built, self._opt, self.floor, self.runtime, self.handlers):
            if missing := build.without_bytecode(each):
                raise PlatformError(
                    f"{missing[0]} has no bytecode: the run would measure compiling"
                )
        self._functions = {
            folder(each): name for name, each in resources("AWS::Serverless::Function").items()
        }

    def path(self, function: str) -> list[Path]:
        """A function's PYTHONPATH; nothing may write there, as on Lambda."""
        return [self._built / self._functions[function], self._opt]

    def sizes(self) -> Mapping[str, int]:
        """The bytes of each layer, unpacked."""
        return {layer: build.size(self._built / layer) for layer in build.LAYERS}


def copied(name: str, packages: tuple[str, ...]) -> Path:
    """Copy installed packages into a folder of their own, compiled; it is made once per version."""
    found = [distribution(package) for package in packages]
    wanted = digest.of_values(*(f"{each.name} {each.version}" for each in found))
    target = HOME / name
    stamp = target / ".digest"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    for each in found:
        for file in each.files or ():
            if file.parts[0] != ".." and "__pycache__" not in file.parts:
                copy = target / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(each.locate_file(file)), copy)
    compiled(target)
    stamp.write_text(wanted, encoding="utf-8")
    return target


def compiled(folder_: Path) -> None:
    """Compile a folder as the layers are."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder_, quiet=2, force=True, invalidation_mode=mode)
