"""What a workflow would send for an event. Nothing leaves: there is no way out in here.

No vault, no provider's ``run`` and no HTTP client are in its reach, the role of its function has no
key to a credential, and while it works the guard of the way out refuses every connection.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, cast

from integrations.errors import (
    ExpressionError,
    FieldError,
    IntegrationError,
    InvalidInput,
    InvalidParams,
)
from integrations.models import Json, now
from integrations.outbound import egress
from integrations.providers import registry
from integrations.services.answers.checks import PreviewAnswer
from integrations.services.checking import ProviderCatalogue, without_ours
from integrations.services.events import EventLog, events_of
from integrations.services.execution_values import ExecutionValues, logged_event
from integrations.services.files import LARGE_BASE64, NamedFiles
from integrations.services.forms import params_of, with_lists
from integrations.services.triggers import passes, providers_of, trigger_of
from integrations.storage.executions import Executions, StoredExecution
from integrations.storage.files import Files
from integrations.storage.objects import Objects
from integrations.storage.workflows import Workflows
from integrations.workflows import evaluation, expressions, lifecycle
from integrations.workflows.definition import check
from integrations.workflows.preview import Outcome, StepPreview, preview, sample_names
from integrations.workflows.records import (
    DONE,
    Execution,
    StepDefinition,
    StepRun,
    WorkflowDefinition,
)
from integrations.workflows.references import touched_steps


class Sample(NamedTuple):
    """What a preview is made for.

    Attributes:
        definition: The workflow, or
        workflow_id: a stored one.
        event: An event's data as ``{"data": …}``, or
        event_id: one of the event log; without either, the execution's, or the trigger's example.
        execution_id: An execution whose steps' outputs stand for those of this workflow's.
    """

    definition: dict[str, Any] | None = None
    workflow_id: str | None = None
    event: dict[str, Any] | None = None
    event_id: str | None = None
    execution_id: str | None = None


class Previewer:
    """Makes previews.

    Args:
        workflows, executions, objects, files: Where they are stored.
        event_log: What was received, made on first use.
        clock: The present moment.
    """

    def __init__(
        self,
        workflows: Workflows,
        executions: Executions,
        objects: Objects,
        files: Files,
        event_log: Callable[[], EventLog],
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._workflows = workflows
        self._executions = executions
        self._objects = objects
        self._files = files
        self._event_log = event_log
        self._clock = clock

    def preview(self, tenant: str, sample: Sample) -> PreviewAnswer:
        """What each step of a workflow would send.

        Raises:
            InvalidInput: Both or neither of definition and workflow, or of event and event's id.
            InvalidWorkflow: With the place of every mistake that needs no connection to be known.
            UnknownWorkflow, UnknownEvent, UnknownExecution: There is none with this id.
            ValueGone: What the execution had is no longer stored.
        """
        with egress.closed():
            return self._preview(tenant, sample)

    def _preview(self, tenant: str, sample: Sample) -> PreviewAnswer:
        workflow = self._workflow(tenant, sample)
        ran = self._executions.get(tenant, sample.execution_id) if sample.execution_id else None
        trigger = cast("dict[str, Any]", workflow["trigger"])
        data = self._data(tenant, sample, trigger, ran)
        matches, filter_result, reason = self._matches(workflow, data)
        moment = self._clock()
        names = sample_names(
            sample.execution_id or f"exe_{secrets.token_hex(16)}",
            sample.workflow_id or f"wf_{secrets.token_hex(10)}",
            workflow["name"],
            moment,
        )
        files = NamedFiles(self._files, tenant)
        steps = preview(
            with_lists(workflow),
            files.stored(data, over=LARGE_BASE64),
            outcomes=self._outcomes(tenant, ran, workflow) if ran else {},
            example=lambda action: files.stored(example_of(action)),
            validate=partial(_refused, files),
            names=names,
            moment=moment,
        )
        return PreviewAnswer.model_validate(
            {
                "matches": matches,
                "filter_result": filter_result,
                "reason": reason,
                "steps": [_shown(each) for each in steps],
            }
        )

    def _workflow(self, tenant: str, sample: Sample) -> WorkflowDefinition:
        if (sample.definition is None) == (sample.workflow_id is None):
            raise _either("definition", "workflowId")
        if sample.workflow_id is not None:
            stored = self._workflows.get(tenant, sample.workflow_id)
            return cast("WorkflowDefinition", stored.definition)
        given = without_ours(cast("Json", sample.definition))
        checked = check(given, ProviderCatalogue(), now=self._clock())
        return checked.stored()

    def _data(
        self,
        tenant: str,
        sample: Sample,
        trigger: Mapping[str, Any],
        ran: StoredExecution | None,
    ) -> Json:
        """What the templates see as ``trigger``."""
        if sample.event is not None and sample.event_id is not None:
            raise _either("event", "eventId")
        if sample.event is not None:
            if sample.event.keys() != {"data"}:
                raise InvalidInput("An event has data", [FieldError("event.data", "is required")])
            return cast("Json", sample.event["data"])
        if sample.event_id is not None:
            return self._logged(tenant, sample.event_id, str(trigger["type"]))
        if ran is not None:
            return self._trigger_of(tenant, ran)
        return _example_event(str(trigger["type"]))

    def _logged(self, tenant: str, event_id: str, wanted: str) -> Json:
        found = events_of(self._event_log().get(tenant, event_id))
        if not found:
            detail = "Nothing in this delivery could start a workflow"
            raise InvalidInput(detail, [FieldError("eventId", detail)])
        return cast("Json", next((e for e in found if e.type == wanted), found[0]).data)

    def _trigger_of(self, tenant: str, ran: StoredExecution) -> Json:
        trigger = cast("Execution", ran.state)["trigger"]
        if trigger["stored"] is None:
            return trigger["data"]
        logged = logged_event(trigger["stored"]["key"])
        if logged is None:
            return self._values(tenant, ran).get(trigger["stored"]["key"])
        return cast("Json", self._event_log().event(tenant, *logged).data)

    def _values(self, tenant: str, ran: StoredExecution) -> ExecutionValues:
        files = NamedFiles(self._files, tenant)
        return ExecutionValues(self._executions, self._objects, files, None, ran)

    def _outcomes(
        self, tenant: str, ran: StoredExecution, workflow: WorkflowDefinition
    ) -> dict[str, Outcome]:
        """How the execution's steps ended; whole is what the workflow may look at."""
        values = self._values(tenant, ran)
        runs = {run["id"]: run for run in cast("Execution", ran.state)["steps"]}
        sources: list[Json] = [evaluation.sources(step) for step in workflow["steps"]]
        touched = touched_steps(sources, list(runs))
        return {
            name: Outcome(
                run["status"],
                _whole(run, values) if name in touched else run["output"],
                cast("Json", run["error"]),
            )
            for name, run in runs.items()
            if run["status"] in DONE
        }

    def _matches(
        self, workflow: WorkflowDefinition, data: Json
    ) -> tuple[bool, bool | None, str | None]:
        """Whether the event starts the workflow, what its filter says, and why not."""
        trigger = workflow["trigger"]
        filter_result = None
        try:
            if "filter" in trigger:
                filter_result = lifecycle.passes_filter(trigger, data, clock=self._clock)
            lifecycle.once_key(trigger, data, clock=self._clock)
        except ExpressionError as error:
            return False, filter_result, error.detail
        if not _fits(cast("Mapping[str, Json]", trigger), data):
            return False, filter_result, "It does not fit the trigger's own fields"
        if filter_result is False:
            return False, filter_result, "The filter does not hold"
        return True, filter_result, None


