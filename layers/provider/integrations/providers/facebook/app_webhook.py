"""Meta sends the events of all pages of an app to one webhook.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

from integrations.providers.shared_webhook import SharedWebhook

SHARED_WEBHOOK = SharedWebhook(
    provider_id="facebook_oauth",
    webhook_id="facebook",
    verification={"type": "meta"},
    secret="facebookAppSecret",  # noqa: S106 - the name of a secret
    verify_token="facebookVerifyToken",  # noqa: S106 - the name of a secret
    target_field="pageId",
    target_noun="page",
)
