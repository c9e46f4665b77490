"""GET /api/integrations: the catalogue of providers, their forms, actions and triggers."""

from integrations.entry.documents import list_integrations

handler = list_integrations
