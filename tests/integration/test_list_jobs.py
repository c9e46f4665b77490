"""GET /api/jobs."""

from tests.backend import Backend
from tests.integration.logged import begin


def test_the_newest_come_first_page_by_page(backend: Backend) -> None:
    ids = [begin(backend)["jobId"] for _ in range(3)]
    first = backend.call("GET", "/api/jobs", query={"limit": 2}).json
    assert [each["jobId"] for each in first["items"]] == [ids[2], ids[1]]
    rest = backend.call("GET", "/api/jobs", query={"limit": 2, "nextToken": first["nextToken"]})
    assert [each["jobId"] for each in rest.json["items"]] == [ids[0]]
    assert backend.call("GET", "/api/jobs", tenant="other").json["items"] == []


def test_a_token_that_is_none_of_ours_is_refused(backend: Backend) -> None:
    assert backend.call("GET", "/api/jobs", query={"nextToken": "nonsense"}).status == 422
