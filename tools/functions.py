"""The code of the functions, which are no package: each is the root of its own Lambda."""

import importlib.util
import sys
from functools import cache
from types import ModuleType

from tools.template import ROOT


@cache
def module(function: str) -> ModuleType:
    """A function's code, imported once as in a warm Lambda.

    Args:
        function: Its folder.

    Raises:
        FileNotFoundError: There is no such function.
    """
    name = f"functions.{function}.app"
    file = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made
