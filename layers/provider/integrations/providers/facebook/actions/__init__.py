"""What a page does: a module for each group of actions.

https://developers.facebook.com/docs/pages-api
https://developers.facebook.com/docs/messenger-platform
"""

_NAMES = ("pages", "posts", "comments", "messages", "graph")
MODULES = tuple(f"{__name__}.{name}" for name in _NAMES)
