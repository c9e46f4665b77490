"""GET /api/jobs: what runs in the background, newest first."""

from integrations.entry import wiring
from integrations.entry.http import Api, Limit, NextToken
from integrations.services.answers.events import JobPage, job_answer

app = Api()


@app.get("/api/jobs", summary="List jobs", tags=["Jobs"])
def list_jobs(limit: Limit = 50, next_token: NextToken = None) -> JobPage:
    """One page of jobs; `nextToken` is there while more follow."""
    found, token = wiring.job_service().page(app.tenant, limit, next_token)
    return JobPage(items=[job_answer(each) for each in found], next_token=token)


handler = app.handler
