"""The use of credentials: opened, refreshed by one caller at a time, their state kept."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from pydantic import AwareDatetime, SecretStr

from integrations.errors import (
    ConnectionPaused,
    CredentialsRejected,
    NeedsReauthentication,
    ProviderUnavailable,
    RateLimited,
    UnknownConnection,
    VersionConflict,
)
from integrations.models import Account
from integrations.providers import registry
from integrations.providers.base import Addresses, Call, Credentials, Provider, Verified
from integrations.services import vault as module
from integrations.services.vault import CHECK_AHEAD, LEASE, REFRESH_BEFORE, WAIT_SECONDS, Vault
from integrations.storage.connections import Connection, LastError, pause_name
from tests.clock import NOW, Clock

HOUR = timedelta(hours=1)


class SleepingClock(Clock):
    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        time.sleep(0.001)  # another thread's turn


class Tokens(Credentials):
    access_token: SecretStr
    refresh_token: SecretStr
    expires_at: AwareDatetime


class FakeProvider:
    """A provider whose refresh tokens rotate: an old one ends the whole grant."""

    def __init__(self, clock: SleepingClock) -> None:
        self.clock = clock
        self.lifetime = HOUR
        self.good = "access-0"
        self.current = "refresh-0"
        self.refreshes = 0
        self.failures: list[Exception] = []
        self.dead = False
        self.held_up = threading.Event()
        self.held_up.set()
        self.meanwhile: Callable[[], None] = lambda: None

    def refresh(self, call: Call[Tokens]) -> Tokens:
        self.refreshes += 1
        self.held_up.wait(5)
        self.meanwhile()
        if self.failures:
            raise self.failures.pop(0)
        if self.dead or call.credentials.refresh_token.get_secret_value() != self.current:
            self.dead = True
            raise NeedsReauthentication("Token has been expired or revoked. (invalid_grant)")
        self.good = f"access-{self.refreshes}"
        self.current = f"refresh-{self.refreshes}"
        return self.tokens()

    def tokens(self) -> Tokens:
        return Tokens(
            access_token=SecretStr(self.good),
            refresh_token=SecretStr(self.current),
            expires_at=self.clock() + self.lifetime,
        )

    def act(self, call: Call[Tokens]) -> str:
        token = call.credentials.access_token.get_secret_value()
        if token != self.good:
            raise CredentialsRejected("401: the token is refused")
        return token

    @property
    def provider(self) -> Provider:
        return Provider(
            id="fake",
            title="Fake",
            docs_url="https://example.com",
            credentials=Tokens,
            verify=lambda _: Verified(account=Account("1", "Ann"), message="ok"),
            actions_in=(),
            expires_at=lambda stored: stored.expires_at,
            refresh=self.refresh,
        )


class Table:
    """The Connections table in memory, with its conditions."""

    def __init__(self, clock: SleepingClock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.row: tuple[Connection, dict[str, Any]] | None = None
        self.due_at: datetime | None = None

    def get_sealed(self, tenant: str, provider: str, name: str) -> Connection:
        if self.row is None:
            raise UnknownConnection("There is none")
        return self.row[0]

    def open(self, connection: Connection) -> dict[str, Any]:
        assert self.row
        return self.row[1]

    def save(
        self,
        connection: Connection,
        credentials: Mapping[str, Any],
        *,
        replaces: int | None,
        due_at: datetime,
        unless: str = "",
    ) -> Connection:
        with self.lock:
            if self.row and (self.row[0].version != replaces or self.row[0].status == unless):
                raise VersionConflict("changed")
            written = connection._replace(
                version=(replaces or 0) + 1, lease_until=None, paused_until=None
            )
            self.row = written, dict(credentials)
            self.due_at = due_at
            return written

    def _update(self, connection: Connection, **changes: Any) -> bool:
        with self.lock:
            if self.row is None or self.row[0].version != connection.version:
                return False
            self.row = self.row[0]._replace(**changes), self.row[1]
            return True

    def record_error(
        self, connection: Connection, code: str, message: str, *, status: str | None
    ) -> bool:
        changes = {"status": status} if status else {}
        error = LastError(code, message, self.clock())
        return self._update(connection, last_error=error, **changes)

    def record_use(self, connection: Connection, status: str) -> bool:
        if self.row is None or self.row[0].status != connection.status:
            return False
        return self._update(connection, status=status, last_error=None)

    def lease(self, connection: Connection, until: datetime) -> bool:
        with self.lock:
            stored = self.row[0].lease_until if self.row else None
            if stored and stored >= self.clock():
                return False
            return self._update(connection, lease_until=until)

    def release(self, connection: Connection) -> bool:
        return self._update(connection, lease_until=None)

    def pause(self, connection: Connection, until: datetime, scope: str = "") -> bool:
        if not scope:
            return self._update(connection, paused_until=until)
        return self._update(connection, pauses={**connection.pauses, pause_name(scope): until})

    @property
    def stored(self) -> Connection:
        assert self.row
        return self.row[0]


class World:
    """A vault over both."""

    def __init__(self) -> None:
        self.clock = SleepingClock()
        self.fake = FakeProvider(self.clock)
        self.table = Table(self.clock)
        self.vault = Vault(
            cast("Any", self.table),
            cast("Any", None),
            Addresses(),
            lambda: cast("Any", None),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def connect(self, left: timedelta = HOUR, **changes: Any) -> None:
        """Keep the provider's present tokens as if they had so much time left."""
        row = self.table.row[0] if self.table.row else None
        connection = Connection(
            tenant="acme",
            provider="fake",
            name="default",
            account=Account("1", "Ann"),
            connected_at=NOW,
            updated_at=NOW,
        )
        tokens = self.fake.tokens().model_copy(update={"expires_at": self.clock() + left})
        self.table.save(
            connection._replace(**changes),
            module.reveal(tokens),
            replaces=row.version if row else None,
            due_at=NOW,
        )

    def use(self) -> str:
        return self.vault.use("acme", "fake", "default", self.fake.act)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(registry, "get", lambda _: made.fake.provider)
    yield made
    if made.table.row:
        assert made.table.stored.lease_until is None, "the lease must end with the refresh"


