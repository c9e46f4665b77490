"""Tables: a tab's rows under one that names the columns.

Sheets knows cells only; what a header is, is decided here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from integrations.comparison import is_composed_same, is_same
from integrations.errors import FieldError, InvalidParams
from integrations.models import Json
from integrations.providers.sheets import a1
from integrations.providers.sheets.api import BEYOND_GRID, Spreadsheet, wrong
from integrations.providers.sheets.replies import Cell, lines

WHOLE_FIRST_TAB = "A:ZZZ"
"""All of the first tab; Google cuts it down to the columns that there are."""

# Dates as text, because the numbers behind them say nothing; numbers as numbers.
NATIVE: Mapping[str, Json] = {
    "valueRenderOption": "UNFORMATTED_VALUE",
    "dateTimeRenderOption": "FORMATTED_STRING",
}

type Line = list[Cell] | dict[str, Cell]
"""A row as it is given: cells in the columns' order, or column name → cell."""


def text(cell: Cell) -> str:
    """A cell as text, so that 5, 5.0 and "5" are the same."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def place(cells: str, sheet: str | None) -> str:
    """The range ``cells``, in the tab ``sheet`` where that is given apart.

    Raises:
        InvalidParams: The range names another tab.
    """
    if not a1.agree(cells, sheet):
        raise wrong("sheet", f"the range {cells} is in another tab")
    if sheet is None or "!" in cells:
        return cells
    return f"{a1.quoted(sheet)}!{cells}"


# -- Headers ---------------------------------------------------------------------------------


class Header(NamedTuple):
    """The row that names a table's columns.

    Attributes:
        tab: The tab as Google's ranges write it.
        row: The row's number.
        first: The index of the first column that has a name.
        names: The columns' names from there to the last that has one, each of them once.
    """

    tab: str
    row: int
    first: int
    names: tuple[str, ...]

    def cells(self, row: int, count: int) -> str:
        """The range of the first ``count`` columns in a row."""
        begin, end = a1.column(self.first), a1.column(self.first + count - 1)
        tab = f"{self.tab}!" if self.tab else ""
        return f"{tab}{begin}{row}:{end}{row}"

    def anchor(self) -> str:
        """Where Google shall look for the table's end.

        The header's first cell: of a whole tab Google takes the table that it finds last, which
        an empty column or a second table makes another one, and the row lands shifted.
        """
        if self.row and not self.names:
            # An empty row holds no table; what is under it may be one.
            return a1.quoted(a1.unquoted(self.tab))
        tab = f"{self.tab}!" if self.tab else ""
        return f"{tab}{a1.column(self.first)}{self.row or 1}"

    def line(self, values: Mapping[str, Cell]) -> list[Cell]:
        """An object as a row; ``null``, which changes nothing, where it does not say."""
        return [values.get(name) for name in self.names]

    def named[V](self, values: Mapping[str, V]) -> dict[str, V]:
        """The same values under the header's own names; names that no column has stay.

        ``e-mail`` means the column ``E-Mail`` where no other column could be meant. A name that is
        written as the header has it goes first.
        """
        found: dict[str, V] = {}
        for name, value in values.items():
            own = column_of(name, self.names) or name
            # Of two that mean one column, the one that is not written so names none.
            found[name if own != name and own in {*values, *found} else own] = value
        return found

    def lacks(self, values: Iterable[str]) -> list[str]:
        """The names among ``values`` that no column has."""
        return [name for name in dict.fromkeys(values) if name not in self.names]

    def describe(self) -> str:
        """The columns, for an error's text."""
        if not self.names:
            return f"row {self.row} is empty, so there is no header; addMissingColumns writes one"
        return f"the header in row {self.row} has: {', '.join(self.names)}"


def column_of(name: str, names: Collection[str]) -> str | None:
    """The column that a person means by a name; ``None`` where there is none, or several.

    Args:
        name: What was written.
        names: The columns' names, each of them once.
    """
    if name in names:
        return name
    alike = [each for each in names if is_same(each, name)]
    return alike[0] if len(alike) == 1 else None


def _column_names(header: Sequence[Cell], width: int, offset: int) -> list[str]:
    """A name for each column: the header's, the letter where it is empty, each of them once."""
    names = [text(cell).strip() for cell in header] + [""] * (width - len(header))
    taken: set[str] = set()

    def once(name: str) -> str:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        taken.add(free)
        return free

    # What the header says goes first: a column's letter must not take a real column's name.
    names = [name and once(name) for name in names]
    return [name or once(a1.column(offset + index)) for index, name in enumerate(names)]


def _header(tab: str, row: int, offset: int, cells: Sequence[Cell]) -> Header:
    named = [index for index, cell in enumerate(cells) if text(cell).strip()]
    if not named:
        return Header(tab, row, offset, ())
    names = _column_names(cells, len(cells), offset)
    return Header(tab, row, offset + named[0], tuple(names[named[0] : named[-1] + 1]))


def read_header(spreadsheet: Spreadsheet, sheet: str | None, row: int) -> Header:
    """Read the row that names the columns.

    Raises:
        InvalidParams: There is no such tab, or no such row in it.
    """
    asked = place(f"{row}:{row}", sheet)
    try:
        reply = spreadsheet.read(asked, NATIVE, "sheet")
    except InvalidParams as refused:
        if BEYOND_GRID not in refused.detail:
            raise
        raise wrong("headerRow", refused.errors[0].message) from None
    tab, offset, _ = a1.start(str(reply.get("range", asked)))
    found = lines(reply)
    return _header(tab, row, offset, found[0] if found else [])


