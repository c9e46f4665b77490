"""The TypeScript client as it is packed, in Node, against the deployed stack."""

import json
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import node
from local.report import Report
from tests.e2e.conftest import Client, StandIns
from tools.template import ROOT

pytestmark = pytest.mark.e2e

PROGRAM = """
import { ApiError, checkOAuthStatus, configure, createClient, deleteProviderCredentials,
  getAllConnectionStatuses, saveProviderCredentials, startOAuthFlow, testProviderConnection,
  type Problem, type Workflow, type WorkflowAnswer } from "@integrations-backend/client";

export interface Given { url: string; token: string; botToken: string }

export async function connections({ url, token, botToken }: Given) {
  configure({ baseUrl: url + "/", token: async () => token });
  const before = (await getAllConnectionStatuses())["telegram"]?.status;
  const refused = await testProviderConnection("telegram", { botToken: "1:wrong" });
  const tested = await testProviderConnection("telegram", { botToken });
  const saved = await saveProviderCredentials("telegram", { botToken }, "second");
  const again = await testProviderConnection("telegram", undefined, "second");
  const after = (await getAllConnectionStatuses())["telegram"]?.status;
  const deleted = await deleteProviderCredentials("telegram", "second");
  const { handshakeId } = await startOAuthFlow("sheets_oauth", { connection: "second" });
  const oauth = (await checkOAuthStatus(handshakeId)).status;
  return { before, refused: refused.success, tested: tested.success, saved: saved.connection,
    again: again.success, after, deleted: deleted.deleted, oauth };
}

export async function refusals({ url, token }: Given) {
  configure({ baseUrl: url, token });
  const reason = (promise: Promise<unknown>) => promise.then(() => null, (error: unknown) =>
    error instanceof ApiError
      ? { status: error.status, code: error.code, named: error.requestId !== null,
          fields: error.errors.map(({ field }) => field) }
      : null);
  const invalid = await reason(saveProviderCredentials("telegram", { botToken: "" }));
  const unknown = await reason(deleteProviderCredentials("telegram", "third"));
  configure({ baseUrl: "http://127.0.0.1:1" });
  return { invalid, unknown, nobody: await reason(getAllConnectionStatuses()) };
}

export async function aborts({ url, token }: Given) {
  const client = createClient({ baseUrl: url, token });
  const reason = (signal: AbortSignal) =>
    client.GET("/api/executions", { signal }).then(() => "", (error: Error) => error.name);
  const slow = createClient({ baseUrl: url, token, fetch: ({ signal }) =>
    new Promise((_, reject) => {
      // Node ends where nothing is waited for, and the timer of a signal does not count.
      const waiting = setTimeout(() => {}, 60_000);
      const end = () => { clearTimeout(waiting); reject(signal.reason); };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end);
    }) });
  const late = slow.GET("/api/executions", { signal: AbortSignal.timeout(10) });
  return { before: await reason(AbortSignal.abort()),
    late: await late.then(() => "", (error: Error) => error.name) };
}

export async function broken({ url, token }: Given) {
  const half = (end: (controller: ReadableStreamDefaultController) => void) => async () =>
    new Response(new ReadableStream({
      start(controller) { controller.enqueue(new TextEncoder().encode('{"items": [')); },
      pull: end,
    }));
  const lost = createClient({ baseUrl: url, token,
    fetch: half((controller) => controller.error(new TypeError("terminated"))) });
  const code = await lost.GET("/api/executions").then(() => "",
    (error: unknown) => error instanceof ApiError ? error.code : String(error));
  const over = new AbortController();
  const ended = createClient({ baseUrl: url, token,
    fetch: half((controller) => { over.abort(); controller.error(over.signal.reason); }) });
  const name = await ended.GET("/api/executions", { signal: over.signal }).then(() => "",
    (error: Error) => error.name);
  const parts = await lost.GET("/api/executions", { parseAs: "stream" });
  return { code, name, stream: parts.data instanceof ReadableStream };
}

export async function workflows({ url, token, botToken }: Given) {
  configure({ baseUrl: url, token });
  await saveProviderCredentials("telegram", { botToken });
  const client = createClient({ baseUrl: url, token });
  const definition: Workflow = {
    name: "Orders",
    trigger: { type: "manual" },
    steps: [{ id: "tell", action: "telegram.sendMessage", params: { chatId: 42, text: "Hi" } }],
  };
  const { data: created } = await client.POST("/api/workflows", { body: definition });
  if (!created) throw new Error("no workflow");
  const params = { path: { workflowId: created.workflowId } };
  const { data: read } = await client.GET("/api/workflows/{workflowId}", { params });
  if (!read) throw new Error("no workflow");
  const changed: WorkflowAnswer = { ...read, name: "Later orders" };
  const { data: replaced } = await client.PUT("/api/workflows/{workflowId}", {
    params,
    body: changed,
  });
  const { data: executions } = await client.GET("/api/executions", {
    params: { query: { workflowId: created.workflowId, limit: 10 } },
  });
  const code: Problem["code"] = "unknown_workflow";
  return { created: created.name, replaced: replaced?.name, executions: executions?.items, code };
}
"""
FLOWS = ROOT / "docs" / "flows"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `node_modules` has the client as `npm pack` packs it."""
    folder = tmp_path_factory.mktemp("application")
    env = node.environment(Report(quiet=True))
    build = [sys.executable, "-m", "local.console", "pack", "-w", "clients/typescript",
             "--silent", "--pack-destination", str(folder)]  # fmt: skip
    subprocess.run(build, cwd=ROOT, env=env, check=True, capture_output=True)
    (archive,) = folder.glob("*.tgz")
    modules = folder / "node_modules"
    with tarfile.open(archive) as packed:
        names = packed.getnames()
        packed.extractall(folder / "unpacked", filter="data")
    assert {"package/dist/index.js", "package/dist/index.d.ts", "package/README.md"} <= set(names)
    assert not [name for name in names if "/src/" in name]
    (modules / "@integrations-backend").mkdir(parents=True)
    (folder / "unpacked" / "package").rename(modules / "@integrations-backend" / "client")
    for dependency in ("openapi-fetch", "openapi-typescript-helpers"):
        (modules / dependency).symlink_to(ROOT / "node_modules" / dependency)
    return folder


@pytest.fixture(scope="module")
def program(package: Path) -> Path:
    """The program as strict TypeScript makes it, the documented flows typed beside it."""
    flows = (
        f"export const {file.stem}: Workflow = {file.read_text(encoding='utf-8')};"
        for file in sorted(FLOWS.glob("*.json"))
    )
    kind = 'import type { Workflow } from "@integrations-backend/client";'
    (package / "flows.ts").write_text("\n".join([kind, *flows]), encoding="utf-8")
    (package / "program.ts").write_text(PROGRAM, encoding="utf-8")
    (package / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    options = {"extends": str(ROOT / "tsconfig.base.json"), "files": ["program.ts", "flows.ts"]}
    (package / "tsconfig.json").write_text(json.dumps(options), encoding="utf-8")
    compiler = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
    compiled = run_node(str(compiler), "--project", str(package))
    assert compiled.returncode == 0, compiled.stdout
    return package / "program.js"


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = node.environment(Report(quiet=True))
    node_js = shutil.which("node", path=env["PATH"])
    assert node_js
    return subprocess.run(
        [node_js, *arguments], env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def call(program: Path, client: Client, stand_ins: StandIns) -> Callable[[str], dict[str, Any]]:
    """What one of the program's functions answers."""
    unique = uuid.uuid4()
    bot = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(bot)
    given = {"url": client.platform.url, "token": client.token, "botToken": bot}

    def answer(function: str) -> dict[str, Any]:
        script = (
            f"import {{ {function} }} from {json.dumps(program.as_uri())};"
            f"console.log(JSON.stringify(await {function}({json.dumps(given)})));"
        )
        ran = run_node("--input-type=module", "--eval", script)
        assert ran.returncode == 0, ran.stderr
        answered: dict[str, Any] = json.loads(ran.stdout)
        return answered

    return answer


