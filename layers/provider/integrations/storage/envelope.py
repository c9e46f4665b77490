"""Envelope encryption: a data key of KMS per write, AES-256-GCM around the secret.

The context (tenant, provider, connection …) is KMS's encryption context and GCM's associated data
at once, so a ciphertext that is moved to another row does not decrypt. What is replaced in its row
is bound to the row's version as well, so an older ciphertext that is put back does not decrypt.
https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#enveloping
"""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self, override

from integrations.errors import IntegrationError
from integrations.storage.aws import Attribute, Aws, AwsError

NONCE_BYTES = 12
CACHED_KEYS = 1024

_BROKEN = "The stored secret does not decrypt in this place"
_NOT_OF_THIS_PLACE = ("InvalidCiphertextException", "IncorrectKeyException")
"""How KMS refuses a data key that was made with another context, or is damaged.
https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html"""


class EnvelopeBroken(IntegrationError):
    """A ciphertext that does not decrypt: damaged, or not of this row."""

    code = "envelope_broken"


class Sealed(NamedTuple):
    """A secret at rest. None of its parts is secret.

    Attributes:
        versioned: It is bound to its record's version. Records of before that was so are not, until
            they are written again.
    """

    ciphertext: bytes
    nonce: bytes
    data_key: bytes
    key_id: str
    versioned: bool = False

    @override
    def __repr__(self) -> str:
        return f"Sealed(key_id={self.key_id!r})"  # the rest is long, and nobody's to read

    def attributes(self) -> dict[str, Attribute]:
        """The parts as a table's attributes."""
        return {
            "ciphertext": self.ciphertext,
            "nonce": self.nonce,
            "dataKey": self.data_key,
            "keyId": self.key_id,
            "versioned": self.versioned or None,
        }

    @classmethod
    def of(cls, attributes: Mapping[str, object]) -> Self | None:
        """The sealed secret in a row's attributes; ``None`` where they were not read or written."""
        match attributes:
            case {
                "ciphertext": bytes(ciphertext),
                "nonce": bytes(nonce),
                "dataKey": bytes(data_key),
                "keyId": str(key_id),
            }:
                versioned = attributes.get("versioned") is True
                return cls(ciphertext, nonce, data_key, key_id, versioned)
        return None


class Envelope:
    """Seals and opens secrets.

    Args:
        aws: The way to KMS.
        key_id: The KMS key that new secrets are sealed under.
        max_age: Seconds that an opened data key is used again; the next use of any drops those that
            are older. Each write has its own, so a cached one is never another version's.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        aws: Aws,
        key_id: str,
        *,
        max_age: float = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws = aws
        self._key_id = key_id
        self._max_age = max_age
        self._clock = clock
        self._keys: dict[tuple[bytes, bytes], tuple[float, bytes]] = {}

    def seal(self, secret: bytes, context: Mapping[str, str], version: str = "") -> Sealed:
        """Encrypt ``secret`` under a new data key.

        Args:
            secret: The plain bytes.
            context: What it is bound to, at KMS and in the ciphertext.
            version: The version of the record that it is written in; ``""`` for a record that is
                written once.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._aws.kms(
            "GenerateDataKey",
            {"KeyId": self._key_id, "KeySpec": "AES_256", "EncryptionContext": dict(context)},
        )
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain_key = base64.b64decode(key["Plaintext"])
        return Sealed(
            ciphertext=AESGCM(plain_key).encrypt(nonce, secret, _associated_data(context, version)),
            nonce=nonce,
            data_key=base64.b64decode(key["CiphertextBlob"]),
            key_id=str(key["KeyId"]),
            versioned=bool(version),
        )

    def open(self, sealed: Sealed, context: Mapping[str, str], version: str = "") -> bytes:
        """Decrypt what was sealed with the same context and version.

        Raises:
            EnvelopeBroken: It was sealed with another context or version, or is damaged.
            AwsError: KMS does not give the data key.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        associated = _associated_data(context, version if sealed.versioned else "")
        try:
            return AESGCM(self._data_key(sealed, context, associated)).decrypt(
                sealed.nonce, sealed.ciphertext, associated
            )
        except (InvalidTag, ValueError):  # a nonce or a key of another length
            raise EnvelopeBroken(_BROKEN) from None

    def _data_key(self, sealed: Sealed, context: Mapping[str, str], associated: bytes) -> bytes:
        moment = self._clock()
        # The daily check opens by several threads at once: another one may be at the same here.
        for name, (ends, _) in list(self._keys.items()):
            if ends <= moment:
                self._keys.pop(name, None)
        cached = self._keys.get((sealed.data_key, associated))
        if cached:
            return cached[1]
        try:
            answer = self._aws.kms(
                "Decrypt",
                {
                    "CiphertextBlob": sealed.data_key,
                    "KeyId": sealed.key_id,
                    "EncryptionContext": dict(context),
                },
            )
        except AwsError as refusal:
            if refusal.aws_code in _NOT_OF_THIS_PLACE:
                raise EnvelopeBroken(_BROKEN) from None
            raise
        key = base64.b64decode(answer["Plaintext"])
        if len(self._keys) >= CACHED_KEYS:
            self._keys.clear()
        self._keys[sealed.data_key, associated] = (moment + self._max_age, key)
        return key


def _associated_data(context: Mapping[str, str], version: str) -> bytes:
    bound = dict(context) | ({"version": version} if version else {})
    return json.dumps(bound, sort_keys=True, separators=(",", ":")).encode()
