"""The local platform itself: what it keeps, what it says when it cannot start, who it lets in."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from integrations.services.jwt import COOLDOWN_SECONDS
from local import ports
from local.errors import PlatformError
from local.paths import ROOT
from local.platform import Platform
from tests.e2e.conftest import JWT_AUDIENCE, Client, StandIns, eventually, problem
from tests.fakes.oidc import Issuer
from tests.fakes.telegram import TOKEN

pytestmark = pytest.mark.e2e


# -- Stopped and started ---------------------------------------------------------------------


def test_what_was_kept_is_there_after_a_stop_and_a_start_and_nothing_is_deployed_again(
    stand_ins: StandIns, tmp_path: Path
) -> None:
    parameters = {"TelegramApiBase": stand_ins.telegram.url, "PlatformTenant": "dev"}
    first = Platform(tmp_path / "state", parameters=parameters)
    with first:
        client = Client(first, first.token, "dev")
        only_the_platform_s_tenant_makes_tokens_for_others_and_has_short_ids(first)
        saved = client.save("telegram", {"botToken": TOKEN})
        workflow = client.create_workflow(
            {
                "name": "kept",
                "trigger": {"type": "manual"},
                "steps": [
                    {
                        "id": "send",
                        "action": "telegram.sendMessage",
                        "params": {"chatId": 42, "text": "Hello"},
                    }
                ],
            }
        )
        made = first.tokens.create(tenant="dev", name="kept")
        port = urlsplit(first.url).port or 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{first.url}/api/integrations", timeout=5)
    deployed = (tmp_path / "state" / "deploy.log").stat().st_mtime_ns

    # Another process tomorrow knows the folder and the settings, and nothing else.
    second = Platform(tmp_path / "state", port=port, parameters=parameters)
    began = time.monotonic()
    with second:
        ready = time.monotonic() - began
        answer = requests.get(f"{second.url}/api/integrations/status", timeout=60)
        answered = time.monotonic() - began
        print(f"\n  second start: {ready:.1f} s, first answer after {answered:.1f} s")  # noqa: T201
        state = answer.json()["telegram"]
        assert state["status"] == "connected"
        assert state["connectedAt"] == saved["connectedAt"]
        assert second.token == first.token
        client = Client(second, made, "dev")
        client.act("telegram", "sendMessage", {"chatId": 42, "text": "Still here"})
        assert stand_ins.telegram.last.params["text"] == "Still here"
        run = client.post(f"/api/workflows/{workflow['workflowId']}/run", {})
        assert run.ok, run.text
        (execution,) = client.finished(workflowId=workflow["workflowId"])
        assert execution["status"] == "succeeded"
    assert (tmp_path / "state" / "deploy.log").stat().st_mtime_ns == deployed


def only_the_platform_s_tenant_makes_tokens_for_others_and_has_short_ids(
    platform: Platform,
) -> None:
    """``PlatformTenant``, on the deployed stack."""
    admin = Client(platform, platform.token, "dev")
    made = admin.post("/api/tokens", {"name": "shop", "tenant": "shop", "scopes": ["admin"]})
    assert made.status_code == 200, made.text
    shop = Client(platform, made.json()["token"], "shop")
    asked = shop.post("/api/tokens", {"name": "x", "tenant": "dev", "scopes": ["read"]})
    assert asked.status_code in {403, 422}, asked.text
    token = platform.tokens.create(tenant="shop", name="writer")
    credentials = {"url": "https://example.com/hooks/orders"}
    theirs = Client(platform, token, "shop").save("webhook", credentials)
    assert theirs["webhook"]["id"].startswith("orders-"), "though nobody has the short one"
    assert admin.save("webhook", credentials)["webhook"]["id"] == "orders"


def test_what_the_state_folder_holds_is_its_owners_alone(platform: Platform) -> None:
    assert platform.state_dir.stat().st_mode & 0o777 == 0o700
    assert (platform.state_dir / "token").stat().st_mode & 0o777 == 0o600
    assert not (platform.state_dir / "parameters.yaml").exists()


def test_a_platform_that_runs_is_not_started_twice(platform: Platform) -> None:
    with pytest.raises(PlatformError, match="is running already"):
        Platform(platform.state_dir).start()


# -- Two stacks in one account ---------------------------------------------------------------


class Beside(Platform):
    """Another stack of the same template, in a platform's own MiniStack."""

    def __init__(self, platform: Platform, state_dir: Path, parameters: Mapping[str, str]) -> None:
        super().__init__(state_dir, parameters=parameters)
        self._platform = platform

    def _start_ministack(self, _running: ExitStack, _lock: int) -> None:
        self._ministack = self._platform._started()
        self._state.stack = "integrations-beside"


