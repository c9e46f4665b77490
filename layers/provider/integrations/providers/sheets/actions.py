"""What both providers of Google Sheets do: the parameters and the function of each action.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from integrations.errors import FieldError, InvalidParams
from integrations.models import Json
from integrations.providers.base import Action, Call, Params
from integrations.providers.sheets import a1
from integrations.providers.sheets.api import (
    Cell,
    Dimension,
    Spreadsheet,
    lines,
    parsed_id,
    send,
    wrong,
)
from integrations.providers.sheets.tables import (
    NATIVE,
    WHOLE_FIRST_TAB,
    Line,
    Table,
    fitted,
    place,
    read_table,
    text,
    widened,
)

MAX_CELL = 50_000
"""The most characters that Google takes in one cell."""

_SAFE_INTEGER = 2**53


# -- What parameters share -------------------------------------------------------------------


def _cell(value: object) -> Cell:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        # Sheets keeps numbers as doubles: an id that is longer keeps its digits as text alone.
        return value if abs(value) <= _SAFE_INTEGER else str(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if not isinstance(value, str):
        raise ValueError("a cell holds text, a number, true, false or null")  # noqa: TRY004
    if len(value) > MAX_CELL:
        raise ValueError(f"a cell holds at most {MAX_CELL} characters, this one has {len(value)}")
    # A lone half of a surrogate pair is no character, and no UTF-8 can carry it.
    return value.encode("utf-8", "replace").decode()


def _row(value: object) -> Line:
    if isinstance(value, Mapping):
        cells: Iterable[tuple[object, object]] = value.items()
    elif isinstance(value, (list, tuple)):
        cells = enumerate(value)
    else:
        raise ValueError("a row is an array of cells, or an object of column names and cells")  # noqa: TRY004
    checked: dict[str, Cell] = {}
    for name, cell in cells:
        try:
            checked[str(name).strip()] = _cell(cell)
        except ValueError as mistake:
            raise ValueError(f"{name}: {mistake}") from None
    return checked if isinstance(value, Mapping) else list(checked.values())


def _some_row(value: object) -> Line:
    row = _row(value)
    if not row:
        raise ValueError("a row needs at least one cell")
    return row


def _object(value: object) -> dict[str, Cell]:
    row = _row(value)
    if not isinstance(row, dict):
        raise ValueError("an object of column names and cells is expected")  # noqa: TRY004
    return row


_CELL_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_OBJECT_SCHEMA: dict[str, Any] = {"type": "object", "additionalProperties": _CELL_SCHEMA}
_ARRAY_SCHEMA = {"type": "array", "items": _CELL_SCHEMA, "minItems": 1}

CellValue = Annotated[Any, PlainValidator(_cell), WithJsonSchema(_CELL_SCHEMA)]
RowObject = Annotated[dict[str, Cell], PlainValidator(_object), WithJsonSchema(_OBJECT_SCHEMA)]
Row = Annotated[
    Line,
    PlainValidator(_some_row),
    WithJsonSchema({"anyOf": [_ARRAY_SCHEMA, _OBJECT_SCHEMA]}),
]
Range = Annotated[
    str,
    Field(min_length=1, max_length=1000, description="A1 notation, e.g. Orders!A1:C10"),
    AfterValidator(a1.normalized),
]
Tab = Annotated[
    str,
    Field(min_length=1, max_length=100, description="A tab's title"),
    AfterValidator(a1.clean),
]
RowNumber = Annotated[int, Field(ge=1, le=10_000_000)]


class OnSpreadsheet(Params):
    """What happens in one spreadsheet."""

    spreadsheet_id: Annotated[
        str | None,
        BeforeValidator(parsed_id),
        Field(description="The spreadsheet's id or address; the credentials' own by default"),
    ] = None


class Reading(Params):
    """How cells are given out."""

    value_render: Literal["FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"] = Field(
        "UNFORMATTED_VALUE", description="Numbers as numbers, or all as the sheet shows it"
    )
    date_time_render: Literal["SERIAL_NUMBER", "FORMATTED_STRING"] = Field(
        "FORMATTED_STRING", description="Dates as the sheet shows them, or as day numbers"
    )

    def options(self) -> dict[str, Json]:
        """The query parameters for it."""
        return {
            "valueRenderOption": self.value_render,
            "dateTimeRenderOption": self.date_time_render,
        }


class Writing(Params):
    """How cells are taken in."""

    value_input: Literal["RAW", "USER_ENTERED"] = Field(
        "RAW",
        description="RAW keeps text as it is; USER_ENTERED reads it as if typed: formulas run",
    )


class InTable(OnSpreadsheet):
    """What happens in a table: a tab's rows under one that names the columns."""

    sheet: Tab | None = Field(None, description="The tab's title; the first tab by default")
    header_row: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        1, description="The number of the row that names the columns"
    )


