"""What the API answers, typed for OpenAPI: every model of an answer stands here."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from integrations.models import ConnectionStatus

type HandshakeStatus = Literal["pending", "completed", "failed", "expired"]


class Answer(BaseModel):
    """The base of what the API answers: camelCase JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        frozen=True,
        defer_build=True,  # a function answers with one of them
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
