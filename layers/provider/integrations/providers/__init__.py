"""What each provider can do: credentials, test, actions, triggers. No AWS, no tenants."""
