"""POST /api/webhooks/{webhookId}: verify a delivery and make it durable, nothing else."""

from integrations.entry.webhook import receive

handler = receive
