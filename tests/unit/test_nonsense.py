"""What vendors would never answer is no crash and no success, at each action of each vendor.

Each action is run against its vendor's stand-in. Then it is run again with the last answer spoiled:
one value in it replaced by one of another kind, or all of it by what is no answer at all.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from integrations import strict_json
from integrations.errors import IntegrationError, ProviderUnavailable
from integrations.models import Json
from integrations.outbound.http import Http, Response
from integrations.providers import registry
from integrations.providers.base import Action, Call
from integrations.providers.sheets.actions.params import SAMPLE
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.telegram import TelegramServer
from tests.unit.connected import ANN, BAKERY, COMMENT, POST, World, sheets_call, telegram_call

OTHERS: list[Json] = [None, True, 5, -1.5, "x", "", [], [5], [None], {}, {"x": 5}]
NO_ANSWERS = [
    b"", b"<html>", b"[]", b"{}", b"null", b'"ok"', b"5", b'{"success":"false"}', b'{"id":null}',
    b'{"id":{}}', b'{"id":""}', b'{"ok":true}', b'{"data":[5]}', b'{"data":null}', b'{"error":"x"}',
    b'{"error":{"code":"190"}}', b'{"error":5}', b'{"ok":false,"description":5}',
    b'{"spreadsheetId":5}', b'{"replies":[]}',
]  # fmt: skip
ANY_ANSWER = {"telegram.call", "facebook.call", "sheets.request"}
"""What hands on whatever its vendor says."""
SPOILED = 30
"""How many spoiled answers each action gets, chosen by chance, always the same."""

PROVIDERS = [registry.get(each) for each in ("telegram", "sheets", "facebook")]
ACTIONS = [(provider.id, action) for provider in PROVIDERS for action in provider.actions]


@dataclass
class Recorded:
    """An answer that can be given again."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Json:
        try:
            return strict_json.read(self.content)
        except strict_json.NotJson:
            raise ProviderUnavailable("It is not JSON", status=self.status) from None


@dataclass
class Recorder:
    """Passes requests on, and keeps the answers."""

    http: Http
    answers: list[Recorded] = field(default_factory=list)

    def request(self, *given: Any, **named: Any) -> Response:
        answer = self.http.request(*given, **named)
        self.answers.append(Recorded(answer.status, dict(answer.headers), answer.content))
        return answer


@dataclass
class Replayer:
    """Gives recorded answers again, and the last one for whatever comes after."""

    answers: list[Recorded]
    asked: int = 0

    def request(self, *_: Any, **__: Any) -> Response:
        self.asked += 1
        assert self.asked < 100, "asks for ever"
        return self.answers[min(self.asked, len(self.answers)) - 1]


@pytest.fixture
def calls() -> Iterator[dict[str, Callable[[], Call[Any]]]]:
    with TelegramServer() as telegram, FakeGoogle() as google, FacebookStandIn() as facebook:
        page = facebook.add_page("Bakery", id_=BAKERY)
        user = facebook.add_user("Ann Owner", pages=[page])
        person = facebook.add_person("Zoë", "Müller", id_=ANN)
        facebook.add_post(page, "Fresh cake", id_=POST)
        author = {"id": person, "name": "Zoë Müller"}
        facebook.add_comment(POST, "How much?", author, id_=COMMENT)
        orders = [["Id", "Status", "Total"], ["1001", "open", "5"], ["1002", "paid", "7"]]
        tabs = {"Orders": orders, "Price list": orders, "Old": []}
        google.add_book(tabs, title="Orders", book_id=SAMPLE)
        world = World(facebook, user, page, person)
        yield {
            "telegram": lambda: telegram_call(telegram.url),
            "sheets": lambda: sheets_call(google),
            "facebook": world.connected,
        }


def places(value: Json, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield way
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, each in inner:
        yield from places(each, (*way, name))


def spoiled(answer: Json, way: tuple[str | int, ...], other: Json) -> bytes:
    if not way:
        return json.dumps(other).encode()
    made: Any = deepcopy(answer)
    here = made
    for part in way[:-1]:
        here = here[part]
    here[way[-1]] = other
    return json.dumps(made).encode()


def spoiled_answers(last: Recorded, chance: Random) -> Iterator[bytes]:
    try:
        answer = strict_json.read(last.content)
    except strict_json.NotJson:
        return
    all_ways = [(way, other) for way in places(answer) for other in OTHERS]
    for way, other in chance.sample(all_ways, min(SPOILED, len(all_ways))):
        yield spoiled(answer, way, other)


def is_success(action: Action, call: Call[Any], answers: list[Recorded]) -> bool:
    """Whether an action takes answers for success; a crash is a failure of the test."""
    params = action.params.model_validate(dict(action.example))
    try:
        action.run(replace(call, http=Replayer(answers)), params)
    except IntegrationError:
        return False
    except Exception as crash:
        raise AssertionError(f"{answers[-1].content!r} crashes it") from crash
    return True


@pytest.mark.parametrize(("provider", "action"), ACTIONS, ids=[f"{p}.{a.name}" for p, a in ACTIONS])
def test_nonsense_is_no_success_and_no_crash(
    calls: dict[str, Callable[[], Call[Any]]], provider: str, action: Action
) -> None:
    call = calls[provider]()
    recorder = Recorder(call.http)
    with suppress(IntegrationError):  # what the stand-in refuses is an answer as well
        params = action.params.model_validate(dict(action.example))
        action.run(replace(call, http=recorder), params)
    if not recorder.answers:
        return  # it asks nobody
    *before, last = recorder.answers

    for body in NO_ANSWERS:
        answers = [*before, replace(last, status=200, content=body)]
        taken = is_success(action, call, answers)
        assert not taken or f"{provider}.{action.name}" in ANY_ANSWER, body
    chance = Random(action.name)  # the same each time
    for body in spoiled_answers(last, chance):
        is_success(action, call, [*before, replace(last, content=body)])
