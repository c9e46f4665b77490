"""The stack's app-level secrets (OAuth clients, default SMTP): one Secrets Manager secret.

Its text is a line ``name=value`` for each, as the template writes it; or a JSON object, as AWS's
console writes it once somebody has changed a value there.
"""

import json
import time
from collections.abc import Callable, Mapping

from integrations.storage.aws import Aws

CACHE_SECONDS = 300


class AppSecret:
    """Reads the secret when it is first needed, and again every five minutes.

    Args:
        aws: The way to Secrets Manager.
        arn: The secret's ARN.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self, aws: Aws, arn: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._aws = aws
        self._arn = arn
        self._monotonic = monotonic
        self._cached: tuple[float, Mapping[str, str]] | None = None

    def values(self) -> Mapping[str, str]:
        """The secret's fields; those that were not configured are empty or absent."""
        if self._cached and self._monotonic() < self._cached[0]:
            return self._cached[1]
        answer = self._aws.secretsmanager("GetSecretValue", {"SecretId": self._arn})
        values = fields_of(answer["SecretString"])
        self._cached = (self._monotonic() + CACHE_SECONDS, values)
        return values


def fields_of(text: str) -> Mapping[str, str]:
    """What the secret's text says; values may hold anything but the end of a line."""
    if text.startswith("{"):
        # Whoever edits it as text may write a port or an app's id as a number.
        given = json.loads(text).items()
        return {name: "" if value is None else str(value) for name, value in given}
    lines = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, is_field, value in lines if is_field}
