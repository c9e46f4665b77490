"""The catalogue: its file, and forms that a renderer and a person can use."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.providers import registry
from integrations.providers.base import ADVANCED
from integrations.services import catalogue, schemas

CATALOGUE = json.loads(catalogue.text())


def all_forms() -> Iterator[tuple[str, dict[str, Any]]]:
    for provider in CATALOGUE["items"]:
        yield provider["id"], provider["credentials"]
        for action in provider["actions"]:
            yield f"{provider['id']}.{action['name']}", action["params"]
        for trigger in provider["triggers"]:
            yield f"{provider['id']} {trigger['type']}", trigger["filters"]


FORMS = dict(all_forms())
forms_of_all = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def test_the_file_says_what_the_providers_code_says() -> None:
    made = json.loads(catalogue.made().model_dump_json(by_alias=True))
    assert made == CATALOGUE, "run `make docs`"


@forms_of_all
def test_what_is_optional_may_be_left_out_and_is_not_null(form: dict[str, Any]) -> None:
    for name, field in form["properties"].items():
        assert {"type": "null"} not in field.get("anyOf", []), name
        assert field.get("default", "") is not None, name


@forms_of_all
def test_a_form_refers_to_nothing_and_says_how_each_field_is_shown(form: dict[str, Any]) -> None:
    assert "$ref" not in json.dumps(form)
    controls = {field["x-control"] for field in form["properties"].values()}
    known = {"text", "multiline", "password", "number", "checkbox", "select", "list", "union"}
    assert controls <= known | {"json"}


@forms_of_all
def test_titles_and_descriptions_are_for_people(form: dict[str, Any]) -> None:
    for name, field in form["properties"].items():
        assert field["title"][0].isupper(), name
        assert not any(run.islower() and len(run) > 20 for run in field["title"].split()), name
    text = json.dumps(form).replace("```", "")
    for leak in ("``", "Attributes:", "Raises:", "Parameters of"):
        assert leak not in text, leak


@forms_of_all
def test_what_few_people_need_may_be_left_out(form: dict[str, Any]) -> None:
    advanced = {name for name, field in form["properties"].items() if field.get("x-advanced")}
    assert not advanced & set(form.get("required", ()))


def test_a_mail_server_is_asked_for_six_things_at_first() -> None:
    fields = registry.get("email").credentials.model_fields
    shown = [name for name, field in fields.items() if field.json_schema_extra != ADVANCED]
    assert shown == ["host", "port", "user", "password", "from_", "secure"]


@forms_of_all
def test_what_must_be_given_stands_first_and_what_only_is_shown_last(form: dict[str, Any]) -> None:
    required = set(form.get("required", ()))
    kinds = [
        2 if field.get("readOnly") else int(name not in required)
        for name, field in form["properties"].items()
    ]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("accessToken", "Access token"),
        ("chat_id", "Chat ID"),
        ("outboundUrl", "Outbound URL"),
        ("html", "HTML"),
        ("to", "To"),
    ],
)
def test_a_name_becomes_words(name: str, title: str) -> None:
    assert schemas.title_of(name) == title


def test_the_ways_to_verify_are_told_apart_by_their_type() -> None:
    (webhook,) = (each for each in CATALOGUE["items"] if each["id"] == "webhook")
    field = webhook["credentials"]["properties"]["verification"]
    kinds = {each["properties"]["type"]["const"]: each for each in field["oneOf"]}
    assert kinds["hmac"]["required"] == ["type", "header"]
    assert set(kinds["stripe"]["properties"]) == {"type", "toleranceSeconds"}
