"""POST /api/integrations/oauth/deauthorize/{providerId}."""

import time
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.storage.connections import Connection
from tests.backend import Backend
from tests.fakes.facebook import FacebookStandIn, signed_request
from tests.integration.oauth import connect
from tests.integration.removals import signed, states, tell


@pytest.fixture(autouse=True)
def _ann(backend: Backend, facebook: FacebookStandIn) -> None:
    """Ann has two pages, and two tenants have her log-in."""
    pages = [facebook.add_page("Bakery"), facebook.add_page("Café")]
    facebook.login_user = facebook.add_user("Ann", pages=pages)
    connect(backend, "facebook_oauth", "shop")
    connect(backend, "facebook_oauth", tenant="globex")


def test_each_connection_of_the_account_needs_a_log_in_and_holds_no_page(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    answer = tell(backend, "deauthorize", signed(facebook))
    assert (answer.status, answer.json) == (200, {"connections": 2})
    assert states(backend) == {"acme shop": "needs_reauth", "globex default": "needs_reauth"}
    targets = {row["target"] for row in backend.aws.rows("PagesTable")}
    assert targets == {f"@{facebook.login_user}"}, "who it is, for a deletion that may follow"
    log = [row for row in backend.aws.rows("AuditTable") if row["action"] == "deauthorize_account"]
    assert {row["tenant"] for row in log} == {"acme", "globex"}


def test_it_is_told_twice_and_done_once(backend: Backend, facebook: FacebookStandIn) -> None:
    form = signed(facebook)
    for _ in range(2):
        assert tell(backend, "deauthorize", form).status == 200
    assert set(states(backend).values()) == {"needs_reauth"}


def test_a_log_in_after_it_is_not_ended_by_an_old_telling(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    old = signed(facebook, issued_at=int(time.time()) - 60)
    assert tell(backend, "deauthorize", old).json == {"connections": 0}
    assert set(states(backend).values()) == {"connected"}


def test_a_refresh_at_the_same_moment_is_no_log_in(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = wiring.connections()
    record = connections.record_error
    late = [True]

    def refreshed_since(connection: Connection, *what: str, **more: Any) -> bool:
        version = connection.version - 1 if late else connection.version
        late.clear()
        return record(connection._replace(version=version), *what, **more)

    monkeypatch.setattr(connections, "record_error", refreshed_since)
    assert tell(backend, "deauthorize", signed(facebook)).json == {"connections": 2}
    assert set(states(backend).values()) == {"needs_reauth"}


def test_another_account_keeps_what_it_has(backend: Backend, facebook: FacebookStandIn) -> None:
    stranger = facebook.add_user("Bob")
    assert tell(backend, "deauthorize", signed(facebook, stranger)).json == {"connections": 0}
    assert set(states(backend).values()) == {"connected"}


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "nonsense",
        "a.b",
        "é.é",
        "=.=",
        signed_request("4711", "another secret"),
        f".{signed_request('4711', 'another secret').partition('.')[2]}",
    ],
    # What is signed holds the time: as a name it would be another one in each process.
    ids=["empty", "a word", "two words", "not ASCII", "no text", "forged", "unsigned"],
)
def test_what_the_app_did_not_sign_is_refused(backend: Backend, forged: str) -> None:
    for what in ("deauthorize", "delete"):
        answer = tell(backend, what, forged)
        assert (answer.status, answer.code) == (401, "signature_refused")
    assert set(states(backend).values()) == {"connected"}


@pytest.mark.parametrize("user_id", [None, "", "me", True, ["1"], -1])
def test_what_names_no_account_says_so(
    backend: Backend, facebook: FacebookStandIn, user_id: object
) -> None:
    form = signed_request(user_id, facebook.app_secret)
    answer = tell(backend, "deauthorize", form)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert "user_id" in answer.fields["signed_request"]


@pytest.mark.parametrize("provider", ["sheets_oauth", "telegram", "nobody"])
def test_only_who_tells_of_such_things_has_the_route(backend: Backend, provider: str) -> None:
    for what in ("deauthorize", "delete"):
        assert tell(backend, what, "x.y", provider).status == 404


def test_a_table_that_does_not_answer_asks_for_another_telling(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    backend.aws.fail("UpdateItem", "InternalServerError")
    assert tell(backend, "deauthorize", signed(facebook)).status == 503
    backend.aws.recover()
    assert tell(backend, "deauthorize", signed(facebook)).json == {"connections": 2}
