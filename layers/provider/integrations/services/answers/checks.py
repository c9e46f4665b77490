"""What the API answers about a workflow that is not saved: its mistakes, and what it would do."""

from typing import Any, Literal

from pydantic import Field

from integrations.services.answers.base import Answer


class MistakeAnswer(Answer):
    """One mistake in a definition."""

    field: str = Field(description="The path in what was sent; empty for the whole.")
    message: str
    code: Literal["required", "unknown", "invalid"]
    suggestions: list[str] = Field(description="What may be meant in the place of a name.")


class CheckAnswer(Answer):
    """Whether a definition could be saved, and every mistake in it."""

    valid: bool
    errors: list[MistakeAnswer]


class PreviewMistake(Answer):
    """What does not evaluate, or what an action refuses."""

    field: str
    message: str


class PreviewRound(Answer):
    """One round of a ``forEach``."""

    index: int
    item: Any
    params: dict[str, Any] | None = Field(None, description="Null where it does not evaluate.")


class PreviewStep(Answer):
    """What one step would do."""

    id: str
    action: str
    connection: str
    runs: bool
    reason: str | None = Field(None, description="Why it does not run.")
    params: dict[str, Any] | None = Field(
        None, description="What it would be given; `{{ secrets.NAME }}` stands for each secret."
    )
    rounds: list[PreviewRound] | None = Field(
        None, description="With `forEach`: the first 20 rounds."
    )
    round_count: int | None = Field(None, description="How many rounds there are.")
    errors: list[PreviewMistake]


class PreviewAnswer(Answer):
    """What a workflow would do for an event."""

    matches: bool = Field(description="Whether the event starts it.")
    filter_result: bool | None = Field(None, description="Null where there is no filter.")
    reason: str | None = Field(None, description="Why the event does not start it.")
    steps: list[PreviewStep]
