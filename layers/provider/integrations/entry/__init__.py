"""Where AWS comes in: HTTP, queues, the authorizer, the environment. Powertools lives here."""
