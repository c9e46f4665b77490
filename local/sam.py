"""Run the AWS SAM CLI, which has a virtual environment of its own.

`python -m local.sam …` passes its arguments on to `sam`.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local import programs, region, state
from local.errors import PlatformError
from local.paths import ROOT, TEMPLATE, interpreter
from local.report import Report

SAM = interpreter(".venv-sam").with_name("sam")
# The first thing that goes wrong is what SAM says last, behind a good deal of progress.
LONGEST = 300
POLL_SECONDS = "0.5"
"""How often SAM asks whether it is done: MiniStack is on this machine; AWS it asks every 5 s."""
ANYWHERE = {"AWS_DEFAULT_REGION": "us-east-1"}
"""For what asks AWS nothing, and yet wants a region."""
OFFLINE = frozenset({"validate", "build", "local"})
"""The commands that ask AWS nothing. The others go where the environment or the profile says."""
COMPILING = re.compile(
    r'File "/opt/python/(?P<file>[^"]+)", line (?P<line>\d+).*?^(?P<error>\w+Error: [^\n]+)',
    re.MULTILINE | re.DOTALL,
)
LINTING = re.compile(r"\[(?P<rule>E\d+): .*?\] \((?P<error>.*?)\) matched (?P<line>\d+)", re.DOTALL)
FAILURE = re.compile(r"^(?:Error: |Build Failed\nError: |.*CREATE_FAILED.*)", re.MULTILINE)


def settings() -> dict[str, str]:
    """Return the environment that `sam` needs: Python 3.13 first on PATH, and no telemetry."""
    path = [str(interpreter(".venv").parent), str(SAM.parent), os.environ.get("PATH", os.defpath)]
    return {"PATH": os.pathsep.join(path), "SAM_CLI_TELEMETRY": "0"}


def validate(*, log: Path, report: Report) -> None:
    """Hold the template against CloudFormation's own schemas, which MiniStack does not.

    Raises:
        PlatformError: It is broken.
    """
    env = programs.environment({**settings(), **ANYWHERE})
    command: list[str | Path] = [SAM, "validate", "--lint", "--template-file", TEMPLATE]
    try:
        programs.run(command, cwd=ROOT, env=env, log=log, report=report)
    except programs.ProgramError as error:
        raise PlatformError(f"{TEMPLATE.name}: {reason(error.output)}") from None


def build(
    build_dir: Path, cache_dir: Path, *, architecture: str, log: Path, report: Report
) -> None:
    """Run `sam build` into `build_dir`.

    Args:
        build_dir: Gets the built template and a folder for each function and layer.
        cache_dir: Keeps what need not be built again.
        architecture: `arm64` or `x86_64` for AWS, `host` for processes of this machine.
        log: Gets what SAM prints.
        report: Hears that it goes on.

    Raises:
        PlatformError: The template or a function cannot be built.
    """
    command: list[str | Path] = [
        SAM,
        "build",
        "--template-file",
        TEMPLATE,
        "--build-dir",
        build_dir,
    ]
    command += ["--cached", "--cache-dir", cache_dir, "--parallel"]
    if architecture != "host":
        command += ["--parameter-overrides", f"Architecture={architecture}"]
    env = programs.environment({**settings(), **ANYWHERE, "ARCHITECTURE": architecture})
    try:
        programs.run(command, cwd=ROOT, env=env, log=log, report=report)
    except programs.ProgramError as error:
        raise PlatformError(f"sam build: {reason(error.output)} (see {log})") from None


def deploy(
    template: Path,
    *,
    stack: str,
    bucket: str,
    parameters: Mapping[str, str],
    aws: Mapping[str, str],
    log: Path,
    report: Report,
) -> None:
    """Run `sam deploy` of what was built, with the settings `local` of samconfig.toml.

    Args:
        template: What was built, beside its template.
        stack: The stack's name.
        bucket: Where SAM uploads the code to.
        parameters: The template's parameters. They travel in a file: a command line is public.
        aws: The environment that says which AWS, and as whom.
        log: Gets what SAM prints.
        report: Hears that it goes on.

    Raises:
        PlatformError: The stack cannot be deployed.
    """
    values = log.with_name("parameters.yaml")
    state.write_secret(values, json.dumps(dict(parameters)))
    command: list[str | Path] = [SAM, "deploy", "--config-file", ROOT / "samconfig.toml"]
    command += ["--config-env", "local", "--stack-name", stack]
    command += ["--template-file", template]
    # Without a prefix: what stacks are deployed from has the same names, and is the same template.
    command += ["--s3-bucket", bucket, "--no-progressbar"]
    command += ["--parameter-overrides", f"file://{values}"]
    env = programs.environment({**settings(), **aws, "SAM_CLI_POLL_DELAY": POLL_SECONDS})
    try:
        programs.run(command, cwd=ROOT, env=env, log=log, report=report)
    except programs.ProgramError as error:
        raise PlatformError(f"sam deploy: {reason(error.output)} (see {log})") from None
    finally:
        values.unlink()


def reason(output: str) -> str:
    """Return, in one line, what SAM's output says went wrong."""
    if broken := COMPILING.search(output):
        return f"{broken['file']}, line {broken['line']}: {broken['error']}"
    if linted := LINTING.search(output):
        return f"line {linted['line']}: {linted['rule']} {linted['error']}"[:LONGEST]
    found = [match.start() for match in FAILURE.finditer(output)]
    text = output[found[-1] :] if found else output[-300:]
    return " ".join(text.replace("Error: ", "", 1).split())[:LONGEST]


def environment(arguments: Sequence[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command of `sam` that is passed on as it is.

    Args:
        arguments: The command and its options.
        variables: This process's environment.
    """
    command = next((each for each in arguments if not each.startswith("-")), "")
    found = region.named(variables)
    given = {"AWS_DEFAULT_REGION": found} if found else ANYWHERE if command in OFFLINE else {}
    return {**variables, **settings(), **given}


def main() -> None:
    """Become `sam` with this process's own arguments."""
    os.chdir(ROOT)
    os.execve(SAM, [str(SAM), *sys.argv[1:]], environment(sys.argv[1:], os.environ))  # noqa: S606


if __name__ == "__main__":
    main()
