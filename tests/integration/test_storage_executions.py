"""The Executions table: created once, leased by one, visible to the end, listed newest first."""

import base64
import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.errors import InvalidInput, UnknownExecution
from integrations.storage.aws import AwsError, item
from integrations.storage.executions import (
    HEAD_BYTES,
    RETENTION,
    Executions,
    LeaseLost,
    StoredExecution,
)
from integrations.storage.paging import encode_token
from tests.backend import noise
from tests.clock import NOW, Clock
from tests.fakes.aws import FakeAws

SOON = NOW + timedelta(minutes=10)
LATER = NOW + timedelta(minutes=2)


@pytest.fixture
def executions(aws: FakeAws, clock: Clock) -> Executions:
    return Executions(aws.client, aws.names["ExecutionsTable"], clock=clock)


def execution(number: int = 1, **changes: Any) -> StoredExecution:
    made = StoredExecution(
        tenant="acme",
        execution_id=f"exe_{number:03d}",
        workflow_id="wf_1",
        workflow_name="Orders",
        status="queued",
        trigger_type="webhook",
        created_at=NOW + timedelta(milliseconds=number),
        state={"steps": [], "status": "queued"},
    )
    return made._replace(**changes)


def failed(stored: StoredExecution) -> StoredExecution:
    error = {"code": "x", "message": "It broke", "step": "one"}
    return stored._replace(
        status="failed", finished_at=NOW, error=error, state={"status": "failed"}
    )


def unfinished(executions: Executions, before: datetime = NOW + timedelta(days=2)) -> list[str]:
    return sorted(head.execution_id for heads in executions.overdue(before) for head in heads)


# -- One execution ---------------------------------------------------------------------------


def test_a_new_execution_is_read_whole(executions: Executions) -> None:
    assert executions.create(execution(), SOON)
    stored = executions.get("acme", "exe_001")
    assert stored == execution()._replace(journal=stored.journal, due_at=SOON)


def test_an_execution_is_created_once_and_told_of_until_it_is_finished(
    executions: Executions,
) -> None:
    assert executions.create(execution(), SOON)
    assert executions.create(execution(), SOON), "nobody may have heard of it yet"
    leased = executions.lease(execution(), NOW + timedelta(minutes=2))
    assert executions.create(execution(), SOON)
    executions.checkpoint(failed(leased), LATER)
    assert not executions.create(execution(), SOON)
    assert executions.get("acme", "exe_001").status == "failed"


def test_one_created_as_failed_waits_for_nobody(executions: Executions) -> None:
    assert not executions.create(failed(execution()), SOON)
    assert unfinished(executions) == []
    assert executions.get("acme", "exe_001").error == failed(execution()).error


def test_another_tenant_does_not_see_it(executions: Executions) -> None:
    executions.create(execution(), SOON)
    with pytest.raises(UnknownExecution):
        executions.get("other", "exe_001")


def test_it_is_deleted_when_its_time_is_up(aws: FakeAws, executions: Executions) -> None:
    executions.create(execution(), SOON)
    (row,) = aws.rows("ExecutionsTable")
    assert row["expiresAt"] == int((execution().created_at + RETENTION).timestamp())


# -- Leases ----------------------------------------------------------------------------------


def test_of_two_runners_that_read_the_same_state_one_gets_the_lease(
    executions: Executions,
) -> None:
    executions.create(execution(), SOON)
    one, other = executions.get("acme", "exe_001"), executions.get("acme", "exe_001")
    executions.lease(one, NOW + timedelta(minutes=2))
    with pytest.raises(LeaseLost):
        executions.lease(other, NOW + timedelta(minutes=2))


def test_of_many_runners_at_once_one_gets_the_lease(executions: Executions) -> None:
    executions.create(execution(), SOON)
    stored = executions.get("acme", "exe_001")
    outcomes: list[bool] = []

    def take() -> None:
        try:
            executions.lease(stored, NOW + timedelta(minutes=2))
            outcomes.append(True)
        except LeaseLost:
            outcomes.append(False)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 5 + [True]


def test_a_lease_holds_until_its_time_and_no_longer(executions: Executions, clock: Clock) -> None:
    executions.create(execution(), SOON)
    executions.lease(execution(), NOW + timedelta(minutes=2))
    leased = executions.get("acme", "exe_001")
    with pytest.raises(LeaseLost):
        executions.lease(leased, NOW + timedelta(minutes=4))
    clock.moment += timedelta(minutes=2)
    taken = executions.lease(leased, clock.moment + timedelta(minutes=2))
    assert taken.lease_until == clock.moment + timedelta(minutes=2)


