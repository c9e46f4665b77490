"""Install the third-party packages as a Lambda layer: small, and with bytecode.

`/opt` is read-only on Lambda, so a layer without bytecode is compiled again at every cold start;
that alone makes one several times as long. What no function needs stays out: botocore's
descriptions of other services, tests, type stubs, headers, installers' records.

Standard library only: `sam build` runs this before anything is installed.
"""

import argparse
import ast
import compileall
import gzip
import json
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Amazon Linux 2023, the runtime's system, has glibc 2.34.
GLIBC = ("2_34", "2_28", "2_17")
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
# `e_machine` in the header of an ELF file (https://gabi.xinuos.com/elf/a-emachine.html).
ELF_MACHINES = {62: "x86_64", 183: "arm64"}
# botocore's own data, beside the folders of the services.
BOTOCORE_FILES = (
    "_retry.json",
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
)
SERVICE_FILES = ("endpoint-rule-set-1", "paginators-1", "service-2")
USELESS = (
    "*.pyi",
    "py.typed",
    "*.h",
    "*.pxd",
    "*.pyx",
    "*.c",
    "bin",
    "tests",
    "test",
    "__pycache__",
)


# AWS's endpoints show certificates under these alone (https://www.amazontrust.com/repository/), and
# five load in a fifth of the time that the usual hundred and more take.
AMAZON_ROOTS = (
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
)
ROOT_CERTIFICATE = re.compile(
    r'^# Label: "(?P<label>[^"]+)"$.*?'
    r"(?P<pem>-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n)",
    re.MULTILINE | re.DOTALL,
)

# What a package asks for and the functions never import: google-auth's way around a missing
# `cryptography`, and what compiles C for cffi.
UNUSED = ("pyasn1", "pyasn1_modules", "cffi", "pycparser")

# A package that imports all of its modules, one for each service that calls Lambda, for the few
# names that the resolver asks for.
ALL_AT_ONCE = "aws_lambda_powertools/utilities/data_classes"

# Of a hundred types for those who check code, Python reads each field when the module is imported.
# https://docs.pydantic.dev/latest/api/pydantic_core_schema/
FOR_CHECKERS = "pydantic_core/core_schema.py"


def services() -> list[str]:
    """Name the AWS services that the functions reach through boto3, from the one list of them."""
    lines = (HERE / "aws-services.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def install(target: Path, architecture: str) -> None:
    """Install the pinned packages into `target` for `arm64`, `x86_64` or this very `host`."""
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--only-binary=:all:", "--target", str(target)]
    if architecture != "host":
        command += ["--implementation", "cp", "--python-version", "3.13"]
        for glibc in GLIBC:
            command += ["--platform", f"manylinux_{glibc}_{MACHINES[architecture]}"]
    command += ["--require-hashes"]
    subprocess.run([*command, "--requirement", str(HERE / "requirements.txt")], check=True)  # noqa: S603


def check_machines(target: Path, architecture: str) -> None:
    """Fail where a program or library is of another architecture, which Lambda could not load."""
    for path in sorted(target.rglob("*")):
        found = path.is_file() and machine_of(path)
        if found and found != architecture:
            name = path.relative_to(target)
            raise SystemExit(f"{name} is of {found}, and the layer is of {architecture}")


def machine_of(path: Path) -> str | None:
    """Return the architecture of an ELF file; None for any other file."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        return None
    number = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    return ELF_MACHINES.get(number, f"another architecture ({number})")


def prune_packages(target: Path) -> None:
    """Drop what is never imported; of a package's records, keep the one that names its version."""
    for pattern in USELESS:
        for path in list(target.rglob(pattern)):
            remove(path)
    for name in UNUSED:
        for path in [target / name, *target.glob(f"{name}-*.dist-info")]:
            remove(path)
    for record in target.glob("*.dist-info/*"):
        if record.name != "METADATA":
            remove(record)


def prune_botocore(target: Path, services: Iterable[str]) -> None:
    """Leave botocore (and boto3) the data of these `services`, ready to read."""
    names = set(services)
    data = target / "botocore" / "data"
    for path in list(data.iterdir()):
        if path.name not in names and path.name not in BOTOCORE_FILES:
            remove(path)
    missing = names - {path.name for path in data.iterdir()}
    if missing:
        raise SystemExit(f"aws-services.txt: botocore knows no {', '.join(sorted(missing))}")
    for path in list(data.glob("*/*/*")):
        if path.name.split(".")[0] not in SERVICE_FILES:
            remove(path)
        elif path.suffix == ".gz":
            # Lambda unpacks the layer once; unpacking here saves it at every cold start.
            with gzip.open(path, "rt", encoding="utf-8") as packed:
                write_json(path.with_suffix(""), json.load(packed))
            remove(path)
    for path in list((target / "boto3" / "data").iterdir()):
        remove(path)
    prune_endpoints(data)


def prune_endpoints(data: Path) -> None:
    """Leave the table of endpoints, which every first client reads, the services that are kept."""
    prefixes = {
        json.loads(path.read_text(encoding="utf-8"))["metadata"]["endpointPrefix"]
        for path in data.glob("*/*/service-2.json")
    }
    path = data / "endpoints.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    for partition in table["partitions"]:
        all_services = partition["services"]
        partition["services"] = {name: all_services[name] for name in prefixes & set(all_services)}
    write_json(path, table)


def extract_amazon_roots(target: Path) -> None:
    """Put Amazon's own root certificates, which botocore ships among all others, into a file."""
    bundle = (target / "botocore" / "cacert.pem").read_text(encoding="utf-8")
    found = {each["label"]: each["pem"] for each in ROOT_CERTIFICATE.finditer(bundle)}
    if missing := [label for label in AMAZON_ROOTS if label not in found]:
        raise SystemExit(f"botocore ships no {missing[0]}")
    text = "".join(f"# {label}\n{found[label]}" for label in AMAZON_ROOTS)
    (target / "amazon-roots.pem").write_text(text, encoding="utf-8")


def import_when_asked(package: Path) -> None:
    """Let a package import a module when something in it is asked for: PEP 562."""
    path = package / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level]
    modules = {alias.name: node.module for node in imports for alias in node.names}
    if not modules or any(alias.asname for node in imports for alias in node.names):
        raise SystemExit(f"{package.name} imports its modules in another way than it did")
    tree.body = [node for node in tree.body if node not in imports]
    path.write_text(
        f"{ast.unparse(tree)}\n\n{WHEN_ASKED.format(modules=modules)}", encoding="utf-8"
    )


