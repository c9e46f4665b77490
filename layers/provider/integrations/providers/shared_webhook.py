"""The one webhook that all connections of a provider share, where its vendor has one per app.

Standard library only: the webhook's path imports it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from integrations.models import Json


class SharedWebhook(NamedTuple):
    """A webhook of the stack's own app: it belongs to no tenant, and its events name their target.

    Attributes:
        provider_id: The provider whose events come by it.
        webhook_id: Its id in ``/api/webhooks/{webhookId}``; no other webhook can have it.
        verification: How deliveries are verified, public part (see ``integrations.signatures``).
        secret: The name, in the stack's app secret, of what verifies deliveries.
        verify_token: The name, there, of what answers a subscription challenge; empty where nobody
            configures one.
        target_field: The trigger's field that names the target (the page), and the one that an
            error about it points at.
        target_noun: What a target is called, for people.
    """

    provider_id: str
    webhook_id: str
    verification: Mapping[str, Json]
    secret: str
    target_field: str
    target_noun: str
    verify_token: str = ""

    def secret_of(self, app_secret: Mapping[str, str]) -> str:
        """What verifies deliveries; empty where the stack has no app of its own.

        Args:
            app_secret: The stack's app-level secrets, by their names.
        """
        return app_secret.get(self.secret, "")

    def verify_token_of(self, app_secret: Mapping[str, str]) -> str:
        """What answers a subscription challenge: the one that was configured, else one of ours.

        Ours is made of the app's secret, so that whoever subscribes and whoever answers have the
        same one without keeping it. Empty where the stack has no app of its own.

        Args:
            app_secret: The stack's app-level secrets, by their names.
        """
        secret = self.secret_of(app_secret)
        configured = app_secret.get(self.verify_token, "")
        if configured or not secret:
            return configured
        purpose = f"verify token of webhook {self.webhook_id}"
        return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
