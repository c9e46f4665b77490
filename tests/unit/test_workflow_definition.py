"""A definition is accepted whole or refused with the place of every mistake in it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from integrations.errors import FieldError, InvalidInput, InvalidWorkflow
from integrations.models import Json
from integrations.workflows.definition import Workflow, check
from integrations.workflows.schedules import Schedule, from_cron, parse_schedule


class SendMessage(BaseModel):
    """An action's parameters, as a provider would have them."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=True)

    chat_id: int | str = Field(alias="chatId")
    text: str = Field(min_length=1, max_length=20)
    silent: bool = False
    buttons: list[dict[str, str]] = []

    @model_validator(mode="after")
    def _no_silent_buttons(self) -> "SendMessage":
        if self.silent and self.buttons:
            raise ValueError("silent messages have no buttons")
        return self


class Filters(BaseModel):
    """A trigger's own fields, as a provider would have them."""

    model_config = ConfigDict(extra="forbid")

    chat: int | None = None


def problems(model: type[BaseModel], value: Mapping[str, Json]) -> list[FieldError]:
    try:
        model.model_validate(dict(value))
    except ValidationError as error:
        return [FieldError(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
    return []


class FakeAction:
    names: Mapping[str, str] = {
        "chatId": "chatId",
        "chat_id": "chatId",
        "text": "text",
        "silent": "silent",
        "buttons": "buttons",
    }
    required = frozenset({"chatId", "text"})

    def validate(self, params: Mapping[str, Json], *, whole: bool) -> list[FieldError]:
        return [each for each in problems(SendMessage, params) if whole or each.field]


class FakeTrigger:
    def validate_filters(self, filters: Mapping[str, Json]) -> list[FieldError]:
        return problems(Filters, filters)


class FakeCatalogue:
    def action_names(self) -> list[str]:
        return ["telegram.sendMessage", "sheets.findRow"]

    def trigger_types(self) -> list[str]:
        return ["telegram.message"]

    def action(self, name: str) -> FakeAction | None:
        return FakeAction() if name == "telegram.sendMessage" else None

    def trigger(self, type_: str) -> FakeTrigger | None:
        return FakeTrigger() if type_ == "telegram.message" else None


def send(id_: str = "send", **fields: Any) -> dict[str, Any]:
    params = {"chatId": 1, "text": "hi"}
    return {"id": id_, "action": "telegram.sendMessage", "params": params} | fields


def workflow(*steps: Any, **fields: Any) -> dict[str, Any]:
    basis = {"name": "Flow", "trigger": {"type": "manual"}, "steps": list(steps) or [send()]}
    return basis | fields


def accepted(raw: Json) -> Workflow:
    return check(raw, FakeCatalogue())


def mistakes(raw: Json) -> dict[str, str]:
    with pytest.raises(InvalidWorkflow) as caught:
        check(raw, FakeCatalogue())
    assert caught.value.errors
    return {error.field: error.message for error in caught.value.errors}


# -- What is accepted ------------------------------------------------------------------------


def test_what_is_stored_is_what_was_sent() -> None:
    raw = workflow(
        send("a", forEach="{{ trigger.rows }}", when="trigger.rows", onError="continue"),
        send("b", connection="shop", retry={"maxAttempts": 3, "onUnknownOutcome": "repeat"}),
        trigger={
            "type": "telegram.message",
            "connection": "bot",
            "chat": 5,
            "oncePer": "trigger.id",
        },
        enabled=False,
    )
    found = accepted(raw)
    assert found.stored() == raw
    assert found.trigger.filters == {"chat": 5}
    assert found.trigger.connection == "bot"
    assert found.steps[0].connection == "default"


def test_enabled_is_the_default_and_null_means_absent() -> None:
    raw = workflow(send(when=None, retry=None, connection=None))
    stored = accepted(raw).stored()
    assert stored == workflow(send()) | {"enabled": True}


def test_null_within_params_is_kept() -> None:
    raw = workflow(send(params={"chatId": 1, "text": "x", "buttons": []}, forEach=[None, 1]))
    assert accepted(raw).stored()["steps"][0]["forEach"] == [None, 1]


@pytest.mark.parametrize(
    "params",
    [
        {"chatId": "{{ trigger.chat.id }}", "text": "Hello {{ trigger.name }}"},
        {
            "chat_id": 1,
            "text": "{{ item.text }} {{ index }} {{ execution.id }} {{ workflow.name }}",
        },
        {"chatId": 1, "text": "x", "buttons": [{"a": "{{ steps.a.output }}"}]},
        {"chatId": 1, "text": "x", "silent": "{{ true }}", "buttons": [{"a": "b"}]},
    ],
)
def test_parameters_may_be_templates(params: dict[str, Any]) -> None:
    accepted(workflow(send("a"), send("b", params=params, forEach="steps.a.output")))


# -- What is refused, and where --------------------------------------------------------------


@pytest.mark.parametrize("raw", [None, 1, "x", [], True])
def test_a_definition_is_an_object(raw: Json) -> None:
    assert mistakes(raw) == {"": "needs to be an object"}


def test_every_mistake_is_named_at_once() -> None:
    raw = workflow(
        send("a", params={"chatId": 1, "text": "", "colour": "red"}),
        send("a", action="telegram.dance", when="1 +", retry={"maxAttempts": 99}),
        send("c", params={"chatId": "{{ steps.d.output }}"}, connection="no/slash"),
        send("d", params={"chatId": "{{ steps.x.output }}", "text": "{{ item }}"}, surplus=1),
        "nonsense",
        send("9", params={"chatId": [1], "text": "{{ ''.__class__ }}"}, forEach=5, when=7),
        name="",
        colour="red",
        trigger={"type": "pigeon.arrives", "filter": "tirgger.x"},
    )
    found = mistakes(raw)
    assert set(found) == {
        "name",
        "colour",
        "trigger.type",
        "trigger.filter",
        "steps[0].params.text",
        "steps[0].params.colour",
        "steps[1].id",
        "steps[1].action",
        "steps[1].when",
        "steps[1].retry.maxAttempts",
        "steps[2].params.chatId",
        "steps[2].params.text",
        "steps[2].connection",
        "steps[3].params.chatId",
        "steps[3].params.text",
        "steps[3].surplus",
        "steps[4]",
        "steps[5].id",
        "steps[5].params.chatId.int",
        "steps[5].params.chatId.str",
        "steps[5].params.text",
        "steps[5].forEach",
        "steps[5].when",
    }
    assert "there is no 'tirgger' here; did you mean 'trigger'?" in found["trigger.filter"]
    assert "does not run before" in found["steps[2].params.chatId"]
    assert found["steps[2].params.text"] == "is required"
    assert found["steps[3].params.chatId"] == "there is no step 'x'; there are: 9, a, c, d"
    assert "only there in the params of a step with 'forEach'" in found["steps[3].params.text"]
    assert "'__class__' is not allowed" in found["steps[5].params.text"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ steps.a.output }}", "does not run before this one"),
        ("{{ steps['b'].output }}", "does not run before this one"),
        ("{{ steps.first.result }}", "a step has output, status and error, but no 'result'"),
        (
            "{{ nope }}",
            "there is no 'nope' here; there are: execution, secrets, steps, trigger, workflow",
        ),
        ("{{ trigger.x", "bad syntax"),
        ("{% for x in y %}", "bad syntax"),
        ("{{ trigger.x|nope }}", "there is no filter 'nope'"),
        ("{{ length(trigger.x) }}", "'length' is a filter, not a function: write x|length"),
        ("{{ trigger.x|truncate(1, 2, 3, 4, 5, 6) }}", "called wrongly: too many"),
        ("{{ trigger.x.items() }}", "values have no methods"),
        ("{{ '" + "x" * 20_000 + "' }}", "at most 16384 are allowed"),
    ],
)
def test_a_bad_template_is_found_when_saved(text: str, reason: str) -> None:
    raw = workflow(send("first"), send("a", params={"chatId": 1, "text": text}), send("b"))
    found = mistakes(raw)
    assert set(found) == {"steps[1].params.text"}
    assert reason in found["steps[1].params.text"]


