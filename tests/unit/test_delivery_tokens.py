"""The keys of an issuer whose tokens deliveries carry: cached, rotated, and while it is down."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from integrations.errors import ProviderTimeout, ServiceUnavailable, SignatureRefused
from integrations.outbound.client import Answer
from integrations.services import delivery_tokens
from integrations.services.delivery_tokens import DeliveryTokens

RULE = {"type": "jwt", "jwksUrl": "https://issuer.example.com/keys"}
OURS = ec.generate_private_key(ec.SECP256R1())
OTHERS = ec.generate_private_key(ec.SECP256R1())


def keys(**named: ec.EllipticCurvePrivateKey) -> Answer:
    found = [
        {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": name, "alg": "ES256"}
        for name, key in named.items()
    ]
    return answer(200, {"keys": found})


def answer(status: int, body: Any) -> Answer:
    return Answer(status, {}, json.dumps(body).encode(), "issuer.example.com")


def token(named: str = "one", key: Any = OURS) -> Mapping[str, str]:
    made = jwt.encode({"exp": time.time() + 60}, key, "ES256", headers={"kid": named})
    return {"authorization": f"Bearer {made}"}


class World:
    """An issuer, and a clock beside it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.answer: Answer | Exception = keys(one=OURS)
        self.takes = 0.0
        self.tokens = DeliveryTokens(lambda: self, monotonic=lambda: self.now)

    def request(self, *_: Any, **__: Any) -> Answer:
        self.asked += 1
        self.now += self.takes
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def verify(self, headers: Mapping[str, str]) -> None:
        self.tokens.verify(RULE, "", headers)

    def later(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def world() -> World:
    return World()


DOWN = [
    ProviderTimeout("issuer.example.com did not answer in time"),
    answer(503, {"error": "busy"}),
    answer(429, {"error": "slow down"}),
    answer(404, {"keys": []}),
    answer(200, {"error": "maintenance"}),
    answer(200, {"keys": []}),
    answer(200, []),
    answer(200, {"keys": [{"kty": "oct", "k": "AAAA", "kid": ["one"]}]}),
    answer(200, {"keys": [{"kty": "oct"}]}),
    answer(200, {"keys": [{"kty": "oct", "k": "AAAA", "alg": "none"}]}),
    Answer(200, {}, b"<html>", "issuer.example.com"),
]
IDS = ["timeout", "503", "429", "404", "no-keys", "empty", "list", "odd", "no-k", "none", "page"]


def test_keys_are_asked_for_once_and_again_when_they_are_old(world: World) -> None:
    for _ in range(3):
        world.verify(token())
    assert world.asked == 1
    world.later(delivery_tokens.KEYS_SECONDS + 1)
    world.verify(token())
    assert world.asked == 2


def test_a_new_key_is_found_and_one_that_was_withdrawn_is_no_longer_good(world: World) -> None:
    world.verify(token())
    world.answer = keys(two=OTHERS)
    world.later(delivery_tokens.COOLDOWN_SECONDS + 1)
    world.verify(token("two", OTHERS))
    with pytest.raises(SignatureRefused):
        world.verify(token())


def test_made_up_names_of_keys_do_not_flood_the_issuer(world: World) -> None:
    for number in range(9):
        with pytest.raises(SignatureRefused):
            world.verify(token(f"made-up-{number}"))
    assert world.asked == 1


@pytest.mark.parametrize("down", DOWN, ids=IDS)
def test_while_its_issuer_is_down_no_delivery_is_refused_for_good(
    world: World, down: Answer | Exception
) -> None:
    world.answer = down
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            world.verify(token())
        world.later(1)
    assert world.asked == 1
    world.answer = keys(one=OURS)
    world.later(delivery_tokens.COOLDOWN_SECONDS)
    world.verify(token())


@pytest.mark.parametrize("down", DOWN, ids=IDS)
def test_a_key_that_was_good_stays_so_for_a_while_when_its_issuer_goes_down(
    world: World, down: Answer | Exception
) -> None:
    world.verify(token())
    world.answer = down
    world.later(delivery_tokens.KEYS_SECONDS + 1)
    for _ in range(3):
        world.verify(token())
        world.later(1)
    assert world.asked == 2, "it is left alone for a moment"
    with pytest.raises(SignatureRefused):
        world.verify(token(key=OTHERS))
    world.later(delivery_tokens.STALE_SECONDS)
    with pytest.raises(ServiceUnavailable):
        world.verify(token())


def test_a_key_that_nobody_knows_is_refused_only_where_the_issuer_says_so(world: World) -> None:
    world.verify(token())
    known, world.answer = world.answer, answer(500, {})
    world.later(delivery_tokens.COOLDOWN_SECONDS + 1)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            world.verify(token("two", OTHERS))
    world.answer = known
    world.later(delivery_tokens.COOLDOWN_SECONDS + 1)
    with pytest.raises(SignatureRefused):
        world.verify(token("two", OTHERS))


def test_an_issuer_that_is_slow_to_fail_is_left_alone_as_long_as_one_that_is_quick(
    world: World,
) -> None:
    world.answer, world.takes = DOWN[0], delivery_tokens.COOLDOWN_SECONDS * 2
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            world.verify(token())
    assert world.asked == 1
