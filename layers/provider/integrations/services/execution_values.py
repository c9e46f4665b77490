"""Where an execution's large values are: beside it, in the bucket, in the event log."""

from collections.abc import Callable
from typing import Final, Protocol, cast

from integrations.errors import NotFound, UnknownExecution, ValueGone
from integrations.models import Event, Json
from integrations.services.files import LARGE_BASE64, StepFiles
from integrations.storage import journal
from integrations.storage.events import LoggedEvent
from integrations.storage.executions import Executions, StoredExecution
from integrations.storage.objects import Objects, folder
from integrations.storage.workflows import StoredWorkflow

TABLE_BYTES: Final = 8 * 1024
"""A packed value over this goes to the bucket, where an object costs as much as eight kilobytes."""

_PART, _OBJECT, _EVENT = "p:", "s:", "e:"


class Events(Protocol):
    """The event log, as far as executions need it."""

    def event(self, tenant: str, event_id: str, index: int) -> Event:
        """What templates see of an event.

        Raises:
            NotFound: It is no longer stored.
        """

    def record_start(
        self,
        workflow: StoredWorkflow,
        kind: str,
        identity: str,
        data: Json,
        *,
        execution_id: str,
        hops: int = 0,
    ) -> LoggedEvent:
        """Write that somebody starts a workflow, once."""


class ExecutionValues:
    """The values of one execution; the engine's ``Values``.

    Args:
        executions, objects: The table and the bucket.
        files: Takes the files out of an event that are too large for a template.
        events: The event log, made on first use.
        execution: Whose values.
    """

    def __init__(
        self,
        executions: Executions,
        objects: Objects,
        files: StepFiles,
        events: Callable[[], Events] | None,
        execution: StoredExecution,
    ) -> None:
        self._executions = executions
        self._objects = objects
        self._files = files
        self._events = events
        self._execution = execution

    def put(self, text: bytes) -> str:
        """Store a value, given as JSON text; returns its key."""
        packed = journal.pack_text(text)
        if len(packed) <= TABLE_BYTES:
            return _PART + self._executions.put_part(self._execution, packed)
        name = journal.name_of(packed)
        self._objects.put(self._path(name), packed)
        return _OBJECT + name

    def get(self, key: str) -> Json:
        """The value of a key.

        Raises:
            ValueGone: It is no longer stored.
        """
        kind, name = key[:2], key[2:]
        logged = logged_event(key)
        if logged:
            return self._event(*logged)
        if kind == _PART:
            tenant, execution_id = self._execution.tenant, self._execution.execution_id
            try:
                packed = self._executions.parts(tenant, execution_id, [name])[name]
            except UnknownExecution:
                raise ValueGone("It is no longer stored") from None
        else:
            packed = self._objects.get(self._path(name))
        return cast("Json", journal.unpack(packed))

    def _event(self, event_id: str, index: int) -> Json:
        if self._events is None:
            raise ValueGone("This stack has no event log")
        try:
            event = self._events().event(self._execution.tenant, event_id, index)
        except NotFound:
            raise ValueGone("Its event is no longer stored") from None
        return self._files.stored(cast("Json", event.data), over=LARGE_BASE64)

    def _path(self, name: str) -> str:
        own = folder("values", self._execution.tenant)
        return f"{own}{self._execution.execution_id}/{name}"


def event_key(event_id: str, index: int) -> str:
    """The key of a trigger that stands in the event log."""
    return f"{_EVENT}{event_id}:{index}"


def logged_event(key: str) -> tuple[str, int] | None:
    """The event and its part that a key names in the event log; ``None`` for any other value."""
    if not key.startswith(_EVENT):
        return None
    event_id, _, index = key.removeprefix(_EVENT).partition(":")
    return event_id, int(index)
