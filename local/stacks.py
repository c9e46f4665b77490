"""A deployed stack, for what is done to it by hand: on AWS, or in the MiniStack of `make run`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from integrations.storage.aws import Aws
from integrations.storage.aws.sigv4 import AwsCredentials
from local import ministack, region, state
from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Stack:
    """One stack.

    Attributes:
        name: Its name.
        outputs: What its template tells.
        client: Makes a boto3 client of a service.
        aws: The way to AWS that the storage modules take.
    """

    name: str
    outputs: Mapping[str, str]
    client: Callable[[str], Any]
    aws: Aws

    def table(self, name: str) -> str:
        """The physical name of a table; raises PlatformError where the stack has none of it."""
        if name not in self.outputs:
            raise PlatformError(f"stack {self.name} has no {name}")
        return self.outputs[name]


def of(stack: str | None, endpoint_url: str | None) -> Stack:
    """Return a stack on AWS, one behind `endpoint_url`, or the local platform's.

    Raises:
        PlatformError: There is no such stack.
    """
    if stack or endpoint_url:
        return _of_environment(stack or state.State.stack, endpoint_url)
    running, client = ministack.running()
    keys = state.credentials(state.DEFAULT)
    signing = AwsCredentials(keys.access_key, keys.secret_key, None)
    aws = Aws(
        region=ministack.REGION,
        credentials=lambda: signing,
        endpoint_url=running.endpoint_url or "",
    )
    return Stack(running.stack, _outputs(client, running.stack), client, aws)


def _of_environment(stack: str, endpoint_url: str | None) -> Stack:
    """The environment has the region and the credentials, as for the AWS tools."""
    session = boto3.session.Session(region_name=region.named(os.environ))

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=endpoint_url)  # type: ignore[call-overload]

    def signing() -> AwsCredentials:
        found = session.get_credentials()
        if found is None:
            raise PlatformError("there are no AWS credentials here")
        frozen = found.get_frozen_credentials()
        return AwsCredentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)

    outputs = _outputs(client, stack)  # asks for the region first
    aws = Aws(region=str(session.region_name), credentials=signing, endpoint_url=endpoint_url or "")
    return Stack(stack, outputs, client, aws)


def _outputs(client: Callable[[str], Any], stack: str) -> dict[str, str]:
    described = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
