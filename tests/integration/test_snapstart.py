"""A function that starts from a snapshot: no credentials in the environment, a local endpoint."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from botocore.utils import ContainerMetadataFetcher

from integrations import memory
from integrations.entry import settings
from integrations.errors import ServiceUnavailable
from integrations.storage.aws import Aws, AwsUnavailable, item
from integrations.storage.aws import credentials as module
from integrations.storage.aws.credentials import ContainerCredentials, NoCredentials
from tests.backend import Backend, event
from tests.fakes.aws import ACCESS_KEY, REGION, SECRET_KEY, FakeAws
from tests.fakes.serving import Server
from tools.template import ROOT

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Endpoint(Server):
    """The endpoint of an instance: each credentials' token tells how many were given before.

    Attributes:
        asked: The Authorization headers that came.
        lifetime: Of the credentials.
        statuses: What the next requests are answered with instead.
        says: What is answered in place of credentials.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str | None] = []
        self.now = START
        self.lifetime = timedelta(hours=6)
        self.statuses: list[int] = []
        self.says: object = None
        self.chunked = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/2021-04-23/credentials"

    def clock(self) -> float:
        return self.now.timestamp()

    def credentials(self, **more: object) -> ContainerCredentials:
        return ContainerCredentials(self.url, clock=self.clock, sleep=lambda _: None, **more)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_GET(self) -> None:
        endpoint = self.server
        endpoint.asked.append(self.headers["Authorization"])
        expires = endpoint.now + endpoint.lifetime
        document = endpoint.says or {
            "AccessKeyId": ACCESS_KEY,
            "SecretAccessKey": SECRET_KEY,
            "Token": f"session-token-{len(endpoint.asked)}",
            "Expiration": expires.isoformat().replace("+00:00", "Z"),
        }
        body = json.dumps(document).encode()
        status = endpoint.statuses.pop(0) if endpoint.statuses else 200
        self.send_response(status)
        if endpoint.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests are quiet."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def snapshot(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The environment of a function that starts from a snapshot."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-instance")
    endpoint.now = datetime.now(UTC)
    memory.forget()
    return endpoint


# -- Through a function ----------------------------------------------------------------------


def test_a_webhook_is_received_with_the_instances_own_credentials(
    backend: Backend, snapshot: Endpoint
) -> None:
    backend.secrets.add("secret-of-the-orders")
    credentials = {"url": "https://example.com/hooks/orders", "secret": "secret-of-the-orders"}
    backend.save("webhook", {**credentials, "verifySecret": True})
    memory.forget()
    for _ in range(3):
        answer = backend.deliver("orders", "{}", {"X-Webhook-Secret": "secret-of-the-orders"})
        assert answer.status == 200
    assert snapshot.asked == ["of-the-instance"] * 2  # as it was saved, and since
    assert settings.credentials() == (ACCESS_KEY, SECRET_KEY, "session-token-2")


