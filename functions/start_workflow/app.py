"""POST /api/workflows/{workflowId}/run: run a workflow now, with a given input."""

from typing import Annotated, Any

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import Api, Body, IdempotencyKey, Request, WorkflowId
from integrations.errors import IdempotencyKeyReused, QuotaExceeded, UnknownWorkflow
from integrations.services.answers.executions import ExecutionAnswer, execution_answer

app = Api(refuses=(UnknownWorkflow, IdempotencyKeyReused, QuotaExceeded))


class RunRequest(Request):
    """What the workflow's templates see as `trigger`."""

    input: dict[str, Any] = Field(default_factory=dict)


@app.post("/api/workflows/<workflowId>/run", summary="Run a workflow", tags=["Workflows"])
def start_workflow(
    workflow_id: WorkflowId,
    body: Annotated[RunRequest | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> ExecutionAnswer:
    """The execution as it was queued; the same `Idempotency-Key` starts it once."""
    given = body.input if body else {}
    state = wiring.execution_service().start(
        app.tenant, workflow_id, given, idempotency_key=idempotency_key, hops=app.hops
    )
    return execution_answer(state)


handler = app.handler
