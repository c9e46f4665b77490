"""`make import`: what the old backend had is tested, kept once, and told."""

import json
from typing import Any

import pytest

from local.paths import ROOT
from tests.backend import Backend
from tests.fakes.receiver import Receiver
from tests.fakes.telegram import TOKEN, TelegramServer
from tests.stack import Stack
from tools.importing.importer import KINDS, Importer, kind_of

EXAMPLES = ROOT / "examples/import"
SECRETS = ("AAFakeTokenOfTheStandInServer", "an example secret of the shop", "EAAexample", "xoxb-")


def examples() -> dict[str, list[Any]]:
    files: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for path in sorted(EXAMPLES.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        files[kind_of(path.stem, document)].append(document)
    return files


class Imports:
    """Imports into the functions, with what each said."""

    def __init__(self, backend: Backend, receiver: Receiver) -> None:
        self.api = Stack(backend, receiver)
        self.lines: list[str] = []

    def __call__(
        self,
        credentials: Any = None,
        workflows: Any = None,
        executions: Any = None,
        *,
        dry_run: bool = False,
        tenant: str = "",
    ) -> dict[str, int]:
        given = (credentials, workflows, executions)
        files = {
            kind: [] if each is None else [each] for kind, each in zip(KINDS, given, strict=True)
        }
        return self.take(files, dry_run=dry_run, tenant=tenant)

    def take(
        self, files: dict[str, list[Any]], *, dry_run: bool = False, tenant: str = ""
    ) -> dict[str, int]:
        self.lines = []
        importer = Importer(self.api, files, dry_run=dry_run, tenant=tenant, say=self.lines.append)
        return dict(importer.run())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def why(self, what: str) -> str:
        (line,) = [line for line in self.lines if f"  {what} " in line]
        return line


@pytest.fixture
def imports(backend: Backend, receiver: Receiver, telegram: TelegramServer) -> Imports:
    backend.secrets |= {TOKEN}
    return Imports(backend, receiver)


def stored(backend: Backend) -> list[str]:
    tables = ("ConnectionsTable", "WorkflowsTable", "WebhooksTable")
    rows = [
        json.dumps(row, default=str, sort_keys=True) for t in tables for row in backend.aws.rows(t)
    ]
    return sorted(rows)


def test_the_examples_are_tried_kept_and_found_there_at_the_second_time(
    imports: Imports, backend: Backend
) -> None:
    assert imports.take(examples(), dry_run=True) == {"would keep": 4, "not taken": 4, "left": 2}
    assert stored(backend) == []
    tried = imports.output

    assert imports.take(examples()) == {"kept": 4, "not taken": 4, "left": 2}
    stored_first, rows = imports.output, stored(backend)
    status = imports.api.send("GET", "/api/integrations/status").body
    assert status["telegram"]["account"]["label"] == "@example_bot"
    assert status["webhook"]["connections"][0]["webhook"]["id"] == "shop-orders"

    assert imports.take(examples()) == {"there": 4, "not taken": 4, "left": 2}
    assert stored(backend) == rows
    for secret in SECRETS:
        assert secret not in tried + stored_first + imports.output


def test_what_cannot_be_taken_says_why(imports: Imports) -> None:
    imports.take(examples())
    assert "serviceAccount is masked" in imports.why("sheets default")
    assert "log in to facebook_oauth again" in imports.why("facebook_oauth default")
    assert "no provider of this backend" in imports.why("credentials slack")
    assert "steps[0]: has else, which no step has here" in imports.why("workflow Branches")
    assert "is running: nobody knows" in imports.why("executions: ex-3")
    assert "keep the file" in imports.why("executions: 2 finished, 2024-06-10 to 2024-06-10")


def test_an_imported_workflow_is_what_the_old_one_was(imports: Imports, backend: Backend) -> None:
    imports.take(examples())
    flows = {each["name"]: each for each in imports.api.send("GET", "/api/workflows").body["items"]}
    orders = flows["Orders to the team"]
    assert orders["enabled"] is True
    assert orders["trigger"] == {"type": "webhook", "webhookId": "shop-orders"}
    assert orders["steps"] == [
        {
            "id": "tell_team",
            "action": "telegram.sendMessage",
            "params": {"chatId": 42, "text": "Order {{ trigger.body.id }}"},
            "retry": {"maxAttempts": 3},
        },
        {
            "id": "step_2",
            "action": "telegram.sendMessage",
            "params": {"chatId": 42, "text": "Sent as {{ steps.tell_team.output.messageId }}"},
            "when": "steps.tell_team.output",
            "onError": "continue",
        },
    ]
    assert flows["Morning"]["enabled"] is False
    assert flows["Morning"]["trigger"] == {
        "type": "schedule",
        "cron": "0 8 * * 1-5",
        "timezone": "Europe/Berlin",
    }


@pytest.mark.parametrize(
    "document",
    [
        {"telegram": {"botToken": TOKEN}},
        {"telegram": {"token": TOKEN, "connectedAt": "2024-01-01"}},
        {"telegram": [{"bot_token": TOKEN, "id": 7}]},
        {"telegram": {"default": {"botToken": TOKEN}}},
        {"telegram": {"credentials": json.dumps({"BOT_TOKEN": TOKEN}), "metadata": {}}},
        [{"provider": "Telegram", "credentials": {"telegramBotToken": TOKEN}}],
        {"credentials": [{"providerId": "telegram", "data": {"botToken": TOKEN}}]},
        {"version": 2, "connections": {"c1": {"type": "telegram", "config": {"token": TOKEN}}}},
        {"acme": {"telegram": {"botToken": TOKEN}}},
        [{"integration": "telegram_bot", "bot-token": f" {TOKEN} ", "label": "Our bot"}],
    ],
)
def test_a_credential_is_found_in_any_reasonable_shape(imports: Imports, document: Any) -> None:
    assert imports(document) == {"kept": 1}, imports.output
    status = imports.api.send("GET", "/api/integrations/status").body["telegram"]
    assert status["connections"][0]["connection"] == "default"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"telegram": {"botToken": "1234567890:AAwrong_token_000000000000000000"}}, "Unauthorized"),
        ({"telegram": {"botToken": "12345****"}}, "is masked"),
        ({"telegram": {"iv": "00", "authTag": "11", "data": "5ec4e7"}}, "encrypted"),
        ({"telegram": "5ec4e7c1phe4"}, "encrypted"),
        ({"telegram": {}}, "botToken missing"),
        ({"telegram": None}, "is empty"),
        ({"telegram": {"botToken": TOKEN, "proxy": "http://x"}}, "has no proxy here"),
        ({"telegram": {"botToken": TOKEN, "status": "revoked"}}, "was revoked"),
        ({"fax": {"number": "1"}}, "no provider of this backend"),
        ({"sheets": {"refreshToken": "1//0example", "clientId": "c"}}, "log in to sheets_oauth"),
        ("text", "neither a list nor an object"),
        ([7], "no provider of this backend"),
    ],
)
def test_a_credential_that_cannot_be_taken_is_listed(
    imports: Imports, backend: Backend, document: Any, why: str
) -> None:
    assert imports(document) == {"not taken": 1}, imports.output
    assert why in imports.output
    assert TOKEN not in imports.output
    assert stored(backend) == []


