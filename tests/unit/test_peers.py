"""What `make peers` reckons; the measurement itself is run by hand."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.peers import n8n
from benchmarks.peers.receiver import Receiver
from local.errors import PlatformError
from local.report import Report


def test_the_table_tells_ours_as_a_part_of_each() -> None:
    from benchmarks.peers import __main__ as peers  # with all that measures: a second's import
    from benchmarks.peers.ours import Ours

    table = peers.table({Ours.name: [10.0, 12.0, 11.0], "n8n": [100.0, 120.0, 110.0]})
    assert "| Integrations Backend | 11.00 ms (10.50-11.50) |  |" in table
    assert "| n8n | 110.00 ms (105.00-115.00) | 0.100 |" in table


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="`make peers` needs Linux")  # noqa: PTH110
def test_the_cpu_of_a_group_of_processes_is_read() -> None:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert os.getpid() in n8n.group(os.getpgrp())
    assert n8n.ticks(os.getpid()) / n8n.TICKS >= 0.1
    assert n8n.ticks(2**22 + 1) == 0


def test_a_request_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.receiver.SECONDS", 0.01)
    with Receiver() as receiver, pytest.raises(TimeoutError, match="0 of 1 requests came"):
        receiver.wait_for(1)


def test_both_sides_ask_for_the_secret_and_call_the_same_place() -> None:
    flow = n8n.workflow("http://127.0.0.1:1/orders")
    webhook, request = flow["nodes"]
    assert webhook["parameters"]["authentication"] == "headerAuth"
    assert n8n.SECRET["data"] == {"name": "X-Webhook-Secret", "value": n8n.WEBHOOK_SECRET}
    assert request["parameters"]["url"] == "http://127.0.0.1:1/orders"


def test_an_n8n_that_does_not_answer_is_not_left_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(n8n, "HOME", tmp_path)
    monkeypatch.setattr(n8n, "SECONDS", 0.5)
    monkeypatch.setattr(n8n, "PROGRAM", ["sh", "-c", "trap '' TERM; while :; do sleep 0.2; done"])
    monkeypatch.setattr(n8n.N8n, "_command", lambda *_: None)
    with Receiver() as receiver:
        peer = n8n.N8n(dict(os.environ), "vm", tmp_path, receiver, Report(quiet=True))
        with pytest.raises(PlatformError, match="does not start"), peer:
            pass
    assert peer._process
    assert peer._process.poll() is not None
