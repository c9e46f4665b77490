"""GET /api/integrations/status."""

from integrations.providers.registry import PROVIDER_IDS
from integrations.storage.aws import item
from tests.backend import Backend
from tests.fakes.telegram import TelegramServer

PATH = "/api/integrations/status"


def test_every_provider_is_there_before_anything_is_connected(backend: Backend) -> None:
    answer = backend.call("GET", PATH)
    assert answer.status == 200
    assert tuple(answer.json) == PROVIDER_IDS
    assert {each["status"] for each in answer.json.values()} == {"disconnected"}
    assert {len(each["connections"]) for each in answer.json.values()} == {0}


def test_a_connected_provider_shows_its_default_connection_first(
    backend: Backend, telegram: TelegramServer
) -> None:
    telegram.add_bot("42:AAanother-token-of-another-bot-000", "a_second_bot")
    backend.save("telegram", {"botToken": "42:AAanother-token-of-another-bot-000"}, "a")
    backend.save("telegram", {"botToken": telegram.token})
    status = backend.call("GET", PATH).json["telegram"]
    assert status["status"] == "connected"
    assert status["account"]["label"] == "@stand_in_bot"
    assert [each["connection"] for each in status["connections"]] == ["a", "default"]
    assert status["connectedAt"] == status["connections"][1]["connectedAt"]


def test_without_a_default_the_first_connection_speaks(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, "shop")
    assert backend.call("GET", PATH).json["telegram"]["account"]["label"] == "@stand_in_bot"


def test_all_of_it_costs_one_query_and_no_key(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.aws.calls.clear()
    backend.call("GET", PATH)
    assert dict(backend.aws.calls) == {"Query": 1}


def test_another_tenants_connections_do_not_show(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    assert backend.call("GET", PATH).json["telegram"]["status"] == "disconnected"


def expire(backend: Backend, **changes: object) -> None:
    (row,) = backend.aws.rows("ConnectionsTable")
    backend.aws.put("ConnectionsTable", item({**row, **changes}))  # type: ignore[dict-item]


def test_what_dies_and_cannot_be_refreshed_is_expired(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    expire(backend, expiresAt=1_700_000_000)
    status = backend.call("GET", PATH).json["telegram"]
    assert status["status"] == "expired"
    assert status["expiresAt"].startswith("2023-11-14")


def test_what_will_be_refreshed_on_use_is_still_connected(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    moved = row | {"connection": "sheets_oauth#default", "provider": "sheets_oauth"}
    backend.aws.put("ConnectionsTable", item(moved | {"expiresAt": 1_700_000_000}))
    assert backend.call("GET", PATH).json["sheets_oauth"]["status"] == "connected"


def test_a_connection_of_a_provider_that_is_gone_does_not_hide_the_others(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    moved = row | {"connection": "slack#default", "provider": "slack"}
    backend.aws.put("ConnectionsTable", item(moved))
    answer = backend.call("GET", PATH)
    assert answer.status == 200
    assert answer.json["telegram"]["status"] == "connected"