def physical_names(platform: Platform) -> set[str]:
    """What a stack's resources are called in their account; versions and ids of parts are not."""
    pages = platform.client("cloudformation").get_paginator("list_stack_resources")
    return {
        resource["PhysicalResourceId"]
        for page in pages.paginate(StackName=platform.stack)
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] in NAMED
    }


NAMED = {
    "AWS::ApiGatewayV2::Api", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table", "AWS::IAM::Role", "AWS::KMS::Key", "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion", "AWS::Logs::LogGroup", "AWS::S3::Bucket", "AWS::SQS::Queue",
    "AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup", "AWS::SecretsManager::Secret",
}  # fmt: skip


def end_lines(platform: Platform, execution_id: str) -> list[dict[str, Any]]:
    """The log lines, which CloudWatch reads metrics from, of an execution's end."""
    group = f"/aws/lambda/{platform.stack}-run-workflow"
    found = platform.client("logs").filter_log_events(logGroupName=group)["events"]
    lines = [json.loads(each["message"]) for each in found if '"_aws"' in each["message"]]
    return [
        line
        for line in lines
        if line["message"] == "execution" and line["executionId"] == execution_id
    ]


@pytest.mark.long
def test_two_stacks_live_side_by_side_and_know_nothing_of_each_other(
    platform: Platform, stand_ins: StandIns, tmp_path: Path
) -> None:
    parameters = {"TelegramApiBase": stand_ins.telegram.url}
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    with Beside(platform, tmp_path / "beside", parameters) as beside:
        assert physical_names(platform)
        assert not physical_names(platform) & physical_names(beside)
        clients = [
            Client(each, each.tokens.create(tenant=tenant, name="e2e"), tenant)
            for each in (platform, beside)
        ]
        for number, client in enumerate(clients):
            client.save("telegram", {"botToken": TOKEN})
            say = {"chatId": 42, "text": f"From stack {number}"}
            made = client.create_workflow(
                {
                    "name": f"of stack {number}",
                    "trigger": {"type": "manual"},
                    "steps": [{"id": "say", "action": "telegram.sendMessage", "params": say}],
                }
            )
            assert client.post(f"/api/workflows/{made['workflowId']}/run", {}).ok
        for number, client in enumerate(clients):
            (execution,) = client.finished()
            assert execution["status"] == "succeeded"
            assert execution["workflowName"] == f"of stack {number}"
            (line,) = eventually(partial(end_lines, client.platform, execution["executionId"]))
            assert line["outcome"] == "succeeded"
            assert line["stack"] == client.platform.stack
        # The token of one opens nothing at the other.
        here, there = clients
        status = f"{there.platform.url}/api/integrations/status"
        asked = {"Authorization": f"Bearer {here.token}"}
        assert requests.get(status, headers=asked, timeout=60).status_code == 401


