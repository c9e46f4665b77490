"""What can go wrong with the local platform, each said in one line."""


class PlatformError(Exception):
    """The platform cannot start or go on; the message says why, in one line."""
