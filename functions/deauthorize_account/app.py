"""POST /api/integrations/oauth/deauthorize/{providerId}: somebody removed the app there."""

from integrations.entry.removals import deauthorize

handler = deauthorize
