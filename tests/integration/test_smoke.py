"""`make smoke` against the functions: what works is told as such, and nothing of it is left."""

from typing import override

import pytest

from tests.backend import Backend
from tests.fakes.receiver import Receiver
from tests.stack import Stack
from tools.smoke import Smoke


class WithAuthorizer(Smoke):
    """The authorizer stands before the functions; who it lets in, its own tests say."""

    @override
    def _token(self) -> str:
        self._api.send("GET", "/api/integrations/status").expect(200)
        return "opens"


def smoke(backend: Backend, public: Receiver, lines: list[str]) -> Smoke:
    return WithAuthorizer(Stack(backend, public), say=lines.append, wait_for_tick=False)


def left(backend: Backend) -> list[object]:
    return [
        *backend.aws.rows("ConnectionsTable"),
        *backend.aws.rows("WorkflowsTable"),
        *backend.aws.schedules(),
    ]


def test_a_working_stack_passes_and_is_left_as_it_was(backend: Backend, receiver: Receiver) -> None:
    lines: list[str] = []
    assert smoke(backend, receiver, lines).run(), "\n".join(lines)
    assert len(lines) == 11
    assert all(line.startswith("ok ") for line in lines), lines
    assert left(backend) == []


def test_what_cannot_be_made_durable_is_told_and_what_was_made_goes(
    backend: Backend, receiver: Receiver
) -> None:
    lines: list[str] = []
    checks = smoke(backend, receiver, lines)
    backend.aws.fail_payloads()
    assert not checks.run()
    backend.aws.recover()
    failed = [line.split("  ")[0] + line[9:24].rstrip() for line in lines if "FAILED" in line]
    assert failed == ["FAILEDlarge delivery"], lines
    assert left(backend) == []


@pytest.mark.parametrize("title", ["delivery", "schedule"])
def test_a_check_that_lacks_what_it_needs_says_so(
    backend: Backend, receiver: Receiver, title: str
) -> None:
    lines: list[str] = []
    checks = smoke(backend, receiver, lines)
    checks.checks = {title: checks.checks[title]}
    assert not checks.run()
    assert "not tried" in lines[0]
    assert left(backend) == []
