"""GET /api/jobs/{jobId}: how far a job is."""

from integrations.entry import wiring
from integrations.entry.http import Api, JobId
from integrations.errors import UnknownJob
from integrations.services.answers.events import JobAnswer, job_answer

app = Api(refuses=(UnknownJob,))


@app.get("/api/jobs/<jobId>", summary="Get a job", tags=["Jobs"])
def get_job(job_id: JobId) -> JobAnswer:
    """Its state, and how many of its things are done."""
    return job_answer(wiring.job_service().get(app.tenant, job_id))


handler = app.handler
