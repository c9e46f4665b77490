"""The gate before MiniStack, with botocore as the one that signs."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from integrations.storage.aws.sigv4 import AwsCredentials, signed
from local import gate

PORT = 4566
HOST = f"127.0.0.1:{PORT}"
KEYS = {("AKIAROOT", ""): "the root's", ("ASIAROLE", "token"): "the role's"}
API = f"abc.execute-api.localhost:{PORT}"


async def behind(scope: gate.Scope, receive: gate.Receive, send: gate.Send) -> None:
    """Answers with what came through, as open to every page as MiniStack is."""
    body = (await receive())["body"]
    names = [name.decode() for name, _ in scope["headers"]]
    headers = [(b"access-control-allow-origin", b"*"), (b"x-other", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    reply = json.dumps({"body": body.decode("latin-1"), "names": names})
    await send({"type": "http.response.body", "body": reply.encode()})


GATE = gate.Gate(
    behind, port=PORT, secret="the gate's", secret_of=lambda key, token: KEYS.get((key, token))
)


def ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], Any]:
    """Send a request through the gate: its status, headers, and body."""
    split = urlsplit(url)
    sent: list[dict[str, Any]] = []
    pieces = [body[:3], body[3:]]

    async def receive() -> gate.Message:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: gate.Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": split.path,
        "raw_path": split.path.encode(),
        "query_string": split.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(GATE(scope, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, sent[1]["body"].decode()


def signed_by_botocore(
    method: str,
    url: str,
    body: bytes = b"",
    *,
    service: str = "dynamodb",
    key: str = "AKIAROOT",
    secret: str = "the root's",
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    request = AWSRequest(method, url, data=body, headers=dict(headers or {}))
    signer = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    signer(Credentials(key, secret, token), service, "us-east-1").add_auth(request)
    return {"host": urlsplit(url).netloc, **dict(request.headers.items())}


@pytest.mark.parametrize(
    ("service", "method", "url"),
    [
        ("dynamodb", "POST", f"http://{HOST}/"),
        ("lambda", "GET", f"http://{HOST}/2015-03-31/functions/arn%3Aaws%3Ax/y?A=b%20c&A=&z"),
        ("scheduler", "GET", f"http://{HOST}/schedules/a.b~c?groupName=x%2Fy"),
        ("s3", "PUT", f"http://{HOST}/bucket/a%20b/%C3%BC?x=1"),
        ("s3", "PUT", f"http://bucket.s3.localhost:{PORT}/key"),
    ],
)
def test_what_botocore_signs_comes_through_with_its_body(
    service: str, method: str, url: str
) -> None:
    body = b"the body" if method != "GET" else b""
    headers = signed_by_botocore(method, url, body, service=service)
    status, _, text = ask(method, url, headers, body)
    assert (status, json.loads(text)["body"]) == (200, body.decode())


def test_a_roles_session_comes_through_and_only_with_its_token() -> None:
    url = f"http://{HOST}/"
    known = {"key": "ASIAROLE", "secret": "the role's"}
    assert ask("POST", url, signed_by_botocore("POST", url, token="token", **known))[0] == 200
    assert ask("POST", url, signed_by_botocore("POST", url, token="other", **known))[0] == 403
    assert ask("POST", url, signed_by_botocore("POST", url, **known))[0] == 403


def test_what_the_functions_sign_comes_through() -> None:
    headers = {"host": HOST, "x-amz-target": "DynamoDB_20120810.GetItem"}
    credentials = AwsCredentials("ASIAROLE", "the role's", "token")
    made = signed(headers, b"{}", service="dynamodb", region="us-east-1", credentials=credentials)
    assert ask("POST", f"http://{HOST}/", made, b"{}")[0] == 200


def presigned(seconds: int = 60, service: str = "s3", moment: str | None = None) -> str:
    request = AWSRequest("GET", f"http://{HOST}/bucket/key?versionId=1")
    signer = auth.S3SigV4QueryAuth if service == "s3" else auth.SigV4QueryAuth
    credentials = Credentials("AKIAROOT", "the root's")
    signer(credentials, service, "us-east-1", expires=seconds).add_auth(request)
    return str(request.url)


def test_a_presigned_url_comes_through_until_it_expires_and_unchanged_alone() -> None:
    assert ask("GET", presigned(), {"host": HOST})[0] == 200
    assert ask("GET", presigned(), {"host": HOST, "sec-fetch-site": "none"})[0] == 200
    assert ask("GET", presigned(-1), {"host": HOST})[0] == 403
    assert ask("GET", presigned().replace("/key", "/other"), {"host": HOST})[0] == 403
    assert ask("PUT", presigned(), {"host": HOST})[0] == 403
    assert ask("GET", presigned(service="sqs"), {"host": HOST})[0] == 403


@given(st.sampled_from(["body", "secret", "target", "path", "host", "time", "unsigned", "service"]))
def test_whatever_is_changed_after_signing_is_refused(what: str) -> None:
    url, body = f"http://{HOST}/x", b"{}"
    headers = {"x-amz-target": "DynamoDB_20120810.GetItem"}
    made = signed_by_botocore("POST", url, body, headers=headers)
    match what:
        case "body":
            body = b"{ }"
        case "secret":
            made = signed_by_botocore("POST", url, body, secret="test", headers=headers)
        case "target":
            made["x-amz-target"] = "DynamoDB_20120810.DeleteTable"
        case "path":
            url = f"http://{HOST}/y"
        case "host":
            made["host"] = f"localhost:{PORT}"
        case "time":
            made["X-Amz-Date"] = "20200101T000000Z"
        case "unsigned":
            made["x-amz-added"] = "1"
        case "service":
            made["Authorization"] = made["Authorization"].replace("dynamodb", "sqs")
    status, headers, _ = ask("POST", url, made, body)
    assert status == 403
    assert headers["x-amzn-errortype"]


def test_an_old_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = signed_by_botocore("POST", f"http://{HOST}/")
    now = gate.time.time()
    monkeypatch.setattr(gate.time, "time", lambda: now + gate.SKEW_SECONDS + 5)
    assert ask("POST", f"http://{HOST}/", made)[0] == 403


@pytest.mark.parametrize(
    ("key", "secret"),
    [("test", "test"), ("000000000000", "test"), ("AKIAROOT", "test"), ("", "")],
)
def test_the_keys_that_everybody_knows_open_nothing(key: str, secret: str) -> None:
    url = f"http://{HOST}/"
    assert ask("POST", url, signed_by_botocore("POST", url, key=key, secret=secret))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://localhost:{PORT}"},
        {"sec-fetch-site": "cross-site"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1"},
        {"host": API},
    ],
)
def test_no_page_comes_through_though_it_is_signed(headers: Mapping[str, str]) -> None:
    url = f"http://{headers.get('host', HOST)}/"
    made = signed_by_botocore("POST", url) | headers
    assert ask("POST", url, made)[0] == 403


@pytest.mark.parametrize(
    "path", ["/_ministack/reset", "/_ministack/health", "/_localstack/health", "/_aws/x", "/", "/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_without_a_signature_there_is_no_way_in(method: str, path: str) -> None:
    status, headers, _ = ask(method, f"http://{HOST}{path}", {"host": HOST})
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_signature_opens_none_of_ministacks_own_ways() -> None:
    url = f"http://{HOST}/_ministack/reset"
    assert ask("POST", url, signed_by_botocore("POST", url))[0] == 403


SECRET = {gate.SECRET_HEADER: "the gate's"}


def test_the_secret_opens_the_api_and_is_not_passed_on() -> None:
    status, headers, text = ask("POST", f"http://{API}/api/x", {"host": API, **SECRET}, b"{}")
    assert status == 200
    assert json.loads(text) == {"body": "{}", "names": ["host"]}
    # The API's own CORS headers stay.
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("host", "path", "secret"),
    [
        (API, "/api/x", "another"),
        (API, "/api/x", ""),
        (API, "/_ministack/reset", "the gate's"),
        (HOST, "/_ministack/reset", "the gate's"),
        (HOST, "/api/x", "the gate's"),
        (HOST, "/", "the gate's"),
    ],
)
def test_the_secret_opens_nothing_else(host: str, path: str, secret: str) -> None:
    headers = {"host": host, gate.SECRET_HEADER: secret}
    assert ask("POST", f"http://{host}{path}", headers)[0] == 403


def test_what_is_answered_to_a_signed_request_can_be_read_by_no_page() -> None:
    url = f"http://{HOST}/"
    _, headers, _ = ask("POST", url, signed_by_botocore("POST", url))
    assert headers == {"x-other": "1"}


def test_a_websocket_is_closed() -> None:
    sent: list[gate.Message] = []

    async def receive() -> gate.Message:
        return {"type": "websocket.connect"}

    async def send(message: gate.Message) -> None:
        sent.append(message)

    asyncio.run(GATE({"type": "websocket", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
