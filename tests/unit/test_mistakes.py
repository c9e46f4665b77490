"""Every mistake has its place in what was sent and a sentence for a person, at every model."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from integrations import mistakes
from integrations.errors import FieldError, InvalidParams, unique
from integrations.providers import registry
from integrations.providers.base import Params
from integrations.services import forms

HOSTILE: list[Any] = [
    None, True, False, 0, -1, 10**30, 1.5, "", " ", "x", "ü\n", "a" * 70_000, [], [[]], [None],
    ["x"], [{}], {}, {"x": 1}, {"": None}, {"url": 7}, {"contentBase64": "%"}, {"type": "nonsense"},
]  # fmt: skip


def models() -> Iterator[tuple[str, type[BaseModel], Mapping[str, Any]]]:
    for provider_id in registry.PROVIDER_IDS:
        provider = registry.get(provider_id)
        yield provider_id, provider.credentials, {}
        for action in provider.actions:
            yield f"{provider_id}.{action.name}", action.params, action.example
        for trigger in provider.triggers:
            yield f"{provider_id} {trigger.type}", trigger.filters, {}


MODELS = {name: (model, example) for name, model, example in models()}

LIBRARY = re.compile(
    r"Input should|[Vv]alue error|Assertion|valid (?:string|integer|number|list|dictionary)"
    r"|pydantic|\^|\\[dws]|\$$|constrained|function-"
    r"|list\[|dict\[|Extra inputs|Field required|NoneType"
)
PLACE = re.compile(r"params(?:\.[^.\[\]]+|\[\d+\]|\[\"[^\"]*\"\])*")


def errors_of(model: type[BaseModel], value: object) -> list[FieldError]:
    try:
        model.model_validate(value)
    except ValidationError as invalid:
        return forms.mistakes_in(invalid, model, value, "params")
    return []


def exists(place: str, value: Any) -> bool:
    """Whether a place is one in what was sent, or a field that is missing there."""
    place = place.removeprefix("params").replace('[""]', ".")
    parts = re.findall(r"\.([^.\[\]]*)|\[(\d+)\]", place)
    for depth, (name, index) in enumerate(parts):
        if index:
            if not isinstance(value, list) or int(index) >= len(value):
                return False
            value = value[int(index)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return depth == len(parts) - 1
    return True


@pytest.mark.parametrize("name", MODELS)
def test_hostile_values_are_told_of_where_they_stand_and_in_plain_words(name: str) -> None:
    model, example = MODELS[name]
    for field in forms.names_of(model):
        for hostile in HOSTILE:
            value = {**deepcopy(dict(example)), field: hostile}
            for error in errors_of(model, value):
                assert PLACE.fullmatch(error.field), error
                assert exists(error.field, value), (error, hostile)
                assert not LIBRARY.search(error.message), error
                assert len(error.message) < 600, error


def test_each_kind_of_pydantic_s_errors_has_words() -> None:
    for kind in get_args(ErrorType):
        context = {"min_length": 1, "max_length": 2, "ge": 1, "expected": "'a' or 'b'"}
        if kind in {"value_error", "assertion_error"}:
            context["error"] = ValueError("is no such thing")  # type: ignore[assignment]
        error = {"type": kind, "loc": ("a",), "msg": "Input should be a dog", "ctx": context}
        (mistake,) = mistakes.field_errors([error], {"a": 1})
        assert not LIBRARY.search(mistake.message), kind
        assert mistake.field == "a"


class Row(Params):
    name: str
    size: int | str = 0
    tags: list[str] = []  # noqa: RUF012 - pydantic copies it


class Table(Params):
    rows: list[Row]
    only_one: dict[str, Row] | list[Row] | None = None


def test_the_place_is_the_one_in_what_was_sent() -> None:
    sent = {
        "rows": [{"name": "a"}, {"name": 7, "tags": ["x", 5], "sise": 1}],
        "only_one": {"k": {"size": []}},
    }
    mistake = {error.field: error.message for error in errors_of(Table, sent)}
    assert mistake["params.rows[1].name"] == "must be text"
    assert mistake["params.rows[1].tags[1]"] == "must be text"
    assert mistake["params.rows[1].sise"] == "is not a known field"
    assert mistake["params.only_one.k.name"] == "is required"
    assert mistake["params.only_one.k.size"] == "must be a whole number or text"


def test_a_mistake_that_is_found_twice_is_told_once_as_it_was_found_first() -> None:
    first = FieldError("steps[0].params.to", "is not a known field", "unknown", ("text",))
    again = FieldError("steps[0].params.to", "is not a known field")
    other = FieldError("steps[1].params.to", "is not a known field")
    assert unique([first, other, again]) == [first, other]


def test_a_mistyped_field_is_told_the_nearest_names() -> None:
    (error,) = errors_of(Table, {"rows": [], "onlyOnee": {}})
    detail = "is not a known field; did you mean 'onlyOne'?"
    assert (error.field, error.message, error.code) == ("params.onlyOnee", detail, "unknown")


def test_mistakes_of_a_whole_stand_at_their_fields() -> None:
    webhook = registry.get("webhook").credentials
    sent = {
        "url": "https://example.com/hooks/orders",
        "secret": "s3cret",
        "verification": {"type": "hmac", "algorithm": "md5"},
        "outboundHeaders": {"x y": "1"},
    }
    places = {error.field for error in errors_of(webhook, sent)}
    assert {
        "params.verification.header",
        "params.verification.algorithm",
        "params.outboundHeaders",
    } <= places


# -- A lone template in the place of a text --------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (7, "7"), (1.5, "1.5"), (None, "")]
)
def test_a_lone_template_s_value_becomes_text_where_a_text_is_wanted(value: Any, text: str) -> None:
    action = registry.get("email").action("sendEmail")
    rendered = {**action.example, "subject": value}
    params: Any = forms.params_of("email", action, rendered, rendered=True)
    assert params.subject == text


def test_what_was_typed_is_taken_as_it_is() -> None:
    action = registry.get("email").action("sendEmail")
    with pytest.raises(InvalidParams) as refused:
        forms.params_of("email", action, {**action.example, "subject": True})
    assert refused.value.errors == (FieldError("params.subject", "must be text"),)


def test_a_list_does_not_become_text() -> None:
    action = registry.get("email").action("sendEmail")
    with pytest.raises(InvalidParams, match="do not fit"):
        forms.params_of("email", action, {**action.example, "subject": ["a"]}, rendered=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.sampled_from(["rows", "onlyOne", "x"]), json_values, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_json_is_told_of_in_its_own_places(value: dict[str, Any]) -> None:
    for error in errors_of(Table, value):
        assert not LIBRARY.search(error.message), error
        assert error.field.startswith("params")


def test_what_is_missing_in_pasted_json_is_named() -> None:
    model, _ = MODELS["sheets"]
    messages = {each.field: each.message for each in errors_of(model, {"serviceAccount": "{}"})}
    assert messages["params.serviceAccount.client_email"] == "is required"


def test_each_wrong_header_of_a_mail_is_at_its_place() -> None:
    model, _ = MODELS["email.sendEmail"]
    headers = {"Subject": "x", "X-Line": "a\nb", "X-Long": "x" * 3000, "X-Good": "1", "a b": "x"}
    mail = {"to": "ann@example.com", "text": "x", "headers": headers}
    fields = {each.field for each in errors_of(model, mail)}
    assert fields == {
        "params.headers",
        "params.headers.Subject",
        "params.headers.X-Line",
        "params.headers.X-Long",
    }
