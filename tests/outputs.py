"""Every action's example, run on the stand-in of its vendor: what the action gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from integrations.outbound.client import Outbound
from integrations.providers.base import Action, Addresses, Call, Credentials
from integrations.providers.email.provider import PROVIDER as EMAIL
from integrations.providers.facebook.provider import PROVIDER as FACEBOOK
from integrations.providers.sheets.actions.params import SAMPLE
from integrations.providers.sheets.provider import PROVIDER as SHEETS
from integrations.providers.telegram.provider import PROVIDER as TELEGRAM
from integrations.providers.webhook.provider import PROVIDER as WEBHOOK
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import TelegramServer

BAKERY = "110000000000001"
POST = f"{BAKERY}_122100000000000001"
COMMENT = "122100000000000001_987654321"
ANN = "7000000000000001"
CHANNEL = -1001
"""What the stand-in makes of a chat that is given by its name."""

type Run = Callable[[Action], Any]


def _call[C: Credentials](credentials: C, addresses: Addresses) -> Call[C]:
    http = Outbound(allow_loopback=True, total_timeout=10)
    return Call(credentials=credentials, http=http, addresses=addresses, allow_loopback=True)


@contextmanager
def telegram() -> Iterator[Run]:
    """A bot in a chat with a message and a file."""
    with TelegramServer() as server:
        credentials = TELEGRAM.credentials.model_validate({"botToken": server.token})
        call = _call(credentials, Addresses(telegram_api=server.url))

        def run(action: Action) -> Any:
            example = dict(action.example)
            if "messageId" in example:
                chat = cast("int | str", example.get("fromChatId", example.get("chatId")))
                message_id = cast("int", example["messageId"])
                number = chat if isinstance(chat, int) else CHANNEL
                of = {"id": number, "type": "private" if number > 0 else "supergroup"}
                server.messages[number, message_id] = {
                    "message_id": message_id,
                    "date": 1_795_348_800,
                    "chat": of,
                    "from": server.bots[server.token],
                    **({"caption": "x"} if "caption" in example else {"text": "Order 41"}),
                }
            if "fileId" in example:
                server.files[str(example["fileId"])] = ("documents/file_1.txt", b"An invoice")
            return action.run(call, action.params.model_validate(example))

        yield run


@contextmanager
def sheets() -> Iterator[Run]:
    """A spreadsheet with orders and prices, as it was before each action."""
    with FakeGoogle() as server:
        account = {"serviceAccount": server.add_service_account(), "spreadsheetId": SAMPLE}
        call = _call(SHEETS.credentials.model_validate(account), Addresses(**server.addresses))

        def run(action: Action) -> Any:
            server.books.clear()
            orders = [["Id", "Customer", "Status"], [1001, "Ann", "open"], [1002, "Ben", "paid"]]
            prices = [["Item", "Price"], ["Tea", 9.5], ["Rum", 12]]
            tables = {"Orders": orders, "Price list": prices}
            server.add_book(cast("Any", tables), book_id=SAMPLE, title="Shop")
            return action.run(call, action.params.model_validate(action.example))

        yield run


@contextmanager
def facebook() -> Iterator[Run]:
    """A bakery's page with a post and a comment."""
    with FacebookStandIn() as server:
        page = server.add_page("Bakery", id_=BAKERY)
        user = server.add_user("Ann Owner", pages=[page])
        person = server.add_person("Zoë", "Müller", id_=ANN)
        server.other_nodes[f"{BAKERY}/insights"] = {"data": [{"name": "page_impressions"}]}
        addresses = Addresses(facebook_graph=server.url, facebook_dialog=server.url)
        given = {"appId": server.app_id, "appSecret": server.app_secret}
        token = {"accessToken": server.user_token(user)}
        asked = FACEBOOK.credentials.model_validate(given | token)
        verified = FACEBOOK.verify(_call(asked, addresses)).credentials
        assert verified is not None
        call = _call(verified, addresses)

        def run(action: Action) -> Any:
            server.add_post(page, "Fresh cake", id_=POST)
            author = {"id": person, "name": "Zoë Müller"}
            server.add_comment(POST, "How much is it?", author, id_=COMMENT)
            return action.run(call, action.params.model_validate(action.example))

        yield run


@contextmanager
def email() -> Iterator[Run]:
    """A mail server that takes everything."""
    with MailServer() as server:
        given = {
            "host": "127.0.0.1",
            "port": server.port,
            "secure": "none",
            "from": "shop@example.com",
        }
        call = _call(EMAIL.credentials.model_validate(given), Addresses())
        yield lambda action: action.run(call, action.params.model_validate(action.example))


@contextmanager
def webhook() -> Iterator[Run]:
    """A receiver of requests."""
    with Receiver() as server:
        given = {"url": "https://example.com/hooks/orders", "outboundUrl": server.url("/in")}
        call = _call(WEBHOOK.credentials.model_validate(given), Addresses())

        def run(action: Action) -> Any:
            example = {**action.example, "url": server.url("/in")}
            return action.run(call, action.params.model_validate(example))

        yield run


WORLDS = {
    "telegram": (TELEGRAM, telegram),
    "sheets": (SHEETS, sheets),
    "facebook": (FACEBOOK, facebook),
    "email": (EMAIL, email),
    "webhook": (WEBHOOK, webhook),
}
