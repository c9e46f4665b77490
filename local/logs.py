"""Follow what the functions of the local stack log: `make logs [FUNCTION=get-status]`."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from local import ministack
from local.errors import PlatformError
from tools.template import functions

if TYPE_CHECKING:
    from collections.abc import Iterator

# The runtime's own lines, one of each per invocation.
FRAME = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")
LATE_MS = 60_000
"""So much later than a newer line one may still come: processes of a function log side by side."""

type Key = tuple[str, int, str]


def shown(message: str) -> str:
    """A line as people read it: without what tells CloudWatch alone which numbers to take."""
    try:
        line = json.loads(message)
    except ValueError:
        return message.rstrip()
    if not isinstance(line, dict) or "_aws" not in line:
        return message.rstrip()
    return json.dumps({name: each for name, each in line.items() if name != "_aws"})


@dataclass
class Logs:
    """What functions log from now on, each line once.

    Attributes:
        client: A client of CloudWatch Logs.
        groups: What the names of the functions' log groups begin with.
        since: The moment, in milliseconds since 1970.
    """

    client: Any
    groups: str
    since: int
    _seen: dict[str, set[Key]] = field(default_factory=dict)

    def new(self) -> Iterator[tuple[str, str]]:
        """Give what is new: a group's name, and the line as it was logged."""
        pages = self.client.get_paginator("describe_log_groups")
        for page in pages.paginate(logGroupNamePrefix=self.groups):
            for group in page["logGroups"]:
                for line in self._of(group["logGroupName"]):
                    yield group["logGroupName"], line

    def _of(self, name: str) -> Iterator[str]:
        seen = self._seen.get(name, set())
        newest = max((at for _, at, _ in seen), default=0)
        start = max(self.since, newest - LATE_MS)
        found = self.client.filter_log_events(logGroupName=name, startTime=start)["events"]
        # MiniStack gives events no id.
        keys = [(each["logStreamName"], each["timestamp"], each["message"]) for each in found]
        for key in dict.fromkeys(keys):
            if key not in seen:
                yield key[2]
        self._seen[name] = set(keys)


def main() -> None:
    """Print each new line with its function's name, until Ctrl-C or the stack's own end."""
    only = os.environ.get("FUNCTION", "").replace("_", "-")
    if only and not any(name.replace("_", "-").startswith(only) for name in functions()):
        sys.exit(f"no function {only}: they are the folders of functions/")
    try:
        running, client = ministack.running()
    except PlatformError as error:
        sys.exit(str(error))
    prefix = f"/aws/lambda/{running.stack}-"
    logs = Logs(client("logs"), prefix + only, int(time.time() * 1000))
    print(f"Listening to {only or 'all functions'}; Ctrl-C ends it.", flush=True)
    try:
        while True:
            for name, line in logs.new():
                if not line.startswith(FRAME):
                    print(f"{name.removeprefix(prefix)}  {shown(line)}", flush=True)
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    except botocore.exceptions.BotoCoreError:
        print("The stack has ended.")


if __name__ == "__main__":
    main()
