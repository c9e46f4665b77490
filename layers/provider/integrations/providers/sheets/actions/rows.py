"""Rows of a table: appended, changed, deleted.

https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from integrations import mistakes
from integrations.errors import FieldError, InvalidParams
from integrations.models import Json
from integrations.providers.base import Action, Call
from integrations.providers.sheets import a1
from integrations.providers.sheets.actions.params import (
    SAMPLE,
    InTable,
    IntoTable,
    OnSpreadsheet,
    RangeOfSheet,
    Row,
    RowNumber,
    RowObject,
    Tab,
    Writing,
)
from integrations.providers.sheets.api import Spreadsheet, wrong
from integrations.providers.sheets.replies import Cell
from integrations.providers.sheets.tables import (
    NATIVE,
    WHOLE_FIRST_TAB,
    Line,
    column_of,
    fitted,
    place,
    read_table,
    text,
    widened,
)

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
"""A text that becomes the number that it is written like: Sheets keeps fifteen digits."""


class Appending(IntoTable):
    """Where rows are appended."""

    range: RangeOfSheet = Field(
        None, description="Where Google looks for the table; then arrays alone, and no header"
    )
    insert_data: Literal["INSERT_ROWS", "OVERWRITE"] = Field(
        "INSERT_ROWS", description="Insert new rows, or fill what is under the table"
    )


def _fits_header(row: Line, info: ValidationInfo) -> Line:
    """Let through an object only where there is a header."""
    if not isinstance(row, dict):
        return row
    if info.data.get("range") is not None:
        raise ValueError("an object needs a header: say sheet and headerRow, not range")
    if info.data.get("header_row") == 0:
        raise ValueError("an object needs a header, and headerRow 0 says that there is none")
    return row


def _fit_header(rows: list[Line], info: ValidationInfo) -> list[Line]:
    return [_fits_header(row, info) for row in rows]


class AppendRow(Appending):
    """The row to append."""

    values: Annotated[Row, AfterValidator(_fits_header)] = Field(
        description="Cells in the columns' order, or column name → cell"
    )


def append_row(call: Call[Any], params: AppendRow) -> Json:
    """Append a row: ``{rowNumber, updatedRange, updatedRows, …}``.

    An array must not be longer than the header (where there is one), an object must not name
    columns that it lacks unless ``addMissingColumns`` is set.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/append
    """
    return _appended(call, params, {"values": params.values})


APPEND_ROW = Action(
    name="appendRow",
    title="Append a row",
    params=AppendRow,
    run=append_row,
    example={
        "spreadsheetId": SAMPLE,
        "sheet": "Orders",
        "values": {"Id": 1003, "Customer": "Ann", "Status": "open"},
    },
)


class AppendRows(Appending):
    """The rows to append."""

    rows: Annotated[list[Row], Field(min_length=1, max_length=50_000), AfterValidator(_fit_header)]


def append_rows(call: Call[Any], params: AppendRows) -> Json:
    """Append rows in one request, arrays and objects as in ``append_row``; all of them or none."""
    return _appended(call, params, {f"rows[{index}]": row for index, row in enumerate(params.rows)})


APPEND_ROWS = Action(
    name="appendRows",
    title="Append rows",
    params=AppendRows,
    run=append_rows,
    example={
        "spreadsheetId": SAMPLE,
        "sheet": "Orders",
        "rows": [[1004, "Ben", "open"], {"Id": 1005, "Customer": "Cleo"}],
    },
)


def _appended(call: Call[Any], params: Appending, rows: Mapping[str, Line]) -> Json:
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    if params.range is None:
        header, ready = fitted(
            spreadsheet,
            params.sheet,
            params.header_row,
            rows,
            add_missing=params.add_missing_columns,
        )
        asked, blame = header.anchor(), "sheet"
    else:
        for field, row in rows.items():
            if isinstance(row, dict):
                raise wrong(field, "an object needs a header: say sheet and headerRow, not range")
        ready = [list(row) for row in rows.values()]
        asked, blame = place(params.range, params.sheet), "range"
    return spreadsheet.append(
        asked,
        ready,
        value_input=params.value_input,
        insert_data=params.insert_data,
        blame=blame,
    )


def _has_key(values: dict[str, Cell], info: ValidationInfo) -> dict[str, Cell]:
    key = str(info.data.get("key_column", "")).strip()
    if key and not text(values.get(column_of(key, values) or key)):
        raise ValueError(f"the key column {key[:64]} needs a value")
    return values


def _kept(key: Cell, value_input: str) -> Cell:
    """A key as it must be written to be stored as what it is: the next call looks for it."""
    if value_input == "RAW" or not isinstance(key, str) or _INTEGER.fullmatch(key):
        return key
    # What is typed after an apostrophe is text: no number, no date, no formula.
    return f"'{key}"


class UpsertRow(InTable, Writing):
    """The row to update or to append."""

    key_column: Annotated[str, Field(min_length=1)] = Field(
        description="The column whose value tells the row"
    )
    values: Annotated[RowObject, AfterValidator(_has_key)] = Field(
        description="Column name → cell, the key column's included"
    )
    add_missing_columns: bool = Field(
        default=False, description="Adds a column for each name that the header lacks"
    )


def upsert_row(call: Call[Any], params: UpsertRow) -> Json:
    """Update the first row whose key column holds the same value, or append one.

    Columns that ``values`` does not name stay as they are. A key such as ``007`` stays what it is
    with ``USER_ENTERED``, too, so that a repetition finds what the first try wrote; two at the same
    moment with one new key can still append both.

    Returns:
        ``{action: "updated"|"inserted", rowNumber, updatedRange, …}``.
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    asked = a1.quoted(params.sheet) if params.sheet else WHOLE_FIRST_TAB
    table = read_table(spreadsheet, asked, params.header_row, NATIVE)
    header = table.header
    given = header.named(params.values)
    key = params.key_column.strip()
    key = column_of(key, header.names) or column_of(key, given) or key
    missing = header.lacks(given)
    if missing and params.add_missing_columns:
        header = widened(spreadsheet, header, missing)
    elif missing:
        errors = [
            FieldError(
                "keyColumn" if name == key else f"values.{name}",
                f"no column is called {name}; {header.describe()}",
            )
            for name in missing
        ]
        raise InvalidParams(f"{errors[0].field}: {errors[0].message}", errors)
    if found := table.where({key: given.get(key)}, exactly=True):
        number = found[0][0]
        # The key stays as it is: writing "5" over 5 would make text of a number.
        line = header.line({**given, key: None})
        done = spreadsheet.write(
            header.cells(number, len(line)), [line], value_input=params.value_input, blame="sheet"
        )
        return {"action": "updated", "rowNumber": number, **done}
    done = spreadsheet.append(
        header.anchor(),
        [header.line({**given, key: _kept(given.get(key), params.value_input)})],
        value_input=params.value_input,
        insert_data="INSERT_ROWS",
        blame="sheet",
    )
    return {"action": "inserted", **done}


