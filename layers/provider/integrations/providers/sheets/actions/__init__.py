"""What both providers of Google Sheets do: a module for each group of actions.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

from integrations.providers.sheets.actions import finding, ranges, rows, spreadsheets

ACTIONS = (*ranges.ACTIONS, *finding.ACTIONS, *rows.ACTIONS, *spreadsheets.ACTIONS)
