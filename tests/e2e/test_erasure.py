"""A tenant is exported and erased; then every table, bucket, schedule and queue is searched."""

import hashlib
import json
from collections import Counter
from typing import Any

import pytest

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually, problem
from tests.fakes.receiver import Reply
from tools.template import resources

NOT_ERASED = {"AuditTable"}
"""The audit log stays for its year."""


def everything(platform: Platform) -> dict[str, str]:
    """Where something is → what stands there, of the whole stack."""
    dynamodb, s3 = platform.client("dynamodb"), platform.client("s3")
    sqs, scheduler = platform.client("sqs"), platform.client("scheduler")
    found: dict[str, str] = {}
    for table in resources("AWS::DynamoDB::Table"):
        pages = dynamodb.get_paginator("scan").paginate(TableName=platform.name(table))
        rows = [row for page in pages for row in page["Items"]]
        found |= {f"{table} {n}": json.dumps(row, default=repr) for n, row in enumerate(rows)}
    for bucket in resources("AWS::S3::Bucket"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=platform.name(bucket))
        for each in [each for page in pages for each in page.get("Contents", [])]:
            content = s3.get_object(Bucket=platform.name(bucket), Key=each["Key"])["Body"].read()
            found[f"{bucket} {each['Key']}"] = f"{each['Key']} {content!r}"
    for group in scheduler.list_schedule_groups()["ScheduleGroups"]:
        for each in scheduler.list_schedules(GroupName=group["Name"])["Schedules"]:
            whole = scheduler.get_schedule(GroupName=group["Name"], Name=each["Name"])
            found[f"schedule {each['Name']}"] = json.dumps(whole, default=repr)
    for queue in resources("AWS::SQS::Queue"):
        # Looked at and left: they are visible again at once.
        answer = sqs.receive_message(
            QueueUrl=platform.name(queue),
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
            AttributeNames=["All"],
        )
        for each in answer.get("Messages", []):
            found[f"{queue} {each['MessageId']}"] = json.dumps(each)
    return found


def places(platform: Platform, tenant: str) -> set[str]:
    """Where a tenant's name, or what stands for it in a key, still is."""
    digest = hashlib.sha256(tenant.encode()).hexdigest()
    names = (tenant, digest[:24])
    return {
        where
        for where, what in everything(platform).items()
        if any(name in what or name in where for name in names)
        and where.partition(" ")[0] not in NOT_ERASED
    }


def kinds(found: set[str]) -> set[str]:
    return {where.partition(" ")[0] for where in found}


def fill(client: Client, stand_ins: StandIns, tenant: str) -> None:
    """Something of the tenant in every table but the handshakes', in the bucket and the group."""
    url = stand_ins.receiver.url(f"/{tenant}")
    # An id stays taken, by nobody: it must not name the tenant, so that nothing else may.
    name = hashlib.sha256(f"webhook of {tenant}".encode()).hexdigest()[:20]
    saved = client.save("webhook", {"url": f"https://x.example/{name}", "outboundUrl": url})
    hook = saved["webhook"]["id"]
    client.save("telegram", {"botToken": stand_ins.telegram.token})
    send: dict[str, Any] = {"id": "send", "action": "webhook.send", "params": {"json": "{{ 1 }}"}}
    waits = {**send, "retry": {"maxAttempts": 2, "backoffSeconds": 3600, "maxBackoffSeconds": 3600}}
    client.create_workflow(
        {"name": "a", "trigger": {"type": "webhook", "webhookId": hook}, "steps": [send]}
    )
    client.create_workflow(
        {
            "name": "b",
            "trigger": {"type": "schedule", "expression": "rate(1 day)"},
            "steps": [send],
        }
    )
    manual = client.create_workflow({"name": "c", "trigger": {"type": "manual"}, "steps": [waits]})
    secret = client.request("PUT", "/api/secrets/KEY", json={"value": "a value that nobody sees"})
    assert secret.status_code == 200, secret.text
    body = {"text": hashlib.sha256(tenant.encode()).hexdigest() * 4000}  # 256 kB
    assert client.post(f"/api/webhooks/{hook}", body).status_code == 200
    client.finished()
    started = client.post("/api/integrations/oauth/start/sheets_oauth", {})
    assert started.status_code == 200, started.text
    stand_ins.receiver.reply(Reply(status=503))
    run = client.post(f"/api/workflows/{manual['workflowId']}/run", {"input": {}}).json()
    path = f"/api/executions/{run['executionId']}"
    eventually(lambda: client.get(path).json()["steps"][0]["error"])


@pytest.mark.long
def test_nothing_of_an_erased_tenant_is_left_anywhere(
    platform: Platform, tenant: str, stand_ins: StandIns
) -> None:
    scopes = ("read", "write", "admin")
    token = platform.tokens.create(tenant=tenant, name="admin", scopes=scopes)
    admin = Client(platform, token, tenant)
    neighbour = f"next-{tenant[::-1]}"
    other = Client(platform, platform.tokens.create(tenant=neighbour, name="e2e"), neighbour)
    fill(admin, stand_ins, tenant)
    other.save("webhook", {"url": f"https://x.example/{neighbour}"})

    items = admin.listed("/api/tenant/export")
    counted = Counter(each["kind"] for each in items)
    assert counted["connection"] == 2
    assert counted["workflow"] == 3
    assert counted["execution"] == 2
    assert counted["secret"] == counted["token"] == 1
    assert counted["event"] >= 2
    text = json.dumps(items)
    for secret in (token, stand_ins.telegram.token, "a value that nobody sees"):
        assert secret not in text

    before = places(platform, tenant)
    assert {
        *("ConnectionsTable", "WebhooksTable", "WorkflowsTable", "ExecutionsTable", "EventsTable"),
        *("TokensTable", "SecretsTable", "HandshakesTable", "QuotasTable"),
        *("PayloadsBucket", "schedule"),
    } <= kinds(before), kinds(before)

    job = admin.delete("/api/tenant")
    assert job.status_code == 200, job.text

    # Looked at from outside until the end is written down: whoever receives messages counts.
    eventually(lambda: len(ends(platform, tenant)) == 2, seconds=240, every=2)
    eventually(lambda: not rows_of(platform, "TokensTable", tenant), every=2)
    assert places(platform, tenant) == set()
    problem(Client(platform, token, tenant).get("/api/workflows"), 401, "invalid_token")
    assert other.get("/api/integrations/status").json()["webhook"]["connections"]


def rows_of(platform: Platform, table: str, tenant: str) -> list[Any]:
    """The rows of a table that name a tenant."""
    rows = platform.client("dynamodb").scan(TableName=platform.name(table))["Items"]
    return [row for row in rows if tenant in json.dumps(row, default=repr)]


def ends(platform: Platform, tenant: str) -> list[Any]:
    """What the audit log says of an erasure: its beginning and its end."""
    log = rows_of(platform, "AuditTable", tenant)
    return [row for row in log if row["action"]["S"] == "erase_tenant"]
