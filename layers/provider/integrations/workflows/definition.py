"""A workflow's definition, checked whole when it is saved: every mistake at once, with its place.

Only where a definition is saved is this imported; what runs executions takes the stored JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from integrations import mistakes
from integrations.errors import ExpressionError, FieldError, InvalidInput, InvalidWorkflow, unique
from integrations.models import DEFAULT_CONNECTION, Json
from integrations.strict_model import Label
from integrations.workflows import expressions
from integrations.workflows.records import (
    DEFAULT_ATTEMPTS,
    DEFAULT_BACKOFF_SECONDS,
    DEFAULT_MAX_BACKOFF_SECONDS,
    MAX_ROUNDS,
    MAX_STEPS,
    WorkflowDefinition,
)
from integrations.workflows.schedules import Schedule, parse_schedule

MAX_DEFINITION_BYTES: Final = 256 * 1024
MAX_TRIGGER_BYTES: Final = 48 * 1024
"""A row has the trigger three times, and each event that comes to it reads two of them."""

MAX_DEPTH: Final = 40
MAX_ERRORS: Final = 100

_STEP_FIELDS: Final = frozenset({"output", "status", "error"})
_CONTEXT: Final = frozenset({"trigger", "steps", "execution", "workflow"})
_TRIGGER_CONTEXT: Final = frozenset({"trigger"})
_ROUND_CONTEXT: Final = frozenset({"item", "index"})
_OF_EVERY_TRIGGER: Final = frozenset({"type", "filter", "oncePer"})
BUILT_IN_TRIGGERS: Final[Mapping[str, frozenset[str]]] = {
    "webhook": frozenset({"webhookId"}),
    "schedule": frozenset({"cron", "expression", "timezone"}),
    "manual": frozenset(),
}


# -- What the check needs to know of the providers -------------------------------------------


class ActionSpec(Protocol):
    """What the check needs to know of an action."""

    @property
    def names(self) -> Mapping[str, str]:
        """Every accepted name of a parameter → its proper one (``chat_id`` → ``chatId``)."""
        ...

    @property
    def required(self) -> frozenset[str]:
        """The proper names of the parameters that must be there."""
        ...

    def validate(self, params: Mapping[str, Json], *, whole: bool) -> list[FieldError]:
        """What is wrong with literal parameters; ``field`` is the path below ``params``.

        Args:
            params: The parameters without a template.
            whole: Whether there are no others: else nothing is said of how they go together, for
                one that is a template may make that right.
        """
        ...


class TriggerSpec(Protocol):
    """What the check needs to know of a provider's trigger."""

    def validate_filters(self, filters: Mapping[str, Json]) -> list[FieldError]:
        """What is wrong with the trigger's own fields; ``field`` is the path below ``trigger``."""
        ...


class Catalogue(Protocol):
    """The actions and triggers that there are."""

    def action_names(self) -> Iterable[str]:
        """Every ``provider.action``, for who mistypes one."""
        ...

    def trigger_types(self) -> Iterable[str]:
        """Every provider's trigger type, for who mistypes one."""
        ...

    def action(self, name: str) -> ActionSpec | None:
        """The action ``provider.action``; ``None`` where there is none."""
        ...

    def trigger(self, type_: str) -> TriggerSpec | None:
        """The provider's trigger of this type; ``None`` where there is none."""
        ...


# -- The shape -------------------------------------------------------------------------------


def _text_or_boolean(value: object) -> object:
    if isinstance(value, str | bool):
        return value
    raise ValueError("needs to be an expression")


def _text_or_list(value: object) -> object:
    if isinstance(value, str | list):
        return value
    raise ValueError("needs to be an expression or a list")


type ConnectionName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", title="connection")
]
type Condition = Annotated[
    Any,
    BeforeValidator(_text_or_boolean),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "boolean"}]}),
]
type Items = Annotated[
    Any,
    BeforeValidator(_text_or_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]}),
]


class _Shape(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
    )


class Retry(_Shape):
    """How often and how patiently a step is tried."""

    max_attempts: Annotated[int, Field(alias="maxAttempts", ge=1, le=20)] = DEFAULT_ATTEMPTS
    on_unknown_outcome: Annotated[Literal["fail", "repeat"], Field(alias="onUnknownOutcome")] = (
        "fail"
    )
    backoff_seconds: Annotated[float, Field(alias="backoffSeconds", ge=0.1, le=3600)] = (
        DEFAULT_BACKOFF_SECONDS
    )
    max_backoff_seconds: Annotated[float, Field(alias="maxBackoffSeconds", ge=1, le=3600)] = (
        DEFAULT_MAX_BACKOFF_SECONDS
    )


