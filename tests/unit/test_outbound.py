"""The guard and the limits of everything that goes out, over real sockets on loopback."""

import errno
import gzip
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, override

import pytest

from integrations import memory
from integrations.errors import (
    AddressRefused,
    InvalidParams,
    ProviderTimeout,
    ProviderUnavailable,
)
from integrations.outbound import bounds, egress, guard, retry_after
from integrations.outbound.client import Outbound
from integrations.outbound.content import Content, StoredFile
from integrations.outbound.guard import connect, is_allowed
from integrations.outbound.http import Http
from tests.fakes.certificates import Authority
from tests.fakes.dns import Dns
from tests.fakes.receiver import Receiver, Reply

SECRET = "5ecret-t0ken"


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    return Dns(monkeypatch)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    memory.forget()
    yield authority
    memory.forget()


@pytest.fixture
def local() -> Http:
    return Outbound(allow_loopback=True)


# -- The guard -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses_pass(address: str) -> None:
    assert is_allowed(address)
    assert is_allowed(address, allow_loopback=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.3.4", "::1", "::ffff:127.0.0.1"])
def test_loopback_passes_only_where_the_setting_allows_it(address: str) -> None:
    assert not is_allowed(address)
    assert is_allowed(address, allow_loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public_are_refused_whatever_the_setting(address: str) -> None:
    assert not is_allowed(address)
    assert not is_allowed(address, allow_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://017700000001/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::]/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
    ],
)
def test_an_address_in_any_notation_is_judged(url: str, dns: Dns) -> None:
    with pytest.raises(AddressRefused):
        Outbound().request("GET", url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "169.254.169.254", "10.1.2.3", "::ffff:10.1.2.3"],
)
def test_a_name_that_leads_inside_is_refused(address: str, dns: Dns) -> None:
    dns.answer("inside.example.com", address)
    with pytest.raises(AddressRefused, match="not public") as refusal:
        Outbound().request("GET", "http://inside.example.com/")
    assert address not in refusal.value.detail


def test_one_private_address_among_public_ones_refuses_the_name(dns: Dns) -> None:
    dns.answer("mixed.example.com", ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        Outbound().request("GET", "http://mixed.example.com/")


def test_only_loopback_is_opened_by_the_setting(dns: Dns, local: Http) -> None:
    dns.answer("metadata.example.com", "169.254.169.254")
    with pytest.raises(AddressRefused):
        local.request("GET", "http://metadata.example.com/")


@pytest.fixture
def own(receiver: Receiver) -> Iterator[int]:
    """The receiver's port, as one of the platform's own."""
    egress.close_ports({receiver.port})
    yield receiver.port
    egress.close_ports(())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.0.2", "2130706433", "0x7f.0.0.1", "[::1]",
        "[::ffff:127.0.0.1]", "inside.example.com",
    ],
)  # fmt: skip
def test_the_platform_s_own_ports_are_closed_though_loopback_is_open(
    host: str, own: int, dns: Dns, local: Http, receiver: Receiver
) -> None:
    dns.answer("inside.example.com", "127.0.0.1")
    with pytest.raises(AddressRefused):
        local.request("GET", f"http://{host}:{own}/_ministack/health")
    with pytest.raises(AddressRefused):
        guard.connect(host.strip("[]"), own, allow_loopback=True)
    assert receiver.received == []


def test_no_redirect_leads_to_the_platform_s_own_ports(
    own: int, receiver: Receiver, local: Http
) -> None:
    with Receiver() as other:
        other.reply(Reply(302, headers={"location": receiver.url("/")}))
        with pytest.raises(AddressRefused):
            local.request("GET", other.url("/"), max_redirects=3)
    assert receiver.received == []


def test_the_name_is_looked_up_once_so_that_a_second_answer_cannot_differ(
    dns: Dns,
    receiver: Receiver,
    local: Http,
) -> None:
    dns.answer("rebinding.example.com", "127.0.0.1", "10.0.0.1")
    url = receiver.url(host="rebinding.example.com")
    assert local.request("GET", url).status == 200
    assert dns.asked == ["rebinding.example.com"]
    assert receiver.last.headers["host"] == f"rebinding.example.com:{receiver.port}"


