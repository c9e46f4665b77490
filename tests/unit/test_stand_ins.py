"""The stand-ins' page: what its people do reaches the stack as the provider would send it."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from local import examples
from local import settings as env
from local import stand_ins as beside_run
from local.errors import PlatformError
from local.paths import ROOT
from tests import stand_ins
from tests.fakes.certificates import Authority
from tests.fakes.receiver import Receiver


@pytest.fixture
def played(tmp_path: Path) -> Iterator[tuple[stand_ins.Page, stand_ins.StandIns, dict[str, str]]]:
    with stand_ins.running(tmp_path, stand_ins.free_ports(tmp_path)) as running:
        yield running


type Played = tuple[stand_ins.Page, stand_ins.StandIns, dict[str, str]]


def post(url: str, **form: str) -> requests.Response:
    return requests.post(url, data=form, allow_redirects=False, timeout=10)


def test_its_settings_are_ones_that_make_run_takes(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, settings = played
    monkeypatch.delenv("FRONTEND_URL", raising=False)
    found = env.load(tmp_path / ".env", over=settings)
    assert found.parameters["TelegramApiBase"] == settings["TELEGRAM_API_BASE"]
    assert len(found.parameters) >= len(settings)


def test_facebooks_handshake_among_the_events_is_that_of_their_app(played: Played) -> None:
    _, _, settings = played
    handshake = examples.Example("verify_webhook", "meta").event({})["queryStringParameters"]
    assert handshake["hub.verify_token"] == settings["FACEBOOK_VERIFY_TOKEN"]


def test_what_is_written_to_the_bot_comes_to_its_webhook(played: Played) -> None:
    page, people, settings = played
    answer = post(
        f"{page.url}/telegram", bot=people.telegram.token, chat="7", name="Eve", text="/x y"
    )
    assert "no+webhook" in answer.headers["Location"]
    with Receiver() as hook:
        base = f"{settings['TELEGRAM_API_BASE']}/bot{people.telegram.token}"
        requests.post(f"{base}/setWebhook", json={"url": hook.url("/hook")}, timeout=10)
        answer = post(
            f"{page.url}/telegram", bot=people.telegram.token, chat="7", name="Eve", text="/x y"
        )
        (received,) = hook.received
    message = received.json()["message"]
    assert (message["chat"]["id"], message["text"]) == (7, "/x y")
    assert message["entities"] == [{"type": "bot_command", "offset": 0, "length": 2}]
    assert "answered+200" in answer.headers["Location"]


def test_what_the_bot_writes_is_shown_and_no_script_of_its(played: Played) -> None:
    page, people, settings = played
    base = f"{settings['TELEGRAM_API_BASE']}/bot{people.telegram.token}"
    sent = {"chat_id": 7, "text": "<script>alert(1)</script>"}
    requests.post(f"{base}/sendMessage", json=sent, timeout=10)
    text = requests.get(page.url, timeout=10).text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>" not in text


@pytest.mark.parametrize("answer", ["allow", "refuse"])
def test_googles_consent_is_pressed_or_refused(played: Played, answer: str) -> None:
    _, _, settings = played
    url = (
        f"{settings['GOOGLE_AUTH_URL']}?client_id={settings['GOOGLE_CLIENT_ID']}&state=s"
        "&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fback&scope=openid"
    )
    assert "Refuse" in requests.get(url, timeout=10).text
    led = urlsplit(post(url, answer=answer).headers["Location"])
    query = parse_qs(led.query)
    assert (led.netloc, query["state"]) == ("localhost:3000", ["s"])
    assert ("code" in query) is (answer == "allow")
    assert query.get("error") == (None if answer == "allow" else ["access_denied"])


@pytest.mark.parametrize("answer", ["allow", "refuse"])
def test_facebooks_consent_is_pressed_or_refused(played: Played, answer: str) -> None:
    _, people, settings = played
    url = (
        f"{settings['FACEBOOK_DIALOG_BASE']}/{people.facebook.version}/dialog/oauth"
        f"?client_id={settings['FACEBOOK_APP_ID']}&state=s&redirect_uri=http%3A%2F%2Flocalhost%2Fb"
    )
    assert "Refuse" in requests.get(url, timeout=10).text
    query = parse_qs(urlsplit(post(url, answer=answer).headers["Location"]).query)
    assert ("code" in query) is (answer == "allow")


def test_a_log_in_of_another_application_is_refused(played: Played) -> None:
    _, _, settings = played
    answer = post(f"{settings['GOOGLE_AUTH_URL']}?client_id=other&redirect_uri=x", answer="allow")
    assert answer.status_code == 400


def test_a_comment_comes_to_the_apps_webhook(played: Played) -> None:
    page, people, _ = played
    (name,) = people.facebook.posts
    with Receiver() as hook:
        people.facebook.app_subscriptions["page"] = {"callback_url": hook.url("/hook")}
        post(f"{page.url}/facebook", post=name, name="Ben", text="What does it cost?")
        (received,) = hook.received
    value = received.json()["entry"][0]["changes"][0]["value"]
    assert (value["message"], value["from"]["name"]) == ("What does it cost?", "Ben Example")
    assert "What does it cost?" in requests.get(page.url, timeout=10).text


def test_another_pages_form_does_nothing(played: Played) -> None:
    page, _, _ = played
    answer = requests.post(
        f"{page.url}/telegram", headers={"Origin": "https://evil.example"}, timeout=10
    )
    assert answer.status_code == 403


@contextmanager
def anywhere(folder: Path) -> Iterator[dict[str, Any]]:
    """Stand-ins at free ports, in a process of their own; what they say of themselves."""
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "provider")])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stand_ins", "--for-run", "--any-port"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())


def test_at_free_ports_several_run_beside_each_other(tmp_path: Path) -> None:
    with anywhere(tmp_path / "one") as first, anywhere(tmp_path / "other") as second:
        for each in (first, second):
            assert requests.get(each["page"], timeout=10).status_code == 200
        address, other = (each["settings"]["TELEGRAM_API_BASE"] for each in (first, second))
        assert address != other


def test_free_ports_are_those_of_the_last_time_unless_somebody_has_one(tmp_path: Path) -> None:
    with anywhere(tmp_path / "it") as first:
        pass
    with anywhere(tmp_path / "it") as again:
        assert again["settings"] == first["settings"]
    page = urlsplit(first["page"]).port
    with socket.create_server(("127.0.0.1", page)), anywhere(tmp_path / "it") as elsewhere:
        assert elsewhere["page"] != first["page"]
        bots = [each["settings"]["TELEGRAM_API_BASE"] for each in (first, elsewhere)]
        assert bots[0] == bots[1]


def test_a_port_that_another_program_serves_is_named(served_port: int) -> None:
    needed = f"port {served_port}, which the stand-in of page needs"
    with pytest.raises(SystemExit, match=needed):
        stand_ins.check_free({"page": served_port})


def test_ports_that_were_not_written_to_their_end_are_any(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"page": 80', encoding="utf-8")
    ports = stand_ins.free_ports(tmp_path)
    assert len(set(ports.values())) == len(ports)
    assert json.loads((tmp_path / "ports.json").read_text(encoding="utf-8")) == ports


def test_the_world_is_trusted_too_where_the_machine_has_no_file_of_its_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = ssl.get_default_verify_paths()._replace(cafile=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    Authority(tmp_path)
    assert stand_ins.trusted(tmp_path).read_text(encoding="utf-8").count("BEGIN CERT") > 50


@pytest.fixture
def played_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the program that `make run` takes for the stand-ins."""
    monkeypatch.setattr(beside_run, "ROOT", tmp_path)
    monkeypatch.setattr(beside_run, "LOG", tmp_path / "state" / "stand-ins.log")
    program = tmp_path / "tests" / "stand_ins.py"
    program.parent.mkdir()
    return program


def test_stand_ins_that_complain_much_go_on(tmp_path: Path, played_by: Path) -> None:
    played_by.write_text(
        """import json, pathlib, sys
print(json.dumps({"settings": {}, "trusted": "", "page": "http://page", "bot": ""}), flush=True)
sys.stderr.write("somebody left in the midst of an answer\\n" * 10_000)
pathlib.Path("went-on").touch()
sys.stdin.read()
""",
        encoding="utf-8",
    )
    with beside_run.beside("1") as found:
        assert found
        assert found.page == "http://page"
        until = time.monotonic() + 10
        while not (tmp_path / "went-on").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert (tmp_path / "went-on").exists()


def test_stand_ins_that_do_not_start_say_why(played_by: Path) -> None:
    played_by.write_text("raise SystemExit('port 8090 is taken\\n')\n", encoding="utf-8")
    refused = pytest.raises(PlatformError, match=r"do not start: port 8090 is taken$")
    with refused, beside_run.beside("1"):
        pass
