"""Connections: read, tested, saved, removed, used, and checked each day."""
