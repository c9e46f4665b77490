"""GET /api/integrations/oauth/delete/{providerId}/{code}: what became of a deletion."""

from integrations.entry.removals import show

handler = show