def test_a_name_that_changes_its_mind_is_judged_at_each_connection(
    dns: Dns,
    receiver: Receiver,
    local: Http,
) -> None:
    dns.answer("rebinding.example.com", "127.0.0.1", "10.0.0.1")
    receiver.reply(Reply(headers={"connection": "close"}))
    url = receiver.url(host="rebinding.example.com")
    local.request("GET", url)
    with pytest.raises(AddressRefused):
        local.request("GET", url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "http"),
        ("file:///etc/passwd", "http"),
        ("gopher://example.com/", "http"),
        ("example.com/hook", "http"),
        ("", "http"),
        ("http:///path", "host"),
        ("http://user:5ecret@example.com/", "password"),
        ("http://user@example.com/", "password"),
        ("http://example.com:25/", "Port 25"),
        ("http://example.com:6667/", "Port 6667"),
        ("http://example.com:99999/", "malformed"),
        ("http://exa mple.com/", "malformed"),
        (f"http://{'a' * 64}.com/", "valid|malformed"),
        ("http://[::1/", "malformed"),
        ("http://[::999.1.1.1]/", "malformed"),
        ("http://[fe80::1%25a%25b]/", "malformed"),
        ("http://.example.com/", "malformed"),
        ("http://*.example.com/", "malformed"),
    ],
)
def test_urls_that_must_not_be_requested_say_why(url: str, reason: str, dns: Dns) -> None:
    with pytest.raises(AddressRefused, match=reason) as refusal:
        Outbound().request("GET", url)
    assert "5ecret" not in refusal.value.detail


def test_a_url_can_be_judged_without_a_request(dns: Dns) -> None:
    dns.answer("good.example.com", "8.8.8.8")
    dns.answer("bad.example.com", "10.0.0.1")
    assert guard.check_url("https://good.example.com/x").host == "good.example.com"
    with pytest.raises(AddressRefused):
        guard.check_url("https://bad.example.com/x")
    with pytest.raises(ProviderUnavailable):
        guard.check_url("https://unknown.example.com/x")


def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver,
    other: Receiver,
    local: Http,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, other.url())
    local.request("GET", receiver.url())
    assert len(receiver.received) == 1
    assert not other.received


