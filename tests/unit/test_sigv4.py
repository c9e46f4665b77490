"""Our signatures against botocore's."""

from datetime import UTC, datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from integrations.storage.aws.sigv4 import AwsCredentials, signed

MOMENT = datetime(2026, 11, 22, 12, 0, 7, tzinfo=UTC)
HOST = "dynamodb.eu-central-1.amazonaws.com"


def ours(
    headers: dict[str, str],
    body: bytes,
    credentials: AwsCredentials,
    method: str = "POST",
    target: str = "/",
    service: str = "dynamodb",
) -> dict[str, str]:
    return signed(
        headers,
        body,
        service=service,
        region="eu-central-1",
        credentials=credentials,
        moment=MOMENT.timestamp(),
        method=method,
        target=target,
    )


def botocores(
    headers: dict[str, str],
    body: bytes,
    credentials: AwsCredentials,
    monkeypatch: pytest.MonkeyPatch,
    method: str = "POST",
    target: str = "/",
    service: str = "dynamodb",
) -> str:
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: MOMENT.replace(tzinfo=None))
    request = AWSRequest(
        method, f"https://{headers['host']}{target}", headers=dict(headers), data=body
    )
    signer = auth.SigV4Auth(Credentials(*credentials), service, "eu-central-1")
    signer.add_auth(request)
    return str(request.headers["Authorization"])


@given(
    body=st.binary(max_size=300),
    secret=st.text("ABCabc/+0", min_size=1),
    token=st.none() | st.text("ABCabc/+=0", min_size=1),
    host=st.sampled_from([HOST, "127.0.0.1:4566"]),
)
def test_a_signature_is_the_one_that_botocore_makes(
    body: bytes, secret: str, token: str | None, host: str
) -> None:
    credentials = AwsCredentials("AKIAIOSFODNN7EXAMPLE", secret, token)
    headers = {
        "host": host,
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.GetItem",
    }
    made = ours(headers, body, credentials)
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert made["authorization"] == botocores(headers, body, credentials, monkeypatch)
    assert made["x-amz-date"] == "20261122T120007Z"
    assert made.get("x-amz-security-token") == token


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PUT", "/schedules/wf_1-0a1b", b'{"GroupName":"a.b_c-D"}'),
        ("DELETE", "/schedules/wf_1-0a1b?clientToken=00ff&groupName=a.b_c-D", b""),
    ],
)
def test_a_path_and_a_query_are_signed_as_botocore_signs_them(
    method: str, target: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = AwsCredentials("AKIAIOSFODNN7EXAMPLE", "secret", "token")
    headers = {"host": "scheduler.eu-central-1.amazonaws.com"}
    made = ours(headers, body, credentials, method, target, "scheduler")
    theirs = botocores(headers, body, credentials, monkeypatch, method, target, "scheduler")
    assert made["authorization"] == theirs
