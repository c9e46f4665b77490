"""A tenant as a whole: all that is stored of it shown, or removed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, cast

from integrations.errors import (
    ConnectionInUse,
    InvalidInput,
    NotFound,
    UnknownConnection,
    UnknownWorkflow,
    VersionConflict,
)
from integrations.models import Json, now
from integrations.services.answers.events import event_answer, job_answer
from integrations.services.answers.executions import execution_answer
from integrations.services.answers.export import ExportItem, ExportPage
from integrations.services.connections.reading import ConnectionReader
from integrations.services.connections.removing import ConnectionRemover
from integrations.services.events import EventLog
from integrations.services.executions import ExecutionService
from integrations.services.jobs import JobService, Progress
from integrations.services.secrets import SecretService
from integrations.services.tokens import TokenService
from integrations.services.workflows import WorkflowService
from integrations.storage.audit import Audit, AuditEntry
from integrations.storage.connections import Connections
from integrations.storage.events import EventFilter
from integrations.storage.jobs import Job
from integrations.storage.objects import folder
from integrations.storage.paging import decode_token, encode_token
from integrations.storage.tenant_data import TenantData
from integrations.storage.webhooks import Webhooks
from integrations.storage.workflows import Workflows

EXPORTED: Final = 50
"""The most items of a page."""

EXPORTED_CHARACTERS: Final = 1024 * 1024
"""A page that has become this long is not continued: Lambda answers at most 6 MB."""

LOOKED: Final = 100
"""So many looks into the tables a page takes at most: where what they list is gone, it is short."""

BEGINNING: Final = "-"
"""In the place of a kind's token where a page ended just before the kind's first item."""

WORKFLOWS: Final = 5
"""Workflows read at a time for a page: each has up to 256 KB."""

AT_A_TIME: Final = 1
"""Connections or workflows removed in one step: each may wait for a provider more than once."""

SETTLE_SECONDS: Final = 95
"""So long somebody may still write: an authorizer knows a token, and a receiver a webhook, for a
minute after they are gone, and what was let in goes on for half of one."""

MAX_PASSES: Final = 20
"""Where so often something new was found, somebody goes on writing for the tenant."""

type _Found = tuple[list[Any], str | None]


class TenantExport:
    """Shows all that is stored of a tenant but its secrets.

    Args:
        tokens, connections, reader, webhooks, workflows, secrets, jobs, executions, events: Where
            it is stored, and how the API shows it.
    """

    def __init__(
        self,
        *,
        tokens: TokenService,
        connections: Connections,
        reader: ConnectionReader,
        webhooks: Webhooks,
        workflows: WorkflowService,
        secrets: SecretService,
        jobs: JobService,
        executions: ExecutionService,
        events: EventLog,
    ) -> None:
        self._tokens = tokens
        self._connections = connections
        self._reader = reader
        self._webhooks = webhooks
        self._workflows = workflows
        self._secrets = secrets
        self._jobs = jobs
        self._executions = executions
        self._events = events
        self._sections: dict[str, Callable[[str, str | None], _Found]] = {
            "token": self._token_page,
            "connection": self._connection_page,
            "workflow": self._workflow_page,
            "secret": lambda tenant, _: (self._secrets.names(tenant).items, None),
            "job": self._job_page,
            "execution": self._execution_page,
            "event": self._event_page,
        }

    def page(self, tenant: str, next_token: str | None) -> ExportPage:
        """One page, in the order tokens, connections, workflows, secrets, jobs, executions, events.

        One may be short, or empty, while more follow: what is deleted meanwhile is left out.

        Raises:
            InvalidInput: ``next_token`` is not one of ours.
        """
        kinds = list(self._sections)
        at: Mapping[str, str] = {"kind": kinds[0], "token": BEGINNING}
        if next_token:
            at = decode_token(next_token, "kind", "token")
        if at["kind"] not in self._sections:
            raise InvalidInput("nextToken is not one of this list")
        kind, token = at["kind"], at["token"] if at["token"] != BEGINNING else None
        items: list[ExportItem] = []
        size = 0
        for _ in range(LOOKED):
            if len(items) >= EXPORTED or size >= EXPORTED_CHARACTERS:
                break
            found, token = self._sections[kind](tenant, token)
            for each in found:
                item = ExportItem(kind=kind, data=each.model_dump(mode="json", by_alias=True))
                size += len(item.model_dump_json())
                items.append(item)
            if token is None:
                if kind == kinds[-1]:
                    return ExportPage(items=items, next_token=None)
                kind = kinds[kinds.index(kind) + 1]
        return ExportPage(
            items=items, next_token=encode_token({"kind": kind, "token": token or BEGINNING})
        )

    def _token_page(self, tenant: str, token: str | None) -> _Found:
        page = self._tokens.page(tenant, EXPORTED, token)
        return page.items, page.next_token

    def _connection_page(self, tenant: str, token: str | None) -> _Found:
        found, further = self._connections.page(tenant, None, EXPORTED, token)
        webhooks = self._webhooks.of(tenant, [each.webhook_id for each in found if each.webhook_id])
        return [
            self._reader.answer(each, webhooks.get(each.webhook_id or "")) for each in found
        ], further

    def _workflow_page(self, tenant: str, token: str | None) -> _Found:
        page = self._workflows.page(tenant, WORKFLOWS, token)
        return page.items, page.next_token

    def _job_page(self, tenant: str, token: str | None) -> _Found:
        found, further = self._jobs.page(tenant, EXPORTED, token)
        return [job_answer(each) for each in found], further

    def _execution_page(self, tenant: str, token: str | None) -> _Found:
        found, further = self._executions.page(tenant, None, None, None, None, 1, token)
        ids = [each.execution_id for each in found]
        whole = _those_there(partial(self._executions.get, tenant), ids)
        return [execution_answer(each) for each in whole], further

    def _event_page(self, tenant: str, token: str | None) -> _Found:
        found, further = self._events.page(tenant, EventFilter(past=True), 1, token)
        ids = [each.event_id for each in found]
        return [
            event_answer(each) for each in _those_there(partial(self._events.get, tenant), ids)
        ], further


def _those_there[T](get: Callable[[str], T], ids: Iterable[str]) -> Iterator[T]:
    """Each of what was listed, but what was deleted meanwhile and what is past its time."""
    for each in ids:
        try:
            found = get(each)
        except NotFound:
            continue
        yield found


class Tables(NamedTuple):
    """The names of the tables that an erasure goes through."""

    webhooks: str
    handshakes: str
    pages: str
    tokens: str
    secrets: str
    executions: str
    events: str
    jobs: str
    quotas: str


class TenantEraser:
    """Removes all that is stored of a tenant but its audit log.

    Args:
        jobs: Carries the work on, in the background.
        connections, workflows: The tables.
        remover: Removes a connection, with its revocation.
        workflow_service: Removes a workflow, with its subscriptions.
        data: What is removed by the tenant's name alone.
        tables: Where that is.
        audit: Where the end is written down.
        clock: The present moment.
    """

    def __init__(
        self,
        jobs: JobService,
        *,
        connections: Connections,
        workflows: Workflows,
        remover: ConnectionRemover,
        workflow_service: WorkflowService,
        data: TenantData,
        tables: Tables,
        audit: Audit,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._jobs = jobs
        self._connections = connections
        self._workflows = workflows
        self._remover = remover
        self._workflow_service = workflow_service
        self._data = data
        self._tables = tables
        self._audit = audit
        self._clock = clock

    def begin(self, tenant: str, token_id: str) -> Job:
        """Begin the erasure of a tenant; one that runs already is the answer.

        Args:
            tenant: Which.
            token_id: The caller's token, which outlives the others; ``""`` where it is none of
            ours.
        """
        return self._jobs.create_once(tenant, "erase_tenant", {"tokenId": token_id})

    def step(self, job: Job) -> Progress:
        """Remove a little more; whatever was removed before is not missed.

        A pass goes through everything. The second begins when nobody can write any more, and
        removes what was written during the first; the end is a pass that finds nothing.
        """
        phases = list(self._phases(job))
        at = _Place(**cast("dict[str, Any]", dict(job.cursor)))
        if at.phase == len(phases):
            return self._end_of_pass(job, at)
        try:
            removed, further, again = phases[at.phase](at.start)
        except ConnectionInUse:  # a workflow was saved meanwhile
            return Progress(cursor=at.moved(phase=0, start=None))
        phase = at.phase if again else at.phase + 1
        start = dict(further) if further else None
        cursor = at.moved(phase=phase, start=start, removed=at.removed + removed)
        return Progress(cursor=cursor, done=removed)

    def _end_of_pass(self, job: Job, at: "_Place") -> Progress:
        if at.number > 1 and not at.removed:
            return self._end(job)
        if at.number == MAX_PASSES:
            error = "Somebody goes on writing for this tenant; erase it again when nobody does"
            return Progress(cursor=job.cursor, gave_up=True, error=error)
        self._data.delete_tokens(self._tables.tokens, job.tenant, keep="")
        return Progress(cursor=_Place(number=at.number + 1)._asdict(), wait=SETTLE_SECONDS)

    def _phases(self, job: Job) -> Iterator["_Phase"]:
        """What is done, in order; each phase until nothing of it is left."""
        tenant, tables, data = job.tenant, self._tables, self._data
        # What can write goes first, what it has written afterwards.
        yield _until_none(lambda: data.delete_tokens(tables.tokens, tenant, keep=_kept(job)))
        yield _scanned(
            lambda at: data.scan(
                tables.tokens, ["tokenHash"], tenant, at, attribute="sessionTenant"
            )
        )
        yield _scanned(lambda at: data.scan(tables.handshakes, ["handshakeId"], tenant, at))
        yield _until_none(lambda: self._remove_workflows(tenant))
        yield _until_none(lambda: self._remove_connections(tenant))
        yield _scanned(lambda at: data.scan(tables.pages, ["page", "holder"], tenant, at))
        yield _scanned(lambda at: data.forget_webhooks(tables.webhooks, tenant, at))
        yield _until_none(lambda: data.delete_rows(tables.secrets, tenant, "name"))
        yield _until_none(lambda: data.delete_rows(tables.executions, tenant, "executionId"))
        yield _until_none(lambda: data.delete_objects(folder("values", tenant)))
        yield _until_none(lambda: data.delete_objects(folder("files", tenant)))
        yield _until_none(lambda: data.delete_events(tables.events, tenant))
        yield _until_none(lambda: data.delete_objects(folder("payloads", tenant)))
        yield _scanned(lambda at: data.delete_counters(tables.quotas, tenant, at))
        yield _until_none(lambda: data.delete_rows(tables.jobs, tenant, "jobId", keep=job.job_id))

    def _remove_workflows(self, tenant: str) -> int | None:
        found, _ = self._workflows.page(tenant, limit=AT_A_TIME, next_token=None)
        for each in found:
            try:
                self._workflow_service.delete(tenant, each.workflow_id)
            except UnknownWorkflow:
                continue
        return len(found) or None

    def _remove_connections(self, tenant: str) -> int | None:
        found, _ = self._connections.page(tenant, None, AT_A_TIME)
        for each in found:
            if each.webhook_id:
                while self._data.delete_objects(f"events/{each.webhook_id}/"):
                    pass
            try:
                self._remover.remove(tenant, each.provider, each.name)
            except (UnknownConnection, VersionConflict):  # connected anew: the next step's
                continue
        return len(found) or None

    def _end(self, job: Job) -> Progress:
        """Write the end down, then remove the job itself.

        Its row goes last: until then a process that dies is followed by another.
        """
        self._audit.record(
            AuditEntry(
                tenant=job.tenant,
                at=self._clock(),
                request_id=job.job_id,
                actor={"kind": "system", "id": job.job_id, "name": "erase_tenant"},
                source_ip="",
                action="erase_tenant",
                target="tenant",
                outcome="succeeded",
            )
        )
        self._data.delete_row(self._tables.jobs, {"tenant": job.tenant, "jobId": job.job_id})
        return Progress(cursor=job.cursor, finished=True)


type _Phase = Callable[[Mapping[str, Any] | None], tuple[int, Mapping[str, Any] | None, bool]]
"""Takes where the last page ended; gives how many things were removed, where the next page begins,
and whether the phase goes on."""


class _Place(NamedTuple):
    """How far an erasure is.

    Attributes:
        number: Which pass it is in.
        phase, start: What of the pass is done: so many phases, and pages of the next.
        removed: How many things the pass has found.
    """

    number: int = 1
    phase: int = 0
    start: dict[str, Any] | None = None
    removed: int = 0

    def moved(self, **changes: Any) -> dict[str, Json]:
        """The cursor of another place in the same pass."""
        return self._replace(**changes)._asdict()


def _until_none(remove: Callable[[], int | None]) -> _Phase:
    def phase(_: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any] | None, bool]:
        removed = remove()
        return removed or 0, None, removed is not None

    return phase


def _scanned(
    scan: Callable[[Mapping[str, Any] | None], tuple[int, Mapping[str, Any] | None]],
) -> _Phase:
    def phase(start: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any] | None, bool]:
        removed, further = scan(start)
        return removed, further, further is not None

    return phase


def _kept(job: Job) -> str:
    """The id of the token that goes late."""
    return str(job.params.get("tokenId", ""))
