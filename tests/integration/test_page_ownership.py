"""Which connection holds which page, whatever happens while somebody finds out."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.storage.pages import Pages
from tests.backend import Backend
from tests.fakes.facebook import FacebookStandIn
from tests.integration.moments import after, before
from tests.integration.oauth import connect
from tests.integration.removals import signed, states, tell

PATH = "/api/integrations/facebook_oauth/credentials"


@pytest.fixture
def bakery(facebook: FacebookStandIn) -> str:
    return facebook.add_page("Bakery")


@pytest.fixture
def cafe(facebook: FacebookStandIn) -> str:
    return facebook.add_page("Café")


@pytest.fixture(autouse=True)
def ann(backend: Backend, facebook: FacebookStandIn, bakery: str) -> str:
    """Ann has a page, and has logged in."""
    facebook.login_user = facebook.add_user("Ann", pages=[bakery])
    connect(backend, "facebook_oauth")
    return facebook.login_user


def held(backend: Backend) -> set[str]:
    return {row["target"] for row in backend.aws.rows("PagesTable")}


def check(backend: Backend) -> None:
    """Test the stored credentials, as the schedule does each day."""
    assert backend.call("POST", "/api/integrations/facebook_oauth/test", {}).status == 200


def removed(backend: Backend, facebook: FacebookStandIn, how: str) -> None:
    if how == "by the tenant":
        assert backend.call("DELETE", PATH).status == 200
    else:
        assert tell(backend, "delete", signed(facebook)).status == 200


def moment(name: str) -> tuple[Any, str]:
    """A method that a check asks: of the provider, or for the pages to be written."""
    return (wiring.vault(), "attempt") if name == "asked" else (wiring.pages(), "hold")


@pytest.mark.parametrize("name", ["asked", "held"])
def test_a_log_in_during_a_check_has_the_last_word(
    backend: Backend,
    facebook: FacebookStandIn,
    monkeypatch: pytest.MonkeyPatch,
    cafe: str,
    ann: str,
    name: str,
) -> None:
    def log_in() -> None:
        facebook.users[ann].pages[:] = [cafe]
        connect(backend, "facebook_oauth")

    if name == "asked":
        after(monkeypatch, *moment(name), log_in)
    else:
        before(monkeypatch, *moment(name), log_in)
    check(backend)
    assert held(backend) == {cafe, f"@{ann}"}


@pytest.mark.parametrize("how", ["by the tenant", "by Facebook"])
@pytest.mark.parametrize("name", ["asked", "held"])
def test_a_connection_that_is_removed_during_a_check_holds_nothing(
    backend: Backend,
    facebook: FacebookStandIn,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: str,
) -> None:
    if name == "asked":
        after(monkeypatch, *moment(name), lambda: removed(backend, facebook, how))
    else:
        before(monkeypatch, *moment(name), lambda: removed(backend, facebook, how))
    check(backend)
    assert (states(backend), held(backend)) == ({}, set())


@pytest.mark.parametrize("how", ["by the tenant", "by Facebook"])
def test_a_connection_that_is_removed_while_somebody_logs_in_holds_nothing(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    before(monkeypatch, wiring.pages(), "hold", lambda: removed(backend, facebook, how))
    connect_anyhow(backend)
    assert (states(backend), held(backend)) == ({}, set())


def connect_anyhow(backend: Backend) -> None:
    """Log in; that the connection is there afterwards is not expected."""
    with pytest.raises((AssertionError, KeyError, TypeError)):
        connect(backend, "facebook_oauth")["account"]


def test_a_check_that_is_at_its_end_while_the_connection_is_removed_leaves_no_page(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(monkeypatch, wiring.connections(), "delete", lambda: check(backend))
    assert backend.call("DELETE", PATH).status in {200, 404}
    assert held(backend) == set()


def test_an_index_that_lags_keeps_no_page_of_a_removed_connection(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pages, "of_connection", lambda *_: [])
    assert backend.call("DELETE", PATH).status == 200
    assert held(backend) == set()


def kill_all(facebook: FacebookStandIn) -> None:
    for token in list(facebook.tokens):
        facebook.kill(token, subcode=458)


def test_a_refusal_of_the_credentials_before_a_log_in_does_not_touch_the_new_ones(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch, bakery: str
) -> None:
    kill_all(facebook)
    after(monkeypatch, wiring.vault(), "attempt", lambda: connect(backend, "facebook_oauth"))
    check(backend)
    shown = backend.call("GET", PATH).json
    assert (shown["status"], shown["lastError"]) == ("connected", None)
    assert bakery in held(backend)


def test_a_provider_that_was_down_before_a_log_in_is_no_error_of_the_new_credentials(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    facebook.answer("busy", status=503, times=9)

    def log_in() -> None:
        facebook._scripts.clear()
        connect(backend, "facebook_oauth")

    after(monkeypatch, wiring.vault(), "attempt", log_in)
    check(backend)
    assert backend.call("GET", PATH).json["lastError"] is None


def test_a_log_in_while_pages_are_let_go_has_its_own(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch, bakery: str
) -> None:
    kill_all(facebook)
    before(monkeypatch, wiring.pages(), "hold", lambda: connect(backend, "facebook_oauth"))
    check(backend)
    assert states(backend) == {"acme default": "connected"}
    assert bakery in held(backend)


def app_removal(backend: Backend, facebook: FacebookStandIn) -> Callable[[], None]:
    """Ann's removing the app in her settings, of which Facebook tells the stack."""

    def remove() -> None:
        assert tell(backend, "deauthorize", signed(facebook)).json == {"connections": 1}

    return remove


