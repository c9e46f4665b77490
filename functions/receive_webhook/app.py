"""POST /api/webhooks/{webhookId}: verify a delivery and make it durable, nothing else.

PUT, PATCH and DELETE come here as well, and what is below the webhook's URL.
"""

from integrations.entry.webhook import receive

handler = receive
