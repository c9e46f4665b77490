"""Print what makes the AWS tools talk to the stack of `make run`: `eval "$(make -s aws-env)"`."""

import shlex
import sys

from local import ministack
from local.errors import PlatformError
from local.state import DEFAULT

OTHERS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""What a shell may have of another account's, and the AWS tools would take with these keys."""


def main() -> None:
    """Print a line of shell for each variable, and one that takes others away."""
    try:
        running, _ = ministack.running()
    except PlatformError as error:
        sys.exit(str(error))
    print(f"unset {' '.join(OTHERS)}")
    for name, value in ministack.environment(running.endpoint_url or "", DEFAULT).items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