@pytest.mark.parametrize(
    "id_", ["", "1a", "a-b", "a.b", "__class__", "a" * 65, "ä", "a\n", 5, None]
)
def test_a_step_id_is_a_plain_name(id_: Any) -> None:
    assert "steps[0].id" in mistakes(workflow(send(id_)))


@pytest.mark.parametrize("connection", ["", "a b", "a#b", "../x", "x" * 65, 5, "{{ trigger.c }}"])
def test_a_connection_is_a_plain_name(connection: Any) -> None:
    assert "steps[0].connection" in mistakes(workflow(send(connection=connection)))
    raw = workflow(trigger={"type": "telegram.message", "connection": connection})
    assert "trigger.connection" in mistakes(raw)


def test_the_whole_is_judged_only_when_it_is_known() -> None:
    params: dict[str, Any] = {"chatId": 1, "text": "x", "silent": True, "buttons": [{"a": "b"}]}
    assert "silent messages" in mistakes(workflow(send(params=params)))["steps[0].params"]
    accepted(workflow(send(params=params | {"silent": "{{ true }}"})))


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        ({}, "trigger.type"),
        ({"type": "webhook"}, "trigger.webhookId"),
        ({"type": "webhook", "webhookId": "a/b"}, "trigger.webhookId"),
        ({"type": "webhook", "webhookId": "w", "connection": "x"}, "trigger.connection"),
        ({"type": "manual", "webhookId": "w"}, "trigger.webhookId"),
        ({"type": "telegram.message", "webhookId": "w"}, "trigger.webhookId"),
        ({"type": "telegram.message", "chat": "x"}, "trigger.chat"),
        ({"type": "telegram.message", "nope": 1}, "trigger.nope"),
        ({"type": "manual", "filter": "steps.a"}, "trigger.filter"),
        ({"type": "manual", "filter": 1}, "trigger.filter"),
        ({"type": "manual", "oncePer": "a b"}, "trigger.oncePer"),
        ({"type": "schedule"}, "trigger.cron"),
        ({"type": "schedule", "cron": "* * * *"}, "trigger.cron"),
        ({"type": "schedule", "cron": "0 8 * * *", "timezone": "Mars/Crater"}, "trigger.timezone"),
        ({"type": "schedule", "expression": "rate(0 minutes)"}, "trigger.expression"),
    ],
)
def test_a_trigger_is_checked_by_its_type(trigger: dict[str, Any], field: str) -> None:
    assert field in mistakes(workflow(trigger=trigger))


