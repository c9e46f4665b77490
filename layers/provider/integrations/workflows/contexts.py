"""What the expressions of a step may see; what is large of it is fetched when it may be touched."""

from collections.abc import Sequence
from typing import Final, cast

from integrations.models import Json
from integrations.workflows import evaluation
from integrations.workflows.outcomes import Values
from integrations.workflows.records import Execution, StepDefinition, StepRun, StoredValue
from integrations.workflows.references import telling_texts, touched_steps, touches_trigger

MAX_LOADED: Final = 16 * 1024 * 1024
"""How many bytes of stored values, as JSON, stay in memory between two steps."""


class Contexts:
    """What each step of one execution may see when its turn comes.

    Args:
        execution: Its state, which changes as it goes on.
        plan: The steps in their order, each with its index in the execution.
        values: Where large values are.
    """

    def __init__(
        self, execution: Execution, plan: Sequence[tuple[int, StepDefinition]], values: Values
    ) -> None:
        self._execution = execution
        self._values = values
        self._indices = {step["id"]: index for index, step in plan}
        self._places = {step["id"]: place for place, (_, step) in enumerate(plan)}
        self._sources: dict[str, list[Json]] = {}
        self._latest: tuple[str, dict[str, Json]] = ("", {})
        self._loaded: dict[str, Json] = {}
        self._loaded_bytes = 0

    def of(self, step: StepDefinition) -> dict[str, Json]:
        """What the expressions of a step may see: of the earlier steps those that it names.

        Nothing of it changes while the step goes on, and each of twenty thousand rounds asks.

        Raises:
            ValueGone: Something of it is no longer stored.
        """
        step_id, context = self._latest
        if step_id != step["id"]:
            context = self._looked_up(step)
            self._latest = (step["id"], context)
        return context

    def sources(self, step: StepDefinition) -> list[Json]:
        """The texts of a step that tell what it may see."""
        found = self._sources.get(step["id"])
        if found is None:
            found = self._sources[step["id"]] = telling_texts(evaluation.sources(step))
        return found

    def _looked_up(self, step: StepDefinition) -> dict[str, Json]:
        execution = self._execution
        sources = self.sources(step)
        steps: dict[str, Json] = {}
        for name in touched_steps(sources, list(self._indices)[: self._places[step["id"]]]):
            run = execution["steps"][self._indices[name]]
            error = cast("Json", run["error"])
            steps[name] = {"status": run["status"], "output": self._whole(run), "error": error}
        trigger = execution["trigger"]
        data = trigger["data"]
        if trigger["stored"] and touches_trigger(sources):
            data = self._load(trigger["stored"])
        return {
            "trigger": data,
            "steps": steps,
            "execution": {"id": execution["executionId"], "startedAt": execution["startedAt"]},
            "workflow": {"id": execution["workflowId"], "name": execution["workflowName"]},
        }

    def _whole(self, run: StepRun) -> Json:
        """What a step gave, with what is stored apart."""
        if not run["stored"]:
            return run["output"]
        if run["rounds"] is None:
            return self._load(run["stored"][""])
        results = list(cast("list[Json]", run["output"]))
        for index, stored in run["stored"].items():
            results[int(index)] = self._load(stored)
        return results

    def _load(self, stored: StoredValue) -> Json:
        key = stored["key"]
        if key not in self._loaded:
            if self._loaded_bytes + stored["bytes"] > MAX_LOADED:
                self._loaded.clear()
                self._loaded_bytes = 0
            self._loaded[key] = self._values.get(key)
            self._loaded_bytes += stored["bytes"]
        return self._loaded[key]
