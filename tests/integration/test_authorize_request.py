"""The API's authorizer."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.entry import authorizer
from integrations.services.jwt import IssuerUnavailable
from integrations.storage.aws import item
from integrations.storage.tokens import token_hash
from tests.backend import Backend, event
from tests.fakes.receiver import Received, Receiver, Reply

TOKEN = "ib_Zm9yIHRlc3RzIG9ubHkgbm90IGEgcmVhbCB0b2tlbg"
AUDIENCE = "https://api.example.com"


def ask(backend: Backend, header: str | None) -> Any:
    held = event("authorize_request", "api_token")
    held["headers"].pop("authorization")
    if header is not None:
        held["headers"]["authorization"] = header
    return backend.invoke("authorize_request", held)


def keep(backend: Backend, **more: Any) -> None:
    backend.secrets.add(TOKEN)
    row = {"tokenHash": token_hash(TOKEN), "tenant": "acme", "name": "ci", "scopes": {"read"}}
    backend.aws.put("TokensTable", item(row | more))


# -- API tokens ------------------------------------------------------------------------------


def test_a_token_opens_its_tenant_with_its_scopes(backend: Backend) -> None:
    keep(backend, scopes={"read", "write"})
    assert ask(backend, f"Bearer {TOKEN}") == {
        "isAuthorized": True,
        "context": {"tenant": "acme", "scopes": "read write", "name": "ci"},
    }


@pytest.mark.parametrize("header", [f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_schemes_name_has_no_case(backend: Backend, header: str) -> None:
    keep(backend)
    assert ask(backend, header)["isAuthorized"] is True


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {token_hash(TOKEN)}",
        "Bearer ib_",
        "Bearer ib_häßlich🙂",
        "Bearer ib_\ud800",
        "Bearer ib_" + "x" * 8000,
        "Bearer a.b.c",
        f"Bearer {TOKEN},Bearer {TOKEN}",
    ],
    ids=range(15),
)
def test_anything_else_is_refused(backend: Backend, header: str | None) -> None:
    keep(backend)
    assert ask(backend, header) == {"isAuthorized": False}


def test_an_expired_or_revoked_token_is_refused(backend: Backend) -> None:
    keep(backend, expiresAt=int(time.time()) + 60)
    assert ask(backend, f"Bearer {TOKEN}")["isAuthorized"] is True
    keep(backend, expiresAt=int(time.time()) - 1)
    assert ask(backend, f"Bearer {TOKEN}") == {"isAuthorized": False}
    backend.aws.client.dynamodb(
        "DeleteItem",
        {
            "TableName": backend.aws.names["TokensTable"],
            "Key": {"tokenHash": {"S": token_hash(TOKEN)}},
        },
    )
    assert ask(backend, f"Bearer {TOKEN}") == {"isAuthorized": False}


def test_a_request_without_headers_is_refused(backend: Backend) -> None:
    held = event("authorize_request", "api_token")
    for headers in (None, {}):
        assert backend.invoke("authorize_request", held | {"headers": headers}) == {
            "isAuthorized": False
        }


# -- JWTs ------------------------------------------------------------------------------------


class Issuer(Receiver):
    """An OIDC issuer with one key at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.rotate("one")

    def rotate(self, key_id: str) -> None:
        self.key_id = key_id
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def name(self) -> str:
        return self.url("").rstrip("/")

    def take(self, request: Received) -> Reply:
        super().take(request)
        if request.path == "/.well-known/openid-configuration":
            told: Mapping[str, Any] = {"issuer": self.name, "jwks_uri": f"{self.name}/keys"}
        else:
            key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            told = {"keys": [{**key, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}
        return Reply(200, json.dumps(told).encode())

    def token(self, *, key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + 600,
            "iat": now,
            "tenant": "acme",
            "scope": "openid read",
        } | changes
        held = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.key_id}
        return jwt.encode(held, key or self.key, algorithm=algorithm, headers=headers)


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    with Issuer() as running:
        monkeypatch.setenv("JWT_ISSUER", running.name)
        monkeypatch.setenv("JWT_AUDIENCE", AUDIENCE)
        yield running


def test_a_jwt_of_the_issuer_opens_the_tenant_it_names(backend: Backend, issuer: Issuer) -> None:
    assert ask(backend, f"Bearer {issuer.token()}") == {
        "isAuthorized": True,
        "context": {"tenant": "acme", "scopes": "read", "name": "ann"},
    }


@pytest.mark.parametrize(
    ("claims", "tenant"),
    [
        ({"tenant": None, "org_id": "org_7"}, "org_7"),
        ({"tenant": None}, "ann"),
        ({"tenant": "häßlich"}, "häßlich"),
    ],
)
def test_the_tenant_is_the_first_claim_that_is_there(
    backend: Backend, issuer: Issuer, claims: dict[str, Any], tenant: str
) -> None:
    answer = ask(backend, f"Bearer {issuer.token(**claims)}")
    assert answer["context"]["tenant"] == tenant


def test_a_token_without_our_scopes_may_do_both(backend: Backend, issuer: Issuer) -> None:
    answer = ask(backend, f"Bearer {issuer.token(scope='openid email')}")
    assert answer["context"]["scopes"] == "read write"


def test_a_jwt_that_is_not_good_is_refused(backend: Backend, issuer: Issuer) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past = int(time.time()) - 120
    tokens = [
        issuer.token(exp=past),
        issuer.token(exp=None),
        issuer.token(nbf=int(time.time()) + 600),
        issuer.token(aud="https://other.example"),
        issuer.token(aud=None),
        issuer.token(iss="https://evil.example"),
        issuer.token(sub=None),
        issuer.token(key=other),
        issuer.token(key="a shared secret of thirty-two bytes!", algorithm="HS256"),
        issuer.token(tenant=["acme"]),
        issuer.token(tenant={"id": "acme"}),
        issuer.token(tenant="x" * 129),
        issuer.token(tenant=True),
        jwt.encode({"sub": "ann"}, "", algorithm="none"),
        issuer.token()[:-4] + "AAAA",
        issuer.token().replace(".", "", 1),
        "..",
        "a.b.c",
    ]
    for number, token in enumerate(tokens):
        assert ask(backend, f"Bearer {token}") == {"isAuthorized": False}, number


def test_the_issuers_keys_are_asked_for_once_and_again_when_they_rotate(
    backend: Backend, issuer: Issuer
) -> None:
    for _ in range(3):
        assert ask(backend, f"Bearer {issuer.token()}")["isAuthorized"] is True
    assert [each.path for each in issuer.received] == [
        "/.well-known/openid-configuration",
        "/keys",
    ]
    issuer.rotate("two")
    # PyJWT asks again for an unknown key half a minute after it asked last.
    authorizer._verifier[0]._client().cooldown_duration = 0
    assert ask(backend, f"Bearer {issuer.token()}")["isAuthorized"] is True


@pytest.mark.parametrize("place", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize(
    "reply", [Reply(503, b"<html>"), Reply(hang_up=True), Reply(raw=b"nonsense\r\n\r\n")]
)
def test_an_issuer_that_does_not_answer_lets_nobody_in_and_is_asked_again(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, place: str, reply: Reply
) -> None:
    # API Gateway keeps a refusal for five minutes, a failure not at all.
    with monkeypatch.context() as patch:
        take = issuer.take
        patch.setattr(issuer, "take", lambda each: reply if each.path == place else take(each))
        with pytest.raises(IssuerUnavailable):
            ask(backend, f"Bearer {issuer.token()}")
    assert ask(backend, f"Bearer {issuer.token()}")["isAuthorized"] is True


def test_an_issuer_without_a_configuration_lets_nobody_in(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in (b"<html>", b"[]", b"{}", b"null"):
        monkeypatch.setattr(issuer, "take", lambda _, body=body: Reply(200, body))
        with pytest.raises(IssuerUnavailable):
            ask(backend, f"Bearer {issuer.token()}")


def test_without_an_issuer_no_jwt_is_taken(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_AUDIENCE", "")
    assert ask(backend, f"Bearer {issuer.token()}") == {"isAuthorized": False}
    assert issuer.received == []


def test_an_issuer_without_tls_is_for_the_local_platform_alone(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_LOOPBACK", "false")
    assert ask(backend, f"Bearer {issuer.token()}") == {"isAuthorized": False}
    assert issuer.received == []
