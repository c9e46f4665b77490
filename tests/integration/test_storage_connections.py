"""The Connections table: metadata in the clear, secrets sealed, one writer at a time."""

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.errors import UnknownConnection, VersionConflict
from integrations.models import Account
from integrations.storage.aws import AwsError, item
from integrations.storage.connections import DUE_SHARDS, MAX_PAUSES, Connection, Connections
from integrations.storage.envelope import Envelope, EnvelopeBroken
from tests.clock import NOW, Clock
from tests.fakes.aws import FakeAws

TOMORROW = NOW + timedelta(days=1)
SECRET = "7350119642:AAFakeTokenOfTheStandInServer_7350119"


@pytest.fixture
def connections(aws: FakeAws, clock: Clock) -> Connections:
    envelope = Envelope(aws.client, aws.names["CredentialsKey"])
    return Connections(aws.client, aws.names["ConnectionsTable"], envelope, clock=clock)


def connection(name: str = "default", **changes: Any) -> Connection:
    made = Connection(
        tenant="acme",
        provider="telegram",
        name=name,
        account=Account("1", "@bot", {"canJoin": True}),
        connected_at=NOW,
        updated_at=NOW,
    )
    return made._replace(**changes)


def saved(connections: Connections, name: str = "default", **changes: Any) -> Connection:
    wanted = connection(name, **changes)
    return connections.save(wanted, {"botToken": SECRET}, replaces=None, due_at=TOMORROW)


def test_a_saved_connection_is_read_whole(connections: Connections) -> None:
    wanted = connection(expires_at=TOMORROW, last_tested=NOW, webhook_id="hook")
    written = connections.save(wanted, {"botToken": SECRET}, replaces=None, due_at=TOMORROW)
    read = connections.get_sealed("acme", "telegram", "default")
    assert read == written
    assert connections.open(read) == {"botToken": SECRET}


def test_metadata_is_read_without_the_ciphertext(connections: Connections) -> None:
    saved(connections)
    read = connections.get("acme", "telegram", "default")
    assert read.sealed is None
    assert read.account.details == {"canJoin": True}
    with pytest.raises(UnknownConnection, match="holds no credentials"):
        connections.open(read)


def test_no_row_holds_any_part_of_the_secret(aws: FakeAws, connections: Connections) -> None:
    saved(connections)
    (row,) = aws.rows("ConnectionsTable")
    stored = repr(row)
    assert not any(SECRET[at : at + 8] in stored for at in range(len(SECRET) - 8))
    read = connections.get_sealed("acme", "telegram", "default")
    assert read.sealed
    for part in (read.sealed.ciphertext, read.sealed.nonce, read.sealed.data_key):
        assert repr(part) not in repr(read)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("tenant", "other"), ("connection", "telegram#other"), ("connection", "facebook#default")],
)
def test_a_ciphertext_copied_to_another_row_does_not_open(
    aws: FakeAws, connections: Connections, attribute: str, value: str
) -> None:
    saved(connections)
    (row,) = aws.rows("ConnectionsTable")
    provider, _, name = (row | {attribute: value})["connection"].partition("#")
    aws.put(
        "ConnectionsTable",
        item(row | {attribute: value, "provider": provider, "name": name}),
    )
    moved = connections.get_sealed("other" if attribute == "tenant" else "acme", provider, name)
    with pytest.raises((AwsError, EnvelopeBroken)):
        connections.open(moved)


def test_another_tenant_sees_nothing(connections: Connections) -> None:
    saved(connections)
    with pytest.raises(UnknownConnection):
        connections.get("other", "telegram", "default")
    assert connections.find("other", "telegram", "default") is None
    assert list(connections.of_tenant("other")) == []


def test_the_first_of_two_that_create_wins(connections: Connections) -> None:
    saved(connections)
    with pytest.raises(VersionConflict):
        saved(connections)


def test_who_replaces_an_old_version_is_refused_and_changes_nothing(
    connections: Connections,
) -> None:
    first = saved(connections)
    was = first.version
    second = connections.save(first, {"botToken": "two"}, replaces=was, due_at=TOMORROW)
    assert second.version == was + 1
    with pytest.raises(VersionConflict):
        connections.save(first, {"botToken": "three"}, replaces=was, due_at=TOMORROW)
    read = connections.get_sealed("acme", "telegram", "default")
    assert connections.open(read) == {"botToken": "two"}


def test_of_many_writers_at_once_one_wins(connections: Connections) -> None:
    first = saved(connections)
    outcomes: list[int | str] = []

    def write(number: int) -> None:
        try:
            written = connections.save(
                first, {"botToken": str(number)}, replaces=first.version, due_at=TOMORROW
            )
            outcomes.append(written.version)
        except VersionConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == [str(first.version + 1), *["conflict"] * 5]


