"""What is measured: what `sam build` built, laid out as Lambda lays it out."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from local import build
from local.paths import ROOT
from local.report import Report

HOME = ROOT / ".aws-sam" / "benchmarks"


class Artifacts:
    """The built functions, and the layers unpacked into one folder, as Lambda's /opt/python.

    Args:
        report: Hears how the build goes.
    """

    def __init__(self, report: Report) -> None:
        self._built = HOME / "build"
        self._opt = HOME / "opt" / "python"
        with build.exclusively(self._built):
            build.build(self._built, architecture="host", report=report)
            shutil.rmtree(self._opt, ignore_errors=True)
            for layer in build.LAYERS:
                shutil.copytree(self._built / layer / "python", self._opt, dirs_exist_ok=True)

    def path(self, function: str) -> list[Path]:
        """A function's PYTHONPATH; nothing may write there, as on Lambda."""
        name = "".join(map(_word, function.split("_")))
        folder = self._built / f"{name}Function"
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        return [folder, self._opt]

    def sizes(self) -> Mapping[str, int]:
        """The bytes of each layer, unpacked."""
        return {layer: build.size(self._built / layer) for layer in build.LAYERS}


def _word(word: str) -> str:
    return {"oauth": "OAuth", "openapi": "OpenApi"}.get(word, word.capitalize())
