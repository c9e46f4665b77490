"""The shared provider layer: what every function of Integrations Backend is made of.

Imports go one way: ``functions → entry → services → {providers, workflows, storage} → errors,
models, signatures``. ``tests/unit/test_import_law.py`` holds this.
"""
