"""Errors as they may be stored with a connection, and shown."""

import logging

from integrations.errors import IntegrationError, ServiceUnavailable
from integrations.storage.aws import AwsError

_log = logging.getLogger(__name__)


def told(failure: IntegrationError) -> IntegrationError:
    """An error as somebody may be told it: what AWS says is logged, and nobody's business but ours.

    Its words name the stack's roles, tables and account.
    """
    if not isinstance(failure, AwsError):
        return failure
    _log.error("AWS did not do what was asked", exc_info=failure)
    return ServiceUnavailable("Something is not available here now")
