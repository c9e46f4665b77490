"""What the parameters of the actions share.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from integrations.models import Json
from integrations.providers.base import Params
from integrations.providers.sheets import a1
from integrations.providers.sheets.api import parsed_id
from integrations.providers.sheets.replies import Cell
from integrations.providers.sheets.tables import (
    Line,
)

MAX_CELL = 50_000
"""The most characters that Google takes in one cell."""


_SAFE_INTEGER = 2**53


def _cell(value: object) -> Cell:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        # Sheets keeps numbers as doubles: an id that is longer keeps its digits as text alone.
        return value if abs(value) <= _SAFE_INTEGER else str(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if not isinstance(value, str):
        raise ValueError("a cell holds text, a number, true, false or null")
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
        raise ValueError("a row is an array of cells, or an object of column names and cells")
    checked: dict[str, Cell] = {}
    for name, cell in cells:
        column = str(name).strip()
        if column in checked:
            raise ValueError(f"{name}: is there twice, but for spaces")
        try:
            checked[column] = _cell(cell)
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
        raise ValueError("an object of column names and cells is expected")
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


def _sheet_of_range(sheet: str | None, info: ValidationInfo) -> str | None:
    if not a1.agree(info.data.get("range"), sheet):
        raise ValueError(f"the range {info.data['range']} is in another tab")
    return sheet


def _range_of_sheet(cells: str | None, info: ValidationInfo) -> str | None:
    if not a1.agree(cells, info.data.get("sheet")):
        raise ValueError(f"is in another tab than the sheet {info.data['sheet']}")
    return cells


SheetOfRange = Annotated[
    Tab | None,
    AfterValidator(_sheet_of_range),
    Field(description="The tab, where the range does not name it"),
]
RangeOfSheet = Annotated[Range | None, AfterValidator(_range_of_sheet)]
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


SAMPLE = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"
"""What both providers of Google Sheets do."""
