"""The clients of boto3, for what speaks another protocol than the rest: S3 and Scheduler.

Imported when the first of them is used: most functions never do, and it takes longer than all else.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.credentials import CredentialProvider, Credentials, ReadOnlyCredentials
from botocore.session import get_session

from integrations.storage.aws.client import ATTEMPT_SECONDS, RESERVE_SECONDS, AwsUnavailable
from integrations.storage.aws.endpoints import endpoint
from integrations.storage.aws.sigv4 import AwsCredentials
from integrations.storage.aws.transport import CONNECT_SECONDS, roots

ATTEMPTS: Final = 3


class Clients:
    """boto3's clients, made on first use.

    Args:
        region: The region's name.
        credentials: Gives the present credentials, which are asked for at each request.
        endpoint_url: Where every service answers instead of AWS, or ``""``.
        fips, dual_stack: Which of AWS's endpoints.
        ca_bundle: A file of certificates to know AWS by, in place of Amazon's own roots.
        time_left: For how many seconds whoever calls may still wait.
    """

    def __init__(
        self,
        *,
        region: str,
        credentials: Callable[[], AwsCredentials],
        endpoint_url: str,
        fips: bool,
        dual_stack: bool,
        ca_bundle: str,
        time_left: Callable[[], float],
    ) -> None:
        session = get_session()
        session.get_component("credential_provider").insert_before("env", _Provider(credentials))
        self._session = boto3.Session(botocore_session=session, region_name=region)
        self._endpoint_url = endpoint_url
        host = urlsplit(endpoint("sqs", region, fips=fips, dual_stack=dual_stack)).hostname or ""
        self._roots = None if endpoint_url else roots(ca_bundle, host)
        self._time_left = time_left
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ATTEMPT_SECONDS,
            tcp_keepalive=True,
            use_fips_endpoint=fips,
            use_dualstack_endpoint=dual_stack,
            s3={"addressing_style": "path" if endpoint_url else "auto"},
        )

    def client(self, service: str) -> Any:
        """A client; each of its attempts is sent only where there is time for it."""
        made: Any = self._session.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self._endpoint_url or None,
            verify=self._roots,
            config=self._config,
        )
        made.meta.events.register("before-send", self._check_time)
        return made

    def _check_time(self, event_name: str, **_: object) -> None:
        if self._time_left() < CONNECT_SECONDS + ATTEMPT_SECONDS + RESERVE_SECONDS:
            operation = event_name.rpartition(".")[2]
            raise AwsUnavailable(operation, "NoTimeLeft", "it was not sent")


class _Provider(CredentialProvider):
    METHOD = "integrations"

    def __init__(self, present: Callable[[], AwsCredentials]) -> None:
        super().__init__()
        self._present = present

    def load(self) -> Credentials:
        return _Present(self._present)


class _Present(Credentials):
    """Credentials that are those of the moment at each request."""

    def __init__(self, present: Callable[[], AwsCredentials]) -> None:
        super().__init__(*present())
        self._of_now = present

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(*self._of_now())
