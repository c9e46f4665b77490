"""Every function on a stand-in of AWS, made of ``template.yaml``; providers are stand-ins, too."""

import io
import logging
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from integrations import memory
from integrations.entry import invocation, settings, wiring
from integrations.storage.aws import Aws
from integrations.storage.aws import client as aws_client
from local import console
from local.report import Report
from tests.backend import Backend
from tests.clock import Clock
from tests.fakes import aws as amazon
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.receiver import Receiver
from tests.fakes.telegram import TOKEN as EXAMPLE_TOKEN
from tests.fakes.telegram import TelegramServer

NOWHERE = "http://127.0.0.1:59999"
"""Where providers are that a test has not asked for: nobody listens there."""

ADDRESSES = {
    "TELEGRAM_API_BASE": NOWHERE,
    "SHEETS_API_BASE": NOWHERE,
    "GOOGLE_AUTH_URL": f"{NOWHERE}/auth",
    "GOOGLE_TOKEN_URL": f"{NOWHERE}/token",
    "GOOGLE_REVOKE_URL": f"{NOWHERE}/revoke",
    "FACEBOOK_GRAPH_BASE": NOWHERE,
    "FACEBOOK_DIALOG_BASE": NOWHERE,
}

GOOGLE_CLIENT = "1098-client.apps.googleusercontent.com"
GOOGLE_SECRET = "GOCSPX-secret-of-the-google-client"
FACEBOOK_APP = "123456789012345"
FACEBOOK_SECRET = "c0ffee5eb63bbbe01eeed093cb22bb8f"
VERIFY_TOKEN = "verify-token-of-the-stack"

BOT_TOKEN = "7350119642:AAE-token-of-the-bot-in-these-tests_0001"

STACK_SECRETS = {amazon.SECRET_KEY, BOT_TOKEN, GOOGLE_SECRET, FACEBOOK_SECRET, VERIFY_TOKEN}


@pytest.fixture(scope="session")
def built_console() -> None:
    """The console's files, which its function serves, as the sources have them."""
    console.build(Report(quiet=True))


@pytest.fixture(scope="session")
def _aws() -> Iterator[amazon.FakeAws]:
    with amazon.FakeAws(
        Stage="local",
        AllowLoopback="true",
        GoogleClientId=GOOGLE_CLIENT,
        GoogleClientSecret=GOOGLE_SECRET,
        FacebookAppId=FACEBOOK_APP,
        FacebookAppSecret=FACEBOOK_SECRET,
        FacebookVerifyToken=VERIFY_TOKEN,
    ) as running:
        yield running


@pytest.fixture
def aws(_aws: amazon.FakeAws) -> amazon.FakeAws:
    """AWS, empty."""
    _aws.reset()
    return _aws


@pytest.fixture
def clock() -> Clock:
    """The time of day, for tables that ask it."""
    return Clock()


@pytest.fixture(scope="session")
def _client(_aws: amazon.FakeAws) -> Aws:
    """The functions' one way to AWS: kept, for what connections and boto3's clients cost."""
    client = Aws(
        region=amazon.REGION,
        credentials=settings.credentials,
        endpoint_url=_aws.url,
        on_retry=wiring.tell_retry,
        time_left=invocation.seconds_left,
    )
    client._transport = amazon.Direct(_aws)
    return client


@pytest.fixture(autouse=True)
def logs(
    aws: amazon.FakeAws,
    _client: Aws,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> io.StringIO:
    """A fresh process's environment, and what its logger writes."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    variables = aws.environment | ADDRESSES
    variables |= {
        "AWS_ACCESS_KEY_ID": amazon.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": amazon.SECRET_KEY,
        "AWS_REGION": amazon.REGION,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    memory.forget()
    monkeypatch.setattr(wiring, "aws", lambda: _client)
    # What AWS refuses for the moment is tried again as often as ever, and sooner.
    monkeypatch.setattr(aws_client, "PAUSE_SECONDS", aws_client.PAUSE_SECONDS / 20)
    written = io.StringIO()
    for handler in _handlers():
        handler.setStream(written)
    return written


@pytest.fixture
def backend(
    aws: amazon.FakeAws,
    logs: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[Backend]:
    """The functions. Afterwards no secret may have left the vault: not to logs, rows or queues.

    Nor may a function have tried what its role does not allow.
    """
    whole = Backend(aws)
    whole.secrets |= STACK_SECRETS
    yield whole
    assert aws.denied == []
    printed = capsys.readouterr()
    whole.check_secrets(logs.getvalue() + printed.out + printed.err, "the log")
    whole.check_secrets(aws.everything(), "what is stored or queued")


def _handlers() -> list["logging.StreamHandler[io.StringIO]"]:
    from aws_lambda_powertools import Logger

    service = os.environ["POWERTOOLS_SERVICE_NAME"]
    Logger(service=service)
    return [each for each in logging.getLogger(service).handlers if hasattr(each, "setStream")]


# -- The providers ---------------------------------------------------------------------------


@pytest.fixture
def telegram(monkeypatch: pytest.MonkeyPatch) -> Iterator[TelegramServer]:
    """Telegram, with one bot whose token is ``telegram.token``, and that of the example events."""
    running = TelegramServer(token=BOT_TOKEN).start()
    running.add_bot(EXAMPLE_TOKEN, "example_bot")
    monkeypatch.setenv("TELEGRAM_API_BASE", running.url)
    memory.forget()
    yield running
    # Nobody needs to wait for that.
    threading.Thread(target=running.stop, daemon=True).start()


@pytest.fixture
def google_server(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGoogle]:
    """Google, with this stack's OAuth client."""
    with FakeGoogle() as running:
        running.clients = {GOOGLE_CLIENT: GOOGLE_SECRET}
        monkeypatch.setenv("SHEETS_API_BASE", running.url)
        for name, path in {
            "GOOGLE_AUTH_URL": "/o/oauth2/v2/auth",
            "GOOGLE_TOKEN_URL": "/token",
            "GOOGLE_REVOKE_URL": "/revoke",
        }.items():
            monkeypatch.setenv(name, f"{running.url}{path}")
        memory.forget()
        yield running
        backend.secrets |= {*running.access_tokens, *running.refresh_tokens}


@pytest.fixture
def facebook(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[FacebookStandIn]:
    """Facebook, with this stack's app."""
    with FacebookStandIn(FACEBOOK_APP, FACEBOOK_SECRET) as running:
        monkeypatch.setenv("FACEBOOK_GRAPH_BASE", running.url)
        monkeypatch.setenv("FACEBOOK_DIALOG_BASE", running.url)
        memory.forget()
        yield running
        backend.secrets |= set(running.tokens)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of somebody who accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who receives our webhooks."""
    with Receiver() as running:
        yield running