def example_of(action: str) -> Json:
    """What an action (``provider.action``) gives, from its documentation; ``None`` without one."""
    provider_id, _, name = action.partition(".")
    return registry.get(provider_id).output_examples.get(name)


def _fits(trigger: Mapping[str, Json], data: Json) -> bool:
    if not providers_of(str(trigger["type"])):
        return True  # manual, schedule
    return isinstance(data, dict) and passes(trigger, None, data)


def _example_event(kind: str) -> Json:
    for provider_id in providers_of(kind):
        trigger = trigger_of(provider_id, kind)
        if trigger:
            return dict(trigger.example)
    return {"scheduledTime": "2026-11-22T12:00:00Z"} if kind == "schedule" else {}


def _refused(files: NamedFiles, step: StepDefinition, params: dict[str, Json]) -> list[FieldError]:
    """What the action refuses of evaluated parameters, but where a name stands for a secret."""
    provider_id, _, name = step["action"].partition(".")
    action = registry.get(provider_id).action(name)
    try:
        params_of(provider_id, action, files.fetched(params), rendered=True)
    except InvalidParams as invalid:
        given = step.get("params", {}).items()
        hidden = {f"params.{name}" for name, value in given if expressions.secret_names(value)}
        return [each for each in invalid.errors if _parameter_of(each) not in hidden]
    return []


def _parameter_of(mistake: FieldError) -> str:
    """``params.attachments`` of ``params.attachments[0].fileName``."""
    return ".".join(mistake.field.partition("[")[0].split(".")[:2])


def _whole(run: StepRun, values: ExecutionValues) -> Json:
    stored = run["stored"]
    if not stored:
        return run["output"]
    if run["rounds"] is None:
        return values.get(stored[""]["key"])
    results = list(cast("list[Json]", run["output"]))
    for index, each in stored.items():
        results[int(index)] = values.get(each["key"])
    return results


def _shown(step: StepPreview) -> dict[str, Any]:
    return {
        "id": step.id,
        "action": step.action,
        "connection": step.connection,
        "runs": step.runs,
        "reason": step.reason,
        "params": step.params,
        "rounds": None
        if step.rounds is None
        else [{"index": r.index, "item": r.item, "params": r.params} for r in step.rounds],
        "round_count": step.round_count,
        "errors": [{"field": each.field, "message": each.message} for each in step.errors],
    }


def _either(first: str, second: str) -> IntegrationError:
    detail = f"Give {first} or {second}, one of the two"
    return InvalidInput(detail, [FieldError(second, detail)])
