"""Print what makes the AWS tools talk to the stack of `make run`: `eval "$(make -s aws-env)"`."""

import shlex
import sys

from local import ministack
from local.errors import PlatformError
from local.state import DEFAULT


def main() -> None:
    """Print a line of shell for each variable."""
    try:
        running, _ = ministack.running()
    except PlatformError as error:
        sys.exit(str(error))
    for name, value in ministack.environment(running.endpoint_url or "", DEFAULT).items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
