"""DELETE /api/tenant; the job itself is run_erasure's."""

import hashlib
import json
from typing import Any

import pytest

from integrations import memory
from integrations.entry import wiring
from integrations.storage.tokens import Token, token_hash
from tests.backend import Backend, LambdaContext, noise
from tests.fakes.telegram import TelegramServer, bad_gateway
from tests.integration.flows import flow, step

TABLES = (
    "ConnectionsTable",
    "WebhooksTable",
    "WorkflowsTable",
    "ExecutionsTable",
    "EventsTable",
    "JobsTable",
    "PagesTable",
    "SecretsTable",
    "TokensTable",
    "HandshakesTable",
    "QuotasTable",
)


def token(tenant: str, name: str, kind: Any = "token") -> Token:
    made = Token(
        token_hash=token_hash(f"{tenant} {name}"),
        tenant=tenant,
        name=name,
        scopes=frozenset({"read", "write", "admin"}),
        kind=kind,
        providers=frozenset({"telegram"}) if kind == "connect" else frozenset(),
    )
    wiring.tokens().create(made)
    return made


def fill(backend: Backend, telegram: TelegramServer | None, tenant: str) -> Token:
    """A tenant with something in every table; its own token is returned."""
    url = f"https://example.com/hooks/{tenant}-orders"
    hook = backend.save("webhook", {"url": url}, tenant=tenant)["webhook"]["id"]
    send = step(action="webhook.send", params={"url": "http://127.0.0.1:1/", "json": 1})
    if telegram:
        backend.save("telegram", {"botToken": telegram.token}, tenant=tenant)
        listening = flow(name="Heard", trigger={"type": "telegram.message"})
        backend.create_workflow(listening, tenant=tenant)
    trigger = {"type": "webhook", "webhookId": hook}
    backend.create_workflow(flow(trigger=trigger, steps=[send]), tenant=tenant)
    timed = flow(trigger={"type": "schedule", "expression": "rate(5 minutes)"}, steps=[send])
    backend.create_workflow(timed, tenant=tenant)
    backend.deliver(hook, {"text": noise(120_000)})
    backend.deliver(hook, {"id": 1})
    backend.drain()
    backend.call("PUT", "/api/secrets/key", {"value": f"secret of {tenant}"}, tenant=tenant)
    path = "/api/integrations/oauth/start/sheets_oauth"
    assert backend.call("POST", path, {}, tenant=tenant).status == 200
    assert backend.call("POST", "/api/events/replay", {"filter": {}}, tenant=tenant).status == 200
    backend.run_jobs()
    backend.drain()
    wiring.files().put(tenant, b"a file")
    wiring.objects().put(f"values/{owned(tenant)}/exe_1/value", b"a value")
    wiring.pages().hold(tenant, "facebook_oauth#gone", ["4711"])
    token(tenant, "another")
    token(tenant, "page", "connect")
    return token(tenant, "caller")


def owned(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]


def left(backend: Backend, tenant: str) -> list[str]:
    """Where anything of a tenant is, but in the audit log."""
    rows = [
        f"{table}: {row}"
        for table in TABLES
        for row in backend.aws.rows(table)
        if tenant in json.dumps(row, default=repr)
        and set(row) != {"webhookId", "releasedAt"}  # a name that nobody may take any more
    ]
    hidden = (tenant, owned(tenant))
    objects = [key for key in backend.aws.objects() if any(each in key for each in hidden)]
    schedules = [each["Name"] for each in backend.aws.schedules() if tenant in str(each)]
    queued = [
        each.body
        for queue in ("EventsQueue", "ExecutionsQueue", "JobsQueue", "ErasuresQueue")
        for each in backend.aws.sent(queue)
        if tenant in each.body
    ]
    return rows + objects + schedules + queued


def erase(backend: Backend, tenant: str, caller: Token) -> Any:
    answer = backend.call(
        "DELETE", "/api/tenant", tenant=tenant, scopes="admin", caller={"id": caller.token_id}
    )
    assert answer.status == 200, answer
    return answer.json


def test_nothing_is_left_of_a_tenant_but_its_audit_log(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    fill(backend, None, "globex")
    everything = left(backend, "globex")
    assert telegram.webhooks
    job = erase(backend, "acme", caller)
    assert job["kind"] == "erase_tenant"
    backend.run_jobs()
    assert left(backend, "acme") == []
    assert left(backend, "globex") == everything
    assert not telegram.webhooks, "the bot sends nothing more"
    log = [row for row in backend.aws.rows("AuditTable") if row["tenant"] == "acme"]
    assert [row["outcome"] for row in log if row["action"] == "erase_tenant"] == ["succeeded"] * 2
    memory.forget()  # a receiver remembers a webhook for a minute
    # Whoever still sends to the webhook reaches nobody, and nobody can take its name.
    assert backend.deliver("acme-orders", {"id": 2}).status == 401
    taken = backend.call(
        "POST",
        "/api/integrations/webhook/credentials",
        {"credentials": {"url": "https://example.com/hooks/acme-orders"}, "connection": "second"},
        tenant="globex",
    )
    assert taken.json["webhook"]["id"] != "acme-orders"


def test_a_process_that_dies_between_any_two_pages_is_followed_by_another(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    erase(backend, "acme", caller)
    seen = 0
    for _ in range(200):
        messages = backend.aws.take("ErasuresQueue", 1)
        if not messages:
            break
        seen += 1
        backend.aws.fail("UpdateItem", "InternalServerError")  # no checkpoint is written
        backend.consume("run_erasure", messages)
        backend.aws.recover()
        # The message comes again, and the time is up after the first step.
        assert backend.consume("run_erasure", messages, context=LambdaContext(20.5)) == []
    else:
        raise AssertionError("the erasure does not end")
    assert seen
    assert left(backend, "acme") == []


def test_a_provider_that_is_down_does_not_keep_a_tenant(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    telegram.fail(*[bad_gateway()] * 30)
    erase(backend, "acme", caller)
    backend.run_jobs()
    assert left(backend, "acme") == []


def test_the_callers_token_and_the_job_are_there_until_the_end(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    job = erase(backend, "acme", caller)
    names = {row["name"] for row in backend.aws.rows("TokensTable")}
    assert names == {"caller", "another", "page"}
    (message,) = backend.aws.take("ErasuresQueue", 1)
    backend.aws.fail("Scan", "InternalServerError")
    backend.consume("run_erasure", [message])
    backend.aws.recover()
    assert {row["name"] for row in backend.aws.rows("TokensTable")} == {"caller", "page"}
    shown = backend.call("GET", f"/api/jobs/{job['jobId']}")
    assert shown.json["status"] == "running"
    assert backend.consume("run_erasure", [message]) == []
    backend.run_jobs()
    assert left(backend, "acme") == []


@pytest.mark.parametrize("scopes", ["read write", "read", "write"])
def test_it_needs_an_admin(backend: Backend, scopes: str) -> None:
    assert backend.call("DELETE", "/api/tenant", scopes=scopes).status == 403
    assert backend.aws.rows("JobsTable") == []
