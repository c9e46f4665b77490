"""Where AWS's services answer: our names against those of botocore's own resolver."""

from itertools import product

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointVariantError
from botocore.session import get_session

from integrations.storage.aws.endpoints import endpoint
from tools import endpoints as tools
from tools.endpoints import SERVICES, partitions

REGIONS = [
    region
    for partition in partitions()
    for region in partition["regions"]
    if not region.endswith("global")
]
KINDS = list(product((False, True), repeat=2))


SESSION = get_session()


@pytest.mark.parametrize("region", REGIONS)
def test_an_endpoint_is_the_one_that_botocore_finds(region: str) -> None:
    for service, (fips, dual_stack) in product(SERVICES, KINDS):
        found = botocores(service, region, fips=fips, dual_stack=dual_stack)
        assert endpoint(service, region, fips=fips, dual_stack=dual_stack) == found


def botocores(service: str, region: str, *, fips: bool, dual_stack: bool) -> str:
    try:
        made = SESSION.create_client(
            service,
            region_name=region,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack),
        )
    except EndpointVariantError:  # an older list that knows less makes no client here
        kind = next(
            name
            for name, options in tools.KINDS.items()
            if options == {"UseFIPS": fips, "UseDualStack": dual_stack}
        )
        return tools.resolved(service, region, kind)
    model = made.meta.service_model
    return str(
        made._ruleset_resolver.construct_endpoint(
            operation_model=model.operation_model(model.operation_names[0]),
            call_args={},
            request_context={"client_config": made.meta.config},
        ).url
    )


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("eu-west-9", "https://sqs.eu-west-9.amazonaws.com"),
        ("cn-south-1", "https://sqs.cn-south-1.amazonaws.com.cn"),
        ("us-gov-north-1", "https://sqs.us-gov-north-1.amazonaws.com"),
        ("eusc-de-east-2", "https://sqs.eusc-de-east-2.amazonaws.eu"),
    ],
)
def test_a_region_that_is_opened_later_is_found_by_its_partition(region: str, name: str) -> None:
    assert endpoint("sqs", region) == name


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("dynamodb", "https://dynamodb.us-gov-west-1.amazonaws.com"),
        ("kms", "https://kms-fips.us-gov-west-1.amazonaws.com"),
    ],
)
def test_govclouds_own_names_are_its_validated_ones(service: str, name: str) -> None:
    assert endpoint(service, "us-gov-west-1", fips=True) == name


@pytest.mark.parametrize("region", ["", "nowhere", "eu-central-1.evil.example", "local"])
def test_no_region_of_aws_is_no_endpoint(region: str) -> None:
    with pytest.raises(LookupError, match="no partition"):
        endpoint("dynamodb", region)
