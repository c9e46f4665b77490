"""Envelope encryption: bound to its place, opened only there."""

from collections.abc import Iterator
from typing import Any, override

import pytest

from integrations.storage.aws import AwsError
from integrations.storage.envelope import Envelope, EnvelopeBroken, Sealed
from tests.fakes.aws import FakeAws

CONTEXT = {"tenant": "acme", "provider": "telegram", "connection": "default"}
SECRET = b"123456789:AAFakeTokenOfTheStandInServer_0123456"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Iterator[Clock]:
    return Clock()


@pytest.fixture
def envelope(aws: FakeAws, clock: Clock) -> Envelope:
    return Envelope(aws.client, aws.names["CredentialsKey"], max_age=60, clock=clock)


def test_what_was_sealed_opens_with_the_same_context(envelope: Envelope) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    assert envelope.open(sealed, dict(reversed(CONTEXT.items()))) == SECRET


def test_no_part_of_a_sealed_secret_holds_the_secret(envelope: Envelope) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    stored = b"".join([sealed.ciphertext, sealed.nonce, sealed.data_key])
    assert not any(SECRET[at : at + 6] in stored for at in range(len(SECRET) - 6))


def test_each_write_has_its_own_key_and_nonce(envelope: Envelope) -> None:
    one, other = envelope.seal(SECRET, CONTEXT), envelope.seal(SECRET, CONTEXT)
    assert one.data_key != other.data_key
    assert one.nonce != other.nonce
    assert one.ciphertext != other.ciphertext


@pytest.mark.parametrize("part", ["tenant", "provider", "connection"])
def test_a_ciphertext_that_is_moved_elsewhere_does_not_open(
    aws: FakeAws, envelope: Envelope, part: str
) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    elsewhere = Envelope(aws.client, aws.names["CredentialsKey"])
    with pytest.raises((AwsError, EnvelopeBroken)):
        elsewhere.open(sealed, CONTEXT | {part: "other"})


def test_a_data_key_in_memory_does_not_open_it_elsewhere_either(envelope: Envelope) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    assert envelope.open(sealed, CONTEXT) == SECRET
    with pytest.raises((AwsError, EnvelopeBroken)):
        envelope.open(sealed, CONTEXT | {"tenant": "other"})


@pytest.mark.parametrize("part", ["ciphertext", "nonce"])
def test_a_damaged_envelope_says_so(envelope: Envelope, part: str) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    value = bytearray(getattr(sealed, part))
    value[0] ^= 1
    with pytest.raises(EnvelopeBroken):
        envelope.open(sealed._replace(**{part: bytes(value)}), CONTEXT)


def test_an_opened_data_key_is_kept_for_a_while_and_no_longer(
    aws: FakeAws, envelope: Envelope, clock: Clock
) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    envelope.open(sealed, CONTEXT)
    clock.seconds += 59
    envelope.open(sealed, CONTEXT)
    assert aws.calls["Decrypt"] == 1
    clock.seconds += 2
    envelope.open(sealed, CONTEXT)
    assert aws.calls["Decrypt"] == 2


def test_without_kms_nothing_opens(aws: FakeAws, envelope: Envelope) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    aws.fail("Decrypt", "AccessDeniedException", status=400)
    with pytest.raises(AwsError, match="AccessDenied"):
        envelope.open(sealed, CONTEXT)


def test_a_row_without_all_its_parts_holds_no_secret() -> None:
    parts = {"ciphertext": b"c", "nonce": b"n", "dataKey": b"d", "keyId": "k"}
    assert Sealed.of(parts) == Sealed(b"c", b"n", b"d", "k")
    for name in parts:
        assert Sealed.of({n: value for n, value in parts.items() if n != name}) is None


def test_an_older_ciphertext_that_is_put_back_does_not_open(envelope: Envelope) -> None:
    older, newer = envelope.seal(b"one", CONTEXT, "1"), envelope.seal(b"two", CONTEXT, "2")
    assert (envelope.open(older, CONTEXT, "1"), envelope.open(newer, CONTEXT, "2")) == (
        b"one",
        b"two",
    )
    for version in ("2", "", "11"):
        with pytest.raises(EnvelopeBroken):
            envelope.open(older, CONTEXT, version)


def test_what_was_sealed_without_a_version_opens_until_it_is_written_again(
    envelope: Envelope,
) -> None:
    earlier = envelope.seal(SECRET, CONTEXT)
    assert Sealed.of(dict(earlier.attributes())) == earlier
    assert envelope.open(earlier, CONTEXT, "7") == SECRET
    later = envelope.seal(SECRET, CONTEXT, "8")
    assert Sealed.of(dict(later.attributes())) == later
    with pytest.raises(EnvelopeBroken):
        envelope.open(later._replace(versioned=False), CONTEXT, "8")


def test_keys_that_are_too_old_leave_the_memory_with_the_next_use(
    envelope: Envelope, clock: Clock
) -> None:
    first, second = envelope.seal(SECRET, CONTEXT), envelope.seal(SECRET, CONTEXT)
    envelope.open(first, CONTEXT)
    assert len(envelope._keys) == 1
    clock.seconds += 61
    envelope.open(second, CONTEXT)
    assert [name for name, _ in envelope._keys] == [second.data_key]


class Contended(dict[tuple[bytes, bytes], tuple[float, bytes]]):
    """Keys that another thread drops as soon as they are looked at."""

    @override
    def items(self) -> Any:
        found = list(super().items())
        self.clear()
        return found


def test_two_threads_may_drop_the_same_old_keys(envelope: Envelope, clock: Clock) -> None:
    sealed = envelope.seal(SECRET, CONTEXT)
    envelope._keys = Contended()
    assert envelope.open(sealed, CONTEXT) == SECRET
    clock.seconds += 61
    assert envelope.open(sealed, CONTEXT) == SECRET


@pytest.mark.parametrize("part", ["data_key", "nonce", "ciphertext"])
@pytest.mark.parametrize("damage", [b"", b"x"])
def test_any_damage_is_called_so(envelope: Envelope, part: str, damage: bytes) -> None:
    sealed = envelope.seal(SECRET, CONTEXT, "1")._replace(**{part: damage})
    with pytest.raises((EnvelopeBroken, AwsError)):
        envelope.open(sealed, CONTEXT, "1")
