"""Connections: the catalogue, tests, saving, states, actions, removal."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from integrations.errors import (
    ConnectionInUse,
    FieldError,
    IntegrationError,
    InvalidInput,
    InvalidParams,
    PermissionMissing,
    ProviderError,
    ProviderNotConfigured,
    ProviderUnavailable,
    RateLimited,
    UnknownWebhook,
    VersionConflict,
)
from integrations.models import ConnectionStatus, Json, now
from integrations.providers import registry
from integrations.providers.base import Credentials, Provider, Verified
from integrations.services.subscriptions import Subscriptions
from integrations.services.vault import Opened, Vault
from integrations.storage.connections import Connection, Connections
from integrations.storage.webhooks import Webhook, Webhooks, WebhookSecrets
from integrations.storage.workflows import Workflows

MAX_CREDENTIALS_BYTES = 64 * 1024
"""What a tenant may send as credentials; a table's row takes 400 KB, derived tokens included."""


class Answer(BaseModel):
    """The base of what the API answers: camelCase JSON."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


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


class ConnectionService:
    """The use cases of connections; see each method.

    Args:
        connections, webhooks, workflows: The tables.
        vault: The use of credentials.
        subscriptions: What providers are asked to send.
        public_url: Where this backend answers, without a trailing slash.
        clock: The present moment.
    """

    def __init__(
        self,
        connections: Connections,
        webhooks: Webhooks,
        workflows: Workflows,
        vault: Vault,
        subscriptions: Subscriptions,
        *,
        public_url: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._workflows = workflows
        self._vault = vault
        self._subscriptions = subscriptions
        self._public_url = public_url
        self._clock = clock

    # -- reading -----------------------------------------------------------------------------

    def status(self, tenant: str) -> dict[str, StatusAnswer]:
        """The state of every provider, those without a connection included. One query."""
        held: dict[str, list[Connection]] = {name: [] for name in registry.PROVIDER_IDS}
        for connection in self._connections.of_tenant(tenant):
            held.setdefault(connection.provider, []).append(connection)
        return {name: self._provider_status(found) for name, found in held.items()}

    def _provider_status(self, found: list[Connection]) -> StatusAnswer:
        if not found:
            return StatusAnswer(status="disconnected")
        answers = [self._answer(connection) for connection in found]
        first = next((each for each in answers if each.connection == "default"), answers[0])
        return StatusAnswer(
            status=first.status,
            account=first.account,
            connected_at=first.connected_at,
            expires_at=first.expires_at,
            last_tested=first.last_tested,
            last_error=first.last_error,
            connections=answers,
        )

    def metadata(self, tenant: str, provider_id: str, name: str) -> ConnectionAnswer:
        """A connection's metadata with its webhook, rejected deliveries included.

        Raises:
            UnknownProvider, UnknownConnection: There is none.
        """
        _known(provider_id)
        connection = self._connections.get(tenant, provider_id, name)
        webhook = None
        if connection.webhook_id:
            try:
                webhook = self._webhooks.get(connection.webhook_id)
            except UnknownWebhook:
                webhook = None
        return self._answer(connection, webhook)

    def _answer(self, connection: Connection, webhook: Webhook | None = None) -> ConnectionAnswer:
        error = connection.last_error
        return ConnectionAnswer(
            provider=connection.provider,
            connection=connection.name,
            status=self._state(connection),
            account=AccountAnswer(
                id=connection.account.id,
                label=connection.account.label,
                details=dict(connection.account.details),
            ),
            connected_at=connection.connected_at,
            updated_at=connection.updated_at,
            expires_at=connection.expires_at,
            last_tested=connection.last_tested,
            last_error=ErrorAnswer(code=error.code, message=error.message, at=error.at)
            if error
            else None,
            webhook=self._webhook_answer(connection, webhook),
        )

    def _webhook_answer(
        self, connection: Connection, webhook: Webhook | None
    ) -> WebhookAnswer | None:
        if not connection.webhook_id:
            return None
        url = f"{self._public_url}/api/webhooks/{connection.webhook_id}"
        if webhook is None:
            return WebhookAnswer(id=connection.webhook_id, url=url)
        return WebhookAnswer(
            id=webhook.webhook_id,
            url=url,
            verification=dict(webhook.verification),
            rejected=webhook.rejected,
            last_rejection=_note(webhook.last_rejection),
            last_failure=_note(webhook.last_failure),
        )

    def _state(self, connection: Connection) -> ConnectionStatus:
        refreshable = registry.REFRESHABLE
        expired = connection.expires_at is not None and connection.expires_at <= self._clock()
        if connection.status == "connected" and expired and connection.provider not in refreshable:
            return "expired"
        return cast("ConnectionStatus", connection.status)

    # -- testing -----------------------------------------------------------------------------

    def test(
        self, tenant: str, provider_id: str, name: str, given: Mapping[str, Json] | None
    ) -> TestAnswer:
        """Test what is given, else what is stored (and keep how that went).

        Raises:
            UnknownProvider, UnknownConnection: There is nothing to test.
            InvalidInput: The given credentials are not of the provider's form.
        """
        provider = registry.get(provider_id)
        started = time.monotonic()
        try:
            if given is None:
                opened = self._vault.open(tenant, provider_id, name)
                opened, verified = self._vault.attempt(opened, provider.verify)
                self._keep_success(opened, verified)
            else:
                verified = provider.verify(self._vault.call(provider, _parse(provider, given)))
        except ProviderError as refusal:
            if given is None:
                self._keep_failure(tenant, provider_id, name, refusal)
            return self._test_answer(started, refusal.detail, code=refusal.code)
        return self._test_answer(started, verified.message, verified=verified)

    def _keep_success(self, opened: Opened, verified: Verified[Any]) -> None:
        """Keep that a test went well, and the better credentials that it made, if it did."""
        connection = opened.connection
        if connection is None:
            return
        if verified.credentials is not None and verified.credentials != opened.credentials:
            better = replace(opened, credentials=verified.credentials)
            moment = self._clock()
            known = replace(connection, account=verified.account, last_tested=moment)
            with suppress(VersionConflict):  # somebody else's refresh is as good
                self._vault.save(known, better, replaces=connection.version)
            return
        self._connections.record_success(
            connection, verified.account, due_at=self._vault.next_check()
        )

    def _keep_failure(
        self,
        tenant: str,
        provider_id: str,
        name: str,
        failure: IntegrationError,
        *,
        due_at: datetime | None = None,
    ) -> ConnectionStatus:
        """Keep how a test failed. Returns the state afterwards."""
        connection = self._connections.find(tenant, provider_id, name)
        if connection is None:
            return "disconnected"
        # What a refusal of the credentials does to the state, the vault has recorded.
        status: ConnectionStatus | None = None
        if isinstance(failure, PermissionMissing):
            status = "error"
        self._connections.record_error(
            connection, failure.code, failure.detail, status=status, tested=True, due_at=due_at
        )
        return status or self._state(connection)

    def _test_answer(
        self,
        started: float,
        message: str,
        *,
        code: str | None = None,
        verified: Verified[Any] | None = None,
    ) -> TestAnswer:
        account = verified.account if verified else None
        return TestAnswer(
            success=verified is not None,
            message=message,
            code=code,
            account=AccountAnswer(id=account.id, label=account.label, details=dict(account.details))
            if account
            else None,
            tested_at=self._clock(),
            duration_ms=round((time.monotonic() - started) * 1000),
        )

    # -- saving ------------------------------------------------------------------------------

    def save(
        self, tenant: str, provider_id: str, name: str, given: Mapping[str, Json]
    ) -> ConnectionAnswer:
        """Validate, test, then keep credentials. Nothing changes where any of that fails.

        Raises:
            UnknownProvider: There is none with this id.
            InvalidInput: The credentials are not of the provider's form.
            CredentialsRejected, ProviderError: The provider refuses them, or cannot be asked.
            WebhookIdTaken: The webhook's id belongs to somebody else.
            VersionConflict: Somebody saves the same connection at this moment.
        """
        provider = registry.get(provider_id)
        if provider.oauth:
            detail = (
                f"{provider_id} is connected by logging in: "
                f"POST /api/integrations/oauth/start/{provider_id}"
            )
            raise InvalidInput(detail, [FieldError("credentials", detail)])
        credentials = _parse(provider, given)
        verified = provider.verify(self._vault.call(provider, credentials))
        return self.keep(tenant, provider, name, credentials, verified)

    def keep(
        self,
        tenant: str,
        provider: Provider,
        name: str,
        credentials: Credentials,
        verified: Verified[Any],
    ) -> ConnectionAnswer:
        """Keep credentials that were just tested, with the webhook that they need.

        A new webhook's record comes first, so that its id is ours: where the process dies in
        between it waits, harmless, for the same connection to be saved again. That of a webhook in
        use comes after the connection, so that a save that fails leaves its deliveries verified as
        before.
        """
        earlier = self._connections.find(tenant, provider.id, name)
        credentials = verified.credentials or credentials
        webhook, its_secrets = self._webhook(tenant, provider, name, credentials, earlier)
        in_use = bool(webhook and earlier and webhook.webhook_id == earlier.webhook_id)
        if webhook and not in_use:
            self._webhooks.save(webhook, its_secrets)
        moment = self._clock()
        connection = Connection(
            tenant=tenant,
            provider=provider.id,
            name=name,
            account=verified.account,
            connected_at=earlier.connected_at if earlier else moment,
            updated_at=moment,
            last_tested=moment,
            expires_at=verified.expires_at,
            webhook_id=webhook.webhook_id if webhook else None,
            subscribed=earlier.subscribed if earlier else None,
        )
        opened = Opened(provider, credentials, connection)
        try:
            written = self._vault.save(
                connection, opened, replaces=earlier.version if earlier else None
            )
        except VersionConflict:
            if webhook and not in_use:
                self._yield_webhook(provider, webhook)
            raise
        if webhook and in_use:
            self._webhooks.save(webhook, its_secrets)
        if earlier and earlier.webhook_id not in (None, written.webhook_id):
            self._forget_webhook(earlier)
        try:
            self._subscriptions.sync(tenant, provider.id, name)
        except ProviderError as failure:
            # The credentials are good and kept; the daily check asks the provider again.
            message = f"Its webhooks could not be set up: {failure.detail}"
            self._connections.record_error(written, failure.code, message, status=None)
        return self._answer(written, webhook)

    def _webhook(
        self,
        tenant: str,
        provider: Provider,
        name: str,
        credentials: Credentials,
        earlier: Connection | None,
    ) -> tuple[Webhook | None, WebhookSecrets]:
        """The webhook that a connection needs; what a provider leaves open stays as it was."""
        if provider.inbound is None or provider.inbound.endpoint is None:
            return None, WebhookSecrets("", "")
        endpoint = provider.inbound.endpoint(credentials)
        held_id = earlier.webhook_id if earlier else None
        held = WebhookSecrets("", "")
        if held_id and endpoint.webhook_id in (None, held_id):
            try:
                held = self._webhooks.secrets(self._webhooks.get(held_id))
            except UnknownWebhook:
                held_id = None
        webhook = Webhook(
            webhook_id=endpoint.webhook_id or held_id or secrets.token_urlsafe(24),
            tenant=tenant,
            provider=provider.id,
            connection=name,
            verification=endpoint.verification,
        )
        return webhook, WebhookSecrets(
            _secret(endpoint.secret) or held.secret or secrets.token_urlsafe(32),
            _secret(endpoint.verify_token) or held.verify_token or secrets.token_urlsafe(32),
        )

    def _yield_webhook(self, provider: Provider, webhook: Webhook) -> None:
        """Leave a new webhook as the quicker save wants it; remove it where that has another."""
        winner = self._connections.find(webhook.tenant, provider.id, webhook.connection)
        if winner is None or winner.webhook_id != webhook.webhook_id:
            self._webhooks.delete(webhook)
            return
        kept = provider.credentials.model_validate(self._connections.open(winner))
        its_webhook, its_secrets = self._webhook(winner.tenant, provider, winner.name, kept, winner)
        if its_webhook:
            self._webhooks.save(its_webhook, its_secrets)

    def _forget_webhook(self, connection: Connection) -> None:
        if connection.webhook_id:
            self._webhooks.delete(
                Webhook(
                    webhook_id=connection.webhook_id,
                    tenant=connection.tenant,
                    provider=connection.provider,
                    connection=connection.name,
                    verification={},
                )
            )

    # -- removal -----------------------------------------------------------------------------

    def delete(self, tenant: str, provider_id: str, name: str) -> DeletedAnswer:
        """Revoke the credentials where the provider can, then forget them.

        A provider that cannot be reached does not keep the tenant from leaving it: the answer says
        that nothing was revoked, and why.

        Raises:
            UnknownProvider, UnknownConnection: There is none.
            ConnectionInUse: Workflows use it; the detail names them.
            VersionConflict: Somebody changes it at this moment.
        """
        provider = registry.get(provider_id)
        connection = self._connections.get_sealed(tenant, provider_id, name)
        users = [
            workflow
            for workflow in self._workflows.of_tenant(tenant)
            if connection.key in workflow.uses
        ]
        if users:
            names = ", ".join(f"{each.name!r} ({each.workflow_id})" for each in users[:10])
            detail = f"{len(users)} workflow(s) use this connection: {names}. Change them first."
            raise ConnectionInUse(detail)
        revoked, message = self._revoke(provider, connection)
        if not self._connections.delete(connection):
            return self.delete(tenant, provider_id, name)  # it was refreshed in between
        self._forget_webhook(connection)
        return DeletedAnswer(revoked=revoked, message=message)

    def _revoke(self, provider: Provider, connection: Connection) -> tuple[bool | None, str | None]:
        failures = []
        try:
            self._subscriptions.stop(connection)
        except IntegrationError as failure:
            failures.append(failure)
        if provider.revoke and (sharing := self._sharing(connection)):
            # What a log-in granted is one grant of the account, however often it logs in.
            return False, f"Removed here; not revoked, as {sharing} uses the same account"
        if provider.revoke:
            try:
                credentials = provider.credentials.model_validate(
                    self._connections.open(connection)
                )
                provider.revoke(self._vault.call(provider, credentials))
            except IntegrationError as failure:
                failures.append(failure)
            else:
                return True, None  # and nothing is sent without a grant
        if failures:
            reason = failures[-1].detail
            return False, f"Removed here, but not revoked at the provider: {reason}"
        return None, None

    def _sharing(self, connection: Connection) -> str | None:
        """The name of another connection of the tenant that a revocation would end too."""
        others = self._connections.of_tenant(connection.tenant, connection.provider)
        return next(
            (
                other.name
                for other in others
                if other.name != connection.name and other.account.id == connection.account.id
            ),
            None,
        )

    # -- use ---------------------------------------------------------------------------------

    def run_action(
        self, tenant: str, provider_id: str, name: str, action_name: str, given: Mapping[str, Json]
    ) -> ActionAnswer:
        """Run one action now.

        Raises:
            UnknownProvider, UnknownAction, UnknownConnection: There is none.
            InvalidParams: The parameters do not fit; each is named.
            ProviderError: The provider refuses, or cannot be asked.
        """
        action = registry.get(provider_id).action(action_name)
        try:
            params = action.params.model_validate(given)
        except ValidationError as invalid:
            detail = f"The parameters of {provider_id}.{action_name} do not fit"
            raise InvalidParams(detail, field_errors(invalid, "params", given)) from None
        result = self._vault.use(tenant, provider_id, name, lambda call: action.run(call, params))
        return ActionAnswer(result=result)

    # -- the daily check ---------------------------------------------------------------------

    def check(self, tenant: str, provider_id: str, name: str) -> str:
        """Refresh what is near its end and test what is left. Returns the state afterwards.

        A provider that is down changes nothing: the next check is only an hour away then.
        """
        provider = registry.get(provider_id)
        try:
            opened = self._vault.open_for_check(tenant, provider_id, name)
            opened, verified = self._vault.attempt(opened, provider.verify)
        except (ProviderError, ProviderNotConfigured) as failure:
            soon = isinstance(failure, (ProviderUnavailable, RateLimited))
            due_at = self._vault.next_check(soon=soon)
            return self._keep_failure(tenant, provider_id, name, failure, due_at=due_at)
        self._keep_success(opened, verified)
        try:
            self._subscriptions.sync(tenant, provider_id, name)
        except ProviderError as failure:
            connection = self._connections.get(tenant, provider_id, name)
            self._connections.record_error(connection, failure.code, failure.detail, status=None)
        return "connected"


def field_errors(invalid: ValidationError, root: str, given: object) -> list[FieldError]:
    """A pydantic error as our own: dotted places, each mistake once, no input echoed."""
    errors = invalid.errors(include_url=False, include_input=False, include_context=False)
    found = [FieldError(".".join([root, *_place(e["loc"], given)]), e["msg"]) for e in errors]
    return list(dict.fromkeys(found))


def _place(loc: tuple[int | str, ...], given: object) -> list[str]:
    """The way to a mistake in what was given; pydantic's own names for a union's members go."""
    parts: list[str] = []
    here = given
    for depth, part in enumerate(loc):
        if isinstance(here, Mapping) and (part in here or depth == 0 or part == loc[-1]):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            continue
        parts.append(str(part)[:64])
    return parts


def _known(provider_id: str) -> None:
    if provider_id not in registry.PROVIDER_IDS:
        registry.get(provider_id)  # raises with the list of those that are


def _parse(provider: Provider, given: Mapping[str, Json]) -> Credentials:
    if len(json.dumps(given)) > MAX_CREDENTIALS_BYTES:
        detail = f"Credentials take at most {MAX_CREDENTIALS_BYTES} bytes"
        raise InvalidInput(detail, [FieldError("credentials", detail)])
    try:
        return provider.credentials.model_validate(given)
    except ValidationError as invalid:
        detail = f"These are not credentials of {provider.id}"
        raise InvalidInput(detail, field_errors(invalid, "credentials", given)) from None


def _secret(held: Any) -> str:  # noqa: ANN401 - a SecretStr or nothing
    return held.get_secret_value() if held else ""


def _note(held: tuple[datetime, str] | None) -> RejectionAnswer | None:
    return RejectionAnswer(at=held[0], reason=held[1]) if held else None
