"""What Google Sheets' actions do to a spreadsheet, on a stand-in and by the vendor's contract."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from integrations.errors import InvalidParams, ProviderUnavailable, RequestRejected
from integrations.models import now
from integrations.outbound.client import Outbound
from integrations.providers.base import Action, Addresses, Call, Credentials
from integrations.providers.sheets import a1
from integrations.providers.sheets.login import PROVIDER as OAUTH
from integrations.providers.sheets.login import SheetsOAuthCredentials
from integrations.providers.sheets.provider import PROVIDER, SheetsCredentials
from tests.contracts import sheets as contract
from tests.fakes.google import SPREADSHEETS, Book, Failure, FakeGoogle, Styled

ORDERS: list[list[Any]] = [
    ["Id", "Customer", "Status"],
    [1001, "Ann", "open"],
    [1002, "Ben", "paid"],
    [1003, "Cleo", "open"],
]
BOOK = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGoogle]:
    with FakeGoogle() as running:
        yield running


@pytest.fixture
def google(server: FakeGoogle) -> Iterator[FakeGoogle]:
    server.books.clear()
    server.requests.clear()
    yield server
    assert server.sheets_requests or not server.books
    for seen in server.sheets_requests:
        assert contract.violations(seen.method, seen.target, seen.body) == []


@pytest.fixture
def book(google: FakeGoogle) -> Book:
    return google.add_book(
        {
            "Orders": [list(row) for row in ORDERS],
            "Price list": [["Item", "Price"], ["Tea", 9.5], ["Rum", 12]],
        },
        book_id=BOOK,
        title="Shop",
    )


@pytest.fixture
def call(google: FakeGoogle, server: FakeGoogle) -> Call[SheetsCredentials]:
    return calling(
        server,
        SheetsCredentials.model_validate(
            {"serviceAccount": server.add_service_account(), "spreadsheetId": BOOK}
        ),
    )


def calling[C: Credentials](google: FakeGoogle, credentials: C) -> Call[C]:
    return Call(
        credentials=credentials,
        http=Outbound(allow_loopback=True, total_timeout=10),
        addresses=Addresses(**google.addresses),
    )


def act(call: Call[Any], name: str, /, **params: Any) -> Any:
    action = PROVIDER.action(name)
    return action.run(call, action.params.model_validate(params))


def fields(caught: pytest.ExceptionInfo[InvalidParams]) -> list[str]:
    return [error.field for error in caught.value.errors]


# -- All of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [action.name for action in PROVIDER.actions])
@pytest.mark.parametrize("provider", [PROVIDER, OAUTH], ids=lambda provider: provider.id)
def test_every_action_runs_its_example_and_keeps_to_the_contract(
    google: FakeGoogle, book: Book, call: Call[SheetsCredentials], provider: Any, name: str
) -> None:
    caller: Call[Any] = call
    if provider is OAUTH:
        granted = google._issue("ann@example.com", [SPREADSHEETS])
        credentials = SheetsOAuthCredentials(
            access_token=SecretStr(granted["access_token"]),
            refresh_token=SecretStr("1//x"),
            expires_at=now() + timedelta(hours=1),
        )
        caller = calling(google, credentials)
    action = provider.action(name)
    result = action.run(caller, action.params.model_validate(action.example))
    assert isinstance(result, dict)
    assert google.sheets_requests


def test_the_contract_finds_what_is_wrong() -> None:
    good = "/v4/spreadsheets/x/values/A1?valueInputOption=RAW"
    assert contract.violations("PUT", good, b'{"values": [[1]]}') == []
    for verb, target, body in (
        ("PUT", "/v4/spreadsheets/x/values/A1", b"{}"),
        ("PUT", "/v4/spreadsheets/x/values/A1?valueInputOption=raw", b"{}"),
        ("PUT", f"{good}&valueinput=RAW", b"{}"),
        ("PUT", good, b'{"value": []}'),
        ("PUT", good, b'{"values": [1]}'),
        ("PUT", good, b'{"values": [[{"a": 1}]]}'),
        ("PUT", good, b""),
        ("GET", "/v4/spreadsheets/x", b"{}"),
        ("GET", "/v4/spreadsheets/x?fields=sheets(title)", b""),
        ("GET", "/v4/spreadsheets/x?includeGridData=True", b""),
        ("GET", "/v4/spreadsheets/x/values/A/1", b""),
        ("POST", "/v4/spreadsheets/x:batchUpdate", b'{"requests": [{"addSheets": {}}]}'),
    ):
        assert contract.violations(verb, target, body) != [], (verb, target, body)


# -- Reading ---------------------------------------------------------------------------------


def test_a_range_is_read_with_numbers_as_numbers(book: Book, call: Call[Any]) -> None:
    assert act(call, "readRange", range="Orders!A1:C2") == {
        "range": "Orders!A1:C2",
        "rows": [["Id", "Customer", "Status"], [1001, "Ann", "open"]],
    }


def test_an_empty_range_has_no_rows(book: Book, call: Call[Any]) -> None:
    assert act(call, "readRange", range="Orders!E1:F9")["rows"] == []
    assert act(call, "readRange", range="Orders!E1:F9", majorDimension="COLUMNS")["columns"] == []


def test_a_range_is_read_by_columns_where_asked(book: Book, call: Call[Any]) -> None:
    read = act(call, "readRange", range="Orders!A1:B2", majorDimension="COLUMNS")
    assert read["columns"] == [["Id", 1001], ["Customer", "Ann"]]


def test_dates_are_read_as_they_look_and_amounts_as_numbers(book: Book, call: Call[Any]) -> None:
    book.tab("Orders").rows[1:] = [[Styled(46024, "2026-01-02", date=True), Styled(5, "$5.00")]]
    where = {"range": "Orders!A2:B2"}
    assert act(call, "readRange", **where)["rows"] == [["2026-01-02", 5]]
    serial = act(call, "readRange", **where, dateTimeRender="SERIAL_NUMBER")
    assert serial["rows"] == [[46024, 5]]
    shown = act(call, "readRange", **where, valueRender="FORMATTED_VALUE")
    assert shown["rows"] == [["2026-01-02", "$5.00"]]


def test_several_ranges_come_in_the_order_asked_for(book: Book, call: Call[Any]) -> None:
    read = act(call, "batchRead", ranges=["'Price list'!A2:A3", "Orders!A1", "Orders!Z1"])
    assert [one["rows"] for one in read["ranges"]] == [[["Tea"], ["Rum"]], [["Id"]], []]


@pytest.mark.parametrize(
    "title",
    [
        "My Tab",
        'Ann\'s "tab"',
        "🌵 tab 1",
        "Q1",
        "A1:B2",
        "Wow!",
        "..",
        "a/b?c=d#e&f%2F",
        "über:straße",
        "''",
    ],
)
def test_a_tab_may_be_called_anything(google: FakeGoogle, call: Call[Any], title: str) -> None:
    book = google.add_book({"First": [["no"]], title: [["Name"], ["Ann"]]}, book_id=BOOK)
    assert act(call, "readRange", range="A2", sheet=title)["rows"] == [["Ann"]]
    assert act(call, "getRows", sheet=title)["rows"] == [{"Name": "Ann"}]
    act(call, "appendRow", sheet=title, values={"Name": "Ben"})
    act(call, "updateRow", sheet=title, row=2, values=["Zoe"])
    act(call, "upsertRow", sheet=title, keyColumn="Name", values={"Name": "Ben"})
    act(call, "clearRange", sheet=title, range="B1:B9")
    act(call, "deleteRows", sheet=title, rows=[2])
    assert book.rows(title) == [["Name"], ["Ben"]]
    assert book.rows("First") == [["no"]]


@pytest.mark.parametrize("written", ["My Tab!A1", "'My Tab'!A1", "  My Tab!A1 "])
def test_a_range_may_forget_the_quotes(google: FakeGoogle, call: Call[Any], written: str) -> None:
    google.add_book({"My Tab": [["x"]]}, book_id=BOOK)
    assert act(call, "readRange", range=written)["rows"] == [["x"]]


@pytest.mark.parametrize(
    "hostile",
    [
        "..",
        "../../../v4/spreadsheets",
        "A1?key=stolen",
        "A1#",
        "A1&valueInputOption=RAW",
        "%2e%2e",
        "A1:append",
        "Orders!A1/../../B1",
        "\\..\\",
        "'; DROP TABLE",
    ],
)
def test_a_hostile_range_stays_one_segment_of_the_path(
    google: FakeGoogle, book: Book, call: Call[Any], hostile: str
) -> None:
    for name, params in (
        ("readRange", {}),
        ("clearRange", {}),
        ("updateRange", {"values": [[1]]}),
        ("appendRow", {"values": [1]}),
    ):
        with pytest.raises(InvalidParams, match="Unable to parse range") as caught:
            act(call, name, range=hostile, **params)
        assert fields(caught) == ["range"]
    for seen in google.sheets_requests:
        assert contract.path_parameters(seen.method, seen.path)[0] == BOOK
        assert "key" not in dict(seen.query)
    assert len(google.sheets_requests) == 4


@pytest.mark.parametrize("bad", ["", "   ", "A1\r\nX-Evil: 1", "A\x00", "\ud800", "A" * 1001])
def test_a_range_that_none_can_be_is_refused_before_it_is_sent(bad: str) -> None:
    with pytest.raises(ValidationError):
        PROVIDER.action("readRange").params.model_validate({"range": bad})


@pytest.mark.parametrize("name", ["readRange", "updateRange", "clearRange", "getRows", "appendRow"])
def test_a_range_in_another_tab_is_told_when_it_is_saved(name: str) -> None:
    rest = {"updateRange": {"values": [["x"]]}, "appendRow": {"values": ["x"]}}.get(name, {})
    model = PROVIDER.action(name).params
    with pytest.raises(ValidationError, match="another tab") as caught:
        model.model_validate({"range": "Orders!A1", "sheet": "Returns", **rest})
    (mistake,) = caught.value.errors()
    assert mistake["loc"] in {("sheet",), ("range",)}
    model.model_validate({"range": "'Orders'!A1", "sheet": "orders", **rest})


def test_a_tab_may_be_named_twice(book: Book, call: Call[Any]) -> None:
    once = act(call, "readRange", range="Orders!A1:B2")
    assert act(call, "readRange", range="Orders!A1:B2", sheet="Orders") == once


def test_a_tab_that_is_not_there_is_blamed_on_the_sheet(book: Book, call: Call[Any]) -> None:
    for name, params in (
        ("getRows", {}),
        ("appendRow", {"values": [1]}),
        ("upsertRow", {"keyColumn": "a", "values": {"a": 1}}),
        ("deleteRows", {"rows": [2]}),
    ):
        with pytest.raises(InvalidParams) as caught:
            act(call, name, sheet="Nowhere", **params)
        assert fields(caught) == ["sheet"]


def test_without_a_spreadsheet_the_parameter_is_named(google: FakeGoogle) -> None:
    credentials = SheetsCredentials.model_validate({"serviceAccount": google.add_service_account()})
    with pytest.raises(InvalidParams) as caught:
        act(calling(google, credentials), "listSheets")
    assert fields(caught) == ["spreadsheetId"]


def test_an_action_may_name_another_spreadsheet_by_its_address(
    google: FakeGoogle, book: Book, call: Call[Any]
) -> None:
    google.add_book({"Other": []}, book_id="other")
    address = "https://docs.google.com/spreadsheets/d/other/edit#gid=0"
    (tab,) = act(call, "listSheets", spreadsheetId=address)["sheets"]
    assert tab["title"] == "Other"


# -- Rows as objects -------------------------------------------------------------------------


def test_rows_become_objects_with_their_numbers(book: Book, call: Call[Any]) -> None:
    found = act(call, "getRows", sheet="Orders", filter={"Status": "open"})
    assert found == {
        "header": ["Id", "Customer", "Status"],
        "rows": [
            {"Id": 1001, "Customer": "Ann", "Status": "open"},
            {"Id": 1003, "Customer": "Cleo", "Status": "open"},
        ],
        "rowNumbers": [2, 4],
        "total": 2,
    }


def test_limit_and_offset_cut_and_total_counts(book: Book, call: Call[Any]) -> None:
    found = act(call, "getRows", limit=1, offset=1)
    assert found["rowNumbers"] == [3]
    assert found["total"] == 3


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"Id": 1002}, [3]),
        ({"Id": "1002"}, [3]),
        ({"Id": 1002.0}, [3]),
        ({"Status": "open", "Customer": "Cleo"}, [4]),
        ({"Status": None}, [5]),
        ({"Status": ""}, [5]),
        ({"Status": "Open"}, [2, 4]),
        ({"status": "o\uff30EN"}, [2, 4]),
        ({}, [2, 3, 4, 5]),
    ],
)
def test_a_filter_compares_what_cells_show(
    book: Book, call: Call[Any], wanted: dict[str, Any], numbers: list[int]
) -> None:
    book.tab("Orders").rows.append([1004])
    assert act(call, "getRows", filter=wanted)["rowNumbers"] == numbers


def test_true_in_a_filter_is_the_ticked_box(google: FakeGoogle, call: Call[Any]) -> None:
    google.add_book({"T": [["Done"], [True], [False], ["TRUE"]]}, book_id=BOOK)
    assert act(call, "getRows", filter={"Done": True})["rowNumbers"] == [2, 4]


def test_a_column_that_is_not_there_is_named(book: Book, call: Call[Any]) -> None:
    with pytest.raises(InvalidParams, match="Colour; there are: Id, Customer, Status") as caught:
        act(call, "findRow", filter={"Colour": "red", "Id": 1})
    assert fields(caught) == ["filter.Colour"]


def test_rows_of_unequal_length_are_filled_up(google: FakeGoogle, call: Call[Any]) -> None:
    google.add_book({"T": [["A", "B", "C"], [1], [], [1, 2, 3, 4]]}, book_id=BOOK)
    found = act(call, "getRows")
    assert found["rows"] == [
        {"A": 1, "B": "", "C": "", "D": ""},
        {"A": 1, "B": 2, "C": 3, "D": 4},
    ]
    assert found["rowNumbers"] == [2, 4]


def test_columns_without_a_name_or_with_anothers_can_be_told_apart(
    google: FakeGoogle, call: Call[Any]
) -> None:
    header = ["Name", "", " Name ", 2026, "B"]
    google.add_book({"T": [header, ["a", "b", "c", "d", "e"]]}, book_id=BOOK)
    (row,) = act(call, "getRows")["rows"]
    assert row == {"Name": "a", "B (2)": "b", "Name (2)": "c", "2026": "d", "B": "e"}


def test_an_empty_tab_has_no_rows_whatever_the_filter(google: FakeGoogle, call: Call[Any]) -> None:
    google.add_book({"T": []}, book_id=BOOK)
    nothing = {"header": [], "rows": [], "rowNumbers": [], "total": 0}
    assert act(call, "getRows", filter={"Id": 1}) == nothing
    assert act(call, "findRow", filter={"Id": 1}) == {
        "found": False,
        "rowNumber": None,
        "row": None,
    }


def test_the_header_may_be_further_down_and_the_table_further_right(
    google: FakeGoogle, call: Call[Any]
) -> None:
    rows: list[list[Any]] = [["Report"], [], ["", "Id", "Name"], ["", 1, "Ann"], ["", 2, "Ben"]]
    book = google.add_book({"T": rows}, book_id=BOOK)
    assert act(call, "findRow", headerRow=3, filter={"Name": "Ben"}) == {
        "found": True,
        "rowNumber": 5,
        "row": {"Id": 2, "Name": "Ben"},
    }
    by_range = act(call, "getRows", range="T!B3:C9", filter={"Id": 1})
    assert by_range["rowNumbers"] == [4]
    assert act(call, "appendRow", headerRow=3, values=[3, "Cleo"])["rowNumber"] == 6
    act(call, "updateRow", headerRow=3, row=4, values={"Name": "Anna"})
    act(call, "upsertRow", headerRow=3, keyColumn="Id", values={"Id": 4, "Name": "Dan"})
    assert book.rows("T")[3:] == [
        ["", 1, "Anna"],
        ["", 2, "Ben"],
        ["", 3, "Cleo"],
        ["", 4, "Dan"],
    ]


def test_a_range_and_a_header_row_do_not_go_together() -> None:
    with pytest.raises(ValidationError, match="first row is the header"):
        PROVIDER.action("getRows").params.model_validate({"range": "A1:B2", "headerRow": 2})


def test_a_range_does_find_its_tab_apart(book: Book, call: Call[Any]) -> None:
    found = act(call, "getRows", sheet="Price list", range="A1:A3")
    assert found["rows"] == [{"Item": "Tea"}, {"Item": "Rum"}]


# -- Appending -------------------------------------------------------------------------------


def test_an_array_is_appended_and_its_row_number_told(book: Book, call: Call[Any]) -> None:
    done = act(call, "appendRow", values=[1004, "Dan", "open"])
    assert done["rowNumber"] == 5
    assert done["updatedRange"] == "Orders!A5:C5"
    assert done["tableRange"] == "Orders!A1:C4"
    assert book.rows("Orders")[4] == [1004, "Dan", "open"]


def test_an_object_goes_under_its_columns(book: Book, call: Call[Any]) -> None:
    act(call, "appendRow", sheet="Orders", values={"Status": "open", " Id ": 1004})
    assert book.rows("Orders")[4] == [1004, "", "open"]


def test_arrays_and_objects_are_appended_in_one_request(
    google: FakeGoogle, book: Book, call: Call[Any]
) -> None:
    rows = [[1004], {"Customer": "Eve"}, [1006, "Flo", "paid"]]
    done = act(call, "appendRows", rows=rows)
    assert (done["rowNumber"], done["updatedRows"]) == (5, 3)
    assert book.rows("Orders")[4:] == [[1004], ["", "Eve"], [1006, "Flo", "paid"]]
    assert len(google.seen("values.append")) == 1


def test_columns_that_the_header_lacks_are_all_named(
    google: FakeGoogle, book: Book, call: Call[Any]
) -> None:
    with pytest.raises(InvalidParams, match="Id, Customer, Status") as caught:
        act(call, "appendRows", rows=[{"Id": 1, "Color": "red"}, {"Size": 2}])
    assert fields(caught) == ["rows[0].Color", "rows[1].Size"]
    assert google.seen("values.append") == []


def test_a_row_longer_than_the_header_is_refused(
    google: FakeGoogle, book: Book, call: Call[Any]
) -> None:
    with pytest.raises(InvalidParams, match="4 cells") as caught:
        act(call, "appendRow", values=[1, 2, 3, 4])
    assert fields(caught) == ["values"]
    with pytest.raises(InvalidParams) as caught:
        act(call, "appendRows", rows=[[1], [1, 2, 3, 4]])
    assert fields(caught) == ["rows[1]"]
    with pytest.raises(InvalidParams) as caught:
        act(call, "updateRow", row=2, values=[1, 2, 3, 4])
    assert fields(caught) == ["values"]
    assert {seen.kind for seen in google.sheets_requests} == {"values.get"}


def test_missing_columns_are_added_where_asked(book: Book, call: Call[Any]) -> None:
    act(call, "appendRow", values={"Id": 1, "Color": "red", "Size": 2}, addMissingColumns=True)
    assert book.rows("Orders")[0] == ["Id", "Customer", "Status", "Color", "Size"]
    assert book.rows("Orders")[4] == [1, "", "", "red", 2]


def test_a_grid_that_is_too_narrow_gets_wider(book: Book, call: Call[Any]) -> None:
    tab = book.tab("Orders")
    tab.column_count = 3
    act(call, "updateRow", row=2, values={"Color": "red"}, addMissingColumns=True)
    assert book.rows("Orders")[1] == [1001, "Ann", "open", "red"]
    assert book.tab("Orders").column_count == 4


def test_an_object_on_an_empty_tab_needs_leave_to_write_the_header(
    google: FakeGoogle, call: Call[Any]
) -> None:
    book = google.add_book({"T": []}, book_id=BOOK)
    with pytest.raises(InvalidParams, match="addMissingColumns"):
        act(call, "appendRow", values={"Id": 1})
    act(call, "appendRow", values={"Id": 1, "Name": "Ann"}, addMissingColumns=True)
    act(call, "upsertRow", keyColumn="Id", values={"Id": 2})
    assert book.rows("T") == [["Id", "Name"], [1, "Ann"], [2]]


def test_an_array_on_an_empty_tab_needs_no_header(google: FakeGoogle, call: Call[Any]) -> None:
    book = google.add_book({"T": []}, book_id=BOOK)
    act(call, "appendRow", values=[1, 2, 3])
    assert book.rows("T") == [[1, 2, 3]]


def test_without_a_header_arrays_may_be_as_long_as_they_like(
    google: FakeGoogle, call: Call[Any]
) -> None:
    book = google.add_book({"Log": [["start"]]}, book_id=BOOK)
    act(call, "appendRow", sheet="Log", headerRow=0, values=["a", "b", "c"])
    act(call, "updateRow", sheet="Log", headerRow=0, row=3, values=["d", "e"])
    act(call, "updateRow", headerRow=0, row=4, values=["f"])
    assert book.rows("Log") == [["start"], ["a", "b", "c"], ["d", "e"], ["f"]]
    assert google.seen("values.get") == []
    with pytest.raises(ValidationError, match="header"):
        act(call, "appendRow", headerRow=0, values={"a": 1})


def test_a_range_tells_google_where_the_table_is(google: FakeGoogle, call: Call[Any]) -> None:
    rows: list[list[Any]] = [["A", "B"], [1, 2], [], ["", "x", "y", "z"]]
    book = google.add_book({"T": rows}, book_id=BOOK)
    done = act(call, "appendRow", range="T!A1", values=[3, 4])
    assert done["rowNumber"] == 3
    assert book.rows("T") == [["A", "B"], [1, 2], [3, 4], [], ["", "x", "y", "z"]]
    with pytest.raises(ValidationError, match="an object needs a header"):
        act(call, "appendRow", range="T!A1", values={"A": 1})


def test_rows_are_not_shifted_by_a_column_that_is_empty_so_far(
    google: FakeGoogle, call: Call[Any]
) -> None:
    book = google.add_book({"T": [["A", "B", "C"]]}, book_id=BOOK)
    for number in range(3):
        act(call, "appendRow", sheet="T", values={"C": number})
    assert book.rows("T") == [["A", "B", "C"], ["", "", 0], ["", "", 1], ["", "", 2]]


def test_what_is_under_the_table_is_pushed_down_not_overwritten(
    google: FakeGoogle, call: Call[Any]
) -> None:
    book = google.add_book({"T": [["A"], [1], [], ["Sum", 1]]}, book_id=BOOK)
    act(call, "appendRow", sheet="T", values=[2])
    assert book.rows("T") == [["A"], [1], [2], [], ["Sum", 1]]


def test_text_from_outside_never_becomes_a_formula_by_itself(book: Book, call: Call[Any]) -> None:
    act(call, "appendRow", values=['=IMPORTDATA("http://evil")', "1", "+1"])
    assert book.rows("Orders")[4] == ['=IMPORTDATA("http://evil")', "1", "+1"]
    act(call, "appendRow", values=["=1+1", "1", "TRUE"], valueInput="USER_ENTERED")
    assert book.rows("Orders")[5] == [2, 1, True]
    formula = act(call, "readRange", range="Orders!A6", valueRender="FORMULA")
    assert formula["rows"] == [["=1+1"]]


def test_an_id_longer_than_a_double_holds_keeps_its_digits(book: Book, call: Call[Any]) -> None:
    act(call, "appendRow", values=[17841405309211844, 2**53, -(2**60)])
    assert book.rows("Orders")[4] == ["17841405309211844", 2**53, str(-(2**60))]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ({"a": 1}, "a cell holds text"),
        ([1], "a cell holds text"),
        (float("nan"), "a cell holds text"),
        (float("inf"), "a cell holds text"),
        ("x" * 50_001, "50000 characters"),
    ],
)
def test_what_no_cell_holds_is_refused_with_its_place(cell: Any, says: str) -> None:
    for name, params in (
        ("appendRow", {"values": [1, cell]}),
        ("appendRow", {"values": {"Id": cell}}),
        ("appendRows", {"rows": [[cell]]}),
        ("updateRange", {"range": "A1", "values": [[cell]]}),
        ("getRows", {"filter": {"Id": cell}}),
    ):
        with pytest.raises(ValidationError, match=says):
            PROVIDER.action(name).params.model_validate(params)


@pytest.mark.parametrize("values", [[], {}, "text", None, [[1, 2]]])
def test_what_is_no_row_is_refused(values: Any) -> None:
    with pytest.raises(ValidationError):
        PROVIDER.action("appendRow").params.model_validate({"values": values})


def test_half_a_character_does_not_break_the_request(book: Book, call: Call[Any]) -> None:
    act(call, "appendRow", values=["a\ud800b"])
    assert book.rows("Orders")[4] == ["a?b"]


# -- Updating --------------------------------------------------------------------------------


def test_upsert_updates_the_row_that_has_the_key(book: Book, call: Call[Any]) -> None:
    done = act(call, "upsertRow", keyColumn="Id", values={"Id": "1002", "Status": "shipped"})
    assert (done["action"], done["rowNumber"]) == ("updated", 3)
    assert book.rows("Orders")[2] == [1002, "Ben", "shipped"]


def test_upsert_appends_where_no_row_has_the_key(book: Book, call: Call[Any]) -> None:
    params = {"keyColumn": "Id", "values": {"Id": 1009, "Status": "open"}}
    done = act(call, "upsertRow", **params)
    assert (done["action"], done["rowNumber"]) == ("inserted", 5)
    again = act(call, "upsertRow", **params)
    assert (again["action"], again["rowNumber"]) == ("updated", 5)
    assert book.rows("Orders")[4:] == [[1009, "", "open"]]


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("+431234567", "+431234567"),
        ("007", "007"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("=1+1", "=1+1"),
        ("'quoted", "'quoted"),
        ("1005", 1005),
        (1005, 1005),
    ],
)
def test_upsert_finds_the_key_again_however_cells_are_taken_in(
    book: Book, call: Call[Any], key: Any, stored: Any
) -> None:
    params = {"keyColumn": "Id", "valueInput": "USER_ENTERED"}
    for action, status in (("inserted", "=1+1"), ("updated", "=2+2")):
        done = act(call, "upsertRow", **params, values={"Id": key, "Status": status})
        assert (done["action"], done["rowNumber"]) == (action, 5)
    assert book.rows("Orders")[4:] == [[stored, "", 4]]


def test_upsert_needs_its_key(book: Book, call: Call[Any]) -> None:
    for values in ({"Status": "x"}, {"Id": None, "Status": "x"}, {"Id": ""}):
        with pytest.raises(ValidationError, match="the key column Id needs a value"):
            act(call, "upsertRow", keyColumn="Id", values=values)
    with pytest.raises(InvalidParams) as caught:
        act(call, "upsertRow", keyColumn="Nr", values={"Nr": 1, "Size": 2})
    assert fields(caught) == ["keyColumn", "values.Size"]
    assert act(call, "upsertRow", sheet="Orders", keyColumn="Nr", values={"Nr": 1},
               addMissingColumns=True)["action"] == "inserted"  # fmt: skip


def test_a_column_is_known_by_what_a_person_calls_it(google: FakeGoogle, call: Call[Any]) -> None:
    book = google.add_book({"T": [["Prénom", "E-Mail"], ["Ann", "a@example.com"]]}, book_id=BOOK)
    act(call, "appendRow", values={"prenom": "no"}, addMissingColumns=True)
    act(call, "appendRow", values={"pre\u0301nom": "Bob", "e-mail": "b@example.com"})
    done = act(
        call, "upsertRow", keyColumn="E-MAIL", values={"e-mail": "b@example.com", "PRÉNOM": "Bo"}
    )
    assert done["action"] == "updated"
    rows = book.rows("T")
    assert rows[0] == ["Prénom", "E-Mail", "prenom"]
    assert rows[3][:2] == ["Bo", "b@example.com"]


def test_of_two_columns_that_read_alike_each_is_known_by_its_own_name(
    google: FakeGoogle, call: Call[Any]
) -> None:
    google.add_book({"T": [["id", "ID"], [1, 2]]}, book_id=BOOK)
    assert act(call, "findRow", filter={"ID": 2})["found"]
    with pytest.raises(InvalidParams):
        act(call, "findRow", filter={"Id": 2})
    with pytest.raises(InvalidParams):
        act(call, "appendRow", values={"id": 1, "Id": 2})


def test_keys_that_differ_in_case_are_different_rows(google: FakeGoogle, call: Call[Any]) -> None:
    book = google.add_book({"T": [["Key", "N"], ["aB1", 1]]}, book_id=BOOK)
    assert (
        act(call, "upsertRow", keyColumn="Key", values={"Key": "AB1", "N": 2})["action"]
        == "inserted"
    )
    assert (
        act(call, "upsertRow", keyColumn="Key", values={"Key": "aB1", "N": 3})["action"]
        == "updated"
    )
    assert book.rows("T")[1:] == [["aB1", 3], ["AB1", 2]]


@pytest.mark.parametrize("action", PROVIDER.actions, ids=lambda each: each.name)
@pytest.mark.parametrize("body", ["{}", "[]", "null", '"ok"'])
def test_a_success_without_what_was_asked_for_is_none(
    google: FakeGoogle, call: Call[Any], action: Action, body: str
) -> None:
    google.add_book({"Orders": [["Id", "Status"], [1001, "x"]], "Price list": []}, book_id=BOOK)
    for kind in ("values", "spreadsheets"):
        google.fail(kind, Failure(200, body))
    params = {**action.example}
    if "spreadsheetId" in params:
        params["spreadsheetId"] = BOOK
    with pytest.raises(ProviderUnavailable):
        action.run(call, action.params.model_validate(params))
    google.forget_failures()


def test_a_row_is_updated_by_its_number_and_null_changes_nothing(
    book: Book, call: Call[Any]
) -> None:
    assert act(call, "updateRow", row=2, values={"Status": "paid"})["rowNumber"] == 2
    act(call, "updateRow", row=3, values=[None, "Bob", ""])
    assert book.rows("Orders")[1:3] == [[1001, "Ann", "paid"], [1002, "Bob"]]


def test_the_header_is_not_overwritten_by_an_object(google: FakeGoogle, call: Call[Any]) -> None:
    with pytest.raises(InvalidParams, match="row 1 is the header"):
        act(call, "updateRow", row=1, values={"Id": 1})
    assert google.sheets_requests == []


def test_a_row_beyond_the_grid_is_a_mistake_in_its_number(book: Book, call: Call[Any]) -> None:
    with pytest.raises(InvalidParams, match="exceeds grid limits") as caught:
        act(call, "updateRow", row=2000, values=[1])
    assert fields(caught) == ["row"]


def test_a_header_beyond_the_grid_is_a_mistake_in_its_number(book: Book, call: Call[Any]) -> None:
    with pytest.raises(InvalidParams, match="exceeds grid limits") as caught:
        act(call, "appendRow", headerRow=2000, values={"Id": 1})
    assert fields(caught) == ["headerRow"]


def test_a_column_that_is_named_twice_is_refused(call: Call[Any]) -> None:
    for action, field in (("appendRow", "values"), ("findRow", "filter")):
        with pytest.raises(ValidationError, match="twice"):
            act(call, action, **{field: {"A": 1, " A ": 2}})


def test_ranges_are_written_by_rows_and_by_columns(book: Book, call: Call[Any]) -> None:
    done = act(call, "updateRange", range="Orders!B2:C3", values=[["a", None], [None, "b"]])
    assert done["updatedCells"] == 2
    act(call, "updateRange", range="D1", values=[["x", "y"]], majorDimension="COLUMNS")
    assert book.rows("Orders")[:3] == [
        ["Id", "Customer", "Status", "x"],
        [1001, "a", "open", "y"],
        [1002, "Ben", "b"],
    ]


def test_several_ranges_are_written_together_or_not_at_all(book: Book, call: Call[Any]) -> None:
    before = book.rows("Orders")
    good = {"range": "Orders!A2", "values": [[1]]}
    with pytest.raises(InvalidParams) as caught:
        act(call, "batchUpdate", data=[good, {"range": "Nowhere!A1", "values": [[2]]}])
    assert fields(caught) == ["data"]
    assert book.rows("Orders") == before
    done = act(call, "batchUpdate", data=[good, {"range": "'Price list'!B2", "values": [[2]]}])
    assert done["totalUpdatedCells"] == 2


def test_cleared_cells_are_empty(book: Book, call: Call[Any]) -> None:
    assert act(call, "clearRange", range="Orders!B2:C")["clearedRange"] == "Orders!B2:C1000"
    act(call, "batchClear", ranges=["Orders!A3", "'Price list'!B2:B3"])
    assert book.rows("Orders") == [ORDERS[0], [1001], [], [1003]]
    assert book.rows("Price list") == [["Item", "Price"], ["Tea"], ["Rum"]]


@pytest.mark.parametrize(
    ("params", "left"),
    [
        ({"rows": [2]}, [1002, 1003]),
        ({"rows": [4, 2, 4]}, [1002]),
        ({"rows": [2, 3]}, [1003]),
        ({"startRow": 3}, [1001, 1003]),
        ({"startRow": 2, "endRow": 4}, []),
    ],
)
def test_rows_are_deleted_whatever_their_order(
    google: FakeGoogle, book: Book, call: Call[Any], params: dict[str, Any], left: list[int]
) -> None:
    done = act(call, "deleteRows", sheet="orders", **params)
    assert [row[0] for row in book.rows("Orders")[1:]] == left
    assert done["deletedRows"] == 3 - len(left)
    assert len(google.seen("spreadsheets.batchUpdate")) == 1


@pytest.mark.parametrize(
    "params",
    [{}, {"rows": [1], "startRow": 1}, {"endRow": 2}, {"startRow": 3, "endRow": 2}, {"rows": [0]}],
)
def test_rows_to_delete_must_be_said_one_way(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PROVIDER.action("deleteRows").params.model_validate(params)


def test_the_first_tab_is_the_first_that_shows(google: FakeGoogle, call: Call[Any]) -> None:
    book = google.add_book({"Hidden": [["a"], [1]], "Shown": [["a"], [2]]}, book_id=BOOK)
    book.tab("Hidden").hidden = True
    assert act(call, "getRows")["rows"] == [{"a": 2}]
    act(call, "deleteRows", rows=[2])
    assert (book.rows("Hidden"), book.rows("Shown")) == ([["a"], [1]], [["a"]])


# -- Spreadsheets and tabs -------------------------------------------------------------------


def test_a_spreadsheet_is_told_without_its_formats(book: Book, call: Call[Any]) -> None:
    found = act(call, "getSpreadsheet")
    assert found["properties"]["title"] == "Shop"
    assert "defaultFormat" not in found["properties"]
    assert [sheet["properties"]["title"] for sheet in found["sheets"]] == ["Orders", "Price list"]
    masked = act(call, "getSpreadsheet", fields="properties.title")
    assert masked == {"properties": {"title": "Shop"}}
    grid = act(call, "getSpreadsheet", includeGridData=True, ranges=["Price list!A1"])
    assert [list(sheet) for sheet in grid["sheets"]] == [["properties", "data"]]


def test_tabs_are_listed(book: Book, call: Call[Any]) -> None:
    assert act(call, "listSheets")["sheets"][0] == {
        "sheetId": 0,
        "title": "Orders",
        "index": 0,
        "type": "GRID",
        "hidden": False,
        "rowCount": 1000,
        "columnCount": 26,
        "frozenRowCount": 0,
    }


def test_a_spreadsheet_is_created_with_its_tabs(google: FakeGoogle, call: Call[Any]) -> None:
    made = act(
        call,
        "createSpreadsheet",
        title="New",
        sheets=["One", "Two"],
        locale="de_DE",
        timeZone="Europe/Berlin",
    )
    book = google.books[made["spreadsheetId"]]
    assert (book.title, book.locale, book.time_zone) == ("New", "de_DE", "Europe/Berlin")
    assert [sheet["title"] for sheet in made["sheets"]] == ["One", "Two"]
    assert made["spreadsheetUrl"].endswith(f"/{book.id}/edit")


def test_a_tab_lives_from_adding_to_deleting(book: Book, call: Call[Any]) -> None:
    added = act(call, "addSheet", title="New", index=1, rowCount=5, columnCount=2)
    assert (added["title"], added["rowCount"], added["columnCount"]) == ("New", 5, 2)
    renamed = act(call, "renameSheet", sheet="New", title="Newer")
    assert renamed == {"sheetId": added["sheetId"], "title": "Newer"}
    assert [tab.title for tab in book.tabs] == ["Orders", "Newer", "Price list"]
    assert act(call, "deleteSheet", sheet="Newer")["sheetId"] == added["sheetId"]
    assert [tab.title for tab in book.tabs] == ["Orders", "Price list"]


def test_renaming_twice_does_no_harm(book: Book, call: Call[Any]) -> None:
    first = act(call, "renameSheet", sheet="Price list", title="Prices")
    assert act(call, "renameSheet", sheet="Price list", title="Prices") == first
    with pytest.raises(InvalidParams, match="no tab 'Nowhere'; there are: Orders, Prices"):
        act(call, "renameSheet", sheet="Nowhere", title="Else")


def test_the_last_tab_cannot_go(google: FakeGoogle, call: Call[Any]) -> None:
    google.add_book({"Only": []}, book_id=BOOK)
    with pytest.raises(RequestRejected, match="can't remove all the sheets"):
        act(call, "deleteSheet", sheet="Only")


def test_any_other_request_is_passed_on(book: Book, call: Call[Any]) -> None:
    requests = [{"findReplace": {"find": "open", "replacement": "new", "allSheets": True}}]
    done = act(call, "request", requests=requests)
    assert done["replies"] == [{"findReplace": {"occurrencesChanged": 2, "valuesChanged": 2}}]
    assert book.rows("Orders")[1][2] == "new"


@pytest.mark.parametrize("requests", [[], [{}], [{"addSheet": {}, "deleteSheet": {}}], ["x"]])
def test_a_request_is_one_name_and_its_content(requests: list[Any]) -> None:
    with pytest.raises(ValidationError):
        PROVIDER.action("request").params.model_validate({"requests": requests})


# -- A1 notation -----------------------------------------------------------------------------


@given(st.integers(0, 18_277))
def test_a_columns_letters_lead_back_to_it(index: int) -> None:
    assert a1.start(f"{a1.column(index)}7") == ("", index, 7)


@pytest.mark.parametrize(
    ("index", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")]
)
def test_columns_are_counted_without_a_zero(index: int, letters: str) -> None:
    assert a1.column(index) == letters


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1))
def test_a_quoted_title_is_read_back(title: str) -> None:
    assert a1.unquoted(a1.quoted(title)) == title
    place = f"{a1.quoted(title)}!B3:D9"
    assert a1.start(place) == (a1.quoted(title), 1, 3)
    assert a1.normalized(place) == place