def test_connections_of_one_provider_have_names_by_which_workflows_find_them(
    imports: Imports, telegram: TelegramServer, backend: Backend
) -> None:
    credentials = [
        {"id": "c-1", "provider": "telegram", "name": "Shop bot!", "botToken": TOKEN},
        {"id": "c-2", "provider": "telegram", "isDefault": True, "botToken": telegram.token},
        {"id": "c-3", "provider": "telegram", "name": "Shop bot", "botToken": telegram.token},
    ]
    step = {"id": "a", "action": "telegram.getMe", "credentialId": "c-1"}
    flow = {"name": "Flow", "trigger": "manual", "steps": [step]}
    assert imports(credentials, [flow], dry_run=True) == {"would keep": 3, "not taken": 1}
    assert imports(credentials, [flow]) == {"kept": 3, "not taken": 1}
    assert "another record of this file" in imports.output
    made = imports.api.send("GET", "/api/workflows").body["items"][0]
    assert made["steps"][0]["connection"] == "Shop-bot"


def test_what_is_there_already_stays(
    imports: Imports, backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    step = {"id": "a", "action": "telegram.getMe", "params": {}}
    flow = {"name": "Flow", "enabled": True, "trigger": {"type": "manual"}, "steps": [step]}
    backend.create_workflow({**flow, "steps": [{**step, "id": "b"}]})
    before = stored(backend)
    assert imports({"telegram": {"botToken": TOKEN}}, [flow]) == {"not taken": 2}
    assert "another account is connected under this name, and stays" in imports.output
    assert "is another one by now, and stays" in imports.output
    assert stored(backend) == before


def test_equal_names_are_told_apart_and_equal_workflows_are_one(imports: Imports) -> None:
    def flow(text: str) -> dict[str, Any]:
        params = {"chatId": 1, "text": text}
        step = {"id": "a", "action": "telegram.sendMessage", "params": params}
        return {"name": "Flow", "trigger": {"type": "manual"}, "steps": [step]}

    files = ({"telegram": {"botToken": TOKEN}}, {"a": flow("x"), "b": flow("y"), "c": flow("x")})
    assert imports(*files) == {"kept": 3, "there": 1}
    assert imports(*files) == {"there": 4}
    names = [each["name"] for each in imports.api.send("GET", "/api/workflows").body["items"]]
    assert sorted(names) == ["Flow", "Flow (2)"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"trigger": None}, "has no trigger"),
        ({"trigger": {"type": "rss"}}, "no trigger here is called 'rss'"),
        ({"triggers": ["manual", "manual"], "trigger": None}, "has 2 triggers"),
        ({"steps": []}, "has no steps"),
        ({"steps": [{"action": "no_such.post"}]}, "steps[0]: no provider here is called 'no_such'"),
        ({"steps": [{"action": "telegram.send"}]}, "has no action 'send' here"),
        ({"status": "maybe"}, "says neither on nor off"),
        ({"timeout": 5}, "has timeout, which no workflow has here"),
        ({"trigger": {"type": "cron"}}, "says no cron"),
        ({"trigger": {"type": "webhook", "webhookId": "nobodys"}}, "There is no webhook"),
        (
            {"steps": [{"action": "telegram.sendMessage", "params": {"text": "{{ event.x }}"}}]},
            "steps[0].params.chatId is required",
        ),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_workflow_that_cannot_be_taken_is_listed(
    imports: Imports, changed: dict[str, Any], why: str, *, dry_run: bool
) -> None:
    flow = {
        "name": "Flow",
        "trigger": {"type": "manual"},
        "steps": [{"id": "a", "action": "telegram.getMe", "params": {}}],
    }
    assert imports(None, [{**flow, **changed}], dry_run=dry_run) == {"not taken": 1}
    assert why in imports.output