def test_no_login_of_the_environment_is_sent(
    receiver: Receiver,
    local: Http,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    logins = tmp_path / "netrc"
    logins.write_text(f"default login somebody password {SECRET}\n", encoding="utf-8")
    logins.chmod(0o600)
    monkeypatch.setenv("NETRC", str(logins))
    local.request("GET", receiver.url())
    assert "authorization" not in receiver.last.headers


def test_no_cookie_is_stored(receiver: Receiver, local: Http) -> None:
    cookie = {"set-cookie": f"session={SECRET}; Path=/"}
    receiver.reply(Reply(headers=cookie), Reply(302, headers={"location": "/next", **cookie}))
    local.request("GET", receiver.url())
    local.request("GET", receiver.url(), max_redirects=1)
    assert len(receiver.received) == 3
    assert not [one for one in receiver.received if "cookie" in one.headers]


def test_the_library_needs_none_that_guesses_charsets() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(charset_normalizer=None, chardet=None)\n"
        "from integrations.outbound.client import Outbound\n"
        "Outbound()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout + ran.stderr == ""


# -- Redirects -------------------------------------------------------------------------------


def test_redirects_are_not_followed_unless_asked(receiver: Receiver, local: Http) -> None:
    receiver.reply(Reply(status=302, headers={"location": "/next"}))
    assert local.request("GET", receiver.url()).status == 302
    assert len(receiver.received) == 1


def test_a_redirect_is_followed_when_asked(receiver: Receiver, local: Http) -> None:
    receiver.reply(Reply(status=302, headers={"location": "/next?a=1"}))
    answer = local.request("GET", receiver.url("/first?token=x"), max_redirects=1)
    assert answer.status == 200
    assert receiver.last.path == "/next"
    assert receiver.last.query == {"a": "1"}


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::1", "10.0.0.1"])
def test_a_redirect_to_an_address_inside_is_refused(
    inside: str,
    dns: Dns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The first hop has to be on this machine: one address of it plays a public one.
    dns.answer("inside.example.com", inside)
    dns.answer("outside.example.com", "127.0.0.2")
    judge = guard.is_allowed

    def public(address: str, *, allow_loopback: bool = False) -> bool:
        return address == "127.0.0.2" or judge(address, allow_loopback=allow_loopback)

    monkeypatch.setattr(guard, "is_allowed", public)
    with Receiver(host="127.0.0.2") as outside:
        outside.reply(Reply(status=307, headers={"location": "http://inside.example.com/"}))
        with pytest.raises(AddressRefused, match="inside"):
            Outbound().request("GET", outside.url(host="outside.example.com"), max_redirects=3)
        assert len(outside.received) == 1


def test_a_redirect_to_another_scheme_is_refused(receiver: Receiver, local: Http) -> None:
    receiver.reply(Reply(status=302, headers={"location": "file:///etc/passwd"}))
    with pytest.raises(AddressRefused):
        local.request("GET", receiver.url(), max_redirects=3)


def test_an_endless_redirect_ends_at_the_limit(receiver: Receiver, local: Http) -> None:
    receiver.default = Reply(status=302, headers={"location": "/again"})
    assert local.request("GET", receiver.url(), max_redirects=4).status == 302
    assert len(receiver.received) == 5


def test_no_secret_goes_along_to_another_origin(
    receiver: Receiver,
    other: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(status=302, headers={"location": other.url("/there")}))
    local.request(
        "GET",
        receiver.url(),
        headers={"Authorization": SECRET, "X-Api-Key": SECRET, "Cookie": SECRET, "Accept": "a/b"},
        max_redirects=1,
    )
    assert receiver.last.headers["authorization"] == SECRET
    assert SECRET not in str(other.last.headers)
    assert other.last.headers["accept"] == "a/b"


@pytest.mark.parametrize("headers", [{}, {"Via": ""}, {"via": "none", "User-Agent": "curl/8"}])
def test_what_comes_from_the_local_platform_says_so_wherever_it_is_sent_on(
    headers: dict[str, str], receiver: Receiver, other: Receiver, local: Http
) -> None:
    receiver.reply(Reply(status=302, headers={"location": other.url("/there")}))
    local.request("GET", receiver.url(), headers=headers, max_redirects=1)
    assert "via" in receiver.last.headers
    assert "via" in other.last.headers


def test_secrets_stay_with_a_redirect_within_the_origin(
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(status=307, headers={"location": "/there"}))
    headers = {"Authorization": SECRET}
    local.request("POST", receiver.url(), json={"a": 1}, headers=headers, max_redirects=1)
    assert receiver.last.headers["authorization"] == SECRET
    assert receiver.last.json() == {"a": 1}


def test_a_body_is_not_handed_on_to_another_origin(
    receiver: Receiver,
    other: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(status=307, headers={"location": other.url()}))
    with pytest.raises(AddressRefused, match="body"):
        local.request("POST", receiver.url(), json={"secret": SECRET}, max_redirects=1)
    assert not other.received


def test_a_see_other_turns_into_a_plain_get(receiver: Receiver, local: Http) -> None:
    receiver.reply(Reply(status=303, headers={"location": "/result"}))
    local.request("POST", receiver.url(), json={"a": 1}, max_redirects=1)
    assert (receiver.last.method, receiver.last.body) == ("GET", b"")
    assert "content-type" not in receiver.last.headers


# -- Limits ----------------------------------------------------------------------------------


def test_an_answer_that_does_not_come_is_a_timeout_with_unknown_outcome(
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(delay=5))
    with pytest.raises(ProviderTimeout) as timeout:
        local.request("POST", receiver.url(f"/{SECRET}?q={SECRET}"), read_timeout=0.2)
    assert timeout.value.outcome_unknown
    assert SECRET not in timeout.value.detail
    assert timeout.value.__cause__ is None


def test_an_answer_that_drips_ends_at_the_total_deadline(receiver: Receiver) -> None:
    receiver.reply(Reply(body=b"x" * 1000, drip=0.02))
    began = time.monotonic()
    with pytest.raises(ProviderTimeout):
        Outbound(allow_loopback=True, total_timeout=0.4).request("GET", receiver.url())
    assert time.monotonic() - began < 3


def test_headers_that_drip_end_at_the_total_deadline() -> None:
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-endless: ")
            while not stop.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(ProviderTimeout):
            Outbound(allow_loopback=True, total_timeout=0.4).request(
                "GET", f"http://127.0.0.1:{server.getsockname()[1]}/"
            )
        stop.set()
        thread.join()


def test_a_request_may_have_less_time_than_others(receiver: Receiver, local: Http) -> None:
    receiver.reply(Reply(body=b"x" * 1000, drip=0.02))
    with pytest.raises(ProviderTimeout):
        local.request("GET", receiver.url(), total_timeout=0.3)


def test_a_request_has_no_more_time_than_whoever_asks(receiver: Receiver) -> None:
    left = [0.3, 3.0, -1.0, -1.0]
    outbound = Outbound(allow_loopback=True, time_left=lambda: left.pop(0))
    receiver.reply(Reply(body=b"x" * 1000, drip=0.02))
    with pytest.raises(ProviderTimeout) as late:
        outbound.request("POST", receiver.url())
    assert late.value.outcome_unknown
    assert outbound.request("POST", receiver.url()).status == 200
    for asked in (outbound, Outbound(allow_loopback=True, time_left=lambda: left.pop(0))):
        with pytest.raises(ProviderTimeout) as never:  # by a connection that is kept, and anew
            asked.request("POST", receiver.url())
        assert not never.value.outcome_unknown
    assert len(receiver.received) == 2


UPLOAD = 16 * 1024 * 1024
"""More than the buffers of two sockets take."""


class SlowReader:
    """A server that takes a body bit by bit, and says in the end how much of it came."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        if tls:
            tls.num_tickets = 0  # what a client leaves unread has its end discard what it sent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.port = self._listener.getsockname()[1]
        self.taken = 0

    def _read(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, suppress(OSError):
                while piece := connection.recv(64 * 1024):
                    self.taken += len(piece)
                    time.sleep(0.005)

    def close(self) -> int:
        self._thread.join()
        self._listener.close()
        return self.taken


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "in-pieces"])
def test_a_body_that_is_taken_slowly_ends_at_the_total_deadline(
    trusted: Authority, *, tls: bool, in_pieces: bool
) -> None:
    reader = SlowReader(trusted.server_context("127.0.0.1") if tls else None)
    piece = bytes(64 * 1024)
    body = pieces(*[piece] * (UPLOAD // len(piece))) if in_pieces else bytes(UPLOAD)
    url = f"{'https' if tls else 'http'}://127.0.0.1:{reader.port}/"
    with pytest.raises(ProviderTimeout) as timeout:
        Outbound(allow_loopback=True, total_timeout=0.3).request("PUT", url, data=body)
    assert timeout.value.outcome_unknown
    assert reader.close() < UPLOAD


class Dead:
    """Addresses on one port that take no connection, and those of them that were tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[str] = []
        dead = self

        class Socket(socket.socket):
            @override
            def connect(self, address: Any, /) -> None:
                dead.tried.append(address[0])
                if address[0] in dead.addresses:
                    time.sleep(self.gettimeout() or 60)
                    raise TimeoutError
                super().connect(address)

        self.addresses = [f"127.0.0.{number}" for number in range(2, 14)]
        monkeypatch.setattr(socket, "socket", Socket)


def test_a_name_with_many_dead_addresses_takes_no_longer_than_one(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead(monkeypatch)
    dns.answer("dead.example.com", dead.addresses)
    began = time.monotonic()
    with pytest.raises(ProviderTimeout) as timeout:
        Outbound(allow_loopback=True, total_timeout=0.3).request("GET", "http://dead.example.com/")
    assert time.monotonic() - began < 2
    assert not timeout.value.outcome_unknown
    assert dead.tried == dead.addresses[: bounds.MOST_ADDRESSES]


def test_an_address_that_is_dead_leaves_time_for_the_next_one_and_the_next_kind(
    dns: Dns, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead(monkeypatch)
    dead.addresses.append("::1")
    dns.answer("some.example.com", ["::1"] * 9 + [dead.addresses[0], "127.0.0.1"])
    outbound = Outbound(allow_loopback=True, total_timeout=2)
    assert outbound.request("GET", receiver.url(host="some.example.com")).status == 200
    assert dead.tried == ["::1"] * bounds.MOST_ADDRESSES + [dead.addresses[0], "127.0.0.1"]


def test_a_tls_handshake_that_does_not_end_is_over_at_the_total_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(ProviderTimeout) as timeout:
            Outbound(allow_loopback=True, total_timeout=0.3).request("GET", url)
    assert time.monotonic() - began < 2
    assert not timeout.value.outcome_unknown


def test_a_host_that_does_not_take_the_connection_times_out_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)  # noqa: FBT003
            sock.connect_ex(address)
        time.sleep(0.05)
        with pytest.raises(ProviderTimeout) as timeout:
            Outbound(allow_loopback=True).request("POST", f"http://127.0.0.1:{address[1]}/")
        for sock in waiting:
            sock.close()
    assert not timeout.value.outcome_unknown


def test_nobody_there_is_unavailable_and_surely_nothing_was_done(local: Http) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ProviderUnavailable, match="refused the connection") as failure:
        local.request("POST", f"http://127.0.0.1:{port}/")
    assert not failure.value.outcome_unknown


def test_a_name_that_does_not_exist_is_unavailable(dns: Dns) -> None:
    with pytest.raises(ProviderUnavailable, match=r"nowhere\.example\.com was not found"):
        Outbound().request("GET", "https://nowhere.example.com/")


def test_the_next_address_is_tried_where_the_first_does_not_answer(
    dns: Dns,
    receiver: Receiver,
    local: Http,
) -> None:
    dns.answer("two.example.com", ["127.0.0.9", "127.0.0.1"])
    assert local.request("GET", receiver.url(host="two.example.com")).status == 200


def test_a_kind_of_address_that_there_is_not_here_is_passed_over(
    dns: Dns, receiver: Receiver, local: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutIpv6(socket.socket):
        def __init__(self, family: int = -1, *given: Any, **more: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *given, **more)

    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    dns.answer("both.example.com", ["::1", "127.0.0.1"])
    assert local.request("GET", receiver.url(host="both.example.com")).status == 200
    dns.answer("new.example.com", ["::1"])
    with pytest.raises(ProviderUnavailable, match=r"new\.example\.com"):
        guard.connect("new.example.com", receiver.port, allow_loopback=True)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(hang_up=True),
        Reply(truncate=True),
        Reply(raw=b"SMTP is what I speak\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"),
        Reply(body=gzip.compress(b"x" * 9000)[:-12], headers={"content-encoding": "gzip"}),
        Reply(body=gzip.compress(b'{"a": 1}')[:-5], headers={"content-encoding": "x-gzip"}),
        Reply(body=gzip.compress(b"x")[:5], headers={"content-encoding": "gzip"}),
        Reply(body=gzip.compress(b"") * 3000, headers={"content-encoding": "gzip"}),
        Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"x" * 70000),
        Reply(raw=b""),
    ],
)
def test_an_answer_that_breaks_off_or_is_no_http_is_unavailable_with_unknown_outcome(
    reply: Reply,
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(reply)
    with pytest.raises(ProviderUnavailable) as failure:
        local.request("POST", receiver.url(f"/{SECRET}"))
    assert failure.value.outcome_unknown
    assert SECRET not in failure.value.detail


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"x" * 2000),
        Reply(body=gzip.compress(b"x" * 2_000_000), headers={"content-encoding": "gzip"}),
        Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000),
        Reply(
            raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            + (b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 400
        ),
    ],
    ids=["announced", "packed", "unannounced", "hidden beside the body"],
)
def test_no_more_is_read_than_allowed(reply: Reply, receiver: Receiver, local: Http) -> None:
    receiver.reply(reply)
    with pytest.raises(ProviderUnavailable, match="too large") as failure:
        local.request("GET", receiver.url(), max_bytes=1000)
    assert failure.value.outcome_unknown


