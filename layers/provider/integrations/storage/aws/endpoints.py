"""Where each service answers: by region and partition, with FIPS 140 and by IPv6 where asked.

The names are botocore's own rules, evaluated by ``make docs`` into ``endpoints.json``: the resolver
itself would cost most of a cold start. Regions that are opened later follow their partition's.
https://docs.aws.amazon.com/general/latest/gr/rande.html
"""

import json
import re
from functools import cache
from typing import Any, Final

FILE: Final = __file__.removesuffix(".py") + ".json"


@cache
def endpoint(service: str, region: str, *, fips: bool = False, dual_stack: bool = False) -> str:
    """The URL of a service in a region.

    Args:
        service: One of those that ``endpoints.json`` has, e.g. ``dynamodb``.
        region: The region's name.
        fips: Where the cryptography is validated by FIPS 140.
        dual_stack: Where IPv6 is answered, too.

    Raises:
        LookupError: There is no such partition, service or kind of endpoint.
    """
    for partition in _partitions():
        if re.match(partition["regions"], region):
            kind = " ".join(["fips"] * fips + ["dualstack"] * dual_stack)
            return str(partition["services"][service][kind]).replace("{region}", region)
    raise LookupError(f"no partition of AWS has a region {region!r}")


@cache
def _partitions() -> list[dict[str, Any]]:
    with open(FILE, "rb") as file:  # noqa: PTH123 - pathlib would be a thirtieth of the cold start
        partitions: list[dict[str, Any]] = json.load(file)
    return partitions