def test_a_webhook_trigger_names_its_webhook() -> None:
    trigger = {"type": "webhook", "webhookId": "orders-1", "filter": "trigger.body.total > 100"}
    assert accepted(workflow(trigger=trigger)).trigger.webhook_id == "orders-1"


# -- Limits ----------------------------------------------------------------------------------


def test_two_hundred_steps_are_the_most() -> None:
    accepted(workflow(*(send(f"s{n}") for n in range(200))))
    assert list(mistakes(workflow(*(send(f"s{n}") for n in range(201))))) == ["steps"]
    assert list(mistakes(workflow(steps=[]))) == ["steps"]


def test_a_definition_has_a_bounded_size_and_depth() -> None:
    raw = workflow(send(params={"chatId": 1, "text": "x" * 300_000}))
    assert "at most 262144 are allowed" in mistakes(raw)[""]
    raw = workflow(send(), trigger={"type": "manual", "filter": "x" * 50_000})
    assert "at most 49152 are allowed" in mistakes(raw)["trigger"]
    deep: Json = []
    for _ in range(5000):
        deep = [deep]
    assert "nested more than" in mistakes(workflow(send(params={"buttons": deep})))[""]


def test_what_json_cannot_hold_is_refused() -> None:
    for value in float("nan"), float("inf"), "\ud800":
        assert "JSON" in mistakes(workflow(send(params={"chatId": value})))[""]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("{{ steps.a }}"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "trigger", "steps", "id", "action", "params", "type", "when"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_whatever_is_sent_is_checked_or_refused_in_words(raw: Json) -> None:
    try:
        accepted(raw)
    except InvalidWorkflow as error:
        refused = [(each.field, each.message) for each in error.errors]
        json.dumps(refused)
        return
    raise AssertionError("This cannot be a workflow: no action has a name that short")


# -- Schedules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 8 * * 1-5", "cron(0 8 ? * 2-6 *)"),
        ("0 8 * * MON-FRI", "cron(0 8 ? * 2-6 *)"),
        ("0 8 * * 0", "cron(0 8 ? * 1 *)"),
        ("0 8 * * 7", "cron(0 8 ? * 1 *)"),
        ("0 8 * * 5-7", "cron(0 8 ? * 1,6,7 *)"),
        ("0 8 * * 6,0", "cron(0 8 ? * 1,7 *)"),
        ("0 8 * * sun", "cron(0 8 ? * 1 *)"),
        ("0 8 * * *", "cron(0 8 * * ? *)"),
        ("0 8 * * 0-6", "cron(0 8 * * ? *)"),
        ("* * * * *", "cron(* * * * ? *)"),
        ("*/15 * * * *", "cron(0,15,30,45 * * * ? *)"),
        ("5/20 * * * *", "cron(5,25,45 * * * ? *)"),
        ("0-10/5 9-17 1 jan,7 *", "cron(0,5,10 9-17 1 1,7 ? *)"),
        ("  0   0 29 2 * ", "cron(0 0 29 2 ? *)"),
        ("0 0 31 1-12 *", "cron(0 0 31 * ? *)"),
    ],
)
def test_a_cron_of_five_fields_becomes_one_of_six(cron: str, expected: str) -> None:
    assert from_cron(cron) == expected
    assert parse_schedule({"expression": expected}).expression == expected


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "hello",
        "@daily",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * FOO *",
        "-1 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/-1 * * * *",
        "1,,2 * * * *",
        "1.5 * * * *",
        "٣ * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
        "0 0 13 * 5",
        "9" * 5000 + " * * * *",
        "0 0 ? * 1",
        "0 0 L * *",
    ],
)
def test_nonsense_is_no_cron(cron: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_schedule({"cron": cron})
    assert [error.field for error in caught.value.errors] == ["cron"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 8 ? * MON-FRI *)", "cron(0 8 ? * MON-FRI *)"),
        ("cron(0 18 L * ? *)", "cron(0 18 L * ? *)"),
        ("cron(0/15 8 15W 1-6 ? 2026-2030)", "cron(0/15 8 15W 1-6 ? 2026-2030)"),
        ("cron(0  8 ? * 3#2 *)", "cron(0 8 ? * 3#2 *)"),
        ("cron(0 8 ? * 6L *)", "cron(0 8 ? * 6L *)"),
        ("rate(1 hours)", "rate(1 hour)"),
        ("rate(5 minute)", "rate(5 minutes)"),
        (" rate(2 days) ", "rate(2 days)"),
        ("at(2026-12-24T18:00:00)", "at(2026-12-24T18:00:00)"),
    ],
)
def test_eventbridge_expressions_pass(expression: str, expected: str) -> None:
    found = parse_schedule({"expression": expression, "timezone": "Europe/Berlin"})
    assert found == Schedule(expected, "Europe/Berlin")