def test_who_lost_the_lease_writes_nothing_more(executions: Executions, clock: Clock) -> None:
    executions.create(execution(), SOON)
    slow = executions.lease(execution(), NOW + timedelta(minutes=2))
    clock.moment += timedelta(minutes=3)
    quick = executions.lease(executions.get("acme", "exe_001"), clock.moment + timedelta(minutes=2))
    with pytest.raises(LeaseLost):
        executions.checkpoint(slow._replace(state={"by": "slow"}), clock.moment)
    with pytest.raises(LeaseLost):
        executions.release(slow, SOON)
    executions.checkpoint(quick._replace(state={"by": "quick"}), clock.moment)
    assert executions.get("acme", "exe_001").state == {"by": "quick"}


def test_checkpoints_follow_each_other_under_one_lease(executions: Executions) -> None:
    executions.create(execution(), SOON)
    leased = executions.lease(execution(), NOW + timedelta(minutes=2))
    for number in range(3):
        leased = executions.checkpoint(leased._replace(state={"step": number}), LATER)
    read = executions.get("acme", "exe_001")
    assert read.state == {"step": 2}
    assert read.lease_until == NOW + timedelta(minutes=2)


def test_a_released_execution_is_free_and_due_again(executions: Executions) -> None:
    executions.create(execution(), SOON)
    leased = executions.lease(execution(), NOW + timedelta(minutes=2))
    executions.release(leased._replace(status="retrying"), NOW + timedelta(hours=1))
    read = executions.get("acme", "exe_001")
    assert (read.status, read.lease_until) == ("retrying", None)
    assert unfinished(executions, NOW + timedelta(minutes=59)) == []
    assert unfinished(executions, NOW + timedelta(minutes=61)) == ["exe_001"]


def test_a_cancelled_execution_stops_its_runner(executions: Executions) -> None:
    executions.create(execution(), SOON)
    leased = executions.lease(execution(), NOW + timedelta(minutes=2))
    seen = executions.get("acme", "exe_001")
    executions.replace(seen._replace(status="cancelled", finished_at=NOW), due_at=None)
    with pytest.raises(LeaseLost):
        executions.checkpoint(leased, LATER)
    read = executions.get("acme", "exe_001")
    assert (read.status, read.lease_until) == ("cancelled", None)


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_finished_execution_is_in_no_index_of_the_unfinished(
    aws: FakeAws, executions: Executions, status: str
) -> None:
    executions.create(execution(), SOON)
    leased = executions.lease(execution(), NOW + timedelta(minutes=2))
    assert unfinished(executions) == ["exe_001"]
    executions.checkpoint(leased._replace(status=status, finished_at=NOW), LATER)
    (row,) = aws.rows("ExecutionsTable")
    assert not {"dueShard", "dueAt", "leaseUntil"} & row.keys()
    assert unfinished(executions) == []


def test_one_that_ends_before_its_first_step_gives_no_lease(executions: Executions) -> None:
    executions.create(execution(), SOON)
    executions.lease(failed(execution()), NOW + timedelta(minutes=2))
    read = executions.get("acme", "exe_001")
    assert (read.status, read.lease_until) == ("failed", None)
    assert unfinished(executions) == []


def test_a_retried_execution_is_unfinished_again(executions: Executions) -> None:
    executions.create(failed(execution()), SOON)
    stored = executions.get("acme", "exe_001")
    executions.replace(stored._replace(status="queued", finished_at=None, error=None), due_at=SOON)
    read = executions.get("acme", "exe_001")
    assert (read.status, read.finished_at, read.error) == ("queued", None, None)
    assert unfinished(executions) == ["exe_001"]


def test_a_leased_execution_is_overdue_once_its_lease_is(executions: Executions) -> None:
    executions.create(execution(), NOW)
    assert unfinished(executions, NOW + timedelta(seconds=1)) == ["exe_001"]
    executions.lease(execution(), NOW + timedelta(minutes=2))
    assert unfinished(executions, NOW + timedelta(minutes=2)) == []
    assert unfinished(executions, NOW + timedelta(minutes=2, seconds=2)) == ["exe_001"]


