"""POST /api/workflows/check: every mistake in a definition; nothing is saved."""

from typing import Annotated, Any

from integrations.entry import wiring
from integrations.entry.http import Api, Body
from integrations.services.answers import CheckAnswer

app = Api(refuses=(400, 413, 422))


@app.post("/api/workflows/check", summary="Check a workflow", tags=["Workflows"])
def check_workflow(body: Annotated[dict[str, Any], Body()]) -> CheckAnswer:
    """What saving it would say, with each mistake's place; no provider is asked."""
    return wiring.checker().answer(app.tenant, body)


handler = app.handler
