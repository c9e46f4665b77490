"""POST /api/executions/retry: let the failed executions that a filter finds go on."""

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import ID_PATTERN, Api, IdempotencyKey, Moment, Request
from integrations.errors import IdempotencyKeyReused
from integrations.services.answers.events import JobAnswer, job_answer

app = Api(refuses=(IdempotencyKeyReused,))


class ExecutionChoice(Request):
    """Which failed executions."""

    workflow_id: str | None = Field(None, pattern=ID_PATTERN)
    since: Moment | None = None
    until: Moment | None = None


class RetryRequest(Request):
    """What to retry."""

    filter: ExecutionChoice


@app.post("/api/executions/retry", summary="Retry executions", tags=["Executions"])
def retry_executions(request: RetryRequest, idempotency_key: IdempotencyKey = None) -> JobAnswer:
    """Each goes on from the step that stopped it, with its workflow as it is now."""
    chosen = request.filter
    job = wiring.replay_service().retry_all(
        app.tenant,
        chosen.workflow_id,
        chosen.since,
        chosen.until,
        idempotency_key=idempotency_key,
    )
    return job_answer(job)


handler = app.handler
