"""A handler around the one that MEASURED_HANDLER names: it tells times when asked.

`{"measure": "cpu"}` is answered with the process's CPU seconds; `{"measure": "cold", "event": …}`
with the inner handler's answer and the marks of a cold start: at the import's end, at the first
connection, at the first answer. AWS's hosts lead to the port MEASURED_AWS of this machine.
"""

import os
import socket
import time
from importlib.machinery import SourceFileLoader
from typing import Any

marks: dict[str, tuple[int, int]] = {}
compiled: list[str] = []


def mark(name: str) -> None:
    """Note the time, of the clock that all processes share, and the CPU time."""
    marks[name] = (time.monotonic_ns(), time.process_time_ns())


def memory() -> int:
    """Return the bytes that the process took at its most."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib costs time
            fields = dict(line.split(":", 1) for line in status)
        return int(fields["VmHWM"].split()[0]) * 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def watch() -> None:
    """Mark the first connection, lead AWS's hosts to the stand-in, and note what is compiled."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    compile_source = SourceFileLoader.source_to_code
    port = os.environ.get("MEASURED_AWS")

    def first(self: socket.socket, address: Any) -> None:
        socket.socket.connect = connect  # type: ignore[method-assign]
        mark("call")
        connect(self, address)

    def leading(host: Any, service: Any, *more: Any, **named: Any) -> Any:
        if port and str(host).endswith(".amazonaws.com"):
            host, service = "127.0.0.1", port
        return look_up(host, service, *more, **named)

    def noting(self: Any, data: Any, path: Any, **named: Any) -> Any:
        compiled.append(str(path))
        return compile_source(self, data, path, **named)

    socket.socket.connect = first  # type: ignore[assignment, method-assign]
    socket.getaddrinfo = leading  # type: ignore[assignment]
    SourceFileLoader.source_to_code = noting  # type: ignore[method-assign]


watch()
_module, _, _name = os.environ["MEASURED_HANDLER"].rpartition(".")
_handler = getattr(__import__(_module), _name)
mark("import")


def handler(event: dict[str, Any], context: object) -> Any:
    """Handle an event."""
    match event.get("measure"):
        case "cpu":
            return {"cpu": time.process_time(), "compiled": compiled}
        case "cold":
            answer = _handler(event["event"], context)
            mark("end")
            return {"answer": answer, "marks": marks, "memory": memory(), "compiled": compiled}
    return _handler(event, context)
