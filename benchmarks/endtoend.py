"""From a webhook to its finished execution on the local stack, and how much of it is the emulator.

No latency in here is one of AWS: a function that does nothing, on the same emulator in the same
run, tells the emulator's own share.
"""

import io
import random
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from benchmarks.world import ORDER, WEBHOOK_SECRET
from local import routes
from local.platform import Platform
from local.report import Report
from tests.fakes.telegram import TOKEN, TelegramServer

QUIET = "no-op, silent"
LOUD = "no-op, writing to stderr"
WEBHOOK = "receive_webhook"
SOURCE = """
import sys
def handler(event, context):
    {write}
    return {{"statusCode": 200, "headers": {{"Content-Type": "application/json"}}, "body": "{{}}"}}
"""
WRITES = {QUIET: "pass", LOUD: "print('.', file=sys.stderr, flush=True)"}


def measure(rounds: int, burst: int, report: Report) -> dict[str, Any]:
    """Start a platform of its own and measure; milliseconds, and events per second."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        TelegramServer() as telegram,
        Platform(
            Path(folder) / "platform",
            parameters={"TelegramApiBase": telegram.url},
            report=report,
        ) as platform,
    ):
        workflow_id = _fill(platform)
        paths = _noops(platform) | {WEBHOOK: "/api/webhooks/orders"}
        with report.step("Requests, one after the other"):
            latencies = _latencies(platform, paths, rounds, report.tick)
        with report.step("A burst of webhooks"):
            bursts = _burst(platform, workflow_id, burst)
    return {"latency_ms": latencies, **bursts}


def _fill(platform: Platform) -> str:
    session = _session(platform)
    orders = {
        "url": "https://example.com/hooks/orders",
        "secret": WEBHOOK_SECRET,
        "verifySecret": True,
    }
    for provider, body in {
        "webhook": {"credentials": orders, "connection": "orders"},
        "telegram": {"credentials": {"botToken": TOKEN}},
    }.items():
        url = f"{platform.url}/api/integrations/{provider}/credentials"
        session.post(url, json=body, timeout=60).raise_for_status()
    workflow = {
        "name": "Orders",
        "trigger": {"type": "webhook", "webhookId": "orders"},
        "steps": [
            {
                "id": "tell",
                "action": "telegram.sendMessage",
                "params": {"chatId": 987654321, "text": "Order {{ trigger.body.order.id }}"},
            }
        ],
    }
    answer = session.post(f"{platform.url}/api/workflows", json=workflow, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["workflowId"])


def _noops(platform: Platform) -> dict[str, str]:
    """Functions that do nothing, beside the stack's own; name → path."""
    functions, gateway = platform.client("lambda"), platform.client("apigatewayv2")
    receiver = platform.name("ReceiveWebhookFunction")
    role = functions.get_function_configuration(FunctionName=receiver)["Role"]
    api_id = platform.name("HttpApi")
    paths = {}
    for number, (name, write) in enumerate(WRITES.items()):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", SOURCE.format(write=write))
        made = functions.create_function(
            FunctionName=f"benchmark-{number}",
            Runtime="python3.13",
            Handler="app.handler",
            Role=role,
            Code={"ZipFile": packed.getvalue()},
            MemorySize=512,
        )
        functions.add_permission(
            FunctionName=made["FunctionName"],
            StatementId="api",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
        )
        target = routes.create_integration(gateway, api_id, made["FunctionArn"])
        paths[name] = f"/api/benchmark/{number}"
        gateway.create_route(ApiId=api_id, RouteKey=f"POST {paths[name]}", Target=target)
    return paths


def _latencies(
    platform: Platform, paths: dict[str, str], rounds: int, tick: Callable[[], None]
) -> dict[str, list[float]]:
    session = _session(platform)
    samples: dict[str, list[float]] = {name: [] for name in paths}
    names = list(paths)
    for number in range(rounds + 2):
        random.shuffle(names)
        for name in names:
            began = time.perf_counter()
            answer = session.post(
                f"{platform.url}{paths[name]}",
                json={**ORDER, "round": time.time_ns()},
                headers={"X-Webhook-Secret": WEBHOOK_SECRET},
                timeout=60,
            )
            took = (time.perf_counter() - began) * 1000
            answer.raise_for_status()
            if number > 1:  # the first are cold
                samples[name].append(took)
        tick()
    return samples


def _burst(platform: Platform, workflow_id: str, count: int) -> dict[str, Any]:
    session = _session(platform)
    earlier = len(_finished(session, platform, workflow_id, 0))

    def send(number: int) -> None:
        _session(platform).post(
            f"{platform.url}/api/webhooks/orders",
            # The same body again, without an id, is the same delivery.
            json={**ORDER, "number": number},
            headers={"X-Webhook-Secret": WEBHOOK_SECRET},
            timeout=60,
        ).raise_for_status()

    earlier = _settled(session, platform, workflow_id, earlier)
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(count)))
    accepted = time.perf_counter() - began
    _finished(session, platform, workflow_id, earlier + count)
    done = time.perf_counter() - began
    return {
        "burst": count,
        "accepted_per_second": count / accepted,
        "finished_per_second": count / done,
        "seconds_until_all_finished": done,
    }


def _settled(session: requests.Session, platform: Platform, workflow_id: str, count: int) -> int:
    """Wait until nothing more finishes; how many have."""
    while True:
        time.sleep(3)
        now = len(_finished(session, platform, workflow_id, 0))
        if now == count:
            return now
        count = now


def _finished(
    session: requests.Session, platform: Platform, workflow_id: str, wanted: int
) -> list[dict[str, Any]]:
    """The finished executions, once there are so many."""
    deadline = time.monotonic() + 300
    while True:
        found: list[dict[str, Any]] = []
        token = None
        while True:
            parameters = {"workflowId": workflow_id, "limit": "100"}
            parameters |= {"nextToken": token} if token else {}
            url = f"{platform.url}/api/executions"
            page = session.get(url, params=parameters, timeout=60).json()
            found += [each for each in page["items"] if each["finishedAt"]]
            token = page.get("nextToken")
            if not token:
                break
        if len(found) >= wanted:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(found)} of {wanted} executions have finished")
        time.sleep(0.2)


def _session(platform: Platform) -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {platform.token}"
    return session


def summary(result: dict[str, Any]) -> dict[str, float]:
    """The medians of the latencies."""
    return {name: statistics.median(times) for name, times in result["latency_ms"].items()}
