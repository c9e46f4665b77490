"""Carry connections from one address to another: into Lambda's containers, and out of them.

A container's 127.0.0.1 is its own. So that a function finds MiniStack and the stand-ins where it
finds them without a container, this listens within the container and carries each connection to
the machine that it runs on; on Linux, the same listens on Docker's bridge there, since nothing else
of this machine listens on it.

In a container it is Lambda's wrapper of the runtime (`AWS_LAMBDA_EXEC_WRAPPER`): it leaves a
process that listens, and becomes the runtime. The standard library is all that there is.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

HOST = "host.docker.internal"
"""What a container calls the machine that it runs on."""
PORTS = "RELAYED_PORTS"
CHUNK = 65_536


def listen(address: str, ports: Sequence[int]) -> list[socket.socket]:
    """Listen on ports of an address; raises OSError where one is taken."""
    found: list[socket.socket] = []
    try:
        found.extend(socket.create_server((address, port)) for port in ports)
    except OSError:
        for each in found:
            each.close()
        raise
    return found


def start(listener: socket.socket, host: str) -> None:
    """Begin to carry what comes to a listener to the same port of `host`, until it is closed."""
    port = listener.getsockname()[1]
    threading.Thread(target=carry, args=(listener, host, port), daemon=True).start()


def carry(listener: socket.socket, host: str, port: int) -> None:
    """Carry what comes to a listener to a port of `host`, until the listener is closed."""
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=connect, args=(near, host, port), daemon=True).start()


def connect(near: socket.socket, host: str, port: int) -> None:
    """Join one connection with one to `host`; where nobody answers there, it ends."""
    with near:
        try:
            far = socket.create_connection((host, port), timeout=10)
        except OSError:
            return
        far.settimeout(None)
        with far:
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy what comes until its end, and pass the end on."""
    # Either side may break off: then there is no more to carry.
    with suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def patiently(ports: Sequence[int]) -> list[socket.socket]:
    """Listen within a container; the relay of a runtime before this one may be about to end."""
    for _ in range(20):
        with suppress(OSError):
            return listen("127.0.0.1", ports)
        time.sleep(0.1)
    return listen("127.0.0.1", ports)


@contextmanager
def between(address: str, ports: Sequence[int], host: str = "127.0.0.1") -> Iterator[None]:
    """Carry what comes to ports of `address` to those of `host` meanwhile; raises OSError."""
    with ExitStack() as running:
        for listener in listen(address, ports):
            running.callback(end, listener)
            start(listener, host)
        yield


def end(listener: socket.socket) -> None:
    """Stop listening; a thread that waits there is woken."""
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def main() -> None:
    """Leave a process that listens in this container, and become the runtime."""
    ports = [int(each) for each in os.environ[PORTS].split(",") if each]
    listeners = patiently(ports)
    runtime = os.getpid()
    if os.fork() == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        for listener in listeners:
            start(listener, HOST)
        while os.getppid() == runtime:
            time.sleep(0.2)
        os._exit(0)
    for listener in listeners:
        listener.close()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the runtime, as Lambda gives it


if __name__ == "__main__":
    main()
