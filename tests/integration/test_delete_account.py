"""POST /api/integrations/oauth/delete/{providerId}."""

import re
import time

import pytest

from integrations.entry import wiring
from integrations.storage.aws import item
from integrations.storage.connections import Connection
from tests.backend import Backend, event
from tests.fakes.facebook import FacebookStandIn
from tests.integration.oauth import connect
from tests.integration.removals import signed, states, tell

CODE = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def _ann(backend: Backend, facebook: FacebookStandIn) -> None:
    """Ann has a page, and two tenants have her log-in; a workflow of one waits for the page."""
    page = facebook.add_page("Bakery")
    facebook.login_user = facebook.add_user("Ann", pages=[page])
    connect(backend, "facebook_oauth")
    connect(backend, "facebook_oauth", tenant="globex")
    backend.create_workflow(
        {
            "name": "Comments",
            "trigger": {"type": "facebook.comment", "provider": "facebook_oauth"},
            "steps": [{"id": "a", "action": "facebook_oauth.listPages"}],
        }
    )


def test_what_is_stored_of_the_account_goes_and_the_answer_is_what_meta_asks_for(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    answer = tell(backend, "delete", signed(facebook))
    assert answer.status == 200, answer
    code = answer.json["confirmation_code"]
    assert CODE.fullmatch(code)
    base = "https://api.example.com/api/integrations/oauth/delete/facebook_oauth"
    assert answer.json == {"url": f"{base}/{code}", "confirmation_code": code}
    assert states(backend) == {}
    assert backend.aws.rows("PagesTable") == []
    log = [row for row in backend.aws.rows("AuditTable") if row["action"] == "delete_account"]
    assert {row["tenant"] for row in log} == {"acme", "globex"}


def test_it_comes_after_the_app_was_removed(backend: Backend, facebook: FacebookStandIn) -> None:
    tell(backend, "deauthorize", signed(facebook))
    assert tell(backend, "delete", signed(facebook)).status == 200
    assert states(backend) == {}
    assert backend.aws.rows("PagesTable") == []


def test_told_twice_it_has_one_code(backend: Backend, facebook: FacebookStandIn) -> None:
    form = signed(facebook)
    first, second = tell(backend, "delete", form), tell(backend, "delete", form)
    assert first.json == second.json


def test_who_has_nothing_here_is_answered_alike(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    stranger = facebook.add_user("Bob")
    assert CODE.fullmatch(
        tell(backend, "delete", signed(facebook, stranger)).json["confirmation_code"]
    )
    assert len(states(backend)) == 2


def test_a_log_in_after_it_stays(backend: Backend, facebook: FacebookStandIn) -> None:
    assert tell(backend, "delete", signed(facebook, issued_at=int(time.time()) - 60)).status == 200
    assert len(states(backend)) == 2


def refresh_daily(backend: Backend) -> None:
    """The daily check finds both log-ins due and writes their credentials anew."""
    for row in backend.aws.rows("ConnectionsTable"):
        backend.aws.put("ConnectionsTable", item(row | {"dueAt": 0}))
    backend.invoke("refresh_connections", event("refresh_connections", "schedule"))


def test_credentials_that_were_refreshed_since_are_no_log_in(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    for row in backend.aws.rows("ConnectionsTable"):
        earlier = {name: row[name] - 100 for name in ("updatedAt", "grantedAt", "connectedAt")}
        backend.aws.put("ConnectionsTable", item(row | earlier))
    form = signed(facebook, issued_at=int(time.time()) - 50)
    refresh_daily(backend)
    (row, _) = backend.aws.rows("ConnectionsTable")
    assert row["updatedAt"] > row["grantedAt"] + 90, "it was refreshed"
    assert tell(backend, "delete", form).status == 200
    assert states(backend) == {}


def test_what_is_refreshed_at_the_same_moment_goes_as_well(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = wiring.connections()
    delete = connections.delete
    left = [2]

    def late(connection: Connection) -> bool:
        if left[0]:
            left[0] -= 1
            return delete(connection._replace(version=connection.version - 1))
        return delete(connection)

    monkeypatch.setattr(connections, "delete", late)
    assert tell(backend, "delete", signed(facebook)).status == 200
    assert states(backend) == {}


@pytest.mark.parametrize("operation", ["DeleteItem"])
def test_a_process_that_dies_in_between_is_told_again(
    backend: Backend, facebook: FacebookStandIn, operation: str
) -> None:
    backend.aws.fail(operation, "InternalServerError", where="@")
    assert tell(backend, "delete", signed(facebook)).status == 503
    backend.aws.recover()
    assert tell(backend, "delete", signed(facebook)).status == 200
    assert states(backend) == {}
    assert backend.aws.rows("PagesTable") == []