def test_a_new_save_ends_lease_and_pause_and_keeps_the_subscription(
    connections: Connections,
) -> None:
    first = saved(connections)
    assert connections.lease(first, NOW + timedelta(seconds=30))
    assert connections.pause(first, TOMORROW)
    connections.record_subscription(first, "messages")
    connections.save(first, {"botToken": "two"}, replaces=first.version, due_at=TOMORROW)
    read = connections.get("acme", "telegram", "default")
    assert (read.lease_until, read.paused_until, read.subscribed) == (None, None, "messages")


def test_what_the_provider_limits_rests_by_itself(connections: Connections) -> None:
    first = saved(connections)
    assert connections.pause(first, TOMORROW, "chat 1")
    read = connections.get_sealed("acme", "telegram", "default")
    assert read.rests_until("chat 1") == TOMORROW
    assert read.rests_until("chat 2") is None
    assert read.rests_until("") is None

    assert connections.pause(read, NOW - timedelta(seconds=1), "chat 2")
    read = connections.get_sealed("acme", "telegram", "default")
    assert connections.pause(read, TOMORROW, "chat 3")
    read = connections.get_sealed("acme", "telegram", "default")
    assert len(read.pauses) == 2, "what has ended is forgotten"

    connections.save(read, {"botToken": "two"}, replaces=read.version, due_at=TOMORROW)
    read = connections.get_sealed("acme", "telegram", "default")
    assert read.rests_until("chat 1") is None


def test_with_many_parts_at_rest_the_whole_connection_rests(connections: Connections) -> None:
    saved(connections)
    for number in range(MAX_PAUSES + 1):
        read = connections.get_sealed("acme", "telegram", "default")
        assert connections.pause(read, TOMORROW, f"chat {number}")
    read = connections.get_sealed("acme", "telegram", "default")
    assert len(read.pauses) == MAX_PAUSES
    assert read.rests_until("") == TOMORROW


def test_a_subscription_that_ended_is_forgotten(connections: Connections) -> None:
    first = saved(connections)
    connections.record_subscription(first, "messages")
    connections.record_subscription(first, None)
    assert connections.get("acme", "telegram", "default").subscribed is None


def test_one_of_two_gets_the_lease_until_it_is_over(connections: Connections, clock: Clock) -> None:
    first = saved(connections)
    assert connections.lease(first, NOW + timedelta(seconds=30))
    assert not connections.lease(first, NOW + timedelta(seconds=30))
    clock.moment += timedelta(seconds=31)
    assert connections.lease(first, clock.moment + timedelta(seconds=30))
    assert connections.release(first)
    assert connections.lease(first, clock.moment + timedelta(seconds=30))


def test_the_lease_of_replaced_credentials_is_not_given(connections: Connections) -> None:
    first = saved(connections)
    connections.save(first, {"botToken": "two"}, replaces=first.version, due_at=TOMORROW)
    assert not connections.lease(first, NOW + timedelta(seconds=30))


def test_an_error_is_kept_and_a_success_ends_it(connections: Connections, clock: Clock) -> None:
    first = saved(connections)
    assert connections.record_error(first, "needs_reauth", "Log in", status="needs_reauth")
    read = connections.get("acme", "telegram", "default")
    assert read.status == "needs_reauth"
    assert read.last_error is not None
    assert (read.last_error.code, read.last_error.message) == ("needs_reauth", "Log in")
    assert read.last_error.at == NOW
    assert read.last_tested is None
    clock.moment = TOMORROW
    assert not connections.record_success(first, Account("1", "@before")), "it ended before"
    assert connections.record_success(read, Account("1", "@renamed"))
    read = connections.get("acme", "telegram", "default")
    assert (read.status, read.last_error, read.last_tested) == ("connected", None, TOMORROW)
    assert read.account.label == "@renamed"


def test_a_transient_error_leaves_the_state_as_it_is(connections: Connections) -> None:
    first = saved(connections)
    assert connections.record_error(first, "provider_unavailable", "Down", status=None, tested=True)
    read = connections.get("acme", "telegram", "default")
    assert (read.status, read.last_tested) == ("connected", NOW)


def test_a_transient_error_does_not_take_the_place_of_a_reason(connections: Connections) -> None:
    first = saved(connections)
    assert connections.record_error(first, "needs_reauth", "Removed", status="needs_reauth")
    assert not connections.record_error(first, "provider_unavailable", "Down", status=None)
    read = connections.get("acme", "telegram", "default")
    assert read.last_error is not None
    assert (read.status, read.last_error.message) == ("needs_reauth", "Removed")
    assert connections.record_error(read, "provider_unavailable", "Down", status=None)


