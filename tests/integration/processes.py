"""Functions in processes of their own: what they need of memory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.backend import Backend, event
from tests.fakes.aws import Sent
from tools.template import ROOT

PROCESS = """
import importlib.util, json, sys
from types import SimpleNamespace

from integrations.outbound import bounds
from integrations.services import batches

# What is measured is memory: a slow machine may take its time.
bounds.IDLE_TIMEOUT = bounds.TOTAL_TIMEOUT = batches.TENANT_SECONDS = 600.0

function = sys.argv[1]
spec = importlib.util.spec_from_file_location("app", f"functions/{function}/app.py")
app = importlib.util.module_from_spec(spec)
spec.loader.exec_module(app)
context = SimpleNamespace(
    function_name=function,
    memory_limit_in_mb=512,
    invoked_function_arn="",
    aws_request_id="",
    get_remaining_time_in_millis=lambda: 900_000,
)
answer = app.handler(json.load(sys.stdin), context)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"answer": answer, "peak": int(status["VmHWM"].split()[0]) / 2**10}))
"""


def invoke(backend: Backend, function: str, given: Mapping[str, Any]) -> tuple[Any, float]:
    """Call a function in a process of its own; its answer, and the most megabytes that it had."""
    with backend.aws.called_by(function):
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, function],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    return last["answer"], float(last["peak"])


def consume(backend: Backend, function: str, messages: Sequence[Sent]) -> float:
    """Give a batch to a consumer, which must take it; the most megabytes that it had."""
    shape = event(function, "sqs" if function == "run_workflow" else "sqs_webhook")["Records"][0]
    records = [shape | {"messageId": each.id, "body": each.body} for each in messages]
    answer, peak = invoke(backend, function, {"Records": records})
    assert answer == {"batchItemFailures": []}
    return peak


def run(backend: Backend, execution_id: str) -> float:
    """Run an execution, which must succeed; the most megabytes that it took."""
    (message,) = backend.aws.take("ExecutionsQueue")
    peak = consume(backend, "run_workflow", [message])
    execution = backend.execution(execution_id)
    assert execution["status"] == "succeeded", execution["steps"]
    return peak
