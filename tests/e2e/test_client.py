"""The TypeScript client as it is packed, in Node, against the deployed stack."""

import json
import shutil
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any

import pytest

from local import node
from local.report import Report
from tests.e2e.conftest import Client, StandIns
from tools.template import ROOT

pytestmark = pytest.mark.e2e

SCRIPT = """
import { ApiError, checkOAuthStatus, configure, createClient, deleteProviderCredentials,
  getAllConnectionStatuses, saveProviderCredentials, startOAuthFlow, testProviderConnection,
} from "@integrations-backend/client";

const { url, token, botToken } = JSON.parse(process.argv[2]);
configure({ baseUrl: url + "/", token: async () => token });
const told = {};
told.before = (await getAllConnectionStatuses()).telegram.status;
told.refused = await testProviderConnection("telegram", { botToken: "1:wrong" })
  .catch((error) => ({ success: false, thrown: error.code }));
told.tested = await testProviderConnection("telegram", { botToken });
told.saved = await saveProviderCredentials("telegram", { botToken }, "second");
told.again = await testProviderConnection("telegram", undefined, "second");
told.after = (await getAllConnectionStatuses()).telegram.status;
told.deleted = await deleteProviderCredentials("telegram", "second");
const started = await startOAuthFlow("sheets_oauth", { connection: "second" });
told.oauth = (await checkOAuthStatus(started.handshakeId)).status;
const client = createClient({ baseUrl: url, token });
told.executions = (await client.GET("/api/executions")).data.items;
const fail = (promise) => promise.then(() => null, (error) => [
  error instanceof ApiError, error.status, error.code, error.requestId !== null, error.errors]);
told.invalid = await fail(saveProviderCredentials("telegram", {}));
told.unknown = await fail(deleteProviderCredentials("telegram", "third"));
configure({ baseUrl: "http://127.0.0.1:1" });
told.nobody = await fail(getAllConnectionStatuses());
console.log(JSON.stringify(told));
"""


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


def test_the_packed_client_does_what_a_connections_page_needs(
    package: Path, client: Client, stand_ins: StandIns
) -> None:
    unique = uuid.uuid4()
    bot = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(bot)
    script = package / "script.mjs"
    script.write_text(SCRIPT, encoding="utf-8")
    given = {"url": client.platform.url, "token": client.token, "botToken": bot}
    env = node.environment(Report(quiet=True))
    program = shutil.which("node", path=env["PATH"])
    assert program
    ran = subprocess.run(
        [program, script, json.dumps(given)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    assert told["before"] == "disconnected"
    assert told["refused"]["success"] is False
    assert told["tested"]["success"] is True
    assert (told["saved"]["connection"], told["after"]) == ("second", "connected")
    assert told["again"]["success"] is True
    assert told["deleted"]["deleted"] is True
    assert told["oauth"] == "pending"
    assert told["executions"] == []
    assert told["invalid"][:4] == [True, 422, "invalid_input", True]
    assert told["invalid"][4][0]["field"] == "credentials.botToken"
    assert told["unknown"][:3] == [True, 404, "unknown_connection"]
    assert told["nobody"][:3] == [True, 0, "network_error"]
