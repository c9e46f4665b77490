"""Google Sheets with a service account, against a stand-in for Google that keeps real sheets."""

import json
from typing import Any

import pytest

from tests.e2e.conftest import Client, StandIns
from tests.fakes.google import Book, Failure, FakeGoogle, key_pair

pytestmark = pytest.mark.e2e

HEADER: list[Any] = ["Id", "Customer", "Status"]
ROWS: list[list[Any]] = [
    HEADER,
    [1001, "Ann", "open"],
    [1002, "Ben", "paid"],
    [1003, "Cleo", "open"],
]


@pytest.fixture
def google(stand_ins: StandIns) -> FakeGoogle:
    return stand_ins.google


@pytest.fixture
def book(google: FakeGoogle) -> Book:
    return google.add_book({"Orders": ROWS, "Price list": [["Cake", 9.5]]}, title="Shop")


@pytest.fixture
def key(google: FakeGoogle) -> dict[str, str]:
    """A service account's key file."""
    return google.add_service_account()


@pytest.fixture
def sheets(client: Client, book: Book, key: dict[str, str]) -> Client:
    client.save("sheets", {"serviceAccount": key, "spreadsheetId": book.id})
    return client


# -- Its life --------------------------------------------------------------------------------


@pytest.mark.parametrize("pasted", [True, False], ids=["as text", "as an object"])
def test_a_key_file_is_tested_saved_shown_and_removed_and_never_given_back(
    client: Client,
    book: Book,
    key: dict[str, str],
    pasted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    path = "/api/integrations/sheets"
    url = f"https://docs.google.com/spreadsheets/d/{book.id}/edit#gid=0"
    given = {"serviceAccount": json.dumps(key) if pasted else key, "spreadsheetId": url}

    tested = client.post(f"{path}/test", {"credentials": given})
    saved = client.post(f"{path}/credentials", {"credentials": given})
    shown = client.get(f"{path}/credentials")
    again = client.post(f"{path}/test", {})
    deleted = client.delete(f"{path}/credentials")

    answers = [tested, saved, shown, again, deleted]
    assert [answer.status_code for answer in answers] == [200] * 5, [a.text for a in answers]
    text = "".join(answer.text for answer in answers)
    assert "PRIVATE KEY" not in text
    assert key["private_key"][40:80] not in text
    assert tested.json()["success"] is True
    assert "“Shop” opens" in tested.json()["message"]
    assert shown.json()["account"]["id"] == key["client_email"]
    assert shown.json()["account"]["details"]["spreadsheetTitle"] == "Shop"
    assert again.json()["success"] is True


def test_the_assertion_is_signed_by_the_key_and_goes_to_google_alone(
    client: Client, google: FakeGoogle, book: Book, key: dict[str, str], stand_ins: StandIns
) -> None:
    hostile = key | {
        "token_uri": stand_ins.receiver.url("/steal-sheets"),
        "auth_uri": stand_ins.receiver.url("/steal-sheets"),
        "universe_domain": "evil.example",
    }
    asked = len(google.seen("token"))

    client.save("sheets", {"serviceAccount": hostile, "spreadsheetId": book.id})
    client.act("sheets", "listSheets", {})

    # The stand-in checks signature, issuer, audience and times with google.auth.jwt.
    assert len(google.seen("token")) > asked
    assert not [seen for seen in stand_ins.receiver.received if seen.path == "/steal-sheets"]


# -- What it does ----------------------------------------------------------------------------


def test_ranges_are_read_and_rows_are_found(sheets: Client) -> None:
    read = sheets.act("sheets", "readRange", {"range": "Orders!A2:C2"})
    several = sheets.act("sheets", "batchRead", {"ranges": ["Orders!A1:A2", "'Price list'!A:B"]})
    found = sheets.act("sheets", "getRows", {"sheet": "Orders", "filter": {"Status": "open"}})
    one = sheets.act("sheets", "findRow", {"sheet": "Orders", "filter": {"Id": 1002}})
    none = sheets.act("sheets", "findRow", {"sheet": "Orders", "filter": {"Id": 1}})

    assert read["rows"] == [[1001, "Ann", "open"]]
    assert [each["rows"] for each in several["ranges"]] == [[["Id"], [1001]], [["Cake", 9.5]]]
    assert found["rows"] == [
        {"Id": 1001, "Customer": "Ann", "Status": "open"},
        {"Id": 1003, "Customer": "Cleo", "Status": "open"},
    ]
    assert found["rowNumbers"] == [2, 4]
    assert one == {
        "found": True,
        "rowNumber": 3,
        "row": {"Id": 1002, "Customer": "Ben", "Status": "paid"},
    }
    assert none["found"] is False


def test_rows_are_appended_as_arrays_and_as_objects(sheets: Client, book: Book) -> None:
    appended = sheets.act("sheets", "appendRow", {"sheet": "Orders", "values": [1004, "Dan"]})
    sheets.act(
        "sheets",
        "appendRows",
        {"sheet": "Orders", "rows": [{"Status": "new", "Id": 1005}, [1006, "Eve", "open"]]},
    )

    assert appended["rowNumber"] == 5
    assert book.rows("Orders")[4:] == [
        [1004, "Dan"],
        [1005, "", "new"],
        [1006, "Eve", "open"],
    ]


def test_a_row_is_updated_by_its_key_or_appended(sheets: Client, book: Book) -> None:
    upsert = {"sheet": "Orders", "keyColumn": "Id"}

    updated = sheets.act(
        "sheets", "upsertRow", {**upsert, "values": {"Id": 1001, "Status": "paid"}}
    )
    inserted = sheets.act(
        "sheets", "upsertRow", {**upsert, "values": {"Id": 1009, "Customer": "Flo"}}
    )
    sheets.act(
        "sheets", "updateRow", {"sheet": "Orders", "row": 3, "values": {"Status": "shipped"}}
    )

    assert (updated["action"], updated["rowNumber"]) == ("updated", 2)
    assert (inserted["action"], inserted["rowNumber"]) == ("inserted", 5)
    rows = book.rows("Orders")
    assert rows[1] == [1001, "Ann", "paid"]
    assert rows[2] == [1002, "Ben", "shipped"]
    assert rows[4] == [1009, "Flo"]


def test_ranges_are_written_and_cleared_and_rows_deleted(sheets: Client, book: Book) -> None:
    sheets.act("sheets", "updateRange", {"range": "Orders!B2:C2", "values": [["Anna", None]]})
    sheets.act(
        "sheets",
        "batchUpdate",
        {
            "data": [
                {"range": "Orders!C3", "values": [["late"]]},
                {"range": "'Price list'!B1", "values": [[12]]},
            ]
        },
    )
    assert book.rows("Orders")[1:3] == [[1001, "Anna", "open"], [1002, "Ben", "late"]]
    assert book.rows("Price list") == [["Cake", 12]]

    sheets.act("sheets", "clearRange", {"range": "Orders!C2:C4"})
    sheets.act("sheets", "batchClear", {"ranges": ["'Price list'!B1", "Orders!B4"]})
    deleted = sheets.act("sheets", "deleteRows", {"sheet": "Orders", "rows": [3, 2]})

    assert deleted == {"deletedRows": 2}
    assert book.rows("Orders") == [HEADER, [1003]]
    assert book.rows("Price list") == [["Cake"]]


def test_what_came_from_outside_is_no_formula_unless_it_is_asked_for(
    sheets: Client, google: FakeGoogle
) -> None:
    formula = {"range": "Orders!A9", "values": [["=1+1"]]}

    sheets.act("sheets", "updateRange", formula)
    sheets.act("sheets", "updateRange", {**formula, "valueInput": "USER_ENTERED"})

    raw, entered = [dict(seen.query) for seen in google.seen("values.update")[-2:]]
    assert raw["valueInputOption"] == "RAW"
    assert entered["valueInputOption"] == "USER_ENTERED"


def test_spreadsheets_and_tabs_are_made_renamed_and_removed(
    sheets: Client, google: FakeGoogle, book: Book
) -> None:
    created = sheets.act("sheets", "createSpreadsheet", {"title": "2027", "sheets": ["One"]})
    added = sheets.act("sheets", "addSheet", {"title": "Returns"})
    sheets.act("sheets", "renameSheet", {"sheet": "Returns", "title": "Refunds"})
    sheets.act("sheets", "deleteSheet", {"sheet": "Price list"})
    listed = sheets.act("sheets", "listSheets", {})
    whole = sheets.act("sheets", "getSpreadsheet", {})
    sheets.act(
        "sheets",
        "request",
        {"requests": [{"findReplace": {"find": "open", "replacement": "new", "allSheets": True}}]},
    )

    assert google.books[created["spreadsheetId"]].title == "2027"
    titles = [(tab["title"], tab["sheetId"]) for tab in listed["sheets"]]
    assert ("Refunds", added["sheetId"]) in titles
    assert [title for title, _ in titles] == ["Orders", "Refunds"]
    assert whole["spreadsheetId"] == book.id
    assert whole["properties"]["title"] == "Shop"


# -- What goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "authorized_user"}, "credentials.serviceAccount.type"),
        ({"client_email": "nobody"}, "credentials.serviceAccount.client_email"),
        ({"private_key": "not a key"}, "credentials.serviceAccount.private_key"),
        ({"private_key": 5}, "credentials.serviceAccount.private_key"),
        ({"private_key": None}, "credentials.serviceAccount.private_key"),
    ],
    ids=str,
)
def test_a_key_file_with_a_wrong_part_is_refused_with_its_place(
    client: Client, google: FakeGoogle, key: dict[str, str], change: dict[str, Any], field: str
) -> None:
    asked = len(google.requests)

    refused = client.refused_save("sheets", {"serviceAccount": key | change}, 422, "invalid_input")

    assert field in {error["field"] for error in refused["errors"]}
    assert "PRIVATE KEY-----\n" not in json.dumps(refused)
    assert len(google.requests) == asked


