"""``storage/aws/endpoints.json``: where AWS's services answer, by botocore's own rules."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from botocore.endpoint_provider import EndpointProvider
from botocore.session import get_session

from integrations.storage.aws import endpoints

FILE = Path(endpoints.FILE)
SERVICES = ("dynamodb", "kms", "scheduler", "secretsmanager", "sqs")
"""What the functions call without boto3, which knows its own endpoints."""

KINDS = {
    " ".join(["fips"] * fips + ["dualstack"] * dual_stack): {
        "UseFIPS": fips,
        "UseDualStack": dual_stack,
    }
    for fips, dual_stack in product((False, True), repeat=2)
}


def partitions() -> list[dict[str, Any]]:
    """AWS's partitions, as botocore has them."""
    listed: list[dict[str, Any]] = _loader().load_data("partitions")["partitions"]
    return listed


def resolved(service: str, region: str, kind: str) -> str:
    """Where botocore finds a service."""
    return str(_provider(service).resolve_endpoint(Region=region, **KINDS[kind]).url)


def document() -> str:
    """The file's text.

    Raises:
        ValueError: The endpoints of one partition differ by more than the region's name.
    """
    made = [
        {
            "regions": partition["regionRegex"],
            "services": {service: dict(_kinds(service, partition)) for service in SERVICES},
        }
        for partition in partitions()
    ]
    return json.dumps(made, indent=1) + "\n"


def _kinds(service: str, partition: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        urls = [
            resolved(service, region, kind).replace(region, "{region}")
            for region in partition["regions"]
        ]
        if len(set(urls)) != 1:
            raise ValueError(f"{service} {kind} in {partition['id']}: {', '.join(sorted(urls))}")
        yield kind, urls[0]


def _loader() -> Any:
    return get_session().get_component("data_loader")


_providers: dict[str, EndpointProvider] = {}


def _provider(service: str) -> EndpointProvider:
    if service not in _providers:
        loader = _loader()
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        _providers[service] = EndpointProvider(rules, loader.load_data("partitions"))
    return _providers[service]
