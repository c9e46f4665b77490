"""Cells by their range: read, written, cleared.

https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    Field,
)

from integrations.models import Json
from integrations.providers.base import Action, Call, Params
from integrations.providers.sheets.actions.params import (
    SAMPLE,
    CellValue,
    OnSpreadsheet,
    Range,
    Reading,
    SheetOfRange,
    Writing,
)
from integrations.providers.sheets.api import (
    Dimension,
    Spreadsheet,
)
from integrations.providers.sheets.replies import lines, objects
from integrations.providers.sheets.tables import (
    place,
)


class ReadRange(OnSpreadsheet, Reading):
    """Which cells to read."""

    range: Range
    sheet: SheetOfRange = None
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


READ_RANGE = Action(
    name="readRange",
    title="Read a range",
    params=ReadRange,
    run=read_range,
    example={"spreadsheetId": SAMPLE, "range": "Orders!A1:C10"},
    idempotent=True,
)


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
    reply = spreadsheet.send(
        "GET", "/values:batchGet", query=query, expects="valueRanges", blame="ranges"
    )
    found = objects(reply["valueRanges"])
    return {"ranges": [_cells_read(one, params.major_dimension) for one in found]}


BATCH_READ = Action(
    name="batchRead",
    title="Read several ranges",
    params=BatchRead,
    run=batch_read,
    example={"spreadsheetId": SAMPLE, "ranges": ["Orders!A1:C1", "'Price list'!A:B"]},
    idempotent=True,
)


class UpdateRange(OnSpreadsheet, Writing):
    """The cells to write, and where."""

    range: Range
    sheet: SheetOfRange = None
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


UPDATE_RANGE = Action(
    name="updateRange",
    title="Write a range",
    params=UpdateRange,
    run=update_range,
    example={
        "spreadsheetId": SAMPLE,
        "range": "Orders!B2:C2",
        "values": [["Ann", "paid"]],
    },
    idempotent=True,
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
        expects="spreadsheetId",
        blame="data",
    )


BATCH_UPDATE = Action(
    name="batchUpdate",
    title="Write several ranges",
    params=BatchUpdate,
    run=batch_update,
    example={
        "spreadsheetId": SAMPLE,
        "data": [
            {"range": "Orders!C2", "values": [["paid"]]},
            {"range": "'Price list'!B2:B3", "values": [[9.5], [12]]},
        ],
        "valueInput": "USER_ENTERED",
    },
    idempotent=True,
)


class ClearRange(OnSpreadsheet):
    """The cells to clear."""

    range: Range
    sheet: SheetOfRange = None


def clear_range(call: Call[Any], params: ClearRange) -> Json:
    """Empty cells and keep their format: ``{clearedRange}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/clear
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    return spreadsheet.clear(place(params.range, params.sheet))


CLEAR_RANGE = Action(
    name="clearRange",
    title="Clear a range",
    params=ClearRange,
    run=clear_range,
    example={"spreadsheetId": SAMPLE, "range": "Orders!A2:C"},
    idempotent=True,
)


class BatchClear(OnSpreadsheet):
    """The ranges to clear."""

    ranges: Annotated[list[Range], Field(min_length=1, max_length=1000)]


def batch_clear(call: Call[Any], params: BatchClear) -> Json:
    """Empty the cells of several ranges: ``{clearedRanges}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/batchClear
    """
    spreadsheet = Spreadsheet.of(call, params.spreadsheet_id)
    body: Json = {"ranges": list(params.ranges)}
    return spreadsheet.send(
        "POST", "/values:batchClear", body=body, expects="clearedRanges", blame="ranges"
    )


BATCH_CLEAR = Action(
    name="batchClear",
    title="Clear several ranges",
    params=BatchClear,
    run=batch_clear,
    example={"spreadsheetId": SAMPLE, "ranges": ["Orders!C2:C", "'Price list'!B2:B"]},
    idempotent=True,
)


ACTIONS = (
    READ_RANGE,
    BATCH_READ,
    UPDATE_RANGE,
    BATCH_UPDATE,
    CLEAR_RANGE,
    BATCH_CLEAR,
)