class Step(_Shape):
    """One step: an action with its parameters, and the conditions that it runs under."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
    action: Annotated[str, Field(max_length=100)]
    connection: ConnectionName = DEFAULT_CONNECTION
    params: dict[str, Any] = Field(default_factory=dict)
    when: Condition = True
    for_each: Annotated[Items, Field(alias="forEach")] = None
    retry: Retry = Retry()
    on_error: Annotated[Literal["stop", "continue"], Field(alias="onError")] = "stop"


class Trigger(_Shape):
    """What starts the workflow; the fields of its type are in ``filters``."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(max_length=100)]
    connection: ConnectionName = DEFAULT_CONNECTION
    webhook_id: Annotated[
        str | None, Field(alias="webhookId", pattern=r"^[A-Za-z0-9._~-]{1,128}$")
    ] = None
    filter: Condition = True
    once_per: Annotated[str | None, Field(alias="oncePer")] = None

    @property
    def filters(self) -> dict[str, Json]:
        """The fields that only this type of trigger has."""
        return dict(self.model_extra or {})


class Workflow(_Shape):
    """A workflow that checks."""

    name: Label
    enabled: bool = True
    trigger: Trigger
    steps: Annotated[list[Step], Field(min_length=1, max_length=MAX_STEPS)]

    def stored(self) -> WorkflowDefinition:
        """The definition as it was sent, ``enabled`` filled in: what is stored, shown and run."""
        data = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        data["enabled"] = self.enabled
        return cast("WorkflowDefinition", data)

    def schedule(self) -> Schedule | None:
        """When it fires; ``None`` for every trigger but ``schedule``."""
        return parse_schedule(self.trigger.filters) if self.trigger.type == "schedule" else None


# -- The check -------------------------------------------------------------------------------


def check(raw: Json, catalogue: Catalogue, *, now: datetime | None = None) -> Workflow:
    """Check a definition whole.

    Args:
        raw: What was sent.
        catalogue: The actions and triggers that there are.
        now: The present moment; an enabled workflow cannot be scheduled for one before it.

    Returns:
        The workflow; ``stored()`` is what to keep of it.

    Raises:
        InvalidWorkflow: With the place of every mistake, e.g. ``steps[2].params.chatId``.
    """
    raw = bounded(raw)
    # `null` means the same as leaving a field out.
    raw = {**raw, **_without_nulls(raw)}
    errors: list[FieldError] = []
    workflow = None
    try:
        workflow = Workflow.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        errors.extend(mistakes.field_errors(found, raw, known=Workflow.model_fields))
    # The rest looks at what was sent, so that a wrong name does not hide a wrong parameter.
    errors.extend(_trigger_errors(raw.get("trigger"), catalogue))
    if now is not None and raw.get("enabled", True) is not False:
        errors.extend(_past_errors(raw.get("trigger"), now))
    errors.extend(_steps_errors(raw.get("steps"), catalogue))
    if errors or workflow is None:
        raise refusal_of(errors)
    return workflow


def bounded(raw: Json) -> dict[str, Json]:
    """A definition that is small enough to be looked through for mistakes.

    Raises:
        InvalidWorkflow: It is no object, or too large or nested too deeply for one.
    """
    if not isinstance(raw, dict):
        raise refusal_of([FieldError("", "needs to be an object")])
    _check_depth(raw)
    _check_size(raw)
    return raw


def refusal_of(errors: Sequence[FieldError]) -> InvalidWorkflow:
    """What a workflow with these mistakes is refused with: how many they are, and the first."""
    found = unique(errors)
    mistakes = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    return InvalidWorkflow(f"The workflow has {mistakes}", found[:MAX_ERRORS])


def _check_depth(raw: Json) -> None:
    """Before anything walks through it by recursion."""
    level: list[Json] = [raw]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else cast("list[Json]", each))
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise refusal_of([FieldError("", f"is nested more than {MAX_DEPTH} levels deep")])


def _check_size(raw: dict[str, Json]) -> None:
    whole = ("", raw, MAX_DEFINITION_BYTES)
    for place, value, most in whole, ("trigger", raw.get("trigger"), MAX_TRIGGER_BYTES):
        try:
            size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
        except ValueError:  # NaN, Infinity, half a surrogate pair
            message = "holds a number or a text that JSON cannot hold"
            raise refusal_of([FieldError("", message)]) from None
        if size > most:
            message = f"has {size} bytes; at most {most} are allowed"
            raise refusal_of([FieldError(place, message)])


