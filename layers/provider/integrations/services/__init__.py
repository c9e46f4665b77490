"""The use cases: the only place where providers, workflows and storage meet."""
