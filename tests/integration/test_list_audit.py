"""GET /api/audit, and what is written there."""

import io
import json
import time
from typing import Any

import pytest

from tests.backend import Backend
from tests.integration.named_secrets import VALUE, save

ADMIN = "admin read write"
ACTOR = {"kind": "jwt", "id": "ann", "name": "ann"}


def entries(backend: Backend, query: str = "", tenant: str = "acme") -> list[Any]:
    answer = backend.call("GET", "/api/audit", scopes=ADMIN, query=query, tenant=tenant)
    assert answer.status == 200, answer
    found: list[Any] = answer.json["items"]
    return found


def test_a_write_says_who_did_what_from_where(backend: Backend) -> None:
    save(backend, caller=ACTOR)
    (entry,) = entries(backend)
    assert entry.pop("at")
    assert entry.pop("requestId")
    assert entry == {
        "actor": ACTOR,
        "sourceIp": "203.0.113.7",
        "action": "save_secret",
        "target": "secrets/SHOP_KEY",
        "outcome": "succeeded",
    }
    assert entries(backend, tenant="other") == []


def test_reading_is_not_recorded_and_neither_is_what_changed_nothing(backend: Backend) -> None:
    backend.call("GET", "/api/secrets")
    backend.call("DELETE", "/api/secrets/NONE")
    save(backend, value="")
    assert entries(backend) == []


def test_a_refusal_is_recorded_be_it_of_a_read(backend: Backend) -> None:
    backend.call("GET", "/api/secrets", scopes="write", caller=ACTOR)
    (entry,) = entries(backend)
    assert (entry["action"], entry["outcome"]) == ("list_secrets", "insufficient_scope")


def test_entries_are_listed_newest_first_by_time_and_action(backend: Backend) -> None:
    for name in ("A", "B", "C"):
        save(backend, name)
        time.sleep(0.002)
    backend.call("DELETE", "/api/secrets/B")
    targets = [each["target"] for each in entries(backend)]
    assert targets == ["secrets/B", "secrets/C", "secrets/B", "secrets/A"]
    assert [each["target"] for each in entries(backend, "action=delete_secret")] == ["secrets/B"]
    middle = entries(backend)[2]["at"]
    assert [each["target"] for each in entries(backend, f"until={middle}")][-1] == "secrets/A"
    assert entries(backend, "since=2999-01-01T00:00:00Z") == []


@pytest.mark.parametrize("filters", ["", "&action=save_secret"])
def test_pages_hold_every_entry_once(backend: Backend, filters: str) -> None:
    names = [f"N{number}" for number in range(5)]
    for name in names:
        save(backend, name)
        time.sleep(0.002)
    seen: list[str] = []
    token = ""
    while True:
        query = f"limit=2{filters}" + (f"&nextToken={token}" if token else "")
        page = backend.call("GET", "/api/audit", scopes=ADMIN, query=query).json
        seen += [each["target"] for each in page["items"]]
        token = page.get("nextToken") or ""
        if not token:
            break
    assert seen == [f"secrets/{name}" for name in reversed(names)]


def test_an_entry_ends_after_a_year_and_holds_no_secret(backend: Backend) -> None:
    save(backend)
    (row,) = backend.aws.rows("AuditTable")
    assert abs(row["expiresAt"] - time.time() - 365 * 86_400) < 60
    assert VALUE not in json.dumps(row)


def test_a_write_that_cannot_be_recorded_is_in_the_log(backend: Backend, logs: io.StringIO) -> None:
    backend.aws.fail("PutItem", "ThrottlingException", status=400, where="AuditTable")
    assert save(backend).status == 200
    (line,) = [each for each in logs.getvalue().splitlines() if "not audited" in each]
    assert json.loads(line)["target"] == "secrets/SHOP_KEY"