class IntoTable(InTable, Writing):
    """What writes rows into a table."""

    header_row: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        1, description="The number of the row that names the columns; 0: there is none"
    )
    add_missing_columns: bool = Field(
        default=False, description="Adds a column for each name that the header lacks"
    )


# -- Reading -----------------------------------------------------------------------------------


class ReadRange(OnSpreadsheet, Reading):
    """Which cells to read."""

    range: Range
    sheet: Tab | None = Field(None, description="The tab, where the range does not name it")
    major_dimension: Dimension = "ROWS"


def read_range(call: Call[Any], params: ReadRange) -> Json:
    """The cells of a range: ``{range, rows}``, or ``{range, columns}`` by columns.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/get
    """
    reply = Spreadsheet.of(call, params.spreadsheet_id).read(
        place(params.range, params.sheet),
        {**params.options(), "majorDimension": params.major_dimension},
    )
    return _cells_read(reply, params.major_dimension)


def _cells_read(reply: Mapping[str, Any], dimension: Dimension) -> dict[str, Any]:
    return {"range": reply.get("range"), dimension.lower(): lines(reply)}


class BatchRead(OnSpreadsheet, Reading):
    """Which ranges to read."""

    ranges: Annotated[list[Range], Field(min_length=1, max_length=100)]
    major_dimension: Dimension = "ROWS"


def batch_read(call: Call[Any], params: BatchRead) -> Json:
    """The cells of several ranges at once: ``{ranges: [{range, rows}]}``, in the order asked for.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/batchGet
    """
    query = {
        **params.options(),
        "majorDimension": params.major_dimension,
        "ranges": list(params.ranges),
    }
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    reply = spreadsheet.send("GET", "/values:batchGet", query=query, blame="ranges")
    found = reply.get("valueRanges") or ()
    return {"ranges": [_cells_read(one, params.major_dimension) for one in found]}


class Finding(InTable, Reading):
    """Where rows are looked for."""

    range: Range | None = Field(
        None, description="Where the table is, header included; instead of headerRow"
    )

    @model_validator(mode="after")
    def _one_header(self) -> Self:
        if self.range is not None and "header_row" in self.model_fields_set:
            raise ValueError("headerRow does not go with range, whose first row is the header")
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


def find_row(call: Call[Any], params: FindRow) -> Json:
    """The first row that passes the filter: ``{found, rowNumber, row}``."""
    table, found = _found(call, params, params.filter)
    if not found:
        return {"found": False, "rowNumber": None, "row": None}
    number, cells = found[0]
    return {"found": True, "rowNumber": number, "row": table.record(cells)}


# -- Writing rows ------------------------------------------------------------------------------


class Appending(IntoTable):
    """Where rows are appended."""

    range: Range | None = Field(
        None, description="Where Google looks for the table; then arrays alone, and no header"
    )
    insert_data: Literal["INSERT_ROWS", "OVERWRITE"] = Field(
        "INSERT_ROWS", description="Insert new rows, or fill what is under the table"
    )


class AppendRow(Appending):
    """The row to append."""

    values: Row = Field(description="Cells in the columns' order, or column name → cell")


class AppendRows(Appending):
    """The rows to append."""

    rows: Annotated[list[Row], Field(min_length=1, max_length=50_000)]


def append_row(call: Call[Any], params: AppendRow) -> Json:
    """Append a row: ``{rowNumber, updatedRange, updatedRows, …}``.

    An array must not be longer than the header (where there is one), an object must not name
    columns that it lacks unless ``addMissingColumns`` is set.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/append
    """
    return _appended(call, params, {"values": params.values})


def append_rows(call: Call[Any], params: AppendRows) -> Json:
    """Append rows in one request, arrays and objects as in ``append_row``; all of them or none."""
    return _appended(call, params, {f"rows.{index}": row for index, row in enumerate(params.rows)})


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


