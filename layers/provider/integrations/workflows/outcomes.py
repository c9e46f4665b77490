"""What passes between the engine and its caller: a step's call, and what came of a run."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, override

from integrations.models import Json
from integrations.workflows.records import Execution, ExecutionStatus


class Sent(NamedTuple):
    """What a step sends.

    Attributes:
        params: The parameters, with the values of secrets.
        derived: All values that were made of secrets on the way: no answer may show one.
    """

    params: dict[str, Json]
    derived: Sequence[Json] = ()

    @override
    def __repr__(self) -> str:
        return "Sent()"  # what it holds, nobody may see


class StepCall(NamedTuple):
    """One attempt of one step, for ``perform`` to carry out.

    Attributes:
        action: ``provider.action``.
        connection: The name of the provider's connection.
        params: The parameters, templates evaluated, with names in the place of secrets.
        secrets: The names of the secrets that they take.
        with_secrets: Makes the parameters to send of the secrets' values; they are for the provider
            alone, and what it answers is to be freed of them.
        idempotency_key: The same for each repetition of this step (and round) of this execution.
        hops: How many executions led to this one.
    """

    action: str
    connection: str
    params: dict[str, Json]
    secrets: frozenset[str]
    with_secrets: Callable[[Mapping[str, str]], Sent]
    idempotency_key: str
    hops: int


class Finished(NamedTuple):
    """The execution rests in a terminal status."""

    status: ExecutionStatus


class RetryAfter(NamedTuple):
    """Come back in this many seconds, not earlier."""

    seconds: float


class OutOfTime:
    """Nothing is wrong and nothing is running; go on at once in another invocation."""


class Values(Protocol):
    """Where values stand that are too large for the execution itself."""

    def put(self, text: bytes) -> str:
        """Store a value, given as JSON text; returns the key that it is known by."""

    def get(self, key: str) -> Json:
        """The value of a key.

        Raises:
            ValueGone: Its time is up.
        """


type Outcome = Finished | RetryAfter | OutOfTime
type Perform = Callable[[StepCall], Json]
type Save = Callable[[Execution], None]
type Clock = Callable[[], datetime]
