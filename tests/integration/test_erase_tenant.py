"""DELETE /api/tenant; the job itself is run_erasure's."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from integrations import memory
from integrations.entry import wiring
from integrations.services import tenants
from integrations.services.tenants import SETTLE_SECONDS
from integrations.storage.aws import item
from integrations.storage.tokens import Token
from tests.backend import Backend, LambdaContext, incompressible
from tests.fakes.aws import Sent
from tests.fakes.telegram import TelegramServer, bad_gateway
from tests.integration.flows import flow
from tests.integration.moments import before
from tests.integration.tenants import fill, owned, token

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


def test_asked_for_three_times_a_tenant_is_erased_by_one_job(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    first, second, third = (erase(backend, "acme", caller) for _ in range(3))
    assert first == second == third
    backend.run_jobs(receives=5)  # the others' messages find no job any more
    assert left(backend, "acme") == []
    memory.forget()
    assert erase(backend, "acme", caller)["status"] == "queued", "what came since goes as well"
    backend.run_jobs()
    assert left(backend, "acme") == []


def test_an_erasure_that_was_stopped_begins_again(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    job = erase(backend, "acme", caller)
    path = f"/api/jobs/{job['jobId']}/cancel"
    assert backend.call("POST", path, tenant="acme").status == 200
    backend.run_jobs()
    assert left(backend, "acme") != []
    again = erase(backend, "acme", caller)
    assert (again["status"], again["finishedAt"]) == ("queued", None)
    backend.run_jobs()
    assert left(backend, "acme") == []


def test_an_erasure_that_begins_again_is_the_second_callers(backend: Backend) -> None:
    first, second = token("acme", "first"), token("acme", "second")
    erase(backend, "acme", first)
    (row,) = backend.aws.rows("JobsTable")
    assert backend.call("POST", f"/api/jobs/{row['jobId']}/cancel").status == 200
    long_ago = {"createdKey": f"2026-01-01T00:00:00.000Z#{row['jobId']}", "expiresAt": 1}
    (stopped,) = backend.aws.rows("JobsTable")
    backend.aws.put("JobsTable", item(stopped | long_ago))
    again = erase(backend, "acme", second)
    (begun,) = backend.aws.rows("JobsTable")
    assert begun["createdKey"] >= row["createdKey"], "it stands where the newest jobs do"
    assert begun["expiresAt"] >= row["expiresAt"], "and is not forgotten with the one before"
    assert again["createdAt"] == backend.call("GET", f"/api/jobs/{row['jobId']}").json["createdAt"]
    backend.aws.take("ErasuresQueue", 1)
    until_a_scan(backend)
    assert {row["name"] for row in backend.aws.rows("TokensTable")} == {"second"}


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
        backend.let_jobs_be_due()
        backend.aws.fail("UpdateItem", "InternalServerError")  # no checkpoint is written
        backend.consume("run_erasure", messages)
        backend.aws.recover()
        # The message comes again, and the time is up after the first step.
        assert backend.consume("run_erasure", messages, context=LambdaContext(20.5)) == []
    else:
        raise AssertionError("the erasure does not end")
    assert seen
    assert left(backend, "acme") == []


def write_something(backend: Backend) -> None:
    """What somebody does who was let in before the token went."""
    backend.save("webhook", {"url": "https://example.com/hooks/late"}, "late", tenant="acme")
    backend.create_workflow(flow(trigger={"type": "manual"}, steps=[late_step()]), tenant="acme")
    started = backend.call("POST", "/api/integrations/oauth/start/sheets_oauth", {}, tenant="acme")
    assert started.status == 200, started


def late_step() -> dict[str, Any]:
    return {"id": "send", "action": "webhook.send", "connection": "late", "params": {"json": 1}}


def one_pass(backend: Backend) -> None:
    messages = backend.aws.take("ErasuresQueue", 1)
    backend.let_jobs_be_due()
    assert backend.consume("run_erasure", messages) == []


def until_a_scan(backend: Backend) -> Sent:
    """Go on until the tokens are gone, and die; the message comes again."""
    (message,) = backend.aws.take("ErasuresQueue", 1)
    backend.aws.fail("Scan", "InternalServerError")
    backend.consume("run_erasure", [message])
    backend.aws.recover()
    return message


def test_what_is_written_while_a_tenant_goes_goes_as_well(
    backend: Backend, telegram: TelegramServer
) -> None:
    erase(backend, "acme", fill(backend, telegram, "acme"))
    one_pass(backend)
    (second,) = backend.aws.sent("ErasuresQueue")
    assert second.delay == SETTLE_SECONDS
    write_something(backend)
    assert left(backend, "acme") != []
    backend.run_jobs()
    assert left(backend, "acme") == []


def test_what_is_connected_anew_while_it_is_removed_goes_as_well(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    backend.save("webhook", hook, tenant="acme")
    erase(backend, "acme", token("acme", "caller"))

    def anew() -> None:
        backend.save("webhook", hook, tenant="acme")

    before(monkeypatch, wiring.webhooks(), "release", anew)
    backend.run_jobs()
    assert left(backend, "acme") == []


def test_a_payload_that_no_event_has_goes_as_well(backend: Backend) -> None:
    hook = backend.save("webhook", {"url": "https://example.com/hooks/orders"}, tenant="acme")
    for length in (10, 60_000, 70_000):  # the same delivery once more, with another body
        backend.deliver(
            hook["webhook"]["id"], incompressible(length), {"Idempotency-Key": "order-1"}
        )
        backend.drain()
    assert backend.aws.objects()
    erase(backend, "acme", token("acme", "caller"))
    backend.run_jobs()
    assert not backend.aws.objects()


def test_where_somebody_never_stops_writing_the_erasure_says_so(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "MAX_PASSES", 3)
    job = erase(backend, "acme", fill(backend, telegram, "acme"))
    for _ in range(3):
        one_pass(backend)
        write_something(backend)
    assert backend.aws.sent("ErasuresQueue") == []
    shown = backend.call("GET", f"/api/jobs/{job['jobId']}", tenant="acme").json
    assert shown["status"] == "failed"
    assert "goes on writing" in shown["error"]


def test_who_asks_again_has_an_erasure_go_on_whose_message_is_a_dead_letter(
    backend: Backend, telegram: TelegramServer
) -> None:
    caller = fill(backend, telegram, "acme")
    erase(backend, "acme", caller)
    assert backend.aws.take("ErasuresQueue", 1)
    backend.run_jobs()
    assert left(backend, "acme") != []
    erase(backend, "acme", caller)
    backend.run_jobs()
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
    message = until_a_scan(backend)
    assert {row["name"] for row in backend.aws.rows("TokensTable")} == {"caller", "page"}
    shown = backend.call("GET", f"/api/jobs/{job['jobId']}")
    assert shown.json["status"] == "running"
    assert backend.consume("run_erasure", [message]) == []
    backend.run_jobs()
    assert left(backend, "acme") == []


@pytest.mark.parametrize(
    "caller",
    [
        lambda another: {"kind": "jwt", "id": another.token_id},
        lambda another: {"kind": "jwt", "id": another.token_hash[:1]},
        lambda another: {"id": another.token_id[:-1]},
    ],
    ids=["the subject of a JWT", "a short subject of a JWT", "a part of an id"],
)
def test_no_token_outlives_the_others_because_of_a_caller_that_is_none_of_them(
    backend: Backend, caller: Callable[[Token], dict[str, str]]
) -> None:
    who = caller(token("acme", "another"))
    answer = backend.call("DELETE", "/api/tenant", scopes="admin", caller=who)
    assert answer.status == 200, answer
    until_a_scan(backend)
    assert backend.aws.rows("TokensTable") == []


@pytest.mark.parametrize("scopes", ["read write", "read", "write"])
def test_it_needs_an_admin(backend: Backend, scopes: str) -> None:
    assert backend.call("DELETE", "/api/tenant", scopes=scopes).status == 403
    assert backend.aws.rows("JobsTable") == []
