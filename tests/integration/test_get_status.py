"""GET /api/integrations/status."""

from integrations.providers.registry import PROVIDER_IDS
from integrations.storage.aws import item
from tests.backend import Backend
from tests.fakes.smtp import MailServer
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


def test_all_of_it_costs_one_query_one_look_at_the_webhooks_and_no_key(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.call("GET", PATH)
    assert dict(backend.aws.calls) == {"Query": 1}
    backend.save("telegram", {"botToken": telegram.token})
    backend.aws.calls.clear()
    backend.call("GET", PATH)
    assert dict(backend.aws.calls) == {"Query": 1, "BatchGetItem": 1}


def test_a_webhook_shows_how_it_verifies_and_what_it_refused(backend: Backend) -> None:
    hook = {
        "url": "https://shop.example.com/hooks/orders",
        "secret": "s3cret-of-the-hook",
        "verifySecret": True,
    }
    backend.save("webhook", hook)
    assert backend.call("POST", "/api/webhooks/orders", {"a": 1}).status == 401

    listed = backend.call("GET", PATH).json["webhook"]["connections"][0]["webhook"]
    alone = backend.call("GET", "/api/integrations/webhook/credentials").json["webhook"]
    assert listed == alone
    assert listed["verification"]["type"] != "none"
    assert listed["rejected"] == 1


def test_thousands_of_connections_cost_no_more_than_a_page(backend: Backend) -> None:
    backend.save("webhook", {"url": "https://example.com/hook", "verifySecret": False}, "z")
    (row,) = backend.aws.rows("ConnectionsTable")
    for number in range(120):
        name = f"c{number:03}"
        each = {"connection": f"webhook#{name}", "name": name, "webhookId": None}
        fields = {key: value for key, value in (row | each).items() if value is not None}
        backend.aws.put("ConnectionsTable", item(fields))
    default = {"connection": "webhook#default", "name": "default", "status": "error"}
    backend.aws.put("ConnectionsTable", item(row | default))

    first = backend.call("GET", PATH).json
    assert first["webhook"]["status"] == "error", "the default one speaks, wherever it stands"
    seen = [each["connection"] for each in first["webhook"]["connections"]]
    assert len(seen) == 20
    token = first["webhook"]["nextToken"]
    while token:
        page = backend.call(
            "GET", PATH, query={"provider": "webhook", "limit": 40, "nextToken": token}
        ).json
        assert list(page) == ["webhook"]
        seen += [each["connection"] for each in page["webhook"]["connections"]]
        token = page["webhook"]["nextToken"]
    assert seen == [*(f"c{number:03}" for number in range(120)), "default", "z"]


def test_a_token_of_another_list_is_refused(backend: Backend, telegram: TelegramServer) -> None:
    telegram.add_bot("42:AAanother-token-of-another-bot-000", "a_second_bot")
    backend.save("telegram", {"botToken": "42:AAanother-token-of-another-bot-000"}, "a")
    backend.save("telegram", {"botToken": telegram.token})
    first = backend.call("GET", PATH, query={"provider": "telegram", "limit": 1}).json
    token = first["telegram"]["nextToken"]
    refused = backend.call("GET", PATH, query={"provider": "webhook", "nextToken": token})
    assert (refused.status, refused.code) == (422, "invalid_input")
    refused = backend.call("GET", PATH, query={"nextToken": token})
    assert [each["field"] for each in refused.json["errors"]] == ["provider"]
    assert backend.call("GET", PATH, query={"provider": "no_such"}).code == "unknown_provider"


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


def test_an_access_token_that_nothing_refreshes_is_expired_at_its_end(backend: Backend) -> None:
    with MailServer("none", tokens={"shop@example.com": "a-1"}) as server:
        backend.save(
            "email",
            {
                "host": "127.0.0.1",
                "port": server.port,
                "user": "shop@example.com",
                "accessToken": "a-1",
                "secure": "none",
            },
        )
    assert backend.call("GET", PATH).json["email"]["status"] == "connected"
    expire(backend, expiresAt=1_700_000_000)
    assert backend.call("GET", PATH).json["email"]["status"] == "expired"


def test_what_will_be_refreshed_on_use_is_still_connected(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    moved = row | {"connection": "sheets_oauth#default", "provider": "sheets_oauth"}
    moved |= {"refreshes": True}
    backend.aws.put("ConnectionsTable", item(moved | {"expiresAt": 1_700_000_000}))
    assert backend.call("GET", PATH).json["sheets_oauth"]["status"] == "connected"


def test_a_connection_of_a_provider_that_is_gone_does_not_hide_the_others(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    moved = row | {"connection": "no_such#default", "provider": "no_such"}
    backend.aws.put("ConnectionsTable", item(moved))
    answer = backend.call("GET", PATH)
    assert answer.status == 200
    assert answer.json["telegram"]["status"] == "connected"
