"""Schedule: refresh and test the connections whose daily check is due."""

from integrations.entry.schedule import refresh_connections

handler = refresh_connections
