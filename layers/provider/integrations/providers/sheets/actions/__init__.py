"""What both providers of Google Sheets do: a module for each group of actions.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

_NAMES = ("ranges", "finding", "rows", "spreadsheets")
MODULES = tuple(f"{__name__}.{name}" for name in _NAMES)
