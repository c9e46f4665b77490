"""Webhooks: https://www.standardwebhooks.com/."""
