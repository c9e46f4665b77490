"""`make deploy`: deploy what `make build` has built, for the architecture that it was built for.

A stage's parameters are in samconfig.toml. Beside them goes the Architecture, and a Revision: a
digest of the build and of the parameters, so that a change of parameters alone publishes a new
version of the webhooks' receiver too, which runs as published versions.
"""

import ipaddress
import os
import shlex
import socket
import sys
import tomllib
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from local import build, digest, sam
from local.errors import PlatformError
from local.paths import ROOT

BUILD = ROOT / ".aws-sam" / "build"
FILE = "file://"


def overrides(stage: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part what the command line says of parameters from SAM's other options.

    Args:
        stage: A table of samconfig.toml.
        arguments: SAM's options, `--parameter-overrides Name=value …` among them.

    Returns:
        The stage's parameters and then the command line's, each as `Name=value`, which win; and the
        other options.

    Raises:
        PlatformError: There is no such stage.
    """
    stages = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    if "deploy" not in stages.get(stage, {}):
        raise PlatformError(f"samconfig.toml has no stage {stage} to deploy")
    written = stages[stage]["deploy"]["parameters"].get("parameter_overrides", "")
    parameters = written if isinstance(written, list) else shlex.split(written)
    others: list[str] = []
    taking = False
    for each in arguments:
        if each.startswith("--"):
            taking = each == "--parameter-overrides"
        if taking and ("=" in each or each.startswith(FILE)):
            parameters.append(each)
        elif each != "--parameter-overrides":
            others.append(each)
    return parameters, others


def command(stage: str, architecture: str, arguments: Sequence[str], built: str) -> list[str]:
    """Return the arguments of `sam` that deploy a stage; raises PlatformError.

    Args:
        stage: A table of samconfig.toml.
        architecture: What was built.
        arguments: More options of SAM.
        built: A digest of what was built.
    """
    parameters, others = overrides(stage, arguments)
    names = {each.partition("=")[0]: each for each in parameters}
    given = names.get("Architecture", f"Architecture={architecture}")
    if given != f"Architecture={architecture}":
        raise PlatformError(f"{given} is asked for, but ARCHITECTURE={architecture} is built")
    names["Architecture"] = given
    check_reachable(names)
    contents = {name: content(each) for name, each in names.items()}
    names.setdefault("Revision", f"Revision={digest.of_values(built, contents)[:32]}")
    values = map(quoted, names.values())
    return ["deploy", "--config-env", stage, *others, "--parameter-overrides", *values]


def check_reachable(parameters: Mapping[str, str]) -> None:
    """Refuse a stage `prod` whose addresses lead to this machine, in whatever form.

    The template's rule has the usual forms alone: CloudFormation's rules know no patterns.

    Args:
        parameters: Each as `Name=value`, by name.

    Raises:
        PlatformError: One does.
    """
    if parameters.get("Stage") != "Stage=prod":
        return
    for name in ("PublicBaseUrl", "FrontendUrl"):
        for url in parameters.get(name, "").partition("=")[2].split(","):
            host = urlsplit(url.strip()).hostname or ""
            if host and leads_here(host):
                raise PlatformError(f"with Stage=prod, {name} must not lead to this machine: {url}")


def leads_here(host: str) -> bool:
    """Whether a host is this machine's own: a name of localhost, or an address of loopback."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            # 127.1, 2130706433, 0x7f000001: what a browser takes for an address, too.
            address = ipaddress.ip_address(socket.inet_aton(name))
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def content(parameter: str) -> str:
    """Return what a parameter says; of a file, what it holds."""
    if not parameter.startswith(FILE):
        return parameter
    path = ROOT / parameter.removeprefix(FILE)
    if not path.is_file():
        raise PlatformError(f"there is no file {path}")
    return path.read_text(encoding="utf-8")


def quoted(parameter: str) -> str:
    """Return `Name=value` as SAM reads it: a value with spaces stands in quotes."""
    name, equals, value = parameter.partition("=")
    return f'{name}="{value}"' if equals and " " in value and '"' not in value else parameter


def main() -> None:
    """Become `sam deploy`."""
    try:
        built = (BUILD / ".digest").read_text(encoding="utf-8")
        arguments = command(
            os.environ.get("STAGE") or "default",
            os.environ.get("ARCHITECTURE") or build.DEFAULT,
            shlex.split(os.environ.get("ARGS", "")),
            built,
        )
    except FileNotFoundError:
        sys.exit("nothing is built: make build comes first")
    except PlatformError as error:
        sys.exit(f"make deploy: {error}")
    sys.argv[1:] = arguments
    sam.main()


if __name__ == "__main__":
    main()
