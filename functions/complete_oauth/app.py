"""GET /api/integrations/oauth/callback/{providerId}: where the provider sends the browser back."""

from integrations.entry.callback import complete

handler = complete
