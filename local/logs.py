"""Follow what the functions of the local stack log: `make logs [FUNCTION=get-status]`."""

import json
import os
import sys
import time

from local import ministack
from local.errors import PlatformError

# The runtime's own lines, one of each per invocation.
FRAME = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")


def shown(message: str) -> str:
    """A line as people read it: without what tells CloudWatch alone which numbers to take."""
    try:
        line = json.loads(message)
    except ValueError:
        return message.rstrip()
    if not isinstance(line, dict) or "_aws" not in line:
        return message.rstrip()
    return json.dumps({name: each for name, each in line.items() if name != "_aws"})


def main() -> None:
    """Print each new line with its function's name, until Ctrl-C."""
    try:
        running, client = ministack.running()
    except PlatformError as error:
        sys.exit(str(error))
    logs = client("logs")
    prefix = f"/aws/lambda/{running.stack}-"
    since = int(time.time() * 1000)
    only = os.environ.get("FUNCTION", "")
    print(f"Listening to {only or 'all functions'}; Ctrl-C ends it.", flush=True)
    seen: set[tuple[str, int, str]] = set()
    try:
        while True:
            wanted = prefix + only.replace("_", "-")
            for group in logs.describe_log_groups(logGroupNamePrefix=wanted)["logGroups"]:
                name = group["logGroupName"]
                for event in logs.filter_log_events(logGroupName=name, startTime=since)["events"]:
                    # MiniStack gives events no id.
                    key = (event["logStreamName"], event["timestamp"], event["message"])
                    if key not in seen and not event["message"].startswith(FRAME):
                        print(f"{name.removeprefix(prefix)}  {shown(event['message'])}", flush=True)
                    seen.add(key)
            time.sleep(1)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
