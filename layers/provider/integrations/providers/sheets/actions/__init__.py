"""What both providers of Google Sheets do: a module for each group of actions.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

from pathlib import Path

from integrations.providers.base import with_outputs
from integrations.providers.sheets.actions import finding, ranges, rows, spreadsheets

ACTIONS = with_outputs(
    (*ranges.ACTIONS, *finding.ACTIONS, *rows.ACTIONS, *spreadsheets.ACTIONS),
    Path(__file__).parent.with_name("outputs.json"),
)
