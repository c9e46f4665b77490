"""The way to AWS: signing, sending, DynamoDB's attributes, its updates and pages."""

from integrations.storage.aws.attributes import Attribute, attributes, item, value
from integrations.storage.aws.client import (
    ATTEMPTS,
    Aws,
    AwsError,
    AwsUnavailable,
    ConditionFailed,
    boto3_failures,
)
from integrations.storage.aws.pages import batch, counted, pages, rows
from integrations.storage.aws.sigv4 import AwsCredentials
from integrations.storage.aws.updates import update

__all__ = [
    "ATTEMPTS",
    "Attribute",
    "Aws",
    "AwsCredentials",
    "AwsError",
    "AwsUnavailable",
    "ConditionFailed",
    "attributes",
    "batch",
    "boto3_failures",
    "counted",
    "item",
    "pages",
    "rows",
    "update",
    "value",
]