def _without_nulls(raw: dict[str, Json]) -> dict[str, Json]:
    def present(each: Json) -> Json:
        if not isinstance(each, dict):
            return each
        return {name: value for name, value in each.items() if value is not None}

    cleaned = {}
    if "trigger" in raw:
        cleaned["trigger"] = present(raw["trigger"])
    steps = raw.get("steps")
    if isinstance(steps, list):
        cleaned["steps"] = [present(step) for step in steps]
    return cleaned


def _trigger_errors(trigger: Json, catalogue: Catalogue) -> Iterator[FieldError]:
    if not isinstance(trigger, dict):
        return
    type_ = trigger.get("type")
    if isinstance(type_, str):
        yield from _type_errors(type_, trigger, catalogue)
    for name in ("filter", "oncePer"):
        source = trigger.get(name)
        if isinstance(source, str):
            yield from _expression_errors(source, f"trigger.{name}", _TRIGGER_CONTEXT)


def _past_errors(trigger: Json, now: datetime) -> Iterator[FieldError]:
    """A moment that is over never comes: a workflow that waits for it would wait for ever."""
    if not isinstance(trigger, dict) or trigger.get("type") != "schedule":
        return
    try:
        last = parse_schedule(trigger).last()
    except InvalidInput:
        return
    if last is not None and last <= now:
        yield FieldError("trigger.expression", f"lies in the past; it is {now:%Y-%m-%dT%H:%M:%SZ}")


def _type_errors(
    type_: str, trigger: dict[str, Json], catalogue: Catalogue
) -> Iterator[FieldError]:
    own = {name: value for name, value in trigger.items() if name not in _OF_EVERY_TRIGGER}
    known = BUILT_IN_TRIGGERS.get(type_)
    spec = catalogue.trigger(type_)
    if known is not None:
        yield from _built_in_errors(type_, own, known, spec)
        return
    if spec is None:
        message = f"there is no trigger {type_[:100]!r}"
        types = [*catalogue.trigger_types(), *BUILT_IN_TRIGGERS]
        yield mistakes.unknown("trigger.type", message, type_, types)
        return
    if "webhookId" in own:
        yield FieldError("trigger.webhookId", "is for the trigger 'webhook'; use 'connection'")
    filters = {k: v for k, v in own.items() if k not in {"connection", "webhookId"}}
    yield from _filter_errors(filters, spec)


def _built_in_errors(
    type_: str, own: dict[str, Json], known: frozenset[str], spec: TriggerSpec | None
) -> Iterator[FieldError]:
    if type_ == "webhook" and "webhookId" not in own:
        yield FieldError("trigger.webhookId", "is required", "required")
    if type_ == "schedule":
        try:
            parse_schedule(own)
        except InvalidInput as error:
            for each in error.errors:
                yield FieldError(f"trigger.{each.field}", each.message)
    others = {name: value for name, value in own.items() if name not in known}
    if spec:  # a webhook's deliveries come by a provider, which has filters of its own
        filters = {name: value for name, value in others.items() if name != "connection"}
        others = {name: value for name, value in others.items() if name == "connection"}
        yield from _filter_errors(filters, spec)
    for name in sorted(others):
        yield FieldError(f"trigger.{name[:100]}", f"is not a field of the trigger {type_!r}")


def _filter_errors(filters: dict[str, Json], spec: TriggerSpec) -> Iterator[FieldError]:
    for each in spec.validate_filters(filters):
        yield FieldError(f"trigger.{each.field}".rstrip("."), each.message)


def _steps_errors(steps: Json, catalogue: Catalogue) -> Iterator[FieldError]:
    if not isinstance(steps, list):
        return
    ids = [step.get("id") if isinstance(step, dict) else None for step in steps]
    known = {each for each in ids if isinstance(each, str)}
    earlier: set[str] = set()
    for index, step in enumerate(steps[:MAX_STEPS]):
        if not isinstance(step, dict):
            continue
        place, id_ = f"steps[{index}]", ids[index]
        if isinstance(id_, str) and id_ in earlier:
            yield FieldError(f"{place}.id", f"is taken by an earlier step: {id_[:100]!r}")
        yield from _StepCheck(place, earlier, known).errors(step, catalogue)
        if isinstance(id_, str):
            earlier.add(id_)


