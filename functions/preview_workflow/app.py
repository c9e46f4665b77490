"""POST /api/workflows/preview: what each step would send; nothing leaves."""

from typing import Annotated, Any

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import ID_PATTERN, Api, Body, Request
from integrations.errors import (
    InvalidWorkflow,
    UnknownEvent,
    UnknownExecution,
    UnknownWorkflow,
    ValueGone,
)
from integrations.services.answers.checks import PreviewAnswer
from integrations.services.preview import Sample

app = Api(refuses=(InvalidWorkflow, UnknownWorkflow, UnknownEvent, UnknownExecution, ValueGone))


class PreviewRequest(Request):
    """A definition or a stored workflow, for an event or for the trigger's example."""

    definition: dict[str, Any] | None = None
    workflow_id: str | None = Field(None, pattern=ID_PATTERN)
    event: dict[str, Any] | None = None
    event_id: str | None = Field(None, pattern=ID_PATTERN)
    execution_id: str | None = Field(None, pattern=ID_PATTERN)


@app.post("/api/workflows/preview", summary="Preview a workflow", tags=["Workflows"])
def preview_workflow(body: Annotated[PreviewRequest, Body()]) -> PreviewAnswer:
    """Conditions, rounds and parameters for an event; earlier steps' outputs are examples.

    `executionId` takes the outputs of a real execution in their place.
    """
    return wiring.previewer().preview(app.tenant, Sample(**dict(body)))


handler = app.handler