UPSERT_ROW = Action(
    name="upsertRow",
    title="Update a row or append it",
    params=UpsertRow,
    run=upsert_row,
    example={
        "spreadsheetId": SAMPLE,
        "sheet": "Orders",
        "keyColumn": "Id",
        "values": {"Id": 1001, "Status": "paid"},
    },
    idempotent=True,
)


class UpdateRow(IntoTable):
    """The row to write over."""

    row: RowNumber = Field(description="The row's number")
    values: Annotated[Row, AfterValidator(_fits_header)] = Field(
        description="Cells in the columns' order, or column name → cell; null changes nothing"
    )


def update_row(call: Call[Any], params: UpdateRow) -> Json:
    """Write over a row's cells; those that are ``null`` or not named stay as they are."""
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    if isinstance(params.values, dict) and params.row == params.header_row:
        raise wrong("row", f"row {params.row} is the header")
    header, (line,) = fitted(
        spreadsheet,
        params.sheet,
        params.header_row,
        {"values": params.values},
        add_missing=params.add_missing_columns,
    )
    done = spreadsheet.write(
        header.cells(params.row, len(line)), [line], value_input=params.value_input, blame="row"
    )
    return {"rowNumber": params.row, **done}


UPDATE_ROW = Action(
    name="updateRow",
    title="Write a row",
    params=UpdateRow,
    run=update_row,
    example={
        "spreadsheetId": SAMPLE,
        "sheet": "Orders",
        "row": 2,
        "values": {"Status": "shipped"},
    },
    idempotent=True,
)


class DeleteRows(OnSpreadsheet):
    """The rows to delete, one by one or from … to."""

    sheet: Tab | None = Field(None, description="The tab's title; the first tab by default")
    rows: Annotated[list[RowNumber], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="The rows' numbers"
    )
    start_row: RowNumber | None = Field(None, description="The first row's number")
    end_row: RowNumber | None = Field(None, description="The last row's number")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.rows is None) == (self.start_row is None):
            raise mistakes.at(("rows", "say either rows or startRow (and endRow)"))
        if self.end_row is not None and (self.start_row or self.end_row + 1) > self.end_row:
            raise mistakes.at(("endRow", "goes with startRow and is not before it"))
        return self

    def spans(self) -> list[tuple[int, int]]:
        """First and last number of each run of rows, the lowest in the sheet first."""
        if self.start_row is not None:
            return [(self.start_row, self.end_row or self.start_row)]
        spans: list[tuple[int, int]] = []
        for row in sorted(set(self.rows or ())):
            if spans and row == spans[-1][1] + 1:
                spans[-1] = spans[-1][0], row
            else:
                spans.append((row, row))
        # From below, so that no deletion moves the rows of the next.
        return spans[::-1]


def delete_rows(call: Call[Any], params: DeleteRows) -> Json:
    """Delete rows; those below move up. All of them or none: ``{deletedRows}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request#deletedimensionrequest
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    sheet = spreadsheet.tab(params.sheet).get("sheetId", 0)
    spans = params.spans()
    for_each: list[Json] = [
        {
            "deleteDimension": {
                "range": {
                    "sheetId": sheet,
                    "dimension": "ROWS",
                    "startIndex": first - 1,
                    "endIndex": last,
                }
            }
        }
        for first, last in spans
    ]
    spreadsheet.change(*for_each)
    return {"deletedRows": sum(last - first + 1 for first, last in spans)}


DELETE_ROWS = Action(
    name="deleteRows",
    title="Delete rows",
    params=DeleteRows,
    run=delete_rows,
    example={"spreadsheetId": SAMPLE, "sheet": "Orders", "rows": [2, 3]},
)


ACTIONS = (
    APPEND_ROW,
    APPEND_ROWS,
    UPSERT_ROW,
    UPDATE_ROW,
    DELETE_ROWS,
)
