"""Parts of the standard library that our libraries import at once and use for what we do not do.

Powertools imports ``asyncio`` with its resolvers for AppSync, and ``tempfile`` and ``zipfile`` with
the events of CodePipeline; pydantic imports ``importlib.metadata`` to look for plugins, which are
switched off. Here they are loaded when somebody asks for what is in them, and so never, which is a
twelfth of a cold start less. Who imports one of those libraries imports this before.

``importlib.util.LazyLoader`` does not help: a second ``import`` of the module loads it.
"""

import importlib
import logging
import sys
from threading import Lock
from types import ModuleType
from typing import Any, Final

NAMES: Final = (
    "asyncio",
    "aws_lambda_powertools.utilities.jmespath_utils",
    "importlib.metadata",
    "tempfile",
    "zipfile",
)

_making_way = Lock()
"""Threads that ask at the same moment get one module."""


class Postponed(ModuleType):
    """Stands for a module until somebody asks for something in it."""

    def __getattr__(self, attribute: str) -> Any:
        with _making_way:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), attribute)


# What is logged would ask each time which of asyncio's tasks logs it; there are none here.
# https://docs.python.org/3/library/logging.html#logrecord-objects
logging.logAsyncioTasks = False  # type: ignore[attr-defined]

for _name in NAMES:
    sys.modules.setdefault(_name, Postponed(_name))