def test_a_redirect_that_is_not_followed_is_bounded_too(
    receiver: Receiver,
    local: Http,
) -> None:
    packed = gzip.compress(b"x" * 2_000_000)
    headers = {"content-encoding": "gzip", "location": "/next"}
    receiver.reply(Reply(status=302, body=packed, headers=headers))
    with pytest.raises(ProviderUnavailable, match="too large"):
        local.request("GET", receiver.url(), max_bytes=1000)


BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(b'{"a": 1}'), "gzip"),
        (gzip.compress(b'{"a"') + gzip.compress(b": 1}"), "x-gzip"),
        (gzip.compress(b'{"a": 1}') + bytes(64), "GZIP"),
        (zlib.compress(b'{"a": 1}'), "deflate"),
        (BARE.compress(b'{"a": 1}') + BARE.flush(), "deflate"),
        (gzip.compress(gzip.compress(b'{"a": 1}')), "gzip, gzip"),
        (b'{"a": 1}', "identity"),
    ],
    ids=["gzip", "in two parts", "filled up", "zlib", "bare deflate", "twice", "not"],
)
def test_a_packed_answer_is_unpacked(
    packed: bytes, encoding: str, receiver: Receiver, local: Http
) -> None:
    receiver.reply(Reply(body=packed, headers={"content-encoding": encoding}))
    assert local.request("GET", receiver.url()).json() == {"a": 1}


