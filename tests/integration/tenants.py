"""Tenants with something in every table."""

import hashlib
from typing import Any

from integrations.entry import wiring
from integrations.storage.tokens import Token, token_hash
from tests.backend import Backend, noise
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, step


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