@pytest.mark.parametrize(
    "expression",
    [
        "0 8 * * *",
        "cron(0 8 * * * *)",
        "cron(0 8 ? * ? *)",
        "cron(0 8 * * 1 *)",
        "cron(0 8 ? * 0 *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 ? * 3#6 *)",
        "cron(0 8 32W * ? *)",
        "cron(0 8 ? * 1 1969)",
        "cron(0 8 ? * 1)",
        "cron(0 8 ? * 1 *",
        "cron(0 9 31 2 ? *)",
        "cron(0 9 30W 2 ? *)",
        "cron(0 9 31 4,6 ? *)",
        "cron(0 9 29 2 ? 2027)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(5 seconds)",
        "rate(5)",
        "rate()",
        "at(2026-13-01T00:00:00)",
        "at(tomorrow)",
        "often(5 minutes)",
        "",
    ],
)
def test_nonsense_is_no_eventbridge_expression(expression: str) -> None:
    with pytest.raises(InvalidInput):
        parse_schedule({"expression": expression})


@pytest.mark.parametrize(
    "zone", ["", "Mars/Crater", "../../etc/passwd", "Europe", "/etc", "x\0", 5]
)
def test_a_time_zone_is_one_of_iana(zone: Json) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_schedule({"cron": "* * * * *", "timezone": zone})
    assert [error.field for error in caught.value.errors] == ["timezone"]


def test_a_schedule_is_either_a_cron_or_an_expression() -> None:
    for fields in {}, {"cron": "* * * * *", "expression": "rate(1 hour)"}:
        with pytest.raises(InvalidInput):
            parse_schedule(fields)


def test_a_workflow_tells_its_schedule() -> None:
    trigger = {"type": "schedule", "cron": "30 7 * * 1", "timezone": "Asia/Tokyo"}
    found = accepted(workflow(trigger=trigger)).schedule()
    assert found == Schedule("cron(30 7 ? * 2 *)", "Asia/Tokyo")
    assert accepted(workflow()).schedule() is None


