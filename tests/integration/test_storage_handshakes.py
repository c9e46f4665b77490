"""The Handshakes table: a state is taken once, by its hash, in time."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from integrations.errors import HandshakeRefused, UnknownHandshake
from integrations.storage.envelope import Envelope
from integrations.storage.handshakes import LIFETIME, STORED_AFTER, Handshake, Handshakes
from tests.clock import NOW, Clock
from tests.fakes.aws import FakeAws

STATE = "id.random-part-of-the-state"
VERIFIER = "the-pkce-verifier-of-this-handshake"


@pytest.fixture
def handshakes(aws: FakeAws, clock: Clock) -> Handshakes:
    envelope = Envelope(aws.client, aws.names["CredentialsKey"])
    return Handshakes(aws.client, aws.names["HandshakesTable"], envelope, clock=clock)


def begun(handshakes: Handshakes, **changes: Any) -> Handshake:
    handshake = Handshake(
        handshake_id="id",
        tenant="acme",
        provider="sheets_oauth",
        connection="default",
        deadline=NOW + LIFETIME,
        callback_url="https://api.example.com/callback",
    )._replace(
        **changes,
    )
    handshakes.begin(handshake, STATE, VERIFIER)
    return handshake


def test_a_state_gives_the_verifier_back_once(handshakes: Handshakes) -> None:
    begun(handshakes, redirect_uri="https://app.example.com/done")
    taken, verifier = handshakes.consume("id", "sheets_oauth", STATE)
    assert verifier == VERIFIER
    assert (taken.status, taken.redirect_uri) == ("exchanging", "https://app.example.com/done")
    assert (taken.callback_url, taken.taken_at) == ("https://api.example.com/callback", NOW)
    with pytest.raises(HandshakeRefused, match="already used"):
        handshakes.consume("id", "sheets_oauth", STATE)


def test_of_many_callbacks_at_once_one_wins(handshakes: Handshakes) -> None:
    begun(handshakes)
    outcomes: list[str] = []

    def come_back() -> None:
        try:
            handshakes.consume("id", "sheets_oauth", STATE)
            outcomes.append("won")
        except HandshakeRefused as refusal:
            outcomes.append(refusal.detail)

    threads = [threading.Thread(target=come_back) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("won") == 1
    assert sum("already used" in each for each in outcomes) == 5


@pytest.mark.parametrize(
    ("handshake_id", "provider", "state", "words"),
    [
        ("unknown", "sheets_oauth", STATE, "not known"),
        ("id", "facebook_oauth", STATE, "not known"),
        ("id", "sheets_oauth", "id.another", "not known"),
        ("id", "sheets_oauth", "", "not known"),
    ],
)
def test_a_wrong_state_is_refused_and_leaves_the_right_one_good(
    handshakes: Handshakes, handshake_id: str, provider: str, state: str, words: str
) -> None:
    begun(handshakes)
    with pytest.raises(HandshakeRefused, match=words):
        handshakes.consume(handshake_id, provider, state)
    assert handshakes.consume("id", "sheets_oauth", STATE)[1] == VERIFIER


def test_after_its_deadline_a_state_is_refused(handshakes: Handshakes, clock: Clock) -> None:
    begun(handshakes)
    clock.moment = NOW + LIFETIME
    with pytest.raises(HandshakeRefused, match="expired"):
        handshakes.consume("id", "sheets_oauth", STATE)


def test_the_row_holds_neither_state_nor_verifier(aws: FakeAws, handshakes: Handshakes) -> None:
    begun(handshakes)
    (row,) = aws.rows("HandshakesTable")
    assert STATE not in repr(row)
    assert "random-part" not in repr(row)
    assert VERIFIER not in repr(row)


@pytest.mark.parametrize("how", ["completed", "failed"])
def test_a_finished_handshake_keeps_its_outcome_and_no_secret(
    aws: FakeAws, handshakes: Handshakes, how: str
) -> None:
    begun(handshakes)
    taken, _ = handshakes.consume("id", "sheets_oauth", STATE)
    if how == "failed":
        handshakes.fail(taken, "access_denied", "The login was refused")
    else:
        handshakes.complete(taken)
    read = handshakes.get("acme", "id")
    assert read.status == how
    assert (read.error or {}).get("code") == ("access_denied" if how == "failed" else None)
    (row,) = aws.rows("HandshakesTable")
    assert not {"stateHash", "ciphertext", "nonce", "dataKey", "keyId"} & row.keys()
    with pytest.raises(HandshakeRefused, match="already used"):
        handshakes.consume("id", "sheets_oauth", STATE)


def test_another_tenant_does_not_see_it(handshakes: Handshakes) -> None:
    begun(handshakes)
    with pytest.raises(UnknownHandshake):
        handshakes.get("other", "id")
    with pytest.raises(UnknownHandshake):
        handshakes.get("acme", "unknown")


def test_what_the_ttl_has_not_deleted_yet_is_gone_all_the_same(
    aws: FakeAws, handshakes: Handshakes, clock: Clock
) -> None:
    begun(handshakes)
    clock.moment = NOW + LIFETIME + STORED_AFTER - timedelta(seconds=1)
    assert handshakes.get("acme", "id").status == "pending"
    clock.moment += timedelta(seconds=2)
    with pytest.raises(UnknownHandshake):
        handshakes.get("acme", "id")
    assert aws.rows("HandshakesTable")


def test_a_verifier_moved_to_another_handshake_does_not_open(
    aws: FakeAws, handshakes: Handshakes
) -> None:
    begun(handshakes)
    (row,) = aws.rows("HandshakesTable")
    from integrations.errors import IntegrationError
    from integrations.storage.aws import item

    aws.put("HandshakesTable", item(row | {"handshakeId": "other"}))
    with pytest.raises(IntegrationError):
        handshakes.consume("other", "sheets_oauth", STATE)
