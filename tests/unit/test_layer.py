"""What `sam build` puts into the dependencies layer."""

import ast
import importlib.util
import shutil
import ssl
from pathlib import Path
from types import ModuleType

import boto3
import botocore
import botocore.session
import pytest
from botocore.loaders import Loader

import integrations
from integrations.storage.aws import transport
from local import build
from local.paths import ROOT

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


def test_layer_keeps_every_service_that_the_package_uses(layer: ModuleType) -> None:
    assert boto3_services(), "the package makes no client at all: has this test gone blind?"
    assert boto3_services() <= set(layer.services())


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
    context = ssl.create_default_context(cafile=tmp_path / transport.AMAZON_ROOTS.name)
    names = {
        value for held in context.get_ca_certs() for ((key, value),) in held["subject"][-1:]
        if key == "commonName"
    }  # fmt: skip
    assert names == set(layer.AMAZON_ROOTS)
    # Both layers are unpacked into one folder.
    assert transport.AMAZON_ROOTS.parent == Path(integrations.__file__).parents[1]


def test_a_root_that_is_gone_fails_the_build(layer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "botocore").mkdir()
    (tmp_path / "botocore" / "cacert.pem").touch()
    with pytest.raises(SystemExit, match="Amazon Root CA 1"):
        layer.extract_amazon_roots(tmp_path)
