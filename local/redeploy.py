"""Bring a running stack up to changed sources, part by part, without CloudFormation.

A function's code and the provider layer are put into MiniStack as they are, the console as soon as
it is built; everything else (the template, the dependencies) is built and deployed as at a start.
"""

from __future__ import annotations

import py_compile
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local import console, digest
from local.errors import PlatformError
from local.paths import ROOT
from local.zips import zipped
from tools.template import folder, functions, resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypy_boto3_lambda import LambdaClient

PROVIDER = "layers/provider"
CONSOLE = "console"
CONSOLE_FUNCTION = "functions/get_console"
LAYER = "ProviderLayer"
REST = "rest"
PUT = "Put by make run."
"""The description of a layer's version that CloudFormation knows nothing of."""


def parts() -> dict[str, str]:
    """Return a digest of each part of the sources: functions, the layer, the console, the rest."""
    folders = [f"functions/{name}" for name in functions()]
    found = {part: digest.of_files([ROOT / part]) for part in (*folders, PROVIDER)}
    rest = [ROOT / source for source in digest.SOURCES if source not in {"functions", "layers"}]
    rest += [path for path in (ROOT / "layers").iterdir() if path.name != "provider"]
    page = [ROOT / source for source in console.SOURCES]
    found[CONSOLE] = digest.of_files(page, without=console.GENERATED)
    return {**found, REST: digest.of_files(rest, without=console.GENERATED)}


def console_part() -> dict[str, str]:
    """Return the digest of the function that serves what the console's build made."""
    return {CONSOLE_FUNCTION: digest.of_files([ROOT / CONSOLE_FUNCTION])}


def logical_id(part: str) -> str:
    """Return the template's name of a function's part: functions/get_status, GetStatusFunction."""
    named = resources("AWS::Serverless::Function").items()
    return next(name for name, each in named if folder(each) == part.rpartition("/")[2])


@dataclass
class Redeployment:
    """Puts parts into the Lambda of a running stack.

    Attributes:
        client: A client of Lambda.
        name: Logical id → physical name.
    """

    client: LambdaClient
    name: Callable[[str], str]

    def put(self, changed: Iterable[str]) -> None:
        """Put changed parts, as `parts` names them.

        Raises:
            PlatformError: A part does not compile; nothing of it was put.
        """
        for part in changed:
            if part == PROVIDER:
                self._put_layer()
            else:
                self._put_function(ROOT / part, self.name(logical_id(part)))

    def _put_function(self, source: Path, name: str) -> None:
        with tempfile.TemporaryDirectory() as made:
            target = Path(made) / "code"
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            compiled(target, "/var/task")
            self.client.update_function_code(FunctionName=name, ZipFile=zipped(target))

    def _put_layer(self) -> None:
        with tempfile.TemporaryDirectory() as made:
            target = Path(made) / "layer"
            shutil.copytree(
                ROOT / PROVIDER / "integrations",
                target / "python" / "integrations",
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            compiled(target, "/opt")
            content = zipped(target)
        pages = self.client.get_paginator("list_functions").paginate()
        users = [each for page in pages for each in page["Functions"] if layer_of(each)]
        published = self.client.publish_layer_version(
            LayerName=LAYER,
            Description=PUT,
            Content={"ZipFile": content},
            CompatibleRuntimes=["python3.13"],
        )
        for each in users:
            arns = [layer["Arn"] for layer in each["Layers"]]
            self.client.update_function_configuration(
                FunctionName=each["FunctionName"],
                Layers=[published["LayerVersionArn"] if is_provider(arn) else arn for arn in arns],
            )
        self._delete_layers(but=published["Version"])

    def _delete_layers(self, *, but: int) -> None:
        """Delete what was put before: MiniStack's state would grow by megabytes with each change.

        The version that CloudFormation knows stays: a change of the settings brings it back.
        """
        for page in self.client.get_paginator("list_layer_versions").paginate(LayerName=LAYER):
            for each in page["LayerVersions"]:
                if each.get("Description") == PUT and each["Version"] != but:
                    self.client.delete_layer_version(LayerName=LAYER, VersionNumber=each["Version"])


def layer_of(function: Mapping[str, object]) -> bool:
    """Tell whether a function uses the provider layer."""
    layers = function.get("Layers")
    return isinstance(layers, list) and any(is_provider(each["Arn"]) for each in layers)


def is_provider(arn: str) -> bool:
    """Tell whether a layer version is one of the provider layer."""
    return arn.split(":")[6] == LAYER


def compiled(folder: Path, place: str) -> None:
    """Compile a folder's modules as `sam build` does; raises PlatformError for one that is broken.

    Args:
        folder: What is compiled.
        place: Where Lambda will have it.
    """
    for path in sorted(folder.rglob("*.py")):
        try:
            py_compile.compile(
                str(path),
                dfile=f"{place}/{path.relative_to(folder)}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError as error:
            message = " ".join(str(error.msg).split())
            raise PlatformError(f"not deployed: {message}") from None