def test_an_answer_without_a_body_may_be_called_packed(receiver: Receiver, local: Http) -> None:
    receiver.reply(Reply(body=b"", headers={"content-encoding": "gzip"}))
    assert local.request("HEAD", receiver.url()).content == b""


# -- Connections -----------------------------------------------------------------------------


def test_a_connection_is_used_again(receiver: Receiver, local: Http) -> None:
    for _ in range(3):
        local.request("POST", receiver.url(), json={})
    assert len({request.connection for request in receiver.received}) == 1


def test_a_connection_that_rested_too_long_is_not_trusted(
    receiver: Receiver,
    local: Http,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local.request("GET", receiver.url())
    monkeypatch.setattr(bounds, "IDLE_TIMEOUT", 0.0)
    local.request("GET", receiver.url())
    assert len({request.connection for request in receiver.received}) == 2


def test_a_connection_with_an_unread_answer_is_not_used_again(
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(body=b"x" * 200_000))
    with pytest.raises(ProviderUnavailable):
        local.request("GET", receiver.url(), max_bytes=10)
    assert local.request("GET", receiver.url()).json() == {"ok": True}


def test_tls_verifies_the_certificate_for_the_name_and_tells_the_name(
    dns: Dns,
    trusted: Authority,
    local: Http,
) -> None:
    names: list[str | None] = []
    context = trusted.server_context("api.example.com")
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    dns.answer("api.example.com", "127.0.0.1")
    with Receiver(tls=context) as secure:
        answer = local.request("GET", secure.url(host="api.example.com"))
        again = local.request("GET", secure.url(host="api.example.com"))
        assert (answer.status, again.status) == (200, 200)
        assert len({request.connection for request in secure.received}) == 1
    assert names == ["api.example.com"]


def test_a_certificate_for_another_name_is_refused(
    dns: Dns,
    trusted: Authority,
    local: Http,
) -> None:
    dns.answer("other.example.com", "127.0.0.1")
    with Receiver(tls=trusted.server_context("api.example.com")) as secure:
        with pytest.raises(ProviderUnavailable, match="secure connection") as failure:
            local.request("POST", secure.url(host="other.example.com"), json={"secret": SECRET})
        assert not secure.received
    assert not failure.value.outcome_unknown


def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority,
    local: Http,
) -> None:
    with (
        Receiver(tls=authority.server_context("127.0.0.1")) as secure,
        pytest.raises(ProviderUnavailable, match="secure connection"),
    ):
        local.request("GET", secure.url())


