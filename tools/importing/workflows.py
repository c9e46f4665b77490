"""Workflows of the old backend, as definitions of this one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from integrations.models import DEFAULT_CONNECTION
from tools.importing.credentials import provider_of
from tools.importing.shapes import (
    Fields,
    NotTaken,
    Record,
    moment,
    plain,
    records,
    rfc3339,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.importing.credentials import Form

SCHEDULES: Final = frozenset({"schedule", "scheduled", "cron", "timer", "interval", "time"})
BY_HAND: Final = frozenset({"manual", "api", "button", "hand"})
CALLED: Final = frozenset({"webhook", "http", "hook", "webhookreceived", "webhooktrigger"})
OFF: Final = frozenset({"disabled", "inactive", "paused", "draft", "off", "stopped", "archived"})
ON: Final = frozenset({"enabled", "active", "on", "published", "running", ""})
CONNECTION: Final = (
    *("connection", "connectionName", "credential", "credentialId", "credentials"),
    *("connectionId", "account"),
)
INNER: Final = ("config", "configuration", "filters", "params", "parameters", "settings", "options")
STEP_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One workflow.

    Attributes:
        place: Where it stands in the file.
        name: Its name, as people know it.
        definition: What this backend takes.
        tenant: Whose it is, where the file says so.
        refusal: Why it cannot be taken; ``""`` where it can be tried.
    """

    place: str
    name: str
    definition: dict[str, Any] = field(default_factory=dict)
    tenant: str = ""
    refusal: str = ""


type Connections = Callable[[str, str], str]
"""A provider's id and what a workflow calls its connection → the connection's name here."""


def workflows_in(document: Any, forms: Mapping[str, Form], connections: Connections) -> list[Flow]:
    """Everything in a workflows file: what can be tried, and what cannot with the reason."""
    try:
        found = list(records(document, "workflows", "flows", "automations"))
    except NotTaken as refusal:
        return [Flow(place="", name="", refusal=str(refusal))]
    return [_flow(each, forms, connections) for each in found]


def _flow(record: Record, forms: Mapping[str, Form], connections: Connections) -> Flow:
    if not isinstance(record.value, dict):
        return Flow(place=record.place, name="", refusal="is no object")
    fields = Fields(record.value)
    tenant = fields.take_text("tenant", "tenantId")
    old_id = fields.take_text("id", "_id", "workflowId")
    name = (fields.take_text("name", "title") or old_id or record.key)[:100]
    try:
        definition = {
            "name": name or "imported",
            "enabled": _enabled(fields),
            "trigger": _trigger(_only_trigger(fields), forms, connections),
            "steps": _steps(fields.take("steps", "actions", "nodes", "tasks"), forms, connections),
        }
        _check_nothing_left(fields, "workflow")
    except NotTaken as refusal:
        return Flow(place=record.place, name=name, tenant=tenant, refusal=str(refusal))
    return Flow(place=record.place, name=name, definition=definition, tenant=tenant)


def _names(left: Mapping[str, Any]) -> str:
    return ", ".join(sorted(name[:64] for name in left))


def _check_nothing_left(fields: Fields, what: str) -> None:
    """Refuse what would be lost silently: it may have meant something."""
    if left := fields.left:
        raise NotTaken(f"has {_names(left)}, which no {what} has here")


def _enabled(fields: Fields) -> bool:
    enabled = fields.take("enabled", "isEnabled", "active", "isActive")
    disabled = fields.take("disabled", "isDisabled", "paused", "archived")
    state = plain(fields.take_text("status", "state"))
    if state not in OFF | ON:
        raise NotTaken(f"has the status {state[:64]!r}, which says neither on nor off")
    return enabled is not False and disabled is not True and state not in OFF


def _only_trigger(fields: Fields) -> Any:
    trigger = fields.take("trigger", "triggers", "on", "when")
    if isinstance(trigger, list):
        if len(trigger) != 1:
            raise NotTaken(f"has {len(trigger)} triggers; a workflow has one here: divide it")
        (trigger,) = trigger
    if isinstance(trigger, str):
        return {"type": trigger}
    if not isinstance(trigger, dict):
        raise NotTaken("has no trigger")
    return trigger


def _trigger(
    given: Mapping[str, Any], forms: Mapping[str, Form], connections: Connections
) -> dict[str, Any]:
    fields = Fields(given)
    for name in INNER:
        inner = fields.take(name)
        if isinstance(inner, dict):
            fields = Fields({**inner, **fields.left})
    provider = provider_of(fields.take_text("provider", "providerId", "integration", "app"), forms)
    kind, event = fields.take_text("type", "kind"), fields.take_text("event", "eventType", "name")
    if plain(kind) in SCHEDULES:
        made = _schedule(fields)
    elif plain(kind) in BY_HAND:
        made = {"type": "manual"}
    elif plain(kind) in CALLED and (not provider or provider == "webhook") and not event:
        made = {"type": "webhook", "webhookId": _webhook_id(fields)}
    else:
        made = _of_provider(fields, kind, event, provider, forms, connections)
    _add_conditions(made, fields)
    if left := fields.left:
        raise NotTaken(f"its trigger has {_names(left)}, which {made['type']} has not here")
    return made