@pytest.mark.parametrize(
    "given",
    ["{", "[]", '"text"', json.dumps({"installed": {"client_id": "x"}}), 5, None],
    ids=["cut off", "a list", "a text", "an OAuth client", "a number", "null"],
)
def test_what_is_no_key_file_is_refused(client: Client, given: object) -> None:
    client.refused_save("sheets", {"serviceAccount": given}, 422, "invalid_input")


def test_a_key_that_cannot_be_read_or_is_not_the_accounts_is_refused(
    client: Client, key: dict[str, str]
) -> None:
    broken = key["private_key"].replace(key["private_key"][100:140], "A" * 40)
    foreign, _ = key_pair("somebody-elses")

    for private_key in (broken, foreign):
        given = {"serviceAccount": key | {"private_key": private_key}}
        refused = client.refused_save("sheets", given, 422, "credentials_rejected")
        assert private_key[60:90] not in json.dumps(refused)


def test_a_spreadsheet_that_is_not_shared_says_with_whom_to_share_it(
    client: Client, google: FakeGoogle, key: dict[str, str]
) -> None:
    private = google.add_book(shared={"somebody@example.com": "writer"})
    given = {"serviceAccount": key, "spreadsheetId": private.id}

    refused = client.refused_save("sheets", given, 422, "permission_missing")
    unknown = client.refused_save(
        "sheets", {"serviceAccount": key, "spreadsheetId": "none"}, 422, "request_rejected"
    )

    assert f"share the sheet with {key['client_email']}" in refused["detail"]
    assert "not found" in unknown["detail"]