def test_a_redirect_away_from_tls_is_refused(
    trusted: Authority,
    receiver: Receiver,
    local: Http,
) -> None:
    with Receiver(tls=trusted.server_context("127.0.0.1")) as secure:
        secure.reply(Reply(status=302, headers={"location": receiver.url()}))
        with pytest.raises(AddressRefused, match="https to http"):
            local.request("GET", secure.url(), max_redirects=1)


def test_a_plain_server_on_a_tls_url_says_so(receiver: Receiver, local: Http) -> None:
    url = receiver.url().replace("http:", "https:")
    with pytest.raises(ProviderUnavailable, match="secure connection"):
        local.request("GET", url)


def test_the_tls_context_trusts_the_systems_roots_and_verifies() -> None:
    context = guard.tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# -- What is sent and what comes back --------------------------------------------------------


def test_query_parameters_are_added_to_those_of_the_url(
    receiver: Receiver,
    local: Http,
) -> None:
    params = {"b": "ü&=", "c": True, "d": None, "e": 5}
    local.request("GET", receiver.url("/p?a=1"), params=params)
    assert receiver.last.query == {"a": "1", "b": "ü&=", "c": "true", "e": "5"}


def test_a_repeated_parameter_is_sent_as_often_as_given(
    receiver: Receiver,
    local: Http,
) -> None:
    local.request("GET", receiver.url(), params=[("ranges", "A1"), ("ranges", "B2")])
    local.request("GET", receiver.url(), params={"ranges": ["A1", "B2"]})
    assert receiver.received[0].query == receiver.received[1].query == {"ranges": "B2"}