class UpsertRow(InTable, Writing):
    """The row to update or to append."""

    key_column: Annotated[str, Field(min_length=1)] = Field(
        description="The column whose value tells the row"
    )
    values: RowObject = Field(description="Column name → cell, the key column's included")
    add_missing_columns: bool = Field(
        default=False, description="Adds a column for each name that the header lacks"
    )


def upsert_row(call: Call[Any], params: UpsertRow) -> Json:
    """Update the first row whose key column holds the same value, or append one.

    Columns that ``values`` does not name stay as they are. A repetition finds what the first try
    wrote; two at the same moment with one new key can still append both.

    Returns:
        ``{action: "updated"|"inserted", rowNumber, updatedRange, …}``.
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    key = params.key_column.strip()
    wanted = params.values.get(key)
    if not text(wanted):
        raise wrong("values", f"the key column {key} needs a value")
    asked = a1.quoted(params.sheet) if params.sheet else WHOLE_FIRST_TAB
    table = read_table(spreadsheet, asked, params.header_row, NATIVE)
    header = table.header
    missing = header.lacks(params.values)
    if missing and params.add_missing_columns:
        header = widened(spreadsheet, header, missing)
    elif missing:
        errors = [
            FieldError(
                "keyColumn" if name == key else f"values.{name}",
                f"no column is called {name}; {header.told()}",
            )
            for name in missing
        ]
        raise InvalidParams(f"{errors[0].field}: {errors[0].message}", errors)
    if found := table.where({key: wanted}):
        number = found[0][0]
        # The key stays as it is: writing "5" over 5 would make text of a number.
        line = header.line({**params.values, key: None})
        done = spreadsheet.write(
            header.cells(number, len(line)), [line], value_input=params.value_input, blame="sheet"
        )
        return {"action": "updated", "rowNumber": number, **done}
    done = spreadsheet.append(
        header.anchor(),
        [header.line(params.values)],
        value_input=params.value_input,
        insert_data="INSERT_ROWS",
        blame="sheet",
    )
    return {"action": "inserted", **done}


class UpdateRow(IntoTable):
    """The row to write over."""

    row: RowNumber = Field(description="The row's number")
    values: Row = Field(
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
            raise ValueError("say either rows or startRow (and endRow)")
        if self.end_row is not None and (self.start_row or self.end_row + 1) > self.end_row:
            raise ValueError("endRow goes with startRow and is not before it")
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


# -- Writing ranges ----------------------------------------------------------------------------


class UpdateRange(OnSpreadsheet, Writing):
    """The cells to write, and where."""

    range: Range
    sheet: Tab | None = Field(None, description="The tab, where the range does not name it")
    values: Annotated[list[list[CellValue]], Field(min_length=1)] = Field(
        description="Rows of cells; null changes nothing"
    )
    major_dimension: Dimension = "ROWS"


def update_range(call: Call[Any], params: UpdateRange) -> Json:
    """Write cells: ``{updatedRange, updatedRows, updatedColumns, updatedCells}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/update
    """
    return Spreadsheet.of(call, params.spreadsheet_id).write(
        place(params.range, params.sheet),
        params.values,
        value_input=params.value_input,
        dimension=params.major_dimension,
    )


class ValueRange(Params):
    """One range's cells."""

    range: Range
    values: Annotated[list[list[CellValue]], Field(min_length=1)]
    major_dimension: Dimension = "ROWS"


class BatchUpdate(OnSpreadsheet, Writing):
    """The cells to write in several ranges."""

    data: Annotated[list[ValueRange], Field(min_length=1, max_length=1000)]


def batch_update(call: Call[Any], params: BatchUpdate) -> Json:
    """Write cells in several ranges: ``{totalUpdatedCells, …, responses}``; all of them or none.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/batchUpdate
    """
    data: list[Json] = [
        {"range": one.range, "majorDimension": one.major_dimension, "values": [*one.values]}
        for one in params.data
    ]
    return Spreadsheet.of(call, params.spreadsheet_id).send(
        "POST",
        "/values:batchUpdate",
        body={"valueInputOption": params.value_input, "data": data},
        blame="data",
    )


class ClearRange(OnSpreadsheet):
    """The cells to clear."""

    range: Range
    sheet: Tab | None = Field(None, description="The tab, where the range does not name it")


