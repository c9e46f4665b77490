"""GET /api/integrations/{providerId}: one provider of the catalogue."""

from integrations.entry.documents import get_integration

handler = get_integration