def test_a_json_body_keeps_its_text(receiver: Receiver, local: Http) -> None:
    local.request("POST", receiver.url(), json={"text": "grüß 🌵"})
    assert receiver.last.headers["content-type"] == "application/json"
    assert receiver.last.body == '{"text": "grüß 🌵"}'.encode()


def test_a_form_body(receiver: Receiver, local: Http) -> None:
    local.request("POST", receiver.url(), data={"a": 1, "b": {"c": True}, "d": None})
    assert receiver.last.headers["content-type"] == "application/x-www-form-urlencoded"
    assert receiver.last.body == b"a=1&b=%7B%22c%22%3A+true%7D"


def test_a_raw_body_has_the_content_type_that_the_caller_gives(
    receiver: Receiver,
    local: Http,
) -> None:
    local.request("PUT", receiver.url(), data=b"\x00\xff", headers={"content-type": "image/png"})
    assert receiver.last.method == "PUT"
    assert receiver.last.body == b"\x00\xff"
    assert receiver.last.headers["content-type"] == "image/png"


def test_files_go_as_multipart_beside_the_fields(receiver: Receiver, local: Http) -> None:
    files = {"photo": ('a"b.png', b"\x89PNG", "image/png")}
    local.request("POST", receiver.url(), data={"chat_id": 7}, files=files)
    assert receiver.last.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="chat_id"\r\n\r\n7\r\n' in receiver.last.body
    assert b'name="photo"; filename="a%22b.png"' in receiver.last.body
    assert b"\x89PNG" in receiver.last.body


def pieces(*content: bytes) -> Content:
    return Content(sum(map(len, content)), lambda: iter(content))


def test_a_body_goes_out_piece_by_piece_with_its_length(receiver: Receiver, local: Http) -> None:
    local.request("PUT", receiver.url(), data=pieces(b"one ", b"two"))
    assert receiver.last.body == b"one two"
    assert receiver.last.headers["content-length"] == "7"
    local.request("PUT", receiver.url(), data=pieces())
    assert receiver.last.headers["content-length"] == "0"
    assert "transfer-encoding" not in receiver.last.headers


def test_a_file_in_pieces_is_the_same_multipart_body(receiver: Receiver, local: Http) -> None:
    bodies = []
    for content in (b"one two", pieces(b"one ", b"two")):
        files = {"photo": ("a.png", content, "image/png")}
        local.request("POST", receiver.url(), data={"text": "ü"}, files=files)
        boundary = receiver.last.headers["content-type"].partition("boundary=")[2]
        bodies.append(receiver.last.body.replace(boundary.encode(), b"frontier"))
        assert receiver.last.headers["content-length"] == str(len(receiver.last.body))
    assert bodies[0] == bodies[1]
    assert b"one two" in bodies[0]


def test_what_cannot_be_read_on_breaks_the_request_off(receiver: Receiver, local: Http) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise ProviderUnavailable("the bucket is down")

    with pytest.raises(ProviderUnavailable, match="the bucket is down") as caught:
        local.request("POST", receiver.url(), data=Content(7, broken))
    assert not caught.value.outcome_unknown
    assert receiver.received == []
    assert local.request("GET", receiver.url()).status == 200


def test_a_sink_takes_a_good_answer_piece_by_piece(receiver: Receiver, local: Http) -> None:
    film = os.urandom(300_000)
    seen: list[bytes] = []

    def sink(pieces: Iterable[bytes]) -> StoredFile:
        seen.extend(pieces)
        return StoredFile("file_1", sum(map(len, seen)))

    receiver.reply(Reply(200, film), Reply(404, b"no"), Reply(200, b"text"))
    answer = local.request("GET", receiver.url(), max_bytes=10, sink=lambda _: sink)
    assert (answer.stored, answer.content) == (StoredFile("file_1", 300_000), b"")
    assert b"".join(seen) == film
    assert len(seen) > 3
    refused = local.request("GET", receiver.url(), sink=lambda _: sink)
    assert (refused.stored, refused.content) == (None, b"no")
    assert local.request("GET", receiver.url(), sink=lambda _: None).content == b"text"


