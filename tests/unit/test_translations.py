"""What becomes of a template is made once for all stacks of this machine."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import translations


class Making:
    """Makes a value, and counts how often."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.times = 0

    def __call__(self) -> Any:
        self.times += 1
        return self.value


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translations, "FOLDER", tmp_path / "kept")


def test_what_is_made_of_a_source_is_made_once() -> None:
    making = Making({"Resources": {"Api": [1, 2.5, None, True, "ä"]}})
    for _ in range(3):
        assert translations.kept("a", making) == making.value
    assert making.times == 1
    assert translations.kept("b", Making([])) == []


@pytest.mark.parametrize("value", [{200: "a number as a name"}, {"a": {1, 2}}, float("nan")])
def test_what_json_would_change_is_made_each_time(value: Any) -> None:
    making = Making(value)
    for _ in range(2):
        assert translations.kept("a", making) is value
    assert making.times == 2


def test_a_failure_is_not_kept() -> None:
    def fail() -> None:
        raise ValueError("no template")

    for _ in range(2):
        with pytest.raises(ValueError, match="no template"):
            translations.kept("a", fail)
    assert translations.kept("a", Making(1)) == 1


def test_the_newest_are_kept() -> None:
    for number in range(translations.MOST + 5):
        translations.kept(str(number), Making(number))
        for age, path in enumerate(
            sorted(translations.FOLDER.iterdir(), key=lambda each: -each.stat().st_mtime)
        ):
            os.utime(path, (0, 1_000_000 - age))
    assert len(list(translations.FOLDER.glob("*.json"))) == translations.MOST
    last = Making("again")
    assert translations.kept(str(translations.MOST + 4), last) == translations.MOST + 4
    assert last.times == 0


SAM = """
made = []

def transform(template, parameters, policies):
    made.append(template)
    return {"translated": template}
"""


@pytest.fixture
def _sam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "samtranslator" / "translator"
    package.mkdir(parents=True)
    (package / "transform.py").write_text(SAM, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(translations, "version", lambda _: "1.0")
    monkeypatch.setattr(yaml, "load", yaml.load)
    for name in [each for each in sys.modules if each.partition(".")[0] == "samtranslator"]:
        monkeypatch.delitem(sys.modules, name)
    translations.keep()
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] == "samtranslator"]:
        del sys.modules[name]


@pytest.mark.usefixtures("_sam")
def test_sam_is_loaded_by_the_first_that_has_something_to_translate() -> None:
    for _ in range(2):
        from samtranslator.translator.transform import transform  # type: ignore[import-not-found]

        assert transform({"a": 1}, {}, object()) == {"translated": {"a": 1}}
    assert transform({"a": 2}, {}, object()) == {"translated": {"a": 2}}
    assert transform({"a": 1}, {"Stage": "dev"}, object()) == {"translated": {"a": 1}}


@pytest.mark.usefixtures("_sam")
def test_only_templates_are_read_once() -> None:
    class CfnLoader(yaml.SafeLoader):
        read = 0

        def get_single_data(self) -> Any:
            CfnLoader.read += 1
            return super().get_single_data()

    for _ in range(2):
        assert yaml.load("a: [1]", Loader=CfnLoader) == {"a": [1]}  # noqa: S506 - it is a safe one
    assert CfnLoader.read == 1
    assert yaml.load("a: [1]", Loader=yaml.SafeLoader) == {"a": [1]}
