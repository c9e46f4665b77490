"""The HTTP API's authorizer: an API token or a JWT in, the tenant and the scopes out."""

from integrations.entry.authorizer import authorize

handler = authorize
