"""The one webhook of the stack's own app, and what it is verified with."""

from integrations.providers import registry

SHARED = registry.shared_webhooks()["facebook"]


def test_the_token_that_was_configured_answers_challenges() -> None:
    secrets = {SHARED.secret: "app-secret", SHARED.verify_token: "chosen"}
    assert SHARED.verify_token_of(secrets) == "chosen"


def test_where_no_token_was_configured_the_stack_makes_one_and_it_stays_the_same() -> None:
    secrets = {SHARED.secret: "app-secret", SHARED.verify_token: ""}
    made = SHARED.verify_token_of(secrets)
    assert len(made) == 64
    assert made == SHARED.verify_token_of({SHARED.secret: "app-secret"})
    assert made != SHARED.verify_token_of({SHARED.secret: "another"})
    assert "app-secret" not in made


def test_without_an_app_there_is_no_token() -> None:
    assert not SHARED.secret_of({})
    assert not SHARED.verify_token_of({})
