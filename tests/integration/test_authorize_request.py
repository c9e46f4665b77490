"""The API's authorizer."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations import memory
from integrations.entry import authorizer
from integrations.services.jwt import IssuerUnavailable
from integrations.storage.aws import item
from integrations.storage.tokens import token_hash
from tests.backend import Backend, event
from tests.fakes.receiver import Received, Receiver, Reply

TOKEN = "ib_Zm9yIHRlc3RzIG9ubHkgbm90IGEgcmVhbCB0b2tlbg"
UNKNOWN = {"isAuthorized": True, "context": {"problem": "invalid_token"}}
EXPIRED = {"isAuthorized": True, "context": {"problem": "token_expired"}}
AUDIENCE = "https://api.example.com"


def ask(backend: Backend, header: str | None) -> Any:
    request = event("authorize_request", "api_token")
    request["headers"].pop("authorization")
    if header is not None:
        request["headers"]["authorization"] = header
    return backend.invoke("authorize_request", request)


def keep(backend: Backend, **more: Any) -> None:
    backend.secrets.add(TOKEN)
    row = {"tokenHash": token_hash(TOKEN), "tenant": "acme", "name": "ci", "scopes": {"read"}}
    backend.aws.put("TokensTable", item(row | more))


# -- API tokens ------------------------------------------------------------------------------


def test_a_token_opens_its_tenant_with_its_scopes(backend: Backend) -> None:
    keep(backend, scopes={"read", "write"})
    assert ask(backend, f"Bearer {TOKEN}") == {
        "isAuthorized": True,
        "context": {
            "tenant": "acme",
            "scopes": "read write",
            "kind": "token",
            "id": f"tok_{token_hash(TOKEN)[:24]}",
            "name": "ci",
        },
    }


def test_the_header_has_no_case(backend: Backend) -> None:
    keep(backend)
    request = event("authorize_request", "api_token")
    request["headers"] = {"Authorization": f"Bearer {TOKEN}"}
    assert backend.invoke("authorize_request", request)["context"]["tenant"] == "acme"


def test_a_use_is_noted_once_an_hour_and_no_outage_keeps_anybody_out(backend: Backend) -> None:
    keep(backend)
    backend.aws.fail("UpdateItem", "ThrottlingException", status=400)
    assert ask(backend, f"Bearer {TOKEN}")["context"]["tenant"] == "acme"
    backend.aws.recover()
    backend.aws.calls.clear()
    for _ in range(3):
        assert ask(backend, f"Bearer {TOKEN}")["context"]["tenant"] == "acme"
    (row,) = backend.aws.rows("TokensTable")
    assert abs(row["lastUsedAt"] - time.time()) < 60
    assert backend.aws.calls["UpdateItem"] == 1
    keep(backend, lastUsedAt=int(time.time()) - 3601)
    ask(backend, f"Bearer {TOKEN}")
    assert backend.aws.calls["UpdateItem"] == 2


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
def test_anything_else_opens_nothing(backend: Backend, header: str | None) -> None:
    keep(backend)
    answer = ask(backend, header)
    if header is None or not header.partition(" ")[2].strip():
        assert answer == {"isAuthorized": False}
    else:
        assert answer == UNKNOWN


def test_an_expired_or_revoked_token_opens_nothing(backend: Backend) -> None:
    keep(backend, expiresAt=int(time.time()) + 60)
    assert ask(backend, f"Bearer {TOKEN}")["isAuthorized"] is True
    keep(backend, expiresAt=int(time.time()) - 1)
    assert ask(backend, f"Bearer {TOKEN}") == EXPIRED
    backend.aws.client.dynamodb(
        "DeleteItem",
        {
            "TableName": backend.aws.names["TokensTable"],
            "Key": {"tokenHash": {"S": token_hash(TOKEN)}},
        },
    )
    assert ask(backend, f"Bearer {TOKEN}") == UNKNOWN


def test_a_request_without_headers_is_refused(backend: Backend) -> None:
    request = event("authorize_request", "api_token")
    for headers in (None, {}):
        assert backend.invoke("authorize_request", request | {"headers": headers}) == {
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
            document: Mapping[str, Any] = {"issuer": self.name, "jwks_uri": f"{self.name}/keys"}
        else:
            key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            document = {"keys": [{**key, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}
        return Reply(200, json.dumps(document).encode())

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
        request = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.key_id}
        return jwt.encode(request, key or self.key, algorithm=algorithm, headers=headers)


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    with Issuer() as running:
        monkeypatch.setenv("JWT_ISSUER", running.name)
        monkeypatch.setenv("JWT_AUDIENCE", AUDIENCE)
        yield running


def test_a_jwt_of_the_issuer_opens_the_tenant_it_names(backend: Backend, issuer: Issuer) -> None:
    assert ask(backend, f"Bearer {issuer.token()}") == {
        "isAuthorized": True,
        "context": {
            "tenant": "acme",
            "scopes": "read",
            "kind": "jwt",
            "id": "ann",
            "name": "ann",
        },
    }


def test_one_claim_names_the_tenant(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        ask(backend, f"Bearer {issuer.token(tenant='häßlich')}")["context"]["tenant"] == "häßlich"
    )
    monkeypatch.setenv("JWT_TENANT_CLAIM", "org_id")
    memory.forget()
    token = issuer.token(org_id="org_7", tenant="acme")
    assert ask(backend, f"Bearer {token}")["context"]["tenant"] == "org_7"
    assert ask(backend, f"Bearer {issuer.token(tenant='acme')}") == UNKNOWN


@pytest.mark.parametrize(
    "tenant",
    [
        None,
        "",
        " ",
        "*",
        "a#b",
        "a b",
        "a\x00",
        "a\n",
        "a/b",
        "sub:ann",
        "x" * 129,
        7,
        True,
        ["acme"],
        {},
    ],
    ids=repr,
)
def test_a_claim_that_names_no_tenant_opens_none(
    backend: Backend, issuer: Issuer, tenant: Any
) -> None:
    assert ask(backend, f"Bearer {issuer.token(tenant=tenant)}") == UNKNOWN


def test_a_subjects_tenant_is_nobodys_api_tokens_tenant(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_TENANT_CLAIM", "sub")
    keep(backend, tenant="acme")
    token = issuer.token(sub="acme")
    assert ask(backend, f"Bearer {token}")["context"]["tenant"] == "sub:acme"
    assert ask(backend, f"Bearer {TOKEN}")["context"]["tenant"] == "acme"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "openid read"}, "read"),
        ({"scope": "admin write read"}, "admin read write"),
        ({"scope": ["read", "openid"]}, "read"),
        ({"scope": ["read write"]}, ""),
        ({"scope": "openid profile"}, ""),
        ({"scope": ""}, ""),
        ({"scope": []}, ""),
        ({"scope": "read,openid"}, ""),
        ({"scope": "READ"}, ""),
        ({"scope": "connect"}, ""),
        ({"scope": {"read": True}}, ""),
        ({"scope": True}, ""),
        ({"scope": None, "scp": "read"}, "read"),
        ({"scope": None, "scp": ["write"]}, "write"),
        ({"scope": None, "scp": "openid"}, ""),
        ({"scope": "openid", "scp": "write"}, ""),
        ({"scope": None}, "read"),
    ],
    ids=repr,
)
def test_what_a_claim_does_not_grant_is_not_granted(
    backend: Backend, issuer: Issuer, claims: dict[str, Any], scopes: str
) -> None:
    assert ask(backend, f"Bearer {issuer.token(**claims)}")["context"]["scopes"] == scopes


def test_the_scope_claim_and_what_none_means_are_parameters(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SCOPE_CLAIM", "permissions")
    monkeypatch.setenv("JWT_DEFAULT_SCOPES", "read write nonsense")
    token = issuer.token(scope="admin", permissions=["write"])
    assert ask(backend, f"Bearer {token}")["context"]["scopes"] == "write"
    assert (
        ask(backend, f"Bearer {issuer.token(scope='admin')}")["context"]["scopes"] == "read write"
    )


def test_a_configuration_of_another_issuer_lets_nobody_in(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = issuer.take

    def other(request: Received) -> Reply:
        answer = take(request)
        document = json.loads(answer.body)
        return Reply(200, json.dumps(document | {"issuer": "https://evil.example"}).encode())

    monkeypatch.setattr(issuer, "take", other)
    with pytest.raises(IssuerUnavailable, match="another issuer"):
        ask(backend, f"Bearer {issuer.token()}")


def test_a_session_that_is_over_opens_nothing(backend: Backend) -> None:
    token = "ics_" + TOKEN[3:]
    row = {"tokenHash": token_hash(token), "sessionTenant": "acme", "name": "connect default"}
    session = {"scopes": {"connect"}, "providers": {"telegram"}, "connection": "default"}
    backend.aws.put("TokensTable", item({**row, **session, "expiresAt": int(time.time()) - 1}))
    assert ask(backend, f"Bearer {token}") == EXPIRED


def test_a_jwt_that_is_not_good_is_refused(backend: Backend, issuer: Issuer) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past = int(time.time()) - 120
    assert ask(backend, f"Bearer {issuer.token(exp=past)}") == EXPIRED
    tokens = [
        issuer.token(exp=None),
        issuer.token(nbf=int(time.time()) + 600),
        issuer.token(aud="https://other.example"),
        issuer.token(aud=None),
        issuer.token(iss="https://evil.example"),
        issuer.token(sub=None),
        issuer.token(key=other),
        issuer.token(key="a shared secret of thirty-two bytes!", algorithm="HS256"),
        issuer.token(sub="a\nb"),
        jwt.encode({"sub": "ann"}, "", algorithm="none"),
        issuer.token()[:-4] + "AAAA",
        issuer.token().replace(".", "", 1),
        "..",
        "a.b.c",
    ]
    for number, token in enumerate(tokens):
        assert ask(backend, f"Bearer {token}") == UNKNOWN, number


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "HS256", "PS256", "none", "RS1", "x"])
def test_a_jwt_that_names_another_kind_of_key_is_refused(
    backend: Backend, issuer: Issuer, algorithm: str
) -> None:
    _, claims, signature = issuer.token().split(".")
    header = json.dumps({"alg": algorithm, "kid": issuer.key_id}).encode()
    encoded = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
    assert ask(backend, f"Bearer {encoded}.{claims}.{signature}") == UNKNOWN


def test_a_token_opens_from_the_moment_that_it_was_made(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As DynamoDB does: who reads without asking for consistency sees it a little later.
    monkeypatch.setattr(backend.aws.tables, "_lag", lambda: 5.0)
    keep(backend)
    assert ask(backend, f"Bearer {TOKEN}")["isAuthorized"] is True


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
    verifier = authorizer._verifier()
    assert verifier
    verifier._client().cooldown_duration = 0
    assert ask(backend, f"Bearer {issuer.token()}")["isAuthorized"] is True


@pytest.mark.parametrize("place", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, b"<html>"),
        Reply(hang_up=True),
        Reply(raw=b"nonsense\r\n\r\n"),
        Reply(200, b'{"keys": [], "more": "' + b"x" * 600_000 + b'"}'),
        Reply(200, b'{"keys": ' + b"[" * 100 + b"]" * 100 + b"}"),
        Reply(200, b'{"keys": [], "keys": []}'),
        Reply(302, headers={"Location": "/elsewhere"}),
        Reply(200, b'{"keys": []}'),
        Reply(200, b'{"error": "maintenance"}'),
        Reply(200, b'{"keys": [{"kty": "oct"}]}'),
        Reply(200, b'{"keys": [{"kty": "oct", "k": "AA", "alg": "none"}]}'),
    ],
    ids=[
        "503", "hang-up", "nonsense", "huge", "deep", "twice", "redirect", "empty", "no-keys",
        "no-key", "of-none",
    ],
)  # fmt: skip
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
    assert ask(backend, f"Bearer {issuer.token()}") == UNKNOWN
    assert issuer.received == []


def test_an_issuer_without_tls_is_for_the_local_platform_alone(
    backend: Backend, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_LOOPBACK", "false")
    assert ask(backend, f"Bearer {issuer.token()}") == UNKNOWN
    assert issuer.received == []
