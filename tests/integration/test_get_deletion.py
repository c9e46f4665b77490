"""GET /api/integrations/oauth/delete/{providerId}/{code}."""

from urllib.parse import urlsplit

import pytest

from integrations import memory
from tests.backend import Backend
from tests.fakes.facebook import FacebookStandIn
from tests.integration.removals import signed, tell


def test_the_answers_url_shows_a_person_what_became_of_it(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.login_user = facebook.add_user("Ann")
    deleted = tell(backend, "delete", signed(facebook, issued_at=1795651200)).json
    page = backend.call("GET", urlsplit(deleted["url"]).path)
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Your data was deleted" in page.body
    assert "26 November 2026, 00:00 UTC" in page.body
    assert deleted["confirmation_code"] in page.body
    assert str(facebook.login_user) not in page.body


@pytest.mark.parametrize("code", ["0" * 32, "x", "é", "<script>", "6b02b580" + "0" * 24])
def test_a_code_that_was_never_given_is_unknown(
    backend: Backend, facebook: FacebookStandIn, code: str
) -> None:
    page = backend.call("GET", f"/api/integrations/oauth/delete/facebook_oauth/{code}")
    assert page.status == 404
    assert "No such deletion" in page.body
    assert "<script>" not in page.body


def test_what_cannot_be_looked_up_now_may_be_asked_again(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.login_user = facebook.add_user("Ann")
    deleted = tell(backend, "delete", signed(facebook)).json
    memory.forget()
    backend.aws.fail("GetSecretValue", "ThrottlingException", status=400)
    page = backend.call("GET", urlsplit(deleted["url"]).path)
    backend.aws.recover()
    assert page.status == 503
    assert int(page.headers["Retry-After"]) > 0
    assert "No such deletion" not in page.body


def test_a_code_is_one_providers(backend: Backend, facebook: FacebookStandIn) -> None:
    facebook.login_user = facebook.add_user("Ann")
    code = tell(backend, "delete", signed(facebook)).json["confirmation_code"]
    path = "/api/integrations/oauth/delete/sheets_oauth"
    assert backend.call("GET", f"{path}/{code}").status == 404
