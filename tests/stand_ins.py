"""The providers' stand-ins for whoever tries the stack by hand, and one page to play their people.

``make run STANDINS=1`` starts them and sets the addresses; with ``STANDINS=any`` they take whatever
ports are free. ``make stand-ins`` starts them alone, and prints what belongs into `.env`. The page
is at http://localhost:8090/: write to the bot, press Google's or Facebook's consent or refuse it,
comment on the page, read the mail that was sent.
"""

import html
import http.client
import json
import shlex
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qsl, urlencode, urlsplit

import certifi

from local.ports import is_free, is_served
from tests.fakes.certificates import Authority
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.receiver import Receiver
from tests.fakes.serving import Server
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import TelegramServer

PORTS = {"page": 8090, "telegram": 8081, "google": 8082, "facebook": 8083, "mail": 8025}
RECEIVER = 8089
MAIL_USER, MAIL_PASSWORD = "stack@example.com", "password-of-the-stand-in"
VERIFY_TOKEN = "verify-token-of-the-stack"  # as in events/verify_webhook/meta.json
GOOGLE, FACEBOOK = "/consent/google", "/consent/facebook"
SHOWN = 20
"""How many messages and mails the page shows, newest first."""


@dataclass(frozen=True)
class StandIns:
    """Who plays the providers."""

    telegram: TelegramServer
    google: FakeGoogle
    facebook: FacebookStandIn
    mail: MailServer
    receiver: Receiver


class Page:
    """The page. Its people act at once; what they do goes to the stack as the provider sends it.

    Attributes:
        url: Where it is.
    """

    def __init__(self, stand_ins: StandIns, port: int) -> None:
        self._people = stand_ins
        self._update = 1000
        page = self

        class Handler(_Handler):
            pass

        Handler.page = page
        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    # -- what its people do ------------------------------------------------------------------

    def write_to_the_bot(self, form: Mapping[str, str]) -> str:
        """Somebody writes to a bot, in a private chat; how the stack took it."""
        telegram, token = self._people.telegram, form["bot"]
        if token not in telegram.webhooks:
            return "This bot has no webhook: a workflow with a trigger of Telegram registers it."
        self._update += 1
        name, chat = form["name"] or "Ann", int(form["chat"] or 42)
        person = {"id": chat, "is_bot": False, "first_name": name, "language_code": "en"}
        status = telegram.tell(
            {
                "message": {
                    "message_id": self._update,
                    "from": person,
                    "chat": {"id": chat, "type": "private", "first_name": name},
                    "date": 1795348860,
                    "text": form["text"],
                    **_command(form["text"]),
                }
            },
            token,
        )
        return _delivered(status)

    def comment(self, form: Mapping[str, str]) -> str:
        """Somebody comments on a post of the page; how the stack took it."""
        facebook = self._people.facebook
        person = facebook.add_person(form["name"] or "Ann", "Example")
        author = {"id": person, "name": facebook.people[person]["name"]}
        comment = facebook.add_comment(form["post"], form["text"], author)
        if "page" not in facebook.app_subscriptions:
            return "Nobody listens: a workflow with a trigger of Facebook subscribes the app."
        return _delivered(facebook.deliver(facebook.comment_payload(comment)))

    def consent(self, path: str, query: str, *, refused: bool) -> str | None:
        """Where a log-in leads once its person has pressed; None where the link is a wrong one."""
        google, facebook = self._people.google, self._people.facebook
        if path == GOOGLE:
            address = urlsplit(google.addresses["google_auth"])
            google.consent.deny = refused
        else:
            address = urlsplit(facebook.url + path.removeprefix(FACEBOOK))
            facebook.denied = refused
        connection = http.client.HTTPConnection(address.netloc, timeout=10)
        try:
            connection.request("GET", f"{address.path}?{query}")
            return connection.getresponse().headers["Location"]
        finally:
            connection.close()
            google.consent.deny = facebook.denied = False

    # -- what it shows -----------------------------------------------------------------------

    def front(self, message: str = "") -> str:
        """Everything there is."""
        people = self._people
        bots = "".join(
            f"<option value='{_text(token)}'>@{_text(bot['username'])} {_text(token)}"
            for token, bot in people.telegram.bots.items()
        )
        posts = "".join(
            f"<option value='{_text(name)}'>{_text(post['message'])}"
            for name, post in people.facebook.posts.items()
        )
        calls = [call for call in people.telegram.calls if call.method.lower().startswith("send")]
        answers = [
            (each.params.get("chat_id"), each.params.get("text") or each.method) for each in calls
        ]
        mails = [
            (", ".join(mail.recipients), str(mail.message["Subject"]), _body(mail.message))
            for mail in people.mail.mails
        ]
        comments = [
            (each["from"]["name"], each["message"]) for each in people.facebook.comments.values()
        ]
        hooks = [
            (each.method, each.path, each.body.decode(errors="replace"))
            for each in people.receiver.received
        ]
        return _page(
            "Stand-ins",
            f"<p role=status>{_text(message)}</p>"
            "<h2>Telegram</h2><form method=post action=/telegram>"
            f"<label>Bot <select name=bot>{bots}</select></label>"
            "<label>Chat <input name=chat value=42 inputmode=numeric></label>"
            "<label>Name <input name=name value=Ann></label>"
            "<label>Text <input name=text value=/start required></label>"
            "<button>Write to the bot</button></form>"
            f"{_table(('to chat', 'the bot wrote'), answers)}"
            "<h2>Facebook</h2><form method=post action=/facebook>"
            f"<label>Post <select name=post>{posts}</select></label>"
            "<label>Name <input name=name value=Ben></label>"
            "<label>Comment <input name=text value='What does it cost?' required></label>"
            "<button>Comment on the page</button></form>"
            f"{_table(('who', 'commented'), comments)}"
            f"<h2>Mail</h2>{_table(('to', 'subject', 'text'), mails)}"
            f"<h2>Webhooks that were sent to {_text(people.receiver.url('/'))}</h2>"
            f"{_table(('method', 'path', 'body'), hooks)}"
            f"<h2>Google Sheets</h2>{_table(('spreadsheet', 'id'), _books(people.google))}"
            "<details><summary>A service account's key file</summary><pre>"
            f"{_text(json.dumps(_key_file(people.google), indent=2))}</pre></details>",
        )

    def question(self, path: str, query: str) -> str:
        """What Google or Facebook asks a person who logs in."""
        who = "Google" if path == GOOGLE else "Facebook"
        asked = dict(parse_qsl(query))
        scopes = "".join(
            f"<li>{_text(scope)}" for scope in asked.get("scope", "").replace(",", " ").split()
        )
        action = _text(f"{path}?{query}")
        return _page(
            f"{who}'s stand-in",
            f"<p>{_text(asked.get('client_id', '?'))} asks for:</p><ul>{scopes}</ul>"
            f"<form method=post action='{action}'><button name=answer value=allow>Allow</button> "
            "<button name=answer value=refuse>Refuse</button></form>",
        )


