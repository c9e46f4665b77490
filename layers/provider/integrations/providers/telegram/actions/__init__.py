"""What a bot does: a module for each group of actions.

https://core.telegram.org/bots/api#available-methods
"""

from integrations.providers.telegram.actions import changes, chats, files, media, messages, other

ACTIONS = (
    *messages.ACTIONS,
    *media.ACTIONS,
    *changes.ACTIONS,
    *chats.ACTIONS,
    *files.ACTIONS,
    *other.ACTIONS,
)
