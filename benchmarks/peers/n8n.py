"""n8n, installed by npm into .local/peers, on SQLite, with one active workflow.

https://docs.n8n.io/hosting/ tells of its variables and of its command line.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import requests

from benchmarks.peers.receiver import Receiver
from benchmarks.world import ORDER, WEBHOOK_SECRET
from local import node, ports, programs
from local.errors import PlatformError
from local.paths import STATE
from local.report import Report

VERSION = "2.41.1"
"""The newest one of which all packages are there: 2.41.3 asks for one that npm does not find."""
NODE = {24: 0}
HOME = STATE / "peers" / "n8n"
INSTALL = (
    ("install", ["install", f"n8n@{VERSION}", "--ignore-scripts", "--no-audit", "--no-fund"], ""),
    ("isolated-vm", ["rebuild", "isolated-vm"], ""),
    ("sqlite3", ["exec", "--yes", "--", "node-gyp@12", "rebuild"], "node_modules/sqlite3"),
)
"""Name, npm's arguments, and the folder in which they run. Of its packages' scripts those alone
that the measurement needs: the others serve nodes that it does not have. SQLite is compiled, which
takes a C++ compiler, by a newer node-gyp than its own, which asks for an older Python."""
WORKFLOW = "ordersOrders0001"
CREDENTIAL = "secretSecret0001"
SECONDS = 120
TICKS = os.sysconf("SC_CLK_TCK")


def install(report: Report) -> Mapping[str, str]:
    """Install it, unless it is there; returns the environment that its programs need.

    Raises:
        PlatformError: Node, or a package of n8n, cannot be installed.
    """
    env = dict(node.environment(report, NODE))
    stamp = HOME / ".version"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == VERSION:
        return env
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    asked = subprocess.run(
        ["node", "-p", "process.execPath"], env=env, capture_output=True, text=True, check=True
    )
    headers = Path(asked.stdout.strip()).parents[1]
    if (headers / "include" / "node").is_dir():
        # Node's own headers, where it brought them: node-gyp fetches none then.
        env["npm_config_nodedir"] = str(headers)
    with report.step(f"Installing n8n {VERSION}, which takes minutes and 3 GB"):
        for name, arguments, folder in INSTALL:
            log = HOME / f"{name}.log"
            try:
                programs.run(
                    ["npm", *arguments], cwd=HOME / folder, env=env, log=log, report=report
                )
            except programs.ProgramError as error:
                detail = f"npm {' '.join(arguments)} failed, see {log}: {error.output[-300:]}"
                raise PlatformError(detail) from None
    stamp.write_text(VERSION, encoding="utf-8")
    return env


class N8n:
    """A running n8n.

    Args:
        env: What `install` returned.
        engine: What evaluates its expressions: `vm`, its default, or the faster `legacy`.
        folder: Gets its database.
        receiver: What its workflow calls.
        report: Hears how the start goes.
    """

    def __init__(
        self, env: Mapping[str, str], engine: str, folder: Path, receiver: Receiver, report: Report
    ) -> None:
        self.name = f"n8n {VERSION}, {engine}"
        self._folder = folder
        self._receiver = receiver
        self._report = report
        self._port = ports.free()
        self._session = requests.Session()
        self._session.headers["X-Webhook-Secret"] = WEBHOOK_SECRET
        self._process: subprocess.Popen[bytes] | None = None
        self._env = {
            **env,
            "NODE_ENV": "production",
            "N8N_USER_FOLDER": str(folder),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_PORT": str(self._port),
            "N8N_RUNNERS_BROKER_PORT": str(ports.free()),
            "N8N_EXPRESSION_ENGINE": engine,
            "N8N_LOG_LEVEL": "warn",
            # Nothing leaves this machine.
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
        }

    def __enter__(self) -> Self:
        with self._report.step(f"Starting {self.name}"):
            self._command("import:credentials", f"--input={self._file('credentials', [SECRET])}")
            flow = workflow(self._receiver.url)
            self._command("import:workflow", f"--input={self._file('workflows', [flow])}")
            self._command("publish:workflow", f"--id={WORKFLOW}")
            with (self._folder / "n8n.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [*PROGRAM, "start"],
                    env=self._env,
                    cwd=HOME,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            try:
                self._wait()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def send(self) -> None:
        """One delivery, to its request's end."""
        count = len(self._receiver.bodies) + 1
        self._post()
        self._receiver.wait_for(count)

    def cpu(self) -> float:
        """The CPU seconds that it and what it started have used."""
        leader = self._process.pid if self._process else 0
        return sum(ticks(pid) for pid in group(leader)) / TICKS

    def _post(self) -> None:
        url = f"http://127.0.0.1:{self._port}/webhook/orders"
        self._session.post(url, json=ORDER, timeout=SECONDS).raise_for_status()

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self._post()
            except requests.RequestException as error:
                ended = self._process and self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise PlatformError(f"{self.name} does not start: {error}") from None
                time.sleep(0.5)
            else:
                return
            self._report.tick()

    def _command(self, *arguments: str) -> None:
        log = self._folder / "command.log"
        try:
            programs.run(
                [*PROGRAM, *arguments], cwd=HOME, env=self._env, log=log, report=self._report
            )
        except programs.ProgramError as error:
            raise PlatformError(f"n8n {arguments[0]}: {error.output[-300:]}") from None

    def _file(self, name: str, value: Any) -> Path:
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return path


PROGRAM = ["node", "node_modules/n8n/bin/n8n"]
SECRET = {
    "id": CREDENTIAL,
    "name": "Orders",
    "type": "httpHeaderAuth",
    "data": {"name": "X-Webhook-Secret", "value": WEBHOOK_SECRET},
}


def workflow(url: str) -> dict[str, Any]:
    """The workflow that ours is compared with: a webhook with a secret, and one HTTP request."""
    return {
        "id": WORKFLOW,
        "name": "Orders",
        "active": False,
        "nodes": [
            {
                "id": "11111111-1111-4111-8111-111111111111",
                "name": "Webhook",
                "type": "n8n-nodes-base.webhook",
                "typeVersion": 2,
                "position": [0, 0],
                "webhookId": "22222222-2222-4222-8222-222222222222",
                "parameters": {
                    "httpMethod": "POST",
                    "path": "orders",
                    "authentication": "headerAuth",
                    "responseMode": "onReceived",
                    "options": {},
                },
                "credentials": {"httpHeaderAuth": {"id": CREDENTIAL, "name": "Orders"}},
            },
            {
                "id": "33333333-3333-4333-8333-333333333333",
                "name": "Send",
                "type": "n8n-nodes-base.httpRequest",
                "typeVersion": 4.2,
                "position": [220, 0],
                "parameters": {
                    "method": "POST",
                    "url": url,
                    "sendBody": True,
                    "specifyBody": "json",
                    "jsonBody": "={{ JSON.stringify({order: $json.body.order.id}) }}",
                    "options": {},
                },
            },
        ],
        "connections": {"Webhook": {"main": [[{"node": "Send", "type": "main", "index": 0}]]}},
        "settings": {"executionOrder": "v1"},
    }


def group(leader: int) -> list[int]:
    """The processes of a process group (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with_group = fields(path)
        if with_group and int(with_group[2]) == leader:
            found.append(int(path.parent.name))
    return found


def ticks(pid: int) -> int:
    """The clock ticks of CPU that a process has used; proc(5)."""
    found = fields(Path(f"/proc/{pid}/stat"))
    return int(found[11]) + int(found[12]) if found else 0


def fields(path: Path) -> list[str]:
    """What stands after a process's name: its state is 0, its group 2, its ticks 11 and 12."""
    try:
        return path.read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
