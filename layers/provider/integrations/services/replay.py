"""Replay: an event of the log once more, as a new event; and failed executions once more, in bulk.

A replay's event has an id of its own, made of the earlier event's and the replay's: a replay that
is sent twice is one event, and nothing is taken for what was there before.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any, cast

from integrations.errors import (
    Conflict,
    FieldError,
    IntegrationError,
    InvalidInput,
    NeverBegan,
    QuotaExceeded,
    UnknownWorkflow,
)
from integrations.models import Json, now, rfc3339
from integrations.services.events import EventLog, replay_id
from integrations.services.executions import ExecutionService
from integrations.services.jobs import JobService, Progress
from integrations.services.quotas import Quotas
from integrations.storage.aws import AwsError
from integrations.storage.events import EventFilter
from integrations.storage.jobs import Job
from integrations.storage.queues import Message, Queue
from integrations.storage.workflows import Workflows

MAX_REPLAYED = 10_000
"""How many events one job replays at most."""

TICK_SECONDS = 10
"""How often at most a replay pauses; where not even one event may come in that time, less often."""

PAGE = 100
RETRY_PAGE = 25


class ReplayService:
    """The use cases of replays; see each method.

    Args:
        log: The event log.
        workflows: The table.
        events: The events queue.
        executions: The use cases of executions.
        jobs: The use cases of jobs.
        quotas: What a tenant may start.
        clock: The present moment.
    """

    def __init__(
        self,
        log: EventLog,
        workflows: Workflows,
        events: Queue,
        executions: ExecutionService,
        jobs: JobService,
        quotas: Quotas,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._log = log
        self._workflows = workflows
        self._events = events
        self._executions = executions
        self._jobs = jobs
        self._quotas = quotas
        self._clock = clock

    # -- one event ---------------------------------------------------------------------------

    def replay(
        self,
        tenant: str,
        event_id: str,
        workflow_ids: Sequence[str] | None,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Send an event once more, to whoever waits for it now or to the workflows named.

        Args:
            tenant: Whose event.
            event_id: Its id in the log.
            workflow_ids: These alone; ``None`` for all.
            idempotency_key: The same key replays to the same workflows once.

        Returns:
            The new event's id; it is in the log in a moment.

        Raises:
            UnknownEvent: There is none with this id, or it is no longer stored.
            Conflict: It was refused: nobody knows who sent it.
            InvalidInput: A workflow is not there.
        """
        event = self._log.get(tenant, event_id)
        if event.outcome == "refused":
            raise Conflict("A delivery that was refused cannot be replayed")
        self._check_workflows(tenant, workflow_ids)
        to = ",".join(sorted(set(workflow_ids or ())))
        key = f"{idempotency_key}:{to}" if idempotency_key else secrets.token_hex(16)
        made = replay_id(event_id, key)
        self._events.send(self._message(tenant, event_id, made, workflow_ids, self._clock()))
        return made

    # -- many --------------------------------------------------------------------------------

    def replay_all(
        self,
        tenant: str,
        chosen: EventFilter,
        workflow_ids: Sequence[str] | None,
        per_minute: int | None,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """Begin to replay every event that a filter finds, the oldest first.

        What was refused, and what was a replay itself, is left out; so is what comes later.

        Args:
            tenant: Whose events.
            chosen: Which; at most ``MAX_REPLAYED``, or the job fails before the first.
            workflow_ids: To these alone; ``None`` for whoever waits for them.
            per_minute: How many a minute at most; never more than the quota, and by default half
                of it, which leaves the other half to what happens now.
            idempotency_key: The same key begins one job.

        Raises:
            InvalidInput: The filter asks for what was refused, or a workflow is not there.
            IdempotencyKeyReused: The key has begun another replay.
        """
        if chosen.outcome == "refused":
            detail = "Deliveries that were refused cannot be replayed"
            raise InvalidInput(detail, [FieldError("filter.outcome", detail)])
        self._check_workflows(tenant, workflow_ids)
        params: dict[str, Json] = {
            "webhookId": chosen.webhook_id,
            "provider": chosen.provider,
            "outcome": chosen.outcome,
            "since": _text(chosen.since),
            "until": _text(chosen.until),
            "workflowIds": list(workflow_ids) if workflow_ids is not None else None,
            "perMinute": self._quotas.pace(per_minute),
        }
        return self._jobs.create(tenant, "replay_events", params, idempotency_key=idempotency_key)

    def retry_all(
        self,
        tenant: str,
        workflow_id: str | None,
        since: datetime | None,
        until: datetime | None,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """Begin to let every failed execution that a filter finds go on from where it stopped.

        The same ``idempotency_key`` begins one job. What comes later than it is left out.

        Raises:
            InvalidInput: The workflow is not there.
            IdempotencyKeyReused: The key has begun another retry.
        """
        if workflow_id is not None and self._workflows.find(tenant, workflow_id) is None:
            detail = f"There is no workflow {workflow_id!r}"
            raise InvalidInput(detail, [FieldError("filter.workflowId", detail)])
        params: dict[str, Json] = {
            "workflowId": workflow_id,
            "since": _text(since),
            "until": _text(until),
        }
        return self._jobs.create(
            tenant, "retry_executions", params, idempotency_key=idempotency_key
        )

    # -- the jobs' steps ---------------------------------------------------------------------

    def replay_step(self, job: Job) -> Progress:
        """Count first, then replay a page; see ``services/jobs.py``."""
        params = cast("Mapping[str, Any]", job.params)
        cursor = cast("Mapping[str, Any]", job.cursor)
        chosen = EventFilter(
            webhook_id=params["webhookId"],
            provider=params["provider"],
            outcome=params["outcome"],
            since=_moment(params["since"]),
            until=_until(job),
            replayable=True,
        )
        counting = not cursor.get("counted")
        per_minute, in_tick = params["perMinute"], cursor.get("inTick", 0)
        per_tick = max(1, per_minute * TICK_SECONDS // 60)
        found, token = self._log.page(
            job.tenant,
            chosen,
            PAGE if counting else max(1, min(PAGE, per_tick - in_tick)),
            cursor.get("token"),
            oldest_first=True,
        )
        if counting:
            return _counted(cursor, len(found), token)
        order = rfc3339(job.created_at)
        moment = datetime.fromisoformat(order)
        self._events.send_all(
            [
                self._message(
                    job.tenant,
                    each.event_id,
                    replay_id(each.event_id, job.job_id),
                    params["workflowIds"],
                    moment,
                )
                for each in found
            ]
        )
        in_tick += len(found)
        full = in_tick >= per_tick
        return Progress(
            cursor={"counted": True, "token": token, "inTick": 0 if full else in_tick},
            done=len(found),
            finished=token is None,
            wait=ceil(60 * in_tick / per_minute) if full and token else 0,
        )

    def retry_step(self, job: Job) -> Progress:
        """Retry a page of failed executions; see ``services/jobs.py``.

        What failed after the job began is none of it: it may be what a step before, which is done
        again because its process died, had retried.
        """
        params = cast("Mapping[str, Any]", job.params)
        cursor = cast("Mapping[str, Any]", job.cursor)
        found, token = self._executions.page(
            job.tenant,
            params["workflowId"],
            "failed",
            _moment(params["since"]),
            _until(job),
            RETRY_PAGE,
            cursor.get("token"),
        )
        done, failed, error = 0, 0, None
        behind = str(cursor.get("behind") or "~")
        for each in found:
            place = f"{rfc3339(each.created_at)}#{each.execution_id}"
            if place >= behind:
                continue
            try:
                self._executions.retry(job.tenant, each.execution_id, ended_by=job.created_at)
                done += 1
            except AwsError:
                raise
            except QuotaExceeded as full:
                # The page once more, in a while: what is counted of it stays behind.
                here: dict[str, Json] = {"token": cursor.get("token"), "behind": behind}
                wait = _wait(full)
                return Progress(cursor=here, done=done, failed=failed, error=error, wait=wait)
            except NeverBegan as refusal:
                failed += 1
                error = f"{each.execution_id}: {refusal.detail}"
            except Conflict:
                done += 1  # it goes on already, or went on: this step was done before
            except IntegrationError as refusal:  # its workflow is gone, its payload is
                failed += 1
                error = f"{each.execution_id}: {refusal.detail}"
            behind = place
        return Progress(
            cursor={"token": token}, done=done, failed=failed, error=error, finished=token is None
        )

    # -- within ------------------------------------------------------------------------------

    def _check_workflows(self, tenant: str, workflow_ids: Sequence[str] | None) -> None:
        mistakes = []
        for index, each in enumerate(workflow_ids or ()):
            try:
                self._workflows.get(tenant, each)
            except UnknownWorkflow as unknown:
                mistakes.append(FieldError(f"workflowIds[{index}]", unknown.detail))
        if mistakes:
            raise InvalidInput("Some of the workflows are not there", mistakes)

    @staticmethod
    def _message(
        tenant: str,
        event_id: str,
        made: str,
        workflow_ids: Sequence[str] | None,
        moment: datetime,
    ) -> Message:
        return Message(
            body={
                "replay": {
                    "tenant": tenant,
                    "replayOf": event_id,
                    "eventId": made,
                    "workflowIds": list(workflow_ids) if workflow_ids is not None else None,
                    "at": rfc3339(moment),
                }
            },
            group=tenant,
            key=f"events/{made}",
        )


def _counted(cursor: Mapping[str, Any], more: int, token: str | None) -> Progress:
    total = int(cursor.get("total", 0)) + more
    if total > MAX_REPLAYED:
        error = f"The filter finds more than {MAX_REPLAYED} events: replay less of them at once"
        return Progress(cursor={}, error=error, gave_up=True)
    if token:
        return Progress(cursor={"token": token, "total": total})
    return Progress(cursor={"counted": True, "token": None}, total=total, finished=total == 0)


def _wait(full: QuotaExceeded) -> int:
    return ceil(full.retry_after or 0) + 1


def _text(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _until(job: Job) -> datetime:
    """The end of what was asked for; what came after the job is never meant."""
    asked = _moment(cast("str | None", job.params["until"]))
    return min(asked, job.created_at) if asked else job.created_at
