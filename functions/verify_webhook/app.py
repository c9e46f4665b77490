"""GET /api/webhooks/{webhookId} and …/verify: answer a subscription challenge."""

from integrations.entry.webhook import verify

handler = verify
