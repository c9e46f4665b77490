"""The functions' processes: found, killed, and given less patience than production has."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from local.platform import Platform

RUN_SECONDS = 45
"""How long a run may take: a lease ends two seconds later, and no step begins in the last 20."""


def workers(platform: Platform, logical_id: str) -> list[int]:
    """The processes of a function of this very platform.

    MiniStack runs each from a folder of its own, under the platform's own folder.
    """
    folder = str(platform.state_dir / "tmp" / f"ministack-lambda-{platform.name(logical_id)}")
    listed = subprocess.run(
        ["ps", "-ww", "-axo", "pid=,command="],  # noqa: S607 - where a system has it
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = (line.strip().partition(" ") for line in listed.splitlines())
    return [int(pid) for pid, _, command in lines if folder in command]


def kill(platform: Platform, logical_id: str) -> int:
    """Kill every process of a function, without a word; tells how many there were."""
    pids = workers(platform, logical_id)
    for pid in pids:
        kill_one(pid)
    return len(pids)


def kill_one(pid: int) -> None:
    """Kill a process, as a crash does."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


JOB_SECONDS = 60
"""How long a job's function may take, as in the template."""


@contextmanager
def impatient(platform: Platform) -> Iterator[None]:
    """Shorten what a crash has to be waited for: time-outs, leases, and messages in flight.

    The proportions stay those of the template, where visibility is six times the time-out.
    """
    sqs, functions = platform.client("sqs"), platform.client("lambda")
    name = platform.name("RunWorkflowFunction")
    seconds = {
        "EventsQueue": "20",
        "ExecutionsQueue": str(RUN_SECONDS + 4),
        "JobsQueue": str(JOB_SECONDS + 4),
    }
    before = {
        queue: sqs.get_queue_attributes(
            QueueUrl=platform.name(queue), AttributeNames=["VisibilityTimeout"]
        )["Attributes"]
        for queue in seconds
    }
    timeout = functions.get_function_configuration(FunctionName=name)["Timeout"]
    functions.update_function_configuration(FunctionName=name, Timeout=RUN_SECONDS)
    for queue, visible in seconds.items():
        sqs.set_queue_attributes(
            QueueUrl=platform.name(queue), Attributes={"VisibilityTimeout": visible}
        )
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Timeout=timeout)
        for queue, attributes in before.items():
            sqs.set_queue_attributes(QueueUrl=platform.name(queue), Attributes=attributes)
