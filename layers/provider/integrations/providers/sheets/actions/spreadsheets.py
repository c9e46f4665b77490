"""Spreadsheets and their tabs.

https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from integrations.errors import InvalidParams
from integrations.models import Json
from integrations.providers.base import Action, Call, Params
from integrations.providers.sheets.actions.params import SAMPLE, OnSpreadsheet, Range, Tab
from integrations.providers.sheets.api import (
    Spreadsheet,
    send,
)
from integrations.providers.sheets.replies import objects, properties_of


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
    return Spreadsheet.of(call, params.spreadsheet_id).send(
        "GET",
        query=query,
        # What a mask of somebody's own leaves may be nothing.
        expects=None if params.fields else "spreadsheetId",
        blame="ranges",
    )


GET_SPREADSHEET = Action(
    name="getSpreadsheet",
    title="Get a spreadsheet's properties",
    params=GetSpreadsheet,
    run=get_spreadsheet,
    example={"spreadsheetId": SAMPLE},
    idempotent=True,
)


class ListSheets(OnSpreadsheet):
    """Which spreadsheet's tabs to list."""


def list_sheets(call: Call[Any], params: ListSheets) -> Json:
    """A spreadsheet's tabs: ``{sheets: [{sheetId, title, index, rowCount, columnCount, …}]}``."""
    tabs = Spreadsheet.of(call, params.spreadsheet_id).tabs()
    return {"sheets": [_shown(tab) for tab in tabs]}


LIST_SHEETS = Action(
    name="listSheets",
    title="List a spreadsheet's tabs",
    params=ListSheets,
    run=list_sheets,
    example={"spreadsheetId": SAMPLE},
    idempotent=True,
)


def _shown(tab: Mapping[str, Any]) -> dict[str, Json]:
    found = tab.get("gridProperties")
    grid = found if isinstance(found, dict) else {}
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
        expects="spreadsheetId",
        blame="title",
        hint=(
            f"{call.credentials.who} may not create files (a service account has no storage of "
            "its own): create it by hand and share it"
        ),
    )
    tabs = objects(created.get("sheets"), writes=True)
    return {
        "spreadsheetId": created.get("spreadsheetId"),
        "spreadsheetUrl": created.get("spreadsheetUrl"),
        "title": params.title,
        "sheets": [_shown(properties_of(one, writes=True)) for one in tabs],
    }


CREATE_SPREADSHEET = Action(
    name="createSpreadsheet",
    title="Create a spreadsheet",
    params=CreateSpreadsheet,
    run=create_spreadsheet,
    example={"title": "Orders 2027", "sheets": ["Orders", "Price list"]},
)


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
    added = replies[0].get("addSheet")
    return _shown(properties_of(added if isinstance(added, dict) else {}, writes=True))


ADD_SHEET = Action(
    name="addSheet",
    title="Add a tab",
    params=AddSheet,
    run=add_sheet,
    example={"spreadsheetId": SAMPLE, "title": "Returns"},
)


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


RENAME_SHEET = Action(
    name="renameSheet",
    title="Rename a tab",
    params=RenameSheet,
    run=rename_sheet,
    example={"spreadsheetId": SAMPLE, "sheet": "Orders", "title": "Orders 2026"},
    idempotent=True,
)


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


DELETE_SHEET = Action(
    name="deleteSheet",
    title="Delete a tab",
    params=DeleteSheet,
    run=delete_sheet,
    example={"spreadsheetId": SAMPLE, "sheet": "Price list"},
)


def _is_named(request: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(request) != 1:
        raise ValueError("must hold exactly one request, by its name")
    return request


class Request(OnSpreadsheet):
    """Any requests of ``spreadsheets.batchUpdate``."""

    requests: Annotated[
        list[Annotated[dict[str, JsonValue], AfterValidator(_is_named)]],
        Field(min_length=1, max_length=1000),
    ] = Field(description="Each an object of one request's name and its content")


def request(call: Call[Any], params: Request) -> Json:
    """Carry out any other requests, all of them or none: ``{spreadsheetId, replies}``.

    https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request
    """
    requests: list[Any] = [dict(one) for one in params.requests]
    return Spreadsheet.of(call, params.spreadsheet_id).send(
        "POST",
        ":batchUpdate",
        body={"requests": requests},
        expects="spreadsheetId",
        blame="requests",
    )


REQUEST = Action(
    name="request",
    title="Make any other change to a spreadsheet",
    params=Request,
    run=request,
    example={
        "spreadsheetId": SAMPLE,
        "requests": [{"findReplace": {"find": "open", "replacement": "new", "allSheets": True}}],
    },
)


ACTIONS = (
    GET_SPREADSHEET,
    LIST_SHEETS,
    CREATE_SPREADSHEET,
    ADD_SHEET,
    RENAME_SHEET,
    DELETE_SHEET,
    REQUEST,
)
