"""Calls as connections to the stand-ins make them."""

from dataclasses import dataclass
from typing import Any

from integrations.outbound.client import Outbound
from integrations.providers.base import Addresses, Call
from integrations.providers.facebook.provider import PROVIDER, FacebookCredentials
from integrations.providers.sheets.provider import SheetsCredentials
from integrations.providers.telegram.provider import TelegramCredentials
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.telegram import TOKEN

BAKERY = "110000000000001"
POST = f"{BAKERY}_122100000000000001"
COMMENT = "122100000000000001_987654321"
ANN = "7000000000000001"


def telegram_call(url: str, token: str = TOKEN, **credentials: str) -> Call[TelegramCredentials]:
    return Call(
        credentials=TelegramCredentials.model_validate({"botToken": token, **credentials}),
        http=Outbound(allow_loopback=True, total_timeout=2),
        addresses=Addresses(telegram_api=url),
    )


def sheets_call(google: FakeGoogle, **credentials: Any) -> Call[SheetsCredentials]:
    given = dict(credentials)
    if "serviceAccount" not in given:
        given["serviceAccount"] = google.add_service_account()
    return Call(
        credentials=SheetsCredentials.model_validate(given),
        http=Outbound(allow_loopback=True, total_timeout=10),
        addresses=Addresses(**google.addresses),
    )


@dataclass
class World:
    """One bakery, its page, a post with a comment, and somebody who writes to it."""

    facebook: FacebookStandIn
    user: str
    page: str
    person: str

    def call(self, token: str | None = None, **more: Any) -> Call[FacebookCredentials]:
        given = {"appId": self.facebook.app_id, "appSecret": self.facebook.app_secret}
        credentials = FacebookCredentials.model_validate(given | {"accessToken": token} | more)
        return self.holding(credentials)

    def holding(self, credentials: FacebookCredentials) -> Call[FacebookCredentials]:
        return Call(
            credentials=credentials,
            http=Outbound(allow_loopback=True, total_timeout=2),
            addresses=Addresses(
                facebook_graph=self.facebook.url, facebook_dialog=self.facebook.url
            ),
        )

    def connected(self) -> Call[FacebookCredentials]:
        """A connection as it is after it was saved."""
        verified = PROVIDER.verify(self.call(self.facebook.user_token(self.user)))
        self.facebook.requests.clear()
        assert verified.credentials is not None
        return self.holding(verified.credentials)
