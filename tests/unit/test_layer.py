"""What `sam build` puts into the dependencies layer."""

import ast
import importlib.util
import os
import platform
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import aws_lambda_powertools
import boto3
import botocore
import botocore.session
import pytest
from botocore.loaders import Loader
from pydantic_core import core_schema

import integrations
from integrations.storage.aws import transport
from local import build
from local.paths import ROOT, interpreter

PROVIDER = ROOT / "layers" / "provider"


@pytest.fixture(scope="module")
def layer() -> ModuleType:
    path = ROOT / "layers" / "dependencies" / "build.py"
    spec = importlib.util.spec_from_file_location("layer_build", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def boto3_services() -> set[str]:
    """Every service for which the package asks boto3 for a client."""
    return {
        argument.value
        for path in PROVIDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")).endswith("client")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_layer_keeps_the_services_that_the_package_makes_clients_of(layer: ModuleType) -> None:
    assert boto3_services(), "the package makes no client at all: has this test gone blind?"
    assert boto3_services() == set(layer.services())


def test_pruned_botocore_still_makes_clients(layer: ModuleType, tmp_path: Path) -> None:
    source = Path(botocore.__file__).parent / "data"
    data = tmp_path / "botocore" / "data"
    for name in [*layer.services(), "sns"]:
        shutil.copytree(source / name, data / name)
    for name in layer.BOTOCORE_FILES:
        shutil.copy(source / name, data / name)
    shutil.copytree(Path(boto3.__file__).parent / "data", tmp_path / "boto3" / "data")

    layer.prune_botocore(tmp_path, layer.services())

    session = botocore.session.Session()
    loader = Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    session.register_component("data_loader", loader)
    for service in layer.services():
        client = session.create_client(
            service, "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        assert client.meta.endpoint_url == f"https://{service}.eu-west-1.amazonaws.com"
    with pytest.raises(botocore.exceptions.UnknownServiceError):
        session.create_client("sns", "eu-west-1")
    assert not list(data.rglob("*.gz"))
    assert not list(data.rglob("examples-1*"))


def test_layer_has_the_http_client_without_a_library_that_guesses_charsets() -> None:
    path = ROOT / "layers" / "dependencies" / "requirements.txt"
    pinned = {line.partition("==")[0] for line in path.read_text(encoding="utf-8").splitlines()}
    assert {"requests", "certifi", "idna", "urllib3"} <= pinned
    assert not {"charset-normalizer", "chardet"} & pinned


def test_service_unknown_to_botocore_fails_the_build(layer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "botocore" / "data" / "s3").mkdir(parents=True)
    with pytest.raises(SystemExit, match="sqs"):
        layer.prune_botocore(tmp_path, ["s3", "sqs"])


def test_module_without_bytecode_is_found(layer: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "DependenciesLayer" / "python" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "module.py").write_text("x = 1\n", encoding="utf-8")
    assert len(build.without_bytecode(tmp_path)) == 2
    layer.compile_bytecode(tmp_path)
    assert build.without_bytecode(tmp_path) == []
    (package / "later.py").touch()
    assert build.without_bytecode(tmp_path) == [package / "later.py"]


def test_bytecode_is_used_unchecked(layer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1\n", encoding="utf-8")
    layer.compile_bytecode(tmp_path)
    header = (tmp_path / "__pycache__" / f"module.{build.TAG}.pyc").read_bytes()[:8]
    assert header[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(header[4:], "little") == 0b01  # by hash, and never checked


def test_amazons_roots_are_where_the_calls_to_aws_look_for_them(
    layer: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "botocore").mkdir()
    shutil.copy(Path(botocore.__file__).parent / "cacert.pem", tmp_path / "botocore")
    layer.extract_amazon_roots(tmp_path)
    context = ssl.create_default_context(cafile=tmp_path / Path(transport.AMAZON_ROOTS).name)
    names = {
        value for known in context.get_ca_certs() for ((key, value),) in known["subject"][-1:]
        if key == "commonName"
    }  # fmt: skip
    assert names == set(layer.AMAZON_ROOTS)
    # Both layers are unpacked into one folder.
    assert Path(transport.AMAZON_ROOTS).parent == Path(integrations.__file__).parents[1]


def test_a_root_that_is_gone_fails_the_build(layer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "botocore").mkdir()
    (tmp_path / "botocore" / "cacert.pem").touch()
    with pytest.raises(SystemExit, match="Amazon Root CA 1"):
        layer.extract_amazon_roots(tmp_path)


def test_a_package_imports_its_modules_when_they_are_asked_for(
    layer: ModuleType, tmp_path: Path
) -> None:
    installed = Path(aws_lambda_powertools.__file__).parents[1]
    package = tmp_path / layer.ALL_AT_ONCE
    shutil.copytree(installed / layer.ALL_AT_ONCE, package)
    layer.import_when_asked(package)
    code = f"""
import sys
import aws_lambda_powertools.utilities
aws_lambda_powertools.utilities.__path__.insert(0, {str(package.parent)!r})
from aws_lambda_powertools.utilities import data_classes
assert data_classes.__file__.startswith({str(tmp_path)!r})
assert "aws_lambda_powertools.utilities.data_classes.alb_event" not in sys.modules
for name in 2 * data_classes.__all__:
    assert isinstance(getattr(data_classes, name), type | type(lambda: 0)), name
assert "aws_lambda_powertools.utilities.data_classes.alb_event" in sys.modules
assert not hasattr(data_classes, "Nothing")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_types_without_their_fields_make_the_same_schemas(
    layer: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "core_schema.py"
    shutil.copy(Path(core_schema.__file__), path)
    layer.drop_fields(path)
    spec = importlib.util.spec_from_file_location("core_schema_without", path)
    assert spec
    assert spec.loader
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)
    assert core_schema.StringSchema.__annotations__
    assert not without.StringSchema.__annotations__
    for module in (core_schema, without):
        schema = module.model_fields_schema(
            {"name": module.model_field(module.str_schema(max_length=3))}
        )
        assert schema == {
            "type": "model-fields",
            "fields": {"name": {"type": "model-field", "schema": {"type": "str", "max_length": 3}}},
        }
    assert {name for name in vars(core_schema) if name not in vars(without)} == set()


def test_a_package_that_is_made_in_another_way_fails_the_build(
    layer: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "__init__.py").write_text("import json\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="in another way"):
        layer.import_when_asked(tmp_path)
    with pytest.raises(SystemExit, match="no TypedDict"):
        layer.drop_fields(tmp_path / "__init__.py")


def elf(machine: int, *, order: int = 1) -> bytes:
    """The beginning of an ELF file."""
    number = machine.to_bytes(2, "little" if order == 1 else "big")
    return b"\x7fELF" + bytes([2, order, 1]) + bytes(9) + b"\x03\x00" + number


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", 62), ("arm64", 183)])
def test_a_library_of_another_architecture_fails_the_build(
    layer: ModuleType, tmp_path: Path, architecture: str, machine: int
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_bytes(b"x = 1\n")
    (tmp_path / "package" / "good.so").write_bytes(elf(machine))
    layer.check_machines(tmp_path, architecture)
    for other, named in ((245 - machine, "x86_64" if machine == 183 else "arm64"), (40, "40")):
        (tmp_path / "package" / "bad.so").write_bytes(elf(other))
        with pytest.raises(SystemExit, match=rf"package/bad\.so is of .*{named}"):
            layer.check_machines(tmp_path, architecture)


def test_this_machines_own_library_is_of_its_architecture(layer: ModuleType) -> None:
    found = {layer.machine_of(Path(sys.executable).resolve())}
    own = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    assert found == ({own} if sys.platform == "linux" else {None})


MAKE = """
import sys
from samcli.lib.providers.sam_layer_provider import SamLayerProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
stacks, _ = SamLocalStackProvider.get_stacks(
    "template.yaml", parameter_overrides=dict(each.split("=") for each in sys.argv[1:])
)
for layer in SamLayerProvider(stacks).get_all():
    print(layer.layer_id, layer.build_architecture, layer.metadata.get("ContextPath"))
"""


@pytest.mark.parametrize(
    ("parameters", "architecture"),
    [((), "arm64"), (("Architecture=arm64",), "arm64"), (("Architecture=x86_64",), "x86_64")],
)
def test_plain_sam_build_builds_for_the_architecture_of_the_template(
    parameters: tuple[str, ...], architecture: str, tmp_path: Path
) -> None:
    asked = subprocess.run(
        [interpreter(".venv-sam"), "-W", "ignore", "-c", MAKE, *parameters],
        cwd=ROOT,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (each for each in asked.stdout.splitlines() if each.startswith("Dependencies"))
    _, built_for, folder = line.split()
    assert built_for == architecture
    assert make(ROOT / folder, tmp_path) == architecture
    assert make(ROOT / folder, tmp_path, ARCHITECTURE=architecture) == architecture
    assert make(ROOT / folder, tmp_path, ARCHITECTURE="host") == "host"
    other = "x86_64" if architecture == "arm64" else "arm64"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make(ROOT / folder, tmp_path, ARCHITECTURE=other)
    assert f"ARCHITECTURE={other}, but the template's" in failed.value.stderr


def make(folder: Path, artifacts: Path, **env: str) -> str:
    """For which architecture a layer's Makefile builds; a stand-in of Python says it.

    As SAM does, in a copy of the layer's folder; the project's path may have a space.
    """
    copy = artifacts / "a copy"
    shutil.copytree(folder.parent, copy, dirs_exist_ok=True)
    fake = artifacts / "bin" / "python3.13"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/bin/sh\necho "$4"\n', encoding="utf-8")
    fake.chmod(0o755)
    clean = {name: each for name, each in os.environ.items() if not name.startswith("MAKE")}
    clean.pop("ARCHITECTURE", None)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    target = "build-DependenciesLayer"
    made = subprocess.run(
        [shutil.which("make") or "make", "-sf", copy / folder.name / "Makefile", target],
        cwd=copy,
        env={**clean, "PATH": path, "ARTIFACTS_DIR": str(artifacts), **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()
