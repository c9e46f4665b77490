"""Parameters of a stack as SAM reads them, those of files included.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-cli-command-reference-sam-deploy.html
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from local.errors import PlatformError
from local.paths import ROOT

FILE = "file://"
INCLUDE = "$include"

_NAME = r"""([A-Za-z0-9"']+)"""
_VALUE = r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\\.|[^ "\\])+)"""
_FORMS = (
    re.compile(f"ParameterKey={_NAME},ParameterValue={_VALUE}"),
    re.compile(f" {_NAME}={_VALUE}"),
)


def read(given: Iterable[str]) -> dict[str, str]:
    """Return what SAM makes of parameters: name → value, a later one in an earlier one's place.

    Args:
        given: Each as `Name=value`, `ParameterKey=Name,ParameterValue=value` or `file://…`.

    Raises:
        PlatformError: One of them is none, or a file cannot be read.
    """
    return dict(_read(list(given), ROOT, ()))


def name(parameter: str) -> str:
    """Return the name of the one parameter that is given; of a file, or of several, all of it."""
    pairs = [] if parameter.startswith(FILE) else list(_pairs(parameter))
    return pairs[0][0] if len(pairs) == 1 else parameter


def _read(given: object, folder: Path, within: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(given, str):
        if given.startswith(FILE):
            path = (folder / given.removeprefix(FILE)).resolve()
            if path in within:
                raise PlatformError(f"{path} includes itself")
            yield from _read(_content(path), path.parent, (*within, path))
        else:
            yield from _pairs(given)
    elif isinstance(given, list):
        for each in given:
            yield from _read(each, folder, within)
    elif isinstance(given, dict):
        for key, value in given.items():
            if key == INCLUDE and value is not None:
                yield from _read(value, folder, within)
            else:
                yield _plain(str(key)), _plain(_text(value))
    elif given is not None:
        raise PlatformError(f"a {type(given).__name__} is no parameter")


def _content(path: Path) -> object:
    """Return what a file of parameters holds."""
    if not path.is_file():
        raise PlatformError(f"there is no file {path}")
    text = path.read_text(encoding="utf-8")
    try:
        match path.suffix:
            case ".yaml" | ".yml":
                content: object = yaml.safe_load(text)
            case ".toml":
                content = tomllib.loads(text)
            case _:
                raise PlatformError(f"{path} is neither .yaml nor .toml")
    except (yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        # What is wrong there, and nothing of its lines: they may hold secrets.
        raise PlatformError(f"{path} cannot be read as {path.suffix[1:]}") from error
    return content


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(each).strip() for each in value if each not in (None, ""))
    return "" if value is None else str(value)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Give the parameters in one text."""
    for form in _FORMS:
        if found := form.findall(f" {text.strip()}"):
            for key, value in found:
                yield _plain(key), _plain(value)
            return
    known = text.partition("=")[0] if "=" in text else "a text"  # it may be a secret
    raise PlatformError(f"{known} is no parameter: Name=value is one")


def _plain(text: str) -> str:
    """Return a text without the quotes around it."""
    if text and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return text.replace("\\ ", " ").replace('\\"', '"').replace("\\'", "'")