class _Handler(BaseHTTPRequestHandler):
    page: Page

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        if split.path == "/":
            self._show(self.page.front(dict(parse_qsl(split.query)).get("message", "")))
        elif split.path == GOOGLE or split.path.startswith(f"{FACEBOOK}/"):
            self._show(self.page.question(split.path, split.query))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        if self.headers.get("Origin") not in {None, self.page.url}:
            self.send_error(403, "Another page's form")
            return
        split = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = dict(parse_qsl(text, keep_blank_values=True))
        if split.path == "/telegram":
            self._go(f"/?{urlencode({'message': self.page.write_to_the_bot(form)})}")
        elif split.path == "/facebook":
            self._go(f"/?{urlencode({'message': self.page.comment(form)})}")
        elif split.path == GOOGLE or split.path.startswith(f"{FACEBOOK}/"):
            refused = form.get("answer") != "allow"
            onward = self.page.consent(split.path, split.query, refused=refused)
            if onward:
                self._go(onward)
            else:
                self.send_error(400, "Not a log-in of this stack's application")
        else:
            self.send_error(404)

    def _go(self, where: str) -> None:
        self.send_response(303)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _show(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads along."""


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<meta name=viewport content='width=device-width'><style>"
        "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "label{display:block;margin:.5rem 0}input,select{font:inherit;width:100%}"
        "button{font:inherit;padding:.4rem 1rem}"
        "table{border-collapse:collapse;width:100%;margin:1rem 0}"
        "td,th{border:1px solid #999;padding:.3rem .6rem;text-align:left;vertical-align:top;"
        "overflow-wrap:anywhere;white-space:pre-wrap}pre{white-space:pre-wrap;overflow-wrap:anywhere}"
        f"</style><h1>{title}</h1>{body}</html>"
    )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    head = "".join(f"<th>{_text(name)}" for name in names)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}" for cell in row) for row in reversed(rows[-SHOWN:])
    )
    return f"<table><tr>{head}{lines}</table>"


def _command(text: str) -> dict[str, Any]:
    """The mark that Telegram puts on a command."""
    if not text.startswith("/"):
        return {}
    length = len(text.split(maxsplit=1)[0])
    return {"entities": [{"type": "bot_command", "offset": 0, "length": length}]}


def _delivered(status: int) -> str:
    return (
        f"Delivered: the stack answered {status}."
        if status
        else "The webhook does not want that kind."
    )


def _body(message: Any) -> str:
    part = message.get_body(("plain", "html"))
    return part.get_content() if part else ""


def _books(google: FakeGoogle) -> list[tuple[str, str]]:
    return [(book.title, book.id) for book in google.books.values()]


def _key_file(google: FakeGoogle) -> dict[str, str]:
    return google.add_service_account()


@contextmanager
def running(
    folder: Path, ports: Mapping[str, int]
) -> Iterator[tuple[Page, StandIns, dict[str, str]]]:
    """Start them all: the page, who plays, and the settings that lead to them.

    Args:
        folder: Gets the certificates that the functions must trust.
        ports: Where each listens; 0 is any port that is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    with ExitStack() as stack:
        stand_ins = StandIns(
            stack.enter_context(TelegramServer(ports["telegram"])),
            stack.enter_context(FakeGoogle(ports["google"])),
            stack.enter_context(FacebookStandIn(port=ports["facebook"])),
            stack.enter_context(
                MailServer(
                    "starttls",
                    authority.server_context("localhost"),
                    port=ports["mail"],
                    users={MAIL_USER: MAIL_PASSWORD},
                )
            ),
            stack.enter_context(Receiver(ports["receiver"])),
        )
        stand_ins.google.add_book({"Orders": [["id", "total"]]}, title="Orders")
        shop = stand_ins.facebook.add_page("Example Shop")
        stand_ins.facebook.add_user("Ann Example", pages=[shop])
        stand_ins.facebook.add_post(shop, "Our new shoes are here")
        page = Page(stand_ins, ports["page"])
        stack.callback(page.stop)
        yield page, stand_ins, settings(page, stand_ins)


def settings(page: Page, stand_ins: StandIns) -> dict[str, str]:
    """The settings that lead to them, by their names in .env."""
    google, facebook = stand_ins.google, stand_ins.facebook
    ((client_id, client_secret),) = google.clients.items()
    return {
        "TELEGRAM_API_BASE": stand_ins.telegram.url,
        "SHEETS_API_BASE": google.addresses["sheets_api"],
        "GOOGLE_AUTH_URL": f"{page.url}{GOOGLE}",
        "GOOGLE_TOKEN_URL": google.addresses["google_token"],
        "GOOGLE_REVOKE_URL": google.addresses["google_revoke"],
        "GOOGLE_CLIENT_ID": client_id,
        "GOOGLE_CLIENT_SECRET": client_secret,
        "FACEBOOK_GRAPH_BASE": facebook.url,
        "FACEBOOK_DIALOG_BASE": f"{page.url}{FACEBOOK}",
        "FACEBOOK_APP_ID": facebook.app_id,
        "FACEBOOK_APP_SECRET": facebook.app_secret,
        "FACEBOOK_VERIFY_TOKEN": VERIFY_TOKEN,
        "SMTP_HOST": "localhost",
        "SMTP_PORT": str(stand_ins.mail.port),
        "SMTP_USER": MAIL_USER,
        "SMTP_PASS": MAIL_PASSWORD,
        "SMTP_FROM": f"The stack <{MAIL_USER}>",
    }


def trusted(folder: Path) -> Path:
    """Write the certificates of this machine and of the stand-ins into one file.

    A machine may have none in one file (macOS; a folder of them elsewhere): certifi's stand in.
    """
    text = Path(ssl.get_default_verify_paths().cafile or certifi.where()).read_text("utf-8")
    bundle = folder / "trusted.pem"
    authority = (folder / "authority.pem").read_text(encoding="utf-8")
    bundle.write_text(f"{text}\n{authority}", encoding="utf-8")
    return bundle


def check_free(ports: Mapping[str, int]) -> None:
    """Say which port is taken, and end."""
    for name, port in ports.items():
        if is_served(port) or not is_free(port):
            sys.exit(
                f"port {port}, which the stand-in of {name} needs, is taken;"
                " make run STANDINS=any takes free ones"
            )


def free_ports(folder: Path) -> dict[str, int]:
    """Free ports; those of the last time where they are, so that no address has to be deployed."""
    kept = folder / "ports.json"
    try:
        last = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = {}  # none yet, or not written to its end
    ports = {}
    with ExitStack() as stack:
        for name in (*PORTS, "receiver"):
            port = last.get(name, 0)
            held = socket.create_server(("127.0.0.1", port if is_free(port) else 0))
            ports[name] = int(stack.enter_context(held).getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(ports), encoding="utf-8")
    return ports


def main() -> None:
    """Serve until Ctrl-C, or with ``--for-run`` until standard input ends.

    The first line that is printed is the settings as JSON then. ``--any-port`` takes free ports.
    """
    for_run = "--for-run" in sys.argv
    folder = Path(".local/stand-ins")
    if "--any-port" in sys.argv:
        ports = free_ports(folder)
    else:
        ports = {**PORTS, "receiver": RECEIVER}
        check_free(ports)
    with running(folder, ports) as (page, stand_ins, found):
        bundle = str(trusted(folder).resolve())
        bot = stand_ins.telegram.token
        if for_run:
            message = {"settings": found, "trusted": bundle, "page": page.url, "bot": bot}
            print(json.dumps(message), flush=True)  # noqa: T201 - for whoever started it
            sys.stdin.read()
            return
        lines = [f"{name}={shlex.quote(value)}" for name, value in found.items()]
        print(  # noqa: T201 - for whoever started it
            f"The stand-ins are up; their page is {page.url}, the bot's token {bot}.\n"
            f"These lines in .env lead to them; start make run with SSL_CERT_FILE={bundle}:\n",
            *lines,
            sep="\n",
            flush=True,
        )
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