# -- Parts ------------------------------------------------------------------------------------


def loud(number: int, steps: int = 30) -> dict[str, Any]:
    """A state whose first steps have given more than a head takes."""
    made: list[dict[str, Any]] = []
    for index in range(steps):
        output = noise(400 + index) if index < number else None
        run = {"id": f"s{index}", "action": "fake.do", "output": output}
        made.append({**run, "rounds": None, "stored": None})
    return {"status": "running", "steps": made}


def test_what_outgrows_the_head_is_in_parts_written_once(
    aws: FakeAws, executions: Executions
) -> None:
    executions.create(execution(state=loud(0)), SOON)
    leased = executions.lease(executions.get("acme", "exe_001"), LATER)
    names: set[str] = set()
    for number in range(1, 31):
        leased = executions.checkpoint(leased._replace(state=loud(number)), LATER)
        rows = aws.rows("ExecutionsTable")
        parts = {row["executionId"]: row["content"] for row in rows if "content" in row}
        assert names <= parts.keys()
        names = set(parts)
        (head,) = (row for row in rows if "content" not in row)
        assert len(head["journal"]) <= HEAD_BYTES
        assert all(content["expiresAt"] for content in rows)
    read = executions.get("acme", "exe_001")
    assert read.state == loud(30)
    assert len(names) >= 8


def test_many_pages_have_their_names_in_a_page(aws: FakeAws, executions: Executions) -> None:
    executions.create(execution(state=loud(0, 130)), SOON)
    leased = executions.lease(executions.get("acme", "exe_001"), LATER)
    for number in range(1, 131):
        leased = executions.checkpoint(leased._replace(state=loud(number, 130)), LATER)
    assert executions.get("acme", "exe_001").state == loud(130, 130)
    (head,) = (row for row in aws.rows("ExecutionsTable") if "content" not in row)
    assert len(head["journal"]) <= 2 * HEAD_BYTES