def test_nothing_in_a_file_steers_the_terminal_that_shows_the_report(imports: Imports) -> None:
    flow = {"name": "a\x1b[2Jb\nkept        forged", "trigger": {"type": "manual"}, "steps": []}
    imports([{"provider": "nobody\x07"}], [flow], [{"status": "\x1b[31mrunning"}], dry_run=True)
    assert len(imports.lines) == 4
    assert all(line.isprintable() for line in imports.lines)


@pytest.mark.parametrize(
    ("trigger", "made"),
    [
        ("telegram.message", {"type": "telegram.message"}),
        ({"type": "telegram", "event": "message"}, {"type": "telegram.message"}),
        (
            {"provider": "telegram", "event": "message", "filters": {"chat_id": 42}},
            {"type": "telegram.message", "chatId": 42},
        ),
        ({"type": "cron", "every": 5}, {"type": "schedule", "expression": "rate(5 minutes)"}),
        (
            {"type": "schedule", "runAt": 4102444800000},
            {"type": "schedule", "expression": "at(2100-01-01T00:00:00)", "timezone": "UTC"},
        ),
    ],
)
def test_a_trigger_is_found_in_any_reasonable_shape(
    imports: Imports, trigger: Any, made: dict[str, Any]
) -> None:
    step = {"id": "a", "action": "telegram.getMe"}
    flow = {"name": "Flow", "trigger": trigger, "steps": [step]}
    assert imports({"telegram": {"botToken": TOKEN}}, [flow]) == {"kept": 2}, imports.output
    assert imports.api.send("GET", "/api/workflows").body["items"][0]["trigger"] == made


def test_what_is_of_another_tenant_is_left_to_its_own_import(imports: Imports) -> None:
    document = {"acme": {"telegram": {"botToken": TOKEN}}, "other": {"telegram": {"botToken": "x"}}}
    assert imports(document, tenant="acme") == {"kept": 1, "not taken": 1}
    assert "import it with TENANT=other" in imports.output


def test_a_file_is_known_by_its_name_or_by_what_it_holds() -> None:
    assert kind_of("credentials.backup", []) == "credentials"
    assert kind_of("export", {"workflows": []}) == "workflows"
    assert kind_of("oauth-states", {"a": 1}) == ""
