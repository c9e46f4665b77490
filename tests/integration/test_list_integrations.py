"""GET /api/integrations."""

from jsonschema import Draft202012Validator

from integrations.providers.registry import PROVIDER_IDS
from tests.backend import Backend


def test_the_catalogue_holds_every_provider_with_its_forms(backend: Backend) -> None:
    answer = backend.call("GET", "/api/integrations")
    assert answer.status == 200
    items = {each["id"]: each for each in answer.json["items"]}
    assert tuple(items) == PROVIDER_IDS
    for each in items.values():
        assert each["title"]
        assert each["docsUrl"].startswith("https://")
        assert each["actions"]
    assert items["sheets_oauth"]["oauth"] is True
    assert items["telegram"]["oauth"] is False


def test_every_form_is_a_json_schema_of_an_object(backend: Backend) -> None:
    for provider in backend.call("GET", "/api/integrations").json["items"]:
        Draft202012Validator.check_schema(provider["credentials"])
        forms = [provider["credentials"]]
        forms += [action["params"] for action in provider["actions"]]
        forms += [trigger["filters"] for trigger in provider["triggers"]]
        assert {form["type"] for form in forms} == {"object"}
        assert {form["additionalProperties"] for form in forms} == {False}


def test_secret_fields_are_marked_for_the_form(backend: Backend) -> None:
    for provider in backend.call("GET", "/api/integrations").json["items"]:
        if provider["id"] == "telegram":
            field = provider["credentials"]["properties"]["botToken"]
            assert (field["format"], field["writeOnly"]) == ("password", True)


def test_a_document_that_the_client_has_is_not_sent_again_however_it_writes_the_header(
    backend: Backend,
) -> None:
    first = backend.call("GET", "/api/integrations", headers={"Accept-Encoding": "gzip"})
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    asked = {"If-None-Match": first.headers["ETag"]}
    for written in (str.lower, str.title, str.upper):
        again = backend.call("GET", "/api/integrations", headers=asked, written=written)
        assert (again.status, again.body) == (304, "")


def test_the_catalogue_asks_no_table(backend: Backend) -> None:
    backend.call("GET", "/api/integrations")
    assert not backend.aws.calls