def test_what_is_kept_in_the_environment_goes_first(
    backend: Backend, snapshot: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-environment")
    assert settings.credentials() == (ACCESS_KEY, SECRET_KEY, "of-the-environment")
    assert snapshot.asked == []


def test_an_endpoint_that_gives_nothing_lets_the_sender_send_again(
    backend: Backend, snapshot: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    snapshot.statuses = [500] * 1000
    memory.forget()
    answer = backend.send("receive_webhook", event("receive_webhook", "order"))
    assert (answer.status, answer.code) == (503, "not_stored")
    assert answer.headers["Retry-After"]


SCRIPT = """
import json, sys
sys.path[:0] = {path!r}
from app import handler
class Context:
    def get_remaining_time_in_millis(self): return 20_000
answer = handler(json.loads({event!r}), Context())
bad = [name for name in sys.modules if name.partition(".")[0] in ("botocore", "boto3", "urllib3")]
print(json.dumps([answer["statusCode"], bad]))
"""


def test_botocore_is_not_imported_for_that(aws: FakeAws, snapshot: Endpoint) -> None:
    path = [str(ROOT / "functions/receive_webhook"), str(ROOT / "layers/provider")]
    script = SCRIPT.format(path=path, event=json.dumps(event("receive_webhook", "order")))
    environment = aws.environment | {
        "AWS_REGION": REGION,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": snapshot.url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of-the-instance",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [401, []]
    assert snapshot.asked == ["of-the-instance"]


def test_boto3s_clients_sign_with_those_of_the_moment(aws: FakeAws, endpoint: Endpoint) -> None:
    given = endpoint.credentials()
    client = Aws(region=REGION, credentials=given, endpoint_url=aws.url)
    seen: list[str] = []
    client.s3.meta.events.register(
        "before-send.s3",
        lambda request, **_: seen.append(request.headers["X-Amz-Security-Token"].decode()),
    )
    client.s3.list_objects_v2(Bucket=aws.names["PayloadsBucket"])
    endpoint.now += timedelta(hours=5, minutes=50)
    client.s3.list_objects_v2(Bucket=aws.names["PayloadsBucket"])
    assert seen == ["session-token-1", "session-token-2"]


# -- Time ------------------------------------------------------------------------------------


def test_they_are_asked_for_again_before_they_expire(endpoint: Endpoint) -> None:
    given = endpoint.credentials()
    for later, number in ((0, 1), (60, 1), (344, 1), (346, 2), (600, 2), (692, 3)):
        endpoint.now = START + timedelta(minutes=later)
        assert given().token == f"session-token-{number}"


def test_short_lived_ones_are_not_asked_for_at_each_call(endpoint: Endpoint) -> None:
    endpoint.lifetime = timedelta(minutes=10)
    given = endpoint.credentials()
    for later, number in ((0, 1), (4, 1), (6, 2), (10, 2), (12, 3)):
        endpoint.now = START + timedelta(minutes=later)
        assert given().token == f"session-token-{number}"


def test_while_no_new_ones_come_the_old_ones_serve_until_just_before_their_end(
    endpoint: Endpoint,
) -> None:
    given = endpoint.credentials()
    given()
    endpoint.statuses = [503] * 1000
    for minutes in (350, 352, 355, 358):
        endpoint.now = START + timedelta(minutes=minutes)
        assert given().token == "session-token-1"
    assert len(endpoint.asked) == 5  # once for each, as the old ones are still good
    endpoint.now = START + timedelta(minutes=359, seconds=1)
    with pytest.raises(NoCredentials, match="status 503"):
        given()
    endpoint.statuses.clear()
    assert given().token.startswith("session-token-")  # type: ignore[union-attr]


def test_what_failed_a_moment_ago_is_not_asked_again_at_once(endpoint: Endpoint) -> None:
    given = endpoint.credentials()
    given()
    endpoint.statuses = [503] * 1000
    endpoint.now = START + timedelta(minutes=350)
    for _ in range(50):
        given()
    assert len(endpoint.asked) == 2


def test_credentials_that_have_expired_are_none(endpoint: Endpoint) -> None:
    endpoint.lifetime = timedelta(seconds=30)
    with pytest.raises(NoCredentials, match="cannot be read"):
        endpoint.credentials()()


def test_threads_ask_once(endpoint: Endpoint) -> None:
    given = endpoint.credentials()
    threads = [threading.Thread(target=given) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(endpoint.asked) == 1


def test_who_does_not_answer_is_waited_for_only_while_there_is_time(black_hole: str) -> None:
    left = iter([0.2, 0.0])
    given = ContainerCredentials(black_hole, time_left=lambda: next(left), sleep=lambda _: None)
    with pytest.raises(NoCredentials, match="TimeoutError"):
        given()


# -- What may be asked, and what is believed --------------------------------------------------


def test_a_busy_endpoint_is_asked_three_times(endpoint: Endpoint) -> None:
    endpoint.statuses = [500, 429]
    assert endpoint.credentials()().token == "session-token-3"
    endpoint.statuses = [500] * 3
    with pytest.raises(NoCredentials):
        endpoint.credentials()()
    assert len(endpoint.asked) == 6


@pytest.mark.parametrize(
    "says", [[], {}, "text", {"AccessKeyId": "x"}, {"Code": "Failed", "Message": SECRET_KEY}]
)
def test_what_is_no_credentials_is_told_without_its_words(endpoint: Endpoint, says: object) -> None:
    endpoint.says = says or [1]
    with pytest.raises(NoCredentials, match="cannot be read") as caught:
        endpoint.credentials()()
    assert SECRET_KEY not in str(caught.value)


def test_a_chunked_answer_is_read(endpoint: Endpoint) -> None:
    endpoint.chunked = True
    assert endpoint.credentials()().token == "session-token-1"


def test_a_tokens_file_goes_first_and_is_read_each_time(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="utf-8")
    given = endpoint.credentials(token="of-the-variable", token_file=str(file))
    given()
    file.write_text("second", encoding="utf-8")
    endpoint.now += timedelta(hours=6)
    given()
    assert endpoint.asked == ["first", "second"]


def test_a_tokens_file_that_is_gone_is_no_credentials(endpoint: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="FileNotFoundError"):
        endpoint.credentials(token_file=str(tmp_path / "none"))()
    assert endpoint.asked == []


def test_a_token_of_two_lines_is_sent_to_nobody(endpoint: Endpoint) -> None:
    with pytest.raises(ValueError, match="one line"):
        endpoint.credentials(token="a\r\nHost: elsewhere")()
    assert endpoint.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.170.2/v2/credentials",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://localhost:9001/x",
        "http://127.0.0.1:9001/x",
        "http://127.8.8.8/x",
        "http://[::1]:9001/x",
        "https://credentials.example.org/x",
        "http://credentials.example.org/x",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "http://localhost.example.org/x",
        "http://127.0.0.1.example.org/x",
    ],
)
def test_the_same_hosts_may_be_asked_as_with_botocore(url: str) -> None:
    try:
        ContainerMetadataFetcher(session=object())._validate_allowed_url(url)
    except ValueError:
        with pytest.raises(ValueError, match="another machine"):
            ContainerCredentials(url)
    else:
        ContainerCredentials(url)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://localhost/x", "localhost"])
def test_what_is_no_address_may_not_be_asked(url: str) -> None:
    with pytest.raises(ValueError, match="another machine"):
        ContainerCredentials(url)


def test_without_credentials_a_call_is_one_that_may_go_well_soon(
    aws: FakeAws, endpoint: Endpoint
) -> None:
    endpoint.statuses = [500] * 1000
    client = Aws(region=REGION, credentials=endpoint.credentials(), endpoint_url=aws.url)
    key = {"TableName": aws.names["TokensTable"], "Key": item({"tokenHash": "x"})}
    with pytest.raises(AwsUnavailable, match="NoCredentials") as caught:
        client.dynamodb("GetItem", key)
    assert isinstance(caught.value, ServiceUnavailable)
    assert not aws.calls
