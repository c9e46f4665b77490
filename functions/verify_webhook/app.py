"""GET /api/webhooks/{webhookId} and …/verify: answer a subscription challenge.

HEAD comes here as well, and what is below the webhook's URL: who only looks gets an empty 200.
"""

from integrations.entry.webhook import verify

handler = verify
