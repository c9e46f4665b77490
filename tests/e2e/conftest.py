"""The deployed stack, driven over HTTP, with stand-ins on loopback in the providers' places."""

import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.fakes.certificates import Authority
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.oidc import Issuer
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import TelegramServer

FACEBOOK_VERIFY_TOKEN = "stack-verify-token"
JWT_AUDIENCE = "integrations"
PLATFORM_TENANT = "platform"
MAIL_USER = "stack@example.com"
MAIL_PASSWORD = "5ecret-of-the-stack"


@dataclass(frozen=True)
class StandIns:
    """Who plays the providers, for all the tests of a session."""

    telegram: TelegramServer
    google: FakeGoogle
    facebook: FacebookStandIn
    receiver: Receiver
    mail: MailServer
    issuer: Issuer


class Client:
    """An API client with a token of its own.

    Each test has a tenant of its own, so no test sees what another one left.
    """

    def __init__(self, platform: Platform, token: str, tenant: str) -> None:
        self.platform = platform
        self.token = token
        self.tenant = tenant
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", 60)
        return self._session.request(method, f"{self.platform.url}{path}", **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.request("POST", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.request("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    # -- what many tests do --

    def save(
        self, provider: str, credentials: Mapping[str, Any], connection: str = "default"
    ) -> dict[str, Any]:
        """Save credentials and return the metadata."""
        body = {"credentials": credentials, "connection": connection}
        answer = self.post(f"/api/integrations/{provider}/credentials", body)
        assert answer.status_code == 200, answer.text
        saved: dict[str, Any] = answer.json()
        return saved

    def act(
        self, provider: str, action: str, params: Mapping[str, Any], connection: str = "default"
    ) -> Any:
        """Run an action and return its result."""
        body = {"params": params, "connection": connection}
        answer = self.post(f"/api/integrations/{provider}/actions/{action}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def refused_save(
        self, provider: str, credentials: Mapping[str, Any], status: int, code: str
    ) -> dict[str, Any]:
        """Try to save credentials; the problem, with nothing of the tenant's changed by it."""
        before = self.get("/api/integrations/status").json()[provider]
        answer = self.post(
            f"/api/integrations/{provider}/credentials", {"credentials": credentials}
        )
        refusal = problem(answer, status, code)
        assert self.get("/api/integrations/status").json()[provider] == before
        return refusal

    def refused_action(
        self, name: str, params: Mapping[str, Any], status: int, code: str
    ) -> dict[str, Any]:
        """Try an action ``provider.action`` of the default connection; the problem."""
        provider, _, action = name.partition(".")
        answer = self.post(f"/api/integrations/{provider}/actions/{action}", {"params": params})
        return problem(answer, status, code)

    def create_workflow(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Create a workflow and return it."""
        answer = self.post("/api/workflows", definition)
        assert answer.status_code == 200, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def listed(self, path: str, **filters: str) -> list[dict[str, Any]]:
        """All items of a list that fit, over all its pages."""
        found: list[dict[str, Any]] = []
        token = None
        while True:
            params = filters | ({"nextToken": token} if token else {})
            page = self.get(path, params=params).json()
            found += page["items"]
            token = page.get("nextToken")
            if not token:
                return found

    def executions(self, **filters: str) -> list[dict[str, Any]]:
        """Every execution that fits, newest first."""
        return self.listed("/api/executions", **filters, limit="100")

    def finished(
        self, count: int = 1, *, seconds: float = 150, **filters: str
    ) -> list[dict[str, Any]]:
        """Wait until so many executions are there and all are finished, and return them whole."""

        def look() -> list[dict[str, Any]] | None:
            found = self.executions(**filters)
            done = all(each["finishedAt"] for each in found)
            return found if len(found) >= count and done else None

        found = eventually(look, seconds=seconds)
        return [self.get(f"/api/executions/{each['executionId']}").json() for each in found]


def problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """A refusal as RFC 9457 has it, with this status and code; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"]
    assert body["title"]
    assert body["detail"]
    assert body["requestId"]
    return body


def eventually[T](look: Callable[[], T | None], *, seconds: float = 150, every: float = 0.25) -> T:
    """What ``look`` finds, as soon as it finds something; a failure where it takes too long."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing within {seconds} s; last: {found!r}"
        time.sleep(every)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues the mail servers' certificates; the functions trust it."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stand_ins(authority: Authority) -> Iterator[StandIns]:
    with (
        TelegramServer() as telegram,
        FakeGoogle() as google,
        FacebookStandIn() as facebook,
        Receiver() as receiver,
        MailServer(
            "starttls",
            authority.server_context("localhost"),
            users={MAIL_USER: MAIL_PASSWORD},
        ) as mail,
        Issuer() as issuer,
    ):
        yield StandIns(telegram, google, facebook, receiver, mail, issuer)


@pytest.fixture(scope="session", autouse=True)
def _trust(authority: Authority) -> Iterator[None]:
    """Let whatever starts from here, the functions' processes included, trust the authority too."""
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    own = Path(trusted).read_text(encoding="utf-8") if trusted else ""
    bundle = authority.bundle.with_name("trusted.pem")
    bundle.write_text(f"{own}\n{authority.bundle.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        yield


@pytest.fixture(scope="session")
def platform(stand_ins: StandIns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    addresses = stand_ins.google.addresses
    ((client_id, client_secret),) = stand_ins.google.clients.items()
    parameters = {
        "TelegramApiBase": stand_ins.telegram.url,
        "SheetsApiBase": addresses["sheets_api"],
        "GoogleTokenUrl": addresses["google_token"],
        "GoogleRevokeUrl": addresses["google_revoke"],
        "FacebookGraphBase": stand_ins.facebook.url,
        "FacebookDialogBase": stand_ins.facebook.url,
        "GoogleClientId": client_id,
        "GoogleClientSecret": client_secret,
        "FacebookAppId": stand_ins.facebook.app_id,
        "FacebookAppSecret": stand_ins.facebook.app_secret,
        "FacebookVerifyToken": FACEBOOK_VERIFY_TOKEN,
        "SmtpHost": "localhost",
        "SmtpPort": str(stand_ins.mail.port),
        "SmtpUser": MAIL_USER,
        "SmtpPass": MAIL_PASSWORD,
        "SmtpFrom": f"The stack <{MAIL_USER}>",
        "JwtIssuer": stand_ins.issuer.url,
        "JwtAudience": JWT_AUDIENCE,
        "ConsoleClientId": "console",
        "FrontendUrl": "http://localhost:5173",
        "PlatformTenant": PLATFORM_TENANT,
    }
    state = tmp_path_factory.mktemp("platform")
    with Platform(state, parameters=parameters) as platform:
        yield platform


@pytest.fixture
def tenant() -> str:
    """A tenant that is this test's alone."""
    return f"tenant-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client(platform: Platform, tenant: str) -> Client:
    """A client of the test's tenant."""
    token = platform.tokens.create(tenant=tenant, name="e2e")
    return Client(platform, token, tenant)