def test_an_app_that_is_removed_during_a_check_has_no_page(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch, ann: str
) -> None:
    before(monkeypatch, wiring.pages(), "hold", app_removal(backend, facebook))
    check(backend)
    assert states(backend) == {"acme default": "needs_reauth"}
    assert held(backend) == {f"@{ann}"}


def test_a_log_in_that_ends_while_the_earlier_grant_is_lost_counts(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = wiring.connections()
    earlier = connections.get("acme", "facebook_oauth", "default")

    def lose() -> None:
        assert connections.record_error(earlier, "needs_reauth", "Gone", status="needs_reauth")

    before(monkeypatch, connections, "save", lose)
    connect(backend, "facebook_oauth")
    assert states(backend) == {"acme default": "connected"}


def test_an_app_that_is_removed_while_a_check_keeps_better_tokens_stays_removed(
    backend: Backend,
    facebook: FacebookStandIn,
    monkeypatch: pytest.MonkeyPatch,
    ann: str,
    cafe: str,
) -> None:
    facebook.users[ann].pages.append(cafe)  # so that the check has something to keep

    before(monkeypatch, wiring.vault(), "save", app_removal(backend, facebook))
    check(backend)
    assert states(backend) == {"acme default": "needs_reauth"}
    assert held(backend) == {f"@{ann}"}


def test_an_app_that_is_removed_while_a_check_fails_stays_removed(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    facebook.answer("busy", status=503, times=9)

    before(monkeypatch, wiring.connections(), "record_error", app_removal(backend, facebook))
    check(backend)
    assert states(backend) == {"acme default": "needs_reauth"}
    shown = backend.call("GET", "/api/integrations/facebook_oauth/credentials").json
    assert "removed" in shown["lastError"]["message"], "that is why nobody asks Facebook again"


@pytest.mark.parametrize("shares", [False, True])
def test_a_page_of_the_account_before_is_left_unless_the_new_one_has_it(
    backend: Backend, facebook: FacebookStandIn, bakery: str, cafe: str, *, shares: bool
) -> None:
    hide = {"id": "hide", "action": "facebook_oauth.hideComment", "params": {"commentId": "1_2"}}
    backend.create_workflow({"name": "x", "trigger": {"type": "facebook.comment"}, "steps": [hide]})
    assert facebook.pages[bakery].subscribed_fields
    pages = [bakery, cafe] if shares else [cafe]
    facebook.login_user = facebook.add_user("Bob", pages=pages)
    connect(backend, "facebook_oauth")
    assert facebook.pages[cafe].subscribed_fields
    assert bool(facebook.pages[bakery].subscribed_fields) == shares


def test_a_page_that_cannot_be_left_keeps_none_of_the_others(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch, cafe: str
) -> None:
    second, mall = (facebook.add_page(name) for name in ("Second", "Mall"))
    facebook.login_user = facebook.add_user("Eve", pages=[second, mall])
    connect(backend, "facebook_oauth")
    hide = {"id": "hide", "action": "facebook_oauth.hideComment", "params": {"commentId": "1_2"}}
    for page in (second, mall):
        trigger = {"type": "facebook.comment", "pageId": page}
        backend.create_workflow({"name": page, "trigger": trigger, "steps": [hide]})
    both = [facebook.pages[page] for page in (second, mall)]
    assert all(page.subscribed_fields for page in both)
    facebook.login_user = facebook.add_user("Bob", pages=[cafe])
    failing = partial(facebook.answer, "busy", status=503, times=1)
    before(monkeypatch, wiring.subscriptions(), "leave", failing)
    connect(backend, "facebook_oauth")
    assert sum(bool(page.subscribed_fields) for page in both) == 1


@pytest.mark.parametrize("by", ["the workflow", "the connection"])
def test_a_page_that_was_renamed_is_unsubscribed_with_what_needed_it(
    backend: Backend, facebook: FacebookStandIn, bakery: str, ann: str, by: str
) -> None:
    credentials = {
        "appId": facebook.app_id,
        "appSecret": facebook.app_secret,
        "accessToken": facebook.user_token(ann),
    }
    backend.save("facebook", credentials, connection="own")
    hide = {"id": "hide", "action": "facebook.hideComment", "params": {"commentId": "1_2"}}
    own = {"connection": "own"}
    workflow = backend.create_workflow(
        {
            "name": "x",
            "trigger": {"type": "facebook.comment", "provider": "facebook", **own},
            "steps": [hide | own],
        }
    )
    assert facebook.pages[bakery].subscribed_fields
    facebook.pages[bakery].name = "Bakery and café"
    assert backend.call("POST", "/api/integrations/facebook/test", own).json["success"]
    if by == "the connection":  # as it is where a workflow goes while the provider is down
        facebook.answer("busy", status=503, times=9)
    path = f"/api/workflows/{workflow['workflowId']}"
    assert backend.call("DELETE", path).status == 200
    facebook._scripts.clear()
    if by == "the connection":
        assert facebook.pages[bakery].subscribed_fields
        gone = backend.call("DELETE", "/api/integrations/facebook/credentials", query=own)
        assert gone.status == 200
    assert not facebook.pages[bakery].subscribed_fields
