"""`make deploy`: deploy what `make build` has built, for the architecture that it was built for.

A stage's parameters are in samconfig.toml. Beside them goes the Architecture, and a Revision: a
digest of the build and of the parameters, so that a change of parameters alone publishes a new
version of the webhooks' receiver too, which runs as published versions.
"""

import ipaddress
import os
import re
import shlex
import socket
import sys
import tomllib
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from local import build, digest, parameters, sam
from local.errors import PlatformError
from local.paths import ROOT

BUILD = ROOT / ".aws-sam" / "build"
OVERRIDES = "--parameter-overrides"
ONE = re.compile(r'(?P<name>(ParameterKey=\w+,ParameterValue|\w+)=)(?P<value>[^"]*)', re.DOTALL)
ANOTHER = re.compile(r"\s\w+=")


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
    given = written if isinstance(written, list) else shlex.split(written)
    others: list[str] = []
    taking = False
    for argument in arguments:
        option, is_joined, value = argument.partition("=")
        each = argument
        if argument.startswith("--"):
            taking = option == OVERRIDES
            if taking and not is_joined:
                continue
            each = value if taking else argument
        if taking and ("=" in each or each.startswith(parameters.FILE)):
            given.append(each)
        else:
            others.append(each)
    return given, others


def command(stage: str, architecture: str, arguments: Sequence[str], built: str) -> list[str]:
    """Return the arguments of `sam` that deploy a stage; raises PlatformError.

    Args:
        stage: A table of samconfig.toml.
        architecture: What was built.
        arguments: More options of SAM.
        built: A digest of what was built.
    """
    given, others = overrides(stage, arguments)
    names: dict[str, str] = {}
    for each in map(quoted, given):
        name = parameters.name(each)
        names.pop(name, None)  # the later one wins over a file between them, too
        names[name] = each
    values = list(names.values())
    known = {"Architecture": architecture} | parameters.read(values)
    if known["Architecture"] != architecture:
        asked = f"Architecture={known['Architecture']}"
        raise PlatformError(f"{asked} is asked for, but ARCHITECTURE={architecture} is built")
    check_reachable(known)
    values.append(f"Architecture={architecture}")
    if "Revision" not in known:
        values.append(f"Revision={digest.of_values(built, known)[:32]}")
    return ["deploy", "--config-env", stage, *others, OVERRIDES, *values]


def check_reachable(values: Mapping[str, str]) -> None:
    """Refuse a stage `prod` whose addresses lead to this machine, in whatever form.

    The template's rule has the usual forms alone: CloudFormation's rules know no patterns.

    Args:
        values: The parameters, by name.

    Raises:
        PlatformError: One does.
    """
    if values.get("Stage") != "prod":
        return
    for name in ("PublicBaseUrl", "FrontendUrl"):
        for url in values.get(name, "").split(","):
            try:
                host = urlsplit(url.strip()).hostname or ""
            except ValueError:
                raise PlatformError(f"{name} must be an address: {url}") from None
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


def quoted(parameter: str) -> str:
    """Return a parameter as SAM reads it: a value with spaces stands in quotes.

    Several parameters in one text, as SAM's own documentation has them, stay several.
    """
    found = ONE.fullmatch(parameter)
    if not found or " " not in found["value"] or ANOTHER.search(found["value"]):
        return parameter
    return f'{found["name"]}"{found["value"]}"'


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
