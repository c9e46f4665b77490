"""API tokens: found by their hash, until they expire."""

import time

from integrations.storage.aws import item
from integrations.storage.tokens import Token, Tokens, token_hash
from tests.fakes.aws import FakeAws

TOKEN = "ib_Zm9yIHRlc3RzIG9ubHkgbm90IGEgcmVhbCB0b2tlbg"


def keep(aws: FakeAws, **more: object) -> Tokens:
    row = {"tokenHash": token_hash(TOKEN), "tenant": "acme", "name": "ci", "scopes": {"read"}}
    aws.put("TokensTable", item({**row, **more}))  # type: ignore[dict-item]
    return Tokens(aws.client, aws.names["TokensTable"])


def test_a_token_is_found_by_its_hash_alone(aws: FakeAws) -> None:
    tokens = keep(aws)
    assert tokens.find(TOKEN) == Token(
        token_hash=token_hash(TOKEN), tenant="acme", name="ci", scopes=frozenset({"read"})
    )
    assert TOKEN not in repr(aws.rows("TokensTable"))


def test_the_hash_of_a_token_opens_nothing(aws: FakeAws) -> None:
    tokens = keep(aws)
    assert tokens.find(token_hash(TOKEN)) is None
    assert tokens.find(TOKEN + "x") is None
    assert tokens.find("") is None


def test_an_expired_token_is_over_before_the_ttl_deletes_it(aws: FakeAws) -> None:
    for ends, over in ((int(time.time()) + 60, False), (int(time.time()), True), (None, False)):
        tokens = keep(aws, expiresAt=ends)
        token = tokens.find(TOKEN)
        assert token is not None
        assert tokens.is_expired(token) is over


def test_a_token_of_strange_characters_is_unknown(aws: FakeAws) -> None:
    tokens = keep(aws)
    assert tokens.find("ib_häßlich🙂") is None
    assert tokens.find("ib_\ud800") is None