def test_the_packed_client_does_what_a_connections_page_needs(
    call: Callable[[str], dict[str, Any]],
) -> None:
    assert call("connections") == {
        "before": "disconnected",
        "refused": False,
        "tested": True,
        "saved": "second",
        "again": True,
        "after": "connected",
        "deleted": True,
        "oauth": "pending",
    }


def test_a_refusal_is_an_error_with_what_was_wrong(call: Callable[[str], dict[str, Any]]) -> None:
    refusals = call("refusals")
    assert refusals["invalid"] == {
        "status": 422,
        "code": "invalid_input",
        "named": True,
        "fields": ["credentials.botToken"],
    }
    assert (refusals["unknown"]["status"], refusals["unknown"]["code"]) == (
        404,
        "unknown_connection",
    )
    assert (refusals["nobody"]["status"], refusals["nobody"]["code"]) == (0, "network_error")


def test_whoever_ends_a_call_gets_the_platforms_own_error(
    call: Callable[[str], dict[str, Any]],
) -> None:
    assert call("aborts") == {"before": "AbortError", "late": "TimeoutError"}


def test_an_answer_that_breaks_off_is_none(call: Callable[[str], dict[str, Any]]) -> None:
    assert call("broken") == {"code": "network_error", "name": "AbortError", "stream": True}


def test_what_the_client_reads_of_a_workflow_it_may_send_back(
    call: Callable[[str], dict[str, Any]],
) -> None:
    assert call("workflows") == {
        "created": "Orders",
        "replaced": "Later orders",
        "executions": [],
        "code": "unknown_workflow",
    }