@pytest.mark.parametrize(
    ("left", "refreshes"),
    [
        (HOUR, 0),
        (REFRESH_BEFORE + timedelta(seconds=1), 0),
        (REFRESH_BEFORE, 1),
        (timedelta(0), 1),
        (-HOUR, 1),
    ],
)
def test_a_token_is_refreshed_before_its_last_five_minutes(
    world: World, left: timedelta, refreshes: int
) -> None:
    world.connect(left)

    assert world.use() == f"access-{refreshes}"

    assert world.fake.refreshes == refreshes


def test_the_rotated_refresh_token_is_kept_for_the_next_time(world: World) -> None:
    world.connect(-HOUR)

    for turn in (1, 2, 3):
        assert world.use() == f"access-{turn}"
        world.clock.moment += HOUR

    assert world.table.stored.status == "connected"
    assert world.table.stored.version == 4


def test_twenty_that_need_the_same_expired_token_refresh_it_once(world: World) -> None:
    world.connect(-HOUR)

    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(lambda _: world.use(), range(20)))

    assert found == {"access-1"}
    assert world.fake.refreshes == 1


def test_twenty_at_a_dead_grant_ask_the_provider_once(world: World) -> None:
    world.connect(-HOUR)
    world.fake.dead = True

    def use(_: int) -> str:
        with pytest.raises(NeedsReauthentication) as refused:
            world.use()
        return refused.value.detail

    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(use, range(20)))

    assert found == {"Token has been expired or revoked. (invalid_grant)"}
    assert world.fake.refreshes == 1


def test_a_dead_grant_is_not_tried_again_until_somebody_logs_in(world: World) -> None:
    world.connect(-HOUR)
    world.fake.dead = True
    with pytest.raises(NeedsReauthentication):
        world.use()
    assert world.table.stored.status == "needs_reauth"
    assert world.table.stored.last_error
    assert "invalid_grant" in world.table.stored.last_error.message

    with pytest.raises(NeedsReauthentication, match="invalid_grant"):
        world.use()
    assert world.fake.refreshes == 1

    world.fake.dead = False
    world.connect(HOUR)
    assert world.use() == "access-0"


def test_a_refused_token_is_refreshed_once_in_the_middle(world: World) -> None:
    world.connect(HOUR)
    world.fake.good = "another"  # the provider has ended the token early

    assert world.use() == "access-1"

    assert world.fake.refreshes == 1
    assert world.table.stored.status == "connected"


def test_a_token_that_is_refused_for_ever_is_refreshed_once(world: World) -> None:
    world.connect(HOUR)

    def refuse(_: Call[Tokens]) -> str:
        raise CredentialsRejected("401: the token is refused")

    with pytest.raises(CredentialsRejected):
        world.vault.use("acme", "fake", "default", refuse)

    assert world.fake.refreshes == 1
    # Not the grant is lost: it has just been refreshed.
    assert world.table.stored.status == "error"


