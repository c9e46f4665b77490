"""Runs in a fresh interpreter: a cold start, up to the function's first call and its first answer.

`probe.py bare`, `probe.py floor` or `probe.py function <event file>`, with the function's folder
and the layers on PYTHONPATH. Its last line is JSON: for each mark the time (of the clock that all
processes share), the process's CPU time, and the resident memory.
"""

import sys
import time

marks: dict[str, tuple[int, int]] = {}


def mark(name: str) -> None:
    """Note the time and the CPU time."""
    marks[name] = (time.monotonic_ns(), time.process_time_ns())


def memory() -> int:
    """Return the bytes that the process took at its most."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib costs time
            held = dict(line.split(":", 1) for line in status)
        return int(held["VmHWM"].split()[0]) * 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Context:
    """What a handler asks its context for."""

    function_name = "benchmark"
    function_version = "1"
    memory_limit_in_mb = "512"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:benchmark"
    aws_request_id = "5f9a1c52-9a5e-4d5b-8f5a-0c2b7e8d9a10"

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left."""
        return 120_000


def watch_first_call() -> None:
    """Mark the moment when the process first connects to anything."""
    import socket

    connect = socket.socket.connect

    def first(self: socket.socket, address: tuple[str, int]) -> None:
        socket.socket.connect = connect  # type: ignore[method-assign]
        mark("call")
        connect(self, address)

    socket.socket.connect = first  # type: ignore[assignment, method-assign]


def main() -> None:
    """Start as told, and tell."""
    answer = None
    match sys.argv[1:]:
        case ["bare"]:
            pass
        case ["floor"]:
            import boto3

            boto3.client("sqs", region_name="us-east-1")
        case ["function", event_file]:
            import app  # type: ignore[import-not-found]

            mark("import")
            import json

            with open(event_file, encoding="utf-8") as file:  # noqa: PTH123 - as above
                event = json.load(file)
            watch_first_call()
            answer = app.handler(event, Context())
    mark("end")
    import json

    print()
    print(json.dumps({"marks": marks, "memory": memory(), "answer": answer}))


main()
