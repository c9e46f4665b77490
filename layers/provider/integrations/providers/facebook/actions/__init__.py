"""What a page does: a module for each group of actions.

https://developers.facebook.com/docs/pages-api
https://developers.facebook.com/docs/messenger-platform
"""

from pathlib import Path

from integrations.providers.base import with_outputs
from integrations.providers.facebook.actions import comments, graph, messages, pages, posts

ACTIONS = with_outputs(
    (
        *pages.ACTIONS,
        *posts.ACTIONS,
        *comments.ACTIONS,
        *messages.ACTIONS,
        *graph.ACTIONS,
    ),
    Path(__file__).parent.with_name("outputs.json"),
)
