"""`make token`, `make tokens` and `make token-revoke`: the tokens of a stack, in its table."""

import json

import boto3
import pytest

from local.errors import PlatformError
from local.tokens import Tokens, hash_of, line
from tests.fakes import aws as amazon


@pytest.fixture
def tokens(aws: amazon.FakeAws) -> Tokens:
    dynamodb = boto3.client(
        "dynamodb",
        region_name=amazon.REGION,
        endpoint_url=aws.url,
        aws_access_key_id=amazon.ACCESS_KEY,
        aws_secret_access_key=amazon.SECRET_KEY,
    )
    return Tokens(dynamodb, aws.names["TokensTable"])


def test_a_token_s_name_does_not_steer_the_terminal_that_lists_it() -> None:
    row = {"name": {"S": "\x1b]0;a\x07\nb\u202e"}, "scopes": {"SS": ["read"]}}
    assert line(row | {"createdAt": {"N": "0"}}).isprintable()


def test_a_token_is_stored_as_its_hash_only(tokens: Tokens) -> None:
    token = tokens.create(tenant="acme", name="ci", scopes=["read"], days=7)
    (item,) = tokens.items("acme")
    assert token.startswith("ib_")
    assert len(token) == 46
    assert token not in json.dumps(item)
    assert item["tokenHash"]["S"] == hash_of(token)
    assert item["scopes"] == {"SS": ["read"]}
    assert int(item["expiresAt"]["N"]) - int(item["createdAt"]["N"]) == 7 * 24 * 60 * 60


def test_the_tokens_of_one_tenant_have_different_names(tokens: Tokens) -> None:
    tokens.create(tenant="acme", name="ci")
    tokens.create(tenant="other", name="ci")
    with pytest.raises(PlatformError, match="acme has a token ci"):
        tokens.create(tenant="acme", name="ci")
    with pytest.raises(PlatformError, match="unknown scope everything"):
        tokens.create(tenant="acme", name="x", scopes=["everything"])


@pytest.mark.parametrize("days", [0, 3651, 10**20])
def test_a_token_that_is_over_or_never_ends_is_refused(tokens: Tokens, days: int) -> None:
    with pytest.raises(PlatformError, match=f"1 to 3650 days, not for {days}"):
        tokens.create(tenant="acme", name="ci", days=days)
    assert tokens.items("acme") == []


def test_a_revoked_token_is_gone(tokens: Tokens) -> None:
    token = tokens.create(tenant="acme", name="ci")
    other = tokens.create(tenant="acme", name="other")
    tokens.revoke(tenant="acme", name="ci")
    assert not tokens.holds(token)
    assert tokens.holds(other)
    with pytest.raises(PlatformError, match="no token ci"):
        tokens.revoke(tenant="acme", name="ci")