def _of_provider(
    fields: Fields,
    kind: str,
    event: str,
    provider: str,
    forms: Mapping[str, Form],
    connections: Connections,
) -> dict[str, Any]:
    made, filters = _provided(kind, event, provider, forms)
    if connection := fields.take_text(*CONNECTION):
        made["connection"] = connections(provider or made["type"].partition(".")[0], connection)
    for name in fields.left:
        if plain(name) in filters:
            made[filters[plain(name)]] = fields.take(name)
    return made


def _add_conditions(made: dict[str, Any], fields: Fields) -> None:
    for proper, names in (
        ("filter", ("filter", "condition", "when", "if")),
        ("oncePer", ("oncePer", "dedupeKey", "dedupe")),
    ):
        value = fields.take(*names)
        if isinstance(value, str | bool) and value not in ("", True):
            made[proper] = _expression(value, proper)
        elif value not in (None, "", True):
            raise NotTaken(f"its trigger's {proper} is no expression")


def _provided(
    kind: str, event: str, provider: str, forms: Mapping[str, Form]
) -> tuple[dict[str, Any], dict[str, str]]:
    """A provider's trigger, and what its own fields are called."""
    triggers = {plain(each["type"]): each for form in forms.values() for each in form["triggers"]}
    for candidate in (kind, event, f"{kind}{event}", f"{provider}{kind}", f"{provider}{event}"):
        found = triggers.get(plain(candidate))
        if found:
            filters = found["filters"]["properties"]
            return {"type": found["type"]}, {plain(name): name for name in filters}
    called = " ".join(each for each in (provider, kind, event) if each)
    raise NotTaken(f"no trigger here is called {called[:100]!r}")


def _schedule(fields: Fields) -> dict[str, Any]:
    zone = fields.take_text("timezone", "timeZone", "tz", "zone")
    made: dict[str, Any] = {"type": "schedule"}
    cron = fields.take("cron", "cronExpression", "expression", "schedule", "pattern", "rule")
    every = fields.take("every", "interval", "intervalMinutes", "minutes", "everyMinutes")
    at = fields.take("at", "runAt", "date", "time", "once")
    if isinstance(cron, str) and cron.strip():
        text = cron.strip()
        made["expression" if "(" in text else "cron"] = text
    elif every is not None and NUMBER.fullmatch(str(every)) and int(every) > 0:
        unit = "minute" if int(every) == 1 else "minutes"
        made["expression"] = f"rate({int(every)} {unit})"
    elif at is not None and (once := moment(at)):
        made["expression"] = f"at({rfc3339(once).removesuffix('Z')})"
        zone = "UTC"
    else:
        raise NotTaken("its schedule says no cron, every (minutes) or at (a time)")
    if zone:
        made["timezone"] = zone
    return made


def _webhook_id(fields: Fields) -> str:
    address = fields.take_text("webhookId", "webhook", "path", "url", "endpoint", "hook", "slug")
    webhook_id = urlsplit(address).path.rstrip("/").rpartition("/")[2]
    if not webhook_id:
        raise NotTaken("its trigger does not say which webhook")
    fields.take("method", "methods", "secret")
    return webhook_id


def _steps(given: Any, forms: Mapping[str, Form], connections: Connections) -> list[dict[str, Any]]:
    if isinstance(given, dict):
        given = [
            {"id": key, **each} if isinstance(each, dict) else each for key, each in given.items()
        ]
    if not isinstance(given, list) or not given:
        raise NotTaken("has no steps")
    renamed: dict[str, str] = {}
    steps = []
    for index, each in enumerate(given):
        if not isinstance(each, dict):
            raise NotTaken(f"steps[{index}] is no object")
        try:
            old, step = _step(index, each, forms, connections)
        except NotTaken as refusal:
            raise NotTaken(f"steps[{index}]: {refusal}") from None
        if old and old != step["id"]:
            renamed[old] = step["id"]
        steps.append(step)
    return [_with_new_names(step, renamed) for step in steps]


