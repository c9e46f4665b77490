"""Which region of AWS is meant, by one rule: what deploys a stack and what looks for it agree."""

from collections.abc import Mapping


def named(variables: Mapping[str, str]) -> str | None:
    """Return the region that the environment names; None leaves it to the profile.

    AWS_REGION alone is enough for AWS's own command line, which the documentation's commands use;
    boto3 and SAM do not read it, so where both are set theirs goes first.
    """
    return variables.get("AWS_DEFAULT_REGION") or variables.get("AWS_REGION") or None