@pytest.mark.parametrize("given", ["Orders!A1:", "Orders!!A1", "No such tab!A1", "A1:B2:C3", "?"])
def test_a_range_that_does_not_parse_is_the_parameters_mistake(sheets: Client, given: str) -> None:
    refused = sheets.refused_action("sheets.readRange", {"range": given}, 422, "invalid_params")

    assert {error["field"] for error in refused["errors"]} == {"range"}


def test_rows_that_do_not_fit_the_header_are_refused_and_nothing_is_written(
    sheets: Client, book: Book
) -> None:
    before = book.rows("Orders")

    longer = sheets.refused_action(
        "sheets.appendRow", {"sheet": "Orders", "values": [1, 2, 3, 4]}, 422, "invalid_params"
    )
    named = sheets.refused_action(
        "sheets.appendRows",
        {"sheet": "Orders", "rows": [[1], {"Id": 2, "Colour": "red"}]},
        422,
        "invalid_params",
    )

    assert "has 4 cells" in longer["detail"]
    assert "Id, Customer, Status" in longer["detail"]
    assert {error["field"] for error in named["errors"]} == {"rows[1].Colour"}
    assert book.rows("Orders") == before

    sheets.act(
        "sheets",
        "appendRow",
        {"sheet": "Orders", "values": {"Id": 2, "Colour": "red"}, "addMissingColumns": True},
    )
    assert book.rows("Orders")[0] == [*HEADER, "Colour"]


def test_a_quota_that_is_used_up_is_waited_for_as_google_says(
    sheets: Client, google: FakeGoogle
) -> None:
    google.fail("values.get", Failure(429, headers={"Retry-After": "17"}))

    answer = sheets.post(
        "/api/integrations/sheets/actions/readRange", {"params": {"range": "Orders!A1"}}
    )

    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "17"


def test_google_that_is_down_or_answers_html_is_unavailable(
    sheets: Client, google: FakeGoogle
) -> None:
    read = {"range": "Orders!A1"}

    google.fail("values.get", Failure(503))
    sheets.refused_action("sheets.readRange", read, 502, "provider_unavailable")
    google.fail("values.get", Failure(200, "<html>Sorry</html>"))
    sheets.refused_action("sheets.readRange", read, 502, "provider_unavailable")
    assert sheets.act("sheets", "readRange", read)["rows"] == [["Id"]]


def test_a_token_that_ended_early_is_renewed_without_a_word(
    sheets: Client, google: FakeGoogle
) -> None:
    sheets.act("sheets", "listSheets", {})
    google.end_access_tokens()

    assert sheets.act("sheets", "listSheets", {})["sheets"]


def test_a_service_account_that_was_deleted_is_told_by_the_next_test(
    client: Client, google: FakeGoogle
) -> None:
    email = "gone@project.iam.gserviceaccount.com"
    client.save("sheets", {"serviceAccount": google.add_service_account(email, "gone")})
    google.remove_service_account(email)

    tested = client.post("/api/integrations/sheets/test", {}).json()

    assert (tested["success"], tested["code"]) == (False, "credentials_rejected")
    assert client.get("/api/integrations/status").json()["sheets"]["status"] == "needs_reauth"
