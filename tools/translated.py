"""The template as CloudFormation gets it, by AWS's own translator; `make lint` checks it.

cfn-lint looks at it with all its rules, those that only inform too, in regions of each of AWS's
partitions: not everything is everywhere.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.paths import interpreter
from tools.template import ROOT

REGIONS = ("eu-central-1", "us-east-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1")

EXPECTED = {
    # What SAM itself makes of the authorizer; it writes each partition's own.
    "I3042": r"ARN in Resource HttpApi contains hardcoded Partition",
    # MiniStack asks for a batch's permission by the operation's own name; AWS never sees this.
    "W3037": r"'sendmessagebatch' is not one of",
    # What the translator has looked up already.
    "W2001": r"Parameter ReceiverRollout not used",
    "W7001": r"Mapping 'Rollouts' is defined but not used",
    # Its condition leaves it out there.
    "E3006": r"'AWS::Budgets::Budget' does not exist in 'us-gov-west-1'",
}
"""Rule → what it says that is meant to be so."""

TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

class NoManagedPolicies:
    def load(self):
        return {}

template = yaml_parse(sys.stdin.read())
for resource in template["Resources"].values():
    for name in ("CodeUri", "ContentUri"):
        if name in resource.get("Properties", {}):
            resource["Properties"][name] = "s3://bucket/key"
parameters = json.loads(sys.argv[1])
json.dump(transform(template, parameters, NoManagedPolicies()), sys.stdout, default=str)
"""


def translated(parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What SAM makes of the template.

    Args:
        parameters: Those that are not their default.
    """
    done = subprocess.run(
        [interpreter(".venv-sam"), "-c", TRANSLATE, json.dumps(dict(parameters or {}))],
        input=(ROOT / "template.yaml").read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=True,
        env={"AWS_DEFAULT_REGION": REGIONS[0], "PATH": ""},
    )
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def findings(made: Mapping[str, Any]) -> list[str]:
    """What cfn-lint finds in a translated template, but what is expected."""
    lint = Path(interpreter(".venv-sam")).with_name("cfn-lint")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(made, indent=1), encoding="utf-8")
        asked = ["--include-checks", "I", "W", "E", "--regions", *REGIONS, "--format", "json"]
        done = subprocess.run(
            [str(lint), *asked, "--template", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.stderr:
        raise RuntimeError(done.stderr)
    found = []
    for each in json.loads(done.stdout or "[]"):
        rule, message = each["Rule"]["Id"], each["Message"]
        if rule not in EXPECTED or not re.search(EXPECTED[rule], message):
            place = "/".join(map(str, each["Location"]["Path"] or ()))
            found.append(f"{rule} {place}: {message}")
    return found


def main() -> None:
    """Check the template, with what is off by default as well."""
    if found := findings(translated({"ReceiverRollout": "Canary10Percent5Minutes"})):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