def test_many_rounds_are_read_in_few_pages(
    executions: Executions, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail must not be sent twice, so that each of ten thousand is a record of its own."""
    run: dict[str, Any] = {"id": "s", "action": "fake.do", "stored": None, "output": []}
    run["rounds"] = {"total": 600, "done": 0, "failed": 0, "failures": []}
    state = {"status": "running", "steps": [run]}
    executions.create(execution(state=state), SOON)
    leased = executions.lease(executions.get("acme", "exe_001"), LATER)
    for number in range(600):
        run["output"].append({"messageId": noise(20), "accepted": [f"{number}@example.com"]})
        run["rounds"]["done"] += 1
        leased = executions.checkpoint(leased._replace(state=state), LATER)
    read: list[str] = []
    parts = executions.parts

    def counted(tenant: str, execution_id: str, names: Any) -> dict[str, bytes]:
        found: dict[str, bytes] = parts(tenant, execution_id, names)
        read.extend(found)
        return found

    monkeypatch.setattr(executions, "parts", counted)
    assert executions.get("acme", "exe_001").state == state
    assert len(read) <= 24
    written = sum("content" in row for row in aws.rows("ExecutionsTable"))
    assert written <= 600 / 5, "most rounds are written in the head alone"


def test_a_workflow_is_changed_whatever_its_rounds_have_given(executions: Executions) -> None:
    given = noise(500_000)
    results = [given[at : at + 1000] for at in range(0, len(given), 1000)]
    run: dict[str, Any] = {"id": "s", "action": "fake.do", "stored": None, "output": []}
    run["rounds"] = {"total": 9000, "done": 0, "failed": 0, "failures": []}
    state = {"status": "running", "steps": [run]}
    executions.create(execution(state=state), SOON)
    leased = executions.lease(executions.get("acme", "exe_001"), LATER)
    for at in range(0, len(results), 100):
        run["output"] += results[at : at + 100]
        run["rounds"]["done"] += 100
        leased = executions.checkpoint(leased._replace(state=state), LATER)
    read = executions.get("acme", "exe_001")
    fresh = {**run, "id": "first", "rounds": None, "output": None}
    changed = {**read.state, "steps": [fresh, run]}
    executions.checkpoint(read._replace(state=changed), LATER)
    assert executions.get("acme", "exe_001").state == changed


def test_a_part_that_no_head_came_to_name_is_not_read(
    aws: FakeAws, executions: Executions, clock: Clock
) -> None:
    """Died between the part and the head; and who lost the lease writes parts in vain."""
    executions.create(execution(state=loud(0)), SOON)
    slow = executions.lease(executions.get("acme", "exe_001"), LATER)
    aws.fail("UpdateItem", "InternalServerError", times=4)
    with pytest.raises(AwsError):
        executions.checkpoint(slow._replace(state=loud(3)), LATER)
    assert executions.get("acme", "exe_001").state == loud(0)
    clock.moment = LATER + timedelta(seconds=1)
    quick = executions.lease(executions.get("acme", "exe_001"), clock.moment)
    with pytest.raises(LeaseLost):
        executions.checkpoint(slow._replace(state=loud(5)), LATER)
    executions.checkpoint(quick._replace(state=loud(4)), clock.moment)
    assert executions.get("acme", "exe_001").state == loud(4)


def test_a_part_that_was_written_twice_counts_once(aws: FakeAws, executions: Executions) -> None:
    executions.create(execution(state=loud(0)), SOON)
    leased = executions.lease(executions.get("acme", "exe_001"), LATER)
    for outage in ("UpdateItem", "PutItem"):
        aws.fail(outage, "InternalServerError", times=4)
        with pytest.raises(AwsError):
            executions.checkpoint(leased._replace(state=loud(3)), LATER)
    executions.checkpoint(leased._replace(state=loud(3)), LATER)
    assert executions.get("acme", "exe_001").state == loud(3)
    assert sum("content" in row for row in aws.rows("ExecutionsTable")) == 1


def test_an_execution_whose_part_is_gone_is_gone(aws: FakeAws, executions: Executions) -> None:
    executions.create(execution(state=loud(5)), SOON)
    for row in aws.rows("ExecutionsTable"):
        if "content" in row:
            key = item({"tenant": row["tenant"], "executionId": row["executionId"]})
            aws.client.dynamodb(
                "DeleteItem", {"TableName": aws.names["ExecutionsTable"], "Key": key}
            )
    with pytest.raises(UnknownExecution):
        executions.get("acme", "exe_001")


def test_a_sign_of_life_holds_the_lease_and_comes_too_late_after_the_checkpoint(
    executions: Executions, clock: Clock
) -> None:
    executions.create(execution(), SOON)
    leased = executions.lease(executions.get("acme", "exe_001"), LATER)
    executions.renew(leased, LATER + timedelta(minutes=1))
    assert executions.get("acme", "exe_001").lease_until == LATER + timedelta(minutes=1)
    next_one = executions.checkpoint(leased, LATER + timedelta(minutes=2))
    with pytest.raises(LeaseLost):
        executions.renew(leased, LATER + timedelta(hours=1))
    executions.checkpoint(failed(next_one), LATER)
    with pytest.raises(LeaseLost):
        executions.renew(next_one, LATER + timedelta(hours=1))


# -- Lists -----------------------------------------------------------------------------------


def listed(executions: Executions, tenant: str = "acme", **filters: Any) -> list[str]:
    """The ids that all pages together hold."""
    wanted = {"workflow_id": None, "status": None, "since": None, "until": None, "limit": 100}
    found: list[str] = []
    token = None
    while True:
        page, token = executions.page(tenant, **{**wanted, **filters}, next_token=token)
        assert len(page) <= (filters.get("limit") or 100)
        found += [each.execution_id for each in page]
        if token is None:
            return found


def ids(*numbers: int) -> list[str]:
    return [f"exe_{number:03d}" for number in numbers]


def test_the_newest_come_first(executions: Executions) -> None:
    for number in (2, 1, 3):
        executions.create(execution(number), SOON)
    executions.create(execution(4, tenant="other"), SOON)
    assert listed(executions) == ids(3, 2, 1)


def test_a_list_holds_summaries(executions: Executions) -> None:
    executions.create(failed(execution()), SOON)
    ((summary,), token) = executions.page(
        "acme", workflow_id=None, status=None, since=None, until=None, limit=5, next_token=None
    )
    assert token is None
    assert summary.state == {}
    assert summary.error == failed(execution()).error
    assert (summary.status, summary.workflow_name, summary.trigger_type) == (
        "failed",
        "Orders",
        "webhook",
    )


def test_a_list_is_filtered_by_workflow_and_status_together(executions: Executions) -> None:
    for number in range(1, 7):
        made = execution(number, workflow_id=f"wf_{number % 2}")
        executions.create(failed(made) if number > 2 else made, SOON)
    assert listed(executions, workflow_id="wf_0") == ids(6, 4, 2)
    assert listed(executions, status="queued") == ids(2, 1)
    assert listed(executions, workflow_id="wf_1", status="failed") == ids(5, 3)
    assert listed(executions, workflow_id="wf_9") == []
    assert listed(executions, status="cancelled") == []


def test_since_and_until_take_their_moments_in(executions: Executions) -> None:
    for number in range(1, 6):
        executions.create(execution(number), SOON)
    moment = NOW + timedelta(milliseconds=2)
    later = NOW + timedelta(milliseconds=4)
    assert listed(executions, since=moment) == ids(5, 4, 3, 2)
    assert listed(executions, until=moment) == ids(2, 1)
    assert listed(executions, since=moment, until=later) == ids(4, 3, 2)
    assert listed(executions, since=moment, until=later, workflow_id="wf_1") == ids(4, 3, 2)
    assert listed(executions, since=moment, until=moment) == ids(2)


def test_since_after_until_is_an_empty_list(executions: Executions) -> None:
    executions.create(execution(), SOON)
    assert listed(executions, since=SOON, until=NOW) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("filters", [{}, {"workflow_id": "wf_1"}, {"status": "queued"}])
def test_pages_of_any_size_hold_each_execution_once(
    executions: Executions, limit: int, filters: dict[str, str]
) -> None:
    for number in range(1, 6):
        executions.create(execution(number), SOON)
        executions.create(failed(execution(number + 10, workflow_id="wf_2")), SOON)
    expected = ids(15, 5, 14, 4, 13, 3, 12, 2, 11, 1)
    expected = ids(15, 14, 13, 12, 11, 5, 4, 3, 2, 1) if not filters else ids(5, 4, 3, 2, 1)
    assert listed(executions, limit=limit, **filters) == expected


def test_executions_of_the_same_moment_are_all_listed(executions: Executions) -> None:
    for number in range(1, 6):
        executions.create(execution(number, created_at=NOW), SOON)
    assert listed(executions, limit=2) == ids(5, 4, 3, 2, 1)


def test_a_page_after_a_time_filter_goes_on_within_it(executions: Executions) -> None:
    for number in range(1, 6):
        executions.create(execution(number), SOON)
    moment = NOW + timedelta(milliseconds=4)
    assert listed(executions, until=moment, limit=2) == ids(4, 3, 2, 1)


def _encoded(leased: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(leased).encode()).decode().rstrip("=")


KEY = "2026-11-22T12:00:00.001Z#exe_001"
HOSTILE = {
    "no base64": "%%%",
    "a number": _encoded(1),
    "an empty object": _encoded({}),
    "another list's token": encode_token({"workflowId": "wf_1"}),
    "an empty id": _encoded({"id": "", "key": KEY}),
    "no key": _encoded({"id": "exe_001"}),
    "an empty key": _encoded({"id": "exe_001", "key": ""}),
    "numbers": _encoded({"id": 1, "key": 2}),
    "half a surrogate pair": _encoded({"id": "\ud800", "key": KEY}),
    "a long key": _encoded({"id": "exe_001", "key": "2" * 1500}),
    "a moment out of all bounds": _encoded({"id": "exe_001", "key": "\U0010ffff"}),
}


@pytest.mark.parametrize("token", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("workflow_id", [None, "wf_1"])
def test_a_token_that_this_api_never_gave_is_refused(
    executions: Executions, token: str, workflow_id: str | None
) -> None:
    executions.create(execution(), SOON)
    with pytest.raises(InvalidInput, match="nextToken"):
        listed_once(executions, workflow_id=workflow_id, next_token=token)


def test_a_token_from_outside_the_asked_time_is_refused(executions: Executions) -> None:
    executions.create(execution(), SOON)
    token = encode_token({"id": "exe_001", "key": KEY})
    with pytest.raises(InvalidInput, match="nextToken"):
        listed_once(executions, since=SOON, next_token=token)


def test_a_token_of_another_tenant_leads_to_ones_own_executions(executions: Executions) -> None:
    for number in (1, 2, 3):
        executions.create(execution(number, tenant="other"), SOON)
    executions.create(execution(2), SOON)
    _, token = executions.page(
        "other", workflow_id=None, status=None, since=None, until=None, limit=1, next_token=None
    )
    page, _ = listed_once(executions, next_token=token)
    assert [(each.tenant, each.execution_id) for each in page] == [("acme", "exe_002")]


def listed_once(
    executions: Executions, *, next_token: str | None, **filters: Any
) -> tuple[list[StoredExecution], str | None]:
    wanted = {"workflow_id": None, "status": None, "since": None, "until": None, "limit": 10}
    return executions.page("acme", **{**wanted, **filters}, next_token=next_token)


def test_all_that_is_overdue_is_found_over_many_pages(aws: FakeAws, executions: Executions) -> None:
    table = aws.names["ExecutionsTable"]
    for number in range(40):
        executions.create(execution(number), NOW)
    assert len(unfinished(executions)) == 40
    scan = aws.client.dynamodb("Scan", {"TableName": table, "IndexName": "due", "Limit": 1})
    (row,) = scan["Items"]
    assert set(row) == {"tenant", "executionId", "dueShard", "dueAt"}


def test_what_was_sent_again_is_not_overdue_until_its_new_time(executions: Executions) -> None:
    executions.create(execution(), SOON)
    executions.set_due(execution(), SOON + timedelta(minutes=10))
    assert unfinished(executions, SOON + timedelta(minutes=9)) == []
    assert unfinished(executions, SOON + timedelta(minutes=11)) == ["exe_001"]
    executions.set_due(execution(), SOON)  # never to an earlier one
    assert unfinished(executions, SOON + timedelta(minutes=9)) == []


def test_a_finished_execution_is_not_made_overdue_again(executions: Executions) -> None:
    executions.create(failed(execution()), SOON)
    executions.set_due(execution(), SOON)
    executions.set_due(execution(404), SOON)
    assert unfinished(executions) == []


def test_of_many_executions_the_failed_are_found_without_the_others(
    aws: FakeAws, executions: Executions
) -> None:
    for number in range(1, 61):
        made = execution(number, workflow_id=f"wf_{number % 2}")
        executions.create(failed(made) if number in {3, 4, 57} else made, SOON)
    before = aws.calls["BatchGetItem"], aws.calls["Query"]
    assert listed(executions, status="failed") == ids(57, 4, 3)
    assert (aws.calls["BatchGetItem"], aws.calls["Query"]) == (before[0] + 1, before[1] + 1)
    assert listed(executions, status="failed", workflow_id="wf_1") == ids(57, 3)
    assert listed(executions, status="failed", limit=1) == ids(57, 4, 3)
    assert listed(executions, status="failed", limit=1, workflow_id="wf_1") == ids(57, 3)
    assert listed(executions, status="cancelled") == []


def test_what_is_unfinished_is_found_among_many_that_are_finished(
    aws: FakeAws, executions: Executions
) -> None:
    for number in range(1, 61):
        made = execution(number, workflow_id=f"wf_{number % 2}")
        executions.create(made if number in {3, 4, 57} else failed(made), SOON)
    executions.create(execution(5, tenant="other"), SOON)
    before = aws.calls["BatchGetItem"], aws.calls["Query"]
    assert listed(executions, status="queued") == ids(57, 4, 3)
    assert (aws.calls["BatchGetItem"], aws.calls["Query"]) == (before[0] + 1, before[1] + 8)
    assert listed(executions, status="queued", workflow_id="wf_1") == ids(57, 3)
    assert listed(executions, status="queued", limit=1) == ids(57, 4, 3)
    assert listed(executions, status="running") == []
    since, until = (NOW + timedelta(milliseconds=ms) for ms in (4, 57))
    assert listed(executions, status="queued", since=since, until=until) == ids(57, 4)


def test_where_very_much_is_unfinished_a_page_looks_at_a_bounded_part(
    aws: FakeAws, executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.storage.executions.UNFINISHED_PAGE", 2)
    monkeypatch.setattr("integrations.storage.executions.STATUS_PAGE", 5)
    for number in range(1, 121):
        executions.create(execution(number), SOON)
    before = aws.calls["BatchGetItem"]
    found, token = listed_once(executions, next_token=None, status="running")
    assert (found, aws.calls["BatchGetItem"] - before) == ([], 10)
    assert token
    assert len(listed(executions, status="queued")) == 120
    assert listed(executions, status="running") == []
