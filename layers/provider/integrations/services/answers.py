"""What the API answers, typed for OpenAPI: every model of an answer stands here."""

from datetime import datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from integrations.models import ConnectionStatus
from integrations.services.executions import SHOWN_ROUNDS, StepOutput
from integrations.storage.executions import StoredExecution
from integrations.workflows.records import Execution, ExecutionStatus, StepRun, StepStatus

type HandshakeStatus = Literal["pending", "completed", "failed", "expired"]


class Answer(BaseModel):
    """The base of what the API answers: camelCase JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


class AccountAnswer(Answer):
    """Whose credentials these are, as the provider tells it."""

    id: str
    label: str
    details: dict[str, Any] = Field(default_factory=dict)


class ErrorAnswer(Answer):
    """What last went wrong."""

    code: str
    message: str
    at: datetime


class RejectionAnswer(Answer):
    """Why a delivery was refused."""

    at: datetime
    reason: str


class WebhookAnswer(Answer):
    """The webhook that a connection's events come to."""

    id: str
    url: str
    verification: dict[str, Any] | None = None
    rejected: int | None = None
    last_rejection: RejectionAnswer | None = None
    last_failure: RejectionAnswer | None = None
    received: int | None = None
    last_received: datetime | None = None


class ConnectionAnswer(Answer):
    """A connection's metadata; never a secret."""

    provider: str
    connection: str
    status: ConnectionStatus
    account: AccountAnswer
    connected_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    last_tested: datetime | None = None
    last_error: ErrorAnswer | None = None
    webhook: WebhookAnswer | None = None


class StatusAnswer(Answer):
    """The state of one provider: that of its default connection, else of its first."""

    status: ConnectionStatus
    account: AccountAnswer | None = None
    connected_at: datetime | None = None
    expires_at: datetime | None = None
    last_tested: datetime | None = None
    last_error: ErrorAnswer | None = None
    connections: list[ConnectionAnswer] = Field(default_factory=list)
    next_token: str | None = None


class TestAnswer(Answer):
    """How a test went; ``message`` is the provider's own reason where it refused."""

    success: bool
    message: str
    code: str | None = None
    account: AccountAnswer | None = None
    tested_at: datetime
    duration_ms: int


class DeletedAnswer(Answer):
    """What came of a removal; ``revoked`` is null where the provider has no revocation."""

    deleted: Literal[True] = True
    revoked: bool | None = None
    message: str | None = None


class ActionAnswer(Answer):
    """What an action gave."""

    result: Any


# -- Logging in -----------------------------------------------------------------------------


class StartedAnswer(Answer):
    """Where to send the person who logs in."""

    auth_url: str
    handshake_id: str
    expires_at: datetime


class HandshakeError(Answer):
    """Why a handshake failed."""

    code: str
    message: str


class HandshakeAnswer(Answer):
    """How far a handshake is."""

    status: HandshakeStatus
    credentials: ConnectionAnswer | None = None
    error: HandshakeError | None = None


# -- The catalogue ---------------------------------------------------------------------------


class ActionForm(Answer):
    """One action in the catalogue."""

    name: str = Field(description="Its id; a workflow's step names it `provider.name`.")
    title: str
    description: str
    idempotent: bool = Field(description="Whether a repetition does no harm.")
    params: dict[str, Any] = Field(description="The form of its parameters, a JSON Schema.")
    example: dict[str, Any] = Field(description="Parameters that fit.")
    output_example: Any = Field(description="What it gives, as the vendor documents it.")


class TriggerForm(Answer):
    """One trigger in the catalogue."""

    type: str
    title: str
    filters: dict[str, Any] = Field(description="The form of its own filters, a JSON Schema.")
    example: dict[str, Any] = Field(description="What templates see as `trigger`.")


class ProviderForm(Answer):
    """One provider in the catalogue: its forms as JSON Schema, fields in the order of the form."""

    id: str
    title: str
    docs_url: str = Field(description="The vendor's documentation.")
    oauth: bool = Field(description="Whether it is connected by a log-in.")
    credentials: dict[str, Any] = Field(description="The form of its credentials, a JSON Schema.")
    actions: list[ActionForm]
    triggers: list[TriggerForm]


class CatalogueAnswer(Answer):
    """The catalogue."""

    items: list[ProviderForm]


# -- Workflows -------------------------------------------------------------------------------


class WorkflowAnswer(Answer):
    """A workflow with its definition."""

    workflow_id: str
    name: str
    enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime
    trigger: dict[str, Any]
    steps: list[dict[str, Any]]
    webhook_url: str | None = Field(None, description="Where the events that start it come in.")
    warning: str | None = Field(
        None,
        description="Why the provider does not send the trigger's events yet, when it was saved.",
    )


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


class WorkflowPage(Answer):
    """One page of workflows."""

    items: list[WorkflowAnswer]
    next_token: str | None = None


class WorkflowDeleted(Answer):
    """What came of a removal."""

    deleted: bool = True


# -- Executions ------------------------------------------------------------------------------


class FailureAnswer(Answer):
    """What went wrong, for programs (``code``) and for people (``message``)."""

    code: str
    message: str
    provider_code: str | None = None
    status: int | None = None
    at: datetime
    step: str | None = None


class TriggerAnswer(Answer):
    """What started it; ``data`` is what templates see as ``trigger``."""

    type: str
    event_id: str
    data: Any = None


