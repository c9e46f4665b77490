"""The whole backend in one process, nothing real: see ``docs/simulation.md``."""
