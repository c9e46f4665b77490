"""What the API answers, typed for OpenAPI: a module for each kind of thing.

A function imports the models that it answers with: each takes its part of a cold start.
"""
