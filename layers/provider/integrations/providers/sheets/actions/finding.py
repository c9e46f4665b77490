"""Rows of a table, found by what their columns hold.

https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from integrations import mistakes
from integrations.errors import FieldError, InvalidParams
from integrations.models import Json
from integrations.providers.base import Action, Call
from integrations.providers.sheets import a1
from integrations.providers.sheets.actions.params import (
    SAMPLE,
    InTable,
    RangeOfSheet,
    Reading,
    RowObject,
)
from integrations.providers.sheets.api import Spreadsheet
from integrations.providers.sheets.replies import Cell
from integrations.providers.sheets.tables import (
    WHOLE_FIRST_TAB,
    Table,
    column_of,
    place,
    read_table,
)


class Finding(InTable, Reading):
    """Where rows are looked for."""

    range: RangeOfSheet = Field(
        None, description="Where the table is, header included; instead of headerRow"
    )

    @model_validator(mode="after")
    def _one_header(self) -> Self:
        if self.range is not None and "header_row" in self.model_fields_set:
            message = "does not go with range, whose first row is the header"
            raise mistakes.at(("headerRow", message))
        return self


class GetRows(Finding):
    """Which rows to get."""

    filter: RowObject | None = Field(
        None, description="What columns must hold: column name → value; null for empty"
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="The most rows to give")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="How many to leave out before")


class FindRow(Finding):
    """Which row to find."""

    filter: RowObject = Field(
        description="What columns must hold: column name → value; null for empty"
    )


def _found(
    call: Call[Any], params: Finding, wanted: Mapping[str, Cell]
) -> tuple[Table, list[tuple[int, list[Cell]]]]:
    """The table, and its rows that hold what is wanted."""
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    if params.range is not None:
        asked = place(params.range, params.sheet)
        table = read_table(spreadsheet, asked, None, params.options(), "range")
    else:
        asked = a1.quoted(params.sheet) if params.sheet else WHOLE_FIRST_TAB
        table = read_table(spreadsheet, asked, params.header_row, params.options())
    names = table.names.values()
    wanted = {column_of(name, names) or name: value for name, value in wanted.items()}
    unknown = [name for name in wanted if name not in names]
    if unknown and names:
        errors = [FieldError(f"filter.{name}", "no column has this name") for name in unknown]
        detail = f"No column is called {', '.join(unknown)}; there are: {', '.join(names)}"
        raise InvalidParams(detail, errors)
    return table, table.where(wanted)


def get_rows(call: Call[Any], params: GetRows) -> Json:
    """A table's rows as objects: ``{header, rows, rowNumbers, total}``.

    A column without a name is called by its letter; of two with one name the second is
    ``Name (2)``. Rows that are empty throughout are left out. ``total`` counts all that pass the
    filter, ``limit`` and ``offset`` aside.
    """
    table, found = _found(call, params, params.filter or {})
    end = None if params.limit is None else params.offset + params.limit
    given = found[params.offset : end]
    return {
        "header": list(table.names.values()),
        "rows": [table.record(cells) for _, cells in given],
        "rowNumbers": [number for number, _ in given],
        "total": len(found),
    }


GET_ROWS = Action(
    name="getRows",
    title="Get rows as objects",
    params=GetRows,
    run=get_rows,
    example={
        "spreadsheetId": SAMPLE,
        "sheet": "Orders",
        "filter": {"Status": "open"},
        "limit": 50,
    },
    idempotent=True,
)


def find_row(call: Call[Any], params: FindRow) -> Json:
    """The first row that passes the filter: ``{found, rowNumber, row}``."""
    table, found = _found(call, params, params.filter)
    if not found:
        return {"found": False, "rowNumber": None, "row": None}
    number, cells = found[0]
    return {"found": True, "rowNumber": number, "row": table.record(cells)}


FIND_ROW = Action(
    name="findRow",
    title="Find a row",
    params=FindRow,
    run=find_row,
    example={"spreadsheetId": SAMPLE, "sheet": "Orders", "filter": {"Id": 1001}},
    idempotent=True,
)


ACTIONS = (GET_ROWS, FIND_ROW)