WHEN_ASKED = """
from importlib import import_module

_MODULES = {modules!r}


def __getattr__(name):
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}") from None
    found = getattr(import_module(f"{{__name__}}.{{module}}"), name)
    globals()[name] = found  # the import has put the module there, which may be called the same
    return found
"""


def drop_fields(path: Path) -> None:
    """Leave a module's ``TypedDict`` classes their names alone; they are dictionaries as before."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases)
    ]
    if not classes:
        raise SystemExit(f"{path.name} has no TypedDict any more")
    for each in classes:
        each.body = [ast.Pass()]
    path.write_text(ast.unparse(tree), encoding="utf-8")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` without spaces, and without the documentation that nothing reads."""

    def strip(node: object) -> object:
        if isinstance(node, dict):
            # As a string it is prose; as an object it is a member that a shape happens to call so.
            # The parameters of a client (S3 has some) are read with their prose: no client without.
            return {
                key: inner if key == "clientContextParams" else strip(inner)
                for key, inner in node.items()
                if not (key == "documentation" and isinstance(inner, str))
            }
        return [strip(inner) for inner in node] if isinstance(node, list) else node

    path.write_text(json.dumps(strip(value), separators=(",", ":")), encoding="utf-8")


def compile_bytecode(target: Path) -> None:
    """Compile every module; unchecked, for the files never change and their times mean nothing."""
    compiled = compileall.compile_dir(
        target,
        quiet=1,
        stripdir=str(target),
        prependdir="/opt/python",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise SystemExit("a module does not compile")


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def main() -> None:
    """Build the layer's `python` folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", type=Path, help="the layer's python folder")
    parser.add_argument("--architecture", choices=[*MACHINES, "host"], default="arm64")
    arguments = parser.parse_args()
    arguments.target.mkdir(parents=True, exist_ok=True)
    install(arguments.target, arguments.architecture)
    if arguments.architecture != "host":
        check_machines(arguments.target, arguments.architecture)
    prune_packages(arguments.target)
    prune_botocore(arguments.target, services())
    extract_amazon_roots(arguments.target)
    import_when_asked(arguments.target / ALL_AT_ONCE)
    drop_fields(arguments.target / FOR_CHECKERS)
    compile_bytecode(arguments.target)


if __name__ == "__main__":
    main()