class _StepCheck:
    """The check of one step, which knows its place and the steps before and after it."""

    def __init__(self, place: str, earlier: set[str], all_ids: set[str]) -> None:
        self.place = place
        self.earlier = earlier
        self.all_ids = all_ids

    def errors(self, step: dict[str, Json], catalogue: Catalogue) -> Iterator[FieldError]:
        names = _CONTEXT
        when, for_each = step.get("when"), step.get("forEach")
        if isinstance(when, str):
            yield from self._source_errors(when, f"{self.place}.when", names, bare=True)
        if isinstance(for_each, str):
            yield from self._source_errors(for_each, f"{self.place}.forEach", names, bare=True)
        if isinstance(for_each, list):
            if len(for_each) > MAX_ROUNDS:
                message = f"has {len(for_each)} items; at most {MAX_ROUNDS} are allowed"
                yield FieldError(f"{self.place}.forEach", message)
            yield from self._value_errors(for_each, f"{self.place}.forEach", names)
        if for_each is not None:
            names |= _ROUND_CONTEXT
        params = step.get("params", {})
        if isinstance(params, dict):
            yield from self._value_errors(params, f"{self.place}.params", names | {"secrets"})
            yield from self._action_errors(step.get("action"), params, catalogue)

    def _action_errors(
        self, action: Json, params: dict[str, Json], catalogue: Catalogue
    ) -> Iterator[FieldError]:
        if not isinstance(action, str):
            return
        spec = catalogue.action(action)
        if spec is None:
            message = f"there is no action {action[:100]!r}"
            names = catalogue.action_names()
            yield mistakes.unknown(f"{self.place}.action", message, action, names)
            return
        proper = {name: spec.names[name] for name in params if name in spec.names}
        for name in sorted(params.keys() - proper.keys()):
            message = f"is not a parameter of {action}"
            place = f"{self.place}.params.{name[:100]}"
            yield mistakes.unknown(place, message, name, set(spec.names.values()))
        first: dict[str, str] = {}
        for name, own in proper.items():
            if first.setdefault(own, name) != name:
                message = f"is the same parameter as {first[own]!r}"
                yield FieldError(f"{self.place}.params.{name}", message)
        missing = spec.required - set(proper.values())
        for name in sorted(missing):
            yield FieldError(f"{self.place}.params.{name}", "is required", "required")
        literal = {name: params[name] for name in first.values() if not _has_template(params[name])}
        settled = {proper[name] for name in literal}
        complete = not missing and len(literal) == len(params)
        for each in spec.validate(literal, whole=complete):
            top = each.field.split(".", 1)[0].split("[", 1)[0]
            if complete or spec.names.get(top, top) in settled:
                field = f"{self.place}.params.{each.field}".rstrip(".")
                yield FieldError(field, each.message)

    def _value_errors(self, value: Json, place: str, names: frozenset[str]) -> Iterator[FieldError]:
        """The mistakes in the templates anywhere in a value."""
        if isinstance(value, dict):
            for key, each in value.items():
                yield from self._value_errors(each, f"{place}.{key[:100]}", names)
        elif isinstance(value, list):
            for index, each in enumerate(value):
                yield from self._value_errors(each, f"{place}[{index}]", names)
        elif isinstance(value, str) and expressions.is_template(value):
            yield from self._source_errors(value, place, names, bare=False)

    def _source_errors(
        self, source: str, place: str, names: frozenset[str], *, bare: bool
    ) -> Iterator[FieldError]:
        yield from _expression_errors(source, place, names, bare=bare)
        try:
            found = expressions.expression(source) if bare else expressions.template(source)
        except ExpressionError:
            return
        for step, wanted in sorted(found.steps, key=str):
            if step not in self.all_ids:
                yield mistakes.unknown(
                    place, f"there is no step {step[:100]!r}", step, self.all_ids
                )
            elif step not in self.earlier:
                yield FieldError(place, f"the step {step!r} does not run before this one")
            if wanted is not None and wanted not in _STEP_FIELDS:
                message = f"a step has output, status and error, but no {wanted[:100]!r}"
                yield FieldError(place, message)


def _expression_errors(
    source: str, place: str, names: frozenset[str], *, bare: bool = True
) -> Iterator[FieldError]:
    try:
        found = expressions.expression(source) if bare else expressions.template(source)
    except ExpressionError as error:
        yield FieldError(place, error.detail)
        return
    for name in sorted(found.names - names):
        if name == "secrets":
            message = "secrets are only there in the params of steps"
        elif name in _ROUND_CONTEXT:
            message = f"{name!r} is only there in the params of a step with 'forEach'"
        else:
            yield mistakes.unknown(place, f"there is no {name[:100]!r} here", name, names)
            continue
        yield FieldError(place, message)


def _has_template(value: Json) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(map(_has_template, value))
    return isinstance(value, str) and expressions.is_template(value)
