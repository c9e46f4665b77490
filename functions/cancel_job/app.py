"""POST /api/jobs/{jobId}/cancel: stop a job."""

from integrations.entry import wiring
from integrations.entry.http import Api, JobId
from integrations.errors import Conflict, UnknownJob
from integrations.services.answers.events import JobAnswer, job_answer

app = Api(refuses=(UnknownJob, Conflict))


@app.post("/api/jobs/<jobId>/cancel", summary="Cancel a job", tags=["Jobs"])
def cancel_job(job_id: JobId) -> JobAnswer:
    """It stops after the step that it is in; what it has done stays done."""
    return job_answer(wiring.job_service().cancel(app.tenant, job_id))


handler = app.handler
