"""What is stored of workflows and executions: plain JSON, described for the type checker.

Dictionaries rather than objects, so that storage writes, the API shows and the engine runs one and
the same thing. Names are camelCase because they are the API's. Standard library only.
"""

from typing import Final, Literal, NotRequired, TypedDict

from integrations.models import Json

MAX_STEPS: Final = 200
MAX_ROUNDS: Final = 20_000
"""The most items that ``forEach`` goes through."""

DEFAULT_WAITS: Final = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds between the attempts of a step that says nothing else: 27 hours in all. What a provider
cannot do for an afternoon, or a night, does not need a person."""

DEFAULT_ATTEMPTS: Final = len(DEFAULT_WAITS) + 1
DEFAULT_BACKOFF_SECONDS: Final = 2.0
DEFAULT_MAX_BACKOFF_SECONDS: Final = 300.0

type ExecutionStatus = Literal["queued", "running", "retrying", "succeeded", "failed", "cancelled"]
type StepStatus = Literal["pending", "running", "retrying", "succeeded", "failed", "skipped"]

TERMINAL: Final[frozenset[ExecutionStatus]] = frozenset({"succeeded", "failed", "cancelled"})
"""The statuses in which an execution rests for good, unless somebody has it retried."""

DONE: Final[frozenset[StepStatus]] = frozenset({"succeeded", "failed", "skipped"})
"""The statuses of a step that is not run again by itself."""


# -- The definition --------------------------------------------------------------------------


class RetryDefinition(TypedDict, total=False):
    """How often and how patiently a step is tried."""

    maxAttempts: int
    onUnknownOutcome: Literal["fail", "repeat"]
    backoffSeconds: float
    maxBackoffSeconds: float


class StepDefinition(TypedDict):
    """One step, as it was saved."""

    id: str
    action: str
    connection: NotRequired[str]
    params: NotRequired[dict[str, Json]]
    when: NotRequired[str | bool]
    forEach: NotRequired[str | list[Json]]
    retry: NotRequired[RetryDefinition]
    onError: NotRequired[Literal["stop", "continue"]]


class TriggerDefinition(TypedDict):
    """What starts a workflow; the filters of its type stand beside these."""

    type: str
    connection: NotRequired[str]
    webhookId: NotRequired[str]
    filter: NotRequired[str | bool]
    oncePer: NotRequired[str]


class WorkflowDefinition(TypedDict):
    """A workflow, as ``definition.check`` let it pass."""

    name: str
    enabled: NotRequired[bool]
    trigger: TriggerDefinition
    steps: list[StepDefinition]


# -- The execution ---------------------------------------------------------------------------


class Failure(TypedDict):
    """What went wrong, for programs (``code``) and for people (``message``)."""

    code: str
    message: str
    providerCode: str | None
    status: int | None
    at: str


class ExecutionFailure(Failure):
    """Why an execution failed, and at which step."""

    step: str


class RoundFailure(Failure):
    """Why one round of a ``forEach`` failed."""

    index: int


class Rounds(TypedDict):
    """How far a ``forEach`` is.

    Attributes:
        total: How many items there are.
        done: How many rounds are finished, one way or the other; they are never run again.
        failed: How many of those failed (with ``onError: continue`` the others still run).
        failures: The first few of them.
    """

    total: int
    done: int
    failed: int
    failures: list[RoundFailure]


class StoredValue(TypedDict):
    """Where a value is that is too large to stand in the execution itself.

    Attributes:
        key: What the caller's ``Values`` knows it by.
        bytes: Its length as JSON.
    """

    key: str
    bytes: int


class StepRun(TypedDict):
    """One step of one execution.

    Attributes:
        attempts: How often it was tried; with ``forEach``, the present round.
        resumes: How often it was found half done, because its process had died.
        retryAt: When the next attempt is due, while ``retrying``.
        waitingSince: When the first of the present series of failures came.
        input: The parameters after templating, cut to a size.
        output: What the action gave, cut to a size; with ``forEach``, a list of one per round.
        stored: Where what was cut is whole: by ``""``, or with ``forEach`` by the round's number.
        error: Why it failed, or why it is being retried.
    """

    id: str
    action: str
    status: StepStatus
    attempts: int
    resumes: int
    startedAt: str | None
    finishedAt: str | None
    durationMs: int | None
    retryAt: str | None
    waitingSince: str | None
    input: Json
    output: Json
    error: Failure | None
    rounds: Rounds | None
    stored: dict[str, StoredValue] | None


class TriggerRun(TypedDict):
    """What started an execution; ``data`` is what templates see as ``trigger``.

    Where it stands elsewhere (``stored``), ``data`` is a mark with its beginning.
    """

    type: str
    eventId: str
    data: Json
    stored: StoredValue | None


class Sizes(TypedDict):
    """How many bytes of JSON an execution's outputs take: those that stand in it, and all."""

    shown: int
    outputs: int


class Execution(TypedDict):
    """One run of a workflow.

    Attributes:
        hops: How many executions led to this one, for the protection from cycles.
        resumeCount: How often it was found half done, because its process had died.
        retryCount: How often somebody had it retried.
        rerunOf: The execution of which this is a repetition from the start.
        acceptedAt: When the delivery came that started it, where there was one.
    """

    executionId: str
    workflowId: str
    workflowVersion: int
    workflowName: str
    status: ExecutionStatus
    trigger: TriggerRun
    steps: list[StepRun]
    error: ExecutionFailure | None
    createdAt: str
    startedAt: str | None
    finishedAt: str | None
    retryAt: str | None
    resumeCount: int
    retryCount: int
    hops: int
    rerunOf: str | None
    sizes: Sizes
    acceptedAt: NotRequired[str]