@pytest.mark.parametrize("left", [-HOUR, timedelta(minutes=4)])
def test_a_token_service_that_is_down_changes_no_state(world: World, left: timedelta) -> None:
    world.connect(left)
    world.fake.failures = [ProviderUnavailable("it answered with status 503")]

    if left > timedelta(0):
        assert world.use() == "access-0"  # good for four more minutes
    else:
        with pytest.raises(ProviderUnavailable):
            world.use()

    assert world.table.stored.status == "connected"
    assert world.table.stored.last_error
    assert world.table.stored.last_error.code == "provider_unavailable"
    assert world.use() == "access-2"
    assert world.table.stored.last_error is None


def test_a_refused_token_and_a_token_service_that_is_down_change_no_state(world: World) -> None:
    world.connect(HOUR)
    world.fake.good = "another"
    world.fake.failures = [ProviderUnavailable("it answered with status 503")]

    with pytest.raises(ProviderUnavailable):
        world.use()

    assert world.table.stored.status == "connected"
    assert world.use() == "access-2"


def test_a_refused_client_of_the_stack_asks_nobody_to_log_in(world: World) -> None:
    world.connect(-HOUR)
    world.fake.failures = [CredentialsRejected("Google: (invalid_client)")]

    with pytest.raises(CredentialsRejected):
        world.use()
    assert world.table.stored.status == "error"

    # The operator has mended the secret.
    assert world.use() == "access-2"
    assert world.table.stored.status == "connected"


def test_what_works_again_is_connected_again(world: World) -> None:
    world.connect(HOUR)
    refused = CredentialsRejected("535: the password is wrong")

    def refuse(_: Call[Tokens]) -> str:
        raise refused

    world.vault.record_refusal(world.vault.open("acme", "fake", "default"), refused)
    assert world.table.stored.status == "needs_reauth"

    # Only a grant that is gone is not tried again.
    with pytest.raises(CredentialsRejected, match="535"):
        world.vault.use("acme", "fake", "default", refuse)
    assert world.use() == world.fake.good
    assert (world.table.stored.status, world.table.stored.last_error) == ("connected", None)


def test_what_worked_says_nothing_against_what_happened_since(world: World) -> None:
    error = LastError("permission_missing", "No page", NOW)
    world.connect(HOUR, last_error=error)
    world.table.row = world.table.stored._replace(status="error"), world.table.row[1]  # type: ignore[index]

    def act(_: Call[Tokens]) -> str:
        lost = NeedsReauthentication("invalid_grant")
        world.vault.record_refusal(world.vault.open("acme", "fake", "default"), lost)
        return "done"

    assert world.vault.use("acme", "fake", "default", act) == "done"
    assert world.table.stored.status == "needs_reauth"


def test_an_unforeseen_failure_gives_the_lease_back(world: World) -> None:
    world.connect(-HOUR)
    world.fake.failures = [KeyError("a mistake")]

    with pytest.raises(KeyError):
        world.use()

    assert world.use() == "access-2"


def test_who_waits_in_vain_says_so_and_may_use_what_is_still_good(world: World) -> None:
    world.connect(timedelta(minutes=4))
    until = world.clock() + timedelta(minutes=3)
    assert world.table.lease(world.table.stored, until)

    assert world.use() == "access-0"
    assert world.clock() - NOW == timedelta(seconds=WAIT_SECONDS)

    world.connect(-HOUR)
    assert world.table.lease(world.table.stored, world.clock() + LEASE)
    with pytest.raises(ProviderUnavailable, match="being refreshed by another call"):
        world.use()
    assert world.fake.refreshes == 0
    world.table.release(world.table.stored)


def test_the_lease_of_a_caller_that_died_ends(world: World) -> None:
    world.connect(-HOUR)
    assert world.table.lease(world.table.stored, world.clock() + LEASE)
    world.clock.moment += LEASE + timedelta(seconds=1)

    assert world.use() == "access-1"


def test_a_login_during_a_refresh_that_is_refused_wins(world: World) -> None:
    world.connect(-HOUR)

    def log_in() -> None:
        world.fake.meanwhile = lambda: None
        world.fake.good, world.fake.current = "new-access", "new-refresh"
        world.connect(HOUR)

    world.fake.meanwhile = log_in

    assert world.use() == "new-access"
    assert world.table.stored.status == "connected"
    assert world.table.stored.last_error is None


def test_a_login_during_a_refresh_that_works_wins(world: World) -> None:
    world.connect(-HOUR)

    def refresh(call: Call[Tokens]) -> Tokens:
        late = world.fake.tokens()
        world.fake.good, world.fake.current = "new-access", "new-refresh"
        world.connect(HOUR)
        return late

    provider = replace(world.fake.provider, refresh=refresh)
    opened = module.Opened(provider, world.fake.tokens(), world.table.stored)

    assert world.vault._refreshed(opened, refused=True).credentials == world.fake.tokens()


