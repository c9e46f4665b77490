"""What a bot does: a module for each group of actions.

https://core.telegram.org/bots/api#available-methods
"""

from pathlib import Path

from integrations.providers.base import with_outputs
from integrations.providers.telegram.actions import changes, chats, files, media, messages, other

ACTIONS = with_outputs(
    (
        *messages.ACTIONS,
        *media.ACTIONS,
        *changes.ACTIONS,
        *chats.ACTIONS,
        *files.ACTIONS,
        *other.ACTIONS,
    ),
    Path(__file__).parent.with_name("outputs.json"),
)