def clear_range(call: Call[Any], params: ClearRange) -> Json:
    """Empty cells and keep their format: ``{clearedRange}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/clear
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    return spreadsheet.clear(place(params.range, params.sheet))


class BatchClear(OnSpreadsheet):
    """The ranges to clear."""

    ranges: Annotated[list[Range], Field(min_length=1, max_length=1000)]


def batch_clear(call: Call[Any], params: BatchClear) -> Json:
    """Empty the cells of several ranges: ``{clearedRanges}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/batchClear
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    body: Json = {"ranges": list(params.ranges)}
    return spreadsheet.send("POST", "/values:batchClear", body=body, blame="ranges")


# -- Spreadsheets and their tabs ---------------------------------------------------------------


class GetSpreadsheet(OnSpreadsheet):
    """What to tell of a spreadsheet."""

    fields: str | None = Field(
        None, min_length=1, max_length=1000, description="Google's field mask, e.g. sheets.charts"
    )
    include_grid_data: bool = Field(default=False, description="The cells with their formats too")
    ranges: Annotated[tuple[Range, ...], Field(max_length=100)] = ()


_SPREADSHEET_FIELDS = (
    "spreadsheetId,spreadsheetUrl,properties(title,locale,timeZone,autoRecalc),"
    "sheets.properties,namedRanges"
)


def get_spreadsheet(call: Call[Any], params: GetSpreadsheet) -> Json:
    """A spreadsheet's properties, tabs and named ranges, as Google gives them.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/get
    """
    default = None if params.include_grid_data else _SPREADSHEET_FIELDS
    query: dict[str, Json | Sequence[str]] = {
        "fields": params.fields or default,
        "includeGridData": True if params.include_grid_data else None,
        "ranges": list(params.ranges),
    }
    return Spreadsheet.of(call, params.spreadsheet_id).send("GET", query=query, blame="ranges")


class ListSheets(OnSpreadsheet):
    """Which spreadsheet's tabs to list."""


def list_sheets(call: Call[Any], params: ListSheets) -> Json:
    """A spreadsheet's tabs: ``{sheets: [{sheetId, title, index, rowCount, columnCount, …}]}``."""
    tabs = Spreadsheet.of(call, params.spreadsheet_id).tabs()
    return {"sheets": [_shown(tab) for tab in tabs]}


def _shown(tab: Mapping[str, Any]) -> dict[str, Json]:
    grid = tab.get("gridProperties") or {}
    return {
        "sheetId": tab.get("sheetId", 0),
        "title": tab.get("title"),
        "index": tab.get("index", 0),
        "type": tab.get("sheetType", "GRID"),
        "hidden": bool(tab.get("hidden", False)),
        "rowCount": grid.get("rowCount"),
        "columnCount": grid.get("columnCount"),
        "frozenRowCount": grid.get("frozenRowCount", 0),
    }


class CreateSpreadsheet(Params):
    """The spreadsheet to create."""

    title: Annotated[str, Field(min_length=1, max_length=1000)]
    sheets: Annotated[list[Tab], Field(max_length=200)] = Field(
        [], description="The tabs' titles; one called Sheet1 by default"
    )
    locale: str | None = Field(None, description="e.g. en_US")
    time_zone: str | None = Field(None, description="e.g. Europe/Berlin")


def create_spreadsheet(call: Call[Any], params: CreateSpreadsheet) -> Json:
    """Create a spreadsheet, owned by the account: ``{spreadsheetId, spreadsheetUrl, sheets}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/create
    """
    properties: dict[str, Json] = {"title": params.title}
    if params.locale:
        properties["locale"] = params.locale
    if params.time_zone:
        properties["timeZone"] = params.time_zone
    body: dict[str, Json] = {"properties": properties}
    if params.sheets:
        body["sheets"] = [{"properties": {"title": title}} for title in params.sheets]
    created = send(
        call,
        "POST",
        "",
        query={"fields": _SPREADSHEET_FIELDS},
        body=body,
        blame="title",
        hint=(
            f"{call.credentials.who} may not create files (a service account has no storage of "
            "its own): create it by hand and share it"
        ),
    )
    return {
        "spreadsheetId": created.get("spreadsheetId"),
        "spreadsheetUrl": created.get("spreadsheetUrl"),
        "title": params.title,
        "sheets": [_shown(one.get("properties") or {}) for one in created.get("sheets") or ()],
    }


