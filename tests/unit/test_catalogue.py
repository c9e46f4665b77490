"""The catalogue's file."""

from integrations.services import catalogue


def test_the_file_says_what_the_providers_code_says() -> None:
    assert catalogue.held() == catalogue.made(), "run `make docs`"
