"""What a bot does: a module for each group of actions.

https://core.telegram.org/bots/api#available-methods
"""

_NAMES = ("messages", "media", "changes", "chats", "files", "other")
MODULES = tuple(f"{__name__}.{name}" for name in _NAMES)