class AddSheet(OnSpreadsheet):
    """The tab to add."""

    title: Tab
    index: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Its place; last by default"
    )
    row_count: Annotated[int, Field(ge=1)] | None = None
    column_count: Annotated[int, Field(ge=1)] | None = None


def add_sheet(call: Call[Any], params: AddSheet) -> Json:
    """Add a tab: ``{sheetId, title, index, rowCount, columnCount, …}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request#addsheetrequest
    """
    properties: dict[str, Json] = {"title": params.title}
    if params.index is not None:
        properties["index"] = params.index
    grid: dict[str, Json] = {
        name: count
        for name, count in (("rowCount", params.row_count), ("columnCount", params.column_count))
        if count is not None
    }
    if grid:
        properties["gridProperties"] = grid
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    replies = spreadsheet.change({"addSheet": {"properties": properties}})
    added = replies[0].get("addSheet") or {} if replies else {}
    return _shown(added.get("properties") or {})


class RenameSheet(OnSpreadsheet):
    """The tab to rename."""

    sheet: Tab
    title: Tab = Field(description="The new title")


def rename_sheet(call: Call[Any], params: RenameSheet) -> Json:
    """Give a tab another title: ``{sheetId, title}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request#updatesheetpropertiesrequest
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    try:
        sheet = spreadsheet.tab(params.sheet).get("sheetId", 0)
    except InvalidParams as missing:
        # A repetition finds the work done.
        try:
            sheet = spreadsheet.tab(params.title).get("sheetId", 0)
        except InvalidParams:
            raise missing from None
    else:
        properties: dict[str, Json] = {"sheetId": sheet, "title": params.title}
        spreadsheet.change({"updateSheetProperties": {"properties": properties, "fields": "title"}})
    return {"sheetId": sheet, "title": params.title}


class DeleteSheet(OnSpreadsheet):
    """The tab to delete."""

    sheet: Tab


def delete_sheet(call: Call[Any], params: DeleteSheet) -> Json:
    """Delete a tab with all that it holds: ``{sheetId, title}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request#deletesheetrequest
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    tab = spreadsheet.tab(params.sheet)
    sheet = tab.get("sheetId", 0)
    spreadsheet.change({"deleteSheet": {"sheetId": sheet}})
    return {"sheetId": sheet, "title": tab.get("title")}