def widened(spreadsheet: Spreadsheet, header: Header, more: Sequence[str]) -> Header:
    """The header with more columns, written to the sheet, which gets wider where it must."""
    tab = spreadsheet.tab(a1.unquoted(header.tab))
    end = header.first + len(header.names)
    lacking = end + len(more) - int((tab.get("gridProperties") or {}).get("columnCount", 0))
    if lacking > 0:
        wider: dict[str, Json] = {
            "sheetId": tab.get("sheetId", 0),
            "dimension": "COLUMNS",
            "length": lacking,
        }
        spreadsheet.change({"appendDimension": wider})
    added = Header(header.tab, header.row, end, tuple(more))
    at = added.cells(header.row, len(more))
    spreadsheet.write(at, [list(more)], value_input="RAW", blame="headerRow")
    return Header(header.tab, header.row, header.first, (*header.names, *more))


def fitted(
    spreadsheet: Spreadsheet,
    sheet: str | None,
    header_row: int,
    rows: Mapping[str, Line],
    *,
    add_missing: bool,
) -> tuple[Header, list[list[Cell]]]:
    """Fit rows to a table's header.

    Args:
        spreadsheet: Where the table is.
        sheet: Its tab; ``None`` for the first.
        header_row: The header's row number; 0 where there is no header.
        rows: The rows by the parameter that holds them.
        add_missing: Whether columns that the header lacks are added to it.

    Returns:
        The header (without names where there is none) and each row's cells in its order.

    Raises:
        InvalidParams: An object names columns that the header lacks, or a row is too long for it.
    """
    if not header_row:
        return _without_header(sheet, rows)
    header = read_header(spreadsheet, sheet, header_row)
    rows = {
        field: header.named(row) if isinstance(row, dict) else row for field, row in rows.items()
    }
    objects = {field: row for field, row in rows.items() if isinstance(row, dict)}
    missing = header.lacks(name for row in objects.values() for name in row)
    if missing and add_missing:
        header = widened(spreadsheet, header, missing)
    columns = header.describe()
    errors = [
        FieldError(f"{field}.{name}", f"no column has this name; {columns}")
        for field, row in objects.items()
        for name in header.lacks(row)
    ]
    found = [header.line(row) if isinstance(row, dict) else list(row) for row in rows.values()]
    if header.names:
        errors += [
            FieldError(field, f"has {len(line)} cells, which is more than the columns; {columns}")
            for field, line in zip(rows, found, strict=True)
            if len(line) > len(header.names)
        ]
    if errors:
        detail = f"The header does not fit: {errors[0].field} {errors[0].message}"
        raise InvalidParams(detail, errors)
    return header, found


def _without_header(sheet: str | None, rows: Mapping[str, Line]) -> tuple[Header, list[list[Cell]]]:
    for field, row in rows.items():
        if isinstance(row, dict):
            raise wrong(field, "an object needs a header, and headerRow 0 says that there is none")
    tab = a1.quoted(sheet) if sheet else ""
    return Header(tab, 0, 0, ()), [list(row) for row in rows.values()]


# -- Tables ----------------------------------------------------------------------------------


class Table(NamedTuple):
    """A table, read whole.

    Attributes:
        header: The row that names the columns.
        names: The names of all columns that hold something, by their place in a row's cells.
        rows: Each row that holds something: its number and its cells.
    """

    header: Header
    names: Mapping[int, str]
    rows: Sequence[tuple[int, list[Cell]]]

    def record(self, cells: Sequence[Cell]) -> dict[str, Json]:
        """A row as an object; Google leaves out empty cells at its end, an object has them all."""
        return {
            name: cells[index] if index < len(cells) else "" for index, name in self.names.items()
        }

    def where(
        self, wanted: Mapping[str, Cell], *, exactly: bool = False
    ) -> list[tuple[int, list[Cell]]]:
        """The rows whose columns hold what is wanted; a column that there is not holds nothing.

        Texts are compared as Sheets compares them itself, in any case, and composed or not;
        ``exactly`` keeps cases apart, for the keys of rows that are written over.
        """
        same = is_composed_same if exactly else is_same
        index_of = {name: index for index, name in self.names.items()}
        conditions = [(index_of.get(name, -1), text(value)) for name, value in wanted.items()]
        return [
            (number, cells)
            for number, cells in self.rows
            if all(
                same(text(cells[index]) if 0 <= index < len(cells) else "", value)
                for index, value in conditions
            )
        ]


def read_table(
    spreadsheet: Spreadsheet,
    asked: str,
    header_row: int | None,
    query: Mapping[str, Json],
    blame: str = "sheet",
) -> Table:
    """Read a table.

    Args:
        spreadsheet: Where it is.
        asked: The range to read.
        header_row: The header's row number; ``None`` for the range's first row.
        query: How cells are given out.
        blame: The parameter that is wrong where the range makes no sense.
    """
    reply = spreadsheet.read(asked, query, blame)
    tab, offset, start = a1.start(str(reply.get("range", asked)))
    top = start if header_row is None else header_row
    found = dict(enumerate(lines(reply), start))
    first = found.get(top, [])
    rows = [
        (number, cells)
        for number, cells in found.items()
        if number > top and any(text(cell) for cell in cells)
    ]
    used = {
        index
        for cells in (first, *(cells for _, cells in rows))
        for index, cell in enumerate(cells)
        if text(cell).strip()
    }
    names = _column_names(first, max(used, default=-1) + 1, offset)
    return Table(
        _header(tab, top, offset, first),
        {index: name for index, name in enumerate(names) if index in used},
        rows,
    )
