"""Connections that stay alive by themselves, or say plainly that somebody must log in again."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.e2e.browser import SECRETS, Browser, log_in
from tests.e2e.conftest import Client, StandIns, eventually, problem
from tests.e2e.secrecy import assert_absent
from tests.fakes.google import ISSUER, Book, Consent, Failure, FakeGoogle, Seen

pytestmark = pytest.mark.e2e

NOT_YET = timedelta(hours=23)


@pytest.fixture
def google(stand_ins: StandIns) -> Iterator[FakeGoogle]:
    stand_in = stand_ins.google
    stand_in.consent = Consent()
    yield stand_in
    stand_in.consent, stand_in.token_lifetime, stand_in.rotate_refresh_tokens = (
        Consent(),
        3599,
        False,
    )
    stand_in._failures.clear()


@pytest.fixture(scope="module", autouse=True)
def _nothing_leaks(platform: Platform, stand_ins: StandIns) -> Iterator[None]:
    """Nothing of what was refreshed is in a log line or in the clear in a table."""
    yield
    google = stand_ins.google
    assert_absent(platform, {*google.access_tokens, *google.refresh_tokens, *SECRETS})


@pytest.fixture
def book(google: FakeGoogle) -> Book:
    return google.add_book({"Orders": [["Id"]]})


class Connected:
    """A connection with Google, of an account that no other test has."""

    def __init__(self, client: Client, google: FakeGoogle, name: str = "default") -> None:
        self.client, self.google, self.name = client, google, name
        self.browser = Browser({ISSUER: google.url})
        self.subject = uuid.uuid4().hex
        self.before = 0

    def log_in(self, lifetime: int = 3599) -> None:
        """Log in; the access token lives so long, and those after it for an hour."""
        self.google.consent = Consent(subject=self.subject)
        self.google.token_lifetime = lifetime
        done = log_in(self.client, self.browser, "sheets_oauth", connection=self.name)
        assert done["status"] == "completed", done
        self.google.token_lifetime = 3599
        self.before = len(self.google.refreshes(self.subject))

    @property
    def refreshes(self) -> list[Seen]:
        """The refreshes since the login."""
        return self.google.refreshes(self.subject)[self.before :]

    @property
    def status(self) -> dict[str, Any]:
        """What ``/status`` says of the connection."""
        answer = self.client.get("/api/integrations/status").json()["sheets_oauth"]
        return next(each for each in answer["connections"] if each["connection"] == self.name)

    def append(self, book: Book) -> Any:
        """Use it."""
        body = {"params": row(book), "connection": self.name}
        return self.client.post("/api/integrations/sheets_oauth/actions/appendRow", body)


def row(book: Book) -> dict[str, Any]:
    return {"spreadsheetId": book.id, "range": "Orders!A1", "values": [1]}


@pytest.fixture
def connected(client: Client, google: FakeGoogle) -> Connected:
    return Connected(client, google)


def workflow(client: Client, book: Book, connection: str = "default") -> str:
    """A workflow that appends a row; its id."""
    step = {
        "id": "append",
        "action": "sheets_oauth.appendRow",
        "connection": connection,
        "params": row(book),
    }
    made = client.create_workflow({"name": "a", "trigger": {"type": "manual"}, "steps": [step]})
    return str(made["workflowId"])


# -- On use ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("lifetime", "refreshes"), [(3599, 0), (600, 0), (299, 1), (1, 1)])
def test_a_token_is_refreshed_in_its_last_five_minutes(
    connected: Connected, book: Book, lifetime: int, refreshes: int
) -> None:
    connected.log_in(lifetime)
    assert connected.append(book).status_code == 200
    assert len(connected.refreshes) == refreshes
    assert connected.append(book).status_code == 200
    assert len(connected.refreshes) == refreshes
    ends = datetime.fromisoformat(connected.status["expiresAt"])
    if refreshes:
        assert ends > datetime.now(UTC) + timedelta(minutes=55)


def test_a_rotated_refresh_token_is_kept(
    connected: Connected, google: FakeGoogle, book: Book
) -> None:
    google.rotate_refresh_tokens = True
    connected.log_in(1)
    google.token_lifetime = 1
    for _ in range(4):
        assert connected.append(book).status_code == 200
        time.sleep(1)
    sent = [seen.form["refresh_token"] for seen in connected.refreshes]
    assert len(set(sent)) == len(sent) == 4
    assert connected.status["status"] == "connected"


@pytest.mark.long
def test_twenty_executions_that_need_the_same_expired_token_refresh_it_once(
    connected: Connected, google: FakeGoogle, book: Book
) -> None:
    client = connected.client
    google.rotate_refresh_tokens = True
    connected.log_in(1)
    workflow_id = workflow(client, book)
    time.sleep(1)

    def start(number: int) -> requests.Response:
        # On a busy machine the stand-in of AWS may not answer in time; then we ask to come again.
        headers = {"Idempotency-Key": f"run {number}"}
        path = f"/api/workflows/{workflow_id}/run"
        while (answer := client.post(path, {}, headers=headers)).status_code == 503:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(start, range(20)))
    assert [answer.text for answer in answers if not answer.ok] == []
    executions = client.finished(20, seconds=240, workflowId=workflow_id)
    assert [each["status"] for each in executions] == ["succeeded"] * 20
    assert len(connected.refreshes) == 1
    assert len(book.rows("Orders")) == 21


def test_twelve_requests_at_the_same_moment_refresh_it_once(
    connected: Connected, google: FakeGoogle, book: Book
) -> None:
    google.rotate_refresh_tokens = True
    connected.log_in(1)
    time.sleep(1)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: connected.append(book), range(12)))
    assert [answer.text for answer in answers if not answer.ok] == []
    assert len(connected.refreshes) == 1


def test_a_refused_token_is_refreshed_in_the_middle(
    connected: Connected, google: FakeGoogle, book: Book
) -> None:
    connected.log_in()
    google.end_access_tokens()
    assert connected.append(book).status_code == 200
    assert len(connected.refreshes) == 1
    google.end_access_tokens()
    tested = connected.client.post("/api/integrations/sheets_oauth/test", {}).json()
    assert (tested["success"], tested["message"]) == (True, "Connected as ann@example.com")
    assert len(connected.refreshes) == 2
    assert (connected.status["status"], connected.status["lastError"]) == ("connected", None)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(503),
        Failure(500, {"error": "server_error"}),
        Failure(429),
        Failure(400, {"error": "temporarily_unavailable"}),
        Failure(200, "<html>"),
        Failure(200, ""),
    ],
    ids=["503", "500", "429", "temporarily", "html", "nothing"],
)
def test_a_token_service_in_trouble_changes_no_state(
    connected: Connected, google: FakeGoogle, book: Book, failure: Failure
) -> None:
    connected.log_in(1)
    time.sleep(1)
    google.fail("token", failure)
    problem(connected.append(book), 502, "provider_unavailable")
    status = connected.status
    assert status["status"] == "connected"
    assert status["lastError"]["code"] == "provider_unavailable"
    # A moment later it is well again.
    assert connected.append(book).status_code == 200
    assert (connected.status["status"], connected.status["lastError"]) == ("connected", None)


def test_a_token_that_is_still_good_is_used_while_the_service_is_in_trouble(
    connected: Connected, google: FakeGoogle, book: Book
) -> None:
    connected.log_in(200)
    google.fail("token", Failure(503))
    assert connected.append(book).status_code == 200
    assert connected.status["lastError"]["code"] == "provider_unavailable"
    # Refused and no new one to be had: the state is left alone too.
    google.end_access_tokens()
    google.fail("token", Failure(503), Failure(503))
    problem(connected.append(book), 502, "provider_unavailable")
    assert connected.status["status"] == "connected"


def test_a_refused_client_of_the_stack_is_no_reason_to_log_in(
    connected: Connected, google: FakeGoogle, book: Book
) -> None:
    connected.log_in(1)
    time.sleep(1)
    google.fail("token", Failure(401, {"error": "invalid_client"}))
    problem(connected.append(book), 422, "credentials_rejected")
    assert connected.status["status"] == "error"
    assert connected.append(book).status_code == 200
    assert connected.status["status"] == "connected"


def test_a_revoked_grant_asks_for_a_login_and_a_login_mends_everything(
    client: Client, google: FakeGoogle, book: Book
) -> None:
    connected = Connected(client, google, "sales")
    connected.log_in(1)
    workflow_id = workflow(client, book, "sales")
    definition = client.get(f"/api/workflows/{workflow_id}").json()
    first = connected.status
    time.sleep(1)
    google.revoke_all()

    client.post(f"/api/workflows/{workflow_id}/run", {})
    (execution,) = client.finished(workflowId=workflow_id)
    assert (execution["status"], execution["error"]["code"]) == ("failed", "needs_reauth")
    status = connected.status
    assert status["status"] == "needs_reauth"
    assert status["lastError"]["code"] == "needs_reauth"
    assert "Token has been expired or revoked. (invalid_grant)" in status["lastError"]["message"]
    assert "ann@example.com" in status["lastError"]["message"]
    assert datetime.fromisoformat(status["lastError"]["at"]) > datetime.fromisoformat(
        first["updatedAt"]
    )
    whole = client.get("/api/integrations/status").json()["sheets_oauth"]
    assert whole["status"] == "needs_reauth"

    # What is dead is not sent again.
    assert len(connected.refreshes) == 1
    problem(connected.append(book), 422, "needs_reauth")
    assert len(connected.refreshes) == 1

    connected.log_in()
    assert (connected.status["status"], connected.status["lastError"]) == ("connected", None)
    assert connected.status["connectedAt"] == first["connectedAt"]
    assert client.get(f"/api/workflows/{workflow_id}").json() == definition
    answer = client.post(f"/api/executions/{execution['executionId']}/retry")
    assert answer.status_code == 200, answer.text
    (execution,) = client.finished(workflowId=workflow_id)
    assert execution["status"] == "succeeded"
    assert len(book.rows("Orders")) == 2


# -- The daily check -------------------------------------------------------------------------


def make_due(platform: Platform, client: Client, *names: str, provider: str) -> None:
    """Let the check of these connections be due, as tomorrow would."""
    for name in names:
        platform.client("dynamodb").update_item(
            TableName=platform.name("ConnectionsTable"),
            Key={"tenant": {"S": client.tenant}, "connection": {"S": f"{provider}#{name}"}},
            UpdateExpression="SET dueAt = :past",
            ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 3600)}},
        )


def due_at(platform: Platform, client: Client, key: str) -> datetime:
    """When a connection is checked next."""
    item = platform.client("dynamodb").get_item(
        TableName=platform.name("ConnectionsTable"),
        Key={"tenant": {"S": client.tenant}, "connection": {"S": key}},
    )["Item"]
    return datetime.fromtimestamp(float(item["dueAt"]["N"]), UTC)


def check(platform: Platform, client: Client, *connections: str, provider: str) -> None:
    """Run the schedule's function now, until these connections are no longer due.

    The schedule runs it each minute as well: which of the two takes a connection is all the same.
    """
    answer = platform.client("lambda").invoke(
        FunctionName=platform.name("RefreshConnectionsFunction"), Payload=b"{}"
    )
    assert "FunctionError" not in answer, answer["Payload"].read()
    keys = [f"{provider}#{connection}" for connection in connections]
    eventually(lambda: all(due_at(platform, client, key) > datetime.now(UTC) for key in keys))


def test_the_daily_check_refreshes_the_living_and_tells_of_the_dead(
    client: Client, google: FakeGoogle, platform: Platform, stand_ins: StandIns
) -> None:
    names = [f"c{number}" for number in range(30)]
    connections = {name: Connected(client, google, name) for name in names}
    for connected in connections.values():
        connected.log_in()
    dead = {"c3", "c17"}
    lost = {connections[name].subject for name in dead}
    for token, grant in list(google.refresh_tokens.items()):
        if grant.subject in lost:
            del google.refresh_tokens[token]
    # One whose secret does not open any more stops no other.
    platform.client("dynamodb").update_item(
        TableName=platform.name("ConnectionsTable"),
        Key={"tenant": {"S": client.tenant}, "connection": {"S": "sheets_oauth#c8"}},
        UpdateExpression="SET nonce = :nonce",
        ExpressionAttributeValues={":nonce": {"B": b"x" * 12}},
    )
    make_due(platform, client, *names, provider="sheets_oauth")

    check(platform, client, *names, provider="sheets_oauth")

    asked = {name: len(each.refreshes) for name, each in connections.items()}
    assert asked == dict.fromkeys(names, 1) | {"c8": 0}
    stand_in = client.get("/api/integrations/status").json()["sheets_oauth"]["connections"]
    for each in stand_in:
        name = each["connection"]
        if name == "c8":
            assert each["status"] == "error", each
            continue
        assert each["status"] == ("needs_reauth" if name in dead else "connected"), each
        assert datetime.fromisoformat(each["lastTested"]) > datetime.now(UTC) - timedelta(minutes=5)
        if name in dead:
            assert "invalid_grant" in each["lastError"]["message"]
    for name in names:
        assert due_at(platform, client, f"sheets_oauth#{name}") > datetime.now(UTC) + NOT_YET

    # The next run begins where this one ended.
    check(platform, client, *names, provider="sheets_oauth")
    assert {name: len(each.refreshes) for name, each in connections.items()} == asked


def test_a_provider_that_is_down_is_asked_again_in_an_hour(
    connected: Connected, google: FakeGoogle, platform: Platform
) -> None:
    connected.log_in()
    make_due(platform, connected.client, "default", provider="sheets_oauth")
    google.fail("token", Failure(503))
    google.fail("values.get", Failure(503), Failure(503))
    google.fail("spreadsheets", Failure(503), Failure(503))
    check(platform, connected.client, "default", provider="sheets_oauth")
    assert connected.status["status"] == "connected"
    assert connected.status["lastError"]["code"] == "provider_unavailable"
    due = due_at(platform, connected.client, "sheets_oauth#default")
    assert datetime.now(UTC) + timedelta(minutes=55) < due < datetime.now(UTC) + timedelta(hours=2)


def test_a_page_token_near_its_end_is_exchanged_by_the_check(
    client: Client, platform: Platform, stand_ins: StandIns
) -> None:
    facebook = stand_ins.facebook
    before_login = facebook.login_user
    facebook.login_user = facebook.add_user("Eve", pages=[facebook.add_page("Florist")])
    try:
        log_in(client, Browser(), "facebook_oauth")
    finally:
        facebook.login_user, eve = before_login, facebook.login_user
    # Two days are left of the sixty.
    soon = int(time.time()) + 2 * 86400
    for token in facebook.tokens.values():
        if token.user_id == eve and token.kind == "USER":
            token.expires_at = soon
    assert client.post("/api/integrations/facebook_oauth/test", {}).json()["success"]

    def left() -> timedelta:
        made = client.get("/api/integrations/facebook_oauth/credentials").json()
        return datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)

    for token in facebook.tokens.values():
        if token.user_id == eve and token.kind == "USER":
            token.expires_at = soon
    make_due(platform, client, "default", provider="facebook_oauth")
    check(platform, client, "default", provider="facebook_oauth")
    assert left() > timedelta(days=50)

    # When it is over, only Eve can help.
    for text, token in list(facebook.tokens.items()):
        if token.user_id == eve:
            facebook.expire(text)
    make_due(platform, client, "default", provider="facebook_oauth")
    check(platform, client, "default", provider="facebook_oauth")
    status = client.get("/api/integrations/status").json()["facebook_oauth"]
    assert status["status"] == "needs_reauth"
    assert "expired" in status["lastError"]["message"]


def test_the_schedule_calls_the_check_by_itself(platform: Platform) -> None:
    scheduler = platform.client("scheduler")
    found = [
        scheduler.get_schedule(Name=each["Name"], GroupName=each["GroupName"])
        for page in scheduler.get_paginator("list_schedules").paginate()
        for each in page["Schedules"]
    ]
    function = platform.name("RefreshConnectionsFunction")
    (schedule,) = [each for each in found if each["Target"]["Arn"].endswith(f":{function}")]
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["State"] == "ENABLED"
