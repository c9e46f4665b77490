"""POST /api/workflows/check: every mistake in a definition; nothing is saved."""

from integrations.entry import wiring
from integrations.entry.http import Api, Definition
from integrations.services.answers.checks import CheckAnswer

app = Api()


@app.post("/api/workflows/check", summary="Check a workflow", tags=["Workflows"])
def check_workflow(body: Definition) -> CheckAnswer:
    """What saving it would say, with each mistake's place; no provider is asked."""
    return wiring.checker().answer(app.tenant, body)


handler = app.handler
