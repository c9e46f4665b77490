"""GET /api/integrations/{providerId}."""

from tests.backend import Backend


def test_an_entry_is_the_catalogue_s_and_needs_no_token(backend: Backend) -> None:
    everything = backend.call("GET", "/api/integrations").json["items"]
    for entry in everything:
        answer = backend.call("GET", f"/api/integrations/{entry['id']}")
        assert answer.status == 200
        assert answer.json == entry
    assert not backend.aws.calls


def test_a_provider_that_there_is_not_is_a_problem_with_the_known_ones(backend: Backend) -> None:
    answer = backend.call("GET", "/api/integrations/telegramm")
    assert answer.status == 404
    assert answer.json["code"] == "unknown_provider"
    assert "telegram" in answer.json["detail"]


def test_what_has_not_changed_is_not_sent_again(backend: Backend) -> None:
    first = backend.call("GET", "/api/integrations/telegram")
    tag = first.headers["ETag"]
    again = backend.call("GET", "/api/integrations/telegram", headers={"if-none-match": f"W/{tag}"})
    assert again.status == 304
    assert not again.body
    other = backend.call("GET", "/api/integrations/email", headers={"if-none-match": tag})
    assert other.status == 200


def test_it_is_compressed_for_who_takes_that(backend: Backend) -> None:
    path = "/api/integrations"
    small = backend.call("GET", path, headers={"accept-encoding": "br, gzip;q=0.8"})
    assert small.headers["Content-Encoding"] == "gzip"
    plain = backend.call("GET", path, headers={"accept-encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers
    assert small.json == plain.json