@pytest.mark.parametrize("left", [-HOUR, HOUR])
def test_a_grant_that_is_taken_back_during_a_refresh_stays_so(
    world: World, left: timedelta
) -> None:
    world.connect(left)

    def take_back() -> None:
        detail = "The app was removed from the account"
        world.table.record_error(world.table.stored, "needs_reauth", detail, status="needs_reauth")

    world.fake.meanwhile = take_back
    opened = world.vault.open_for_check if left > timedelta(0) else world.vault.open

    with pytest.raises(NeedsReauthentication, match="was removed"):
        opened("acme", "fake", "default")
    assert world.table.stored.status == "needs_reauth"
    assert world.fake.refreshes == 1


def test_what_a_provider_takes_again_is_connected_after_a_refresh(world: World) -> None:
    world.connect(-HOUR, status="needs_reauth", last_error=LastError("refused", "401", NOW))
    assert world.use() == "access-1"
    assert world.table.stored.status == "connected"


def test_a_provider_with_short_tokens_is_not_refreshed_in_circles(world: World) -> None:
    world.fake.lifetime = timedelta(minutes=1)
    world.connect(-HOUR)
    world.fake.held_up.clear()

    with ThreadPoolExecutor(5) as pool:
        uses = [pool.submit(world.use) for _ in range(5)]
        while not world.fake.refreshes:
            time.sleep(0.01)
        world.fake.held_up.set()
        assert {use.result() for use in uses} == {"access-1"}

    assert world.fake.refreshes == 1


def test_the_daily_check_refreshes_days_ahead_and_keeps_what_still_works(world: World) -> None:
    world.connect(CHECK_AHEAD + HOUR)
    assert world.vault.open_for_check("acme", "fake", "default").credentials
    assert world.fake.refreshes == 0

    world.connect(CHECK_AHEAD)
    world.fake.failures = [ProviderUnavailable("it answered with status 503")]
    world.vault.open_for_check("acme", "fake", "default")
    assert (world.fake.refreshes, world.table.stored.status) == (1, "connected")

    world.vault.open_for_check("acme", "fake", "default")
    assert world.fake.refreshes == 2
    assert world.table.stored.expires_at == world.clock() + HOUR
    assert world.table.due_at == world.clock() + timedelta(days=1)


def test_a_pause_is_kept_before_anything_is_sent(world: World) -> None:
    world.connect(HOUR)

    def limit(_: Call[Tokens]) -> str:
        raise RateLimited("Slow down", retry_after=30)

    with pytest.raises(RateLimited):
        world.vault.use("acme", "fake", "default", limit)
    world.fake.lifetime = -HOUR

    with pytest.raises(ConnectionPaused) as paused:
        world.use()
    assert paused.value.retry_after == 30
    assert world.fake.refreshes == 0

    world.clock.moment += timedelta(seconds=31)
    assert world.use() == "access-0"


def test_what_the_provider_limits_rests_and_nothing_else(world: World) -> None:
    world.connect(HOUR)

    def limit(_: Call[Tokens]) -> str:
        raise RateLimited("Slow down", scope="chat 1", retry_after=30)

    def write(chat: str) -> str:
        def act(call: Call[Tokens]) -> str:
            call.check_pause(chat)
            return f"wrote to {chat}"

        return world.vault.use("acme", "fake", "default", act)

    with pytest.raises(RateLimited):
        world.vault.use("acme", "fake", "default", limit)

    assert write("chat 2") == "wrote to chat 2"
    with pytest.raises(ConnectionPaused) as paused:
        write("chat 1")
    assert (paused.value.retry_after, paused.value.scope) == (30, "chat 1")
    world.clock.moment += timedelta(seconds=31)
    assert write("chat 1") == "wrote to chat 1"


def test_our_own_waiting_makes_no_pause_longer(world: World) -> None:
    world.connect(HOUR)
    world.table.pause(world.table.stored, world.clock() + timedelta(seconds=30), "chat 1")
    before = world.table.stored

    def act(call: Call[Tokens]) -> None:
        call.check_pause("chat 1")

    with pytest.raises(ConnectionPaused):
        world.vault.use("acme", "fake", "default", act)
    assert world.table.stored == before


def test_no_secret_is_in_what_is_printed(world: World) -> None:
    world.connect(HOUR)
    opened = world.vault.open("acme", "fake", "default")

    assert "access-0" not in repr(opened)
    assert "refresh-0" not in repr(opened)
