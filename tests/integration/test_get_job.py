"""GET /api/jobs/{jobId}."""

from tests.backend import Backend
from tests.integration.logged import begin


def test_a_job_is_shown_to_its_tenant_alone(backend: Backend) -> None:
    begun = begin(backend)
    assert backend.call("GET", f"/api/jobs/{begun['jobId']}").json == begun
    for tenant, job_id in (("other", begun["jobId"]), ("acme", "job_unknown")):
        answer = backend.call("GET", f"/api/jobs/{job_id}", tenant=tenant)
        assert (answer.status, answer.code) == (404, "unknown_job")