def test_what_a_sink_is_given_is_bounded(
    receiver: Receiver, local: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.outbound.client.MAX_STORED", 100_000)
    receiver.reply(Reply(200, bytes(100_001)))

    def sink(pieces: Iterable[bytes]) -> StoredFile:
        return StoredFile("file_1", sum(map(len, pieces)))

    with pytest.raises(ProviderUnavailable, match="too large to be read"):
        local.request("GET", receiver.url(), sink=lambda _: sink)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-B: 2"),
        ("X-A\r\nX-B", "1"),
        ("X A", "1"),
        ("X-A", "\x00"),
        ("X-A", "🌵"),
        ("X-A", "\xa01"),
    ],
)
def test_a_header_cannot_smuggle_another_one(
    name: str,
    value: str,
    receiver: Receiver,
    local: Http,
) -> None:
    with pytest.raises(InvalidParams):
        local.request("GET", receiver.url(), headers={name: value})
    assert not receiver.received


def test_space_around_a_header_is_no_part_of_it(receiver: Receiver, local: Http) -> None:
    local.request("GET", receiver.url(), headers={"X-A": " one two\t"})
    assert receiver.last.headers["x-a"] == "one two"


def test_a_method_cannot_smuggle_a_request(receiver: Receiver, local: Http) -> None:
    with pytest.raises(InvalidParams):
        local.request("GET / HTTP/1.1\r\nx: y\r\n", receiver.url())
    assert not receiver.received


def test_headers_of_the_answer_are_found_whatever_their_case(
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(status=429, headers={"Retry-After": "7"}))
    answer = local.request("GET", receiver.url())
    assert answer.headers["retry-after"] == answer.headers["RETRY-AFTER"] == "7"
    assert answer.status == 429


def test_text_follows_the_charset_and_replaces_what_does_not_decode(
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(
        Reply(body=b"gr\xfc\xdf", headers={"content-type": "text/plain; charset=iso-8859-1"}),
        Reply(body=b"gr\xfc", headers={"content-type": "text/plain"}),
        Reply(body=b"x", headers={"content-type": "text/plain; charset=klingon"}),
        Reply(body=b"x", headers={"content-type": "text/plain; charset=iso-8859-99"}),
        Reply(body=b"eA==", headers={"content-type": "text/plain; charset=base64"}),
    )
    texts = [local.request("GET", receiver.url()).text for _ in range(5)]
    assert texts == ["grüß", "gr�", "x", "x", "eA=="]


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_no_json_is_unavailable_with_its_status(
    body: bytes,
    receiver: Receiver,
    local: Http,
) -> None:
    receiver.reply(Reply(status=502, body=body))
    answer = local.request("GET", receiver.url())
    with pytest.raises(ProviderUnavailable, match="no JSON") as failure:
        answer.json()
    assert failure.value.status == 502


def test_no_url_reaches_the_log(
    receiver: Receiver,
    local: Http,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.reply(Reply(), Reply(raw=b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n{}"))
    local.request("GET", receiver.url(f"/bot{SECRET}/getMe"))
    local.request("GET", receiver.url(f"/bot{SECRET}/getMe"))
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("99999999", 86400.0),
        ("9" * 99, 86400.0),
        ("Fri, 31 Dec 9999 23:59:59 -0000", 86400.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after.retry_after({"retry-after": value}) == seconds


def test_retry_after_as_a_date_ahead_is_the_time_until_then() -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after.retry_after({"retry-after": ahead}) == pytest.approx(90, abs=3)
    assert retry_after.retry_after({}) is None


# -- Sockets for other protocols -------------------------------------------------------------


def test_a_plain_socket_goes_through_the_same_guard(dns: Dns, receiver: Receiver) -> None:
    dns.answer("mail.example.com", "127.0.0.1")
    with pytest.raises(AddressRefused):
        connect("mail.example.com", receiver.port)
    with connect("mail.example.com", receiver.port, allow_loopback=True, seconds=3) as sock:
        assert sock.getpeername() == ("127.0.0.1", receiver.port)
        assert 0 < (sock.gettimeout() or 0) <= 3


@pytest.mark.parametrize(
    "host",
    ["a" * 64 + ".com", "a" + "\u0301" * 60_000, "a..b", "\x00", "\ud800.com"],
    ids=range(5),
)
def test_a_malformed_host_is_refused(host: str) -> None:
    with pytest.raises((AddressRefused, ProviderUnavailable)):
        connect(host, 587)