# -- What can be known at saving is said at saving -------------------------------------------

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def mistakes_at_noon(raw: Json) -> dict[str, str]:
    try:
        check(raw, FakeCatalogue(), now=NOON)
    except InvalidWorkflow as invalid:
        return {each.field: each.message for each in invalid.errors}
    return {}


@pytest.mark.parametrize(
    ("moment", "zone", "past"),
    [
        ("2026-11-22T11:59:59", "UTC", True),
        ("2026-11-22T12:00:01", "UTC", False),
        ("2026-11-22T12:30:00", "Europe/Zurich", True),
        ("2020-01-01T00:00:00", "UTC", True),
    ],
)
def test_a_moment_that_is_over_is_refused(moment: str, zone: str, past: bool) -> None:  # noqa: FBT001
    trigger = {"type": "schedule", "expression": f"at({moment})", "timezone": zone}
    found = mistakes_at_noon(workflow(trigger=trigger))
    assert ("trigger.expression" in found) is past
    # It may be switched off, or saved again while it is off.
    assert mistakes_at_noon(workflow(trigger=trigger, enabled=False)) == {}


@pytest.mark.parametrize(
    ("cron", "past"),
    [
        ("0 9 * * ? 2020", True),
        ("0 9 21 11 ? 2026", True),
        ("0 9 22 11 ? 2026", False),  # later this day
        ("0 9 ? 11 1 2026", False),
        ("0 9 L 10 ? 2024-2026", True),
        ("0 9 15W 11 ? 2026", False),
        ("0 9 29 2 ? 2025-2027", True),  # 2028 has one, these have none
        ("0 9 * * ? *", False),
    ],
)
def test_a_schedule_whose_years_are_over_is_refused(cron: str, past: bool) -> None:  # noqa: FBT001
    trigger = {"type": "schedule", "expression": f"cron({cron})"}
    assert ("trigger.expression" in mistakes_at_noon(workflow(trigger=trigger))) is past


def test_a_time_that_clocks_skip_never_comes() -> None:
    skipped = {"expression": "at(2027-03-28T02:30:00)", "timezone": "Europe/Berlin"}
    with pytest.raises(InvalidInput) as caught:
        parse_schedule(skipped)
    (error,) = caught.value.errors
    assert (error.field, error.message) == (
        "expression",
        "names a time that clocks in Europe/Berlin skip",
    )
    assert parse_schedule(skipped | {"timezone": "UTC"})
    twice = {"expression": "at(2026-10-25T02:30:00)", "timezone": "Europe/Berlin"}
    assert parse_schedule(twice)  # once is enough


@pytest.mark.parametrize("zone", ["Factory", "right/UTC", "posixrules", "Europe/Zurick"])
def test_a_zone_of_no_place_is_refused(zone: str) -> None:
    found = mistakes_at_noon(
        workflow(trigger={"type": "schedule", "cron": "0 9 * * *", "timezone": zone})
    )
    assert "is not an IANA time zone" in found["trigger.timezone"]
    if zone == "Europe/Zurick":
        assert "'Europe/Zurich'" in found["trigger.timezone"]


def test_names_that_are_almost_right_are_told_what_may_be_meant() -> None:
    step = send(action="telegram.sendMesage", params={})
    typo = send("b", params={"chatid": 1, "text": "{{ steps.sned.output }}"})
    found = mistakes_at_noon(workflow(step, typo, trigger={"type": "telegram.mesage"}))
    assert "did you mean 'telegram.sendMessage'?" in found["steps[0].action"]
    assert "did you mean 'chatId'?" in found["steps[1].params.chatid"]
    assert "did you mean 'send'?" in found["steps[1].params.text"]
    assert "did you mean 'telegram.message'?" in found["trigger.type"]


def test_secrets_are_for_the_params_of_steps_alone() -> None:
    with_secret = send(params={"chatId": 1, "text": "{{ secrets.TOKEN }}"})
    assert mistakes_at_noon(workflow(with_secret)) == {}
    found = mistakes_at_noon(workflow(send(when="secrets.TOKEN")))
    assert "only there in the params" in found["steps[0].when"]
    found = mistakes_at_noon(workflow(send(params={"chatId": 1, "text": "{{ secrets }}"})))
    assert "secrets.NAME" in found["steps[0].params.text"]
