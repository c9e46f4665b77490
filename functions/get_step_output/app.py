"""GET /api/executions/{executionId}/steps/{stepId}/output: a step's output, whole."""

from typing import Annotated

from integrations.entry import wiring
from integrations.entry.http import ID_PATTERN, Api, ExecutionId, Limit, NextToken, Path
from integrations.errors import UnknownExecution, UnknownStep, ValueGone
from integrations.services.answers.executions import StepOutputAnswer, step_output_answer

app = Api(refuses=(UnknownExecution, UnknownStep, ValueGone))


@app.get(
    "/api/executions/<executionId>/steps/<stepId>/output",
    summary="Get a step's output",
    tags=["Executions"],
)
def get_step_output(
    execution_id: ExecutionId,
    step_id: Annotated[str, Path(alias="stepId", pattern=ID_PATTERN, description="The step's id.")],
    limit: Limit = 100,
    next_token: NextToken = None,
) -> StepOutputAnswer:
    """`output`, or the rounds of a `forEach` as `items`, or parts of a very long JSON as `text`."""
    found = wiring.execution_service().step_output(
        app.tenant, execution_id, step_id, limit, next_token
    )
    return step_output_answer(found)


handler = app.handler
