"""POST /api/integrations/oauth/delete/{providerId}: somebody wants their data of there deleted."""

from integrations.entry.removals import delete

handler = delete