def test_what_old_credentials_suffered_does_not_touch_new_ones(connections: Connections) -> None:
    first = saved(connections)
    connections.save(first, {"botToken": "two"}, replaces=first.version, due_at=TOMORROW)
    assert not connections.record_error(first, "credentials_rejected", "No", status="error")
    assert not connections.record_success(first, Account("2", "old"))
    assert not connections.pause(first, TOMORROW)
    assert not connections.check_at(first, TOMORROW)
    read = connections.get("acme", "telegram", "default")
    assert (read.status, read.last_error, read.account.label) == ("connected", None, "@bot")


def test_only_the_version_that_was_read_is_deleted(connections: Connections) -> None:
    first = saved(connections)
    second = connections.save(first, {"botToken": "two"}, replaces=first.version, due_at=TOMORROW)
    assert not connections.delete(first)
    assert connections.delete(second)
    assert connections.find("acme", "telegram", "default") is None
    assert not connections.delete(second)


def test_who_holds_a_deleted_connection_does_not_touch_the_one_that_came_after_it(
    connections: Connections,
) -> None:
    deleted = saved(connections)
    assert connections.delete(deleted)
    after = saved(connections, account=Account("2", "@other"))
    with pytest.raises(VersionConflict):
        connections.save(deleted, {"botToken": "x"}, replaces=deleted.version, due_at=TOMORROW)
    assert not connections.lease(deleted, TOMORROW)
    assert not connections.record_error(deleted, "needs_reauth", "Log in", status="needs_reauth")
    assert not connections.record_success(deleted, deleted.account)
    assert not connections.record_use(deleted, "connected")
    assert not connections.pause(deleted, TOMORROW)
    assert not connections.delete(deleted)
    read = connections.get_sealed("acme", "telegram", "default")
    assert read == after
    assert connections.open(read) == {"botToken": SECRET}


def test_a_tenants_connections_come_page_after_page(aws: FakeAws, connections: Connections) -> None:
    for number in range(12):
        saved(connections, f"bot{number:02d}", account=Account("1", "x" * 100_000))
    saved(connections, "theirs", tenant="other")
    names = [each.name for each in connections.of_tenant("acme")]
    assert names == [f"bot{number:02d}" for number in range(12)]
    assert aws.calls["Query"] > 1


def test_those_of_one_provider_are_told_apart_by_their_whole_id(connections: Connections) -> None:
    saved(connections, provider="sheets")
    saved(connections, provider="sheets_oauth")
    assert [each.provider for each in connections.of_tenant("acme", "sheets")] == ["sheets"]


def due(connections: Connections, before: datetime) -> list[str]:
    found = [each for shard in range(DUE_SHARDS) for each in connections.due(shard, before, 25)]
    return sorted(name for _, _, name in found)


def test_what_is_due_is_found_and_after_its_check_no_more(connections: Connections) -> None:
    one, two = saved(connections, "one"), saved(connections, "two")
    assert due(connections, NOW) == []
    assert due(connections, TOMORROW) == ["one", "two"]
    connections.check_at(one, TOMORROW + timedelta(days=1))
    connections.record_success(two, two.account, due_at=TOMORROW + timedelta(hours=1))
    assert due(connections, TOMORROW) == []
    assert due(connections, TOMORROW + timedelta(hours=1)) == ["two"]


def test_the_index_of_what_is_due_holds_keys_alone(aws: FakeAws, connections: Connections) -> None:
    saved(connections)
    (shard,) = {row["dueShard"] for row in aws.rows("ConnectionsTable")}
    page = aws.client.dynamodb(
        "Query",
        {
            "TableName": aws.names["ConnectionsTable"],
            "IndexName": "due",
            "KeyConditionExpression": "dueShard = :shard",
            "ExpressionAttributeValues": item({":shard": shard}),
        },
    )
    (row,) = page["Items"]
    assert set(row) == {"tenant", "connection", "dueShard", "dueAt"}


def test_hostile_text_is_kept_as_it_is(connections: Connections) -> None:
    label = "\u2028 <script> 🙂 'quote\" \\ \x00"
    saved(connections, account=Account("1", label, {"note": label}))
    read = connections.get("acme", "telegram", "default")
    assert read.account == Account("1", label, {"note": label})
    connections.record_error(read, "x", label, status=None)
    error = connections.get("acme", "telegram", "default").last_error
    assert error is not None
    assert error.message == label
    assert json.dumps(error.code) == '"x"'