def _step(
    index: int, given: Mapping[str, Any], forms: Mapping[str, Form], connections: Connections
) -> tuple[str, dict[str, Any]]:
    """The id that a step had, and the step."""
    fields = Fields(given)
    old = fields.take_text("id", "key", "stepId")
    name = fields.take_text("name", "title", "label")
    provider = fields.take_text("provider", "providerId", "integration", "service", "app")
    action = fields.take_text("action", "actionId", "operation", "method", "type")
    fields.take("type", "kind")
    known, proper, params = _action(provider, action, forms)
    step: dict[str, Any] = {"id": _step_id(index, old or name), "action": f"{known}.{proper}"}
    connection = connections(known, fields.take_text(*CONNECTION))
    if connection != DEFAULT_CONNECTION:
        step["connection"] = connection
    parameters = fields.take("params", "parameters", "inputs", "input", "args", "arguments", *INNER)
    parameters = fields.take("data", "payload") if parameters is None else parameters
    if parameters is not None and not isinstance(parameters, dict):
        raise NotTaken("its parameters are no object")
    step["params"] = {
        params.get(plain(key), key): value for key, value in (parameters or {}).items()
    }
    if fields.take("enabled", "active") is False or fields.take("disabled", "skip") is True:
        step["when"] = False
        fields.take("when", "condition", "if", "runIf")
    elif (when := fields.take("when", "condition", "if", "runIf")) not in (None, "", True):
        step["when"] = _expression(when, "condition")
    if (items := fields.take("forEach", "each", "loop", "foreachItem", "iterate")) not in (
        None,
        "",
    ):
        step["forEach"] = items if isinstance(items, list) else _expression(items, "loop")
    if retry := _retry(fields):
        step["retry"] = retry
    if _goes_on(fields):
        step["onError"] = "continue"
    _check_nothing_left(fields, "step")
    return old or name, step


def _action(
    provider: str, action: str, forms: Mapping[str, Form]
) -> tuple[str, str, dict[str, str]]:
    """The provider, its action, and what the action's parameters are called."""
    known = provider_of(provider, forms)
    first, _, rest = re.sub(r"[:/]", ".", action).partition(".")
    if not known and rest:
        known, action = provider_of(first, forms), rest
    elif rest and provider_of(first, forms) == known:
        action = rest
    if not known:
        raise NotTaken(f"no provider here is called {(provider or first)[:64]!r}")
    actions = {plain(each["name"]): each for each in forms[known]["actions"]}
    found = actions.get(plain(action))
    if found is None:
        near = [each for key, each in actions.items() if action and key.startswith(plain(action))]
        if len(near) != 1:
            raise NotTaken(f"{known} has no action {action[:64]!r} here")
        (found,) = near
    names = found["params"]["properties"]
    return known, found["name"], {plain(name): name for name in names}


def _step_id(index: int, name: str) -> str:
    step_id = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:64]
    if STEP_ID.fullmatch(step_id):
        return step_id
    return f"step_{step_id or index + 1}"[:64]


def _expression(value: Any, what: str) -> Any:
    if isinstance(value, str):
        bare = re.fullmatch(r"\s*\{\{(.*)\}\}\s*", value, re.DOTALL)
        return bare[1].strip() if bare and "{{" not in bare[1] else value
    if isinstance(value, bool):
        return value
    raise NotTaken(f"its {what} is no expression")


def _retry(fields: Fields) -> dict[str, Any]:
    policy = fields.take("retry", "retryPolicy")
    repeats = fields.take("retries", "maxRetries")
    retry: dict[str, Any] = {}
    if isinstance(policy, dict):
        inner = Fields(policy)
        repeats = inner.take("retries", "maxRetries") if repeats is None else repeats
        if (attempts := inner.take("maxAttempts", "attempts", "max", "count", "times")) is not None:
            retry["maxAttempts"] = attempts
        if (seconds := inner.take("backoffSeconds", "delaySeconds")) is not None:
            retry["backoffSeconds"] = seconds
        elif isinstance(ms := inner.take("backoffMs", "delayMs", "delay", "backoff"), int):
            retry["backoffSeconds"] = max(ms / 1000, 0.1)
        if left := inner.left:
            raise NotTaken(f"retry has {_names(left)}, which it has not here")
    elif isinstance(policy, int) and not isinstance(policy, bool):
        repeats = policy
    if isinstance(repeats, int) and not isinstance(repeats, bool) and "maxAttempts" not in retry:
        retry["maxAttempts"] = repeats + 1
    return retry


def _goes_on(fields: Fields) -> bool:
    policy = fields.take("onError", "onFailure", "errorHandling")
    goes_on = fields.take("continueOnError", "continueOnFail", "ignoreErrors")
    if policy is None:
        return goes_on is True
    if plain(str(policy)) in {"continue", "ignore", "skip", "next"}:
        return True
    if plain(str(policy)) in {"stop", "fail", "abort", "halt"}:
        return False
    raise NotTaken(f"has onError {str(policy)[:64]!r}; here it is stop or continue")


def _with_new_names(value: Any, renamed: Mapping[str, str]) -> Any:
    """A step with the new names of the steps that its templates name."""
    if isinstance(value, dict):
        return {key: _with_new_names(each, renamed) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_new_names(each, renamed) for each in value]
    if isinstance(value, str):
        for old, new in renamed.items():
            value = re.sub(rf"\bsteps\.{re.escape(old)}(?![\w-])", f"steps.{new}", value)
            value = re.sub(rf"\bsteps\[(['\"]){re.escape(old)}\1\]", f"steps.{new}", value)
    return value
