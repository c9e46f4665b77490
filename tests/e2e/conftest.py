"""The deployed stack, driven over HTTP, with stand-ins on loopback in the providers' places."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.receiver import Receiver
from tests.fakes.telegram import TelegramServer

FACEBOOK_VERIFY_TOKEN = "stack-verify-token"


@dataclass(frozen=True)
class StandIns:
    """Who plays the providers, for all the tests of a session."""

    telegram: TelegramServer
    google: FakeGoogle
    facebook: FacebookStandIn
    receiver: Receiver


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
        return answer.json()

    def act(
        self, provider: str, action: str, params: Mapping[str, Any], connection: str = "default"
    ) -> Any:
        """Run an action and return its result."""
        body = {"params": params, "connection": connection}
        answer = self.post(f"/api/integrations/{provider}/actions/{action}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def create_workflow(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Create a workflow and return it."""
        answer = self.post("/api/workflows", definition)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def executions(self, **filters: str) -> list[dict[str, Any]]:
        """Every execution that fits, newest first, over all pages."""
        found: list[dict[str, Any]] = []
        token = None
        while True:
            params = {**filters, "limit": "100"} | ({"nextToken": token} if token else {})
            page = self.get("/api/executions", params=params).json()
            found += page["items"]
            token = page.get("nextToken")
            if not token:
                return found

    def finished(
        self, count: int = 1, *, seconds: float = 60, **filters: str
    ) -> list[dict[str, Any]]:
        """Wait until so many executions are there and all are finished, and return them whole."""

        def look() -> list[dict[str, Any]] | None:
            found = self.executions(**filters)
            done = all(each["finishedAt"] for each in found)
            return found if len(found) >= count and done else None

        found = eventually(look, seconds=seconds)
        return [self.get(f"/api/executions/{each['executionId']}").json() for each in found]


def eventually[T](look: Callable[[], T | None], *, seconds: float = 30, every: float = 0.25) -> T:
    """What ``look`` finds, as soon as it finds something; a failure where it takes too long."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing within {seconds} s; last: {found!r}"
        time.sleep(every)


@pytest.fixture(scope="session")
def stand_ins() -> Iterator[StandIns]:
    with (
        TelegramServer() as telegram,
        FakeGoogle() as google,
        FacebookStandIn() as facebook,
        Receiver() as receiver,
    ):
        yield StandIns(telegram, google, facebook, receiver)


@pytest.fixture(scope="session")
def platform(stand_ins: StandIns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    addresses = stand_ins.google.addresses
    ((client_id, client_secret),) = stand_ins.google.clients.items()
    parameters = {
        "TelegramApiBase": stand_ins.telegram.url,
        "SheetsApiBase": addresses["sheets_api"],
        "GoogleAuthUrl": addresses["google_auth"],
        "GoogleTokenUrl": addresses["google_token"],
        "GoogleRevokeUrl": addresses["google_revoke"],
        "FacebookGraphBase": stand_ins.facebook.url,
        "FacebookDialogBase": stand_ins.facebook.url,
        "GoogleClientId": client_id,
        "GoogleClientSecret": client_secret,
        "FacebookAppId": stand_ins.facebook.app_id,
        "FacebookAppSecret": stand_ins.facebook.app_secret,
        "FacebookVerifyToken": FACEBOOK_VERIFY_TOKEN,
        "FrontendUrl": "http://localhost:5173",
    }
    state = tmp_path_factory.mktemp("platform")
    with Platform(state, parameters=parameters) as platform:
        yield platform


@pytest.fixture
def client(platform: Platform) -> Client:
    """A client of a tenant that is this test's alone."""
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    token = platform.tokens.create(tenant=tenant, name="e2e")
    return Client(platform, token, tenant)
