"""What a page does: a module for each group of actions.

https://developers.facebook.com/docs/pages-api
https://developers.facebook.com/docs/messenger-platform
"""

from integrations.providers.facebook.actions import comments, graph, messages, pages, posts

ACTIONS = (
    *pages.ACTIONS,
    *posts.ACTIONS,
    *comments.ACTIONS,
    *messages.ACTIONS,
    *graph.ACTIONS,
)
