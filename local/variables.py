"""Print the deployed functions' environment, as `sam local --env-vars` wants it.

`python -m local.variables [host]`: MiniStack is named by `host` in it, which is what a container
calls this machine (`host.docker.internal` by default).
"""

import json
import sys

import botocore.exceptions

from local import ministack, routes
from local.errors import PlatformError

FUNCTION = "GetStatusFunction"
"""Any one: all the variables come from the template's Globals."""


def of_platform(host: str) -> dict[str, dict[str, str]]:
    """Return the variables of the local platform's functions.

    Args:
        host: What a container calls this machine.

    Raises:
        PlatformError: Nothing is running here.
    """
    running, client = ministack.running()
    names = routes.names_of(client("cloudformation"), running.stack)
    deployed = client("lambda").get_function_configuration(FunctionName=names[FUNCTION])
    variables = deployed["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL"] = f"http://{host}:{running.ministack_port}"
    return {"Parameters": variables}


def main() -> None:
    """Print them."""
    host = sys.argv[1] if len(sys.argv) > 1 else "host.docker.internal"
    try:
        print(json.dumps(of_platform(host), indent=2))
    except (
        PlatformError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
