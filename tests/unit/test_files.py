"""Names of files among an action's parameters: what they say is checked, whoever wrote them."""

from types import SimpleNamespace
from typing import Any

import pytest

from integrations.errors import InvalidParams
from integrations.outbound.content import Content
from integrations.providers.files import StoredBytes, decoded, opened, reference


def call(size: int) -> Any:
    """A call of an action whose step was given files of this size."""
    return SimpleNamespace(
        files=SimpleNamespace(content=lambda _id: Content(size, lambda: iter(())))
    )


def test_a_name_says_which_file_and_how_large() -> None:
    assert decoded(reference("file_0a", 5)) == StoredBytes("file_0a", 5)


@pytest.mark.parametrize(
    "text", ["stored:-5:x", f"stored:{'9' * 30}:x", "stored:1_0:x", "stored::x"]
)
def test_what_only_looks_like_a_name_is_not_base64_either(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decoded(text)


def test_a_name_that_lies_about_the_size_opens_nothing() -> None:
    assert len(opened(call(70), StoredBytes("file_0a", 70))) == 70
    with pytest.raises(InvalidParams):
        opened(call(70), StoredBytes("file_0a", 1))
