"""What `make run` deploys again, and what it leaves."""

import io
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from yaml import YAMLError

from local import __main__ as running
from local import platform, redeploy, settings, watch
from local.errors import PlatformError
from local.report import Report
from local.zips import zipped
from tools import template
from tools.template import functions


def test_every_function_is_a_part_and_has_its_name_in_the_template() -> None:
    parts = redeploy.parts()
    resources = (redeploy.ROOT / "template.yaml").read_text(encoding="utf-8")
    for folder in functions():
        assert f"functions/{folder}" in parts
        assert f"\n  {redeploy.logical_id(f'functions/{folder}')}:\n" in resources
    assert {redeploy.PROVIDER, redeploy.REST} <= parts.keys()


def test_a_changed_part_is_found_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    parts = ("functions", "layers", "local", "tools", "console/src", "template.yaml")
    for name in (*parts, "samconfig.toml"):
        source, target = redeploy.ROOT / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    monkeypatch.setattr(redeploy, "ROOT", tmp_path)
    monkeypatch.setattr(redeploy.digest, "ROOT", tmp_path)
    before = redeploy.parts()

    def changed() -> set[str]:
        now = redeploy.parts()
        return {part for part in now if now[part] != before[part]}

    (tmp_path / "functions/get_status/app.py").write_text("x = 1\n")
    assert changed() == {"functions/get_status"}
    (tmp_path / "layers/provider/integrations/models.py").write_text("x = 1\n")
    assert changed() == {"functions/get_status", redeploy.PROVIDER}
    (tmp_path / "console/src/app.tsx").write_text("export {};\n")
    assert changed() == {"functions/get_status", redeploy.PROVIDER, redeploy.CONSOLE}
    (tmp_path / "template.yaml").write_text("x: 1\n")
    assert redeploy.REST in changed()


def test_what_does_not_compile_is_said_with_its_place_and_not_deployed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = 1\ndef def\n")
    with pytest.raises(PlatformError, match=r"not deployed: .*app\.py.*line 2") as refused:
        redeploy.compiled(tmp_path, "/var/task")
    assert len(str(refused.value).splitlines()) == 1


def test_an_archive_holds_the_bytecode_beside_the_source(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = 1\n")
    redeploy.compiled(tmp_path, "/var/task")
    names = zipfile.ZipFile(io.BytesIO(zipped(tmp_path))).namelist()
    assert "app.py" in names
    assert any(name.endswith(".pyc") for name in names)


def test_a_change_is_told_once_it_is_still(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = (frozenset({(name, 1, 1)}) for name in "abc")
    seen = iter([a, b, c, c])
    monkeypatch.setattr(watch, "snapshot", lambda: next(seen))
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0)
    assert next(watch.changes(a)) is None
    assert list(seen) == []


def test_an_archive_is_the_same_whenever_its_files_were_made(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("x = 1\n")
    file.chmod(0o755)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    first = zipped(tmp_path)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert zipped(tmp_path) == first
    (entry,) = zipfile.ZipFile(io.BytesIO(first)).infolist()
    assert entry.external_attr >> 16 & 0o777 == 0o755


class Deployed:
    """A stack that is up, of which nothing can be deployed."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def update(self, *_: object) -> list[str]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PlatformError("not deployed: app.py"), "Nothing was redeployed: not deployed: app.py"),
        (YAMLError("in line 3,\n column 5"), "redeployed: YAMLError: in line 3, column 5"),
        (FileNotFoundError(2, "No such file", "app.py~"), "redeployed: FileNotFoundError: "),
        (KeyError("Type"), "redeployed: KeyError: 'Type'"),
    ],
)
def test_what_is_half_written_ends_no_stack(
    capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    stack: Any = Deployed(error)
    running.redeploy(stack, {}, settings.load(), Report())
    assert said in capsys.readouterr().out


def test_settings_are_held_against_the_template_as_it_is_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = settings.load()
    (tmp_path / "template.yaml").write_text("Parameters: [\n", encoding="utf-8")
    monkeypatch.setattr(template, "ROOT", tmp_path)
    try:
        stack: Any = None
        running.redeploy(stack, {}, started, Report())
    finally:
        platform.clear_template()
    said = capsys.readouterr().out
    assert "Nothing was redeployed: ParserError: " in said
    assert f'in "{tmp_path}/template.yaml", line 2' in said


def test_what_was_put_before_a_failure_is_put_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = {"functions/a": "1", "functions/b": "1", redeploy.REST: "1"}
    puts: list[list[str]] = []

    class Failing:
        def __init__(self, *_: object) -> None:
            """Take what it needs not."""

        def put(self, changed: list[str]) -> None:
            puts.append(changed)
            if now["functions/b"] == "broken":
                raise OSError("it went while it was read")

    stack = platform.Platform(tmp_path)
    stack._parts = dict(now)
    monkeypatch.setattr(redeploy, "parts", lambda: dict(now))
    monkeypatch.setattr(redeploy, "Redeployment", Failing)
    monkeypatch.setattr(stack, "client", lambda _: None)
    monkeypatch.setattr(stack, "_lead", lambda: None)

    now |= {"functions/a": "2", "functions/b": "broken"}
    with pytest.raises(OSError, match="while it was read"):
        stack.update({})
    now |= {"functions/a": "1", "functions/b": "1"}
    assert stack.update({}) == ["functions/a", "functions/b"]
    assert puts == [["functions/a", "functions/b"]] * 2
    assert stack.update({}) == []


class Lambda:
    """Layers, and a function that uses one."""

    def __init__(self) -> None:
        self.versions: list[dict[str, Any]] = []
        self.layers: list[dict[str, str]] = []

    def publish_layer_version(self, *, Description: str, **_: object) -> dict[str, Any]:  # noqa: N803 - boto3's names
        number = len(self.versions) + 1
        arn = f"arn:aws:lambda:us-east-1:000000000000:layer:{redeploy.LAYER}:{number}"
        made = {"Version": number, "LayerVersionArn": arn, "Description": Description}
        self.versions.append(made)
        return made

    def get_paginator(self, name: str) -> Any:
        function = {"FunctionName": "f", "Layers": self.layers}
        page = {"Functions": [function], "LayerVersions": list(filter(None, self.versions))}
        assert name in {"list_functions", "list_layer_versions"}
        return SimpleNamespace(paginate=lambda **_: [page])

    def update_function_configuration(self, *, Layers: list[str], **_: object) -> None:  # noqa: N803
        self.layers = [{"Arn": arn} for arn in Layers]

    def delete_layer_version(self, *, VersionNumber: int, **_: object) -> None:  # noqa: N803
        assert not self.layers[0]["Arn"].endswith(f":{VersionNumber}"), "it is in use"
        self.versions[VersionNumber - 1] = {}


def test_of_the_layers_that_were_put_the_newest_stays_and_cloudformations() -> None:
    client: Any = Lambda()
    first = client.publish_layer_version(Description="The project's own package.")
    client.layers = [{"Arn": first["LayerVersionArn"]}]
    for _ in range(3):
        redeploy.Redeployment(client, str).put([redeploy.PROVIDER])
    assert [each["Version"] for each in client.versions if each] == [1, 4]
    assert client.layers == [{"Arn": client.versions[3]["LayerVersionArn"]}]