class Request(OnSpreadsheet):
    """Any requests of ``spreadsheets.batchUpdate``."""

    requests: Annotated[list[dict[str, JsonValue]], Field(min_length=1, max_length=1000)] = Field(
        description="Each an object of one request's name and its content"
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        for index, request in enumerate(self.requests):
            if len(request) != 1:
                raise ValueError(f"requests.{index} must hold exactly one request, by its name")
        return self


def request(call: Call[Any], params: Request) -> Json:
    """Carry out any other requests, all of them or none: ``{spreadsheetId, replies}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request
    """
    requests: list[Any] = [dict(one) for one in params.requests]
    return Spreadsheet.of(call, params.spreadsheet_id).send(
        "POST", ":batchUpdate", body={"requests": requests}, blame="requests"
    )


# -- The list

_SAMPLE = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"

ACTIONS = (
    Action(
        name="readRange",
        title="Read a range",
        params=ReadRange,
        run=read_range,
        example={"spreadsheetId": _SAMPLE, "range": "Orders!A1:C10"},
        idempotent=True,
    ),
    Action(
        name="batchRead",
        title="Read several ranges",
        params=BatchRead,
        run=batch_read,
        example={"spreadsheetId": _SAMPLE, "ranges": ["Orders!A1:C1", "'Price list'!A:B"]},
        idempotent=True,
    ),
    Action(
        name="getRows",
        title="Get rows as objects",
        params=GetRows,
        run=get_rows,
        example={
            "spreadsheetId": _SAMPLE,
            "sheet": "Orders",
            "filter": {"Status": "open"},
            "limit": 50,
        },
        idempotent=True,
    ),
    Action(
        name="findRow",
        title="Find a row",
        params=FindRow,
        run=find_row,
        example={"spreadsheetId": _SAMPLE, "sheet": "Orders", "filter": {"Id": 1001}},
        idempotent=True,
    ),
    Action(
        name="appendRow",
        title="Append a row",
        params=AppendRow,
        run=append_row,
        example={
            "spreadsheetId": _SAMPLE,
            "sheet": "Orders",
            "values": {"Id": 1003, "Customer": "Ann", "Status": "open"},
        },
    ),
    Action(
        name="appendRows",
        title="Append rows",
        params=AppendRows,
        run=append_rows,
        example={
            "spreadsheetId": _SAMPLE,
            "sheet": "Orders",
            "rows": [[1004, "Ben", "open"], {"Id": 1005, "Customer": "Cleo"}],
        },
    ),
    Action(
        name="upsertRow",
        title="Update a row or append it",
        params=UpsertRow,
        run=upsert_row,
        example={
            "spreadsheetId": _SAMPLE,
            "sheet": "Orders",
            "keyColumn": "Id",
            "values": {"Id": 1001, "Status": "paid"},
        },
        idempotent=True,
    ),
    Action(
        name="updateRange",
        title="Write a range",
        params=UpdateRange,
        run=update_range,
        example={
            "spreadsheetId": _SAMPLE,
            "range": "Orders!B2:C2",
            "values": [["Ann", "paid"]],
        },
        idempotent=True,
    ),
    Action(
        name="batchUpdate",
        title="Write several ranges",
        params=BatchUpdate,
        run=batch_update,
        example={
            "spreadsheetId": _SAMPLE,
            "data": [
                {"range": "Orders!C2", "values": [["paid"]]},
                {"range": "'Price list'!B2:B3", "values": [[9.5], [12]]},
            ],
            "valueInput": "USER_ENTERED",
        },
        idempotent=True,
    ),
    Action(
        name="updateRow",
        title="Write a row",
        params=UpdateRow,
        run=update_row,
        example={
            "spreadsheetId": _SAMPLE,
            "sheet": "Orders",
            "row": 2,
            "values": {"Status": "shipped"},
        },
        idempotent=True,
    ),
    Action(
        name="clearRange",
        title="Clear a range",
        params=ClearRange,
        run=clear_range,
        example={"spreadsheetId": _SAMPLE, "range": "Orders!A2:C"},
        idempotent=True,
    ),
    Action(
        name="batchClear",
        title="Clear several ranges",
        params=BatchClear,
        run=batch_clear,
        example={"spreadsheetId": _SAMPLE, "ranges": ["Orders!C2:C", "'Price list'!B2:B"]},
        idempotent=True,
    ),
    Action(
        name="deleteRows",
        title="Delete rows",
        params=DeleteRows,
        run=delete_rows,
        example={"spreadsheetId": _SAMPLE, "sheet": "Orders", "rows": [2, 3]},
    ),
    Action(
        name="getSpreadsheet",
        title="Get a spreadsheet's properties",
        params=GetSpreadsheet,
        run=get_spreadsheet,
        example={"spreadsheetId": _SAMPLE},
        idempotent=True,
    ),
    Action(
        name="listSheets",
        title="List a spreadsheet's tabs",
        params=ListSheets,
        run=list_sheets,
        example={"spreadsheetId": _SAMPLE},
        idempotent=True,
    ),
    Action(
        name="createSpreadsheet",
        title="Create a spreadsheet",
        params=CreateSpreadsheet,
        run=create_spreadsheet,
        example={"title": "Orders 2027", "sheets": ["Orders", "Price list"]},
    ),
    Action(
        name="addSheet",
        title="Add a tab",
        params=AddSheet,
        run=add_sheet,
        example={"spreadsheetId": _SAMPLE, "title": "Returns"},
    ),
    Action(
        name="renameSheet",
        title="Rename a tab",
        params=RenameSheet,
        run=rename_sheet,
        example={"spreadsheetId": _SAMPLE, "sheet": "Orders", "title": "Orders 2026"},
        idempotent=True,
    ),
    Action(
        name="deleteSheet",
        title="Delete a tab",
        params=DeleteSheet,
        run=delete_sheet,
        example={"spreadsheetId": _SAMPLE, "sheet": "Price list"},
    ),
    Action(
        name="request",
        title="Make any other change to a spreadsheet",
        params=Request,
        run=request,
        example={
            "spreadsheetId": _SAMPLE,
            "requests": [
                {"findReplace": {"find": "open", "replacement": "new", "allSheets": True}}
            ],
        },
    ),
)
"""What both providers of Google Sheets do."""