class StepAnswer(Answer):
    """One step of an execution."""

    id: str
    action: str
    status: StepStatus
    attempts: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    retry_at: datetime | None = None
    input: Any = None
    output: Any = None
    output_url: str | None = None
    error: FailureAnswer | None = None
    rounds: dict[str, Any] | None = None


class ExecutionAnswer(Answer):
    """An execution, whole."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    workflow_version: int
    status: ExecutionStatus
    trigger: TriggerAnswer
    steps: list[StepAnswer]
    error: FailureAnswer | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retry_at: datetime | None = None
    retry_count: int = 0
    rerun_of: str | None = None


class ExecutionSummary(Answer):
    """An execution in a list."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    status: ExecutionStatus
    trigger_type: str
    created_at: datetime
    finished_at: datetime | None = None
    error: FailureAnswer | None = None


class ExecutionPage(Answer):
    """One page of executions, newest first."""

    items: list[ExecutionSummary]
    next_token: str | None = None


class RoundOutput(Answer):
    """The result of one round of a `forEach`."""

    index: int
    output: Any = None
    text: str | None = Field(
        None,
        description="In place of a very long `output`: a part of its JSON text. The next pages "
        "have the following parts, under the same index.",
    )


class StepOutputAnswer(Answer):
    """A step's output: whole, or one page of its rounds, or one part of its text."""

    step_id: str
    status: StepStatus
    output: Any = None
    items: list[RoundOutput] | None = None
    text: str | None = None
    next_token: str | None = None


def execution_answer(state: Execution) -> ExecutionAnswer:
    """An execution as the API shows it; what only the engine needs is left out."""
    steps = [_step(state["executionId"], run) for run in state["steps"]]
    return ExecutionAnswer.model_validate({**state, "steps": steps})


def _step(execution_id: str, run: StepRun) -> dict[str, Any]:
    """A step as it is shown; where its output is more than is shown, with its address."""
    shown: dict[str, Any] = dict(run)
    is_long = run["rounds"] is not None and run["rounds"]["done"] > SHOWN_ROUNDS
    if is_long:
        shown["output"] = shown["output"][:SHOWN_ROUNDS]
    if is_long or run["stored"]:
        shown["outputUrl"] = f"/api/executions/{execution_id}/steps/{run['id']}/output"
    return shown


def step_output_answer(found: StepOutput) -> StepOutputAnswer:
    """A step's output as the API shows it."""
    items = None
    if found.run["rounds"] is not None:
        results = cast("list[Any]", found.output)
        items = [
            RoundOutput(index=found.first + number, output=each)
            for number, each in enumerate(results)
        ]
        if found.text is not None:
            items = [RoundOutput(index=found.first, text=found.text)]
    return StepOutputAnswer(
        step_id=found.run["id"],
        status=found.run["status"],
        output=None if items is not None else found.output,
        items=items,
        text=found.text if items is None else None,
        next_token=found.next_token,
    )


def execution_page(found: list[StoredExecution], next_token: str | None) -> ExecutionPage:
    """A page of summaries as the API shows it."""
    items = [
        ExecutionSummary(
            execution_id=each.execution_id,
            workflow_id=each.workflow_id,
            workflow_name=each.workflow_name,
            status=cast("ExecutionStatus", each.status),
            trigger_type=each.trigger_type,
            created_at=each.created_at,
            finished_at=each.finished_at,
            error=FailureAnswer.model_validate(each.error) if each.error else None,
        )
        for each in found
    ]
    return ExecutionPage(items=items, next_token=next_token)


# -- Tokens, sessions, secrets, the audit log ------------------------------------------------


class TokenAnswer(Answer):
    """An API token's record; never the token."""

    token_id: str
    name: str
    tenant: str
    scopes: list[str]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedTokenAnswer(TokenAnswer):
    """A new API token, in this answer and nowhere else."""

    token: str


class TokenPage(Answer):
    """One page of API tokens."""

    items: list[TokenAnswer]
    next_token: str | None = None


class TokenDeleted(Answer):
    """What came of a revocation."""

    deleted: Literal[True] = True


class SessionCreatedAnswer(Answer):
    """A new connect session: its token, in this answer alone, and its page."""

    token: str
    connect_url: str
    expires_at: datetime


class SessionAnswer(Answer):
    """What a connect session is for."""

    application: str
    providers: list[str]
    connection: str
    redirect_uri: str | None = None
    expires_at: datetime


class SecretAnswer(Answer):
    """A named secret; never its value."""

    name: str
    created_at: datetime
    updated_at: datetime


class SecretPage(Answer):
    """All the tenant's named secrets."""

    items: list[SecretAnswer]
    next_token: str | None = None


class SecretDeleted(Answer):
    """What came of a removal."""

    deleted: Literal[True] = True


class ActorAnswer(Answer):
    """Who did something."""

    kind: Literal["token", "jwt", "connect", "system"]
    id: str
    name: str


class AuditAnswer(Answer):
    """One entry of the audit log."""

    at: datetime
    actor: ActorAnswer
    source_ip: str
    action: str
    target: str
    outcome: str
    request_id: str


class AuditPage(Answer):
    """One page of the audit log, newest first."""

    items: list[AuditAnswer]
    next_token: str | None = None


class ExportItem(Answer):
    """One thing that is stored of a tenant, as its own route shows it."""

    kind: str = Field(description="token, connection, workflow, secret, job, execution or event.")
    data: dict[str, Any]


class ExportPage(Answer):
    """One page of all that is stored of a tenant."""

    items: list[ExportItem]
    next_token: str | None = None