# -- What keeps it from starting -------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A work tree of its own, whose .env and template may be broken."""
    for name in ("template.yaml", "samconfig.toml", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("local", "functions", "layers", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".venv", ".venv-sam", ".venv-ministack"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run what `make run` runs."""
    known = {
        name
        for line in (ROOT / ".env.example").read_text().splitlines()
        if (name := line.partition("=")[0])
    }
    machine = {name: value for name, value in os.environ.items() if name not in known}
    return subprocess.run(
        [sys.executable, "-m", "local"],
        cwd=folder,
        env={**machine, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def the_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why it did not start."""
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("make run: ")
    return line


def test_a_port_that_is_taken_is_said_in_one_line(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = the_line(run(checkout, {"PORT": str(port)}))

    assert f"port {port} is taken" in line
    assert "PORT=" in line


def test_ministacks_port_that_is_taken_is_said_in_one_line(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = {"PORT": str(ports.free()), "MINISTACK_PORT": str(port)}
        line = the_line(run(checkout, chosen))

    assert f"port {port} is taken" in line
    assert "MINISTACK_PORT=" in line


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("TELEGRAM_API_BAES=http://localhost:8081\n", ".env: unknown name TELEGRAM_API_BAES"),
        ("PORT=eighty\n", "PORT=eighty is no port"),
        ("PORT=70000\n", "PORT=70000 is no port"),
    ],
)
def test_a_mistake_in_env_is_said_in_one_line(checkout: Path, written: str, says: str) -> None:
    (checkout / ".env").write_text(written)

    assert says in the_line(run(checkout, {}))


def test_a_broken_template_is_said_in_one_line_with_its_place(checkout: Path) -> None:
    template = checkout / "template.yaml"
    text = template.read_text()
    broken = text.replace("Type: AWS::SQS::Queue\n", "Type: AWS::SQS::Kueue\n", 1)
    template.write_text(broken)
    place = broken[: broken.index("AWS::SQS::Kueue")].count("\n") + 1

    line = the_line(run(checkout, {"PORT": str(ports.free())}))

    assert "template.yaml" in line
    assert "AWS::SQS::Kueue" in line
    assert f"line {place}" in line


def test_a_setting_that_the_template_refuses_is_said_in_one_line(tmp_path: Path) -> None:
    platform = Platform(tmp_path, parameters={"FrontendUrl": "no address"})

    with pytest.raises(PlatformError, match="FrontendUrl") as refused:
        platform.start()

    assert len(str(refused.value).splitlines()) == 1


# -- Tokens ----------------------------------------------------------------------------------


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid.uuid4().hex[:12]}"


def tokens(platform: Platform, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `make token`, `make tokens` and `make token-revoke` run."""
    return subprocess.run(
        [sys.executable, "-m", "local.tokens", command],
        cwd=ROOT,
        env={**os.environ, **platform.aws, "STACK": platform.stack, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_token_is_made_shown_once_listed_and_revoked(platform: Platform, tenant: str) -> None:
    made = tokens(platform, "create", NAME="ci", TENANT=tenant, SCOPES="read", DAYS="7")
    unused = tokens(platform, "create", NAME="unused", TENANT=tenant).stdout.strip()
    token = made.stdout.strip()
    client = Client(platform, token, tenant)

    assert made.returncode == 0, made.stderr
    assert token.startswith("ib_")
    assert len(token) >= 43 + 3
    assert client.get("/api/integrations/status").status_code == 200
    problem(client.post("/api/workflows", {}), 403, "insufficient_scope")

    listed = tokens(platform, "list", TENANT=tenant).stdout
    assert token not in listed
    ci, other = listed.strip().splitlines()
    assert ci.split()[:2] == ["ci", "read"]
    assert "until" in ci
    assert other.split()[:2] == ["unused", "read,write"]

    again = tokens(platform, "create", NAME="ci", TENANT=tenant)
    assert again.returncode != 0
    assert "revoke it first" in again.stderr

    revoked = tokens(platform, "revoke", NAME="unused", TENANT=tenant)
    assert revoked.returncode == 0, revoked.stderr
    # No authorizer has seen this one yet; one that has forgets it within a minute.
    assert Client(platform, unused, tenant).get("/api/workflows").status_code == 401
    missing = tokens(platform, "revoke", NAME="unused", TENANT=tenant)
    assert missing.returncode != 0
    assert len(missing.stderr.strip().splitlines()) == 1


def test_the_table_holds_no_token(platform: Platform, tenant: str) -> None:
    token = platform.tokens.create(tenant=tenant, name="secret")

    stored = str(platform.client("dynamodb").scan(TableName=platform.name("TokensTable"))["Items"])

    assert tenant in stored
    assert token not in stored
    assert token[3:20] not in stored


@pytest.mark.parametrize(
    "variables",
    [{}, {"NAME": "x", "SCOPES": "read,everything"}, {"NAME": "x", "DAYS": "soon"}],
    ids=["no name", "unknown scope", "no number of days"],
)
def test_a_token_that_makes_no_sense_is_not_made(
    platform: Platform, tenant: str, variables: dict[str, str]
) -> None:
    done = tokens(platform, "create", **{"NAME": "", "TENANT": tenant, **variables})

    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert platform.tokens.items(tenant) == []


# -- JWTs ------------------------------------------------------------------------------------


@pytest.fixture
def issuer(stand_ins: StandIns) -> Issuer:
    time.sleep(COOLDOWN_SECONDS)  # whatever key another test has made the stack ask for
    return stand_ins.issuer


def status_with(platform: Platform, token: str) -> int:
    answer: requests.Response = Client(platform, token, "").get("/api/integrations/status")
    return answer.status_code


def test_a_token_of_the_issuer_opens_its_own_tenant_and_no_other(
    platform: Platform, issuer: Issuer, tenant: str
) -> None:
    writing = issuer.token(aud=JWT_AUDIENCE, tenant=tenant, scope="read write")
    ann = Client(platform, writing, tenant)
    same = Client(platform, platform.tokens.create(tenant=tenant, name="api"), tenant)
    other = f"other-{tenant}"
    ben = Client(platform, issuer.token(aud=[JWT_AUDIENCE, "other"], tenant=other), other)

    ann.save("telegram", {"botToken": TOKEN})

    assert same.get("/api/integrations/telegram/credentials").status_code == 200
    problem(ben.get("/api/integrations/telegram/credentials"), 404, "unknown_connection")


def test_a_tokens_scope_limits_it(platform: Platform, issuer: Issuer, tenant: str) -> None:
    token = issuer.token(aud=JWT_AUDIENCE, tenant=tenant, scope="openid read")
    reader = Client(platform, token, tenant)

    assert reader.get("/api/integrations/status").status_code == 200
    answer = reader.post("/api/integrations/telegram/test", {"credentials": {"botToken": TOKEN}})
    problem(answer, 403, "insufficient_scope")


def test_a_key_that_was_rotated_is_fetched(platform: Platform, issuer: Issuer) -> None:
    assert status_with(platform, issuer.token(aud=JWT_AUDIENCE, sub="before")) == 200
    old = issuer.token(aud=JWT_AUDIENCE, sub="of the old key")

    issuer.rotate()
    time.sleep(COOLDOWN_SECONDS)

    assert status_with(platform, issuer.token(aud=JWT_AUDIENCE, sub="after")) == 200
    assert status_with(platform, old) == 401


def test_tokens_that_are_not_for_us_or_not_the_issuers_are_refused(
    platform: Platform, issuer: Issuer
) -> None:
    hour = 3600
    now = int(time.time())
    good = {"aud": JWT_AUDIENCE}
    assert status_with(platform, issuer.token(**good)) == 200
    with Issuer() as stranger:
        refused = {
            "another audience": issuer.token(aud="another"),
            "no audience": issuer.token(),
            "another issuer": issuer.token(**good, iss=stranger.url),
            "a stranger's": stranger.token(**good),
            "a stranger's in the issuer's name": stranger.token(**good, iss=issuer.url),
            "expired": issuer.token(**good, iat=now - 2 * hour, exp=now - hour),
            "not yet": issuer.token(**good, nbf=now + hour),
            "without an end": issuer.token(**good, exp=None),
            "without a subject": issuer.token(**good, sub=None),
            "unsigned": issuer.unsigned(**good),
            "signed by the public key": issuer.signed_by_the_public_key(**good),
            "cut": issuer.token(**good)[:-3],
            "nonsense": "eyJ.eyJ.x",
        }
        statuses = {name: status_with(platform, token) for name, token in refused.items()}

    assert set(statuses.values()) == {401}, statuses
